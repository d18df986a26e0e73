"""What is printed is what runs: each formula of the gallery, from its own source object, against the kernel's value.

The index form is evaluated by the reference interpreter, the matrix form from the tree that is printed, in both layouts
of gradients; the kernel is the generated NumPy module in float64.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
from everyday import daily
from matrix_values import Values

import gradloom as gl
from gradloom.symbolic.matrix_transpose import numerator
from gradloom.symbolic.matrix_view import View

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "gallery"))

import networks
from operations import operations
from textbook import TEXTBOOK

SIZES = {"B": 2, "C": 3, "D": 5, "F": 3, "H": 7, "N": 2, "T": 3, "W": 5, "h": 7, "m": 3, "n": 5}
LONG = {"LeNet-5", "Transformer block"}  # minutes in the interpreter
ROWS = {"LeNet-5": 1}


def titles():
    short = [title for title in networks.GALLERY if title not in LONG]
    return daily(networks.GALLERY, *short[::2])


def at_sizes(size, sizes):
    return int(
        sympy.sympify(size).xreplace({d: sympy.Integer(sizes[d.name]) for d in sympy.sympify(size).atoms(gl.Dim)})
    )


def random_values(network, sizes):
    rng = np.random.default_rng(11)
    given = {}
    for tensor in network.tensors.values():
        shape = [at_sizes(size, sizes) for size in tensor.shape]
        if tensor.classes is not None:
            given[tensor.name] = rng.integers(0, at_sizes(tensor.classes, sizes), shape)
        elif tensor.role in ("noise", "state"):
            given[tensor.name] = rng.uniform(0.1, 1, size=shape)
        elif any(fact.tensor == tensor for fact in network.facts):
            given[tensor.name] = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
        elif tensor.role == "constant":
            given[tensor.name] = float(network.values[tensor.name])
        elif tensor.role != "value":
            given[tensor.name] = rng.normal(size=shape)
    return given


@pytest.mark.parametrize("title", titles())
def test_every_formula_is_worth_what_the_kernel_computes(title):
    network = networks.GALLERY[title]()
    sizes = {**SIZES, "B": ROWS.get(title, SIZES["B"])}
    given = random_values(network, sizes)
    derivation = network.derive()
    equations = [*network.equations, *derivation.adjoints]
    env = {**given, **gl.evaluate(equations, given, sizes)}

    wanted = {dim for tensor in network.tensors.values() for size in tensor.shape for dim in size.atoms(gl.Dim)}
    numbers = {dim.name: sizes[dim.name] for dim in wanted if dim != network.batch}
    program = network.compile(target="numpy", dtype="float64", sizes=numbers)
    params = {tensor.name: env[tensor.name] for tensor in network.by_role("parameter", "state")}
    data = {t.name: given[t.name] for t in network.by_role("input", "target", "noise")}
    loss, gradients = program.loss_and_gradients(params, **data)
    assert loss == pytest.approx(float(env[network.loss.name]), rel=1e-10)
    for name, equation in derivation.gradients.items():
        expected = np.asarray(env[equation.target.name])
        nearly = 1e-12 + 1e-9 * abs(expected).max()
        np.testing.assert_allclose(gradients[name], expected, rtol=0, atol=nearly, err_msg=name)

    checked = 0
    for layout, derivatives in itertools.product(("columns", "rows"), ("denominator", "numerator")):
        view = View(equations, layout, network.batch)
        values = Values(env, sizes, layout, network.batch, view.example, derivatives == "numerator")
        for equation in equations:
            form = view.form(equation)
            if form is None:
                continue
            form = numerator(form) if derivatives == "numerator" else form
            places = dict(zip(equation.indices, equation.target.shape, strict=True))
            whole = form.left.kind == "tensor" or not places
            left = {} if whole else {i: s for i, s in places.items() if i not in (form.row, form.col)}
            for at in itertools.product(*(range(at_sizes(size, sizes)) for size in left.values())):
                where = dict(zip(left, at, strict=True))
                expected = np.asarray(values.of(form.left, where))
                found = np.broadcast_to(values.of(form.right, where), expected.shape)
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=equation.target.name)
                checked += 1
    assert checked >= 4 * (len(network.equations) // 3)


@pytest.mark.parametrize("title", dict.fromkeys(row[0] for row in TEXTBOOK))
def test_no_gradient_is_longer_than_the_textbook_s(title):
    document = networks.GALLERY[title]().derive().document()
    sections = [section for section in document.sections if section.title in ("Backward", "Gradients")]
    printed = {line.name: line.formula.text.partition(" = ")[2] for section in sections for line in section.blocks}
    for _, name, form, _ in (row for row in TEXTBOOK if row[0] == title):
        assert operations(printed[name]) <= operations(form), f"{name}: {printed[name]} against {form}"


def test_every_network_of_the_gallery_is_compared():
    assert {row[0] for row in TEXTBOOK} == set(networks.GALLERY)


@pytest.mark.parametrize(
    ("formula", "count"),
    [
        ("δ1 𝟏", 1),
        ("(a - b) ⊙ c", 2),
        ("1/B Σ_i a[i, j]²", 4),
        ("-1/B sigmoid(z)", 4),
        ("Σ_t δ_t h_{t-1}ᵀ [t ≥ 1]", 2),
        ("[z1 > 0] ⊙ a", 2),
        ("⟨y, log(p)⟩", 2),
        ("‖a - y‖²", 3),
    ],
)
def test_operations_are_counted(formula, count):
    assert operations(formula) == count
