"""Ops → phases (`kinds`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from sympy import Integer, Mul

from ..loops import Temporary, limits_of, reduction_loop
from ..nests import Set
from ..ops import Contraction, Op, Reduction, Scan, Steps
from ..sizes import Sizes
from .costs import count_of
from .kinds import Each, Phase, Product, TimeSteps, Together
from .scatters import scatter, scatter_by_block
from .split import split_product, split_sum
from .steps import of_step

FEW, MUCH = 1024, 32  # fewer sums than that, each of more than that, are worth a block each
LEAST = 256  # numbers of a product that are worth tiles


def phases_of(
    steps: Sequence[Steps],
    sizes: Sizes,
    temporary: Temporary,
    *,
    in_time: bool = False,
    by_block: bool = False,
    fast_scatter: bool = False,
) -> list[Phase]:
    """The phases of the ops of one function, or `in_time` of one step of time, as they are before they are fused.

    With `by_block`, as one block does them by itself: no tiles, which are for large products, and no parts.
    """
    if by_block:
        return [phase for op in steps for phase in _by_block(op, sizes, temporary)]
    return [phase for step in steps for phase in _phases(step, sizes, temporary, in_time, fast_scatter)]


def _by_block(op: Any, sizes: Sizes, temporary: Temporary) -> Iterator[Phase]:
    if not isinstance(op, Reduction):
        yield _pointwise(op)
    elif op.is_scatter:
        yield from scatter_by_block(op, sizes)
    elif op.kind == "sum" and not op.free and not _is_short(op):
        extents = dict(op.space)
        yield Together(op.target, op.body, (), tuple((index, extents[index]) for index in op.bound), op.equation)
    else:
        yield _sums(op, temporary)


def _phases(op: Any, sizes: Sizes, temporary: Temporary, in_time: bool, fast_scatter: bool) -> Iterator[Phase]:
    if isinstance(op, Scan):
        phases = phases_of(op.ops, sizes, temporary, in_time=True, fast_scatter=fast_scatter)
        yield TimeSteps(op.time, op.length, op.step, tuple(of_step(phases, op.time, sizes)))
        return
    if isinstance(op, Contraction):
        if _is_worth_tiles(op, sizes):
            yield from [Product(op)] if in_time else split_product(op, sizes, temporary)
            return
        op = Reduction(op.target, Mul(op.left, op.right, *op.when), op.space, op.equation, op.bound)
    if not isinstance(op, Reduction):
        yield _pointwise(op)
    elif op.is_scatter:
        yield from scatter(op, sizes, is_fast=fast_scatter)
    elif op.kind == "sum" and _is_much(op, sizes):
        yield from split_sum(op, sizes, temporary)
    else:
        yield _sums(op, temporary)


def _sums(op: Reduction, temporary: Temporary) -> Each:
    """A thread's sum, or maximum, at each point."""
    extents = dict(op.space)
    limits, op = limits_of(op, [*op.free, *op.bound])
    body = reduction_loop(op, op.target, op.free, op.bound, temporary, limits)
    return Each(tuple((index, extents[index]) for index in op.free), (body,))


def _pointwise(op: Op) -> Each:
    """Each element by itself; an index of one value is that value."""
    one = {index: Integer(0) for index, extent in op.space if extent == 1}
    body = Set(op.target.xreplace(one), op.body.xreplace(one), op.equation)
    return Each(tuple(pair for pair in op.space if pair[0] not in one), (body,))


def _is_worth_tiles(op: Contraction, sizes: Sizes) -> bool:
    return bool(op.free) and count_of([*op.rows, *op.columns, *op.bound], op, sizes) >= LEAST


def _is_much(op: Reduction, sizes: Sizes) -> bool:
    return count_of(op.free, op, sizes) <= FEW and count_of(op.bound, op, sizes) > MUCH


def _is_short(op: Reduction) -> bool:
    count = prod((extent for index, extent in op.space if index in op.bound), start=Integer(1))
    return bool(count.is_Integer and count <= MUCH)
