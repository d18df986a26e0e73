"""Choices of notation: each changes what it says and nothing else; bad ones are refused by name."""

import itertools

import pytest

import gradloom as gl
from gradloom.symbolic.notation import Notation

LOSS = gl.losses.CrossEntropy()


def network(**options):
    layers = [gl.layers.Dense(3, gl.tanh), gl.layers.Dense(5, gl.softmax)]
    return gl.Sequential(layers, input_shape=(7,), loss=LOSS, **options)


@pytest.mark.parametrize(
    ("choice", "there", "gone"),
    [
        ({}, r"\delta^{(1)} &= (W^{(2)})^\top \, \delta^{(2)} \odot", r"\boldsymbol"),
        ({"deltas": False}, r"\frac{\partial L}{\partial z^{(1)}} &=", r"\delta"),
        ({"layers": "names"}, r"\delta_{1} &= W_{2}^\top \, \delta_{2}", "^{(1)}"),
        ({"bold": True}, r"\boldsymbol{\delta}^{(1)} &= (\boldsymbol{W}^{(2)})^\top", r"&= (W^{(2)})^\top"),
        ({"symbols": {"a2": r"\hat y"}}, r"\hat y &= \operatorname{softmax}", r" a^{(2)}"),
        ({"symbols": {"d_z2": r"\mathrm{d}Z"}}, r"\mathrm{d}Z &= ", r"\delta^{(2)}"),
        ({"layout": "rows"}, r"z^{(1)} &= x \, (W^{(1)})^\top + (b^{(1)})^\top", "one example per column"),
        (
            {"derivatives": "numerator"},
            r"\frac{\partial L}{\partial W^{(1)}} &= x \, \delta^{(1)}",
            r"\delta^{(1)} \, x^\top",
        ),
    ],
    ids=str,
)
def test_each_choice(choice, there, gone):
    printed = network().derive().latex(**choice)
    assert there in printed
    assert gone not in printed


def test_choices_combine():
    """All of them together, in every format."""
    choices = {"layout": ("columns", "rows"), "derivatives": ("denominator", "numerator"), "deltas": (True, False)}
    derivation = network().derive()
    seen = set()
    for values in itertools.product(*choices.values()):
        notation = dict(zip(choices, values, strict=True))
        seen.add(derivation.latex(**notation))
        assert derivation.text(**notation).count("\n") == derivation.text().count("\n") + (
            notation["derivatives"] == "numerator"
        )
    assert len(seen) == 8


def test_a_symbol_of_the_declaration_is_used_and_can_be_overridden():
    net = gl.Network("scaled")
    i = gl.indices("i")
    n = gl.dims("n")
    w = net.parameter("w", (n,), latex=r"\mathbf{w}")
    net.minimize(gl.Sum(w[i] ** 2, i))
    assert r"\partial \mathbf{w}" in net.derive().latex()
    assert r"\partial \omega" in net.derive().latex(symbols={"w": r"\omega"})


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layout": "diagonal"}, "layout 'diagonal': expected 'columns' or 'rows'"),
        ({"derivatives": "both"}, "derivatives 'both': expected 'denominator' or 'numerator'"),
        ({"colour": "red"}, "'colour' is no choice of notation; there are layout, derivatives"),
    ],
)
def test_unknown_choices_are_refused(choice, message):
    with pytest.raises(gl.UnsupportedError, match=message):
        network().derive().latex(**choice)


def test_a_symbol_of_no_tensor_is_refused():
    with pytest.raises(gl.UndefinedError, match="symbols: there is no tensor 'zz'; there are x, W1"):
        network().derive().latex(symbols={"zz": "q"})


@pytest.mark.parametrize("symbol", [r"\input{x}", "a}b", "$x$", "", 3])
def test_symbols_that_could_do_harm_are_refused(symbol):
    with pytest.raises(gl.NameTakenError, match="latex= of a2"):
        Notation(symbols={"a2": symbol})


def test_the_legend_stands_first_and_names_what_was_assumed():
    document = network().derive().document(derivatives="numerator")
    assert document.sections[0].title == "Conventions"
    words = "\n".join(block.text for block in document.sections[0].blocks)
    assert "one example per column" in words
    assert "numerator layout" in words
    assert "W1 (3, 7)" in words
    assert "Used: Σ_j y[i, j] = 1, declared: one-hot." in words
    relu = gl.Sequential([gl.layers.Dense(3, gl.relu)], input_shape=(7,), loss=gl.losses.SquaredError())
    assert "relu′(0) = 0." in relu.derive().text()
