"""Elementwise phases joined with earlier ones that make what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr

from ...symbolic.tensors import indices_of, tensor_of
from ..nests import Loop, reads, rename, statements, targets
from ..sizes import Sizes
from .kinds import Each, Phase, Product, read_by, written_by
from .products import is_in_one


def fused(phases: Sequence[Phase], sizes: Sizes) -> list[Phase]:
    """Elementwise phases joined with earlier ones that make what they read, at the same points."""
    done: list[Phase] = []
    for phase in phases:
        place, made = _partner(done, phase, sizes) if isinstance(phase, Each) else (0, None)
        if made is None:
            done.append(phase)
        else:
            done[place] = made
    return done


def _partner(done: Sequence[Phase], phase: Each, sizes: Sizes) -> tuple[int, Phase | None]:
    """Which earlier phase a phase is joined with, and both as one."""
    for place in range(len(done) - 1, -1, -1):
        other = done[place]
        if read_by(phase) & written_by(other):
            return place, _joined(other, phase, sizes)
        if written_by(phase) & (read_by(other) | written_by(other)):
            break
    return 0, None


def _joined(first: Phase, phase: Each, sizes: Sizes) -> Phase | None:
    """Two phases as one, if a point of the second needs of the first no more than what that does at the same point."""
    if isinstance(first, Each):
        space, before = first.space, first.body
    elif isinstance(first, Product) and is_in_one(first.op, sizes):
        extents = dict(first.op.space)
        space = tuple((index, extents[index]) for index in first.op.free)
        before = () if first.after is None else first.after.body
    else:
        return None
    made = {target for item in before for s in statements(item) for target in targets(s)}
    made |= {first.op.target} if isinstance(first, Product) else set()
    names = _same_points(phase, space, made)
    if names is None or (isinstance(first, Product) and any(isinstance(item, Loop) for item in phase.body)):
        return None
    moved = tuple(rename(item, names) for item in phase.body)
    over = {tensor_of(target) for item in moved for s in statements(item) for target in targets(s)}
    if over & (read_by(first) | written_by(first)):
        return None
    tensors = set(map(tensor_of, made))
    if any(e not in made for item in moved for e in reads(item) if tensor_of(e) in tensors):
        return None
    body = Each(space, (*before, *moved))
    return replace(first, after=body) if isinstance(first, Product) else body


def _same_points(phase: Each, space: Sequence[tuple[Any, Expr]], made: set[Any]) -> dict[Any, Any] | None:
    """The indices of a phase → those of the points at which what it reads is made; None where they are others."""
    by_tensor = {tensor_of(element): indices_of(element) for element in made}
    for element in (e for item in phase.body for e in reads(item)):
        places = indices_of(element)
        if tensor_of(element) in by_tensor and len(set(places)) == len(places):
            names = dict(zip(places, by_tensor[tensor_of(element)], strict=True))
            extents = {names.get(index): extent for index, extent in phase.space}
            if len(names) == len(phase.space) == len(space) and extents == dict(space):
                return names
    return None
