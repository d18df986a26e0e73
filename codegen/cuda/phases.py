"""Ops → phases (`kinds`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sympy import Dummy, Integer, Mul

from ...symbolic.tensors import indices_of
from ..loops import Temporary, limits_of, reduction_loop, wrapped
from ..nests import AddTo, Set
from ..ops import Contraction, Op, Reduction, Scan, Steps, is_index
from ..sizes import Sizes
from .costs import count_of
from .kinds import Each, Phase, Product, TimeSteps
from .split import split_product, split_sum
from .steps import of_step

FEW, MUCH = 1024, 32  # fewer sums than that, each of more than that, are worth a block each
LEAST = 256  # numbers of a product that are worth tiles


def phases_of(steps: Sequence[Steps], sizes: Sizes, temporary: Temporary, *, in_time: bool = False) -> list[Phase]:
    """The phases of the ops of one function, or `in_time` of one step of time, as they are before they are fused."""
    return [phase for step in steps for phase in _phases(step, sizes, temporary, in_time)]


def _phases(op: Any, sizes: Sizes, temporary: Temporary, in_time: bool) -> Iterator[Phase]:
    if isinstance(op, Scan):
        phases = phases_of(op.ops, sizes, temporary, in_time=True)
        yield TimeSteps(op.time, op.length, op.step, tuple(of_step(phases, op.time, sizes)))
        return
    if isinstance(op, Contraction):
        if _is_worth_tiles(op, sizes):
            yield from [Product(op)] if in_time else split_product(op, sizes, temporary)
            return
        op = Reduction(op.target, Mul(op.left, op.right, *op.when), op.space, op.equation, op.bound)
    extents = dict(op.space)
    if not isinstance(op, Reduction):
        yield _pointwise(op)
    elif op.is_scatter:
        yield from _scatter(op, sizes)
    elif op.kind == "sum" and _is_much(op, sizes):
        yield from split_sum(op, sizes, temporary)
    else:
        limits, op = limits_of(op, [*op.free, *op.bound])
        body = reduction_loop(op, op.target, op.free, op.bound, temporary, limits)
        yield Each(tuple((index, extents[index]) for index in op.free), (body,))


def _pointwise(op: Op) -> Each:
    """Each element by itself; an index of one value is that value."""
    one = {index: Integer(0) for index, extent in op.space if extent == 1}
    body = Set(op.target.xreplace(one), op.body.xreplace(one), op.equation)
    return Each(tuple(pair for pair in op.space if pair[0] not in one), (body,))


def _scatter(op: Reduction, sizes: Sizes) -> Iterator[Phase]:
    """A sum into places that data choose, in order: a thread adds up what has its value of the other indices."""
    tensor = op.tensor
    shape = sizes.shape(tensor.shape)
    fresh = tuple(Dummy(letter, integer=True) for letter, _ in zip("pqrsuv", shape, strict=False))
    cleared = Set(tensor[fresh], Integer(0), op.equation)
    yield Each(tuple(zip(fresh, shape, strict=True)), (cleared,))
    own = {place for place in indices_of(op.target) if is_index(place) and place not in op.bound}
    extents = dict(op.space)
    inner = [index for index in extents if index not in own]
    body = wrapped(inner, extents, (AddTo(op.target, op.body, op.equation),))
    yield Each(tuple((index, extents[index]) for index in extents if index in own), (body,))


def _is_worth_tiles(op: Contraction, sizes: Sizes) -> bool:
    return bool(op.free) and count_of([*op.rows, *op.columns, *op.bound], op, sizes) >= LEAST


def _is_much(op: Reduction, sizes: Sizes) -> bool:
    return count_of(op.free, op, sizes) <= FEW and count_of(op.bound, op, sizes) > MUCH
