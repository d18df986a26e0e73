"""The LaTeX reader of claims: structures, places, refusals, and that nothing but its own error ever comes out."""

from __future__ import annotations

import pickle
import random
import re
import sys
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from claims_compact import compact
from claims_formulas import READ
from hypothesis import given
from hypothesis import strategies as st

from gradloom.symbolic.claims.latex import reader as latex_reader
from gradloom.symbolic.claims.latex.reader import read_expression, read_relation
from gradloom.symbolic.claims.latex.signs import LAYOUT, SPACES
from gradloom.symbolic.claims.latex.syntax import (
    BigOperator,
    Cases,
    Fraction,
    Group,
    Name,
    Number,
    Product,
    Relation,
    Root,
    Script,
    Span,
    Sum,
    Text,
)
from gradloom.symbolic.errors import ClaimSyntaxError, MissingExtraError

FORMULAS = [formula for formula, _ in READ]
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.tex.golden"))


@pytest.mark.parametrize(("formula", "reading"), READ)
def test_a_formula_is_read_as_it_is_meant(formula, reading):
    assert compact(read_relation(formula)) == reading


def test_every_field_of_the_parts():
    read = read_relation(r"dW_j' = -\frac{1}{m}\sum_{k=1}^n \hat{\mathbf y}_{jk} \odot x/2, \text{chain}")
    index = Relation((Name("k"), Number("1")), ("=",))
    pair = Product((Name("j"), Name("k")), ("",))
    body = Product(
        (Name("y", ("hat",), "mathbf", (Script("sub", (pair,)),)), Fraction(Name("x"), Number("2"), slash=True)),
        ("odot",),
    )
    right = Product((Fraction(Number("1"), Number("m")), BigOperator("sum", (index,), Name("n"), body)), ("",))
    left = Product((Name("d"), Name("W", scripts=(Script("sub", (Name("j"),)), Script("prime", (), 1)))), ("",))
    assert read != Relation((left, Sum(((-1, right),))), ("=",), (Text("chain"),))  # m is a name, not a number
    right = Product((Fraction(Number("1"), Name("m")), *right.factors[1:]), ("",))
    assert read == Relation((left, Sum(((-1, right),))), ("=",), (Text("chain"),))


def test_brackets_roots_and_cases_as_parts():
    read = read_expression(r"\left\|\sqrt[3]{x}\right\|^2_F \begin{cases} 0 & \text{if } x < 1 \\ 1 \end{cases}")
    norm = Group("‖", (Root(Name("x"), Number("3")),), (Script("sup", (Number("2"),)), Script("sub", (Name("F"),))))
    condition = Relation((Name("x"), Number("1")), ("<",), (Text("if "),))
    assert read == Product((norm, Cases(((Number("0"), condition), (Number("1"), None)))), ("",))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_what_gradloom_prints_is_read(path):
    blocks = re.findall(r"\\begin\{align\*\}\n(.*?)\\end\{align\*\}", path.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.removesuffix("\\\\") for block in blocks for line in block.splitlines()]
    formulas = [read_relation(line) for line in lines if line.strip() and "cases" not in line]
    assert sum("=" in formula.signs for formula in formulas) >= 4


# Places.


def _inside(part):
    """All parts within one, itself first, each with whether it stands in a script."""
    found, left = [], [(part, False)]
    while left:
        one, script = left.pop()
        found.append((one, script))
        values = [getattr(one, one_field.name) for one_field in fields(one)]
        while values:
            value = values.pop()
            if isinstance(value, tuple):
                values.extend(value)
            elif is_dataclass(value) and not isinstance(value, Span):
                left.append((value, script or isinstance(value, Script)))
    return found


