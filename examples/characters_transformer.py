"""A small transformer that learns to write, one character after another, from the documentation that Python carries.

``gradloom train examples/characters_transformer.py`` prints the loss (the mean of -log p over all characters, in nats)
and, every few epochs, what the network goes on with after "the ". Each position predicts the character behind it and
sees only those before: the attention is causal. ``gradloom derive examples/characters_transformer.py --form index``
prints the gradients of every weight, those through attention and layer normalisation among them.
"""

import pydoc_data.topics

import numpy as np

import gradloom as gl

LETTERS = " abcdefghijklmnopqrstuvwxyz.,"
LENGTH, UNITS = 24, 24

network = gl.Sequential(
    [
        gl.layers.Embedding(len(LETTERS), UNITS),
        gl.layers.Positions(),
        gl.layers.TransformerBlock(UNITS, heads=3, hidden=48, causal=True),
        gl.layers.LayerNorm(),
        gl.layers.Dense(len(LETTERS)),
    ],
    input_shape=LENGTH,
    input_classes=len(LETTERS),
    loss=gl.losses.CrossEntropy(targets="labels"),
    name="characters_transformer",
)
training = {"epochs": 20, "batch": 32, "optimizer": gl.optimizers.Adam(lr=5e-3)}


def encoded(text):
    """The text as numbers: lower case, everything that is not in LETTERS a space, one space at a time."""
    kept = "".join(letter if letter in LETTERS else " " for letter in text.lower())
    return np.array([LETTERS.index(letter) for letter in " ".join(kept.split())])


def data(size=48_000):
    """Pieces of the text, and the same pieces one character later."""
    codes = encoded(" ".join(text for _, text in sorted(pydoc_data.topics.topics.items())))
    starts = np.arange(0, min(size, len(codes) - LENGTH - 1), LENGTH)
    pieces = codes[starts[:, None] + np.arange(LENGTH + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def written(model, start, count, rng):
    """`start` and `count` characters more, each drawn from the probabilities that the network gives it."""
    codes = list(encoded(start + ".")[:-1])
    for _ in range(count):
        seen = codes[-LENGTH:]
        # What stands behind the last character is not seen, so it may be anything.
        window = np.array([seen + [0] * (LENGTH - len(seen))])
        p = model.predict(window)[0, len(seen) - 1].astype(float)
        codes.append(int(rng.choice(len(LETTERS), p=p / p.sum())))
    return "".join(LETTERS[code] for code in codes)


def report(model, epoch):
    """Print the loss, and what the network writes, now and then."""
    if epoch % 5 == 0:
        loss = f"{model.history.loss[-1]:.3f}" if epoch else "loss"
        print(f"{epoch:5}  {loss}  {written(model, 'the ', 60, np.random.default_rng(0))}")


if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
