"""LaTeX as MathML: everything that the gallery prints, what is mended by hand, and what is refused."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_samples import formulas

from gradloom.symbolic.errors import MissingExtraError, UnsupportedError
from gradloom.symbolic.report.mathml import mathml
from gradloom.symbolic.report.segments import segments

pytest.importorskip("latex2mathml")


def inside(latex: str, **how: bool) -> str:
    found = re.fullmatch(r"<math[^>]*><mrow>(.*)</mrow></math>", mathml(latex, **how))
    assert found is not None
    return found[1]


def seen(latex: str) -> str:
    """What is to be read on the page, without its arrangement."""
    return "".join(ElementTree.fromstring(mathml(latex)).itertext())


@pytest.mark.parametrize("latex", formulas())
def test_every_formula_of_the_gallery(latex):
    for part in [latex, *(part for term in segments(latex) for part in term)]:
        tree = ElementTree.fromstring(mathml(part, display=True))
        text = "".join(tree.itertext())
        assert tree.get("alttext") == re.sub(r"\\vphantom\{\\frac\{L\}\{W\}\}", "", part)
        assert not set(text) & set("\\$&")
        assert all(len(node) or node.text or node.tag == "mspace" for node in tree.iter())
        # Letters and digits of the formula are those on the page: an oracle that knows no MathML.
        plain = re.sub(r"\\(operatorname|mathrm|text)\*?\{([^{}]*)\}", r"\2", part)
        plain = re.sub(r"\\(begin|end)\{(cases|pmatrix)\}|\\math\w+\{\d\}|\\vphantom\{\\frac\{L\}\{W\}\}", "", plain)
        plain = re.sub(r"\\(tanh|log|max)(?![a-z])", r"\1", plain)
        plain = re.sub(r"\\b?mod\b", "mod", plain)
        letters = sorted(re.sub(r"\\[A-Za-z]+|[^A-Za-z0-9]", "", plain))
        shown = "".join(node.text or "" for node in tree.iter() if node.tag in ("mi", "mn", "mo", "mtext"))
        if "vphantom" not in part:
            assert sorted(re.sub(r"[^A-Za-z0-9]", "", shown)) == letters


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\operatorname{softmax}\left(z\right)", '<mi>softmax</mi><mrow><mo form="prefix" stretchy="false">('),
        (r"\operatorname{D}", '<mi mathvariant="normal">D</mi>'),
        (r"\mathrm{lr}", "<mi>lr</mi>"),
        (r"\mathrm{d}", '<mi mathvariant="normal">d</mi>'),
        (r"\Gamma", '<mi mathvariant="normal">Γ</mi>'),
        (r"\mathbf{1}", "<mn>𝟏</mn>"),
        (r"\boldsymbol{W}", "<mi>𝑾</mi>"),
        (r"\bm{\delta}", "<mi>𝜹</mi>"),
        (r"\mathbf{w}", "<mi>𝐰</mi>"),
        (r"a^{(1.1.2)}", "<mn>1.1.2</mn>"),
        (r"\partial L", "<mi>∂</mi><mi>L</mi>"),
        (r"W^\top", "<msup><mi>W</mi><mi>⊤</mi></msup>"),
        (r"\hat{y}", '<mover accent="true"><mi>y</mi><mo stretchy="false">^</mo></mover>'),
        (r"\bar\mu", '<mover accent="true"><mi>μ</mi><mo stretchy="false">¯</mo></mover>'),
        (r"z_{i;\,t}", '<mo lspace="0" rspace="0">;</mo><mspace width="0.167em"/>'),
        (r"x_{t-1}", '<mo lspace="0" rspace="0">−</mo>'),
        (
            r"\lfloor p / 2 \rfloor",
            '<mo form="prefix" stretchy="false">⌊</mo><mi>p</mi><mo lspace="0" rspace="0">/</mo>',
        ),
        (r"p \bmod 2", "<mi>p</mi><mo>mod</mo><mn>2</mn>"),
        (r"x = -y", '<mo>=</mo><mo form="prefix">−</mo>'),
        (r"(-y)", '<mo form="prefix">−</mo>'),
        (r"x - y", "<mi>x</mi><mo>−</mo><mi>y</mi>"),
        (r"f\!\left(x\right)", '<mspace width="-0.167em"/>'),
        (r"\sum_{i} x", "<munder><mo>∑</mo><mi>i</mi></munder>"),
        (
            r"\operatorname*{arg\,max}_{j} x",
            '<munder><mo movablelimits="true" lspace="0" rspace="0.167em">arg\u2009max',
        ),
        (r"\log x", '<mi>log</mi><mspace width="0.167em"/><mi>x</mi>'),
        (r"\operatorname{relu}'(0)", '<mi>relu</mi><mo form="postfix" lspace="0" rspace="0">′</mo>'),
        (r"\left(\frac{a}{b}\right)", '<mo form="prefix">(</mo><mfrac>'),
        (
            r"\left.x\right|_{0}",
            '<msub><mrow><mi>x</mi><mo form="postfix" stretchy="false">|</mo></mrow><mn>0</mn></msub>',
        ),
        (r"\text{in \_ inference}", "<mtext>in\xa0_\xa0inference</mtext>"),
        (r"\begin{cases} a & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}", '<mo form="prefix">{</mo><mtable>'),
    ],
)
def test_what_is_mended(latex, expected):
    assert expected in inside(latex)


def test_a_continued_sign_has_something_on_its_left():
    assert inside("+ x", continued=True).startswith('<mo form="infix">+')
    assert inside(r"\left. + x\right)", continued=True).startswith('<mrow><mo form="infix">+')
    assert inside(r"\left(x\right)", continued=True).startswith('<mrow><mo form="prefix"')
    assert inside("+ x").startswith('<mo form="prefix">+')


@pytest.mark.parametrize(
    "latex",
    [
        r"\foo{x}", "x_{", "}x", r"\frac{1}", r"\left( x", "a & b", "a $ b", r"\text{a $b$}", "", "% x",
        r"\newcommand{\a}{b} \a", r"\def\a{b}", r"\href{javascript:alert(1)}{x}", r"\class{a}{x}",
        r"\style{color:red}{x}", r"\require{x}", "&lt;b&gt;", r"\cancel{x}", "{" * 3000 + "x" + "}" * 3000,
    ],
)  # fmt: skip
def test_what_is_refused(latex):
    with pytest.raises(UnsupportedError, match="cannot be written as MathML"):
        mathml(latex)


@given(st.text(alphabet=r"\{}_^&$%#<>\"' axW12+-=()[]", max_size=12))
def test_nothing_gets_through_unread(latex):
    """Whatever is typed: an error that says so, or MathML without a backslash and without markup of the text's own."""
    try:
        made = mathml(latex)
    except UnsupportedError:
        return
    tree = ElementTree.fromstring(made)
    assert "\\" not in "".join(tree.itertext())
    assert tree.get("alttext") == latex.replace("\n", " ")


