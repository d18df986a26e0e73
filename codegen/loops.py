"""Ops → loop nests, and the fusion of nests.

A nest is a tree of `Loop` and statements. Two neighbouring loops over the same range become one where everything that
the second reads of the first is read at the same place of the iteration; the same holds inside, level by level. So a
bias, an activation and the sum over rows of a gradient end in one loop, and a row of a softmax in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Indexed, Integer

from ..symbolic.equations import Equation
from ..symbolic.tensors import Tensor, elements, indices_of, tensor_of
from .ops import Contraction, Op, Reduction


@dataclass(frozen=True)
class Set:
    """``target = value``."""

    target: Expr
    value: Expr
    equation: Equation


@dataclass(frozen=True)
class Start:
    """Begin a reduction into a local variable: 0, or minus infinity; `Finish` ends it."""

    target: Expr
    kind: str
    equation: Equation


@dataclass(frozen=True)
class Step:
    """Take `value` into the local variable of `target`; `position` is where it stands, for the place of a maximum."""

    target: Expr
    kind: str
    value: Expr
    position: Expr
    equation: Equation


@dataclass(frozen=True)
class Finish:
    """The local variable of `target` holds the result from here on."""

    target: Expr
    equation: Equation


@dataclass(frozen=True)
class Clear:
    """Set the whole of a tensor to 0, before it is added to."""

    target: Tensor
    equation: Equation


@dataclass(frozen=True)
class AddTo:
    """``target += value`` in memory: the loop over what is summed is not the innermost."""

    target: Expr
    value: Expr
    equation: Equation


@dataclass(frozen=True)
class Dot:
    """A matrix product by the BLAS."""

    op: Contraction


@dataclass(frozen=True)
class Loop:
    """``for index in range(extent)``; `before` and `after` belong to it and stand outside."""

    index: Any
    extent: Expr
    body: tuple[Item, ...]
    before: tuple[Item, ...] = ()
    after: tuple[Item, ...] = ()


Item: TypeAlias = Set | Start | Step | Finish | Clear | AddTo | Dot | Loop
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
        body = (Loop(fresh, extents[index], tuple(_rename(item, {index: fresh}) for item in body)),)
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
    along = [places[-1] for element in op.reads if (places := indices_of(element))]
    candidates = [*bound, *free[-1:]]
    innermost = max(candidates, key=lambda index: along.count(index))
    extents = dict(op.space)
    rest = [index for index in (*free, *bound) if index != innermost]
    rest.sort(key=lambda index: (batch is None or extents[index] != batch, index in bound))
    return [*rest, innermost]


# ---- fusion ----------------------------------------------------------------------------------------------------


def fuse(items: Iterable[Item]) -> tuple[Item, ...]:
    """Merge loops with earlier ones where the order of computation allows, at every level."""
    done: list[Item] = []
    for item in items:
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
    read = set(map(tensor_of, reads(loop)))
    second_best = None
    for place in range(len(done) - 1, -1, -1):
        other = done[place]
        makes = bool(read.intersection(written(other)))
        if isinstance(other, Loop) and other.extent == loop.extent and _in_step(other, loop):
            if makes:
                return place
            if second_best is None and read.intersection(map(tensor_of, reads(other))):
                second_best = place
        if makes:
            break
    return second_best


def _in_step(first: Loop, second: Loop) -> bool:
    """Whether iteration i of `second` needs nothing of `first` but what its iteration i made."""
    targets = [target for item in statements(first) for target in _targets(item)]
    for element in reads(second):
        for target in targets:
            if tensor_of(target) == tensor_of(element):
                pairs = zip(indices_of(target), indices_of(element), strict=True)
                if not any(left == first.index and right == second.index for left, right in pairs):
                    return False
    return True


def _merge(first: Any, second: Any) -> Loop:
    renamed = _rename(second, {second.index: first.index})
    return replace(
        first,
        body=(*first.body, *renamed.body),
        before=(*first.before, *renamed.before),
        after=(*first.after, *renamed.after),
    )


# ---- looking at nests ------------------------------------------------------------------------------------------


def statements(item: Item) -> Iterator[Any]:
    """The statements of a nest, in order."""
    if isinstance(item, Loop):
        for part in (*item.before, *item.body, *item.after):
            yield from statements(part)
    else:
        yield item


def reads(item: Item) -> Iterator[Expr]:
    """The elements that a nest reads, one entry per place where one stands."""
    for statement in statements(item):
        if isinstance(statement, Dot):
            yield statement.op.left
            yield statement.op.right
        elif isinstance(statement, Set | Step | AddTo):
            yield from occurrences(statement.value)
            places = statement.target.indices if isinstance(statement.target, Indexed) else ()
            for place in places:
                yield from occurrences(place)


def occurrences(expr: Expr) -> Iterator[Expr]:
    """The elements in `expr`, those that index others included."""
    return iter(elements(expr))


def written(item: Item) -> Iterator[Tensor]:
    """The tensors that a nest writes."""
    for statement in statements(item):
        yield from (tensor_of(target) for target in _targets(statement))


def _targets(statement: Any) -> list[Any]:
    if isinstance(statement, Dot):
        return [statement.op.target]
    return [] if isinstance(statement, Clear) else [statement.target]


def equations_of(item: Item) -> list[Equation]:
    """The equations that a nest computes, in order, each once."""
    found: dict[int, Equation] = {}
    for statement in statements(item):
        equation = statement.op.equation if isinstance(statement, Dot) else statement.equation
        found.setdefault(id(equation), equation)
    return list(found.values())


def _rename(item: Any, names: Mapping[Any, Any]) -> Any:
    if isinstance(item, Loop):
        parts = {part: tuple(_rename(i, names) for i in getattr(item, part)) for part in ("body", "before", "after")}
        return replace(item, index=names.get(item.index, item.index), **parts)
    if isinstance(item, Dot | Clear):
        return item
    fields = {name: getattr(item, name).xreplace(names) for name in ("target", "value", "position") if hasattr(item, name)}
    return replace(item, **fields)
