"""Claims in SymPy: equations of elements and of matrices, gradients by name; right ones agree with autograd."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from sympy import Eq, HadamardProduct, IndexedBase, MatrixSymbol, OneMatrix, Sum

import gradloom as gl
from gradloom.symbolic.claims.code.sympy_claims import check_sympy
from gradloom.symbolic.claims.deciding.everything import everything
from gradloom.symbolic.claims.errors import UnknownNameError
from gradloom.symbolic.equations import Equation
from gradloom.symbolic.errors import DataError, IndexingError, ShapeError, UnsupportedError

i, j, k, l = sympy.symbols("i j k l", integer=True)
B, m = sympy.symbols("B m")
W1, W2, dW2, dz2, dz1, z1, a1, a2, x, y = map(IndexedBase, "W1 W2 dW2 dz2 dz1 z1 a1 a2 x y".split())
H, C, N = sympy.symbols("H C N")
M2, D2, D1, A1, A2, Y, X = (
    MatrixSymbol(name, *shape)
    for name, shape in {
        "W2": (C, H), "delta2": (C, m), "dz1": (H, m), "A1": (H, m), "a2": (C, m), "y": (C, m), "x": (N, m),
    }.items()
)  # fmt: skip
OVER = (i, 0, B - 1)


@pytest.fixture(scope="module")
def network():
    return gl.Sequential(
        [gl.layers.Dense(gl.dims("h"), gl.sigmoid), gl.layers.Dense(gl.dims("c"), gl.softmax)],
        input_shape=(gl.dims("n"),),
        loss=gl.losses.CrossEntropy(),
    )


@pytest.fixture(scope="module")
def mlp(network):
    return everything(network)


def only(derivation, claim, **options):
    (line,) = check_sympy(derivation, claim, explain=False, **options).lines
    return line


ELEMENTS = {
    "by IndexedBase": (Eq(dW2[j, k], Sum(dz2[i, j] * a1[i, k], OVER)), "equal"),
    "other letters": (Eq(dW2[k, l], Sum(dz2[i, k] * a1[i, l], OVER)), "equal"),
    "the summed index is named as a free one": (Eq(dW2[j, k], Sum(dz2[l, j] * a1[l, k], (l, 0, m - 1))), "equal"),
    "by name": ({"W2": Sum(dz2[i, j] * a1[i, k], OVER)}, "equal"),
    "by the gradient's name": (("dW2", Sum(dz2[i, j] * a1[i, k], OVER)), "equal"),
    "a float": ({"z2": 1.0 * (a2[i, j] - y[i, j]) / m}, "equal given"),
    "sign": ({"W2": -Sum(dz2[i, j] * a1[i, k], OVER)}, "not equal"),
    "wrong factor": ({"W2": Sum(dz2[i, j] * a1[i, k], OVER) / B}, "batch 1"),
    "softmax": ({"z2": a2[i, j] - y[i, j]}, "batch 1"),
    "forward": (Eq(z1[i, j], Sum(W1[j, k] * x[i, k], (k, 0, sympy.Symbol("n") - 1))), "not equal"),
    "sigmoid": (Eq(a1[i, j], 1 / (1 + sympy.exp(-z1[i, j]))), "equal"),
    "chain": (
        {"z1": Sum(dz2[i, l] * W2[l, j], (l, 0, sympy.Symbol("c") - 1)) * a1[i, j] * (1 - a1[i, j])},
        "equal",
    ),
    "derivative missing": ({"z1": Sum(dz2[i, l] * W2[l, j], (l, 0, sympy.Symbol("c") - 1))}, "not equal"),
    "derivative at a": (
        {
            "z1": Sum(dz2[i, l] * W2[l, j], (l, 0, sympy.Symbol("c") - 1))
            * sympy.exp(-a1[i, j]) / (1 + sympy.exp(-a1[i, j])) ** 2
        },
        "not equal",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTS)
def test_elements(mlp, name):
    claim, kind = ELEMENTS[name]
    line = only(mlp, claim)
    assert line.kind == kind
    assert line.finding.decision.method


MATRICES = {
    "columns": ({"W2": D2 * A1.T}, "equal"),
    "rows": ({"W2": MatrixSymbol("delta2", m, C).T * MatrixSymbol("a1", m, H)}, "equal"),
    "the other way round": ({"W2": A1 * D2.T}, "layout"),
    "hidden": ({"z1": HadamardProduct(M2.T * D2, A1, OneMatrix(H, m) - A1)}, "equal"),
    "hidden, derivative of z": (
        {"dz1": HadamardProduct(M2.T * D2, MatrixSymbol("z1", H, m).applyfunc(
            lambda z: sympy.exp(-z) / (1 + sympy.exp(-z)) ** 2))},
        "equal",
    ),
    "derivative missing": ({"z1": M2.T * D2}, "not equal"),
    "bias": ({"b2": D2 * OneMatrix(m, 1)}, "equal"),
    "output": (Eq(D2, (A2 - Y) / m), "equal given"),
    "output of one example": (Eq(D2, A2 - Y), "batch 1"),
    "twice": ({"W2": 2 * D2 * A1.T}, "not equal"),
    "outer product": ({"W2": MatrixSymbol("delta2", C, 1) * MatrixSymbol("a1", H, 1).T}, "equal"),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_matrices(mlp, name):
    claim, kind = MATRICES[name]
    assert only(mlp, claim).kind == kind


def test_one_example_alone(mlp):
    assert only(mlp, Eq(D2, A2 - Y), single=True).kind in ("equal", "equal given")
    assert only(mlp, {"z2": a2[i, j] - y[i, j]}, single=True).kind in ("equal", "equal given")
    assert only(mlp, {"z2": y[i, j] - a2[i, j]}, single=True).kind == "not equal"


def test_every_derived_equation_is_equal_and_its_negative_is_not(network, mlp):
    derived = network.derive(["W1", "b1", "W2", "b2", "x"])
    for equation in derived.gradients.values():
        assert only(mlp, equation).kind in ("equal", "equal given")
        wrong = Equation(equation.target, equation.indices, -equation.body)
        assert only(mlp, wrong).kind == "not equal"
    for equation in network.equations:
        assert only(mlp, equation).kind == "equal"


def test_what_is_right_is_what_autograd_says(mlp):
    """The matrices of `MATRICES`, with NumPy arrays for symbols, beside PyTorch's gradients."""
    rng = np.random.default_rng(2)
    size = {"m": 4, "H": 3, "C": 5, "N": 2}
    t = {"x": torch.tensor(rng.normal(size=(4, 2))), "W1": torch.tensor(rng.normal(size=(3, 2)))}
    t |= {"W2": torch.tensor(rng.normal(size=(5, 3))), "b2": torch.zeros(5).double(), "b1": torch.zeros(3).double()}
    t["z1"] = (t["x"] @ t["W1"].T + t["b1"].requires_grad_()).requires_grad_()
    t["z1"].retain_grad()
    t["a1"] = torch.sigmoid(t["z1"])
    t["z2"] = t["a1"] @ t["W2"].requires_grad_().T + t["b2"].requires_grad_()
    t["z2"].retain_grad()
    t["y"] = torch.eye(5).double()[torch.tensor([0, 3, 2, 2])]
    t["a2"] = torch.softmax(t["z2"], 1)
    (-(t["y"] * torch.log(t["a2"])).sum() / 4).backward()
    columns = {name: value.detach().numpy().T for name, value in t.items() if name not in ("W1", "W2", "b1", "b2")}
    columns |= {"W2": t["W2"].detach().numpy(), "A1": columns["a1"], "delta2": t["z2"].grad.numpy().T}
    for name in ("columns", "hidden", "derivative missing", "bias", "output", "output of one example", "twice"):
        claim, kind = MATRICES[name]
        if isinstance(claim, Eq):
            right, correct = claim.rhs, columns["delta2"]
        else:
            ((key, right),) = claim.items()
            grad = t[key].grad.numpy()
            correct = grad.T if key == "z1" else grad.reshape(-1, 1) if key == "b2" else grad
        numbers = right.subs({symbol: size[symbol.name] for symbol in right.free_symbols if symbol.name in size})
        symbols = sorted(numbers.atoms(MatrixSymbol), key=str)
        made = numbers.subs({s: sympy.Matrix(columns[s.name]) for s in symbols}).doit()
        close = np.allclose(np.array(made.as_explicit(), dtype=float), correct)
        assert close == (kind in ("equal", "equal given")), name


