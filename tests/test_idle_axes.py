"""Values that are alike all along an axis are stored without it, and nothing else is."""

from __future__ import annotations

import kernels
import numpy as np
import pytest
import torch
from sympy import KroneckerDelta, exp

import gradloom as gl
from gradloom.codegen.generate import generate

B = gl.dims("B")
b, j, k, t = gl.indices("b j k t")
RNG = np.random.default_rng(5)


def agree(network, values):
    """The generated module, run by Python, against the reference interpreter; its source."""
    source = generate(network, dtype="float64").source
    output, loss, gradients = kernels.run(kernels.plain(source), network, values)
    known = kernels.expected(network, values)
    assert loss == pytest.approx(known["L"], rel=1e-12)
    for name, gradient in gradients.items():
        wanted = known[network.derive().gradients[name].target.name]
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-12)
    return source, output


def scaled(network, x, s):
    """Σ (x s)² as the loss."""
    y = network.define("y", (b, j), x[b, j] * s[b, j])
    network.minimize(gl.Sum(y[b, j] ** 2, b, j) / B)


def test_a_row_for_all_examples():
    net = gl.Network("row")
    x, w = net.input("x", (B, 7)), net.parameter("w", 7)
    scaled(net, x, net.define("s", (b, j), gl.tanh(w[j]), shape=(B, 7)))
    source, _ = agree(net, {"x": RNG.standard_normal((3, 7)), "w": RNG.standard_normal(7)})
    assert "s_alike[j] = tanh(w[j])" in source


def test_what_is_handed_out_keeps_its_axes():
    net = gl.Network("handed")
    x, w = net.input("x", (B, 7)), net.parameter("w", 7)
    s = net.define("s", (b, j), gl.tanh(w[j]), shape=(B, 7))
    scaled(net, x, s)
    net.set_output("s")
    values = {"x": RNG.standard_normal((3, 7)), "w": RNG.standard_normal(7)}
    source, output = agree(net, values)
    assert "alike" not in source
    np.testing.assert_allclose(output, np.tile(np.tanh(values["w"]), (3, 1)))


def test_what_a_product_reads_keeps_its_axes():
    net = gl.Network("product")
    x, w, M = net.input("x", (B, 7)), net.parameter("w", 11), net.parameter("M", (7, 11))
    s = net.define("s", (b, k), gl.tanh(w[k]), shape=(B, 11))
    scaled(net, x, net.define("z", (b, j), gl.Sum(M[j, k] * s[b, k], k)))
    values = {"x": (3, 7), "w": 11, "M": (7, 11)}
    source, _ = agree(net, {name: RNG.standard_normal(shape) for name, shape in values.items()})
    assert "s_alike" not in source


def test_a_sum_over_the_axis_counts_it():
    net = gl.Network("counted")
    x, w = net.input("x", (B, 7)), net.parameter("w", 7)
    s = net.define("s", (b, j), exp(w[j]), shape=(B, 7))
    r = net.define("r", (j,), gl.Sum(s[b, j] ** 2, b))
    net.minimize(gl.Sum(r[j] * x[b, j] * s[b, j], b, j) / B)
    agree(net, {"x": RNG.standard_normal((3, 7)), "w": RNG.standard_normal(7)})


def test_a_recurrence_of_rows_that_are_alike():
    net = gl.Network("recurrent")
    x, w = net.input("x", (B, 5, 7)), net.parameter("w", 7)
    s = net.define("s", (b, t, j), gl.tanh(w[j]), shape=(B, 5, 7))
    h = net.sequence("h", (B, 5, 7))
    net.define("h", (b, t, j), gl.tanh(gl.inside(t - 1, 5) * h[b, t - 1, j] * s[b, t, j] + x[b, t, j]))
    net.minimize(gl.Sum(h[b, t, j] ** 2, b, t, j) / B)
    agree(net, {"x": RNG.standard_normal((3, 5, 7)), "w": RNG.standard_normal(7)})


def test_derivatives_along_inputs_are_those_of_pytorch():
    """(∂u/∂t − ∂²u/∂p² − ∂²u/∂q²)² of an MLP, whose first layer's derivatives are alike for all examples."""
    net = gl.Sequential([gl.layers.Dense(11, gl.tanh), gl.layers.Dense(7, gl.tanh), gl.layers.Dense(1)], input_shape=3)
    u = net.output

    def along(of, axis, label):
        return gl.tangent(net, of, {"x": lambda _, k: KroneckerDelta(k, axis)}, label=label)

    first = along(u, 0, "t")
    second = [along(along(u, axis, name), axis, name) for axis, name in ((1, "p"), (2, "q"))]
    residual = first[b, 0] - second[0][b, 0] - second[1][b, 0]
    net.minimize(gl.Sum(residual**2 + u[b, 0] ** 2, b) / u.shape[0])
    source = generate(net, dtype="float64").source
    assert all(f"z1_{name}_alike" in source for name in "tpq")
    values = {tensor.name: RNG.standard_normal([int(n) for n in tensor.shape]) for tensor in net.parameters}
    values["x"] = RNG.standard_normal((13, 3))
    _, loss, gradients = kernels.run(kernels.plain(source), net, values)

    weights = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    x = weights["x"]
    a = x
    for layer in (1, 2):
        a = torch.tanh(a @ weights[f"W{layer}"].T + weights[f"b{layer}"])
    out = a @ weights["W3"].T + weights["b3"]
    (gradient,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    twice = [torch.autograd.grad(gradient[:, n].sum(), x, create_graph=True)[0][:, n] for n in (1, 2)]
    wanted = ((gradient[:, 0] - twice[0] - twice[1]) ** 2 + out[:, 0] ** 2).mean()
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    for name, found in gradients.items():
        np.testing.assert_allclose(found, weights[name].grad.numpy(), rtol=1e-9, atol=1e-11)
