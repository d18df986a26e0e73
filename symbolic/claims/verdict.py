"""`Verdict`: what came of a claim, of one line or of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .judge import Finding

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..report.document import Document
    from .deciding.counterexample import Counterexample
    from .mistakes.search import Mistake

RIGHT = ("equal", "equal given", "rounded")


@dataclass(frozen=True)
class Judged:
    """One line, judged.

    Attributes
    ----------
    written : the line as it stands in the claim
    number : of the line in its text, from 1
    kind : "equal", "equal given" (facts), "rounded" (constants), "batch 1" (equal for one example only), "layout" (the
        transpose is equal), "not equal", "follows" (wrong, but follows from a line above that is), "undecided",
        "defines" (names something of the user's own), "unread" (it could not be read; `error` says why)
    finding : how it was read and decided, for the last sign of the line
    counterexample : values at which the two sides differ; of lines that are not equal
    mistake : what was probably meant, if one change makes the line right
    error : why it could not be read
    after : the number of the line that it follows from
    steps : the right side, or the last of a chain
    """

    written: str
    number: int
    kind: str
    finding: Finding | None = None
    counterexample: Counterexample | None = None
    mistake: Mistake | None = None
    error: str = ""
    after: int | None = None
    steps: str = ""

    @property
    def ok(self) -> bool:
        return self.kind in (*RIGHT, "defines")


@dataclass(frozen=True)
class Verdict:
    """What came of a claim; `explain` says it in words, notebooks show it.

    Attributes
    ----------
    derivation : what the claim was held against
    lines : each line of the claim, judged
    silent : how many formulas of the text had no relation sign, and so claimed nothing
    """

    derivation: Derivation
    lines: Sequence[Judged]
    title: str = "Verdict"
    silent: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every line is right for the network as it is declared, and at least one claims something."""
        return any(line.kind in RIGHT for line in self.lines) and all(line.ok for line in self.lines)

    @property
    def kind(self) -> str:
        """The kind of the only line, or of the first that is not right."""
        wrong = [line for line in self.lines if not line.ok]
        return (wrong or [line for line in self.lines if line.kind != "defines"] or list(self.lines))[0].kind

    @property
    def first_wrong(self) -> Judged | None:
        """The first line that is wrong by itself."""
        return next((line for line in self.lines if not line.ok), None)

    @property
    def mistake(self) -> Mistake | None:
        """The mistake of the first wrong line, if it was found."""
        return self.first_wrong.mistake if self.first_wrong else None

    @property
    def counterexample(self) -> Counterexample | None:
        """Values at which the first wrong line is wrong."""
        return self.first_wrong.counterexample if self.first_wrong else None

    def document(self) -> Document:
        """The verdict as a `Document`, which writes text, LaTeX, Markdown, HTML and PDF."""
        from .pages.page import page

        return page(self)

    def explain(self) -> str:
        """The verdict in words: the lines with their marks, the first wrong one, a counterexample, what was meant."""
        return self.document().text()

    def html(self) -> str:
        """A page with the lines coloured.

        Raises
        ------
        MissingExtraError
            If latex2mathml is not installed: ``pip install "gradloom[pages]"``.
        """
        return self.document().html()

    def __str__(self) -> str:
        return self.explain()

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise TypeError("a verdict is more than yes or no: use verdict.ok, or verdict.kind")

    def _repr_html_(self) -> str | None:
        return self.document()._repr_html_()

    def _repr_latex_(self) -> str:
        return self.document().latex()
