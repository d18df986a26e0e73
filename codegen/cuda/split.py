"""Long sums of few numbers, divided among blocks: each sums up a part, and what is next adds up the parts in order.

A weight's gradient is such a sum, over the batch (and, of a convolution, over the pixels): its tiles are few, what is
summed is long. How a sum is divided depends on sizes alone, so the bits are the same on any grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sympy import Dummy, Expr, Integer

from ..cuda_tiles import TILES
from ..loops import Temporary, reduction_loop
from ..ops import Contraction, Op, Reduction
from ..sizes import Sizes
from .assumed import BLOCKS
from .costs import at_rows, blocks_for, count_of
from .kinds import Each, Phase, Product, Together
from .products import tiled

IN_PRODUCT, IN_SUM = 64, 1024  # what a part sums up at least: a few stages of a tile; a few numbers of each thread
WORTH = 4  # parts: fewer do not make up for the wait before they are added up


def split_product(op: Contraction, sizes: Sizes, temporary: Temporary) -> Iterator[Phase]:
    """A product in tiles; in parts and their sums where its tiles are few and its sums long."""
    found = tiled(op, sizes, TILES)
    most = count_of(op.bound, op, sizes) // IN_PRODUCT
    if found.added:
        most = min(most, at_rows(found.added[0].extent, sizes))
    count = _parts(blocks_for(Product(op), sizes), most)
    if count == 1:
        yield Product(op)
        return
    part, target = _target(op, count, temporary)
    divided = replace(op, target=target, space=((part, Integer(count)), *op.space), batch=(part, *op.batch))
    yield Product(divided, part=part)
    yield _added_up(op, target, part, count, temporary)


def split_sum(op: Reduction, sizes: Sizes, temporary: Temporary) -> Iterator[Phase]:
    """A sum that blocks compute together; in parts and their sums where there are few of much."""
    extents = dict(op.space)
    free = tuple((index, extents[index]) for index in op.free)
    bound = tuple((index, extents[index]) for index in op.bound)
    count = parts_of_sum(count_of(op.bound, op, sizes), count_of(op.free, op, sizes))
    if count == 1:
        yield Together(op.target, op.body, free, bound, op.equation)
        return
    part, target = _target(op, count, temporary)
    yield Together(target, op.body, ((part, Integer(count)), *free), bound, op.equation, part)
    yield _added_up(op, target, part, count, temporary)


def parts_of_sum(length: int, sums: int = 1) -> int:
    """In how many parts a few sums of some length each are divided."""
    return _parts(sums, length // IN_SUM)


def _parts(blocks: int, most: int) -> int:
    """In how many parts, `most` at most, sums are divided that `blocks` blocks would compute."""
    count = min(BLOCKS // blocks, most)
    return count if count >= WORTH else 1


def _target(op: Op, count: int, temporary: Temporary) -> tuple[Any, Expr]:
    """The index of the parts, and the element that holds one."""
    part, extents = Dummy("part", integer=True), dict(op.space)
    return part, temporary("parts", {part: Integer(count), **{index: extents[index] for index in op.free}}, op.equation)


def _added_up(op: Op, parts: Expr, part: Any, count: int, temporary: Temporary) -> Phase:
    extents = dict(op.space)
    free = tuple((index, extents[index]) for index in op.free)
    if not free:
        return Together(op.target, parts, (), ((part, Integer(count)),), op.equation)
    total = Reduction(op.target, parts, (*free, (part, Integer(count))), op.equation, (part,))
    return Each(free, (reduction_loop(total, op.target, op.free, [part], temporary, {}),))
