"""The cost model of contractions: which of the forms that ``contraction.py`` has computes one, and along what.

Costs are cycles on a core that starts two multiply-adds and two loads of vectors per cycle. They choose between forms,
nothing else; the numbers below were fitted to measurements (`benchmarks/README.md`), and each can be changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Expr

from .strides import Axis, at_batch

LANES = {"float32": 16, "float64": 8}  # of a vector of 64 bytes; choices hold for narrower ones too
ROWS, ACCUMULATORS = 12, 24  # the largest block
LATENCY = 8  # multiply-adds that must be under way at once
BATCH = 64  # the batch size that is reckoned with
SPREAD = 2.0  # cycles to copy a number that does not lie beside the last one
FINISH = 6.0  # cycles to add up the lanes of a vector
TILE = 12.0  # cycles to begin and end a block
PANEL = 1 << 15  # bytes of an operand that are read again and again without loss; larger ones are copied first


@dataclass(frozen=True)
class Blocks:
    """How one contraction is computed.

    Attributes
    ----------
    form : "outer", vectors along an index of the target, or "dot", vectors along one that is summed over
    rows, vector, columns : names of the indices that a block of registers runs over; "" for none
    pack : whether the right operand is copied, a panel at a time, so that its vectors lie side by side
    swapped : whether left and right change places
    axes : the indices; those that are in no block in the order of their loops
    cost : cycles, by the model
    """

    form: str
    rows: str
    vector: str
    columns: str
    pack: bool
    swapped: bool
    axes: tuple[Axis, ...]
    cost: float

    @property
    def around(self) -> list[Axis]:
        """The indices of the loops around the blocks."""
        return [a for a in self.axes if not a.is_bound and a.name not in (self.rows, self.vector, self.columns)]


def choose_blocks(axes: Sequence[Axis], real: str, batch: Any) -> Blocks | None:
    """The cheapest way of computing a contraction over `axes`; None where it has no free index, or lies badly."""
    order = lambda way: (way.cost, way.swapped, way.form, way.rows, way.columns)
    return min(all_blocks(axes, real, batch), key=order, default=None)


def all_blocks(axes: Sequence[Axis], real: str, batch: Any) -> list[Blocks]:
    """Every way of computing a contraction over `axes` in blocks, with its cost."""
    numbers = {} if batch is None else {batch: BATCH}
    outer = [way for swapped in (False, True) for way in _outer(_sides(axes, swapped), real, numbers, swapped)]
    return [*outer, *_dot(axes, real, numbers)]


def _sides(axes: Sequence[Axis], swapped: bool) -> list[Axis]:
    if not swapped:
        return list(axes)
    return [Axis(axis.name, axis.extent, axis.right, axis.left, axis.target) for axis in axes]


def _ordered(axes: Sequence[Axis], numbers: Mapping[Any, int]) -> tuple[Axis, ...]:
    """Free indices as they are, those summed over with the longest steps outside."""
    bound = [axis for axis in axes if axis.is_bound]
    bound.sort(key=lambda axis: -max(at_batch(axis.left, numbers), at_batch(axis.right, numbers)))
    return (*(axis for axis in axes if not axis.is_bound), *bound)


def _outer(axes: Sequence[Axis], real: str, numbers: Mapping[Any, int], swapped: bool) -> Iterator[Blocks]:
    lanes = LANES[real]
    size = lambda value: at_batch(value, numbers)
    work = _product(size(axis.extent) for axis in axes)
    deep = _product(size(axis.extent) for axis in axes if axis.is_bound)
    rows_left = [axis for axis in axes if not axis.is_bound and axis.right == 0]
    of_right = [axis for axis in axes if not axis.is_bound and axis.left == 0]
    for vector in of_right:
        if vector.target != 1 and not vector.extent.is_Integer:
            continue
        extent = size(vector.extent)
        vectors = -(-extent // lanes)
        others = work / extent / deep  # how many times the panel of right is run over, rows included
        for rows in rows_left or [None]:
            tall = 1 if rows is None else min(size(rows.extent), ROWS)
            beside = max(1, min(vectors, ACCUMULATORS // tall))
            for columns in [None, *(axis for axis in of_right if axis is not vector)]:
                wide = 1
                if columns is not None:
                    if tall * vectors >= LATENCY or not vector.extent.is_Integer:
                        continue
                    wide = max(1, min(size(columns.extent), ACCUMULATORS // tall // vectors))
                sums = tall * beside * wide
                many = beside * wide
                slow = max(1.0, LATENCY / sums, (tall + many) / (tall * many))
                products = work / extent * vectors / 2
                tiles = work / deep / extent * vectors / sums
                spread = 0.0 if vector.target == 1 else work / deep * SPREAD
                ordered = _ordered(axes, numbers)
                # Of a panel only the first index that is summed over is cut, so no other may grow with the batch.
                fixed = all(axis.extent.is_Integer for axis in [a for a in ordered if a.is_bound][1:])
                for pack in (False, True) if columns is None and fixed else (False,):
                    if not pack and vector.right != 1:
                        continue
                    copied = 0.0
                    again = 1.0
                    panels = others / (1 if rows is None else size(rows.extent))
                    if pack:
                        each = 2.0 / lanes if vector.right == 1 else SPREAD
                        copied = deep * vectors * lanes * panels * each
                    elif deep * beside * lanes * 64 / lanes > PANEL and max(size(a.right) for a in axes if a.is_bound) > 4 * 64:
                        again = 1.5
                    cost = products * slow * again + tiles * TILE + spread + copied
                    yield Blocks(
                        "outer",
                        "" if rows is None else rows.name,
                        vector.name,
                        "" if columns is None else columns.name,
                        pack,
                        swapped,
                        ordered,
                        cost,
                    )


def _dot(axes: Sequence[Axis], real: str, numbers: Mapping[Any, int]) -> Iterator[Blocks]:
    lanes = LANES[real]
    size = lambda value: at_batch(value, numbers)
    work = _product(size(axis.extent) for axis in axes)
    free = [axis for axis in axes if not axis.is_bound]
    outputs = _product(size(axis.extent) for axis in free)
    for vector in axes:
        if not (vector.is_bound and vector.left == 1 and vector.right == 1):
            continue
        extent = size(vector.extent)
        vectors = -(-extent // lanes)
        for rows in [axis for axis in free if axis.right == 0] or [None]:
            for columns in [axis for axis in free if axis.left == 0] or [None]:
                tall, wide = (1 if axis is None else min(size(axis.extent), 4) for axis in (rows, columns))
                sums = tall * wide
                slow = max(1.0, LATENCY / sums, (tall + wide) / sums)
                cost = work / extent * vectors / 2 * slow + outputs * FINISH + outputs / sums * TILE
                names = ("" if axis is None else axis.name for axis in (rows, columns))
                row_name, column_name = names
                yield Blocks("dot", row_name, vector.name, column_name, False, False, _ordered(axes, numbers), cost)


def _product(values: Any) -> float:
    made = 1.0
    for value in values:
        made *= value
    return made


def number_text(value: Expr, batch: Any) -> str:
    """A number, or the coefficients of a polynomial in the batch size, lowest first."""
    if value.is_Integer:
        return str(value)
    coefficients = value.as_poly(batch).all_coeffs()[::-1]
    return f"({', '.join(str(part) for part in coefficients)})"
