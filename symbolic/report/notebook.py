"""What notebooks show. They prefer HTML; where that cannot be made, None lets LaTeX or Markdown serve."""

from __future__ import annotations

from collections.abc import Sequence

from ..equations import Equation
from ..errors import MissingExtraError, UnsupportedError
from ..latex import equation_latex
from .as_html import html
from .document import Document, Formula, Line, Section


def shown(document: Document) -> str | None:
    """`document` as HTML for a notebook, or None without latex2mathml or with a symbol that has no MathML."""
    try:
        return html(document, standalone=False)
    except (MissingExtraError, UnsupportedError):
        return None


def shown_equations(equations: Sequence[Equation], marks: Sequence[str] = ()) -> str | None:
    """Equations one below the other, in index form; `marks` is LaTeX, one each, that is written behind them."""
    behind = marks or [""] * len(equations)
    lines = tuple(
        Line(Formula(str(equation), equation_latex(equation) + mark))
        for equation, mark in zip(equations, behind, strict=True)
    )
    return shown(Document("", [Section("", lines)]))
