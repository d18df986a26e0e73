"""Documents as LaTeX for amsmath: a fragment to ``\\input``, or a whole document that plain pdflatex compiles."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ..latex_lines import WIDTH, broken, printed_width
from .document import Block, Details, Document, Line, Picture, Prose, Table
from .judged import KINDS, as_latex
from .typed import tex_words

_LINE = " \\\\\n &\\quad "  # goes on in the next line of an align environment
_DOCUMENT = r"""\documentclass{{article}}
\usepackage{{amsmath,amssymb}}
\usepackage[margin=2.5cm]{{geometry}}
\allowdisplaybreaks
\begin{{document}}
{body}\end{{document}}
"""


def latex(document: Document, *, steps: bool = False, standalone: bool = False) -> str:
    """`document` as LaTeX; `steps` also shows how each equation came about. Pictures are left out."""
    out = []
    for section in document.sections:
        if section.title:
            out.append(rf"\paragraph{{{section.title}}}")
        out += _blocks(section.blocks, steps)
    body = "\n".join(out) + "\n"
    return _DOCUMENT.format(body=body) if standalone else body


def _blocks(blocks: Iterable[Block], steps: bool) -> list[str]:
    out = []
    for kind, group in groupby(blocks, type):
        if kind is Line:
            rows = [row for line in group for row in _rows(line, steps)]  # type: ignore[arg-type]
            out += [r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"]
        else:
            out += [line for block in group for line in _block(block, steps)]
    return out


def _block(block: Block, steps: bool) -> list[str]:
    if isinstance(block, Prose):
        return [rf"{_escaped(block.latex)}\par"]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Details):
        return [rf"\medskip\noindent\emph{{{_escaped(block.summary.latex)}}}\par", *_blocks(block.blocks, steps)]
    if isinstance(block, KINDS):
        return as_latex(block, lambda blocks: _blocks(blocks, steps), _escaped)
    assert isinstance(block, Picture)
    return []


def _rows(line: Line, steps: bool) -> list[str]:
    """The rows of an align environment that one equation takes: more than one where it is too wide."""
    left, _, right = line.formula.latex.partition(" = ")
    parts = broken(right, WIDTH - printed_width(left))
    row = f"{left} &= " + _LINE.join(map(str.strip, parts))
    notes = [rf"\text{{({note.latex})}}" for note in line.notes]
    wide = len(parts) > 1 or printed_width(parts[0]) > WIDTH // 2
    rows = [row + "".join(_LINE + note if wide else f" && {note}" for note in notes)]
    for stage in line.stages if steps else ():
        formula = stage.formula.latex if stage.formula else ""
        rows.append(rf"&\quad\text{{{_escaped(stage.rule.latex)}}}" + (":" if formula else ""))
        if formula:
            rows.append(r"&\qquad " + (" \\\\\n &\\qquad\\quad ").join(map(str.strip, broken(formula, WIDTH - 8))))
    return rows


def _table(table: Table) -> list[str]:
    columns = "".join("r" if column in table.numeric else "l" for column in range(len(table.head)))
    rows = [" & ".join(_escaped(cell.latex) for cell in row) + r" \\" for row in table.rows]
    head = " & ".join(_escaped(cell.latex) for cell in table.head) + r" \\ \hline"
    caption = [rf"{_escaped(table.caption.latex)}\par"] if table.caption else []
    return [
        r"{\medskip\noindent\small\renewcommand{\arraystretch}{1.4}",
        *caption,
        rf"\begin{{tabular}}{{{columns}}}",
        head,
        *rows,
        r"\end{tabular}\par}",
    ]


def _escaped(words: str) -> str:
    """`words` with what means something to TeX escaped, outside of formulas."""
    parts = Prose("", words).parts()
    parts[::2] = map(tex_words, parts[::2])
    return "$".join(parts)
