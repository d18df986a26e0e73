"""Printing: symbols from names, brackets, letters, decimals; and every LaTeX line is well formed."""

import re

import pytest
import sympy
from sympy import Rational

import gradloom as gl
from gradloom.symbolic.latex import LatexPrinter, equation_latex, name_latex, tensor_latex
from gradloom.symbolic.text import text

B, n, m = gl.dims("B n m")
i, j, k = gl.indices("i j k")


@pytest.mark.parametrize(
    ("name", "layer", "latex"),
    [
        ("W", True, "W"),
        ("W1", True, "W^{(1)}"),
        ("w12", False, "w_{12}"),
        ("y_hat", True, r"\hat{y}"),
        ("beta", False, r"\beta"),
        ("lam2", False, r"\lambda_{2}"),
        ("net_h1", False, r"\mathrm{net}_{\mathrm{h1}}"),
        ("x_bar_i", False, r"\bar{x}_{i}"),
    ],
)
def test_symbols_from_names(name, layer, latex):
    assert name_latex(name, layer=layer) == latex


def test_own_latex_symbols_reach_gradients():
    net = gl.Network()
    w = net.parameter("w", (n,), latex=r"\mathbf{w}")
    net.minimize(gl.Sum(w[i] ** 2, i), name="E")
    assert tensor_latex(w) == r"\mathbf{w}"
    assert equation_latex(net.derive()["w"]) == r"\frac{\partial E}{\partial \mathbf{w}_{i}} = 2 \, \mathbf{w}_{i}"


def test_subscripts_join():
    net = gl.Network()
    w = net.parameter("w_in", (n, m))
    assert LatexPrinter().write(w[i, j]) == r"w_{\mathrm{in};\,i j}"


def expression_cases():
    net = gl.Network()
    x, y, s = net.input("x", (B, n)), net.input("y", (B, n)), net.input("s")
    a, b = x[i, j], y[i, j]
    return [
        (a - b, "x[i, j] - y[i, j]"),
        (1 - a, "1 - x[i, j]"),
        (-a - b, "-x[i, j] - y[i, j]"),
        ((a - b) * a * (1 - a) / B, "1/B (x[i, j] - y[i, j]) x[i, j] (1 - x[i, j])"),
        (a / (1 + b), "x[i, j]/(1 + y[i, j])"),
        (a / b / s, "x[i, j]/(s y[i, j])"),
        (-(a + b) * 2 / 3, "-2/3 x[i, j] - 2/3 y[i, j]"),
        (a**2 * Rational(1, 100), "0.01 x[i, j]²"),
        (sympy.sqrt(a + 1), "sqrt(1 + x[i, j])"),
        (1 / sympy.sqrt(a), "1/sqrt(x[i, j])"),
        (sympy.exp(-a), "exp(-x[i, j])"),
        ((a + b) ** 2, "(x[i, j] + y[i, j])²"),
        ((a * b) ** 3, "x[i, j]³ y[i, j]³"),
        (gl.Sum(a * b, j) * gl.Sum(a, j), "(Σ_j x[i, j] y[i, j]) Σ_j x[i, j]"),
        (gl.Sum(a - b, i, j) - s, "Σ_i,j (x[i, j] - y[i, j]) - s"),
        (s * gl.Sum(gl.Sum(a, j) ** 2, i), "s Σ_i (Σ_j x[i, j])²"),
        (sympy.Piecewise((1, a > 0), (0, True)), "[x[i, j] > 0]"),
        (sympy.Piecewise((0, a > 0), (1, True)), "[x[i, j] ≤ 0]"),
        (sympy.Abs(a), "|x[i, j]|"),
        (gl.leaky_relu(a), "leaky_relu(x[i, j])"),
        (gl.leaky_relu(a, Rational(1, 5)), "leaky_relu(x[i, j], 0.2)"),
        (gl.Max(a, j), "max_j x[i, j]"),
    ]


@pytest.mark.parametrize(("expr", "expected"), expression_cases(), ids=lambda case: str(case)[:40])
def test_text(expr, expected):
    assert text(expr) == expected


def test_a_bound_letter_is_never_a_free_one():
    net = gl.Network()
    x = net.input("x", (n, n))
    W = net.parameter("W", (n, n))
    z = net.define("z", (k, i), gl.Sum(W[k, j] * x[i, j], j))
    assert str(net.equation("z")) == "z[k, i] = Σ_j W[k, j] x[i, j]"
    assert "Σ_l" in str(net.equation(net.define("u", (i, j), gl.Sum(z[i, k] * W[k, j], k)).name)).replace("Σ_k", "Σ_l")


@pytest.mark.parametrize(
    "symbol", ["}", r"\input{/etc/passwd}", "$x$", "</script>", "a\nb", "", 5, r"\\", r"\def\x{y}"]
)
def test_a_latex_symbol_cannot_run_or_break_anything(symbol):
    with pytest.raises(gl.NameTakenError, match="latex= of"):
        gl.Network().parameter("w", (n,), latex=symbol)