_CONTEXT = frozenset(r"+ - * \cdot \circ \star : ∣".split())  # names only where they stand


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_text_of_a_part_reads_as_that_part(formula):
    again = 0
    for part, script in _inside(read_relation(formula)):
        written = formula[part.span.start : part.span.end]
        assert written, part
        if isinstance(part, Relation | Script | Text) or (isinstance(part, Product) and part.span.start == 0):
            continue
        names = [one for one, _ in _inside(part) if isinstance(one, Name)]
        if any(one.base in _CONTEXT or one.font == "text" or "dots" in one.base for one in names):
            continue  # a script's lone sign, a word before a bracket, dots in a remark: read so only there
        if script and re.fullmatch(r"[\d .()]+", written):
            continue  # indices, and layers 1.2.1
        if (script or len(written) == 1) and not written.isascii():
            continue  # raised characters
        if "<" in written and part.__class__ is Group and part.opening == "⟨":
            continue
        if any(isinstance(one, Group) and one.opening == "⟨" and "<" in written for one, _ in _inside(part)):
            continue
        if names and all(one.font and not _shows_font(formula, one) for one in names):
            continue  # within \mathbf{Wx}
        assert read_expression(written) == part
        again += 1
    assert again or len(formula) < 20 or not formula.isascii() or "text" in formula


def _shows_font(formula, name):
    return "\\" in formula[name.span.start : name.span.end]


@pytest.mark.parametrize("formula", FORMULAS)
def test_parts_lie_within_their_part_and_do_not_overlap(formula):
    for part, _ in _inside(read_relation(formula)):
        below = []
        for one_field in fields(part):
            values = [getattr(part, one_field.name)]
            while values:
                value = values.pop()
                if isinstance(value, tuple):
                    values.extend(value)
                elif is_dataclass(value) and not isinstance(value, Span):
                    below.append(value)
        below.sort(key=lambda one: (one.span.start, one.span.end))
        inner = [one for one in below if not (isinstance(part, Relation) and one in part.remarks)]
        assert all(part.span.start <= one.span.start <= one.span.end <= part.span.end for one in inner)
        assert all(a.span.end <= b.span.start for a, b in pairwise(below))


_TOKEN = re.compile(r"\\(?:[A-Za-z]+\*?|.)|.", re.DOTALL)
_FREE = (
    frozenset(" \n\t.,;:&$~") | SPACES | LAYOUT | {"\\\\"} | {rf"\{size}" for size in ("big", "bigl", "bigr", "Big")}
)
_FREE_TEXTS = (r"\hspace{0.5in}", r"\label{eq:1}", "% comment", "{ll}", "*}")


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_token_is_without_consequence(formula):
    """Leaving out any of TeX's tokens but layout gives other parts, or an error."""
    reading = read_relation(formula)
    idle = set()
    for name in _FREE_TEXTS:
        for found in re.finditer(re.escape(name), formula):
            idle.update(range(*found.span()))
    for token in _TOKEN.finditer(formula):
        if token[0] in _FREE or token.start() in idle:
            continue
        without = formula[: token.start()] + formula[token.end() :]
        try:
            other = read_relation(without)
        except ClaimSyntaxError:
            continue
        assert other != reading, (without, token[0])


# Refusals.

