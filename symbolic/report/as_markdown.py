"""Documents as Markdown with ``$$`` formulas, for notebooks and sites."""

from __future__ import annotations

from collections.abc import Iterable

from .document import Block, Details, Document, Line, Picture, Prose, Table
from .judged import KINDS, as_markdown
from .typed import markdown_words


def markdown(document: Document, *, steps: bool = False) -> str:
    """`document` as Markdown; `steps` also shows how each equation came about, to be unfolded."""
    out = []
    for section in document.sections:
        out += [f"### {section.title}", ""] if section.title else []
        out += _blocks(section.blocks, steps)
        if out[-1]:
            out.append("")
    return "\n".join(out)


def _blocks(blocks: Iterable[Block], steps: bool) -> list[str]:
    """The lines of `blocks`; after a list an empty one, or what follows would belong to its last item."""
    out: list[str] = []
    for block in blocks:
        if out and out[-1] and not isinstance(block, Prose):
            out.append("")
        out += _block(block, steps)
    return out


def _block(block: Block, steps: bool) -> list[str]:
    if isinstance(block, Line):
        out = [f"$$ {block.formula.latex} $$", ""]
        out += [part for note in block.notes for part in (f"({note.latex})", "")]
        if steps and block.stages:
            inside = []
            for stage in block.stages:
                inside += [stage.rule.latex, ""]
                inside += [f"$$ {stage.formula.latex} $$", ""] if stage.formula else []
            out += _unfold("Steps", inside)
        return out
    if isinstance(block, Prose):
        return [f"- {block.latex}"]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Details):
        return _unfold(block.summary.latex, _blocks(block.blocks, steps))
    if isinstance(block, KINDS):
        return as_markdown(block, lambda blocks: _blocks(blocks, steps), _words)
    assert isinstance(block, Picture)
    return [f"![{block.alt}]({block.name}.svg)", ""]


def _words(prose: Prose) -> str:
    """A sentence in which what a user wrote may stand: its words are escaped."""
    parts = prose.parts()
    parts[::2] = map(markdown_words, parts[::2])
    return "$".join(parts)


def _unfold(summary: str, inside: list[str]) -> list[str]:
    return [f"<details><summary>{summary}</summary>", "", *inside, "</details>", ""]


def _table(table: Table) -> list[str]:
    rule = ["---:" if column in table.numeric else "---" for column in range(len(table.head))]
    # A bar in a formula would end the cell.
    rows = [
        " | ".join(cell.latex.replace("|", r"\vert ") if "$" in cell.latex else cell.latex for cell in row)
        for row in (table.head, *table.rows)
    ]
    lines = [f"| {row} |" for row in (rows[0], " | ".join(rule), *rows[1:])]
    return [*([table.caption.latex, ""] if table.caption else []), *lines, ""]
