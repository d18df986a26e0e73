"""What phases cost, about: how many blocks have something to do, and how long sums are."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from sympy import Expr

from ..cuda_tiles import TILES
from ..ops import Op
from ..sizes import Sizes
from .kinds import Each, Phase, Product, TimeSteps, Together
from .order import waits
from .products import tiled


def most_blocks(phases: Sequence[Phase], sizes: Sizes, threads: int) -> int:
    """How many blocks have something to do at once, about: between two waits each takes what no other has taken."""
    most = taken = 0
    for phase, must_wait in zip(phases, waits(phases), strict=True):
        if isinstance(phase, TimeSteps):
            count, taken = most_blocks(phase.phases, sizes, threads), 0
        else:
            count = blocks_for(phase, sizes, threads)
            taken = (0 if must_wait else taken) + (0 if isinstance(phase, Each) else count)
        most = max(most, count, taken)
    return most


def blocks_for(phase: Each | Together | Product, sizes: Sizes, threads: int) -> int:
    """How many blocks have something to do in a phase, about."""
    if isinstance(phase, Product):
        found = tiled(phase.op, sizes, TILES)
        count = prod([at_rows(axis.extent, sizes) for axis in found.around], start=1)
        count *= prod([at_rows(extent, sizes) for index, extent in phase.op.space if index in phase.op.batch], start=1)
        for side, size in ((found.rows, found.tile.rows), (found.columns, found.tile.columns)):
            count *= -(-at_rows(side.extent, sizes) // size)
        return count
    count = prod([at_rows(extent, sizes) for _, extent in phase.space], start=1)
    return count if isinstance(phase, Together) else -(-count // threads)


def at_rows(size: Expr, sizes: Sizes) -> int:
    """A size at about as many rows as a batch has."""
    number = sizes.resolve(size)
    return int(number.subs({sizes.batch: sizes.rows}) if sizes.batch is not None else number)


def count_of(indices: Sequence[Any], op: Op, sizes: Sizes) -> int:
    """How many values some indices of an op have together."""
    extents = dict(op.space)
    return prod([at_rows(extents[index], sizes) for index in indices], start=1)
