"""Layers that are alike are written once; what is written stands for the equations of every layer, and nothing else."""

import re

import pytest
import sympy
from everyday import daily

import gradloom as gl
from gradloom.symbolic.report.repeats import Item, Repeated, fold

i, j, k = gl.indices("i j k")
Dense, layers = gl.layers.Dense, gl.layers


def chain(made, shape, **options):
    return gl.Sequential(made, input_shape=shape, loss=gl.losses.SquaredError(), **options)


def mlp(depth, width=7):
    return chain([*(Dense(width, gl.tanh) for _ in range(depth)), Dense(3)], (5,))


def written_by_hand():
    """Every hidden layer reads the first one too, and l is an index."""
    (B, n), l = gl.dims("B n"), gl.indices("l")
    net = gl.Network("skips")
    x, before = net.input("x", (B, n)), None
    for layer in range(1, 7):
        W, V = net.parameter(f"W{layer}", (n, n)), net.parameter(f"V{layer}", (n, n))
        read = x if before is None else before
        z = net.define(f"z{layer}", (i, l), gl.Sum(W[l, k] * read[i, k] + V[l, k] * x[i, k], k))
        before = net.define(f"a{layer}", (i, l), gl.sigmoid(z[i, l]))
    net.minimize(gl.Sum(before[i, l] ** 2, i, l))
    return net


def supervised():
    """A softmax and labels at every layer, so that every δ uses a fact."""
    B, n = gl.dims("B n")
    net = gl.Network("supervised")
    before, total = net.input("x", (B, n)), 0
    for layer in range(1, 7):
        y, W = net.target(f"y{layer}", (B, n), one_hot=True), net.parameter(f"W{layer}", (n, n))
        z = net.define(f"z{layer}", (i, j), gl.Sum(W[j, k] * before[i, k], k))
        p = net.define(f"p{layer}", (i, j), gl.softmax(z[i, j], j))
        before, total = z, total - gl.Sum(y[i, j] * sympy.log(p[i, j]), i, j) / B
    net.minimize(total)
    return net


NETWORKS = {
    "dense": lambda: mlp(12),
    "other widths": lambda: chain([Dense(width, gl.tanh) for width in (23, 19, 17, 13, 11, 7, 5, 3)], (29,)),
    "symbolic widths": lambda: chain([Dense(size, gl.relu) for size in gl.dims("p q r s t")], (gl.dims("n"),)),
    "softmax": lambda: chain([Dense(5, gl.softmax) for _ in range(5)], (3,)),
    "normalised": lambda: chain(
        [layer for _ in range(5) for layer in (Dense(5, gl.relu), layers.LayerNorm())] + [Dense(3)], (7,)
    ),
    "modes": lambda: chain(
        [layer for _ in range(4) for layer in (Dense(5), layers.Dropout(0.25), layers.BatchNorm())] + [Dense(3)], (7,)
    ),
    "residual": lambda: chain([layers.Residual([Dense(11, gl.tanh), Dense(7)]) for _ in range(11)], (7,)),
    "inside": lambda: chain(
        [Dense(5, gl.tanh), layers.Residual([Dense(5, gl.tanh) for _ in range(6)]), Dense(3)], (7,)
    ),
    "convolution": lambda: chain(
        [*(layers.Conv2D(3, 3, padding=1, activation=gl.relu) for _ in range(4)), layers.Flatten(), Dense(2)], (3, 5, 7)
    ),
    "rnn": lambda: chain([*(layers.RNN(5) for _ in range(4)), Dense(3)], (7, 5)),
    "lstm": lambda: chain([layers.LSTM(5) for _ in range(4)], (7, 5)),
    "transformer": lambda: chain([*(layers.TransformerBlock(6, 2, 7) for _ in range(4)), Dense(3)], (5, 6)),
    "by hand": written_by_hand,
    "supervised": supervised,
    "second derivative": lambda: gl.hessian_vector(mlp(5)),
}


@pytest.fixture(scope="module")
def derived():
    known = {}
    return lambda name: known.setdefault(name, NETWORKS[name]().derive())


