"""Solving ``place == position`` for the indices in `place`: Kronecker deltas are solved, never built.

``p = h + u - 1`` gives h = p - u + 1 where that is in range (a convolution's flipped kernel, a shift in time);
``m = (c H + h) W + w`` gives the quotients and remainders of m (a reshape, pooling without overlap), and back;
``p = (h - u) mod n`` gives h = (p + u) mod n (a convolution around a circle). What remains (an index read from data, a
fixed position, what no rule is sure of) is left as a delta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key
from itertools import pairwise
from typing import Any, TypeAlias

import sympy
from sympy import Dummy, Expr, Integer, KroneckerDelta, Mod, Symbol, default_sort_key, floor

from .indices import Dim
from .ranges import Ranges, axis_guard, bounds, is_never_negative, quotient
from .tensors import Tensor, is_element

Pairs: TypeAlias = list[tuple[Symbol, Expr]]
Equations: TypeAlias = list[tuple[Expr, Expr]]  # place, position


@dataclass
class Solution:
    """What ``place == position`` says.

    Attributes
    ----------
    values : index → the expression that it is equal to
    left : the indices that stay summed, new ones included, with their sizes
    factors : guards and deltas under which the values hold
    """

    values: dict[Any, Expr] = field(default_factory=dict)
    left: Pairs = field(default_factory=list)
    factors: list[Expr] = field(default_factory=list)


def solve(places: Sequence[Expr], positions: Sequence[Expr], pairs: Pairs, ranges: Ranges) -> Solution:
    """Solve ``places == positions`` for the indices in `pairs`, each with its size; `ranges`: those of `positions`."""
    return _Solver(pairs, ranges).solve(list(zip(places, positions, strict=True)))


class _Solver:
    def __init__(self, pairs: Pairs, ranges: Ranges) -> None:
        self.ranges = ranges
        self.sizes: dict[Any, Expr] = dict(pairs)
        self.values: dict[Any, Expr] = {}
        self.factors: list[Expr] = []

    def solve(self, equations: Equations) -> Solution:
        waiting = equations
        for step in (self._plain, self._digits, self._split, self._mixed_radix, self._unit, self._divided):
            # Whatever a later rule solves may open the way for an earlier one, but none needs to be tried again:
            # each runs until it finds nothing.
            changed = True
            while changed:
                waiting = [(place.xreplace(self.values), position) for place, position in waiting]
                changed = step(waiting)
        for place, position in waiting:
            if place != position:
                self.factors.append(KroneckerDelta(position, place))
        left = [(index, size) for index, size in self.sizes.items() if index not in self.values]
        return Solution(self.values, left, self.factors)

    # ---- the rules, each of which takes an equation out of `waiting` and says whether it did ----------------------

    def _plain(self, waiting: Equations) -> bool:
        for pair in waiting:
            if self._is_open(pair[0]):
                waiting.remove(pair)
                self._set(pair[0], pair[1])
                return True
        return False

    def _digits(self, waiting: Equations) -> bool:
        """From ⌊e/m⌋ = P and e mod m = Q, e = P m + Q; where only one of the two is known, the other is summed over."""
        remainders = [pair for pair in waiting if isinstance(pair[0], Mod) and self._open_in(pair[0])]
        for pair in remainders:
            above = next((other for other in waiting if other[0] == quotient(*pair[0].args)), None)
            if above is not None:
                waiting.remove(above)
                self._join(waiting, pair, above[1])
                return True
        for pair in remainders:
            if self._turned(waiting, pair):
                return True
            quotients = self._new(*pair[0].args)
            if quotients is not None:
                self._join(waiting, pair, quotients)
                return True
        for pair in waiting:
            place = pair[0]
            if isinstance(place, floor) and self._open_in(place):
                inner, step = sympy.fraction(sympy.together(place.args[0]))
                rest = Dummy("r", integer=True)
                self.sizes[rest] = step
                waiting.remove(pair)
                waiting.append((inner, pair[1] * step + rest))
                return True
        return False

    def _turned(self, waiting: Equations, pair: tuple[Expr, Expr]) -> bool:
        """From (i + c) mod m = p, i = (p - c) mod m + m r; r runs over how often i goes around, if more than once."""
        (inner, step), position = pair[0].args, pair[1]
        index, sign = next((term for term in self._affine(inner) or () if abs(term[1]) == 1), (None, None))
        if index is None:
            return False
        rest = sympy.expand(inner - sign * index)
        value = position if rest == 0 and sign == 1 else Mod(sympy.expand(sign * (position - rest)), step)
        if not is_never_negative(step - self.sizes[index]):
            rounds = self._new(index, step)
            assert rounds is not None  # an index has a range
            value += step * rounds
        waiting.remove(pair)
        self.factors.append(axis_guard(position, step))
        self._set(index, value)
        return True

    def _join(self, waiting: Equations, pair: tuple[Expr, Expr], high: Expr) -> None:
        (inner, step), low = pair[0].args, pair[1]
        waiting.remove(pair)
        self.factors.append(axis_guard(low, step))
        waiting.append((inner, high * step + low))

    def _split(self, waiting: Equations) -> bool:
        """``k ⌊o/m⌋ + c = e``, where a quotient is one of several terms: o = m g + r, so that ⌊o/m⌋ is an index, g."""
        for place, _ in waiting:
            if place.atoms(Tensor):
                continue
            for node in sorted(place.atoms(floor), key=default_sort_key):
                index, step = sympy.fraction(sympy.together(node.args[0]))
                if self._is_open(index) and not self._open_in(step):
                    rest, high = Dummy("r", integer=True, nonnegative=True), self._new(index, step)
                    assert high is not None  # an index has a range
                    self.sizes[rest] = step
                    self._set(index, high * step + rest)
                    waiting[:] = [(_with_digits(place, index, step, high, rest), at) for place, at in waiting]
                    return True
        return False

    def _mixed_radix(self, waiting: Equations) -> bool:
        """``(c H + h) W + w = m``: the digits of m, where each index stays below the step of the next."""
        for pair in waiting:
            terms = self._affine(pair[0])
            if terms is None or (len(terms) == 1 and abs(terms[0][1]) == 1):
                continue
            order = self._radix_order(terms)
            if order is None:
                continue
            waiting.remove(pair)
            rest = sympy.expand(pair[1] - pair[0].xreplace(dict.fromkeys(dict(terms), Integer(0))))
            above = None
            for index, step in order:
                digit = quotient(rest, step)
                self._set(index, digit if above is None else Mod(digit, sympy.cancel(above / step)))
                above = step
            if above != 1:
                self.factors.append(KroneckerDelta(Mod(rest, above), 0))
            return True
        return False

    def _unit(self, waiting: Equations) -> bool:
        """An index that counts once: the outermost, so that a convolution's adjoint runs over its kernel."""
        for pair in waiting:
            for index, step in self._affine(pair[0]) or ():
                if abs(step) == 1:
                    waiting.remove(pair)
                    self._set(index, sympy.expand((pair[1] - pair[0] + step * index) * step))
                    return True
        return False

    def _divided(self, waiting: Equations) -> bool:
        """Any index, where what is left is a multiple of its step."""
        for pair in waiting:
            terms = [term for term in self._affine(pair[0]) or () if term[1].is_positive or term[1].is_negative]
            if not terms:
                continue
            index, step = min(terms, key=lambda term: (not term[1].is_Integer, term[1].is_Integer and abs(term[1])))
            sign = Integer(-1) if step.is_negative else Integer(1)
            rest = sympy.expand(sign * (pair[1] - pair[0] + step * index))
            waiting.remove(pair)
            self.factors.append(KroneckerDelta(Mod(rest, abs(step)), 0))
            self._set(index, quotient(rest, abs(step)))
            return True
        return False

    # ---- inside ----------------------------------------------------------------------------------------------

    def _is_open(self, place: Any) -> bool:
        return place in self.sizes and place not in self.values

    def _open_in(self, place: Expr) -> list[Any]:
        return [index for index in self.sizes if index not in self.values and place.has(index)]

    def _set(self, index: Any, value: Expr) -> None:
        self.values = {known: expr.xreplace({index: value}) for known, expr in self.values.items()}
        self.values[index] = value
        self.factors = [factor.xreplace({index: value}) for factor in self.factors]
        self.factors.append(axis_guard(value, self.sizes[index]))

    def _new(self, inner: Expr, step: Expr) -> Expr | None:
        """The quotients of `inner` by `step`: a new index, shifted if they may be negative; None if not known."""
        found = bounds(inner, {**self.ranges, **self.sizes})
        if found is None or any(not isinstance(symbol, Dim) for end in found for symbol in end.free_symbols):
            return None
        first = Integer(0) if is_never_negative(found[0]) else floor(found[0] / step)
        whole = sympy.cancel((found[1] + 1) / step)
        index = Dummy("r", integer=True)
        self.sizes[index] = (whole if whole.is_integer else floor(found[1] / step) + 1) - first
        return index + first

    def _affine(self, place: Expr) -> list[tuple[Any, Expr]] | None:
        """The open indices of an affine place with their factors, outermost first; None if it is not affine."""
        if is_element(place) or place.atoms(Tensor):
            return None
        terms = []
        for index in self._open_in(place):
            step = sympy.expand(place).coeff(index)
            if sympy.expand(place - step * index).has(index) or any(s in self.sizes for s in step.free_symbols):
                return None
            terms.append((index, step))
        return terms or None

    def _radix_order(self, terms: list[tuple[Any, Expr]]) -> list[tuple[Any, Expr]] | None:
        """The terms from the largest step down, if each index stays below the step above it."""
        if any(not step.is_positive for _, step in terms):
            return None
        order = sorted(terms, key=cmp_to_key(_largest_step_first))
        for (_, above), (index, below) in pairwise(order):
            whole = sympy.fraction(sympy.cancel(above / below))[1] == 1
            if above == below or not whole or not _at_least(above, below * self.sizes[index]):
                return None
        return order


def _largest_step_first(one: tuple[Any, Expr], other: tuple[Any, Expr]) -> int:
    return -1 if _at_least(one[1], other[1]) else 1


def _with_digits(place: Expr, index: Any, step: Expr, high: Expr, rest: Expr) -> Expr:
    """`place` at ``index = step high + rest``, its quotient and remainder by `step` replaced by what they are."""
    known = {floor(index / step): high, Mod(index, step): rest}
    return place.xreplace(known).xreplace({index: high * step + rest})


def _at_least(one: Expr, other: Expr) -> bool:
    return is_never_negative(sympy.cancel(one / other) - 1)
