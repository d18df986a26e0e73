r"""A formula in parts between which a browser may begin a new line, first between terms, then within them.

TeX breaks a page's lines once; a browser's window has any width. So the parts are small, and each is a formula of its
own: a bracket that is broken is ``\left( a \right.`` and ``\left. + b \right)``.
"""

from __future__ import annotations

import re

from ..latex_lines import filled, pieces, printed_width

_TERMS = (" = ", r" \approx ", r" \quad ", " + ", " - ")
_FACTORS = (r" \odot ", r" \cdot ", r" \, ")
_BRACKET = re.compile(r"\\(?:left|right)(?:[()[\]]|(?![A-Za-z]))|\\begin\b|\\end\b|[{}]")
_CLOSED = {r"\left(": r"\right)", r"\left[": r"\right]"}
_TALL = re.compile(r"\\(?:frac|sqrt|sum|prod|begin)(?![a-z])")
SHORT = 22  # letters: what fits on a telephone beside an indentation
_STRUT = r"\vphantom{\frac{L}{W}}"  # both halves of a broken bracket are as high as what it holds


def segments(latex: str) -> list[list[str]]:
    """The terms of a formula, each in parts. Together, but for struts and the halves of brackets, they are `latex`."""
    return [_parts(term.strip()) for term in pieces(latex, _TERMS)]


def _parts(latex: str) -> list[str]:
    """A term in parts of about `SHORT` letters: cut between factors, and within brackets that are long."""
    if printed_width(latex) <= SHORT:
        return [latex]
    out = []
    for part in filled(pieces(latex, _FACTORS), SHORT):
        out += _opened(part) if printed_width(part) > SHORT else [part]
    return out


def _opened(latex: str) -> list[str]:
    """`latex` cut within its first long bracket, if it has one that can be cut."""
    for start, stop in _brackets(latex):
        left, right = latex[start : start + len(r"\left(")], latex[stop - len(r"\right)") : stop]
        inside = latex[start + len(left) : stop - len(right)]
        if printed_width(inside) <= SHORT // 2:
            continue
        terms = pieces(inside, _TERMS) if right == r"\right)" else _conditions(inside)
        parts = [part for term in terms for part in _parts(term)]
        if len(parts) > 1:
            strut = _STRUT if _TALL.search(inside) else ""
            parts[0] = rf"{latex[:start]}{left}{strut}{parts[0]}\right."
            parts[-1] = rf"\left.{parts[-1]}{strut}{right}{latex[stop:]}"
            return parts
    return [latex]


def _brackets(latex: str) -> list[tuple[int, int]]:
    """Where the outermost round and square brackets of `latex` that stretch begin and end."""
    out, depth, start, opened = [], 0, 0, ""
    for token in _BRACKET.finditer(latex):
        if token[0].startswith((r"\left", r"\begin", "{")):
            if depth == 0:
                start, opened = token.start(), token[0]
            depth += 1
        else:
            depth -= 1
            if depth == 0 and token[0] == _CLOSED.get(opened):
                out.append((start, token.end()))
    return out


def _conditions(latex: str) -> list[str]:
    """What stands in square brackets, cut behind commas and before an equals sign."""
    out = [""]
    for piece in pieces(latex, (" ",)):
        if out[-1].endswith(",") or piece == " =":
            out.append(piece)
        else:
            out[-1] += piece
    return out
