"""Two sparse autoencoders, one on the other, learn features without labels; a softmax on them then needs fewer labels.

``python examples/sparse_autoencoders.py`` takes scikit-learn's digits, holds 360 of them out, and trains layer by layer
on the pixels of the other 1,437 alone. Each layer encodes what the one before gives, a = relu(W x̃ + b), and decodes it
with the same weights, z = Wᵀ a + c, so that z is near x. x̃ is x with a part of its entries set to 0: the rest must tell
what they were (Vincent et al. 2010). λ Σ |a| keeps nine tenths of the units at 0. Then it compares what is recognised
of the 360 digits by

- a softmax on the pixels (79.9 %),
- a softmax on the features of the first layer (82.2 %), and on those of the second (83.8 %), which stay as they are,
- the whole stack, fine-tuned by backpropagation from there (84.6 %),

each after the same 50 labels, on average over ten draws of them. ``gradloom derive examples/sparse_autoencoders.py``
prints the first autoencoder: its ∂L/∂W2 is the sum over both places where the weights stand.
"""

import argparse

import numpy as np
from sympy import Piecewise

import gradloom as gl

UNITS, SPARSENESS, CORRUPTED = (200, 200), 0.02, 0.3


class Corrupt(gl.layers.Layer):
    """Set entries to 0 with probability `rate` in training; in inference let everything pass."""

    def __init__(self, rate):
        self.rate = rate

    def build(self, network, x, place):
        i, j = gl.indices("i j")
        u = network.noise(f"u{place}", x.shape)
        kept = Piecewise((x[i, j], u[i, j] >= self.rate), (0, True))
        return network.define(f"x{place}", (i, j), kept, inference=x[i, j], note="corruption")


def autoencoder(inputs, units):
    """Corrupt, encode, decode with the transposed weights; what it predicts is the code."""
    encode = gl.layers.Dense(units, gl.relu)
    net = gl.Sequential(
        [Corrupt(CORRUPTED), encode, gl.layers.TiedDense(encode)],
        input_shape=inputs,
        loss=gl.losses.SquaredError(),
        penalties=[gl.losses.ActivityL1(SPARSENESS, "a2")],
        name="sparse_autoencoder",
    )
    net.set_output("a2")
    return net


def classifier(inputs, encoders=()):
    """A softmax, behind layers that begin as `encoders`, trained autoencoders, have them."""
    hidden = [
        gl.layers.Dense(len(code.params["b2"]), gl.relu, weight_init=code.params["W2"], bias_init=code.params["b2"])
        for code in encoders
    ]
    loss = gl.losses.CrossEntropy(targets="labels")
    penalty = gl.losses.L2(1e-3, [f"W{len(hidden) + 1}"])
    return gl.Sequential([*hidden, gl.layers.Dense(10)], inputs, loss=loss, penalties=[penalty], name="classifier")


network = autoencoder(64, UNITS[0])
training = {"epochs": 40, "batch": 32, "optimizer": gl.optimizers.Adam(lr=3e-3)}


def data():
    """The digits, each its own target."""
    x = gl.datasets.load_digits().x
    return x, x


def layer_by_layer(x, units=UNITS, epochs=training["epochs"], target="numpy"):
    """The trained autoencoders, each on the code of the one before."""
    models = []
    for place, size in enumerate(units, start=1):
        model = gl.Model(autoencoder(x.shape[1], size), target=target)
        model.fit(x, x, **{**training, "epochs": epochs}, metrics=())
        x = model.predict(x)
        print(f"Layer {place}: loss {model.history.loss[0]:.3f}, then {model.history.loss[-1]:.3f}; ", end="")
        print(f"{(x > 0).mean():.0%} of its units are active.")
        models.append(model)
    return models


def fitted(model, x, y, few, epochs, lr):
    """The classifier after training on the rows `few`."""
    model.fit(x[few], y[few], epochs=epochs, batch=50, optimizer=gl.optimizers.Adam(lr=lr), metrics=())
    return model


def stacked(models, top, target):
    """The encoders of the trained autoencoders with the softmax `top` on them, as one classifier."""
    model = gl.Model(classifier(models[0].params["W2"].shape[1], models), target=target)
    last = len(models) + 1
    model.params[f"W{last}"], model.params[f"b{last}"] = top.params["W1"], top.params["b1"]
    return model


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Features from stacked sparse autoencoders.")
    parser.add_argument("--data", metavar="FILE", help="an .npz file with images and labels instead of the digits")
    parser.add_argument("--labels", metavar="N", type=int, default=50, help="how many labels are used (50)")
    parser.add_argument("--epochs", metavar="N", type=int, default=training["epochs"], help="of each autoencoder")
    parser.add_argument("--draws", metavar="N", type=int, default=10, help="how many times labels are drawn (10)")
    parser.add_argument("--target", choices=("numpy", "cpu"), default="numpy", help="numpy compiles nothing (default)")
    options = parser.parse_args(arguments)
    dataset = gl.datasets.load_file(options.data) if options.data else gl.datasets.load_digits()
    x, y = dataset.x.reshape(len(dataset.x), -1), dataset.y.astype(int)

    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    seen, others = order[: len(x) * 4 // 5], order[len(x) * 4 // 5 :]
    models = layer_by_layer(x[seen], epochs=options.epochs, target=options.target)
    rows = [rng.choice(seen, options.labels, replace=False) for _ in range(options.draws)]

    def recognised(name, x, classifiers):
        share = np.mean([model.evaluate(x[others], y[others])["accuracy"] for model in classifiers])
        print(f"{name:23} {share:.1%}", flush=True)

    print(f"\nRecognised of {len(others)} held-out rows after {options.labels} labels, mean of {options.draws} draws:")
    code = x
    for name, model in (("the pixels", None), *((f"layer {n}", m) for n, m in enumerate(models, start=1))):
        code = code if model is None else model.predict(code)
        net = classifier(code.shape[1])
        tops = [fitted(gl.Model(net, target=options.target), code, y, few, 200, 1e-2) for few in rows]
        recognised(f"softmax on {name}", code, tops)
    starts = [(stacked(models, top, options.target), few) for top, few in zip(tops, rows, strict=True)]
    recognised("fine-tuned stack", x, [fitted(model, x, y, few, 100, 3e-4) for model, few in starts])


if __name__ == "__main__":
    main()
