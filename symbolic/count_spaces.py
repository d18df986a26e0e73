"""The spaces of values: which indices a value has, and how many values they take where brackets hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import sympy
from sympy import Expr, Integer, KroneckerDelta, Mul, Rational, Symbol

from .binders import Binder, rename_free
from .guards import Guard
from .indices import Dim
from .ranges import is_never_negative
from .tensors import elements, indices_of, tensor_of

Indices = frozenset[Any]


class Limit(NamedTuple):
    """What a bracket says: for given `others`, `index` takes at most `width` values."""

    index: Symbol
    others: Indices
    width: Expr

    def settles(self, index: Any, space: Indices) -> bool:
        """Whether one value of `index` is left for each of what else is in `space`."""
        return index == self.index and self.width == 1 and self.others <= space


class Spaces:
    """The indices of one equation and how far they run.

    Attributes
    ----------
    extents : index → how many values it takes: those of the target, and of the binders that were entered
    """

    def __init__(self, extents: dict[Any, Expr]) -> None:
        self.extents = extents

    def enter(self, node: Binder) -> tuple[Expr, list[Any]]:
        """The body of a binder and its indices, which are known from now on."""
        body, pairs = node.open()
        self.extents.update(pairs)
        return body, [index for index, _ in pairs]

    def indices(self, node: Any) -> Indices:
        """The indices that `node` depends on."""
        return frozenset(symbol for symbol in node.free_symbols if symbol in self.extents)

    def size(self, indices: Iterable[Any], limits: Sequence[Limit]) -> Expr:
        """How many values the indices take together."""
        found = frozenset(indices)
        sizes = []
        for index in found:
            extent = self.extents[index]
            for limit in limits:
                if limit.index == index and limit.others <= found:
                    extent = _smaller(extent, limit.width)
            sizes.append(extent)
        return Mul(*sizes)

    def limited(self, factors: Sequence[Any], limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
        """`limits`, and what the brackets among `factors` say."""
        guards = [factor.args[0] for factor in factors if isinstance(factor, Guard)]
        for one, other in combinations(guards, 2):
            width = sympy.expand(one + other + 1)  # 0 ≤ e and 0 ≤ c - e
            if not self.indices(width):
                limits = self._limit(one, width, limits, list(self.extents))
        for factor in factors:
            if isinstance(factor, KroneckerDelta):
                limits = self._limit(factor.args[0] - factor.args[1], Integer(1), limits, [*self.extents][::-1])
        return limits

    def _limit(self, place: Expr, width: Expr, limits: tuple[Limit, ...], order: list[Any]) -> tuple[Limit, ...]:
        """The first index that `place` gives for the others, and that has fewer values so than without."""
        place = sympy.expand(place)
        for index in order:
            sign = place.coeff(index)
            if sign not in (1, -1) or (place - sign * index).has(index):
                continue
            limit = Limit(index, self.indices(place - sign * index), width)
            if limit in limits:
                return limits
            if _smaller(self.extents[index], width) != self.extents[index] and not _is_circular(limit, limits):
                return (*limits, limit)
        return limits

    def key(self, node: Any, limits: Sequence[Limit]) -> Any:
        """The same for all values that differ in the letters of their indices only."""
        found = self.indices(node)

        def uses(index: Any) -> Any:
            at = [
                (tensor_of(element).name, axis, str(place.xreplace({index: Symbol("*", integer=True)})))
                for element in elements(node)
                for axis, place in enumerate(indices_of(element))
                if place.has(index)
            ]
            return sorted((name, axis, place if place == "*" else "") for name, axis, place in at)

        ordered = sorted((index for index in self.extents if index in found), key=uses)
        names = {index: Symbol(f"at_{place}", integer=True) for place, index in enumerate(ordered)}
        return rename_free(node, names), *(self.extents[index] for index in ordered), self.size(found, limits)


def is_constant(node: Any) -> bool:
    """Whether `node` is made of sizes and numbers alone."""
    return all(isinstance(symbol, Dim) for symbol in node.free_symbols)


def _smaller(extent: Expr, width: Expr) -> Expr:
    """The smaller of two sizes; where that depends, a number, and else the extent."""
    if is_never_negative(extent - width):
        return width
    return width if isinstance(width, Rational) and not isinstance(extent, Rational) else extent


def _is_circular(limit: Limit, limits: Iterable[Limit]) -> bool:
    """Whether one of the indices that `limit` takes as given is itself given by its index."""
    reached, before = {limit.index}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {known.index for known in limits if known.others & reached}
    return bool(reached & limit.others)
