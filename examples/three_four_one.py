"""Three inputs, four hidden neurons, one output, L = (GT - P)²: a network written by its equations.

The four rows are the exclusive or of the first two inputs; the third input is always 1. ``gradloom train
examples/three_four_one.py`` learns it, ``gradloom derive examples/three_four_one.py`` prints the backward equations.
"""

import numpy as np

import gradloom as gl

B = gl.dims("B")
i, j, k = gl.indices("i j k")

network = gl.Network("three_four_one")
x = network.input("x", (B, 3))
GT = network.target("GT", (B, 1), latex=r"\mathrm{GT}")
W1 = network.parameter("W1", (4, 3))
W2 = network.parameter("W2", (1, 4))
z1 = network.define("z1", (i, j), gl.Sum(W1[j, k] * x[i, k], k))
a1 = network.define("a1", (i, j), gl.sigmoid(z1[i, j]))
z2 = network.define("z2", (i, j), gl.Sum(W2[j, k] * a1[i, k], k))
P = network.define("P", (i, j), gl.sigmoid(z2[i, j]))
network.minimize(gl.Sum((GT[i, j] - P[i, j]) ** 2, i, j))

data = (
    np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]),
    np.array([[0.0], [1], [1], [0]]),
)
training = {"epochs": 3000, "batch": 4, "optimizer": gl.optimizers.SGD(lr=1.0), "seed": 1, "metrics": "accuracy"}

if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
