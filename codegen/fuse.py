"""Fusion of loop nests.

Two loops over the same range become one where everything that the second reads of the first is read at the same place
of the iteration; the same holds inside, level by level. So a bias, an activation and the sum over rows of a gradient
end in one loop, and a row of a softmax in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..symbolic.tensors import indices_of, tensor_of
from .nests import Dot, Item, Loop, reads, rename, statements, targets, written


def fuse(items: Iterable[Item]) -> tuple[Item, ...]:
    """Merge loops with earlier ones where the order of computation allows, at every level."""
    before: list[Item] = []
    done = list(items)
    # A merged loop may fit where its parts did not, so until nothing changes.
    while len(before) != len(done):
        before, done = done, []
        for item in before:
            place = _partner(done, item) if isinstance(item, Loop) else None
            if place is None:
                done.append(item)
            else:
                done[place] = _merge(done[place], item)
    return tuple(replace(item, body=fuse(item.body)) if isinstance(item, Loop) else item for item in done)


def _partner(done: Sequence[Item], loop: Loop) -> int | None:
    """Which earlier loop `loop` is merged with: one that makes what it reads, else one that reads the same.

    All that stands between must be independent of it.
    """
    read, own = set(map(tensor_of, reads(loop))), set(written(loop))
    second_best = None
    for place in range(len(done) - 1, -1, -1):
        other = done[place]
        makes = bool(read.intersection(written(other)))
        over = own.intersection(map(tensor_of, reads(other))) or own.intersection(written(other))
        if isinstance(other, Loop) and not over and _alike(other, loop) and _in_step(other, loop):
            if makes:
                return place
            if second_best is None and read.intersection(map(tensor_of, reads(other))):
                second_best = place
        if makes or over:
            break  # what is read must have been made, and what is written over must have been read
    return second_best


def _alike(one: Loop, other: Loop) -> bool:
    """Whether two loops run over the same range, all of it, in any order.

    A loop that sums over its steps stays apart from one that does not: threads share the steps of the other.
    """
    sums = [bool(loop.before or loop.after) for loop in (one, other)]
    apart = sums[0] != sums[1] and not one.extent.is_Integer
    if one.of_halves != other.of_halves or one.half != other.half or any(map(_holds_products_of_halves, (one, other))):
        return False
    return one.extent == other.extent and not (apart or one.limits or other.limits or one.step or other.step)


def _holds_products_of_halves(loop: Loop) -> bool:
    return loop.of_halves and any(isinstance(statement, Dot) for statement in statements(loop))


def _in_step(first: Loop, second: Loop) -> bool:
    """Whether iteration i of `second` needs nothing of `first` but what its iteration i made."""
    made = [target for item in statements(first) for target in targets(item)]
    for element in reads(second):
        for target in made:
            if tensor_of(target) == tensor_of(element):
                pairs = zip(indices_of(target), indices_of(element), strict=True)
                if not any(left == first.index and right == second.index for left, right in pairs):
                    return False
    return True


def _merge(first: Any, second: Any) -> Loop:
    renamed = rename(second, {second.index: first.index})
    return replace(
        first,
        body=(*first.body, *renamed.body),
        before=(*first.before, *renamed.before),
        after=(*first.after, *renamed.after),
    )
