"""The stages of a step: the chain rule that is printed gives the adjoint that was derived, in numbers."""

import numpy as np
import pytest
from sympy import Mul

import gradloom as gl
from gradloom.symbolic.binders import Sum
from gradloom.symbolic.equations import Equation
from gradloom.symbolic.link import link
from gradloom.symbolic.tensors import Adjoint, element_of

B = 2
NETWORKS = {
    "softmax": lambda: gl.Sequential(
        [gl.layers.Dense(3, gl.tanh), gl.layers.Dense(5, gl.softmax)], input_shape=(7,), loss=gl.losses.CrossEntropy()
    ),
    "convolution": lambda: gl.Sequential(
        [gl.layers.Conv2D(3, (3, 2), stride=2, padding=1, activation=gl.tanh), gl.layers.MaxPool2D(2)],
        input_shape=(2, 11, 7),
        loss=gl.losses.SquaredError(),
    ),
    "layer norm": lambda: gl.Sequential(
        [gl.layers.Dense(5), gl.layers.LayerNorm()], input_shape=(3,), loss=gl.losses.SquaredError()
    ),
    "residual": lambda: gl.Sequential(
        [gl.layers.Residual([gl.layers.Dense(5, gl.sigmoid)])], input_shape=(5,), loss=gl.losses.SquaredError()
    ),
    "attention": lambda: gl.Sequential(
        [gl.layers.Attention(heads=2)], input_shape=(3, 4), loss=gl.losses.SquaredError()
    ),
}


def values_of(network):
    rng = np.random.default_rng(3)
    values = {}
    for tensor in network.by_role("input", "target", "parameter"):
        shape = [B if size == network.batch else int(size) for size in tensor.shape]
        values[tensor.name] = rng.normal(size=shape)
        if tensor in network.targets and isinstance(network, gl.Sequential) and "entropy" in str(network.loss):
            values[tensor.name] = np.abs(values[tensor.name])
    return values


@pytest.mark.parametrize("name", NETWORKS)
def test_the_printed_chain_rule_gives_the_adjoint(name):
    """Σ_o ∂L/∂T[o] ∂T[o]/∂U[p], summed over the readers T, is the adjoint of U."""
    network = NETWORKS[name]()
    derivation = network.derive(wrt=[t.name for t in network.by_role("input", "parameter")])
    values = values_of(network)
    if name == "softmax":
        values["y"] = np.eye(5)[[1, 4]]
    steps = list(derivation.steps.values())
    known = gl.evaluate([*network.equations, *(step.equation for step in steps)], values)
    given = {**values, **known}
    checked = 0
    for step in steps:
        where, terms = step.equation.indices, []
        for reader in dict.fromkeys(part.through for part in step.parts):
            found = link(reader, step.tensor, where)
            outer = 1 if reader.target == network.loss else element_of(Adjoint(reader.target, network.loss), found.at)
            terms.append(Sum(Mul(outer, found.local), *found.summed))
        again = Equation(step.equation.target, where, sum(terms))
        result = gl.evaluate([again], given)[again.target.name]
        np.testing.assert_allclose(result, known[again.target.name], rtol=1e-12, atol=1e-14)
        checked += 1
    assert checked >= len(network.parameters) + 2


def test_steps_name_the_rules():
    """Each rule is named where it was used."""
    printed = NETWORKS["softmax"]().derive().text(steps=True)
    for words in (
        "chain rule through z1",
        "product gate: the gradient times the other factors: ∂z1[i, j]/∂W1[j, k] = x[i, k]",
        "sum gate: the gradient is passed on",
        "derivative of tanh, written in the value itself: ∂a1[i, j]/∂z1[i, j] = 1 - a1[i, j]²",
        "∂a2[i, k]/∂z2[i, j] = ([j = k] - a2[i, k]) a2[i, j]",
        "fact: Σ_j y[i, j] = 1, declared: one-hot",
    ):
        assert words in printed
    assert "index shift" in NETWORKS["convolution"]().derive(wrt=["x"]).text(steps=True)
    assert "summed over the branches" in NETWORKS["residual"]().derive(wrt=["x"]).text(steps=True)


def test_short_by_default():
    derivation = NETWORKS["softmax"]().derive()
    assert "chain rule" not in derivation.text()
    assert "<details>" not in derivation.markdown()
    assert "<details><summary>Steps</summary>" in derivation.markdown(steps=True)
    assert r"\text{chain rule through $z^{(1)}$}" in derivation.latex(steps=True)
