"""How far the loops of a compiled function run, and which of their steps belong to a thread."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr

from .cpu_names import CpuNames
from .nests import Clear, Dot, Item, Loop
from .sizes import Sizes
from .storage import Storage
from .teams import STRIP

SHORT = 16  # steps that are not shared evenly enough


def part_of(stop: str, thread: str = "thread", threads: str = "threads") -> tuple[str, str]:
    """The first and the last but one of `stop` steps that belong to the thread, as source."""
    return f"begin({stop}, {thread}, {threads})", f"begin({stop}, {thread} + 1, {threads})"


def turned_part_of(stop: str, thread: str, threads: str) -> tuple[str, str]:
    """The same, but the threads count from the last: where parts differ, others have the larger ones."""
    return f"begin({stop}, {threads} - 1 - {thread}, {threads})", f"begin({stop}, {threads} - {thread}, {threads})"


def strips(stop: int, thread: str, threads: str) -> tuple[str, str]:
    """The same where parts begin at multiples of whole vectors."""
    if stop < 2 * STRIP:
        return part_of(str(stop), thread, threads)
    first, last = (f"{STRIP} * {place}" for place in part_of(str(-(-stop // STRIP)), thread, threads))
    return first, last if stop % STRIP == 0 else f"min({last}, {stop})"


class CpuRanges(CpuNames):
    """What loops run over; parameters as those of `CpuNames`."""

    def __init__(self, storage: Storage, sizes: Sizes, real: str) -> None:
        super().__init__(storage, sizes, real)
        self._shares_rows = self._turns = False
        self._team = "thread", "threads"  # the thread's number among those that share a nest, and how many they are

    def _range(self, loop: Loop) -> str:
        stop = self._size(loop.extent)
        if loop.is_shared:
            return f"range({', '.join(self._part(stop))})"
        if loop.half is not None:
            return f"range({', '.join(self._rows_of(loop.half))})"
        if loop.step < 0:
            return f"range({self._less_one(loop.extent)}, -1, -1)"
        if not loop.limits:
            return f"range({stop})"
        starts, stops = ["0"], [stop]
        for limit in loop.limits:
            step = limit.coeff(loop.index)
            rest = sympy.expand(limit - step * loop.index)
            text = self.printer.integer(rest if step < 0 else -rest).text
            if abs(step) == 1:
                # i ≥ -r, or i ≤ r
                (stops if step < 0 else starts).append(self.printer.integer(rest + 1).text if step < 0 else text)
            elif step < 0:
                stops.append(f"({text}) // {-step} + 1")
            else:
                starts.append(f"-(({self.printer.integer(rest).text}) // {step})")
        low = starts[0] if len(starts) == 1 else f"max({', '.join(starts)})"
        high = stops[0] if len(stops) == 1 else f"min({', '.join(stops)})"
        return f"range({low}, {high})"

    def _part(self, stop: str) -> tuple[str, str]:
        """The first and the last but one step of a loop over `stop` steps that belong to the thread."""
        if stop == self._batch:
            self._shares_rows = True
            return "first", "last"
        return part_of(stop, *self._team)

    def _cleared(self, item: Clear) -> str:
        if item.axis is None:
            return ":"
        first, last = self._part(self._size(self.sizes.resolve(item.target.shape[item.axis])))
        return ":, " * item.axis + f"{first}:{last}"

    def _less_one(self, extent: Expr) -> str:
        return self.printer.integer(sympy.expand(extent - 1)).text

    def _rows_of(self, half: Any) -> tuple[str, str]:
        """The first and the last but one row of a half of the batch."""
        letter = self._letters[half]
        return f"begin({self._batch}, {letter}, 2)", f"begin({self._batch}, {letter} + 1, 2)"

    def _part_of_product(self, dot: Dot) -> tuple[str, ...]:
        """The first and the last but one value of each index of which the thread computes a part."""
        axis = next((axis for axis in dot.blocks.axes if axis.name == dot.shared), None)
        if axis is None:
            part: tuple[str, ...] = ()
        elif axis.name == dot.blocks.vector and axis.extent.is_Integer:
            part = strips(int(axis.extent), *self._team)
        elif axis.extent.is_Integer and axis.extent < SHORT:
            # Threads take turns in having one step more.
            self._turns = not self._turns
            part = (part_of if self._turns else turned_part_of)(str(axis.extent), *self._team)
        else:
            part = self._part(self._size(axis.extent))
        if dot.half is not None:
            part = (*self._rows_of(dot.half), *part)
        return part


def is_shared(item: Item) -> bool:
    """Whether threads share what a nest computes, not all of it being one's."""
    if isinstance(item, Loop):
        return item.is_shared or any(is_shared(part) for part in item.body)
    return isinstance(item, Dot) and item.shared != ""
