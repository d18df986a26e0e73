"""Sums into places that data choose, as the gradient of rows that are looked up: a thread adds up in memory, in order.

What a thread adds to may be what it has just written, so each step of it waits for memory. Where there is much to add
to few places it is divided: parts lie in the workspace, and what is next adds them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import Dummy, Expr, Integer, Mul

from ...symbolic.tensors import indices_of, tensor_of
from ..loops import Temporary, reduction_loop, wrapped
from ..nests import AddTo, Set
from ..ops import Reduction, is_index
from ..sizes import Sizes
from .assumed import BLOCKS, THREADS
from .costs import count_of
from .kinds import Each, Phase

WORTH = 4  # parts: fewer do not make up for what it takes to clear them and to add them up
SHARE = 4  # numbers of all parts, at most as many times as there are terms


def scattered(op: Reduction, sizes: Sizes, temporary: Temporary) -> Iterator[Phase]:
    """Phases that clear the sums, add to them, and add up their parts, if they are divided."""
    extents = dict(op.space)
    own = {place for place in indices_of(op.target) if is_index(place) and place not in op.bound}
    space = tuple((index, extents[index]) for index in extents if index in own)
    inner = [index for index in extents if index not in own]
    shape = sizes.shape(op.tensor.shape)
    fresh = tuple(Dummy(letter, integer=True) for letter, _ in zip("pqrsuv", shape, strict=False))
    axes = dict(zip(fresh, shape, strict=True))
    longest, count = _divided(op, own, inner, sizes)
    if longest is None:
        yield Each(tuple(axes.items()), (Set(op.tensor[fresh], Integer(0), op.equation),))
        yield Each(space, (wrapped(inner, extents, (AddTo(op.target, op.body, op.equation),)),))
        return
    part, entry = Dummy("part", integer=True), Dummy(longest.name, integer=True)
    length = int(extents[longest])
    size = -(-length // count)
    parts: Expr = temporary("parts", {part: Integer(count), **axes}, op.equation)
    yield Each(((part, Integer(count)), *axes.items()), (Set(parts, Integer(0), op.equation),))
    moved: dict[Any, Any] = {longest: size * part + entry}
    target = tensor_of(parts)[(part, *indices_of(op.target.xreplace(moved)))]
    order = [entry if index == longest else index for index in inner]
    limits = {} if length == size * count else {entry: [length - 1 - size * part - entry]}
    body = AddTo(target, op.body.xreplace(moved), op.equation)
    loops = wrapped(order, {**extents, entry: Integer(size)}, (body,), limits)
    yield Each(((part, Integer(count)), *space), (loops,))
    total = Reduction(op.tensor[fresh], parts, (*axes.items(), (part, Integer(count))), op.equation, (part,))
    yield Each(tuple(axes.items()), (reduction_loop(total, total.target, fresh, [part], temporary, {}),))


def _divided(op: Reduction, own: set[Any], inner: list[Any], sizes: Sizes) -> tuple[Any, int]:
    """Which of the indices that are summed over is divided, and in how many parts; None and 1 if none is."""
    extents = dict(op.space)
    shape = sizes.shape(op.tensor.shape)
    fixed = [index for index in inner if extents[index].is_Integer]
    if not fixed or not all(size.is_Integer for size in shape):
        return None, 1
    longest = max(fixed, key=lambda index: int(extents[index]))
    length, terms, threads = int(extents[longest]), count_of(inner, op, sizes), count_of([*own], op, sizes)
    most = min(length, SHARE * terms * threads // int(Mul(*shape)), BLOCKS * THREADS // threads)
    if most < WORTH:
        return None, 1
    return longest, -(-length // -(-length // most))
