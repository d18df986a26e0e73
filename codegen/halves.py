"""Sums over the batch in two halves, so that a thread sums up the rows that it has made itself.

What one core has written another reads slowly: it comes by way of a cache that both have, line by line. A weight's
gradient is a sum over all rows, of which each thread has made a part. So it is summed up for each half of the batch,
and the two are added: in one order, however many threads there are. With more than two, the threads of a half share
its work as they share that of a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from sympy import Dummy, Integer

from ..symbolic.guards import Guard
from ..symbolic.indices import Index
from ..symbolic.tensors import Tensor, indices_of, tensor_of
from .nests import Clear, Dot, Item, Loop, rename
from .ops import Contraction, Op, Pointwise, Reduction, tensors_read
from .sizes import Sizes
from .strides import at_batch

if TYPE_CHECKING:
    from .lower import Lowering
    from .schedule import Schedule

HALVES = Integer(2)
LEAST = 2**15  # numbers made in this step that a sum reads: fewer come from another core quickly enough
WORTH = 4  # how many of them for each number of the sum


def in_halves(schedule: Schedule, lowering: Lowering, sizes: Sizes, chosen: str | None) -> Sequence[Op]:
    """The ops of the backward pass; gradients that are long sums over the batch are sums over its halves.

    `chosen` is "halves" for all of them, "whole" for none, or None where the model chooses.
    """
    if chosen == "whole":
        return schedule.backward
    # What something else is made of is not made at the end.
    read = set(tensors_read([*schedule.backward, *schedule.advance, *schedule.assign]))
    gradients = set(schedule.gradients.values()) - read
    ops = [*schedule.forward, *schedule.loss, *schedule.backward]
    made = {op.tensor for op in ops if sizes.batch in sizes.shape(op.tensor.shape)}
    first: list[Op] = []
    last: list[Op] = []
    for op in schedule.backward:
        is_sum = op.tensor in gradients and _sums_over_rows(op, sizes)
        if not is_sum or (chosen is None and not _is_worth_it(op, made, sizes)):
            first.append(op)
            continue
        half = Index("half")
        space = dict(zip(op.equation.indices, sizes.shape(op.tensor.shape), strict=True))
        halves = tensor_of(lowering.temporary("halves", {half: HALVES, **space}, op.equation))
        del lowering.temporaries[halves]  # of another shape than what it is a part of, and not written in its place
        first.append(replace(op, target=halves[(half, *indices_of(op.target))], half=half))
        value = halves[(Integer(0), *space)] + halves[(Integer(1), *space)]
        last.append(Pointwise(op.tensor[tuple(space)], value, tuple(space.items()), op.equation))
    return first + last


def _sums_over_rows(op: Op, sizes: Sizes) -> bool:
    """Whether an op sums over the rows of the batch, once: of pairs of rows a half of each would leave some out."""
    rows = [index for index, extent in op.space if sizes.resolve(extent) == sizes.batch]
    if sizes.batch is None or not op.tensor.rank or len(rows) != 1 or rows[0] not in op.bound:
        return False
    # A guard on the row would limit the loop over it.
    if any(guard.has(rows[0]) for guard in op.body.atoms(Guard)):
        return False
    if isinstance(op, Contraction):
        return not op.when
    return isinstance(op, Reduction) and op.kind == "sum"


def _is_worth_it(op: Op, made: Collection[Tensor], sizes: Sizes) -> bool:
    numbers = {sizes.batch: sizes.rows}

    def length(tensor: Tensor) -> int:
        return prod(at_batch(size, numbers) for size in sizes.shape(tensor.shape))

    foreign = sum(length(tensor) for tensor in {tensor_of(element) for element in op.reads} if tensor in made)
    return foreign >= max(LEAST, WORTH * length(op.tensor))


def over_halves(item: Item, half: Any, batch: Any) -> Loop:
    """The loop over the halves around the nest of an op that sums over the rows of one."""
    index = Dummy("half", integer=True)
    return Loop(index, HALVES, (rename(_of_half(item, half, batch), {half: index}),), of_halves=True)


def _of_half(item: Any, half: Any, batch: Any) -> Any:
    """The nest with its loops over the batch, and what they need, marked."""
    if isinstance(item, Loop):
        parts: dict[str, Any] = {
            part: tuple(_of_half(inner, half, batch) for inner in getattr(item, part))
            for part in ("body", "before", "after")
        }
        return replace(item, half=half if item.extent == batch else None, **parts)
    return replace(item, half=half) if isinstance(item, Dot | Clear) else item
