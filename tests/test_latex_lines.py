"""Long formulas are broken where a reader would break them, and nowhere else."""

import re

import pytest

import gradloom as gl
from gradloom.symbolic.latex_lines import broken, printed_width


@pytest.mark.parametrize(
    ("latex", "width"),
    [
        ("x", 1),
        (r"\delta^{(1)}", 3),
        (r"\frac{a b c}{d}", 3),
        (r"\operatorname{relu}\left(z\right)", 7),
        (r"\tanh\left(z\right)", 7),
    ],
)
def test_width_is_that_of_print(latex, width):
    assert printed_width(latex) == width


def test_a_short_formula_is_one_line():
    assert broken(r"a + \left(b + c\right)") == [r"a + \left(b + c\right)"]


def test_lines_break_at_outer_terms_alone_and_lose_nothing():
    inner = r"\left(" + " + ".join("abcdefgh") + r"\right)"
    latex = " + ".join([inner] * 5) + r" - \frac{a + b}{c - d}"
    lines = broken(latex, 60)
    assert len(lines) > 2
    assert "".join(lines) == latex
    assert all(line.startswith((" + ", " - ")) for line in lines[1:])
    assert all(line.count(r"\left") == line.count(r"\right") for line in lines)
    assert all(printed_width(line) <= 60 for line in lines)


def test_a_long_product_breaks_before_its_factors():
    latex = r" \odot ".join(rf"\left(1 - a_{{{n}}}\right)" for n in range(20))
    lines = broken(latex, 50)
    assert "".join(lines) == latex
    assert all(line.startswith(r" \odot ") for line in lines[1:])


def test_pages_break_what_is_too_wide():
    net = gl.Sequential([gl.layers.GRU(5)], input_shape=(7, 3), loss=gl.losses.SquaredError())
    page = net.derive().latex("index")
    assert r" \\" + "\n" + r" &\quad + " in page
    for block in re.findall(r"\\begin\{align\*\}(.*?)\\end\{align\*\}", page, re.S):
        for row in block.split("\\\\\n"):
            assert printed_width(row) <= 100, row
