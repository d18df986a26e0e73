"""The reference interpreter, against numpy and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy

from gradloom.symbolic.activations import one_hot, sigmoid
from gradloom.symbolic.binders import ArgMax, Max, Sum
from gradloom.symbolic.errors import SizeError, UndefinedError, UnsupportedError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.indices import dims, indices
from gradloom.symbolic.network import Network

B, n, m = dims("B n m")
i, j, k = indices("i j k")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_contraction_and_bias(rng):
    net = Network()
    x, W, b = net.input("x", (B, n)), net.parameter("W", (m, n)), net.parameter("b", (m,))
    net.define("z", (i, j), Sum(W[j, k] * x[i, k], k) + b[j])
    values = {"x": rng.normal(size=(3, 5)), "W": rng.normal(size=(7, 5)), "b": rng.normal(size=7)}
    z = evaluate(net.equations, values)["z"]
    assert z.dtype == np.float64
    np.testing.assert_allclose(z, values["x"] @ values["W"].T + values["b"], rtol=1e-14)


def test_equations_read_those_before_them(rng):
    net = Network()
    x = net.input("x", (B, n))
    s = net.define("s", (i,), Sum(x[i, k], k))
    net.define("total", (), Sum(s[i] ** 2, i) / B)
    x = rng.normal(size=(3, 2))
    found = evaluate(net.equations, {"x": x})
    assert found["total"] == pytest.approx((x.sum(1) ** 2).mean(), rel=1e-14)
    assert found["total"].shape == ()


def test_nested_binders_maximum_and_its_place(rng):
    net = Network()
    x, y = net.input("x", (n,)), net.input("y", (m,))
    net.define("a", (), Sum(x[i] * Sum(x[i] * y[j] * Max(y[k], k), j), i))
    net.define("place", (), ArgMax(y[j], j))
    x, y = rng.normal(size=3), np.array([1.0, 4.0, 2.0, 4.0, -1.0])
    found = evaluate(net.equations, {"x": x, "y": y})
    assert found["a"] == pytest.approx((x**2).sum() * y.sum() * y.max(), rel=1e-13)
    assert found["place"] == 1


def test_labels_pick_and_compare(rng):
    net = Network()
    x, y = net.input("x", (B, m)), net.target("y", (B,), classes=m)
    net.define("picked", (i,), x[i, y[i]])
    net.define("also", (i,), Sum(one_hot(y[i], j) * x[i, j], j))
    values = {"x": rng.normal(size=(5, 3)), "y": rng.integers(0, 3, size=5)}
    found = evaluate(net.equations, values)
    np.testing.assert_array_equal(found["picked"], values["x"][np.arange(5), values["y"]])
    np.testing.assert_array_equal(found["also"], found["picked"])


def test_conditions_and_named_functions():
    net = Network()
    x = net.input("x", (n,))
    inside = sympy.And(x[i] > -1, x[i] <= 1)
    net.define("clipped", (i,), sympy.Piecewise((x[i], inside), (sympy.sign(x[i]), True)))
    net.define("a", (i,), sigmoid(x[i]) ** sympy.Rational(3, 2) + sympy.Abs(x[i]) + sympy.sqrt(2) * sympy.pi)
    x = np.array([-2.0, -1.0, 0.25, 1.0, 3.0])
    found = evaluate(net.equations, {"x": x})
    np.testing.assert_array_equal(found["clipped"], np.clip(x, -1, 1))
    expected = (1 / (1 + np.exp(-x))) ** 1.5 + np.abs(x) + np.sqrt(2) * np.pi
    np.testing.assert_allclose(found["a"], expected, rtol=1e-15)


def test_any_precision():
    net = Network()
    x = net.input("x", (n,))
    net.define("s", (), sympy.log(Sum(sympy.exp(x[i]), i)))
    found = evaluate(net.equations, {"x": [10**4, 10**4 - 1, sympy.Rational(1, 3)]}, digits=50)["s"]
    with mpmath.workdps(60):
        expected = 10**4 + mpmath.log(1 + mpmath.exp(-1))
        assert abs(found.item() - expected) < mpmath.mpf(10) ** -45


def test_precision_of_constants():
    net = Network()
    x = net.input("x")
    net.define("s", (), sympy.pi * x)
    found = evaluate(net.equations, {"x": sympy.Rational(1, 3)}, digits=40)["s"].item()
    with mpmath.workdps(50):
        assert abs(found - mpmath.pi / 3) < mpmath.mpf(10) ** -38


def test_sizes_are_numbers_too_and_can_be_given():
    net = Network()
    x = net.input("x", (B, n))
    net.define("ones", (i, k), 0 * x[i, k] + 1, shape=(B, n))
    net.define("mean", (), Sum(x[i, k], i, k) / (B * n))
    assert evaluate(net.equations[:1], {}, sizes={"B": 2, "n": 3})["ones"].shape == (2, 3)
    assert evaluate(net.equations, {"x": np.arange(6.0).reshape(2, 3)})["mean"] == 2.5


def test_an_equation_that_reads_its_own_target_reads_the_old_value():
    net = Network()
    x = net.input("x", (n,))
    s = net.state("s", (n,))
    from gradloom.symbolic.equations import Equation

    found = evaluate([Equation(s, (i,), s[i] + Sum(s[j], j) + x[i])], {"s": [1.0, 2.0], "x": [10.0, 20.0]})
    np.testing.assert_array_equal(found["s"], [14.0, 25.0])


def test_refuses_what_it_cannot_evaluate():
    net = Network()
    x = net.input("x", (B, n))
    s = net.define("s", (i,), Sum(x[i, k], k))
    net.define("g", (i,), sympy.gamma(s[i]))
    with pytest.raises(UndefinedError, match="x is read but has no value"):
        evaluate(net.equations[:1], {}, sizes={"B": 2, "n": 3})
    with pytest.raises(SizeError, match="size B has no number"):
        evaluate(net.equations[:1], {}, sizes={"n": 3})
    with pytest.raises(SizeError, match=r"x has shape \(B, n\), found one of \(3,\)"):
        evaluate(net.equations[:1], {"x": np.ones(3)})
    with pytest.raises(SizeError, match="n = 4, found one of"):
        evaluate(net.equations[:1], {"x": np.ones((2, 3))}, sizes={"n": 4})
    with pytest.raises(UnsupportedError, match="gamma"):
        evaluate(net.equations, {"x": np.ones((2, 3))})
