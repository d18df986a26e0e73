"""The formulas of a text: one line, or those of a .tex or .md file, each with its place in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Environments of words; what any other one holds is mathematics.
WORDS = frozenset(
    """document abstract itemize enumerate description theorem lemma proof proposition corollary definition remark
    example exercise solution figure table center flushleft flushright quote quotation minipage tabular verbatim
    lstlisting minted comment thebibliography appendix frame block column columns note tcolorbox""".split()
)
_BEGIN = re.compile(r"\\begin\{([A-Za-z]+)(\*?)\}(?:\{\d+\})?")
# Inline mathematics as pandoc reads it: no space inside of the dollars, no digit behind them, so that prices are none.
_OPENINGS = re.compile(
    r"\\begin\{(?!d?cases|rcases|array|[pbvBV]?matrix|smallmatrix|aligned|alignedat|gathered|split)[A-Za-z]+\*?\}(?:\{\d+\})?"
    r"|\\\[|\$\$|\\\(|(?<![\\$])\$(?=[^\s$])(?:[^$\\]|\\.)*?(?<=[^\s\\])\$(?!\d)"
    r"|(?<![\\$])\$[ \t](?:[^$\\\n]|\\.)*?[ \t]\$|^```.*$",
    re.MULTILINE,
)
_INNER = re.compile(r"\\(?:begin|end)\{(?:aligned|alignedat|split|gathered)\}(?:\[[a-z]\])?(?:\{\d+\})?")
_MARKS = re.compile(r"\\(?:no(?:number|tag)|displaystyle|label\{[^{}]*\}|intertext\{[^{}]*\})")
COMMENT = re.compile(r"(?:(?<!\\)|(?<=\\\\))%[^\n]*")
_SIGNS = re.compile(r"=|\\leftarrow|\\rightarrow|\\gets|:=|\\coloneqq|\\triangleq|\\equiv|\\approx|≈|≡|←")


@dataclass(frozen=True)
class SourceLine:
    """One formula of a text.

    Attributes
    ----------
    text : what is read: a row that begins with a relation sign has the left side of the row above in front
    shown : the row as it is written
    number : the number of the line in the text, from 1
    goes_on : whether it is a further step of the row above
    """

    text: str
    shown: str
    number: int
    goes_on: bool = False


def source_lines(text: str) -> tuple[list[SourceLine], int]:
    """The formulas of a text, and how many of its formulas claim nothing, having no relation sign.

    In a text with marks of mathematics ($…$, \\[…\\], environments, fences of "math") those are read, and lines between
    them that are formulas without marks; else each line is a formula. What stands in comments is counted with those
    that claim nothing.
    """
    clean, silent = _without_comments(text)
    blocks = list(_blocks(clean)) if _OPENINGS.search(clean) else list(_plain(clean))
    found: list[SourceLine] = []
    left = ""
    for start, inside in blocks:
        own = len(found)  # a row goes on from another of the same block alone
        for place, row in ((place, part) for place, whole in _rows(start, inside) for part in _columns(whole)):
            shown = _tidy(row)
            if not shown:
                continue
            number = text.count("\n", 0, place) + 1
            sign = _SIGNS.search(_hidden(shown))
            if sign is None:
                if len(found) > own and re.match(r"[-+]|\\(?:quad|qquad|cdot|times|odot)|&", shown):
                    last = found[-1]
                    found[-1] = SourceLine(f"{last.text} {shown}", f"{last.shown} {shown}", last.number, last.goes_on)
                else:
                    silent += 1
                continue
            if not shown[: sign.start()].strip(" &") and left:
                found.append(SourceLine(f"{left} {shown.lstrip(' &')}", shown, number, goes_on=True))
            else:
                left = shown[: sign.start()].strip(" &")
                found.append(SourceLine(shown, shown, number))
    return found, silent


def _without_comments(text: str) -> tuple[str, int]:
    """The text with TeX comments blanked out, so that places stay the same; and how many of them hold a formula."""
    if not re.search(r"\\(?:begin|documentclass|section|\[)", text):
        return text, 0  # not TeX: % is a per cent
    silent = 0

    def blank(match: re.Match[str]) -> str:
        nonlocal silent
        silent += bool(re.search(r"[=$]", match[0]))
        return " " * len(match[0])

    return re.sub(COMMENT, blank, text), silent


def _plain(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith("#"):
            yield at, line
        at += len(line)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Each stretch of mathematics, without its marks, and lines between them that are formulas."""
    at = 0
    while (match := _OPENINGS.search(text, at)) is not None:
        yield from _bare(text, at, match.start())
        opening = match[0]
        begin = _BEGIN.match(opening)
        if begin is not None and begin[1] in WORDS:
            at = match.end()
            continue
        if opening.startswith("$") and opening != "$$":  # all of it
            yield match.start() + 1, opening[1:-1]
            at = match.end()
            continue
        fenced = opening.startswith("```")
        closing = {r"\[": r"\\\]", "$$": r"\$\$", r"\(": r"\\\)"}.get(opening, r"^```\s*$")
        if begin is not None:
            closing = rf"\\end\{{{begin[1]}{re.escape(begin[2])}\}}"
        end = re.compile(closing, re.MULTILINE).search(text, match.end())
        stop = end.start() if end is not None else len(text)
        if not fenced or opening.strip("` ").lower() in ("math", "latex", "tex"):
            yield match.end(), text[match.end() : stop]
        at = end.end() if end is not None else len(text)
    yield from _bare(text, at, len(text))


