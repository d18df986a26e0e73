"""Every activation against PyTorch and mpmath, forward; and the ways to write one."""

from __future__ import annotations

import functools

import mpmath
import numpy as np
import pytest
import sympy
import torch
from oracles import ACTIVATIONS, relative_error

from gradloom.symbolic import activations as act
from gradloom.symbolic.binders import Sum
from gradloom.symbolic.errors import IndexingError, UndefinedError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.functions import Elementwise, elementwise
from gradloom.symbolic.indices import dims, indices
from gradloom.symbolic.network import Network

B, n = dims("B n")
i, j = indices("i j")


def values_of(activation, z, digits=None):
    net = Network()
    t = net.input("t", (B, n))
    net.define("a", (i, j), act.activate(activation, t[i, j], j), shape=(B, n))
    return evaluate(net.equations, {"t": z}, digits=digits)["a"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_agrees_with_torch(name):
    ours, theirs = ACTIVATIONS[name]
    z = np.random.default_rng(3).normal(size=(5, 7)) * 3
    z[0, :3] = 0, 1, -1
    assert relative_error(values_of(ours, z), theirs(torch.from_numpy(z)).numpy()) < 1e-14


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_torch_is_right_to_30_digits(name):
    """At large arguments too, where the formulas as written would overflow in floats."""
    ours, theirs = ACTIVATIONS[name]
    z = np.array([[-1e4, -30.0, -1.5], [0.0, 2.5, 1e4]])
    exact = values_of(ours, z, digits=30)
    found = theirs(torch.from_numpy(z)).numpy()
    for at in np.ndindex(z.shape):
        assert abs(mpmath.mpf(exact[at]) - found[at]) <= 1e-14 * (1 + abs(found[at]))


@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_another_alpha(alpha):
    z = np.random.default_rng(3).normal(size=(3, 5))
    expected = torch.nn.functional.leaky_relu(torch.from_numpy(z), alpha).numpy()
    np.testing.assert_allclose(values_of(lambda t: act.leaky_relu(t, alpha), z), expected, rtol=1e-15)
    expected = torch.nn.functional.elu(torch.from_numpy(z), alpha).numpy()
    np.testing.assert_allclose(values_of(lambda t: act.elu(t, alpha), z), expected, rtol=1e-15)


def test_another_alpha_by_name():
    z = np.random.default_rng(3).normal(size=(3, 5))
    expected = values_of(lambda t: act.leaky_relu(t, 0.2), z)
    np.testing.assert_array_equal(values_of(functools.partial(act.leaky_relu, alpha=0.2), z), expected)


def test_an_activation_of_ones_own():
    """Mish (Misra 2019), as a lambda and named."""
    mish = elementwise("mish", lambda z: z * act.tanh(act.softplus(z)), latex=r"\operatorname{mish}")
    z = np.random.default_rng(3).normal(size=(3, 5))
    expected = torch.nn.functional.mish(torch.from_numpy(z)).numpy()
    assert relative_error(values_of(lambda t: t * act.tanh(act.softplus(t)), z), expected) < 1e-15
    assert relative_error(values_of(mish, z), expected) < 1e-15
    assert isinstance(mish(sympy.Symbol("s")), Elementwise)


def test_an_activation_of_ones_own_along_an_axis():
    share = act.AlongAxis(lambda z, axis: z**2 / Sum(z**2, axis))
    z = np.random.default_rng(3).normal(size=(3, 5))
    np.testing.assert_allclose(values_of(share, z), z**2 / (z**2).sum(1, keepdims=True), rtol=1e-14)


def test_named_activations_stay_nodes_until_they_are_expanded():
    z = sympy.Symbol("z", real=True)
    assert str(act.sigmoid(z)) == "sigmoid(z)"
    assert act.sigmoid(z).expand_definition() == 1 / (1 + sympy.exp(-z))
    assert act.identity(z) is z


def test_refuses_what_is_no_activation():
    net = Network()
    t = net.input("t", (B, n))
    with pytest.raises(UndefinedError, match="'relu' is not an activation"):
        act.activate("relu", t[i, j], j)
    with pytest.raises(UndefinedError, match="expected one SymPy expression"):
        act.activate(lambda z: (z, z), t[i, j], j)
    with pytest.raises(IndexingError, match="not elementwise"):
        elementwise("sums", lambda z: Sum(z * t[i, j], j))
