"""What notebooks show. They prefer HTML; where that cannot be made, None lets LaTeX or Markdown serve."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import MissingExtraError, UnsupportedError
from .as_html import html
from .document import Document, Line, Section


def shown(document: Document) -> str | None:
    """`document` as HTML for a notebook, or None without latex2mathml or with a symbol that has no MathML."""
    try:
        return html(document, standalone=False)
    except (MissingExtraError, UnsupportedError):
        return None


def shown_lines(lines: Iterable[Line]) -> str | None:
    """Equations one below the other; see `shown`."""
    return shown(Document("", [Section("", tuple(lines))]))
