"""A small network with data, a MODEL file, and a way to run commands: what several test modules share."""

from __future__ import annotations

import textwrap

import numpy as np

import gradloom as gl
from gradloom.cli import main

RNG = np.random.default_rng(11)
X = RNG.normal(size=(53, 5))
Y = np.tanh(X @ RNG.normal(size=(5, 3))) + 0.1 * RNG.normal(size=(53, 3))
LABELS = Y.argmax(axis=1)


def perceptron():
    """One dense sigmoid layer by equations, all sizes symbols."""
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("perceptron")
    x, y = net.input("x", (B, n)), net.target("y", (B, m))
    W, b = net.parameter("W", (m, n)), net.parameter("b", (m,))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + b[j])
    a = net.define("a", (i, j), gl.sigmoid(z[i, j]))
    net.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j) / (2 * B))
    return net


def network(loss=None):
    loss = gl.losses.SquaredError() if loss is None else loss
    return gl.Sequential([gl.layers.Dense(7, gl.tanh), gl.layers.Dense(3)], input_shape=5, loss=loss, name="small")


def classifier():
    return network(gl.losses.CrossEntropy(targets="labels"))


def model_of(net, **options):
    """A model that compiles nothing, in double precision."""
    return gl.Model(net, **{"target": "numpy", "dtype": "float64", **options})


MODEL = textwrap.dedent("""
    import numpy as np
    import gradloom as gl

    network = gl.Sequential(
        [gl.layers.Dense(4, gl.sigmoid), gl.layers.Dense(2)], input_shape=3, loss=gl.losses.SquaredError(), name="small"
    )
    other = gl.Sequential([gl.layers.Dense(1)], input_shape=2, loss=gl.losses.SquaredError(), name="other")
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(20, 3)), rng.normal(size=(20, 2)))
    training = {"epochs": 3, "batch": 7, "optimizer": gl.optimizers.SGD(lr=0.1), "target": "numpy"}
""")


def run(capsys, *arguments):
    """Run a command in this process; return its status, output and errors."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