def test_many_lines_and_what_follows(mlp):
    verdict = check_sympy(
        mlp,
        {
            "z2": -(a2[i, j] - y[i, j]) / m,
            "W2": -Sum((a2[i, j] - y[i, j]) / m * a1[i, k], OVER),
            "q": sympy.Integer(1),
            "b2": Sum(dz2[i, j], OVER),
        },
        explain=False,
    )
    assert [line.kind for line in verdict.lines] == ["not equal", "follows", "unread", "equal"]
    assert verdict.lines[1].after == 1
    assert "q is no name of network" in verdict.lines[2].error
    assert not verdict.ok


def test_own_tensors_of_the_network(network, mlp):
    p, q, r = gl.indices("p q r")
    tensors = network.tensors
    delta = network.derive(["z2"])["z2"].target
    claim = Eq(network.derive()["W2"].target[p, q], gl.Sum(delta[r, p] * tensors["a1"][r, q], r))
    assert only(mlp, claim).kind == "equal"


def test_rounded_constants():
    network = gl.Network("gelu")
    size = gl.dims("n")
    u, y = network.parameter("u", (size,)), network.target("y", (size,))
    at = gl.indices("j")
    inner = sympy.sqrt(2 / sympy.pi) * u[at]
    a = network.define("a", (at,), gl.tanh(inner))
    network.minimize(gl.Sum((a[at] - y[at]) ** 2, at))
    derivation = everything(network)
    u, a = IndexedBase("u"), IndexedBase("a")
    line = only(derivation, Eq(a[j], sympy.tanh(0.797885 * u[j])))
    assert (line.kind, line.finding.decision.digits >= 5) == ("rounded", True)
    assert only(derivation, Eq(a[j], sympy.tanh(0.7979 * u[j] + 0.001))).kind == "not equal"


