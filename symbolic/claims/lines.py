"""The formulas of a text: one line, or those of a .tex or .md file, each with its place in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ENVIRONMENTS = (
    "equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "flalign", "alignat", "dmath",
)  # fmt: skip
_BEGIN = re.compile(r"\\begin\{(" + "|".join(ENVIRONMENTS) + r")\*?\}(\{\d+\})?")
_OPENINGS = re.compile(r"\\begin\{(?:" + "|".join(ENVIRONMENTS) + r")\*?\}(?:\{\d+\})?|\\\[|\$\$|\\\(|(?<!\\)\$|```")
_INNER = re.compile(r"\\(?:begin|end)\{(?:aligned|alignedat|split|gathered)\}(?:\[[a-z]\])?(?:\{\d+\})?")
_MARKS = re.compile(r"\\(?:no(?:number|tag)|displaystyle|label\{[^{}]*\}|intertext\{[^{}]*\})")
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

    In a text with marks of mathematics ($…$, \\[…\\], environments) those are read; else each line is a formula.
    """
    clean = _without_comments(text)
    blocks = list(_blocks(clean)) if _OPENINGS.search(clean) else list(_plain(clean))
    found: list[SourceLine] = []
    silent = 0
    left = ""
    for start, inside in blocks:
        rows = list(_rows(start, inside))
        for place, row in rows:
            shown = _tidy(row)
            if not shown:
                continue
            number = text.count("\n", 0, place) + 1
            sign = _SIGNS.search(_hidden(shown))
            if sign is None:
                if left and found and re.match(r"[-+]|\\(?:quad|qquad|cdot|times|odot)|&", shown):
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


def _without_comments(text: str) -> str:
    """The text with TeX comments blanked out, so that places stay the same."""
    return re.sub(r"(?<!\\)%[^\n]*", lambda match: " " * len(match[0]), text)


def _plain(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith("#"):
            yield at, line
        at += len(line)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Each stretch of mathematics, without its marks."""
    at = 0
    while (match := _OPENINGS.search(text, at)) is not None:
        opening = match[0]
        begin = _BEGIN.match(opening)
        closing = {r"\[": r"\]", "$$": "$$", r"\(": r"\)", "$": "$", "```": "```"}.get(opening)
        if begin is not None:
            closing = re.search(r"\\end\{" + begin[1] + r"\*?\}", text[match.end() :]) and rf"\end{{{begin[1]}"
        end = text.find(closing, match.end()) if closing else -1
        end = len(text) if end < 0 else end
        if opening != "```":
            yield match.end(), text[match.end() : end]
        at = end + len(closing or "")


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


def _tidy(row: str) -> str:
    return re.sub(r"\s+", " ", _MARKS.sub("", row)).strip()


def _hidden(row: str) -> str:
    """The row with all that stands in braces and brackets blanked out: signs below a sum relate nothing."""
    out, depth = [], 0
    for at, mark in enumerate(row):
        escaped = at > 0 and row[at - 1] == "\\"
        if mark in "{[(" and not (escaped and mark != "{"):
            depth += 1
        elif mark in "}])" and not (escaped and mark != "}"):
            depth = max(0, depth - 1)
        out.append(" " if depth or mark in "}])" else mark)
    return "".join(out)
