"""How wide LaTeX is in print, about, and where a long formula may be broken into lines."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}_^&\s]|.", re.S)
_SILENT = frozenset({r"\left", r"\right", r"\mathrm", r"\operatorname", r"\text", r"\,", r"\!"})
_WORDS = r" \quad \text"
WIDTH = 100


def printed_width(latex: str) -> int:
    """About how many letters wide a formula is in print: a fraction is as wide as the wider of its two parts."""
    out, rest = 0.0, latex
    while rest:
        fraction = re.match(r"\\frac(?=\{)", rest)
        if fraction:
            top, rest = _group(rest[fraction.end() :])
            bottom, rest = _group(rest)
            out += max(printed_width(top), printed_width(bottom))
            continue
        small = re.match(r"[_^](?=\{)", rest)
        if small:
            inside, rest = _group(rest[1:])
            out += 0.7 * printed_width(inside)
            continue
        token = _TOKEN.match(rest)
        assert token is not None
        rest = rest[token.end() :]
        if token[0] in _SILENT or token[0] in "{}_^&" or token[0].isspace():
            continue
        name = token[0][1:]
        out += len(name) if name in ("tanh", "log", "cosh", "sinh", "sin", "cos", "max") else 1
        out += 1.5 if token[0] in ("+", "-", "=", r"\odot", r"\le", r"\ge", "<", ">") else 0
    return round(out)


def broken(latex: str, width: int = WIDTH) -> list[str]:
    """`latex` in lines of about `width` letters, broken before +, − and words outside of all brackets, else before ⊙.

    What is still too wide is broken inside of a round bracket. A formula that has no such place stays one line.
    """
    width -= 18 * latex.count(_WORDS)  # the space before words, and theirs
    if printed_width(latex) <= width:
        return [latex]
    lines = [latex]
    for marks in ((" + ", " - ", _WORDS), (r" \odot ", r" \, \sum", r" \, \left")):
        lines = [part for line in lines for part in filled(pieces(line, marks), width)]
    return [part for line in lines for part in _opened(line, width)]


def _opened(line: str, width: int) -> list[str]:
    """A line that is too wide, broken inside of its first wide round bracket, which then has marks of a fixed size."""
    if printed_width(line) <= width:
        return [line]
    for found in re.finditer(r"\\left\(", line):
        end = _closing(line, found.start())
        inside = line[found.end() : end]
        if end < 0 or line[end:].startswith(r"\right)^") or not pieces(inside, (" + ", " - "))[1:]:
            continue
        if line[: found.start()].count("{") != line[: found.start()].count("}"):
            continue  # in a fraction or an index
        marked = line[: found.start()] + rf"\bigl({inside}\bigr)" + line[end + len(r"\right)") :]
        return filled(pieces(marked, (" + ", " - ")), width)
    return [line]


def _closing(line: str, start: int) -> int:
    """Where the \\right of the \\left at `start` stands, or -1."""
    depth = 0
    for token in re.finditer(r"\\left\b|\\right\b", line[start:]):
        depth += 1 if token[0] == r"\left" else -1
        if depth == 0:
            return start + token.start()
    return -1


def filled(pieces: list[str], width: int) -> list[str]:
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if printed_width(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    return lines


def pieces(latex: str, marks: tuple[str, ...]) -> list[str]:
    """`latex` cut before each of `marks` that stands outside of braces, brackets and environments."""
    out, depth, start = [], 0, 0
    for token in re.finditer(r"\\left\b|\\right\b|\\begin\b|\\end\b|[{}]| ", latex):
        if token[0] == " " and depth == 0 and latex.startswith(marks, token.start()) and token.start() > start:
            out.append(latex[start : token.start()])
            start = token.start()
        depth += {r"\left": 1, r"\begin": 1, "{": 1, r"\right": -1, r"\end": -1, "}": -1}.get(token[0], 0)
    return [*out, latex[start:]]


def _group(latex: str) -> tuple[str, str]:
    """The inside of the braces that `latex` starts with, and what follows them."""
    depth = 0
    for place, mark in enumerate(latex):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        if depth == 0:
            return latex[1:place], latex[place + 1 :]
    return latex, ""