def _bare(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Whole lines from `start` to `end` that are formulas without marks: with a sign and a command, and no prose."""
    at = start
    for line in text[start:end].splitlines(keepends=True):
        whole = (at == 0 or text[at - 1] == "\n") and (line.endswith("\n") or at + len(line) == len(text))
        words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z]{3,}", re.sub(r"\\text\{[^{}]*\}", "", line))
        if whole and not words and "\\" in line and _SIGNS.search(_hidden(line)):
            yield at, line
        at += len(line)


def _rows(start: int, inside: str) -> Iterator[tuple[int, str]]:
    """The rows of a block, divided at the ``\\\\`` that stand in no inner environment."""
    inside = _INNER.sub(lambda match: " " * len(match[0]), inside)
    depth = at = 0
    for match in re.finditer(r"\\begin\{|\\end\{|\\\\(?:\[[^\]]*\])?|[{}]", inside):
        mark = match[0]
        if mark == r"\begin{":
            depth += 1
        elif mark == r"\end{":
            depth -= 1
        elif mark.startswith(r"\\") and depth <= 0:
            yield start + at + len(inside[at:]) - len(inside[at:].lstrip()), inside[at : match.start()]
            at = match.end()
    yield start + at + len(inside[at:]) - len(inside[at:].lstrip()), inside[at:]


def _columns(row: str) -> list[str]:
    """The formulas that stand side by side in one row of an align, ``a &= b & c &= d``."""
    cells = re.split(r"(?<!\\)&", row)
    signed = [bool(_SIGNS.match(cell.strip())) for cell in cells[1::2]]
    if len(cells) < 4 or len(cells) % 2 or r"\begin" in row or not all(signed):
        return [row]
    return [f"{left} &{right}" for left, right in zip(cells[::2], cells[1::2], strict=True)]


def _tidy(row: str) -> str:
    return re.sub(r"\s+", " ", _MARKS.sub("", COMMENT.sub("", row))).strip()


def _hidden(row: str) -> str:
    """The row with all that stands in braces and brackets blanked out: signs below a sum relate nothing."""
    out, depth = [], 0
    row = re.sub(r"\\(?:stackrel|overset)\{[^{}]*\}\{=\}", lambda match: "=".rjust(len(match[0])), row)
    for at, mark in enumerate(row):
        escaped = at > 0 and row[at - 1] == "\\"
        if mark in "{[(" and not (escaped and mark != "{"):
            depth += 1
        elif mark in "}])" and not (escaped and mark != "}"):
            depth = max(0, depth - 1)
        out.append(" " if depth or mark in "}])" else mark)
    return "".join(out)
