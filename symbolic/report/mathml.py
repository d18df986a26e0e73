"""LaTeX formulas as MathML that browsers draw without help: the part of it that is called MathML Core.

The library latex2mathml reads the LaTeX. What it leaves to older viewers is mended here: letters of other alphabets,
spacing as TeX has it, and operators that it takes for letters. Whatever it does not know is an error, never raw LaTeX
on a page.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any
from xml.etree.ElementTree import Element

from ..errors import MissingExtraError, UnsupportedError

_PREPARED = (
    (re.compile(r"\\operatorname\*\{arg\\,(max|min)\}"), r"\\arg\1"),
    (re.compile(r"\\operatorname\*"), r"\\operatorname"),
)
_DEFINING = re.compile(
    r"\\(?:re)?newcommand|\\providecommand|\\def(?![A-Za-z])|\\DeclareMathOperator|\\let(?![A-Za-z])"
)
_ENTITY = re.compile(r"&#x([0-9A-Fa-f]+);")
_ESCAPED = re.compile(r"\\([_&%#{} ])")
_CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "mover": 2, "munder": 2, "mroot": 2, "msubsup": 3, "munderover": 3}
_TAGS = frozenset(_CHILDREN) | set(
    "math mrow mi mn mo mtext mspace msqrt mstyle mpadded mphantom mtable mtr mtd".split()
)
_ATTRIBUTES = frozenset(
    """display displaystyle scriptlevel stretchy fence form separator accent accentunder movablelimits symmetric lspace
    rspace width height depth voffset minsize maxsize linethickness columnalign mathcolor mathvariant""".split()
)
_CAPITALS = frozenset("ΓΔΘΛΞΠΣΥΦΨΩ")
_LARGE = frozenset("∑∏⋃⋂⋁⋀⨁⨂")
_UNDER = _LARGE | {"max", "min", "arg\u2009max", "arg\u2009min", "sup", "inf", "lim"}
_LETTERS = frozenset("∂∞⊤⊥∇∅ℓ…")  # no operators, whatever the dictionary of operators says
_FENCES = {"⌊": "prefix", "⌈": "prefix", "⌋": "postfix", "⌉": "postfix"}
_PRIMES = frozenset("′″‴⁗")
_TALL = frozenset("mfrac msqrt mroot mtable".split())
_OPENING = frozenset("([{⟨⌊⌈")
_CLOSING = frozenset(")]}⟩⌋⌉")
_SIGNS = frozenset("+−±∓¬")


def mathml(latex: str, *, display: bool = False, continued: bool = False) -> str:
    """A formula as a ``<math>`` element with `latex` as its alttext.

    Parameters
    ----------
    latex : math mode without delimiters
    display : large operators and fractions, as in a formula that stands alone
    continued : a sign that it begins with has something before it, in another element

    Raises
    ------
    UnsupportedError
        If a part of the formula has no MathML.
    MissingExtraError
        If latex2mathml is not installed.
    """
    tree = _read(latex)
    for row in tree:
        try:
            _mend(row, latex, script=False)
        except RecursionError:
            raise _refusal(latex, "brackets in brackets without end") from None
        first = row
        while len(first):
            first = first[0]
        if continued and first.tag == "mo" and first.get("form", "prefix") == "prefix" and first.text not in _OPENING:
            first.set("form", "infix")
    alt = html.escape(re.sub(r"\\vphantom\{(?:[^{}]|\{[^{}]*\})*\}", "", latex))
    style = ' displaystyle="true"' if display else ""
    inside = "".join(_written(node) for row in tree for node in row)
    return f'<math{style} alttext="{alt}"><mrow>{inside}</mrow></math>'


def _read(latex: str) -> Element:
    try:
        from latex2mathml.converter import Converter
    except ImportError:
        raise MissingExtraError('HTML needs the package latex2mathml: pip install "gradloom[pages]"') from None
    if _DEFINING.search(latex):
        raise _refusal(latex, "a definition of a command")
    for pattern, other in _PREPARED:
        latex = pattern.sub(other, latex)
    try:
        return Converter().convert_to_element(latex)
    except (Exception, RecursionError) as error:  # the library's errors have no common class
        raise _refusal(latex, type(error).__name__.removesuffix("Error")) from error


def _refusal(latex: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"the LaTeX {latex!r} cannot be written as MathML: found {what}; expected what amsmath knows in math mode. "
        "If it comes from a symbol of yours (latex=), choose a simpler one"
    )


def _mend(node: Element, latex: str, script: bool) -> None:
    """Check `node` and all below it and bring it to MathML Core; `script` within a sub- or superscript."""
    if node.tag not in _TAGS:
        raise _refusal(latex, f"<{node.tag}>")
    if len(node) != _CHILDREN.get(node.tag, len(node)):
        raise _refusal(latex, f"<{node.tag}> of {len(node)} parts")
    for name, value in node.attrib.items():
        if name not in _ATTRIBUTES or not re.fullmatch(r"[-+#.\w ]*", value):
            raise _refusal(latex, f"{name}={value!r}")
    if not len(node):
        _mend_leaf(node, latex, script)
    scripts = node.tag in ("msub", "msup", "msubsup", "munder", "mover", "munderover")
    for place, child in enumerate(node):
        _mend(child, latex, script or (scripts and place > 0))
        if child.tag == "mrow" and len(child) == 1:
            node[place] = child[0]
    if node.tag in ("mrow", "math", "mtd", "msqrt", "mstyle", "mpadded"):
        _mend_row(node)
    if node.tag in ("msub", "msubsup") and node[0].tag == "mo" and node[0].text in _UNDER:
        node.tag = {"msub": "munder", "msubsup": "munderover"}[node.tag]
    if node.tag == "msup" and node[1].text in _PRIMES:  # raised already; a superscript would raise it twice
        node.tag = "mrow"
        node[1].tag, node[1].attrib = "mo", {"form": "postfix", "lspace": "0", "rspace": "0"}
    if node.tag == "mover" and node[1].tag == "mo" and node[1].text in set("^ˆ~˜˙¨⃛⃜¯→"):
        if node[1].text not in set("˙¨⃛⃜"):  # browsers would set a dot of an accent onto the letter
            node.set("accent", "true")
        node[1].attrib = {"stretchy": "false"} if len("".join(node[0].itertext())) == 1 else {}


def _mend_leaf(node: Element, latex: str, script: bool) -> None:
    raw = node.text or ""
    if node.tag == "mtext":
        raw = _ESCAPED.sub(r"\1", raw)
    bare = _ENTITY.sub("", raw)
    if "\\" in bare or bare in ("{", "}", "&", "$", "#", "%") or (node.tag == "mtext" and "$" in bare):
        raise _refusal(latex, repr(bare))
    node.text = text = _ENTITY.sub(lambda code: chr(int(code[1], 16)), raw)
    if node.tag == "mspace":
        width = node.get("width", "")
        node.set("width", {"negativethinmathspace": "-0.167em"}.get(width, width))
    for default in ("stretchy", "fence"):
        if node.get(default) == "true":
            del node.attrib[default]
    variant = node.attrib.pop("mathvariant", "")
    if node.tag == "mi" and (text in _CAPITALS or (text.isascii() and text.isalpha() and raw.startswith("&#x"))):
        variant = "normal"  # as TeX has Γ, and \\mathrm{d}
    if variant == "normal" and len(text) == 1:
        node.set("mathvariant", "normal")
    elif variant and variant != "normal":
        node.text = "".join(_lettered(letter, variant) for letter in text)
    if node.tag == "mi" and text in ";:¬":
        node.tag = "mo"
    elif node.tag == "mi" and text in _FENCES:
        node.tag, node.attrib = "mo", {"form": _FENCES[text], "stretchy": "false"}
    elif node.tag == "mo" and text in _LETTERS:
        node.tag = "mi"
    elif node.tag == "mo" and text[:1].isalpha() and text not in _UNDER | {"mod"}:
        node.tag, node.attrib = "mi", {"mathvariant": "normal"} if len(text) == 1 else {}
    if node.tag == "mo":
        if text in _UNDER and text[0].isalpha():
            node.attrib.update(movablelimits="true", lspace="0", rspace="0.167em")
        if script or text == "/":
            node.attrib.update(lspace="0", rspace="0")


def _lettered(letter: str, variant: str) -> str:
    """A letter or digit of a mathematical alphabet, "bold" or another; itself where that alphabet lacks it."""
    name = unicodedata.name(letter, "").replace("LATIN ", "").replace("GREEK ", "").replace("LETTER ", "")
    style = variant.upper().replace("-", " ").replace("DOUBLE STRUCK", "DOUBLE-STRUCK").replace("SANS ", "SANS-")
    for wanted in (style, style.replace(" ITALIC", "")):
        try:
            return unicodedata.lookup(f"MATHEMATICAL {wanted} {name}")
        except KeyError:
            pass
    return letter


def _mend_row(row: Element) -> None:
    """What can only be seen beside its neighbours: numbers of layers, upright words, signs, spaces after functions."""
    before: Element | None = None
    tall = any(node.tag in _TALL or (node.text or "") in _LARGE for node in row.iter())
    for node in list(row):
        if node.tag == "mo" and not node.text:  # \left. and \right.
            row.remove(node)
            continue
        if node.tag == "mo" and node.get("form") and not tall:
            node.set("stretchy", "false")  # browsers leave a gap beside a bracket that may stretch, even if it need not
        if before is not None and _joined(before, node):
            before.text = (before.text or "") + (node.text or "")
            before.attrib.pop("mathvariant", None)
            row.remove(node)
            continue
        if node.tag == "mo" and node.text in _SIGNS and _begins(before):
            node.set("form", "prefix")
        if before is not None and _is_function(before) and not (_opens(node) or node.tag in ("mo", "mspace")):
            row.insert(list(row).index(node), Element("mspace", width="0.167em"))
        before = node


def _joined(before: Element, node: Element) -> bool:
    """Whether two leaves are one: 1.1 and .2 of layer 1.1.2, or letters of an upright word."""
    if before.tag == "mn" and node.tag in ("mi", "mn"):
        return re.fullmatch(r"(\.\d+)+|\d+", node.text or "") is not None
    upright = before.get("mathvariant") == "normal" or (before.tag == "mi" and len(before.text or "") > 1)
    return upright and node.tag == "mi" and node.get("mathvariant") == "normal"


def _begins(before: Element | None) -> bool:
    """Whether a sign behind `before` has nothing on its left."""
    return before is None or (before.tag == "mo" and (before.text or "") not in _CLOSING | set("!′|‖"))


def _is_function(node: Element) -> bool:
    name = node[0] if node.tag in ("msub", "msup") else node
    return name.tag == "mi" and name.text in {"log", "ln", "exp", "sin", "cos", "tan", "tanh", "sinh", "cosh"}


def _opens(node: Any) -> bool:
    while len(node):
        node = node[0]
    return node.tag == "mo" and ((node.text or "") in _OPENING or node.get("form") == "prefix")


def _written(node: Element) -> str:
    attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in node.attrib.items())
    inside = "".join(map(_written, node)) if len(node) else html.escape(node.text or "", quote=False)
    return f"<{node.tag}{attributes}>{inside}</{node.tag}>" if inside else f"<{node.tag}{attributes}/>"