REFUSED = [
    (r"a = \foo b", 4, r"\foo is not known; if it is a name, write \operatorname{foo}"),
    ("x^10 + 1", 2, "write {10}, or a space"),
    ("e^-x", 2, "write {-…}"),
    ("x^(2)", 2, "as in x^{(2)}"),
    ("p(y|x)", 3, "'given'"),
    (r"\frac{a}{b}\bigg|_{x=0}", 11, "'evaluated at'"),
    (r"\left. a \right|_{x=0}", 0, "'evaluated at'"),
    (r"a = b \\ c = d", 6, "each line on its own"),
    ("(a + b]", 6, "found ] where ) is expected, as ( is still open"),
    (r"\left( a )", 9, r"where \right) is expected"),
    ("a + (b", 4, "( is never closed"),
    ("a)", 1, "closes nothing"),
    ("a}", 1, "closes nothing"),
    (r"\begin{pmatrix} a & b \end{pmatrix}", 0, "matrices are not"),
    (r"a = \int f", 4, "integral"),
    (r"\lim_{h \to 0} h", 0, "limit"),
    (r"a \pm b", 2, "two formulas"),
    (r"a = b \Rightarrow c = d", 6, "two formulas"),
    (r"x_1 + \dots + x_n", 6, "dots leave out"),
    (r"\newcommand{\f}{x}", 0, "definition"),
    ("{a+b} c", 0, "braces print nothing"),
    ("2{-x}", 1, "braces print nothing"),
    ("c - {a + b}", 2, "braces print nothing"),
    (r"{\sum_k a_k} b", 0, "braces print nothing"),
    ("{W x}^T", 5, "braces print nothing"),
    (r"a / {b c}", 4, "braces print nothing"),
    (r"W -= \eta dW", 2, r"write W \leftarrow W"),
    ("a <- b", 2, r"write \leftarrow"),
    ("a = ", 3, "the formula ends"),
    ("a + * b", 4, "another factor is expected"),
    ("a == b", 3, "another factor is expected"),
    ("^T", 0, "what it is attached to"),
    ("()", 1, "another factor is expected"),
    (r"a \sum", 6, "the formula ends"),
    (r"\frac{a}", 8, r"behind \frac is expected"),
    (r"\sqrt(x)", 5, r"behind \sqrt is expected"),
    (r"\text{abc", 5, "never closed"),
    ("a $b$ c", 2, "only around a whole formula"),
    ("W2.T", 2, r"^\top"),
    (r"W[:, 1]", 2, "no part of a formula"),
    (r"\hat{x + y}", 0, "more than one name"),
    (r"\dv{L}{W}", 0, r"\nabla_W L"),
    ("中", 0, "CJK"),
    ("a = 0,5 b", 5, "0.5"),
    ("a + 1.2.3", 4, "no number"),
    ("10 000 x", 3, "write 10000"),
    (r"\exp{-x}", 4, "braces print nothing"),
    (r"\underbrace{a}_{b}", 0, "annotation"),
    ("x^y^", 4, "the formula ends"),
    (r"||x| - |y||", 0, "never closed"),
    ("", 0, "no formula"),
    ("a = b\nc \\foo", 8, "(line 2)"),
]


@pytest.mark.parametrize(("formula", "position", "said"), REFUSED)
def test_a_refusal_shows_its_place(formula, position, said):
    with pytest.raises(ClaimSyntaxError) as caught:
        read_relation(formula)
    error = caught.value
    assert (error.text, error.position) == (formula, position)
    message, line, caret = str(error).rsplit("\n", 2)
    assert said in message
    start = formula.rfind("\n", 0, position) + 1
    assert line[4:] == formula[start:].split("\n")[0]
    assert caret == " " * (4 + position - start) + "^"
    assert pickle.loads(pickle.dumps(error)).args == error.args


def test_a_long_line_is_shown_around_the_place():
    with pytest.raises(ClaimSyntaxError) as caught:
        read_relation("a + " * 100 + r"\foo" + " + a" * 100)
    _, line, caret = str(caught.value).split("\n")
    assert line[len(caret) - 1 :].startswith(r"\foo")
    assert len(line) < 130


@pytest.mark.parametrize(
    "formula",
    [
        *(
            "(" * 101 + "x" + ")" * 101,
            "{" * 101 + "x" + "}" * 101,
            "x^{" * 101 + "x" + "}" * 101,
            r"\sqrt" * 300 + "x",
        ),
        *("-" * 300 + "x", "x/" * 300 + "x", r"\sum_k " * 300 + "x", r"\frac" * 300 + "1" * 301, "|" * 400),
        *("x" * 20_001, "(" * 20_000, r"\hat" * 4000, "{" * 9000 + "}" * 9000, r"\mathbf{" * 200 + "}" * 200),
    ],
)
def test_what_is_too_deep_or_too_long_is_refused(formula):
    with pytest.raises(ClaimSyntaxError):
        read_relation(formula)


