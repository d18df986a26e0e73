"""A document as data: sections of formulas, prose, tables and pictures, whatever the format it is written in.

`page` makes one of a derivation; `as_text`, `as_latex`, `as_markdown` and `as_html` each write every kind of block.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Formula:
    """One formula in both media. `latex` is math mode without delimiters; its first `` = `` divides its sides."""

    text: str
    latex: str


@dataclass(frozen=True)
class Prose:
    """A sentence. In `latex`, formulas stand in ``$…$`` and all else is plain words (no TeX but in formulas)."""

    text: str
    latex: str

    @classmethod
    def plain(cls, words: str) -> Prose:
        """A sentence without formulas."""
        return cls(words, words)

    @classmethod
    def quoted(cls, words: str) -> Prose:
        """A sentence with words that are not ours: whatever stands in it is words, dollars too."""
        return cls(words, words.replace("$", r"\$"))

    def parts(self) -> list[str]:
        """`latex` at its dollars: words, a formula, words, and so on. A dollar among the words is written ``\\$``."""
        found = re.split(r"(?<!\\)\$", self.latex)
        return [part if place % 2 else part.replace(r"\$", "$") for place, part in enumerate(found)]


@dataclass(frozen=True)
class Stage:
    """One stage of a derivation step: the rule that made it, and what stands then (None: the rule says it all)."""

    rule: Prose
    formula: Formula | None = None


@dataclass(frozen=True)
class Line:
    """One equation of a page.

    Attributes
    ----------
    formula : the equation
    notes : what is said beside it: the facts that it used
    stages : how it came about; shown on demand
    name : of the tensor that it is about, or ""
    """

    formula: Formula
    notes: tuple[Prose, ...] = ()
    stages: tuple[Stage, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head; `numeric` are the columns (from 0) that are set flush right."""

    head: tuple[Prose, ...]
    rows: tuple[tuple[Prose, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: Prose | None = None


@dataclass(frozen=True)
class Picture:
    """A drawing: `svg` is its source, `name` a file name without ending, `alt` says what is to be seen."""

    svg: str
    name: str
    alt: str


@dataclass(frozen=True)
class Details:
    """Blocks that a reader unfolds."""

    summary: Prose
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Written:
    """What a user wrote, as they wrote it.

    Attributes
    ----------
    source : the text, of one line or of several
    latex : the same in math mode, where it is known to be a formula and nothing else; None shows `source` as code
    """

    source: str
    latex: str | None = None


@dataclass(frozen=True)
class Titled:
    """Blocks below a small title."""

    title: Prose
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Judgement:
    """Something that was judged.

    Attributes
    ----------
    mark : one character: ✓ ✗ ~ → ? or ·
    tone : "right", "wrong", "partly", "follows", "open" or "defines": the colour, which says no more than the mark
    words : what is said of it; may be empty
    written : what was judged
    number : of the line in its text; None for a headline
    blocks : more about it, in the same box
    """

    mark: str
    tone: str
    words: Prose
    written: Written | None = None
    number: int | None = None
    blocks: tuple[Block, ...] = ()


Block: TypeAlias = Line | Prose | Table | Picture | Details | Written | Titled | Judgement


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass
class Document:
    """A title, and the sections; one without a title stands in front of the contents. `numbered` counts the others."""

    title: str
    sections: list[Section] = field(default_factory=list)
    numbered: bool = True

    def text(self, *, steps: bool = False) -> str:
        """As plain text; `steps` also shows how each equation came about. Pictures are left out."""
        from .as_text import text

        return text(self, steps=steps)

    def latex(self, *, steps: bool = False, standalone: bool = False) -> str:
        """As LaTeX for amsmath: a fragment to ``\\input``, or with `standalone` a whole document."""
        from .as_latex import latex

        return latex(self, steps=steps, standalone=standalone)

    def markdown(self, *, steps: bool = False) -> str:
        """As Markdown with ``$$`` formulas."""
        from .as_markdown import markdown

        return markdown(self, steps=steps)

    def html(self, *, standalone: bool = True) -> str:
        """As HTML: a page that needs no network, or a fragment.

        Raises
        ------
        MissingExtraError
            If latex2mathml is not installed: ``pip install "gradloom[pages]"``.
        """
        from .as_html import html

        return html(self, standalone=standalone)

    def pdf(self, path: str | os.PathLike[str]) -> Path:
        """Write it as a PDF, with the pdflatex that is installed.

        Raises
        ------
        PdfError
            If there is no pdflatex, or it stops with an error, or `path` cannot be written.
        """
        from .as_pdf import pdf

        return pdf(self.latex(standalone=True), path)

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str | None:
        from .notebook import shown

        return shown(self)

    def add(self, title: str, blocks: Sequence[Block]) -> None:
        """Add a section, unless it is empty."""
        if blocks:
            self.sections.append(Section(title, tuple(blocks)))