def sections(derivation):
    wanted = list(derivation.gradients.values())
    yield [Item(equation, mark=mark) for mark, equation in derivation.network.written()]
    yield [Item(equation) for equation in derivation.adjoints if equation not in wanted]
    yield [Item(equation) for equation in wanted]


@pytest.mark.parametrize("name", daily(NETWORKS, *(name for name in NETWORKS if name != "transformer")))
def test_what_is_written_once_gives_the_equations_of_every_layer(name, derived):
    for items in sections(derived(name)):
        unfolded, runs = [], 0
        for found in fold(items):
            if isinstance(found, Repeated):
                runs += 1
                assert len(found.values) >= 3
                unfolded += [item for value in found.values for item in found.at(value)]
            else:
                unfolded.append(found)
        assert runs >= 1
        assert [item.mark for item in unfolded] == [item.mark for item in items]
        for back, item in zip(unfolded, items, strict=True):
            assert back.equation == item.equation
            assert back.equation.target.shape == item.equation.target.shape
            assert [tensor.shape for tensor in back.read] == [tensor.shape for tensor in item.read]


RANGE = r"(?:l|ℓ|\\ell) = ([-0-9, …]+)\}?$"


def numbers(line):
    """The numbers that a line says it holds for, read as a person does; None where it says nothing."""
    found = re.search(RANGE, line.replace(r"\dots", "…"))
    if not found:
        return None
    said = found[1].split(", ")
    if "…" not in said:
        return [int(number) for number in said]
    first = [int(number) for number in said[: said.index("…")]]
    step = first[1] - first[0] if len(first) > 1 else 1 if int(said[-1]) > first[0] else -1
    return list(range(first[0], int(said[-1]) + step, step))


def layer_put_in(line, value):
    """`line` with the number of the layer for the letter, as a person would write it."""
    line = re.sub(r"( {4}for l = | {4}for ℓ = | \\quad \\text\{for \}).*", "", line)
    line = re.sub(r"⟨[lℓ]([+-]\d+)?⟩", lambda at: str(value + int(at[1] or 0)), line)

    def number(at):
        inside = at[1].replace(r"\ell", "l").replace("(", "").replace(")", "").split(".")
        shown = [str(value + int(part[1:] or 0)) if part.startswith("l") else part for part in inside]
        return "^{(" + ".".join(shown) + ")}"

    return re.sub(r"\^\{\(((?:[^(){}]|\([^(){}]*\))*)\)\}", number, line)


def unfolded(lines):
    """The lines of every layer, from those of a page: neighbours that hold for the same numbers are one layer's."""
    out, group = [], []
    for line in [*lines, ""]:
        values = numbers(line)
        if group and values != numbers(group[0]):
            out += [layer_put_in(each, value) for value in numbers(group[0]) for each in group]
            group = []
        if values:
            group.append(line)
        else:
            out.append(line)
    return out[:-1]


def in_order(line):
    """`line` whatever the order of its terms and factors: SymPy sorts by names, and W10 comes before W9."""
    return sorted(re.findall(r"\\?\w+|[^\s\w]", line))


FORMS = [(name, form) for name in NETWORKS for form in ("matrix", "index")]
DAILY = {(name, ("matrix", "index")[place % 2]) for place, name in enumerate(NETWORKS)}  # each in one form


@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] * (case not in DAILY))
        for case in FORMS
        if case not in (("transformer", "index"), ("lstm", "index"))
    ],
)
def test_with_numbers_in_the_place_of_the_letter_the_page_is_the_full_one(name, form, derived):
    short, full = (derived(name).document(form, fold=choice) for choice in (True, False))
    for part, other in zip(short.sections[1:], full.sections[1:], strict=True):
        for medium in ("text", "latex"):
            ours, theirs = ([getattr(line.formula, medium) for line in section.blocks] for section in (part, other))
            assert len(ours) < len(theirs)
            for line, expected in zip(unfolded(ours), theirs, strict=True):
                if name == "convolution":  # the letter of the layer is not that of a sum
                    assert "⟨l" not in line
                assert in_order(line) == in_order(expected)


