"""Sums into places that data choose → phases: what comes to the same place is added in order, or by atomic additions.

The gradient of a gather is such a sum, as that of an embedding's table: Σ_i,t δ[i, t, k] into row x[i, t]. In order
each place is one thread's: a block has the rows of one remainder, looks for them among all entries, and its threads add
along the other indices. So a place is summed up in the order of the entries, whatever the grid is.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from sympy import Dummy, Expr, Integer

from ...symbolic.tensors import elements, indices_of
from ..cuda_tiles import TILES
from ..nests import AddTo, Set
from ..ops import Reduction, is_index
from ..sizes import Sizes
from ..strides import row_major
from .costs import BLOCKS, at_rows
from .kinds import Each, Phase, Scatter


def scatter(op: Reduction, sizes: Sizes, *, is_fast: bool) -> Iterator[Phase]:
    """The places cleared, then added to."""
    tensor, shape = op.tensor, sizes.shape(op.tensor.shape)
    fresh = tuple(Dummy("pqrsuv"[axis % 6], integer=True) for axis, _ in enumerate(shape))
    yield Each(tuple(zip(fresh, shape, strict=True)), (Set(tensor[fresh], Integer(0), op.equation),))
    extents, places = dict(op.space), indices_of(op.target)
    alone = [place for place in places if is_index(place) and place not in op.bound and places.count(place) == 1]
    own = tuple((index, extents[index]) for index in alone if not _is_read_elsewhere(index, op))
    entries = tuple((index, extent) for index, extent in op.space if (index, extent) not in own)
    if is_fast:
        yield Each((*entries, *own), (AddTo(op.target, op.body, op.equation, is_atomic=True),))
        return
    indices = {index for index, _ in own}
    chosen = [(place, size) for place, size in zip(places, shape, strict=True) if place not in indices]
    row: Expr = Integer(0)
    for (place, _), step in zip(chosen, row_major([size for _, size in chosen], sizes), strict=True):
        row += place * step
    rows = prod(at_rows(size, sizes) for _, size in chosen)
    groups = min(BLOCKS, _power_of_two(rows))
    apart = TILES[0].threads // prod([at_rows(size, sizes) for _, size in own], start=1)
    apart = min(_power_of_two(apart), max(1, _power_of_two(rows) // groups))
    yield Scatter(op.target, op.body, own, entries, row, groups, apart, op.equation)


def _is_read_elsewhere(index: Expr, op: Reduction) -> bool:
    """Whether an index says, too, which place data choose."""
    return any(element.has(index) for place in indices_of(op.target) for element in elements(place))


def _power_of_two(number: int) -> int:
    """The largest that is not more: remainders of it are cheap."""
    return 1 << max(0, number.bit_length() - 1)
