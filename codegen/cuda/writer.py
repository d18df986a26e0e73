"""One function of a CUDA module: phases as source, in which all threads of the grid take part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import expand

from ...symbolic.tensors import Tensor
from ..kernels import Body
from ..names import Names
from ..sizes import Sizes
from .kinds import (
    Each,
    Phase,
    Product,
    Rows,
    Scatter,
    Sums,
    TimeSteps,
    Together,
    equations_of,
    made_by_everyone,
    written_by,
)
from .names import who_lines
from .order import waits
from .places import Places
from .points import CudaPoints, Span
from .product_writer import ProductWriter
from .products import Tiles
from .scatter_writer import ScatterWriter
from .statements import INDENT
from .sum_writer import SumWriter
from .whole import strided

WAIT = "grid_barrier(gate)"


class CudaWriter(CudaPoints):
    """Writes one function; make a new one for each.

    Parameters
    ----------
    data : the names of the data
    places : tensor → buffer and place there, of what lies in one; data are arguments, all else is a thread's own
    names : identifiers
    tiles : collects what computes the module's products
    """

    def __init__(self, places: Places, names: Names, sizes: Sizes, tiles: Tiles, data: Sequence[str] = ()) -> None:
        super().__init__(places, names, sizes, tiles, data)
        self._checked: Tensor | None = None  # the scalar that must be finite for the function to go on

    def body(self, phases: Sequence[Phase], result: Tensor | None = None, *, is_checked: bool = False) -> Body:
        """The function's statements; it returns `result`, a scalar that every thread makes for itself.

        It ends as soon as that is known, if it `is_checked` and not finite.
        """
        self._checked = result if is_checked else None
        lines = self._phases(phases)
        returned = "" if result is None else self.scalars[result]
        fixed = [tensor for tensor in self._starts if not self._grows(tensor)]
        return Body((*who_lines(lines), *self.start_lines(fixed)), tuple(lines), returned)

    def inside(self) -> CudaWriter:
        """A writer of a function that is called from this one, at a point of the loops around."""
        made = CudaWriter(self.places, self.names, self.sizes, self.tiles, self.data)
        made.letters.update(self.letters)
        made.locals.update(self.scalars)
        made._used |= {*self.letters.values(), "row", "column", "value", "target"}
        made._whole |= {*self.letters.values()}
        return made

    def _phases(self, phases: Sequence[Phase], time: Any = None) -> list[str]:
        lines: list[str] = []
        said: set[int] = set()
        self._taken = []
        for phase, must_wait in zip(phases, waits(phases, time), strict=True):
            self._taken = [] if must_wait else self._taken
            own = [equation for equation in equations_of(phase) if id(equation) not in said]
            said |= {id(equation) for equation in own}
            lines += [""] * bool(lines and own) + [f"# {equation}" for equation in own]
            lines += [self._wait] * must_wait + self.phase(phase)
            if self._checked in written_by(phase):
                value = self.scalars[self._checked]
                lines += [f"if not math.isfinite({value}):", f"{INDENT}return {value}"]
        return lines

    @property
    def _wait(self) -> str:
        return WAIT if self.span is None else "cuda.syncthreads()"

    def phase(self, phase: Phase) -> list[str]:
        around, used = (dict(self.locals), dict(self.letters)), set(self._used)
        self._asked = set()
        own = made_by_everyone(phase)
        self._is_for_all = bool(own)
        if isinstance(phase, Each):
            lines = self.points(phase.space, "thread", "threads", lambda: self.items(phase.body))
        elif isinstance(phase, Together):
            lines = self.points(phase.space, "block", "blocks", lambda: self._sum(phase))
        elif isinstance(phase, Product):
            lines = ProductWriter(self).lines(phase)
        elif isinstance(phase, Scatter):
            lines = ScatterWriter(self).lines(phase)
        elif isinstance(phase, Sums):
            lines = SumWriter(self, phase).lines()
        elif isinstance(phase, Rows):
            lines = self._rows(phase)
        else:
            assert isinstance(phase, TimeSteps)
            lines = self._steps(phase)
        self.scalars.update({element: name for element, name in self.locals.items() if element in own})
        self.locals, letters = {**around[0], **self.scalars}, around[1]
        self.letters.clear()
        self.letters.update(letters)
        lines = [*self.own_starts(), *lines]
        self._asked = set()
        self._used = used | set(self._starts.values()) | set(self.scalars.values())
        return lines

    def _steps(self, phase: TimeSteps) -> list[str]:
        letter = self.letter(phase.time)
        last = self.size(phase.length - 1)
        every = f"range({self.size(phase.length)})" if phase.step > 0 else f"range({last}, -1, -1)"
        inside = [self._wait, *self._phases(phase.phases, phase.time)]
        return [f"for {letter} in {every}:", *(INDENT + line if line else "" for line in inside)]

    def _rows(self, phase: Rows) -> list[str]:
        """The phases for some rows of the batch after others, as many blocks as there are."""
        batch = self.sizes.batch
        count = f"(({self.size(batch)} + {phase.size - 1}) // {phase.size})" if phase.size > 1 else self.size(batch)
        group = self.fresh("group")
        lines, step = strided(group, self.first_block(count), count, "blocks")
        taken = self._taken
        self.span = Span(phase.size, batch, self.fresh("first_of_rows"), self.fresh("end_of_rows"))
        first, end = self.span.first, self.span.end
        lines += [f"{INDENT}{first} = {group} * {phase.size}"]
        lines += [f"{INDENT}{end} = min({first} + {phase.size}, {self.size(batch)})"]
        lines += [INDENT + line if line else "" for line in self._phases(phase.phases)]
        self.span, self._taken = None, taken
        return [*lines, step]

    def _sum(self, phase: Together) -> list[str]:
        total, first, stop = self.number("total"), "lane", ""
        lines = [f"{total} = real(0)"]
        if phase.part is not None:
            own, parts = self.letters[phase.part], self.size(dict(phase.space)[phase.part])
            count = self.factor(expand(sympy.prod(size for _, size in phase.bound)))
            begin, stop = self.fresh("begin"), self.fresh("end")
            lines += [f"{begin} = {count} * {own} // {parts}", f"{stop} = {count} * ({own} + 1) // {parts}"]
            first = f"{begin} + lane"
        head, step = self._decoded(phase.bound, first, "lanes", "entry", stop)
        value = self.printer.text(phase.value)
        lines += [*head, *(INDENT + line for line in (*self.flush(), f"{total} += {value}")), step]
        lines.append(f"{total} = block_sum({total}, scratch)")
        if self._is_for_all:
            name = self.local(phase.target)
            return [*lines, f"{name} = {total}", *self.stored(phase.target, name)]
        self.locals[phase.target] = total
        made = [*self.stored(phase.target, total), *self.items(() if phase.after is None else phase.after.body)]
        return [*lines, "if lane == 0:", *(INDENT + line for line in made)]
