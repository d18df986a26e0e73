"""Sums into places that data choose → phases: what comes to the same place is added in order, or by atomic additions.

The gradient of a gather is such a sum, as that of an embedding's table: Σ_i,t δ[i, t, k] into row x[i, t]. In order
each place is one thread's: a block has the rows of one remainder, looks for them among all entries, and its threads add
along the other indices. So a place is summed up in the order of the entries, whatever the grid is.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Integer

from ...symbolic.tensors import elements, indices_of
from ..cuda_tiles import TILES
from ..loops import wrapped
from ..nests import AddTo, Set
from ..ops import Reduction, is_index
from ..sizes import Sizes
from ..strides import row_major
from .assumed import BLOCKS
from .costs import at_rows
from .kinds import Each, Phase, Scatter

Space: TypeAlias = tuple[tuple[Any, Expr], ...]


def scatter(op: Reduction, sizes: Sizes, *, is_fast: bool) -> Iterator[Phase]:
    """The places cleared, then added to."""
    yield _cleared(op, sizes)
    own, entries = _divided(op)
    if is_fast:
        yield Each((*entries, *own), (AddTo(op.target, op.body, op.equation, is_atomic=True),))
        return
    indices, shape = {index for index, _ in own}, sizes.shape(op.tensor.shape)
    chosen = [(place, size) for place, size in zip(indices_of(op.target), shape, strict=True) if place not in indices]
    row: Expr = Integer(0)
    for (place, _), step in zip(chosen, row_major([size for _, size in chosen], sizes), strict=True):
        row += place * step
    rows = prod(at_rows(size, sizes) for _, size in chosen)
    groups = min(BLOCKS, _power_of_two(rows))
    apart = TILES[0].threads // prod([at_rows(size, sizes) for _, size in own], start=1)
    apart = min(_power_of_two(apart), max(1, _power_of_two(rows) // groups))
    yield Scatter(op.target, op.body, own, entries, row, groups, apart, op.equation)


def scatter_by_block(op: Reduction, sizes: Sizes) -> Iterator[Phase]:
    """The same by one block, in order: a thread adds up what has its value of the target's own indices."""
    yield _cleared(op, sizes)
    own, entries = _divided(op)
    body = wrapped([index for index, _ in entries], dict(entries), (AddTo(op.target, op.body, op.equation),))
    yield Each(own, (body,))


def _cleared(op: Reduction, sizes: Sizes) -> Each:
    shape = sizes.shape(op.tensor.shape)
    fresh = tuple(Dummy("pqrsuv"[axis % 6], integer=True) for axis, _ in enumerate(shape))
    return Each(tuple(zip(fresh, shape, strict=True)), (Set(op.tensor[fresh], Integer(0), op.equation),))


def _divided(op: Reduction) -> tuple[Space, Space]:
    """The indices that stand in the target themselves, and the others, which say by data where to add."""
    extents, places = dict(op.space), indices_of(op.target)
    alone = [place for place in places if is_index(place) and place not in op.bound and places.count(place) == 1]
    own = tuple((index, extents[index]) for index in alone if not _is_read_elsewhere(index, op))
    return own, tuple((index, extent) for index, extent in op.space if (index, extent) not in own)


def _is_read_elsewhere(index: Expr, op: Reduction) -> bool:
    """Whether an index says, too, which place data choose."""
    return any(element.has(index) for place in indices_of(op.target) for element in elements(place))


def _power_of_two(number: int) -> int:
    """The largest that is not more: remainders of it are cheap."""
    return 1 << max(0, number.bit_length() - 1)
