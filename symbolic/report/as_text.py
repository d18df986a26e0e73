"""Documents as plain text, for terminals."""

from __future__ import annotations

from .document import Block, Details, Document, Line, Picture, Prose, Table
from .judged import KINDS, as_text


def text(document: Document, *, steps: bool = False) -> str:
    """`document` as plain text; `steps` also shows how each equation came about. Pictures are left out."""
    out = []
    for section in document.sections:
        if section.title:
            out.append(section.title)
        for block in section.blocks:
            out += _block(block, steps, "  " if section.title else "")
        out.append("")
    return "\n".join(out)


def _block(block: Block, steps: bool, indent: str) -> list[str]:
    if isinstance(block, Line):
        out = [f"{indent}{block.formula.text}" + "".join(f"    ({note.text})" for note in block.notes)]
        for stage in block.stages if steps else ():
            formula = f": {stage.formula.text}" if stage.formula else ""
            out.append(f"{indent}    {stage.rule.text}{formula}")
        return out
    if isinstance(block, Prose):
        return [indent + block.text]
    if isinstance(block, Table):
        return [indent + line for line in _table(block)]
    if isinstance(block, Details):
        inside = [line for inner in block.blocks for line in _block(inner, steps, indent + "  ")]
        return [indent + block.summary.text, *inside]
    if isinstance(block, KINDS):
        inner = as_text(block, lambda blocks: [line for part in blocks for line in _block(part, steps, "")])
        return [indent + line if line else "" for line in inner]
    assert isinstance(block, Picture)
    return []


def _table(table: Table) -> list[str]:
    rows = [[cell.text for cell in row] for row in (table.head, *table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.head))]
    out = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in table.numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return ([table.caption.text] if table.caption else []) + out
