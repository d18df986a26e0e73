"""Sums into places that data choose, as source: blocks that look for what comes to their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy
from sympy import expand

from ..printers import SIGN
from .kinds import Scatter

if TYPE_CHECKING:
    from .writer import CudaWriter

INDENT = "    "
AHEAD = 4  # how many entries are loaded before the first is added


class ScatterWriter:
    """Writes one scatter with the `writer` of the function that it stands in."""

    def __init__(self, writer: CudaWriter) -> None:
        self.writer = writer

    def lines(self, phase: Scatter) -> list[str]:
        """A loop over groups of rows; in it one over the entries, as many at once as a block has threads."""
        w = self.writer
        w.tiles.stage = max(w.tiles.stage, w.tiles.sizes[0].threads)
        group, first, entry, mine, found = (w.fresh(name) for name in ("group", "first", "entry", "mine", "found"))
        count = w.factor(expand(sympy.prod(extent for _, extent in phase.entries)))
        inside = [f"{entry} = {first} + lane", f"{mine} = False", f"if {entry} < {count}:"]
        inside += [INDENT + line for line in self._entry(phase, entry)]
        inside += [f"{INDENT}{mine} = {self._row(phase)} % {phase.groups} == {group}"]
        inside += [f"{found} = numbers_of({mine}, stage, scratch)", *self._added(phase, first, entry, found)]
        return [
            f"for {group} in range({w.first_block(str(phase.groups))}, {phase.groups}, blocks):",
            f"{INDENT}for {first} in range(0, {count}, lanes):",
            *(2 * INDENT + line for line in inside),
        ]

    def _added(self, phase: Scatter, first: str, entry: str, found: str) -> list[str]:
        """Each thread adds what comes to its places: it has some of the rows, and one value of the other indices."""
        w = self.writer
        each = w.factor(expand(sympy.prod(extent for _, extent in phase.own)))
        point, number, ahead, values = (w.fresh(name) for name in ("point", "number", "ahead", "values"))
        rows = f"{phase.apart} * {each}" if phase.apart > 1 else each
        lines = [f"for {point} in range(lane, {rows}, lanes):"]
        lines += [INDENT + line for line in w.indices(phase.own, point, is_all=phase.apart == 1)]
        lines += [f"{INDENT}{values} = cuda.local.array({AHEAD}, real)"]
        lines += [f"{INDENT}for {number} in range(0, {found}, {AHEAD}):"]
        # What is added is loaded for several entries at once: a thread waits for memory once for all of them.
        at = f"{entry} = {first} + int32(stage[min({number} + {ahead}, {found} - 1)])"
        loaded = [at, *self._entry(phase, entry)]
        value = w.printer.text(phase.value)
        loaded += [*w.flush(), f"{values}[{ahead}] = {value}"]
        added = [at, *self._entry(phase, entry)]
        is_mine = f"{number} + {ahead} < {found}"
        if phase.apart > 1:
            part = point if each == "1" else f"{point} // {each}"
            is_mine += f" and {self._row(phase)} // {phase.groups} % {phase.apart} == {part}"
        buffer, place = w.place(phase.target)
        added += [f"if {is_mine}:", f"{INDENT}{buffer}[{place}] += {values}[{ahead}]"]
        for inside in (loaded, added):
            lines.append(f"{2 * INDENT}for {ahead} in range({AHEAD}):")
            lines += [3 * INDENT + line for line in inside]
        return lines

    def _entry(self, phase: Scatter, entry: str) -> list[str]:
        """The indices of an entry."""
        for index, _ in phase.entries:
            self.writer.letters.pop(index, None)
        return self.writer.indices(phase.entries, entry, is_all=True)

    def _row(self, phase: Scatter) -> str:
        """The number of its row, as an operand of a quotient."""
        return self.writer.printer.integer(expand(phase.row)).within(SIGN)
