"""Handwritten digits through 784-16-16-10 sigmoid neurons: 13,002 weights and biases.

With the real digits, ``gradloom train examples/mnist_784_16_16_10.py --data mnist.npz``, the file holds ``images``
(n, 28, 28) and ``labels``. By default it trains on scikit-learn's digits of 8 × 8 pixels, enlarged to 28 × 28.
"""

import numpy as np

import gradloom as gl

network = gl.Sequential(
    [gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10, gl.sigmoid)],
    input_shape=784,
    loss=gl.losses.SquaredError(),
    name="mnist_784_16_16_10",
)
training = {"epochs": 30, "batch": 10, "optimizer": gl.optimizers.SGD(lr=3.0), "validation": 0.2}


def data():
    """The bundled digits as 28 × 28 pixels: each pixel three times as wide and high, in a frame of two zeros."""
    digits = gl.datasets.load_digits()
    small = digits.x.reshape(-1, 8, 8)
    large = np.pad(small.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return large.reshape(-1, 784), gl.one_hot_rows(digits.y, 10)


if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
