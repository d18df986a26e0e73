"""A document as HTML: one file that needs no network, formulas as MathML, light and dark, any width of a window."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from itertools import groupby
from typing import TypeVar

from ..errors import UnsupportedError
from .document import Block, Details, Document, Formula, Line, Picture, Prose, Section, Stage, Table
from .judged import KINDS, JudgedHtml
from .mathml import mathml
from .page_style import ALONE, SCRIPT, STYLE
from .segments import segments
from .svg import inline_svg

_Any = TypeVar("_Any")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="{policy}"/>
<meta name="generator" content="gradloom"/>
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main class="gl-page">
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def html(document: Document, *, standalone: bool = True) -> str:
    """A document as HTML that shows formulas without a script and without a network.

    Parameters
    ----------
    document : what to write
    standalone : a whole page, with a list of contents and buttons that copy formulas as LaTeX; or a ``<div>`` for a
        notebook, in that one's font and colours

    Returns
    -------
    str
        HTML that is also well-formed XML. Whatever a user named is escaped.

    Raises
    ------
    UnsupportedError
        If a formula has no MathML, a sentence has an odd number of ``$``, or a picture is no SVG.
    MissingExtraError
        If latex2mathml is not installed.
    """
    writer = _Writer(standalone)
    if not standalone:
        return f'<div class="gl-page">\n<style>{STYLE}</style>\n{writer.body(document)}\n</div>\n'
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    body = writer.body(document)
    return _PAGE.format(policy=policy, title=escape(document.title), style=STYLE + ALONE, body=body, script=SCRIPT)


class _Writer:
    """Writes blocks; counts what needs a name of its own on the page."""

    def __init__(self, standalone: bool) -> None:
        self.standalone = standalone
        self.pictures = 0
        self.judged = JudgedHtml(_terms, _prose, self.blocks, standalone)

    def body(self, document: Document) -> str:
        out = []
        top = 1 if self.standalone else 3
        if document.title:
            out.append(f"<h{top}>{escape(document.title)}</h{top}>")
        titles = [section.title for section in document.sections if section.title]
        if self.standalone and len(titles) > 1:
            entries = [
                f'<li>{_count(number) if document.numbered else ""}<a href="#part-{number}">{escape(title)}</a></li>'
                for number, title in enumerate(titles, 1)
            ]
            out.append('<nav class="gl-contents" aria-label="Contents"><ol>' + "".join(entries) + "</ol></nav>")
        number = 0
        for section in document.sections:
            number += bool(section.title)
            out.append(self.section(section, number, top + 1, document.numbered))
        return "\n".join(out)

    def section(self, section: Section, number: int, level: int, numbered: bool = True) -> str:
        name = f' id="part-{number}"' if self.standalone and section.title else ""
        count = _count(number) if self.standalone and numbered else ""
        head = f"<h{level}>{count}{escape(section.title)}</h{level}>\n" if section.title else ""
        return f"<section{name}>\n{head}{self.blocks(section.blocks)}\n</section>"

    def blocks(self, blocks: tuple[Block, ...]) -> str:
        """Blocks one below the other; lines that follow each other are aligned at their equals signs."""
        out = []
        for lines, run in groupby(blocks, lambda block: isinstance(block, Line)):
            written = [self.block(block) for block in run]
            out += [f'<div class="gl-lines">\n{_joined(written)}\n</div>'] if lines else written
        return _joined(out)

    def block(self, block: Block) -> str:
        match block:
            case Line():
                return self.line(block)
            case Prose():
                return f"<p>{_prose(block)}</p>"
            case Table():
                return _table(block)
            case Picture():
                self.pictures += 1
                return f"<figure>{inline_svg(block.svg, block.alt, f'gl{self.pictures}-')}</figure>"
            case Details():
                inside = f'<div class="gl-inside">{self.blocks(block.blocks)}</div>'
                return f"<details><summary>{_prose(block.summary)}</summary>\n{inside}</details>"
        if isinstance(block, KINDS):
            return self.judged.block(block)
        raise UnsupportedError(f"a block of type {type(block).__name__} has no HTML")

    def line(self, line: Line) -> str:
        tools = ""
        if self.standalone:
            source = f'<button type="button" hidden="" data-latex="{escape(line.formula.latex)}"'
            source += ' aria-label="Copy as LaTeX" title="Copy as LaTeX">TeX</button>'
            tools = f'<span class="gl-tools">{source}</span>'
        beside = [f"<p>{_prose(note)}</p>" for note in line.notes]
        if line.stages:
            steps = "\n".join(f"<li>{_stage(stage, line.formula)}</li>" for stage in line.stages)
            beside.append(f'<details><summary>Steps</summary>\n<ol class="gl-steps">\n{steps}\n</ol></details>')
        below = f'\n<div class="gl-beside">{_joined(beside)}</div>' if beside else ""
        formula = f'<span class="gl-formula">{_sides(line.formula.latex)}{tools}</span>'
        return f'<div class="gl-line">{formula}{below}</div>'


def _count(number: int) -> str:
    return f'<span class="gl-count">{number}</span> '


def _joined(parts: list[str]) -> str:
    return "\n".join(parts)


def _sides(latex: str) -> str:
    """The two sides of a formula and its equals sign, in columns."""
    left, equals, right = latex.partition(" = ")
    if not equals:
        return f'<span class="gl-whole">{_terms(latex)}</span>'
    sign = mathml("=", display=True, continued=True)
    return (
        f'<span class="gl-left">{mathml(left, display=True)}</span>'
        f'<span class="gl-equals">{sign}</span><span class="gl-right">{_terms(right)}</span>'
    )


def _terms(latex: str, *, display: bool = True) -> str:
    """A formula in terms, between which the browser breaks lines."""
    out = []
    for number, term in enumerate(segments(latex)):
        parts = [mathml(part, display=display, continued=number + place > 0) for place, part in enumerate(term)]
        out.append(f'<span class="gl-term">{"".join(parts)}</span>' if len(parts) > 1 else parts[0])
    return "".join(out)


def _stage(stage: Stage, of: Formula) -> str:
    """What a step did, and what stands then: only the right side, where the left is that of the line."""
    if stage.formula is None:
        return _prose(stage.rule)
    left, equals, right = stage.formula.latex.partition(" = ")
    shown = f"= {right}" if equals and left == of.latex.partition(" = ")[0] else stage.formula.latex
    return f'{_prose(stage.rule)}\n<div class="gl-right">{_terms(shown)}</div>'


def _prose(prose: Prose) -> str:
    """A sentence; a formula and the mark behind it stay together."""
    parts = prose.parts()
    if len(parts) % 2 == 0:
        raise UnsupportedError(
            f"the sentence {prose.latex!r} has an odd number of $: expected one on each side of a formula"
        )
    out = [escape(parts[0], quote=False)]
    for formula, words in zip(parts[1::2], parts[2::2], strict=True):
        mark = re.match(r"[,.;:)?!]*", words)
        assert mark is not None
        shown = _terms(formula, display=False)
        out.append(
            f'<span class="gl-tight">{shown}{mark[0]}</span>'
            if mark[0] and shown.count("<math") == 1
            else shown + mark[0]
        )
        out.append(escape(words[mark.end() :], quote=False))
    return "".join(out)


def _kind(cell: Prose, numeric: bool) -> str:
    """The class of a cell: numbers are set flush right, formulas alone are not broken."""
    formula = re.fullmatch(r"\$[^$]*\$", cell.latex)
    return ' class="gl-number"' if numeric else ' class="gl-tight"' if formula else ""


def _table(table: Table) -> str:
    def row(cells: tuple[Prose, ...], tag: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kinds = [_kind(cell, column in table.numeric) for column, cell in enumerate(cells)]
        written = [f"<{tag}{scope}{kind}>{_prose(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)]
        return f"<tr>{''.join(written)}</tr>"

    caption = f"<caption>{_prose(table.caption)}</caption>\n" if table.caption else ""
    head = f"<thead>{row(table.head, 'th')}</thead>\n" if table.head else ""
    rows = _joined([row(cells, "td") for cells in table.rows])
    inside = f"<table>\n{caption}{head}<tbody>\n{rows}\n</tbody>\n</table>"
    return f'<div class="gl-scroll" tabindex="0" role="group" aria-label="Table">{inside}</div>'
