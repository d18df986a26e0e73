"""The cost model of contractions: which of the forms that ``carried/contraction.py`` has computes one, and along what.

Costs are cycles on a core that starts two multiply-adds and two loads of vectors per cycle. They choose between forms,
nothing else; the numbers were fitted to measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

from sympy import Expr

from .strides import Axis, at_batch

LANES = {"float32": 16, "float64": 8}  # of a vector of 64 bytes; choices hold for narrower ones too
ROWS, ACCUMULATORS = 12, 24  # the largest block
WIDE, TALL = 4, 8  # the most columns and rows of a block of the dot form
LATENCY = 8  # multiply-adds that must be under way at once
BATCH = 64  # the batch size that is reckoned with, where no other is asked for
SPREAD = 2.0  # cycles to copy a number that does not lie beside the last one
TURNED = 0.5  # the same where vectors are read, and transposed
FINISH = 6.0  # cycles to add up the lanes of a vector
TILE = 12.0  # cycles to begin and end a block
PANEL = 1 << 15  # bytes that are read again and again without loss if they lie side by side
DEEPEST = 256  # lines of a panel that may not be cut
FAR, SLOW = 256, 1.5  # numbers that lie further apart are slower to read, where they are many
PAGE, CROWDED = 1024, 1.2  # rows so far apart, or a multiple of it, have the same few places in the cache
STEPS = ((1024, 1.4), (512, 1.1))  # what is read of left one after the other lies so far apart: how much slower
HELD = 512  # columns of right that a core's own cache holds, where both sides are copied
TWICE, SPLIT, HEAP = 1.05, 0.5, 2000.0  # more, where both are: the tiles, a number turned by itself, the memory


@dataclass(frozen=True)
class Blocks:
    """How one contraction is computed.

    Attributes
    ----------
    form : "outer", vectors along an index of the target, or "dot", vectors along one that is summed over
    rows, vector, columns : names of the indices that a block of registers runs over; "" for none. The columns are an
        index of the right operand, or, in the form "outer", a second one of the left
    pack : what is copied, so that what is read together lies side by side: "right", a panel at a time; "both"; ""
    swapped : whether left and right change places
    axes : the indices; those that are in no block in the order of their loops
    cost : cycles, by the model
    copying : those of them that copy the right operand, which every thread does that computes rows of the target
    """

    form: str
    rows: str
    vector: str
    columns: str
    pack: str
    swapped: bool
    axes: tuple[Axis, ...]
    cost: float
    copying: float = 0.0

    @property
    def way(self) -> str:
        """What it is called in a schedule."""
        return self.form + {"": "", "right": " packed", "both": " packed twice"}[self.pack]

    @property
    def around(self) -> list[Axis]:
        """The indices of the loops around the blocks."""
        return [a for a in self.axes if not a.is_bound and a.name not in (self.rows, self.vector, self.columns)]


def choose_blocks(axes: Sequence[Axis], real: str, batch: Any, way: str = "", rows: int = BATCH) -> Blocks | None:
    """The cheapest way of computing a contraction over `axes`, of those that are called `way` if that is given.

    None where there is none: the contraction has no free index, or lies badly. Of equally cheap ones, that whose rows
    lie nearest to each other. `rows` is the number that is reckoned with for the size `batch`.
    """
    numbers = {} if batch is None else {batch: rows}

    def order(blocks: Blocks) -> tuple[Any, ...]:
        apart = next((at_batch(axis.left, numbers) for axis in blocks.axes if axis.name == blocks.rows), 0)
        return blocks.cost, blocks.swapped, blocks.form, apart, blocks.rows, blocks.columns

    ways = (blocks for blocks in all_blocks(axes, real, batch, rows) if way in ("", blocks.way))
    return min(ways, key=order, default=None)


def all_blocks(axes: Sequence[Axis], real: str, batch: Any, rows: int = BATCH) -> list[Blocks]:
    """Every way of computing a contraction over `axes` in blocks, with its cost."""
    numbers = {} if batch is None else {batch: rows}
    straight, turned = _Model(axes, real, numbers, swapped=False), _Model(axes, real, numbers, swapped=True)
    return [*straight.outer(), *turned.outer(), *straight.dot()]


class _Model:
    """The ways of one contraction."""

    def __init__(self, axes: Sequence[Axis], real: str, numbers: Mapping[Any, int], *, swapped: bool) -> None:
        self.lanes, self.swapped, self._numbers = LANES[real], swapped, numbers
        if swapped:
            axes = [Axis(axis.name, axis.extent, axis.right, axis.left, axis.target) for axis in axes]
        self.free = [axis for axis in axes if not axis.is_bound]
        # What is summed over lies with the longest steps outside.
        self.bound = [axis for axis in axes if axis.is_bound]
        self.bound.sort(key=lambda axis: -max(self.size(axis.left), self.size(axis.right)))
        self.axes = (*self.free, *self.bound)
        self.of_left = [axis for axis in self.free if axis.right == 0]
        self.of_right = [axis for axis in self.free if axis.left == 0]
        self.depth = self.volume(self.bound)

    def size(self, value: Expr) -> int:
        return at_batch(value, self._numbers)

    def volume(self, axes: Iterable[Axis | None]) -> float:
        return float(prod(self.size(axis.extent) for axis in axes if axis is not None))

    # ---- outer -----------------------------------------------------------------------------------------------------

    def outer(self) -> Iterator[Blocks]:
        """Vectors along an index of the right operand, rows of the left one."""
        for vector in self.of_right:
            if vector.target != 1 and not vector.extent.is_Integer:
                continue
            for rows in _or_none(self.of_left):
                others = [axis for axis in (*self.of_right, *self.of_left) if axis not in (vector, rows)]
                for columns in [None, *others]:
                    for pack in ("", "right", "both"):
                        if self._fits(vector, rows, columns, pack):
                            yield self._outer(vector, rows, columns, pack)

    def _fits(self, vector: Axis, rows: Axis | None, columns: Axis | None, pack: str) -> bool:
        if columns is not None:
            # Columns are for blocks that would be too small without.
            small = self._rows(rows) * ceil(self.size(vector.extent) / self.lanes) < LATENCY
            if not small or not vector.extent.is_Integer:
                return False
            if columns in self.of_right:
                return not pack and vector.right == 1
        if pack == "both":
            plain = rows is not None and columns is None and len(self.bound) == 1 and len(self.free) == 2
            return plain and vector.target == 1
        if pack:
            # Of a panel only the first index that is summed over is cut, so no other may grow with the batch.
            fixed = bool(self.bound) and all(axis.extent.is_Integer for axis in self.bound[1:])
            return fixed and self.volume(self.bound[1:]) <= DEEPEST
        return vector.right == 1

    def _rows(self, rows: Axis | None) -> int:
        return 1 if rows is None else min(self.size(rows.extent), ROWS)

    def _outer(self, vector: Axis, rows: Axis | None, columns: Axis | None, pack: str) -> Blocks:
        tall = self._rows(rows)
        vectors = ceil(self.size(vector.extent) / self.lanes)
        wide = max(1, min(vectors, ACCUMULATORS // tall))
        if columns is not None:
            wide *= max(1, min(self.size(columns.extent), ACCUMULATORS // tall // vectors))
        sums = tall * wide
        lines = self.volume(axis for axis in self.free if axis is not vector) * vectors  # vectors of the target
        held = vectors if columns in self.of_left else wide
        slow = max(1.0, LATENCY / sums, (sums // held + held) / sums)
        cost = lines * self.depth / 2 * slow + lines / sums * TILE
        if vector.target != 1:
            cost += self.volume(self.free) * SPREAD
        copying = 0.0
        if pack:
            panels = self.volume(axis for axis in self.of_right if axis is not vector)
            near = any(axis.right == 1 and self.size(axis.extent) >= self.lanes // 2 for axis in self.bound)
            each = 2 / self.lanes if vector.right == 1 else TURNED if near else SPREAD
            each += SPLIT * (pack == "both" and vector.right != 1)
            copying = self.depth * vectors * self.lanes * panels * each
            cost += copying
        elif (
            min(self.depth * wide * 64, self._reach(vector, columns)) > PANEL
            and max(self.size(axis.right) for axis in self.bound) > FAR
        ):
            cost *= SLOW
        if pack == "both":
            again = ceil(self.size(vector.extent) / HELD)
            cost = cost * TWICE + self.volume([rows, *self.bound]) * again * 2 / self.lanes + HEAP
        else:
            if rows is not None and self.size(rows.left) % PAGE == 0:
                cost *= CROWDED
            apart = max((self.size(axis.left) for axis in self.bound), default=0)
            cost *= next((slower for least, slower in STEPS if apart >= least), 1.0)
        return replace(self._made("outer", rows, vector, columns, pack, cost), copying=copying)

    def _reach(self, vector: Axis, columns: Axis | None) -> float:
        """The bytes of the right operand from the first to the last that are read; windows read the same ones often."""
        moving = [*self.bound, vector, *([] if columns is None else [columns])]
        return 64 / self.lanes * sum((self.size(axis.extent) - 1) * abs(self.size(axis.right)) for axis in moving)

    # ---- dot -------------------------------------------------------------------------------------------------------

    def dot(self) -> Iterator[Blocks]:
        """Vectors along an index that is summed over and lies side by side in both operands."""
        for vector in self.bound:
            if vector.left == 1 and vector.right == 1:
                for rows in _or_none(self.of_left):
                    for columns in _or_none(self.of_right):
                        yield self._dot(vector, rows, columns)

    def _dot(self, vector: Axis, rows: Axis | None, columns: Axis | None) -> Blocks:
        wide = 1 if columns is None else min(self.size(columns.extent), WIDE)
        tall = 1 if rows is None else min(self.size(rows.extent), TALL, ACCUMULATORS // wide)
        sums = tall * wide
        numbers = self.volume(self.free)
        vectors = self.depth / self.size(vector.extent) * ceil(self.size(vector.extent) / self.lanes)
        slow = max(1.0, LATENCY / sums, (tall + wide) / sums)
        cost = numbers * vectors / 2 * slow + numbers * FINISH + numbers / sums * TILE
        # Each few columns pass all rows, which come from further away if they are many.
        lines = self.volume([rows]) * vectors
        if lines * 64 > PANEL:
            others = self.volume(axis for axis in self.free if axis not in (rows, columns))
            cost += lines * (ceil(self.volume([columns]) / wide) - 1) * others
        return self._made("dot", rows, vector, columns, "", cost)

    def _made(self, form: str, rows: Axis | None, vector: Axis, columns: Axis | None, pack: str, cost: float) -> Blocks:
        row_name, column_name = ("" if axis is None else axis.name for axis in (rows, columns))
        return Blocks(form, row_name, vector.name, column_name, pack, self.swapped, self.axes, cost)


def _or_none(axes: Sequence[Axis]) -> list[Axis | None]:
    return [*axes] or [None]


def number_text(value: Expr, batch: Any) -> str:
    """A number, or the coefficients of a polynomial in the batch size, lowest first."""
    if value.is_Integer:
        return str(value)
    coefficients = value.as_poly(batch).all_coeffs()[::-1]
    return f"({', '.join(str(part) for part in coefficients)})"
