"""A layer and a loss of your own, by equations alone.

gradloom has no list of layers that it can differentiate: it differentiates equations. So a new layer is the equations
that it adds, and a new loss is the expression that it is. Here both are new:

- the activation y = x tanh(softplus(x)), called mish, as a layer that also scales each of its outputs by a learned
  number: one parameter and one equation;
- the loss log cosh(a - y), smooth like the squared error near 0 and linear far away: one expression.

Neither has a line of backward code. ``gradloom derive examples/own_layer_and_loss.py --form index`` prints what is
derived from them, ``gradloom gradcheck examples/own_layer_and_loss.py`` compares it with finite differences, and
``gradloom train examples/own_layer_and_loss.py`` fits a noisy sine. The generator takes care of the numbers:
log cosh(u) does not overflow for a large u, although cosh(u) does.
"""

import numpy as np
import sympy

import gradloom as gl

# A named function: it is printed as mish(z), and its derivative is found from the formula.
mish = gl.elementwise("mish", lambda z: z * gl.tanh(gl.softplus(z)))


class ScaledMish(gl.layers.Layer):
    """``a[i, j] = s[j] mish(x[i, j])``: `build` adds the layer's equations and returns the outgoing tensor."""

    def build(self, network, x, place):
        i, j = gl.indices("i j")
        s = self.parameter(network, "s", x.shape[1:], place, init=1.0)
        return network.define(f"a{place}", (i, j), s[j] * mish(x[i, j]), note=f"scaled mish, layer {place}")


def log_cosh(a, y):
    """The loss of one output entry and its target; the mean over all entries is taken."""
    return sympy.log(sympy.cosh(a - y))


network = gl.Sequential(
    [gl.layers.Dense(16), ScaledMish(), gl.layers.Dense(1)],
    input_shape=1,
    loss=log_cosh,
    name="own_layer_and_loss",
)
training = {"epochs": 200, "batch": 16, "optimizer": gl.optimizers.Adam(lr=0.02), "validation": 0.2}


def data():
    """400 points of a sine with some noise, always the same ones."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-np.pi, np.pi, (400, 1))
    return x, np.sin(x) + rng.normal(0, 0.05, x.shape)


if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
