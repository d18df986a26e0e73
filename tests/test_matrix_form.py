"""The matrix form says the same as the index form: both are evaluated with NumPy at prime sizes."""

import numpy as np
import pytest
import sympy
from matrix_values import Values

import gradloom as gl
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.matrix_transpose import numerator
from gradloom.symbolic.matrix_view import View, recognise
from gradloom.symbolic.tensors import tensor_of

SIZES = {"B": 7, "n": 5, "m": 3, "h": 11}


def at_sizes(expr):
    return expr.xreplace({size: sympy.Integer(SIZES[size.name]) for size in expr.atoms(gl.Dim)})


def linear_regression():
    """A loss that is one equation, with a bias of rank 0."""
    B, n = gl.dims("B n")
    i, k = gl.indices("i k")
    net = gl.Network("linear")
    x, y = net.input("x", (B, n)), net.target("y", (B,))
    w, b = net.parameter("w", (n,)), net.parameter("b")
    net.minimize(gl.Sum((gl.Sum(w[k] * x[i, k], k) + b - y[i]) ** 2, i) / (2 * B))
    return net


def normalised():
    """A normalised layer: vectors repeated along the batch, square roots in denominators, an outer product."""
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("normalised")
    x, y = net.input("x", (B, n)), net.target("y", (B, m))
    W, g, r = net.parameter("W", (m, n)), net.parameter("g", (m,)), net.input("r", (B,))
    a = net.define("a", (i, j), gl.tanh(gl.Sum(W[j, k] * x[i, k], k)) * g[j] + r[i] * g[j])
    v = net.define("v", i, gl.Sum(a[i, j] ** 2, j) / m)
    xh = net.define("x_hat", (i, j), a[i, j] / sympy.sqrt(v[i] + sympy.Rational(1, 100)))
    net.minimize(gl.Sum((xh[i, j] - y[i, j]) ** 2, i, j) / (2 * B))
    return net


def networks():
    yield linear_regression()
    yield normalised()
    B, n, m, h = gl.dims("B n m h")
    i, j, k = gl.indices("i j k")
    activations = {
        "sigmoid": gl.sigmoid, "tanh": gl.tanh, "relu": gl.relu, "leaky": gl.leaky_relu, "elu": gl.elu,
        "softplus": gl.softplus, "silu": gl.silu, "gelu": gl.gelu,
    }  # fmt: skip
    for name, activation in activations.items():
        net = gl.Network(f"two_{name}")
        x, y = net.input("x", (B, n)), net.target("y", (B, m))
        W1, b1, W2 = net.parameter("W1", (h, n)), net.parameter("b1", (h,)), net.parameter("W2", (m, h))
        z1 = net.define("z1", (i, j), gl.Sum(W1[j, k] * x[i, k], k) + b1[j])
        a1 = net.define("a1", (i, j), activation(z1[i, j]))
        z2 = net.define("z2", (i, j), gl.Sum(W2[j, k] * a1[i, k], k))
        net.minimize(gl.Sum((z2[i, j] - y[i, j]) ** 2, i, j) / (2 * B))
        yield net
    for name, body in {
        "softmax": lambda z: sympy.exp(z[i, j]) / gl.Sum(sympy.exp(z[i, k]), k),
        "log_softmax": lambda z: z[i, j] - sympy.log(gl.Sum(sympy.exp(z[i, k]), k)),
    }.items():
        for kind in ("labels", "soft", "squared"):
            net = gl.Network(f"{name}_{kind}")
            x = net.input("x", (B, n))
            y = net.target("y", (B,), classes=m) if kind == "labels" else net.target("y", (B, m))
            W, lam = net.parameter("W", (m, n)), net.constant("lam", 0.03)
            z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k))
            p = net.define("p", (i, j), body(z))
            log_p = sympy.log(p[i, j]) if name == "softmax" else p[i, j]
            if kind == "squared":
                loss = gl.Sum((p[i, j] - y[i, j]) ** 2, i, j) / B
            else:
                loss = -gl.Sum((gl.one_hot(y[i], j) if kind == "labels" else y[i, j]) * log_p, i, j) / B
            net.minimize(loss + lam / 2 * gl.Sum(W[j, k] ** 2, j, k))
            yield net


@pytest.mark.parametrize("derivatives", ["denominator", "numerator"])
@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("network", list(networks()), ids=lambda net: net.name)
def test_matrix_form_is_worth_the_same(network, layout, derivatives):
    rng = np.random.default_rng(3)
    given = {}
    for t in network.tensors.values():
        shape = [int(at_sizes(size)) for size in t.shape]
        if t.classes is not None:
            given[t.name] = rng.integers(0, SIZES["m"], shape)
        elif t.role == "constant":
            given[t.name] = float(network.values[t.name])
        elif t.role != "value":
            given[t.name] = rng.normal(size=shape)
    derivation = network.derive()
    equations = [*network.equations, *derivation.adjoints]
    env = {**given, **evaluate(equations, given, SIZES)}
    view = View(equations, layout, network.batch)
    values = Values(env, SIZES, layout, network.batch, numerator=derivatives == "numerator")
    for equation in equations:
        form = view.form(equation)
        assert form is not None, f"{equation.target} has a matrix form"
        if derivatives == "numerator":
            form = numerator(form)
            assert form.left.kind != "tensor" or not form.left.value[1]
        expected = np.asarray(values.of(form.left, {}))
        np.testing.assert_allclose(
            np.broadcast_to(values.of(form.right, {}), expected.shape), expected, rtol=1e-12, atol=1e-14
        )


def test_no_matrix_form_falls_back_to_indices():
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("maxout")
    x, W = net.input("x", (B, n)), net.parameter("W", (m, n))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k))
    u = net.define("u", i, gl.Max(z[i, j], j))
    net.minimize(gl.Sum(u[i] ** 2, i))
    assert recognise(net.equation("u"), "columns", B) is None
    assert "u[i] = max_j z[i, j]" in net.derive().text("matrix")
    assert tensor_of(u[i]) is u


def test_only_a_softmax_over_classes_prints_as_one():
    """softmax(z) is said of the classes of each example; shares over the batch are written out."""
    B, m = gl.dims("B m")
    b, i = gl.indices("b i")
    net = gl.Network("shares")
    x, w = net.input("x", (B, m)), net.parameter("w", (m,))
    z = net.define("z", (b, i), x[b, i] * w[i])
    p = net.define("p", (b, i), gl.softmax(z[b, i], b))
    q = net.define("q", (b, i), gl.softmax(z[b, i], i))
    net.minimize(gl.Sum(p[b, i] ** 2 * q[b, i], b, i))
    for layout, written in (("columns", "p = exp(z)/(exp(z) 𝟏)"), ("rows", "p = exp(z)/(𝟏ᵀ exp(z))")):
        printed = net.derive().text(layout=layout)
        assert written in printed
        assert "q = softmax(z)" in printed
