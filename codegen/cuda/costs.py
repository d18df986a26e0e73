"""What phases cost, about: how many blocks have something to do, how long sums are, and how many cycles all takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import Any

from sympy import Expr, Symbol

from ..cuda_tiles import TILES
from ..nests import Item, Loop
from ..ops import Op
from ..sizes import Sizes
from .assumed import BLOCKS, LATENCY, PRODUCTS, STATEMENT, THREADS, WAIT
from .kinds import Divided, Each, Phase, Product, Rows, Scatter, Sums, TimeSteps, Together
from .order import waits
from .products import tiled
from .sums import cycles_of, extents_of, share_of, tiles_of


def most_blocks(phases: Sequence[Phase], sizes: Sizes, time: Symbol | None = None) -> int:
    """How many blocks have something to do at once, about: between two waits each takes what no other has taken."""
    most = taken = 0
    for phase, must_wait in zip(phases, waits(phases, time), strict=True):
        assert not isinstance(phase, Divided)
        if isinstance(phase, TimeSteps):
            count, taken = most_blocks(phase.phases, sizes, phase.time), 0
        else:
            count = blocks_for(phase, sizes)
            taken = (0 if must_wait else taken) + (0 if isinstance(phase, Each) else count)
        most = max(most, count, taken)
    return most


def blocks_for(phase: Each | Together | Scatter | Product | Sums | Rows, sizes: Sizes, rows: int | None = None) -> int:
    """How many blocks have something to do in a phase, about; for some `rows` of the batch."""
    if isinstance(phase, Rows):
        return -(-sizes.rows // phase.size)
    if isinstance(phase, Product):
        found = tiled(phase.op, sizes, TILES)
        count = prod([at_rows(axis.extent, sizes, rows) for axis in found.around], start=1)
        batch = [extent for index, extent in phase.op.space if index in phase.op.batch]
        count *= prod([at_rows(extent, sizes, rows) for extent in batch], start=1)
        for side, size in ((found.rows, found.tile.rows), (found.columns, found.tile.columns)):
            count *= -(-at_rows(side.extent, sizes, rows) // size)
        return count
    if isinstance(phase, Scatter):
        return phase.groups
    if isinstance(phase, Sums):
        rows = sizes.rows if rows is None else rows
        return min(BLOCKS, tiles_of(share_of(phase, sizes, rows), extents_of(phase, sizes, rows)))
    count = prod([at_rows(extent, sizes, rows) for _, extent in phase.space], start=1)
    return count if isinstance(phase, Together) else -(-count // THREADS)


def block_cost(phase: Each | Together | Scatter | Product | Sums | Rows, sizes: Sizes) -> float:
    """How many cycles each of those blocks takes; not of `Rows`."""
    assert not isinstance(phase, Rows)
    if isinstance(phase, Product):
        found = tiled(phase.op, sizes, TILES)
        tile, added = found.tile, prod([at_rows(axis.extent, sizes) for axis in found.added], start=1)
        parts = 1 if phase.part is None else at_rows(dict(phase.op.space)[phase.part], sizes)
        stages = ceil(ceil(at_rows(found.inner.extent, sizes) / tile.depth) * added / parts)
        return LATENCY + stages * (LATENCY // 2 + tile.rows * tile.columns * tile.depth // PRODUCTS)
    if isinstance(phase, Sums):
        return cycles_of(phase, sizes, sizes.rows, share_of(phase, sizes, sizes.rows))
    if isinstance(phase, Together):
        count = prod([at_rows(extent, sizes) for _, extent in phase.bound], start=1)
        return LATENCY + ceil(count / THREADS) * STATEMENT
    if isinstance(phase, Scatter):
        count = prod([at_rows(extent, sizes) for _, extent in phase.entries], start=1)
        each = ceil(prod([at_rows(extent, sizes) for _, extent in phase.own], start=1) / THREADS)
        return ceil(count / THREADS) * LATENCY + ceil(count / phase.groups / phase.apart) * each * LATENCY
    return LATENCY + sum(_work(item, sizes) for item in phase.body) * STATEMENT


def grid_cost(phases: Sequence[Phase], sizes: Sizes, time: Symbol | None = None) -> float:
    """How many cycles phases, of a step of `time` if it is given, take that all blocks share, with all waits."""
    total = longest = work = 0.0
    for phase, must_wait in zip(phases, waits(phases, time), strict=True):
        if must_wait or isinstance(phase, TimeSteps):
            total, longest, work = total + max(longest, work / BLOCKS) + WAIT * must_wait, 0.0, 0.0
        if isinstance(phase, TimeSteps):
            total += at_rows(phase.length, sizes) * (WAIT + grid_cost(phase.phases, sizes, phase.time))
        else:
            assert not isinstance(phase, Divided)
            cost = block_cost(phase, sizes)
            longest, work = max(longest, cost), work + blocks_for(phase, sizes) * cost
    return total + max(longest, work / BLOCKS)


def training_cost(cycles: float, updated: int = 0) -> float:
    """How many cycles a step of training takes that all blocks share, with the wait that it begins with.

    Its phases take `cycles`; so many parameters are `updated` after another wait, where that is a pass of its own.
    """
    update = WAIT + LATENCY + ceil(updated / (THREADS * BLOCKS)) * STATEMENT if updated else 0
    return WAIT + cycles + update


def _work(item: Item, sizes: Sizes) -> int:
    if not isinstance(item, Loop):
        return 1
    return at_rows(item.extent, sizes) * sum(_work(part, sizes) for part in item.body)


def at_rows(size: Expr, sizes: Sizes, rows: int | None = None) -> int:
    """A size at some `rows` of the batch, by default at about as many as it has."""
    number = sizes.resolve(size)
    rows = sizes.rows if rows is None else rows
    return int(number.subs({sizes.batch: rows}) if sizes.batch is not None else number)


def count_of(indices: Sequence[Any], op: Op, sizes: Sizes) -> int:
    """How many values some indices of an op have together."""
    extents = dict(op.space)
    return prod([at_rows(extents[index], sizes) for index in indices], start=1)