def test_many_scripts_and_brackets_are_not_too_deep():
    part = read_expression("x" + "_x" * 5000)
    assert isinstance(part, Name)
    assert len(part.scripts) == 5000
    part = read_expression("(" * 60 + "x" + ")" * 60)
    for _ in range(60):
        assert isinstance(part, Group)
        (part,) = part.content
    assert part == Name("x")


def test_an_expression_has_no_relation_and_no_remarks():
    with pytest.raises(ClaimSyntaxError, match="relation sign"):
        read_expression("a = b")
    with pytest.raises(ClaimSyntaxError, match="relation sign"):
        read_expression("= b")
    with pytest.raises(ClaimSyntaxError, match="remarks"):
        read_expression(r"a, \text{b}")


def test_without_lark_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lark", None)
    latex_reader._parser.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match=r'pip install "gradloom\[check\]"'):
            read_relation("a = b")
    finally:
        latex_reader._parser.cache_clear()


# Random texts.

_PIECES = [
    *sorted({piece for formula in FORMULAS for piece in formula.split()}),
    *r"""\frac \sum \left( \right) \left| \right| { } ( ) [ ] | || \| _ ^ ' '' & \\ \begin{cases} \end{cases} \text{if}
    \begin{array}{ll} \end{array} \right. \left\{ \text{ \mathrm \mathbf{ \hat \sqrt \sqrt[ \{ \} \lvert \bigl \Big \max
    \arg \operatorname* \dots \tag{1} \stackrel{ \overset \not \limits \bf {\rm $ \( \) \[ \] < > = := , . ; : / * + -
    12
    .5 1e-5 {,} x W \delta \top \prime \boxed{ \label{ % ~ \quad {} \forall \mid \int \foo \\[2pt] ᵀ ² ⁽ ₖ δ ∑ Σ √ ŷ 𝐖 é
    ‖ ″ \begin{equation} \end{equation} \begin \end \big| \mathbb{1} ∂ ⁻""".split(),
    *("\u0302", "\n", "\t", "\x00", "\\", "\\ ", r"\text{if }", "\u2028"),
]


def _mutated(rng):
    """A formula with pieces put in, left out, swapped, or put into another formula."""
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(rng.choice(_PIECES) + rng.choice(["", " "]) for _ in range(rng.randrange(1, 25)))
    if kind == 1:
        return "".join(
            chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x2500)])) for _ in range(rng.randrange(30))
        )
    text = rng.choice(FORMULAS)
    for _ in range(rng.randrange(1, 5)):
        a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        how = rng.randrange(5)
        if how == 0:
            text = text[:a] + rng.choice(_PIECES) + text[a:]
        elif how == 1:
            text = text[:a] + text[min(b, a + 5) :]
        elif how == 2:
            text = text[:a] + text[b:] + text[a:b]
        elif how == 3:
            text = text[:a] + text[a:b] * 2 + text[b:]
        else:
            text = text[:a] + rng.choice(FORMULAS) + text[b:]
    return text[:2000]


def _only_its_own_error(text):
    try:
        relation = read_relation(text)
    except ClaimSyntaxError as error:
        return 0 if 0 <= error.position <= len(text) else pytest.fail(f"no place: {error!r}")
    for part, _ in _inside(relation):
        assert 0 <= part.span.start <= part.span.end <= len(text)
    hash(relation)
    return 1


def test_mutated_formulas_raise_only_the_own_error():
    rng = random.Random(20)
    read = sum(_only_its_own_error(_mutated(rng)) for _ in range(3000))
    assert read > 200  # mutants that still are formulas


@pytest.mark.slow
def test_many_mutated_formulas_raise_only_the_own_error():
    rng = random.Random(21)
    read = sum(_only_its_own_error(_mutated(rng)) for _ in range(100_000))
    assert read > 10_000


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from(_PIECES)).map(" ".join), st.lists(st.sampled_from(_PIECES)).map("".join)
    )
)
def test_any_text_raises_only_the_own_error(text):
    _only_its_own_error(text)
