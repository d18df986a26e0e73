"""Verdicts as pages: words for every kind, in every format; nothing of a user's is run or read as markup."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import pytest

import gradloom as gl
from gradloom.symbolic.claims.deciding.question import Decision
from gradloom.symbolic.claims.judge import Finding
from gradloom.symbolic.claims.mistakes.search import Mistake
from gradloom.symbolic.claims.pages.sentences import MARKS
from gradloom.symbolic.claims.pages.written import latex_of
from gradloom.symbolic.claims.verdict import Judged
from gradloom.symbolic.report.as_pdf import pdf

pytest.importorskip("latex2mathml")

RIGHT = r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)} (a^{(1)})^\top"
WRONG = r"\delta^{(1)} = (W^{(2)})^\top \delta^{(2)} \odot \sigma(z^{(1)})"
EVIL = [
    r"a = \text{</script><script>alert(1)</script>}",
    r"\input{/etc/passwd} = 1",
    r"a = \write18{touch pwned}",
    r"a = \text{\input{/etc/passwd}} + \end{document}",
    "a = $<img src=x onerror=alert(1)>$",
    "a = `b` ]]> <!-- --> ``` \\end{verbatim} \x1b[31m \x00",
    r"a = ~^{}_#%&\\",
]


@pytest.fixture(scope="module")
def net():
    n, m, c = gl.dims("n m c")
    layers = [gl.layers.Dense(m, gl.sigmoid), gl.layers.Dense(c, gl.sigmoid)]
    return gl.Sequential(layers, input_shape=(n,), loss=gl.losses.SquaredError(), name="two_layers")


@pytest.fixture(scope="module")
def wrong(net):
    return gl.check(net, WRONG)


@pytest.fixture(scope="module")
def every_kind(net, wrong):
    """A verdict with a line of each kind, of formulas and of what is none."""
    fact = replace(gl.check(net, RIGHT).lines[0])
    lines = []
    for number, kind in enumerate(MARKS, start=3):
        decision = Decision(kind, "to 60 digits", digits=6, note="both sides are 0" if kind == "undecided" else "")
        finding = replace(fact.finding, kind=kind, decision=decision)
        error = "Q is not known\n    dQ = 3\n     ^" if kind == "unread" else ""
        lines.append(Judged(RIGHT, number, kind, finding, error=error, after=8 if kind == "follows" else None))
    lines[5] = replace(wrong.lines[0], number=8)
    lines += [Judged(evil, 40 + n, "unread", error=f"cannot read\n    {evil}") for n, evil in enumerate(EVIL)]
    mistake = Mistake("sign", f"the sign of {EVIL[0]} costs $5", EVIL[1])
    lines.append(Judged(EVIL[4], 60, "not equal", Finding("not equal", reason=EVIL[0]), mistake=mistake))
    return replace(wrong, lines=lines, silent=2)


def tree_of(page):
    return ElementTree.fromstring(page.partition("\n")[2] if page.startswith("<!DOCTYPE") else page)


def test_a_right_line(net):
    told = str(gl.check(net, RIGHT))
    assert told.startswith("✓ Equal.\n\n    " + RIGHT)
    assert "one example per column" in told
    assert "symbolically" in told


def test_a_wrong_line_has_all_there_is_to_say(wrong):
    told = str(wrong)
    assert told.startswith("✗ Not equal.")
    for title in ("The likely mistake", "The line as it should be", "What gradloom derives", "An example in numbers"):
        assert f"\n  {title}\n" in told
    assert wrong.mistake.correct in told
    assert "δ1[i, j] = a1[i, j] (1 - a1[i, j]) Σ_k W2[k, j] δ2[i, k]" in told
    yours, correct = re.search(r"yours (-?[\d.e-]+), correct (-?[\d.e-]+)\.", told).groups()
    example = wrong.counterexample
    assert float(yours) == pytest.approx(example.right[example.entry], rel=1e-3)
    assert float(correct) == pytest.approx(example.left[example.entry], rel=1e-3)
    assert max(map(len, told.splitlines())) < 120


def test_sides_that_do_not_fit_show_what_is_derived(net):
    told = str(gl.check(net, r"\delta^{(1)} = W^{(2)} \delta^{(2)} \odot \sigma'(z^{(1)})", explain=False))
    assert "the sides do not fit together" in told
    assert "δ1 = W2ᵀ δ2" in told


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (r"\delta^{(2)} = (a^{(2)} - y) \odot \sigma'(z^{(2)})", "~ Right for one example only"),
        (r"\frac{\partial L}{\partial W^{(2)}} = a^{(1)} (\delta^{(2)})^\top", "~ Equal up to layout"),
    ],
)
def test_partly_right(net, claim, words):
    assert str(gl.check(net, claim)).startswith(words)


def test_facts_are_named():
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=5, loss=gl.losses.CrossEntropy())
    verdict = gl.check(net, r"\delta^{(1)} = \frac{1}{B}(\mathrm{softmax}(z^{(1)}) - y)")
    assert verdict.ok
    assert str(verdict).startswith("✓ Equal, given Σ_j y[i, j] = 1 (declared one-hot).")
    assert r"\sum_{j} y_{i j} = 1" in verdict.document().latex()


def test_many_lines(net):
    text = f"\\begin{{align}}\n{RIGHT} \\\\\n{WRONG} \\\\\nz^{{(1)}} \\\\\ndQ &= 3\n\\end{{align}}"
    verdict = gl.check(net, text)
    told = str(verdict)
    assert told.startswith("✗ 1 of 3 lines is right. The first wrong one is line 3.")
    assert re.search(r"^  ✓    2  ", told, re.M)
    assert re.search(r"^  ✗    3  ", told, re.M)
    assert re.search(r"^  \?    5  dQ = 3\n          could not be read\n", told, re.M)
    assert "1 formula of the text has no equals sign" in told
    assert told.index("\nLine 3\n") > told.index("no equals sign")


def test_every_mark_and_kind_in_every_format(every_kind):
    words = [
        "given",
        "6 digits",
        "one example",
        "layout",
        "not equal",
        "follows from line 8",
        "cannot decide",
        "definition",
    ]
    document = every_kind.document()
    html = " ".join("".join(tree_of(document.html()).itertext()).split())
    for made in (document.text(), document.latex(), document.markdown(), html):
        for word in words:
            assert word in made
    for mark, tone in MARKS.values():
        assert mark in document.text()
        assert mark in html
        assert f"gl-is-{tone}" in document.html()
    assert "2 formulas of the text have no equals sign" in document.text()


@pytest.mark.parametrize("standalone", [True, False])
def test_pages_hold_no_markup_of_a_user_s(every_kind, standalone):
    made = every_kind.document().html(standalone=standalone)
    tree = tree_of(made)
    assert len(list(tree.iter("script"))) == int(standalone)
    assert not list(tree.iter("img"))
    assert not [name for node in tree.iter() for name in node.attrib if name.startswith("on")]
    assert not re.search(r"https?:|@import|<link|src=\"|url\((?!#)", made)
    assert "\x1b" not in made
    shown = "".join(tree.itertext())
    assert all(evil.partition("\x1b")[0] in shown for evil in EVIL)  # as code, whole


def test_a_terminal_is_not_steered(every_kind):
    told = every_kind.explain()
    assert "\x1b" not in told
    assert "\x00" not in told


def test_markdown_holds_no_tags_of_a_user_s(every_kind):
    made = every_kind.document().markdown()
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", made, flags=re.S | re.M)
    assert not re.search(r"<(?!/?details>|/?summary>)", outside)
    assert outside.replace(r"\$", "").count("$") % 2 == 0


def test_tex_runs_no_command_of_a_user_s(every_kind, tmp_path):
    made = every_kind.document().latex(standalone=True)
    for command in (r"\input", r"\write", r"\end{verbatim}"):
        assert command not in made
    assert made.count(r"\end{document}") == 1
    if shutil.which("pdflatex"):
        assert pdf(made, tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("source", "latex"),
    [
        (r"\bm W &= x \tag{3}", r"\boldsymbol W = x"),
        ("δ = σ'(z) ⊙ x²", r"\delta = \sigma '(z) \odot x^{2}"),
        (r"W^{[2]}^T = 3", None),  # TeX takes no second superscript
        (r"a = \text{if $x$}", None),
        (r"a = b % c", None),
        (r"a = \left( b )", None),
        ("a = (", None),
        *((evil, None) for evil in EVIL),
    ],
)
def test_only_what_was_read_is_set_as_a_formula(source, latex):
    assert latex_of(source) == latex


def test_what_has_no_mathml_is_shown_as_code(wrong, monkeypatch):
    from gradloom.symbolic.errors import UnsupportedError
    from gradloom.symbolic.report import judged

    def refuse(self, latex):
        raise UnsupportedError("no MathML")

    made = judged.JudgedHtml(lambda latex: refuse(None, latex), None, None, True)
    shown = made.written(judged.Written("a < b", "a < b"))
    assert '<pre class="gl-code">a &lt; b</pre>' in shown
    assert "button" not in shown


def test_notebooks(wrong, monkeypatch):
    tree = tree_of(wrong._repr_html_())
    assert tree.tag == "div"
    assert not list(tree.iter("script"))
    assert "likely mistake" in wrong._repr_latex_()
    monkeypatch.setitem(__import__("sys").modules, "latex2mathml.converter", None)
    assert wrong._repr_html_() is None
    with pytest.raises(TypeError, match=r"verdict\.ok"):
        bool(wrong)


def test_functions_are_code(net):
    def dW2(delta2, a1):
        return delta2.T @ a1 * 2

    verdict = gl.check(net, dW2)
    told = str(verdict)
    assert told.startswith("✗ Not equal.")
    assert "dW2(delta2, a1)" in told
    assert "An example in numbers" in told
    assert '<pre class="gl-code">def dW2(delta2, a1)' in verdict.html()


def test_nothing_heavy_is_imported_before_it_is_asked_for():
    import subprocess
    import sys

    code = "import sys, gradloom; print([m for m in ('lark', 'numba', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['numpy']")


def test_the_same_verdict_gives_the_same_page(net, wrong):
    assert gl.check(net, WRONG).html() == wrong.html()
