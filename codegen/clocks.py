"""Marks in generated code that is to say where its time goes."""

from __future__ import annotations

from collections.abc import Sequence

from ..symbolic.equations import Equation

MOST = 4096  # as many as the clock has room for


class Clocks:
    """The marks of one module.

    Attributes
    ----------
    parts : what is computed after each mark, by number: equations, as text; nothing of a network after mark 0
    """

    def __init__(self) -> None:
        self.parts: list[tuple[str, ...]] = [()]

    def mark(self, equations: Sequence[Equation]) -> str:
        """The line that begins what computes `equations`."""
        what = tuple(map(str, equations))
        if what not in self.parts[1:] and len(self.parts) < MOST:
            self.parts.append(what)
        return f"clock({self.parts.index(what) if what in self.parts else 0})"

    def end(self) -> str:
        """The line behind the last of them."""
        return "clock(0)"
