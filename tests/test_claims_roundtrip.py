"""What gradloom prints is read back and judged right, in every notation; what is changed in value never is.

The changes are made in the expression or the tree that is printed (`changed_equations`), and evaluated by the reference
interpreter, or by NumPy: what differs there must not be called equal.
"""

import random

import numpy as np
import pytest
from changed_equations import index_mutants, matrix_mutants
from random_networks import random_network
from test_printed_values import SIZES, networks, random_values

import gradloom as gl
from gradloom.symbolic.claims.check import check
from gradloom.symbolic.claims.errors import AmbiguousClaimError, UnreadableError
from gradloom.symbolic.matrix_transpose import numerator
from gradloom.symbolic.matrix_view import View
from gradloom.symbolic.notation import Notation
from gradloom.symbolic.report.document import Line

pytest.importorskip("lark")

RIGHT = ("equal", "equal given")
# Formulas that gradloom prints beside those of training, and that no claim about training may be: they are refused.
ELSEWHERE = (r"\text{in inference}", r"\text{after each step}")
# The name of this loss, vᵀ G v, is no name that a formula can have.
UNNAMED = {"Gauss-Newton product"}
# A δ_{ij} without a number beside it may be Kronecker's: check asks which is meant.
TWO_DELTAS = {"Contrastive divergence"}
# 28 × 28 positions: too many numbers for an everyday run; the same layers are in smaller networks here.
LARGE = {"LeNet-5"}
EVERY_DAY = [
    ("Softmax with cross-entropy", "matrix", {}),
    ("Max pooling", "index", {"layout": "rows"}),
    ("Simple recurrent network", "matrix", {"layout": "rows", "derivatives": "numerator"}),
    ("Embedding and positions", "matrix", {"deltas": False}),
    ("Multi-head attention", "matrix", {"bold": True}),
    ("Layer normalisation", "matrix", {"derivatives": "numerator", "layers": "names"}),
    ("Hessian-vector product of logistic regression", "index", {}),
]
CHOICES = {
    "layout": ["columns", "rows"],
    "derivatives": ["denominator", "numerator"],
    "layers": ["numbers", "names"],
    "deltas": [True, True, False],
    "bold": [False, False, True],
}


def printed(derivation, form, notation):
    """The equations of a derivation in LaTeX, as its documents show them."""
    sections = derivation.document(form, fold=False, **notation).sections
    blocks = [block for section in sections if section.title in ("Network", "Backward", "Gradients")
              for block in section.blocks]  # fmt: skip
    return [block.formula.latex for block in blocks if isinstance(block, Line)]


def verdict(network, latex, notation):
    """What `check` says of a line, positions counted from 0 as printed; "unread" if check decides nothing, or asks."""
    known = {key: notation[key] for key in ("layout", "derivatives") if key in notation}
    try:
        line = check(network, latex, first=0, explain=False, **known).lines[0]
    except (AmbiguousClaimError, UnreadableError):
        return "unread"
    return "unread" if line.finding is not None and line.finding.decision is None else line.kind


def assert_read_back(network, form, notation, unread=0):
    """All lines are equal; but for at most `unread` of them that fit together in no way, and so are not decided."""
    lines = printed(network.derive(), form, notation)
    assert lines
    wrong = {}
    for latex in lines:
        if latex.endswith(ELSEWHERE):
            with pytest.raises(gl.GradloomError, match="claims are about training"):
                verdict(network, latex, notation)
            continue
        try:
            kind = verdict(network, latex, notation)
        except gl.GradloomError as error:
            kind = str(error)
        if kind not in RIGHT:
            wrong[latex] = kind
    assert not [latex for latex, kind in wrong.items() if kind != "unread"], wrong
    assert len(wrong) <= unread, wrong


def in_seed(seed):
    """A form and a notation."""
    draw = random.Random(seed)
    return draw.choice(["matrix", "index"]), {key: draw.choice(values) for key, values in CHOICES.items()}


