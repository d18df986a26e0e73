"""Sums into places that data choose, as source: blocks that look for what comes to their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy
from sympy import expand

from .kinds import Scatter
from .whole import quotient, remainder, strided

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
        inside += [f"{INDENT}{mine} = {remainder(self._row(phase), str(phase.groups))} == {group}"]
        inside += [f"{found} = numbers_of({mine}, stage, scratch)", *self._added(phase, first, entry, found)]
        w.tiles.points.add(expand(sympy.prod(extent for _, extent in phase.entries)))
        entries, next_entries = strided(first, "0", count, "lanes")
        groups, next_group = strided(group, w.first_block(str(phase.groups)), str(phase.groups), "blocks")
        whole = [*entries, *(INDENT + line for line in inside), next_entries]
        return [*groups, *(INDENT + line for line in whole), next_group]

    def _added(self, phase: Scatter, first: str, entry: str, found: str) -> list[str]:
        """Each thread adds what comes to its places: it has some of the rows, and one value of the other indices."""
        w = self.writer
        each = w.factor(expand(sympy.prod(extent for _, extent in phase.own)))
        point, number, ahead, values = (w.fresh(name) for name in ("point", "number", "ahead", "values"))
        rows = f"{phase.apart} * {each}" if phase.apart > 1 else each
        lines, step = strided(point, "lane", rows, "lanes")
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
            group = remainder(quotient(self._row(phase), str(phase.groups)), str(phase.apart))
            is_mine += f" and {group} == {quotient(point, each)}"
        buffer, place = w.place(phase.target)
        added += [f"if {is_mine}:", f"{INDENT}{buffer}[{place}] += {values}[{ahead}]"]
        for inside in (loaded, added):
            lines.append(f"{2 * INDENT}for {ahead} in range({AHEAD}):")
            lines += [3 * INDENT + line for line in inside]
        return [*lines, step]

    def _entry(self, phase: Scatter, entry: str) -> list[str]:
        """The indices of an entry."""
        for index, _ in phase.entries:
            self.writer.letters.pop(index, None)
        return self.writer.indices(phase.entries, entry, is_all=True)

    def _row(self, phase: Scatter) -> str:
        """The number of its row."""
        return self.writer.printer.integer(expand(phase.row)).text
