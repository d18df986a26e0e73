"""How the operands of a contraction lie in memory: what a step along each of its indices means in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sympy import Expr, Integer, Mod, expand, floor

from ..symbolic.tensors import elements, indices_of, is_element, tensor_of
from .ops import Contraction, is_index
from .sizes import Sizes


@dataclass(frozen=True)
class Axis:
    """One index of a contraction.

    Attributes
    ----------
    name : its letter; those of several that run on, with commas
    extent : how far it runs: a number, or a polynomial in the batch size
    left, right, target : how many numbers a step along it is in each operand; 0 where it does not stand
    """

    name: str
    extent: Expr
    left: Expr
    right: Expr
    target: Expr

    @property
    def steps(self) -> tuple[Expr, Expr, Expr]:
        return self.left, self.right, self.target

    @property
    def is_bound(self) -> bool:
        return self.target == 0


def is_strided(element: Any, indices: Iterable[Any]) -> bool:
    """Whether an element's place in memory is linear in `indices`: no label, quotient or remainder says where."""
    if not is_element(element) or tensor_of(element).classes is not None:
        return False
    known = set(indices)
    return all(_is_linear(place, known) for place in indices_of(element))


def _is_linear(place: Any, known: set[Any]) -> bool:
    if isinstance(place, Integer) or is_index(place):
        return True
    if elements(place):
        return False
    rest = expand(place)
    for index in known & rest.free_symbols:
        step = rest.coeff(index)
        if not step.is_Integer:
            return False
        rest = expand(rest - step * index)
    return not rest.free_symbols & known and not rest.has(floor, Mod)


def row_major(shape: Sequence[Any], sizes: Sizes) -> list[Expr]:
    """How many numbers a step along each axis is."""
    steps: list[Expr] = []
    step: Expr = Integer(1)
    for size in reversed(shape):
        steps.insert(0, step)
        step = expand(step * sizes.resolve(size))
    return steps


def lies(element: Expr, indices: Sequence[Any], sizes: Sizes) -> tuple[dict[Any, Expr], Expr]:
    """How many numbers a step along each of `indices` is in an element's tensor, and where it is when all are 0."""
    steps = dict.fromkeys(indices, Integer(0))
    start: Expr = Integer(0)
    places = indices_of(element)
    for place, size in zip(places, row_major(tensor_of(element).shape, sizes), strict=True):
        rest = expand(place)
        for index in indices:
            count = rest.coeff(index)
            steps[index] = expand(steps[index] + count * size)
            rest = expand(rest - count * index)
        start += rest * size
    return steps, expand(start)


def axes_of(op: Contraction, sizes: Sizes) -> list[Axis]:
    """The indices of one product, those whose loops stand around it left out; neighbours that run on are one.

    Of an op that sums over a half of the batch, the rows stay by themselves.
    """
    extents = dict(op.space)
    indices = [*op.rows, *op.columns, *op.bound]
    left, right, target = (lies(element, indices, sizes)[0] for element in (op.left, op.right, op.target))
    axes = [
        Axis(index.name, sizes.resolve(extents[index]), left[index], right[index], target[index]) for index in indices
    ]
    alone = None if op.half is None else sizes.batch
    return merged([axis for axis in axes if axis.extent != 1] or axes[:1], alone)


def merged(axes: Sequence[Axis], alone: Any = None) -> list[Axis]:
    """The same loops with as few axes as possible: where one begins again the next is a step on, both are one.

    An axis of the extent `alone` stays as it is.
    """
    made = list(axes)
    for outer in made:
        for inner in made:
            if (
                inner is outer
                or inner.is_bound != outer.is_bound
                or (alone is not None and alone in (inner.extent, outer.extent))
            ):
                continue
            pairs = zip(outer.steps, inner.steps, strict=True)
            if all(expand(step - inner.extent * small) == 0 for step, small in pairs):
                one = replace(inner, name=f"{outer.name},{inner.name}", extent=expand(outer.extent * inner.extent))
                return merged([one if axis is outer else axis for axis in made if axis is not inner], alone)
    return made


def at_batch(value: Expr, numbers: Mapping[Any, int]) -> int:
    """A size as a number."""
    return int(value.subs(numbers)) if value.free_symbols else int(value)
