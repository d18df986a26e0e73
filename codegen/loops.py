"""Ops → loop nests: the order of the loops, and where a reduction keeps what it has so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Integer

from ..symbolic.equations import Equation
from ..symbolic.tensors import indices_of
from .nests import AddTo, Clear, Dot, Finish, Item, Loop, Set, Start, Step, rename
from .ops import Contraction, Op, Reduction

Temporary: TypeAlias = Callable[[str, dict[Any, Expr], Equation], Expr]  # makes the element of a new tensor


def nest(op: Op, batch: Any, temporary: Temporary) -> Item:
    """The loops of one op; `batch` is the batch size, whose loop goes outside; `temporary` names partial sums."""
    if isinstance(op, Contraction):
        return Dot(op)
    extents = dict(op.space)
    order = loop_order(op, batch)
    if not isinstance(op, Reduction):
        return _wrap(order, extents, (Set(op.target, op.body, op.equation),))
    kept = [index for index in order if index not in op.bound]
    inner = order[len(kept) :]
    if op.is_scatter or order[: len(kept)] != kept:
        made = _wrap(order, extents, (AddTo(op.target, op.body, op.equation),))
        return replace(made, before=(Clear(op.tensor, op.equation),))
    return _wrap(kept, extents, (_reduce(op, op.target, kept, inner, temporary),))


def _wrap(order: Sequence[Any], extents: Mapping[Any, Expr], body: tuple[Item, ...]) -> Any:
    for index in reversed(order):
        fresh = Dummy(index.name, integer=True)
        body = (Loop(fresh, extents[index], tuple(rename(item, {index: fresh}) for item in body)),)
    return body[0]


def _reduce(op: Reduction, target: Expr, outer: Sequence[Any], bound: Sequence[Any], temporary: Temporary) -> Loop:
    """The loop over the first bound index; a sum over more gets a variable per level, which also rounds less."""
    extents = dict(op.space)
    index, inner = bound[0], bound[1:]
    if inner and op.kind == "sum":
        part = temporary("part", {i: extents[i] for i in (*outer, index)}, op.equation)
        body: tuple[Item, ...] = (
            _reduce(op, part, [*outer, index], inner, temporary),
            Step(target, "sum", part, Integer(0), op.equation),
        )
    else:
        position: Expr = Integer(0)
        for place in op.bound:
            position = position * extents[place] + place
        body = (Step(target, op.kind, op.body, position, op.equation),)
        for place in reversed(inner):
            body = (_wrap([place], extents, body),)
    made = _wrap([index], extents, body)
    return replace(made, before=(Start(target, op.kind, op.equation),), after=(Finish(target, op.equation),))


def loop_order(op: Op, batch: Any) -> list[Any]:
    """The order of the loops: the batch outside, inside the index along which most operands lie side by side."""
    free, bound = list(op.free), list(op.bound)
    if not isinstance(op, Reduction) or op.kind != "sum":
        return [*free, *bound]
    extents = dict(op.space)
    read = [indices_of(element) for element in op.reads if indices_of(element)]
    largest = max(map(len, read), default=0)
    along = [places[-1] for places in read if len(places) == largest]
    candidates = [*bound, *free[-1:]]
    innermost = max(candidates, key=lambda index: (along.count(index), extents[index] != batch))
    rest = [index for index in (*free, *bound) if index != innermost]
    rest.sort(key=lambda index: (batch is None or extents[index] != batch, index in bound))
    return [*rest, innermost]