def test_the_recursion_of_thirty_layers_is_printed_once():
    few, many = mlp(5).derive(), mlp(30).derive()
    for medium, form in [("text", "matrix"), ("text", "index"), ("latex", "matrix"), ("markdown", "index")]:
        short, long = (getattr(derivation, medium)(form) for derivation in (few, many))
        assert len(long.splitlines()) == len(short.splitlines())
        assert len(long) - len(short) < 60  # a digit more here and there
    page, latex = many.text(), many.latex()
    assert "\n  z⟨l⟩ = W⟨l⟩ a⟨l-1⟩ + b⟨l⟩    for l = 2, …, 30\n" in page
    assert "\n  δ⟨l⟩ = W⟨l+1⟩ᵀ δ⟨l+1⟩ ⊙ (1 - a⟨l⟩²)    for l = 30, …, 1\n" in page
    assert "\n  ∂L/∂W⟨l⟩ = δ⟨l⟩ a⟨l-1⟩ᵀ    for l = 2, …, 31\n" in page
    assert "W⟨l⟩ (7, 7), b⟨l⟩ (7,), z⟨l⟩ (B, 7), a⟨l⟩ (B, 7) for l = 2, …, 30; W31 (3, 7)" in page
    assert r"z^{(l)} &= W^{(l)} \, a^{(l-1)} + b^{(l)} \quad \text{for } {l = 2, \dots, 30}" in latex
    assert r"$$ \delta^{(l)} = (W^{(l+1)})^\top \, \delta^{(l+1)} \odot" in few.markdown()
    assert "a⟨l⟩[i, j] = tanh(z⟨l⟩[i, j])    for l = 2, …, 30" in str(many.network)
    assert r"a^{(l)}_{i j} &= \tanh\left(z^{(l)}_{i j}\right) \quad \text{for } {l" in many.network._repr_latex_()
    assert len(many.text(fold=False).splitlines()) > 150


def test_html_has_the_letter_too():
    pytest.importorskip("latex2mathml")
    derivation = mlp(6).derive()
    page = derivation.html()
    assert "for\u00a0" in page or "for </mtext>" in page
    assert r"\text{for } {l = 2, \dots, 6}" in page
    assert page.count('class="gl-line"') == 12
    assert derivation.html(fold=False).count('class="gl-line"') == 35
    assert r"W^{(l)}" in derivation.network._repr_html_()


def test_layers_inside_of_layers():
    page = chain([layers.Residual([Dense(5, gl.tanh), Dense(3)]) for _ in range(5)], (3,)).derive()
    assert "z⟨l⟩_1 = W⟨l⟩_1 a⟨l-1⟩ + b⟨l⟩_1    for l = 2, …, 5" in page.text()
    assert r"z^{(l.1)} &= W^{(l.1)} \, a^{(l-1)} + b^{(l.1)}" in page.latex()
    blocks = chain([layers.Residual([Dense(3, gl.tanh), Dense(3, gl.tanh)]) for _ in range(5)], (3,)).derive()
    assert r"\delta^{((l+1).1)}" in blocks.latex()


def test_layers_that_are_not_alike_are_written_one_by_one():
    kinds = [gl.tanh, gl.relu, gl.sigmoid, gl.tanh, gl.relu, gl.sigmoid]
    page = chain([Dense(5, kind) for kind in kinds], (7,)).derive().text()
    assert "a1 = tanh(z1)" in page
    assert "a⟨l⟩" not in page.split("Network")[1]
    assert "⟨" not in mlp(2).derive().text()  # two are no run
    three = chain([Dense(5, gl.tanh), Dense(5, gl.relu), *(Dense(5, gl.tanh) for _ in range(3))], (5,)).derive().text()
    assert "a⟨l⟩ = tanh(z⟨l⟩)    for l = 3, 4, 5" in three
    assert "a2 = relu(z2)" in three


