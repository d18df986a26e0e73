"""Elementwise phases joined with earlier ones that make what they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Symbol

from ...symbolic.tensors import indices_of, tensor_of
from ..loops import wrapped
from ..nests import AddTo, Item, Loop, Set, Step, reads, rename, statements, targets
from ..sizes import Sizes
from .kinds import Each, Phase, Product, Sums, Together, is_of_other, made_by_everyone, points_of, read_by, written_by
from .order import Needs, in_order
from .products import is_in_one
from .sums import beside

SHORT = 128  # statements on a row that one thread does one after the other, so that nobody waits for them
Space: TypeAlias = Sequence[tuple[Any, Expr]]


def fused(phases: Sequence[Phase], sizes: Sizes, time: Symbol | None = None, short: int = SHORT) -> list[Phase]:
    """The phases in an order of few waits; elementwise ones joined with those that make what they read.

    With `time`, they are those of one of its steps. A thread does no more than `short` statements on a row one after
    the other.
    """
    done: list[Phase] = []
    needs = Needs(time=time)
    for phase in in_order(phases, time):
        place, made = 0, None
        if isinstance(phase, Each):
            place, made = _partner(done, needs, phase, sizes, short)
        elif isinstance(phase, Sums):
            place, made = _neighbour(done, needs, phase)
        if made is None:
            done.append(phase)
            needs.add(phase)
        else:
            done[place] = made
            needs.replace(place, made)
    return in_order(done, time)


def _partner(done: Sequence[Phase], needs: Needs, phase: Each, sizes: Sizes, short: int) -> tuple[int, Phase | None]:
    """Which earlier phase a phase is joined with, and both as one; what that waits for must not become more."""
    for place in range(len(done) - 1, -1, -1):
        other = done[place]
        if read_by(phase, needs.time) & written_by(other):
            if needs.level_of(phase, place) > needs.levels[place]:
                break
            return place, _joined(other, phase, sizes, needs.time, short)
        if written_by(phase) & (read_by(other, needs.time) | written_by(other)):
            break
    return 0, None


def _neighbour(done: Sequence[Phase], needs: Needs, phase: Sums) -> tuple[int, Phase | None]:
    """Which earlier sums are made beside those of a phase, and all as one; none of them needs any other."""
    level = needs.level_of(phase)
    for place, other in enumerate(done):
        if isinstance(other, Sums) and needs.levels[place] == level and (made := beside(other, phase)) is not None:
            return place, made
    return 0, None


def _joined(first: Phase, phase: Each, sizes: Sizes, time: Symbol | None, short: int) -> Phase | None:
    """Two phases as one, if a point of the second needs of the first no more than what that does at the same point."""
    if written_by(phase) & (read_by(first, time) | written_by(first)):
        return None
    if not isinstance(first, Each | Together | Product | Sums) or made_by_everyone(first):
        return None
    if not isinstance(first, Each):
        is_divided = not isinstance(first, Sums) and first.part is not None
        if is_divided or (isinstance(first, Product) and not is_in_one(first.op, sizes)):
            return None
        space, targets_of_sums, before = points_of(first)
        made = {*targets_of_sums, *_made(before)}
        names = _shared(phase, space, made, time)
        if names is None or not len(names) == len(space) == len(phase.space):
            return None
        moved = _renamed(phase.body, names)
        tensors = set(map(tensor_of, made))
        read = [e for item in moved for e in reads(item) if tensor_of(e) in tensors]
        is_at_hand = all(e in made or (time is not None and is_of_other(e, time)) for e in read)
        if not is_at_hand or any(isinstance(item, Loop) for item in moved):
            return None
        return replace(first, after=Each(space, (*before, *moved)))
    names = _shared(phase, first.space, set(_made(first.body)), time)
    return None if names is None else _in_rows(first, phase, names, short)


def _in_rows(first: Each, phase: Each, names: dict[Any, Any], short: int) -> Phase | None:
    """Both at the points of the indices that they share, `names`, each with loops over what it has besides."""
    rest = [pair for pair in first.space if pair[0] not in names.values()]
    own = [(Dummy(index.name, integer=True), extent) for index, extent in phase.space if index not in names]
    names = names | dict(zip((i for i, _ in phase.space if i not in names), (i for i, _ in own), strict=True))
    body = (*_looped(rest, first.body), *_looped(own, _renamed(phase.body, names)))
    if (rest or own) and (len(own) == len(phase.space) or sum(map(_work, body)) > short):
        return None
    return Each(tuple(pair for pair in first.space if pair not in rest), body)


def _work(item: Item) -> float:
    """How many statements one thread computes; infinitely many if it is not known or if they add up in memory."""
    if isinstance(item, Loop):
        inner = sum(map(_work, (*item.before, *item.body, *item.after)))
        return int(item.extent) * inner if item.extent.is_Integer else inf
    return inf if isinstance(item, AddTo) else isinstance(item, Set | Step)


def _looped(space: Space, items: Sequence[Item]) -> tuple[Item, ...]:
    return (wrapped([index for index, _ in space], dict(space), tuple(items)),) if space else tuple(items)


def _shared(phase: Each, space: Space, made: set[Expr], time: Symbol | None) -> dict[Any, Any] | None:
    """The indices of a phase → those of `space` that say, in all it reads, at which point that was made."""
    by_tensor: dict[Any, list[Expr]] = {}
    for element in made:
        by_tensor.setdefault(tensor_of(element), []).append(element)
    pairs: list[set[tuple[Any, Any]]] = []
    for element in (e for item in phase.body for e in reads(item) if time is None or not is_of_other(e, time)):
        for target in by_tensor.get(tensor_of(element), ()):
            pairs.append(set(zip(indices_of(element), indices_of(target), strict=True)))
    if not pairs:
        return None
    ours, theirs = dict(phase.space), dict(space)
    common = set.intersection(*pairs)
    names = {own: other for own, other in common if own in ours and other in theirs and ours[own] == theirs[other]}
    return names if len(set(names.values())) == len(names) else None


def _made(items: Sequence[Item]) -> Iterator[Expr]:
    return (target for item in items for s in statements(item) for target in targets(s))


def _renamed(items: Sequence[Item], names: dict[Any, Any]) -> tuple[Item, ...]:
    return tuple(rename(item, names) for item in items)
