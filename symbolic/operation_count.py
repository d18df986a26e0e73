"""How many operations an equation takes, read off its expression, for symbolic sizes.

What is counted where:

- A value is computed once for every value of the indices that it has, and no other: what stands under a sum but does
  not depend on its index is computed outside, and values that differ in letters alone are computed once in an equation
  (the exponentials of a softmax above and below the bar, its normaliser once per row).
- n factors are n - 1 multiplications, those that depend on fewer indices first; n terms are n - 1 additions. A sum of
  n terms by an index is n additions (from 0), so that a multiply-add is 2. Of several indices those are summed first
  that the fewest factors need; what no factor shares is summed by itself. A division is 1, a power is by squaring.
- A named function, a root, a comparison is 1 of that function. A sign is free, and so is what sizes and numbers make.
- A bracket of positions is no operation, and what it multiplies is computed where it may be 1: for [0 ≤ p - 2k < 3] at
  three p for each k, for [j = y[i]] at one j for each i. A bracket that leaves each index all of its values is taken
  for 1 (padding that keeps the size), and so is one with one bound (the first step in time).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import sympy
from sympy import Add, Expr, Integer, KroneckerDelta, Mul, Piecewise, Pow, Symbol
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from .binders import Binder, Max, Sum
from .count_spaces import Indices, Limit, Spaces, is_constant
from .equations import Equation
from .errors import UnsupportedError
from .guards import Guard
from .held import held
from .tensors import Tensor, elements, indices_of, is_element, tensor_of


class Part(NamedTuple):
    """A factor or a term: the indices that it has, and whether it divides."""

    indices: Indices
    below: bool = False


@dataclass
class Count:
    """The operations of one equation.

    Attributes
    ----------
    flops : additions, subtractions, multiplications and divisions
    functions : name → how often it is computed
    reads : tensor → how many of its numbers are read
    """

    flops: Expr = sympy.S.Zero
    functions: dict[str, Expr] = field(default_factory=dict)
    reads: dict[Tensor, Expr] = field(default_factory=dict)


def count(equation: Equation) -> Count:
    """Count the operations of `equation`, over all of its target.

    Raises
    ------
    UnsupportedError
        If the expression holds something that is no operation on numbers.
    """
    counter = _Counter(dict(zip(equation.indices, equation.target.shape, strict=True)))
    counter.visit(equation.body, ())
    return counter.made


class _Counter(Spaces):
    def __init__(self, extents: dict[Any, Expr]) -> None:
        super().__init__(extents)
        self.made = Count()
        self.seen: set[Any] = set()

    def visit(self, node: Any, limits: tuple[Limit, ...]) -> None:
        """Count what `node` takes, for all values of its indices within `limits`, unless it is counted already."""
        if is_element(node):
            self._read(node, limits)
            return
        if is_constant(node) or isinstance(node, Symbol):
            return
        key = self.key(node, limits)
        if key in self.seen:
            return
        self.seen.add(key)
        if isinstance(node, Mul):
            limits = self.limited(node.args, limits)
            self._combine(self._parts(node.args, limits), limits)
        elif isinstance(node, Add):
            self._add(node, limits)
        elif isinstance(node, Pow):
            self._power(node, limits)
        elif isinstance(node, Sum):
            self._sum(*self.enter(node), limits)
        elif isinstance(node, Binder):
            body, _ = self.enter(node)
            while isinstance(node, Max) and isinstance(body, Max):
                body, _ = self.enter(body)  # one maximum over several indices
            self.visit(body, limits)
            self._call(type(node).__name__.lower(), self.indices(body), limits)
        elif isinstance(node, Guard | KroneckerDelta):
            self._inside(node, limits)
        elif isinstance(node, Relational):
            self._compare(node, limits)
        elif isinstance(node, Piecewise | Boolean | held | sympy.Tuple | ExprCondPair):
            for arg in node.args:
                self.visit(arg, limits)
        elif isinstance(node, sympy.Function):
            if elements(node) or not isinstance(node, sympy.floor | sympy.ceiling | sympy.Mod):
                for arg in node.args:
                    self.visit(arg, limits)
                self._call(type(node).__name__.lower(), self.indices(node), limits)
        else:
            raise UnsupportedError(f"the operations of {node}, of type {type(node).__name__}, cannot be counted")

    # ---- operations ------------------------------------------------------------------------------------------

    def _operate(self, indices: Iterable[Any], limits: Sequence[Limit], times: int = 1) -> None:
        self.made.flops += times * self.size(indices, limits)

    def _call(self, name: str, indices: Iterable[Any], limits: Sequence[Limit]) -> None:
        self.made.functions[name] = self.made.functions.get(name, Integer(0)) + self.size(indices, limits)

    def _combine(self, parts: list[Part], limits: Sequence[Limit]) -> Indices:
        """Multiply or add the parts, those of fewer indices first; return the indices of the result."""
        if parts and all(part.below for part in parts):
            parts = [Part(frozenset()), *parts]  # 1 over them
        parts = list(parts)
        while len(parts) > 1:
            one, other = min(combinations(parts, 2), key=lambda pair: len(pair[0].indices | pair[1].indices))
            parts.remove(one)
            parts.remove(other)
            both = one.indices | other.indices
            self._operate(both, limits)
            parts.append(Part(both, one.below and other.below))
        return parts[0].indices if parts else frozenset()

    def _parts(self, factors: Iterable[Any], limits: tuple[Limit, ...]) -> list[Part]:
        """The factors that are multiplied, each counted by itself; brackets are none, and constants are one."""
        parts = []
        constant: Expr = Integer(1)
        for factor in factors:
            if is_constant(factor):
                constant *= factor
            elif isinstance(factor, Guard | KroneckerDelta):
                self.visit(factor, limits)
            else:
                below = isinstance(factor, Pow) and factor.exp.is_Rational and factor.exp < 0
                self.visit(1 / factor if below else factor, limits)
                parts.append(Part(self.indices(factor), below))
        return parts if abs(constant) == 1 else [Part(frozenset()), *parts]

    def _add(self, node: Add, limits: tuple[Limit, ...]) -> None:
        parts = []
        for term in node.args:
            if is_constant(term):
                continue
            self.visit(-term if term.as_coeff_Mul()[0].is_negative else term, limits)
            parts.append(Part(self.indices(term)))
        if len(parts) < len(node.args):
            parts.insert(0, Part(frozenset()))
        self._combine(parts, limits)

    def _power(self, node: Pow, limits: tuple[Limit, ...]) -> None:
        exponent = node.exp
        if exponent.is_Rational and exponent < 0:
            self.visit(1 / node, limits)
            self._operate(self.indices(node), limits)
            return
        self.visit(node.base, limits)
        if exponent.is_Rational and exponent.q in (1, 2):
            if exponent.q == 2:
                self._call("sqrt", self.indices(node), limits)
            times = int(exponent.p)
            self._operate(self.indices(node), limits, times.bit_length() + times.bit_count() - 2)
            return
        self.visit(exponent, limits)
        self._call("pow", self.indices(node), limits)

    def _sum(self, body: Expr, bound: list[Any], limits: tuple[Limit, ...]) -> None:
        """Sum by the indices that the fewest factors need first, and multiply by what has none of them last."""
        factors = Mul.make_args(body)
        limits = self.limited(factors, limits)
        parts = self._parts(factors, limits)
        brackets = [self.indices(factor) for factor in factors if isinstance(factor, Guard | KroneckerDelta)]
        left = list(bound)
        while left:
            # What is needed by the same factors is summed together.
            groups: dict[tuple[int, ...], list[Any]] = {}
            for index in left:
                groups.setdefault(tuple(at for at, part in enumerate(parts) if index in part.indices), []).append(index)

            def rank(needs: tuple[int, ...], parts: list[Part] = parts) -> tuple[int, int]:
                return len(frozenset[Any]().union(*(parts[at].indices for at in needs))), len(needs)

            needs = min(groups, key=rank)
            group = groups[needs]
            near = [bracket for bracket in brackets if bracket & frozenset(group)]
            self._combine([parts[at] for at in needs], limits)
            space = frozenset(group).union(*(parts[at].indices for at in needs), *near)
            alone = all(any(limit.settles(index, space) for limit in limits) for index in group)
            if not alone:
                self._operate(space, limits)
            brackets = [bracket for bracket in brackets if bracket not in near]
            result = [Part(space - frozenset(group))] if needs or not alone else []
            parts = [part for at, part in enumerate(parts) if at not in needs] + result
            left = [index for index in left if index not in group]
        self._combine(parts, limits)

    def _compare(self, node: Relational, limits: tuple[Limit, ...]) -> None:
        if not elements(node):
            return  # of positions
        for arg in node.args:
            self.visit(arg, limits)
        self._call("compare", self.indices(node), limits)

    # ---- reading ---------------------------------------------------------------------------------------------

    def _read(self, element: Expr, limits: tuple[Limit, ...]) -> None:
        tensor = tensor_of(element)
        plain: set[Any] = set()
        size: Expr = Integer(1)
        for place, axis in zip(indices_of(element), tensor.shape, strict=True):
            if place in self.extents:
                plain.add(place)
            elif elements(place) or place.has(Binder):
                plain |= self.indices(place)  # one entry for each label
                self._inside(place, limits)
            elif self.indices(place):
                size *= axis
        size *= self.size(plain, limits)
        # Of two ways to read a tensor, neither says how much of it both reach: at most all of it.
        known = self.made.reads.setdefault(tensor, size)
        if known != size:
            self.made.reads[tensor] = Mul(*tensor.shape)

    def _inside(self, place: Any, limits: tuple[Limit, ...]) -> None:
        """What data a position needs; arithmetic of positions is free."""
        if is_element(place) or isinstance(place, Binder):
            self.visit(place, limits)
            return
        for arg in place.args:
            self._inside(arg, limits)