def test_one_coefficient_makes_a_layer_another():
    B, n = gl.dims("B n")
    net = gl.Network()
    a = net.input("x", (B, n))
    for layer in range(1, 9):
        W = net.parameter(f"W{layer}", (n, n))
        a = net.define(f"a{layer}", (i, j), (3 if layer == 5 else 2) * gl.Sum(W[j, k] * a[i, k], k))
    net.minimize(gl.Sum(a[i, j] ** 2, i, j))
    assert str(net).splitlines()[:-1] == [
        "a1[i, j] = 2 Σ_k W1[j, k] x[i, k]",
        "a⟨l⟩[i, j] = 2 Σ_k W⟨l⟩[j, k] a⟨l-1⟩[i, k]    for l = 2, 3, 4",
        "a5[i, j] = 3 Σ_k W5[j, k] a4[i, k]",
        "a⟨l⟩[i, j] = 2 Σ_k W⟨l⟩[j, k] a⟨l-1⟩[i, k]    for l = 6, 7, 8",
    ]


def test_sizes_that_are_printed_must_be_equal():
    """The mean over 7 features is another equation than that over 13."""
    widths = [7, 13, 7, 13, 11, 17]
    made = [layer for width in widths for layer in (Dense(width), layers.LayerNorm(affine=False))]
    page = chain(made, (3,)).derive().text()
    assert "1/13 𝟏ᵀ" in page
    assert "1/7 𝟏ᵀ" in page
    assert "mu⟨" not in page


def test_own_symbols_are_kept():
    B, n = gl.dims("B n")
    symbols = [None, r"\tilde{a}", "h", "q", "r", "s", "t"]
    net = gl.Network()
    a = net.input("x", (B, n))
    for layer in range(1, 7):
        a = net.define(f"a{layer}", (i, j), gl.tanh(a[i, j]), latex=symbols[layer])
    net.minimize(gl.Sum(a[i, j] ** 2, i, j))
    assert r"\tilde{a} &= \tanh\left(x\right)" in net.derive(wrt=["x"]).latex()
    chosen = mlp(6).derive().latex(symbols={"W4": r"\Omega"})
    assert r"z^{(4)} &= \Omega \, a^{(3)} + b^{(4)}" in chosen


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        ({"layers": "names"}, r"z_{l} &= W_{l} \, a_{l-1} + b_{l} \quad \text{for } {l = 2, \dots, 8}"),
        ({"deltas": False}, r"\frac{\partial L}{\partial z^{(l)}} &= (W^{(l+1)})^\top"),
        ({"bold": True}, r"\boldsymbol{z}^{(l)} &= \boldsymbol{W}^{(l)} \, \boldsymbol{a}^{(l-1)}"),
        ({"layout": "rows"}, r"z^{(l)} &= a^{(l-1)} \, (W^{(l)})^\top + (b^{(l)})^\top"),
    ],
)
def test_every_notation_has_the_letter(choice, line):
    assert line in mlp(8).derive().latex(**choice)


def test_steps_are_those_of_one_of_the_layers():
    page = mlp(8).derive().text(steps=True)
    after = page[page.index("δ⟨l⟩ = ") :].splitlines()
    assert after[1].strip() == "for instance where l = 8"
    assert after[2].strip() == "chain rule through a8: δ8[i, j] = ∂L/∂a8[i, j] ∂a8[i, j]/∂z8[i, j]"


def test_facts_are_those_of_every_layer(derived):
    page = derived("supervised")
    assert "Used: Σ_j y⟨l⟩[i, j] = 1, declared: one-hot, for l = 6, …, 1." in page.text()
    line = next(line for line in page.text().splitlines() if line.startswith("  δ⟨l⟩"))
    assert line.endswith("(using Σ_j y⟨l⟩[i, j] = 1, declared: one-hot)")
    assert page.text().count("declared: one-hot") == 3  # of the last layer, of the others, and in the legend
    assert page.text(fold=False).count("declared: one-hot") == 12
    assert r"Used: $\sum_{j} y^{(l)}_{i j} = 1$, declared: one-hot, for $l = 6, \dots, 1$." in page.latex()
