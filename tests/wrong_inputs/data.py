"""Arrays that a network does not take."""

from __future__ import annotations

import numpy as np

import gradloom as gl

from .case import LABELS, Case, X, Y, classifier, declared, model, stacked

# x and y of a classifier of three classes, in files of the command line, too.
CLASSES = {
    "NaN among the numbers": (np.where(X == 5, np.nan, X), LABELS),
    "Infinity among the numbers": (np.where(X == 5, np.inf, X), LABELS),
    "Rows of another width": (np.ones((4, 5)), LABELS),
    "Words in the place of numbers": (X.astype(str), LABELS),
    "Complex numbers": (X * 1j, LABELS),
    "Labels that begin with 1": (X, LABELS + 1),
    "Negative labels": (X, -LABELS),
    "Labels that are no integers": (X, LABELS / 2),
    "Labels that are words": (X, np.array(["a", "b", "c", "a"])),
    "No rows": (X[:0], LABELS[:0]),
    "Different numbers of rows": (X, LABELS[:3]),
}


def trained(x: object, y: object = None) -> object:
    return model(classifier()).fit(x, y, epochs=1, progress=False)


def summed() -> gl.Network:
    """Its target is declared one-hot: rows of sum 1."""
    return stacked(loss=gl.losses.CrossEntropy())


CASES: dict[str, Case] = {wrong: (lambda place, x=x, y=y: trained(x, y)) for wrong, (x, y) in CLASSES.items()}
CASES |= {
    "Rows of different lengths": lambda place: trained([[1, 2], [3]], LABELS),
    "A masked array": lambda place: trained(np.ma.masked_equal(X, 5), LABELS),
    "A number too large for the type": lambda place: trained(X * 1e300, LABELS),
    "An axis too many": lambda place: trained(X[:, None], LABELS),
    "An axis too few": lambda place: trained(X[:, 0], LABELS),
    "One-hot rows in the place of labels": lambda place: trained(X, np.eye(3)[LABELS]),
    "Labels in the place of rows": lambda place: model().fit(X, LABELS),
    "A column in the place of a vector": lambda place: model(vectors()).fit(X, Y[:, :1]),
    "Rows that do not have the declared sum": lambda place: model(summed()).fit(X, np.ones((4, 3))),
    "No targets": lambda place: trained(X),
    "An input of a name that is not there": lambda place: trained({"u": X}, LABELS),
    "One array for several inputs": lambda place: model(two_inputs()).predict(X),
    "One of several inputs missing": lambda place: model(two_inputs()).predict({"x": X}),
    "Another size than before": lambda place: another_size(),
    "Labels that are to be one-hot rows, in two axes": lambda place: gl.one_hot_rows([[1, 2]], 3),
    "A number of classes that is none": lambda place: gl.one_hot_rows([1, 2], 0),
    "Noise of another number of rows": lambda place: noisy(),
    "No array for an input of a program": lambda place: (
        classifier().compile(target="numpy").predict({"W1": np.ones((3, 2)), "b1": np.ones(3)})
    ),
}


def vectors() -> gl.Network:
    net = gl.Network("net")
    B, i = gl.dims("B"), gl.indices("i")
    x, y, w = net.input("x", (B, 2)), net.target("y", (B,)), net.parameter("w")
    z = net.define("z", i, w * x[i, 0])
    net.minimize(gl.Sum((z[i] - y[i]) ** 2, i))
    return net


def two_inputs() -> gl.Network:
    net = gl.Network("net")
    B, i = gl.dims("B"), gl.indices("i")
    x, u, w = net.input("x", (B, 2)), net.input("u", (B,)), net.parameter("w")
    net.define("z", i, w * x[i, 0] * u[i])
    return net


def another_size() -> object:
    made = model(declared())
    made.fit(X, Y, epochs=1, progress=False)
    return made.predict(np.ones((4, 5)))


def noisy() -> object:
    program = stacked(gl.layers.Dense(3), gl.layers.Dropout(0.5)).compile(target="numpy")
    noise = {tensor.name: np.ones((2, 3)) for tensor in program.network.noises}
    return program.noise(4, noise)
