"""Expressions at concrete indices and sizes: sums and maxima written out, guards and positions computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import sympy
from sympy import And, Expr, Indexed, Integer, KroneckerDelta, Mul, Piecewise, Symbol

from .binders import ArgMax, Max, Sum, plain_conditions
from .errors import UnsupportedError
from .guards import Guard
from .tensors import Tensor

Where = Mapping[Any, Expr]  # index → whole number
Position = tuple[int, ...]


class Expansion:
    """Writes expressions out.

    Parameters
    ----------
    entries : name of a tensor → position → what stands for the entry
    sizes : size → whole number
    """

    def __init__(self, entries: Mapping[str, Mapping[Position, Expr]], sizes: Mapping[Any, Expr]) -> None:
        self.entries, self.sizes = entries, sizes

    def at(self, node: Any, where: Where) -> Any:
        """`node` with whole numbers for its free indices.

        Raises
        ------
        UnsupportedError
            If an entry is read at a position that is neither a whole number nor one that data tell.
        """
        if isinstance(node, Tensor):
            return self.entries[node.name][()] if node.rank == 0 else node
        if isinstance(node, Symbol):
            return where.get(node, self.sizes.get(node, node))
        if not node.args:
            return node
        if isinstance(node, Indexed):
            return self._element(node, where)
        if isinstance(node, Sum):
            return sympy.Add(*(self.at(node.body, inner) for inner in self._inside(node, where)))
        if isinstance(node, Max | ArgMax):
            return self._largest(node, where)
        if isinstance(node, Mul):
            return self._product(node, where)
        if isinstance(node, KroneckerDelta):
            return _by_cases(KroneckerDelta, [self.at(arg, where) for arg in node.args])
        if isinstance(node, Piecewise):
            return plain_conditions(Piecewise(*((self.at(v, where), self.at(c, where)) for v, c in node.args)))
        return node.func(*(self.at(arg, where) for arg in node.args))

    def _inside(self, binder: Any, where: Where) -> Iterable[dict[Any, Expr]]:
        ranges = [range(int(extent.xreplace(self.sizes))) for _, extent in binder.limits]
        for values in product(*ranges):
            yield {**where, **{index: Integer(v) for (index, _), v in zip(binder.limits, values, strict=True)}}

    def _product(self, node: Mul, where: Where) -> Expr:
        """Guards first: where one is 0 nothing else is read."""
        guards = [self.at(factor, where) for factor in node.args if isinstance(factor, Guard)]
        if any(guard == 0 for guard in guards):
            return Integer(0)
        return Mul(*guards, *(self.at(factor, where) for factor in node.args if not isinstance(factor, Guard)))

    def _element(self, node: Indexed, where: Where) -> Expr:
        tensor = node.base.label
        known = self.entries[tensor.name]
        places = [sympy.expand(self.at(place, where)) for place in node.indices]
        if all(isinstance(place, Integer) for place in places):
            position = tuple(map(int, places))
            # Outside of the tensor: only under a guard that data decide, which is 0 there.
            return known.get(position, Integer(0))
        if any(place.atoms(Symbol) - place.atoms(Tensor) for place in places):
            raise UnsupportedError(f"{node}: the position {places} is neither a number nor read from data")
        sizes = [range(int(size.xreplace(self.sizes))) for size in tensor.shape]
        terms = []
        for position in product(*sizes):
            match = [_by_cases(KroneckerDelta, [Integer(p), q]) for p, q in zip(position, places, strict=True)]
            if all(delta != 0 for delta in match):
                terms.append(Mul(*match) * known[position])
        return sympy.Add(*terms)

    def _largest(self, node: Max | ArgMax, where: Where) -> Expr:
        """The first of the largest terms, by cases; or which it is."""
        places, terms = list(range(int(node.limits[0][1].xreplace(self.sizes)))), self._terms(node, where)
        if isinstance(node, Max):
            places = list(range(len(terms)))
        cases = []
        for place in places[:-1]:
            # Of those before it each is smaller than some later one, or its own case would hold.
            largest = And(*(terms[place] >= terms[other] for other in places[place + 1 :]))
            cases.append((terms[place] if isinstance(node, Max) else Integer(place), largest))
        last = terms[places[-1]] if isinstance(node, Max) else Integer(places[-1])
        return plain_conditions(Piecewise(*cases, (last, True)))

    def _terms(self, node: Max | ArgMax, where: Where) -> list[Expr]:
        """What the maximum is taken of; a maximum of maxima is one."""
        out = []
        for inner in self._inside(node, where):
            nested = isinstance(node, Max) and isinstance(node.body, Max)
            out += self._terms(node.body, inner) if nested else [self.at(node.body, inner)]
        return out


def _by_cases(function: Any, args: list[Any]) -> Expr:
    """`function` of arguments that may be cases, as cases of it."""
    for place, arg in enumerate(args):
        if isinstance(arg, Piecewise):
            branches = [(_by_cases(function, [*args[:place], v, *args[place + 1 :]]), c) for v, c in arg.args]
            return Piecewise(*branches)
    made: Expr = function(*args)
    return made
