"""The chain of one entry: what it says, and that its factors multiply to the gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kernels import expected
from sympy import floor

import gradloom as gl
from gradloom.symbolic.equations import Equation
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.tensors import Tensor, tensor_of

L = gl.layers


def two_layers(loss=None):
    layers = [L.Dense(3, gl.sigmoid), L.Dense(2, gl.sigmoid)]
    return gl.Sequential(layers, input_shape=5, loss=loss or gl.losses.SquaredError())


def values_of(network, sizes, seed):
    rng = np.random.default_rng(seed)
    made = {}
    for tensor in [*network.inputs, *network.targets, *network.parameters]:
        shape = tuple(sizes[s.name] if isinstance(s, gl.Dim) else int(s) for s in tensor.shape)
        classes = tensor.classes
        made[tensor.name] = rng.normal(size=shape) if classes is None else rng.integers(0, int(classes), shape)
    return made


def value(chain, network, values, known):
    """The value of everything put in, at the point where the reference interpreter has `known`."""
    mark = Tensor("found")
    given = {**values, **{e.target.name: known[e.target.name] for e in network.equations}}
    return float(evaluate([Equation(mark, (), chain.expression)], given)["found"])


CASES = {
    "dense": lambda: (two_layers(), ["W1[2, 4]", "b1[0]", "W2[1, 2]", "x[1, 3]"]),
    "softmax": lambda: (
        gl.Sequential(
            [L.Dense(3, gl.tanh), L.Dense(4)], input_shape=2, loss=gl.losses.CrossEntropy(targets="probabilities"),
        ),
        ["W1[2, 1]", "W2[3, 0]", "b2[1]"],
    ),
    "convolutions": lambda: (
        gl.Sequential(
            [L.Conv2D(2, 3, padding=1, activation=gl.relu), L.MaxPool2D(2), L.Conv2D(3, 2, padding=1), L.Flatten(),
             L.Dense(2)], input_shape=(1, 4, 6), loss=gl.losses.CrossEntropy(targets="labels"),
        ),
        ["W1[1, 0, 2, 0]", "b1[1]", "W3[2, 1, 0, 1]", "W5[1, 7]"],
    ),
    "penalty and residual": lambda: (
        gl.Sequential(
            [L.Dense(3, gl.tanh), L.Residual([L.Dense(3, gl.tanh)]), L.Dense(1)],
            input_shape=2, loss=gl.losses.SquaredError(), penalties=[gl.losses.L2(0.1)],
        ),
        ["W1[2, 1]", "W2_1[0, 2]"],
    ),
    "layer norm": lambda: (
        gl.Sequential([L.Dense(3), L.LayerNorm(), L.Dense(2)], input_shape=2, loss=gl.losses.SquaredError()),
        ["W1[1, 0]", "gamma2[2]"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_factors_multiply_to_the_gradient(name):
    network, entries = CASES[name]()
    values = values_of(network, {"B": 3}, 1)
    derivation = network.derive(list(dict.fromkeys(entry.split("[")[0] for entry in entries)))
    found = evaluate(
        [*network.equations, *derivation.adjoints], values | {n: float(v) for n, v in network.values.items()}
    )
    for entry in entries:
        name, _, places = entry.rstrip("]").partition("[")
        gradient = found[derivation[name].target.name][tuple(map(int, places.split(",")))]
        given = values | {n: float(v) for n, v in network.values.items()}
        assert value(derivation.chain(entry), network, given, found) == pytest.approx(gradient, rel=1e-10, abs=1e-14)


def test_against_pytorch():
    network = two_layers()
    values = values_of(network, {"B": 3}, 2)
    w = {name: torch.tensor(array, requires_grad=True) for name, array in values.items()}
    a = torch.sigmoid(F.linear(w["x"], w["W1"], w["b1"]))
    (((torch.sigmoid(F.linear(a, w["W2"], w["b2"])) - w["y"]) ** 2).sum() / 6).backward()
    known = expected(network, values)
    derivation = network.derive()
    for entry, at in (("W1[2, 4]", (2, 4)), ("W1[0,0]", (0, 0)), ("W2[1, 2]", (1, 2))):
        name = entry[:2]
        assert value(derivation.chain(entry), network, values, known) == pytest.approx(
            w[name].grad[at].item(), rel=1e-12
        )


def test_an_outer_weight_is_one_product():
    chain = two_layers().derive().chain("W2[0,0]")
    assert chain.text() == (
        "Chain\n"
        "  ∂L/∂W2[0, 0] = Σ_i ∂L/∂a2[i, 0] · ∂a2[i, 0]/∂z2[i, 0] · ∂z2[i, 0]/∂W2[0, 0]\n"
        "\n"
        "Factors\n"
        "  ∂L/∂a2[i, 0] = 1/B (a2[i, 0] - y[i, 0])\n"
        "  ∂a2[i, 0]/∂z2[i, 0] = a2[i, 0] (1 - a2[i, 0])\n"
        "  ∂z2[i, 0]/∂W2[0, 0] = a1[i, 0]\n"
        "\n"
        "Together\n"
        "  ∂L/∂W2[0, 0] = Σ_i δ2[i, 0] a1[i, 0]\n"
        "  δ2[i, j] = ∂L/∂z2[i, j] = 1/B (a2[i, j] - y[i, j]) a2[i, j] (1 - a2[i, j])\n"
    )


def test_where_the_way_branches_the_sum_has_a_line_of_its_own():
    chain = two_layers().derive().chain("W1[1,4]")
    first, second = (line.formula.text for line in chain.lines[:2])
    assert first == "∂L/∂W1[1, 4] = Σ_i ∂L/∂a1[i, 1] · ∂a1[i, 1]/∂z1[i, 1] · ∂z1[i, 1]/∂W1[1, 4]"
    assert second == "∂L/∂a1[i, 1] = Σ_j ∂L/∂a2[i, j] · ∂a2[i, j]/∂z2[i, j] · ∂z2[i, j]/∂a1[i, 1]"
    # Every factor that a product names is said once.
    said = [line.formula.text.split(" = ")[0] for line in chain.lines[2:]]
    assert len(said) == len(set(said)) == 5
    assert all(name in first + second for name in said)


def test_written_out_as_in_the_lecture():
    """∂E/∂w1 = (Σ_o ∂E/∂out_o ∂out_o/∂net_o ∂net_o/∂out_h1) ∂out_h1/∂net_h1 ∂net_h1/∂w1, each neuron by itself."""
    layers = [L.Dense(2, gl.sigmoid), L.Dense(2, gl.sigmoid)]
    network = gl.Sequential(layers, input_shape=2, loss=gl.losses.SquaredError())
    derivation = gl.unrolled(network, {"B": 1}).derive()
    lines = [line.formula.text for line in derivation.chain("W1[0,0]").lines[:2]]
    assert lines == [
        "∂L/∂W1[0, 0] = ∂L/∂a1[0] · ∂a1[0]/∂z1[0] · ∂z1[0]/∂W1[0, 0]",
        "∂L/∂a1[0] = ∂L/∂a2[0] · ∂a2[0]/∂z2[0] · ∂z2[0]/∂a1[0] + ∂L/∂a2[1] · ∂a2[1]/∂z2[1] · ∂z2[1]/∂a1[0]",
    ]
    assert str(derivation.chain("W1_0_0")) == str(derivation.chain("W1[0, 0]"))


def test_a_recurrence_states_its_step():
    network = gl.Sequential([L.RNN(3)], input_shape=(5, 2), loss=gl.losses.SquaredError())
    chain = network.derive().chain("U1[0,1]")
    lines = [line.formula.text for line in chain.lines]
    assert (
        lines[0] == "∂L/∂U1[0, 1] = Σ_i,t [t ≥ 1] ∂L/∂h1[i, t, 0] · ∂h1[i, t, 0]/∂z1[i, t, 0] · ∂z1[i, t, 0]/∂U1[0, 1]"
    )
    assert "∂L/∂z1[i, t, j] = ∂L/∂h1[i, t, j] · ∂h1[i, t, j]/∂z1[i, t, j]" in lines
    assert any(line.startswith("∂L/∂h1[i, t, j] = Σ_k [t ≤ 3] ∂L/∂z1[i, t + 1, k]") for line in lines)
    assert any(line.startswith("∂L/∂h1[i, t, j]|direct = ") for line in lines)
    with pytest.raises(gl.UnsupportedError, match="depends on itself at another step of the recurrence"):
        _ = chain.expression


def test_formats_and_notation():
    derivation = two_layers().derive()
    chain = derivation.chain("W2[0,0]")
    product = (
        r"\frac{\partial L}{\partial W^{(2)}_{0 0}} = \sum_{i} \frac{\partial L}{\partial a^{(2)}_{i 0}} \cdot "
        r"\frac{\partial a^{(2)}_{i 0}}{\partial z^{(2)}_{i 0}} \cdot "
        r"\frac{\partial z^{(2)}_{i 0}}{\partial W^{(2)}_{0 0}}"
    )
    assert f"$$ {product} $$" in chain.markdown()
    assert product.replace(" = ", " &= ", 1) in chain.latex()
    assert product.replace(" = ", " &= ", 1) in chain._repr_latex_()
    assert r"\begin{document}" in chain.latex(standalone=True)
    named = derivation.chain("W2[0,0]", symbols={"a2": r"\hat y"}).latex()
    assert r"\partial \hat y_{i 0}" in named
    with pytest.raises(gl.UnsupportedError, match="'colour' is no choice of notation"):
        derivation.chain("W2[0,0]", colour="red")


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ("W2[0]", gl.IndexingError, r"W2 has 2 axes \(2, 3\); expected e.g. 'W2\[0, 0\]'"),
        ("W2", gl.IndexingError, "W2 has 2 axes"),
        ("W9[0,0]", gl.UndefinedError, "has no tensor 'W9'; it has x, W1"),
        ("W2[2,0]", gl.IndexingError, r"axis 0 of W2 \(2, 3\) ends at 1"),
        ("W2[0,a]", gl.IndexingError, "a position is a whole number, counted from 0, found 'a'"),
        ("W2[-1,0]", gl.IndexingError, "found '-1'"),
        ("W2[0,0", gl.IndexingError, "names no entry; expected a tensor and whole numbers"),
        ("2", gl.IndexingError, "names no entry"),
        (3, gl.IndexingError, "3 names no entry"),
        ("y[0,0,0]", gl.IndexingError, "y has 2 axes"),
    ],
)
def test_refuses_what_is_no_entry(entry, error, message):
    with pytest.raises(error, match=message):
        two_layers().derive().chain(entry)


def test_refuses_what_the_loss_does_not_depend_on():
    network = gl.Network("spare")
    v, w = network.parameter("v"), network.parameter("w")
    network.minimize(v**2)
    with pytest.raises(gl.UnusedParameterError, match="the loss L of spare does not depend on w"):
        network.derive("v").chain("w")
    assert w.name in network.tensors
    assert "∂L/∂v = 2 v" in network.derive("v").chain("v").text()
    assert tensor_of(network.derive("v").chain("v").element) == v


def held_square():
    """(w x - h)² with h = held((w x)²): the way through h is none."""
    n = gl.Network("h")
    w, x = n.parameter("w"), n.input("x")
    p = n.define("p", (), w * x)
    q = n.define("q", (), p**2)
    h = n.define("h", (), gl.held(q))
    n.minimize((w * x - h) ** 2 + p)
    return n


def test_no_path_goes_through_what_is_held():
    chain = held_square().derive().chain("w")
    text = chain.text()
    assert "∂L/∂q" not in text
    assert "∂q/∂p" not in text
    values = {"w": 1.5, "x": 2.0}
    known = evaluate(held_square().equations, values)
    # 2 (w x - h) x + x with h = 9
    assert value(chain, held_square(), values, known) == pytest.approx(2 * (3 - 9) * 2 + 2)
    with pytest.raises(gl.UnusedParameterError, match="does not depend on q"):
        held_square().derive().chain("q")


def test_no_path_goes_through_a_stopped_tensor_or_a_step():
    n = held_square()
    n.held.add("p")
    assert "∂L/∂p" not in n.derive().chain("w").text()
    flat = gl.Network("flat")
    w = flat.parameter("w")
    p = flat.define("p", (), 3 * w)
    q = flat.define("q", (), floor(p))
    flat.minimize((w - q) ** 2)
    assert "∂L/∂p" not in flat.derive().chain("w").text()


def test_what_direct_means_is_said():
    network = gl.Sequential([L.RNN(3)], input_shape=(5, 2), loss=gl.losses.SquaredError())
    text = network.derive().chain("U1[0,1]").text()
    assert text.count("“direct”: the derivative by way of this equation alone") == 1
    assert "direct" not in two_layers().derive().chain("W1[0,1]").text()


def test_a_recurrence_states_each_gradient_once():
    network = gl.Sequential([L.GRU(2)], input_shape=(3, 2), loss=gl.losses.SquaredError())
    chain = network.derive().chain("Ur1[0,1]")
    stated = [tensor_of(branching.element) for branching in chain.branchings]
    assert len(stated) == len(set(stated)) == 5
    pairs = [(tensor_of(factor.of), tensor_of(factor.by)) for factor in chain.factors]
    # Each pair of tensors once, but that of the entry itself.
    assert len(pairs) == len(set(pairs))
    lines = [line.formula.text for line in chain.lines]
    assert lines[1].startswith("∂L/∂h1[i, t, j] = ")
    assert "∂n1[i, t, j]/∂zn1[i, t, j] = 1 - n1[i, t, j]²" in lines


def test_together_derives_what_was_not_asked_for():
    network = two_layers()
    chain = network.derive().chain("x[0,1]")
    assert "Together\n  ∂L/∂x[0, 1] = Σ_i W1[i, 1] δ1[0, i]\n  δ1[i, j] = ∂L/∂z1[i, j] = " in chain.text()
    assert r"\delta^{(1)}_{i j} &= \frac{\partial L}{\partial z^{(1)}_{i j}} = " in chain.latex()
    assert "δ" not in network.derive().chain("x[0,1]", deltas=False).text()