@pytest.mark.parametrize(
    ("claim", "error", "said"),
    [
        ({"W2": Sum(dz2[i, j] * IndexedBase("a9")[i, k], OVER)}, UnknownNameError, "a9 is no tensor of network"),
        ({"W2": D2 * MatrixSymbol("a9", H, m).T}, UnknownNameError, "a9 is no tensor of network"),
        ({"W9": D2 * A1.T}, UnknownNameError, "W9 is no name of network"),
        ({"W2": dz2[i, j] * a1[i, k]}, IndexingError, "the index i stands on the right only"),
        ({"W2": Sum(dz2[i, j] * a1[i, j], OVER)}, ShapeError, "j runs over axis 1 of a1"),
        ({"W2": Sum(dz2[i, j] * a1[i, k], (i, 1, B))}, IndexingError, "leaves axis 0"),
        ({"W2": dz2[i, j, k]}, ShapeError, "z2 has 2 axes"),
        ({"W2": sympy.Symbol("dz2")}, IndexingError, "stands without indices"),
        ({"W2": sympy.Symbol("q") * Sum(dz2[i, j] * a1[i, k], OVER)}, UnknownNameError, "q is no name"),
        ({"W2": sympy.Inverse(MatrixSymbol("W2", C, C))}, UnsupportedError, "Inverse is not read"),
        (Eq(dW2[j, k], dW2[j, k]), DataError, "SymPy has made True of this equation"),
        (7, DataError, "found 7 of type int"),
        ([], DataError, "the list is empty"),
    ],
)
def test_errors(mlp, claim, error, said):
    with pytest.raises(error, match=said):
        check_sympy(mlp, claim)


def test_a_tensor_of_another_network(mlp):
    other = gl.Network("other").parameter("W2", (3, 4))
    with pytest.raises(UnknownNameError, match="belongs to another network"):
        check_sympy(mlp, Eq(dW2[j, k], other[j, k]))


def test_shapes_that_do_not_fit(mlp):
    line = only(mlp, {"W2": MatrixSymbol("delta2", C, m) * MatrixSymbol("x", m, C)})
    assert line.kind == "not equal"
    assert "matrix" in line.finding.reason


def test_what_is_said_of_a_wrong_line(mlp):
    verdict = check_sympy(mlp, {"b2": Sum(dz2[i, j], OVER), "W2": -Sum(dz2[i, j] * a1[i, k], OVER)})
    assert verdict.mistake.kind == "sign"
    example = verdict.counterexample
    np.testing.assert_allclose(example.left, example.adjoints["z2"].T @ example.values["a1"])
    np.testing.assert_allclose(example.right, -example.left)
    assert "The sign is wrong" in verdict.explain()
    assert check_sympy(mlp, {"W2": D2 * A1.T / 2}).mistake.kind == "factor"
    assert check_sympy(mlp, Eq(D2, A2 - Y)).mistake.kind == "missing 1/B"
