"""Loop nests: trees of `Loop` and statements, and looking at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sympy import Expr, Indexed

from ..symbolic.equations import Equation
from ..symbolic.tensors import Tensor, elements, tensor_of
from .blocks import Blocks
from .ops import Contraction


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
    """Set the whole of a tensor to 0, before it is added to; with `axis`, the thread's part along that axis.

    With `half`, of what is summed up by halves of the batch, this half alone, which the first axis counts.
    """

    target: Tensor
    equation: Equation
    axis: int | None = None
    half: Any = None


@dataclass(frozen=True)
class AddTo:
    """``target += value`` in memory: the loop over what is summed is not the innermost.

    `is_atomic` where several threads may add to the same place at once.
    """

    target: Expr
    value: Expr
    equation: Equation
    is_atomic: bool = False


@dataclass(frozen=True)
class Dot:
    """A product in blocks of registers; the loops over its batch stand around it.

    `shared` names the axis of which each thread computes a part; "" for none. With `half`, the rows of that half of the
    batch alone are summed over.
    """

    op: Contraction
    blocks: Blocks
    shared: str = ""
    half: Any = None


@dataclass(frozen=True)
class Loop:
    """``for index in range(extent)``; `before` and `after` belong to it and stand outside.

    `limits` are expressions, linear in the index, that are at least 0 where the body is run; `step` is 1 or -1 for a
    loop over time, whose steps need each other, and 0 for one whose order does not matter. Of a loop that is shared
    each thread runs a part. `carries` are the tensors that a segment of time hands to the next; None for other loops:
    what stands in one over segments is as large as what stands outside of others, and is placed and shared as that is.
    `of_halves` is a loop over the halves of the batch, which threads share; a loop with a `half` runs over its rows.
    """

    index: Any
    extent: Expr
    body: tuple[Item, ...]
    before: tuple[Item, ...] = ()
    after: tuple[Item, ...] = ()
    limits: tuple[Expr, ...] = ()
    step: int = 0
    is_shared: bool = False
    carries: tuple[Tensor, ...] | None = None
    of_halves: bool = False
    half: Any = None


Item: TypeAlias = Set | Start | Step | Finish | Clear | AddTo | Dot | Loop


def statements(item: Item, *, starts: bool = True) -> Iterator[Any]:
    """The statements of a nest, in order; without `starts`, not those that only prepare a reduction."""
    if isinstance(item, Loop):
        for part in (*(item.before if starts else ()), *item.body, *item.after):
            yield from statements(part, starts=starts)
    else:
        yield item


def reads(item: Item) -> Iterator[Expr]:
    """The elements that a nest reads, one entry per place where one stands."""
    for statement in statements(item):
        if isinstance(statement, Dot):
            yield statement.op.left
            yield statement.op.right
        elif isinstance(statement, Set | Step | AddTo):
            yield from elements(statement.value)
            places = statement.target.indices if isinstance(statement.target, Indexed) else ()
            for place in places:
                yield from elements(place)


def read_anywhere(item: Item) -> Iterator[Expr]:
    """The elements that a nest reads, and those that say where to read and write."""
    for element in reads(item):
        yield element
        if isinstance(element, Indexed):
            for place in element.indices:
                yield from elements(place)


def written(item: Item) -> Iterator[Tensor]:
    """The tensors that a nest writes."""
    for statement in statements(item):
        yield from (tensor_of(target) for target in targets(statement))


def targets(statement: Any) -> list[Any]:
    """The element that a statement writes; none where it only prepares a tensor."""
    if isinstance(statement, Dot):
        return [statement.op.target]
    return [] if isinstance(statement, Clear) else [statement.target]


def equations_of(item: Item) -> list[Equation]:
    """The equations that a nest computes, in order, each once."""
    found: dict[int, Equation] = {}
    for statement in statements(item, starts=False):
        equation = statement.op.equation if isinstance(statement, Dot) else statement.equation
        found.setdefault(id(equation), equation)
    return list(found.values())


def paragraphs(items: Iterable[Item]) -> list[tuple[list[Item], list[Equation]]]:
    """Neighbours that work on the same equation, and the equations of each such group."""
    groups: list[tuple[list[Item], list[Equation]]] = []
    for item in items:
        equations = equations_of(item)
        known = {id(equation) for equation in groups[-1][1]} if groups else set()
        alone = any(
            isinstance(one, Loop) and one.carries is not None for one in (item, *(groups[-1][0] if groups else ()))
        )
        if alone or known.isdisjoint(map(id, equations)):
            groups.append(([item], equations))
        else:
            groups[-1][0].append(item)
            groups[-1][1].extend(equation for equation in equations if id(equation) not in known)
    return groups


def rename(item: Any, names: Mapping[Any, Any]) -> Any:
    """A nest with other loop indices."""
    if isinstance(item, Loop):
        parts: dict[str, Any] = {
            part: tuple(rename(i, names) for i in getattr(item, part)) for part in ("body", "before", "after")
        }
        limits = tuple(limit.xreplace(names) for limit in item.limits)
        half = names.get(item.half, item.half)
        return replace(item, index=names.get(item.index, item.index), limits=limits, half=half, **parts)
    if isinstance(item, Dot):
        op = item.op
        sides: dict[str, Any] = {
            name: getattr(op, name).xreplace(names) for name in ("target", "body", "left", "right")
        }
        op = replace(op, when=tuple(guard.xreplace(names) for guard in op.when), **sides)
        return replace(item, op=op, half=names.get(item.half, item.half))
    if isinstance(item, Clear):
        return replace(item, half=names.get(item.half, item.half))
    held = [name for name in ("target", "value", "position") if hasattr(item, name)]
    return replace(item, **{name: getattr(item, name).xreplace(names) for name in held})
