"""Loops over neighbouring axes that are run through side by side: one long loop in the place of short ones.

A bias and an activation over the rows of an image need no rows: ``for q in range(784)`` fills vectors where 28 times
``for q in range(28)`` leaves most of every last one empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

from sympy import Dummy, Expr, Indexed

from ..symbolic.tensors import elements, indices_of, tensor_of
from .nests import AddTo, Loop, Set, Step, reads, targets


@dataclass(frozen=True)
class Run:
    """Loops as they are written: `indices`, of loops inside of each other, run through side by side as one.

    Attributes
    ----------
    indices : those of the loops, the outermost first
    extents : how far each runs
    inner : the innermost loop
    """

    indices: tuple[Any, ...]
    extents: tuple[Expr, ...]
    inner: Loop


def run_of(loop: Loop, shape: Callable[[Any], tuple[Expr, ...] | None]) -> Run | None:
    """The loops that `loop` begins and that are one run; None where it is one loop alone.

    Parameters
    ----------
    shape : the axes of a tensor that lies in a buffer of the module; None for another, whose rows may lie anywhere
    """
    chain = [loop]
    while len(chain[-1].body) == 1 and isinstance(chain[-1].body[0], Loop):
        chain.append(chain[-1].body[0])
    inner = chain[-1]
    if any(part.limits or part.step or part.is_shared or part.half is not None for part in chain):
        return None
    if any(part.before or part.after for part in chain[1:]):
        return None
    if not all(_is_simple(statement) for statement in inner.body):
        return None
    indices = tuple(part.index for part in chain)
    return Run(indices, tuple(part.extent for part in chain), inner) if _are_one(indices, chain, shape) else None


def _is_simple(statement: Any) -> TypeGuard[Set | Step | AddTo]:
    return isinstance(statement, Set | AddTo) or (isinstance(statement, Step) and statement.kind != "argmax")


def _are_one(indices: tuple[Any, ...], chain: list[Loop], shape: Callable[[Any], tuple[Expr, ...] | None]) -> bool:
    """Whether the indices stand in every element side by side, all of each axis but the first's, and nowhere else."""
    if len(indices) < 2:
        return False
    for statement in filter(_is_simple, chain[-1].body):
        found = [*reads(statement), *targets(statement)]
        for element in found:
            places = indices_of(element)
            if not any(place.has(*indices) for place in places):
                continue
            axes = shape(tensor_of(element))
            at = places.index(indices[0]) if indices[0] in places else None
            if axes is None or at is None or places[at : at + len(indices)] != indices:
                return False
            if any(place.has(*indices) for place in (*places[:at], *places[at + len(indices) :])):
                return False
            if any(axes[at + step] != part.extent for step, part in enumerate(chain) if step):
                return False
        value = statement.value
        rest = value.xreplace({element: Dummy() for element in elements(value)})
        if rest.has(*indices):
            return False
    return True


def flat_places(element: Expr, runs: dict[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The places of an element, those of a run together."""
    made: list[tuple[Any, ...]] = []
    places = indices_of(element) if isinstance(element, Indexed) else ()
    at = 0
    while at < len(places):
        run = runs.get(places[at], (places[at],))
        made.append(run)
        at += len(run)
    return made
