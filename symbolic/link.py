"""The local derivative of one equation, as the chain rule states it: ∂L/∂U[p] gets Σ_o ∂L/∂T[o] ∂T[o]/∂U[p].

`adjoint` never needs it: there each reading of U is solved for o by itself. Here the readings are put together again,
for people (`report.stages`) to see the factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Add, Dummy, Expr, Integer, KroneckerDelta, Mul, Symbol

from .adjoint import partials, with_fresh_indices
from .binders import Sum, rename_free
from .equations import Equation
from .ranges import within
from .solve import Pairs, solve
from .tensors import Tensor, element_of, indices_of


@dataclass(frozen=True)
class Link:
    """How an equation, that of T, depends on a tensor U.

    Attributes
    ----------
    where : p, the indices of U
    at : o, the indices of T, in terms of p and of what is summed
    summed : the indices that the chain rule sums over, with their ranges
    local : ∂T[o]/∂U[p]
    readings : the elements of U as they stand in the equation
    """

    equation: Equation
    where: tuple[Symbol, ...]
    at: tuple[Expr, ...]
    summed: Pairs
    local: Expr
    readings: tuple[Expr, ...]


@dataclass(frozen=True)
class _Reading:
    element: Expr
    at: tuple[Expr, ...]
    summed: Pairs
    local: Expr


def link(equation: Equation, tensor: Tensor, where: tuple[Symbol, ...]) -> Link | None:
    """How `equation` depends on `tensor` at `where`; None if its derivative is 0."""
    found = _readings(equation, tensor, where)
    if not found:
        return None
    if len(found) == 1:
        return _made(equation, tensor, where, found, found[0].at, found[0].summed, found[0].local)
    at: list[Expr] = []
    summed: Pairs = []
    terms = [(reading.local, dict(reading.summed)) for reading in found]
    for axis, size in enumerate(equation.target.shape):
        letter = Dummy(f"o{axis}", integer=True)
        places = [reading.at[axis] for reading in found]
        if len(set(places)) == 1 and not any(places[0].has(index) for index, _ in found[0].summed):
            at.append(places[0])
            continue
        at.append(letter)
        summed.append((letter, size))
        for number, (place, (local, left)) in enumerate(zip(places, terms, strict=True)):
            if place in left:
                rest = {index: extent for index, extent in left.items() if index != place}
                terms[number] = rename_free(local, {place: letter}), rest
            else:
                terms[number] = local * KroneckerDelta(letter, place), left
    local = Add(*(Sum(body, *left.items()) for body, left in terms))
    return _made(equation, tensor, where, found, tuple(at), summed, local)


def _made(
    equation: Equation,
    tensor: Tensor,
    where: tuple[Symbol, ...],
    found: list[_Reading],
    at: tuple[Expr, ...],
    summed: Pairs,
    local: Expr,
) -> Link:
    ranges: dict[Any, Expr] = {**dict(zip(where, tensor.shape, strict=True)), **dict(summed)}
    readings = tuple(reading.element for reading in found)
    return Link(equation, where, at, summed, within(local, ranges), readings)


def _readings(equation: Equation, tensor: Tensor, where: tuple[Symbol, ...]) -> list[_Reading]:
    fresh, bound, body = with_fresh_indices(equation)
    value = element_of(equation.target, tuple(fresh.values()))
    back = {mark: index for index, mark in fresh.items()}
    found = []
    for element, partial, pairs in partials(body, value, Integer(1), bound, {tensor}):
        solved = solve(indices_of(element), where, pairs, dict(zip(where, tensor.shape, strict=True)))
        at = tuple(solved.values.get(index, index) for index in fresh.values())
        # What says where T is read is summed by the chain rule, not in the local derivative.
        summed = [pair for pair in solved.left if any(place.has(pair[0]) for place in at)]
        inner = [pair for pair in solved.left if pair not in summed]
        local = Sum(rename_free(partial, solved.values) * Mul(*solved.factors), *inner)
        found.append(_Reading(rename_free(element, back), at, summed, local))
    return found
