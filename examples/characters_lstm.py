"""An LSTM that learns to write, one character after another, from the documentation that Python carries.

``gradloom train examples/characters_lstm.py`` trains on nine tenths of the text and prints, epoch by epoch, the mean of
-log p over the characters of the last tenth, which it never trains on: log 96 = 4.56 nats at first, as 96 characters
are all as likely, below 2.0 after two epochs and about 1.4 after ten. Every few epochs it shows what the network
writes. Paragraphs that stand in the documentation twice are taken once, so that none of them is in both parts.

The recurrence is in the equations, h at t reads h at t - 1, and ``gradloom derive examples/characters_lstm.py`` prints
the gradients that flow back through 64 steps of time. ``python examples/characters_lstm.py --data FILE`` learns from a
text of yours.
"""

import argparse
import pydoc_data.topics
from pathlib import Path

import numpy as np

import gradloom as gl

LETTERS = "\n" + "".join(map(chr, range(32, 127)))
LENGTH, UNITS = 64, 128

network = gl.Sequential(
    [gl.layers.Embedding(len(LETTERS), 32), gl.layers.LSTM(UNITS), gl.layers.Dense(len(LETTERS))],
    input_shape=LENGTH,
    input_classes=len(LETTERS),
    loss=gl.losses.CrossEntropy(targets="labels"),
    name="characters_lstm",
)


def documentation():
    """The text of Python's topics, each paragraph once."""
    pages = "\n\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))
    return "\n\n".join(dict.fromkeys(pages.split("\n\n")))


def encoded(text):
    """The text as numbers; what is not in LETTERS becomes a space."""
    places = {letter: place for place, letter in enumerate(LETTERS)}
    return np.array([places.get(letter, places[" "]) for letter in text])


def pieces(codes):
    """Pieces of `LENGTH` characters, and the same pieces one character later."""
    starts = np.arange(0, len(codes) - LENGTH, LENGTH)
    windows = codes[starts[:, None] + np.arange(LENGTH + 1)]
    return windows[:, :-1], windows[:, 1:]


def parts(text):
    """The pieces of the first nine tenths, to train on, and those of the last tenth."""
    codes = encoded(text)
    cut = len(codes) * 9 // 10
    return pieces(codes[:cut]), pieces(codes[cut:])


data, held_out = parts(documentation())
training = {
    "epochs": 10,
    "batch": 32,
    "optimizer": gl.optimizers.Adam(lr=4e-3, clip_norm=1.0),
    "validation": held_out,
    "metrics": (),
}


def written(model, start, count, rng):
    """`start` and `count` characters more, each drawn from the probabilities that the network gives it."""
    codes = list(encoded(start))
    for _ in range(count):
        seen = codes[-LENGTH:]
        # What stands behind the last character does not reach it, so it may be anything.
        window = np.array([seen + [0] * (LENGTH - len(seen))])
        p = model.predict(window)[0, len(seen) - 1].astype(float)
        codes.append(int(rng.choice(len(LETTERS), p=p / p.sum())))
    return "".join(LETTERS[code] for code in codes)


def report(model, epoch):
    """Print the nats per character after every epoch, and now and then what the network writes."""
    if epoch:
        now = model.history.row(-1)
        print(f"{epoch:5}  {now['loss']:.3f} nats in training, {now['val_loss']:.3f} on held-out text", flush=True)
    if epoch % 5 == 0:
        print("\n" + written(model, "The ", 200, np.random.default_rng(0)) + "\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="An LSTM that learns to write.")
    parser.add_argument("--data", metavar="FILE", help="a text to learn from instead of Python's documentation")
    parser.add_argument("--epochs", metavar="N", type=int, default=training["epochs"])
    parser.add_argument("--target", choices=("cpu", "numpy"), default="cpu")
    options = parser.parse_args(arguments)
    rows, others = parts(Path(options.data).read_text()) if options.data else (data, held_out)
    model = gl.Model(network, target=options.target)
    settings = {**training, "epochs": options.epochs, "validation": others}
    model.fit(*rows, **settings, callbacks=lambda model, epoch, logs: report(model, epoch))


if __name__ == "__main__":
    main()