def test_small_numbers_and_conditions():
    net = gl.Network()
    x = net.input("x", (n,))
    case = sympy.Piecewise((x[i], sympy.And(x[i] > 0, x[i] < 1)), (0, True))
    assert text(case) == "{x[i] if x[i] > 0 and x[i] < 1; 0 else}"
    assert r"\land" in LatexPrinter().write(case)
    assert "10^{-5}" in LatexPrinter().write(x[i] + Rational(1, 10**5))


def textbook_cases():
    T = gl.dims("T")
    t, u = gl.indices("t u")
    net = gl.Network()
    x, y, f = net.input("x", (B, n)), net.input("y", (B, n)), net.input("f", (T,))
    lam, a = net.constant("lam", 0.1), x[i, j]
    return [
        (sympy.sqrt(3) / 6 * a, "1/sqrt(12) x[i, j]"),
        (2 * sympy.sqrt(3) / 3 * a, "2/sqrt(3) x[i, j]"),
        (sympy.erf(a / sympy.sqrt(2)), "erf(1/sqrt(2) x[i, j])"),
        (sympy.sqrt(2) * a, "sqrt(2) x[i, j]"),
        (a - 10**9, "x[i, j] - 10^9"),
        (a - 12345678, "x[i, j] - 12345678"),
        (lam / B * a, "lam/B x[i, j]"),
        (1 / sympy.sqrt(a + Rational(1, 10**5)), "1/sqrt(x[i, j] + 1e-5)"),
        (sympy.Piecewise((a, u <= t), (0, True)), "{x[i, j] if u ≤ t; 0 else}"),
        (sympy.Piecewise((a, t >= 1), (0, True)), "{x[i, j] if t ≥ 1; 0 else}"),
        (gl.padded(f[t - 1]) * (1 + a), "(1 + x[i, j]) f[t - 1] [0 ≤ t - 1 < T]"),
        (gl.padded(f[t - 1]) + gl.padded(f[t - 1]) * a, "(x[i, j] f[t - 1] + f[t - 1]) [0 ≤ t - 1 < T]"),
        (x[i, j + 1] * y[i, j], "y[i, j] x[i, j + 1]"),
        (gl.Max(gl.Max(a, j), i), "max_i,j x[i, j]"),
    ]


@pytest.mark.parametrize(("expr", "expected"), textbook_cases(), ids=lambda case: str(case)[:40])
def test_text_as_textbooks_have_it(expr, expected):
    assert text(expr) == expected


def test_a_quotient_of_positions_has_its_sizes_in_brackets():
    H, W = gl.dims("H W")
    net = gl.Network()
    x = net.input("x", (n, n))
    assert text(x[i // (H * W), i % W]) == "x[⌊i/(H W)⌋, i mod W]"
    assert LatexPrinter().write(x[i // (H * W), i % W]).count(r"/ (H \, W)") == 1


def well_formed(latex):
    depth = 0
    for place, mark in enumerate(latex):
        depth += {"{": 1, "}": -1}.get(mark, 0) if latex[place - 1] != "\\" else 0
        assert depth >= 0, latex
    assert depth == 0, latex
    assert latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right"), latex
    assert not re.search(r"\^\{[^{}]*\}\^", latex), f"double superscript in {latex}"
    assert not re.search(r"_\{[^{}]*\}_", latex), f"double subscript in {latex}"
    assert "Dummy" not in latex
    assert "_0" not in latex, f"a canonical name shows in {latex}"


@pytest.mark.parametrize("form", ["matrix", "index"])
@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("activation", [gl.gelu_tanh, gl.elu, gl.softmax, gl.log_softmax, gl.silu, gl.relu])
def test_latex_is_well_formed(activation, form, layout):
    net = gl.Sequential(
        [gl.layers.Dense(5, activation), gl.layers.Dense(3, activation)],
        input_shape=(7,),
        loss=gl.losses.Huber(delta=0.7),
        penalties=[gl.losses.L2(0.01), gl.losses.L1(0.03)],
    )
    page = net.derive().latex(form, layout=layout, steps=True, standalone=True)
    for block in re.findall(r"\\begin\{align\*\}(.*?)\\end\{align\*\}", page, re.S):
        for line in block.split("\\\\\n"):
            well_formed(line.strip())


def test_one_over_a_size_is_a_fraction_and_a_constant_a_decimal():
    net = gl.Sequential([gl.layers.LayerNorm()], (5,), loss=gl.losses.SquaredError())
    assert str(net.equation("mu1")) == "mu1[i] = 1/5 Σ_j x[i, j]"
    assert "1/sqrt(1/5 Σ_j (x[i, j] - mu1[i])² + 1e-5)" in str(net.equation("r1"))
    w = net.parameter("w")
    assert text(w / 10) == "0.1 w"
    assert text(w / 100) == "0.01 w"
    assert text(9 * w / 10) == "0.9 w"
    assert text(w / 25) == "1/25 w"


def test_batch_norm_writes_the_letters_of_images():
    net = gl.Sequential([gl.layers.Conv2D(2, 3), gl.layers.BatchNorm(axis=1)], (3, 5, 7))
    assert str(net.equation("mu2")).startswith("mu2[c] = ")
    assert str(net.equation("h2")) == "h2[i, c, p, q] = (z1[i, c, p, q] - mu2[c]) r2[c]"