@pytest.mark.parametrize(("title", "form", "notation"), EVERY_DAY)
def test_what_is_printed_is_read_back(title, form, notation):
    assert_read_back(networks.GALLERY[title](), form, notation)


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_are_read_back(seed):
    assert_read_back(random_network(seed, most=2).network, *in_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 44))
def test_more_random_networks_are_read_back(seed):
    """Of windows over windows and softmax of whole images, some lines are not read; none is judged wrong."""
    assert_read_back(random_network(seed, most=2).network, *in_seed(seed), unread=2)


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in networks.GALLERY if title not in UNNAMED | LARGE])
def test_the_whole_gallery_is_read_back(title):
    for form in ("index", "matrix"):
        _, notation = in_seed(title + form)
        if title in TWO_DELTAS:
            notation["deltas"] = False
        assert_read_back(networks.GALLERY[title](), form, notation)


def test_symbols_of_one_s_own_are_read_back():
    network = networks.GALLERY["2-2-2 perceptron"]()
    symbols = {"W1": r"\mathbf{V}", "z2": r"\hat{s}", "a1": "h"}
    for latex in printed(network.derive(), "matrix", {"symbols": symbols}):
        assert check(network, latex, symbols=symbols, layout="columns", explain=False).lines[0].kind in RIGHT, latex


# ---- changed in value -------------------------------------------------------------------------------------------


def differs(found, expected):
    if found is None or not np.all(np.isfinite(found)):
        return True
    return bool(np.abs(found - expected).max() > 1e-6 * (1e-6 + np.abs(expected).max()))


def mutants_of(network, notation, seed, most):
    """Some lines, changed in one place, whose values differ from what is right."""
    derivation = network.derive()
    draw = random.Random(seed)
    given = random_values(network, SIZES)
    equations = [*network.equations, *derivation.adjoints]
    env = {**given, **gl.evaluate(equations, given, SIZES)}
    view = View(equations, notation.layout, network.batch)
    for equation in equations:
        reads_itself = equation.target in equation.reads
        found = [] if reads_itself else list(index_mutants(equation, network, notation, env, SIZES))
        wrong = [latex for latex, value in found if differs(value, env[equation.target.name])]
        form = view.form(equation)
        if form is not None:
            form = numerator(form) if notation.derivatives == "numerator" else form
            changes = matrix_mutants(equation, form, view, network, notation, env, SIZES)
            wrong += [latex for latex, value, expected in changes if differs(value, expected)]
        yield from draw.sample(wrong, min(most, len(wrong)))


def assert_told_apart(title, notation, seed, most):
    network = networks.GALLERY[title]()
    options = {"layout": notation.layout, "derivatives": notation.derivatives}
    kinds = {latex: verdict(network, latex, options) for latex in mutants_of(network, notation, seed, most)}
    assert not [latex for latex, kind in kinds.items() if kind in (*RIGHT, "rounded")]
    # Those that are right for one example, or transposed, say so; nearly all others are plainly not equal.
    plain = [kind for kind in kinds.values() if kind not in ("batch 1", "layout", "unread")]
    assert plain.count("not equal") >= 0.9 * len(plain) > 0, kinds


@pytest.mark.parametrize(
    ("title", "notation"),
    [
        ("Softmax with cross-entropy", Notation()),
        ("Layer normalisation", Notation(layout="rows")),
        ("Simple recurrent network", Notation(derivatives="numerator")),
    ],
)
def test_what_is_changed_in_value_is_not_equal(title, notation):
    assert_told_apart(title, notation, seed=1, most=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "title",
    ["3-4-1 perceptron", "Softmax with cross-entropy", "Convolution, stride 1, padding 1",
     "Average pooling, overlapping", "Simple recurrent network", "GRU", "Layer normalisation",
     "Residual block", "Multi-head attention",
     "Autoencoder with tied weights"],
)  # fmt: skip
def test_many_changes_in_value_are_not_equal(title):
    for seed, notation in enumerate([Notation(), Notation(layout="rows", derivatives="numerator")]):
        assert_told_apart(title, notation, seed, most=4)
