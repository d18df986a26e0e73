"""How long a training takes in which blocks do all that is small for themselves, and the quickest way to divide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, prod
from typing import Any

from ...symbolic.tensors import Tensor, tensor_of
from ..ops import Op
from ..plan import Plan
from ..sizes import Sizes
from .assumed import STATEMENT, WAIT
from .block_ops import gradients_of
from .costs import at_rows
from .divided import Division, Parts, divisions

SHARED = 48 * 1024  # bytes that a block has without asking at the launch
MOST_HELD = SHARED // 2  # bytes that the parameters of every block may take, with gradients and states
COPIED = 64  # numbers of a row of data: rows of no more are copied
MOST_PARTS = 64
MEETING, ENTRY = 100, 12  # cycles, rounded: a wait for a block's threads; an entry of a sum
WORTH = 1.5  # times as long one block takes alone before others are asked, who have to be waited for
UNEVEN = 1.1  # times as long take parts of two lengths, which are no constants
FROM_AFAR = 16  # numbers that come to a block from global memory in a cycle


@dataclass(frozen=True)
class Work:
    """What an op does: numbers for the cost model.

    Attributes
    ----------
    free, bound : index → how far it runs
    far : data that are read where they are, and how many numbers they have
    """

    free: Mapping[Any, int]
    bound: Mapping[Any, int]
    far: Mapping[Tensor, int]

    @classmethod
    def of(cls, op: Op, sizes: Sizes) -> Work:
        extents = {index: at_rows(extent, sizes) for index, extent in op.space}
        far = {tensor for tensor in map(tensor_of, op.reads) if is_far(tensor, sizes)}
        return cls(
            {index: extents[index] for index in op.free},
            {index: extents[index] for index in op.bound},
            {tensor: _count(tensor.shape, sizes) for tensor in far},
        )


def chosen(
    ops: Sequence[Op], plan: Plan, threads: int, only: Division | None = None, most: int | None = None
) -> tuple[float, Parts | None]:
    """The quickest way to divide a training, and how many cycles a step takes then, about.

    With `only`, of the ways to divide it so in parts of `most` at most.
    """
    sizes, gradients = plan.sizes, gradients_of(plan)
    work = [Work.of(op, sizes) for op in ops]
    lengths = {parameter: _count(parameter.shape, sizes) for parameter in gradients}

    def cycles(parts: Parts | None) -> float:
        return _cycles(work, parts, lengths, plan, threads)

    alone = inf if only else cycles(None)
    best: tuple[float, Parts | None] = (alone, None)
    for division in [only] if only else divisions(ops, gradients, sizes):
        counts = range(2, min(MOST_PARTS, division.length) + 1)
        found = dict.fromkeys(ceil(division.length / count) for count in counts)
        for size in (size for size in found if most is None or size <= most):
            parts = Parts.of(division, size)
            best = min(best, (cycles(parts), parts), key=lambda pair: pair[0])
    return best if alone > WORTH * best[0] else (alone, None)


def _cycles(
    work: Sequence[Work], parts: Parts | None, lengths: Mapping[Tensor, int], plan: Plan, threads: int
) -> float:
    axes = {} if parts is None else parts.division.axes
    each = 2 + len(plan.layout.state)
    changed = sum(length for parameter, length in lengths.items() if parameter not in axes)
    if changed * each * _bytes(plan) > MOST_HELD:
        return inf
    total = 0.0
    for place, one in enumerate(work):
        index = parts.division.indices.get(place) if parts else None
        # Where nothing is divided along an index, `own` is empty.
        own = {index: parts.size} if parts and index is not None else {}
        points = prod(own.get(at, count) for at, count in one.free.items())
        length = prod(own.get(at, count) for at, count in one.bound.items())
        total += _sum_cycles(points, length, threads)
        total += sum(count for tensor, count in one.far.items() if tensor not in axes) / FROM_AFAR
        if parts and index in one.bound:
            total += WAIT + _sum_cycles(points, parts.count, threads) + points * parts.count / FROM_AFAR
    if parts:
        sliced = [length for parameter, length in lengths.items() if parameter in axes]
        changed += sum(length // parts.division.length * parts.size for length in sliced)
        total *= 1 if parts.own == parts.size else UNEVEN
    return total + MEETING + ceil(changed / threads) * STATEMENT * each


def is_far(tensor: Tensor, sizes: Sizes) -> bool:
    """Whether an op reads rows of data where they are, in global memory: they are long, and not divided."""
    is_batched = tensor.role in ("input", "target") and tensor.rank and tensor.shape[0] == sizes.batch
    return bool(is_batched and _count(tensor.shape[1:], sizes) > COPIED)


def _sum_cycles(points: int, length: int, threads: int) -> float:
    """Of sums, so many and so long, by the threads of a block: one of each, or by the warps where there are few."""
    alone = MEETING + ceil(points / threads) * (STATEMENT + length * ENTRY)
    return min(alone, MEETING + ceil(points * 32 / threads) * (4 * STATEMENT + ceil(length / 32) * ENTRY))


def _count(shape: Sequence[Any], sizes: Sizes) -> int:
    return prod((at_rows(size, sizes) for size in sizes.shape(shape)), start=1)


def _bytes(plan: Plan) -> int:
    return 4 if plan.real == "float32" else 8