def test_text_stays_text():
    assert seen(r"\text{<script>alert(1)</script>}") == "<script>alert(1)</script>"
    assert "<script" not in mathml(r"\text{<script>alert(1)</script>}")
    assert 'onclick="' not in mathml(r'x" onclick="alert(1)')


def test_the_package_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    with pytest.raises(MissingExtraError, match=r"gradloom\[pages\]"):
        mathml("x")


def test_segments_are_the_formula():
    """Put together, without struts and halves of brackets, the parts are what was cut."""
    cut = 0
    for latex in formulas():
        terms = segments(latex)
        joined = "".join(part for term in terms for part in term).replace(r"\vphantom{\frac{L}{W}}", "")
        joined = joined.replace(r"\right.", "").replace(r"\left.", "")
        assert joined.replace(" ", "") == latex.replace(" ", "")
        cut += sum(len(term) > 1 for term in terms)
    assert cut > 20


def test_long_brackets_are_cut_and_short_ones_are_not():
    assert segments(r"\left(a + b\right) \, c") == [[r"\left(a + b\right) \, c"]]
    long = r"\left(W^{(1)} \, x_{t} + U^{(1)} \, h_{t-1} + V^{(1)} \, \frac{1}{B} \, y\right)"
    strut = r"\vphantom{\frac{L}{W}}"
    assert segments(long) == [
        [rf"\left({strut}W^{{(1)}} \, x_{{t}}\right.", r" + U^{(1)} \, h_{t-1}",
         rf"\left. + V^{{(1)}} \, \frac{{1}}{{B}} \, y{strut}\right)"]
    ]  # fmt: skip
