"""Equations → ops: binders become temporaries, sums of products matrix products, the rest loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Add, Expr, Indexed, KroneckerDelta, Mod, Mul, Symbol, floor

from ..symbolic.binders import ArgMax, Binder, Max, Sum, rename_free
from ..symbolic.equations import Equation
from ..symbolic.guards import Guard
from ..symbolic.ranges import axis_guard, within
from ..symbolic.recurrence import Recurrence, blocks
from ..symbolic.tensors import elements, indices_of, is_element, tensor_of
from .cut_sums import without_ends
from .digits import digits_of
from .lower_products import ProductLowering
from .ops import Extents, Pointwise, Reduction, is_index
from .safe_reads import guard_reads
from .stable import stabilise


class Lowering(ProductLowering):
    """Lowers the equations of one network in order; temporaries are shared between all that need them.

    See `Temporaries` for the parameters, and for what is made.
    """

    def add_all(self, equations: Iterable[Equation]) -> None:
        """Lower equations, those that need each other together."""
        listed = list(equations)
        self._definitions |= {equation.target: equation for equation in listed}  # as they are stored
        for block in blocks(listed):
            self.add(block)

    def add(self, block: Equation | Recurrence) -> None:
        """Lower one equation, or those of a recurrence."""
        if isinstance(block, Recurrence):
            self._recurrent = frozenset(block.axes)
            for equation in block.equations:
                self._time = block.time(equation)
                self._add(equation)
            self._time, self._recurrent = None, frozenset()
        else:
            self._add(block)

    def _add(self, equation: Equation) -> None:
        self._equation = equation
        space: Extents = dict(zip(equation.indices, equation.target.shape, strict=True))
        target = equation.lhs
        body = stabilise(equation.body.xreplace(self._constants), self._definitions)
        if body.has(Guard, floor, Mod):
            numbers = self.sizes.numbers
            ranges = {index: size.xreplace(numbers) for index, size in space.items()}
            body = within(body.xreplace(numbers), ranges)
            if self.strided and self._time is None and not isinstance(body, Binder):
                places, ranges = digits_of(body, ranges, self._fresh(space))
                if places:
                    space, target = ranges, target.xreplace(places)
                    body = within(rename_free(body, places), ranges)
            body = guard_reads(body, ranges, numbers)
        if isinstance(body, Binder) and all(body.has(index) for index in space):
            value = self._bind(body, space, target)
        else:
            value = self._plain(body, space)
        if value != target:
            self._emit(Pointwise(target, value, tuple(space.items()), equation))

    # ---- inside ----------------------------------------------------------------------------------------------

    def _plain(self, expr: Any, space: Extents) -> Any:
        """`expr` with every binder replaced by an element of a temporary."""
        if isinstance(expr, Binder):
            return self._bind(expr, space, None)
        if not expr.args or (is_element(expr) and not expr.has(Binder)):
            return expr
        if isinstance(expr, Indexed):
            return tensor_of(expr)[tuple(self._plain(place, space) for place in expr.indices)]
        return expr.func(*(self._plain(arg, space) for arg in expr.args)) if expr.has(Binder) else expr

    def _bind(self, node: Binder, space: Extents, into: Expr | None) -> Expr:
        """The value of a binder as an expression without binders; written to `into` if it needs no more work."""
        body, bound = self._open(node, space)
        if isinstance(node, Sum):
            if self.strided and not self.in_segments:
                body, bound = without_ends(body, bound, self.sizes)
            terms = Add.make_args(body)
            if len(terms) > 1 and any(self._product(term, space, bound) for term in terms):
                return Add(*(self._plain(Sum(term, *bound.items()), space) for term in terms))
            inside, outside, left = self._solve_deltas(body, bound, {**space, **bound})
            if outside or len(left) < len(bound):
                rest = Sum(Mul(*inside), *left.items()) if left else Mul(*inside)
                return self._plain(Mul(*outside), space) * self._plain(rest, space)
            factors = _independent(inside, left)
            if len(factors) > 1:
                return Mul(*(self._plain(factor, space) for factor in factors))
        free = self._free(node, space)
        known = self._recall(node, free)
        if known is not None:
            return known
        value = self._reduce(node, body, free, bound, into)
        if indices_of(value) == tuple(free):
            self._known[self._key(node, free)] = tensor_of(value)
        return value

    def _solve_deltas(self, body: Expr, bound: Extents, space: Extents) -> tuple[list[Expr], list[Expr], Extents]:
        """The factors under a sum, those that do not depend on it, and its indices, with Σ_k [k = e] f(k) = f(e)."""
        left = dict(bound)
        factors = list(Mul.make_args(body))
        for delta in [factor for factor in factors if isinstance(factor, KroneckerDelta)]:
            for index, other in (delta.args, delta.args[::-1]):
                if index in left and not other.has(index):
                    ranges = dict(zip(space, self.sizes.shape(space.values()), strict=True))
                    inside = within(axis_guard(other, left.pop(index)).xreplace(self.sizes.numbers), ranges)
                    factors.remove(delta)
                    factors = [rename_free(factor, {index: other}) for factor in factors]
                    # Other deltas may hold the index too, and are others now.
                    return self._solve_deltas(Mul(inside, *factors), left, space)
        # Guards stay with what they guard, on both sides.
        inside = [f for f in factors if any(f.has(index) for index in left) or (left and isinstance(f, Guard))]
        outside = [factor for factor in factors if factor not in inside]
        if outside:
            outside += [f for f in inside if isinstance(f, Guard) and not any(f.has(index) for index in left)]
        return inside, outside, left

    def _reduce(self, node: Binder, body: Expr, free: Extents, bound: Extents, into: Expr | None) -> Expr:
        space = {**free, **bound}
        if isinstance(node, Sum):
            scatter = self._scatter(body, free, bound, into)
            if scatter is not None:
                return scatter
            product = self._product(body, free, bound)
            if product is not None:
                return self._contract(product, body, space, free, into)
        known = self._recall(body, self._free(body, space))
        value = self._plain(body, space) if known is None else known
        if isinstance(node, ArgMax):
            size = Mul(*bound.values())
            target = self.temporary("argmax", free, self._equation, classes=size)
            return self._emit(Reduction(target, value, tuple(space.items()), self._equation, tuple(bound), "argmax"))
        kind = "max" if isinstance(node, Max) else "sum"
        target = self.temporary(kind, free, self._equation) if into is None else into
        return self._emit(
            Reduction(target, value, _order(target, space), self._equation, tuple(bound), kind)  # type: ignore[arg-type]
        )

    def _scatter(self, body: Expr, free: Extents, bound: Extents, into: Expr | None) -> Expr | None:
        """``T[v] = Σ_i [v = label[i]] f(i)`` as ``T[label[i]] += f(i)``."""
        for delta in [factor for factor in Mul.make_args(body) if isinstance(factor, KroneckerDelta)]:
            for index, label in (delta.args, delta.args[::-1]):
                if index in free and elements(label) and is_element(label) and any(label.has(b) for b in bound):
                    target = self.temporary("sum", free, self._equation) if into is None else into
                    others = [factor for factor in Mul.make_args(body) if factor != delta]
                    value = self._plain(rename_free(Mul(*others), {index: label}), {**free, **bound})
                    space = {i: size for i, size in {**bound, **free}.items() if i != index}
                    where = rename_free(target, {index: label})
                    op = Reduction(where, value, tuple(space.items()), self._equation, tuple(bound), "sum")
                    self._emit(op)
                    return target
        return None


def _independent(factors: list[Expr], bound: Extents) -> list[Expr]:
    """``Σ_k,l f(k) g(l)`` as the sums ``Σ_k f(k)`` and ``Σ_l g(l)``: what shares no index is summed by itself."""
    groups: list[tuple[set[Any], list[Expr]]] = []
    for factor in factors:
        own = {index for index in bound if factor.has(index)}
        joined = [group for group in groups if group[0] & own]
        merged = (own.union(*(group[0] for group in joined)), [m for group in joined for m in group[1]] + [factor])
        groups = [group for group in groups if group not in joined] + [merged]
    # A guard that has none of the indices holds for every sum.
    everywhere = [part for own, parts in groups for part in parts if not own and isinstance(part, Guard)]
    if everywhere:
        groups = [(own, parts + everywhere) for own, parts in groups if own]
    return [Sum(Mul(*parts), *((i, size) for i, size in bound.items() if i in own)) for own, parts in groups]


def _order(target: Expr, space: Extents) -> tuple[tuple[Symbol, Expr], ...]:
    """The free indices as the target has them, then the bound ones."""
    where = [place for place in indices_of(target) if is_index(place)]
    return tuple((index, space[index]) for index in [*where, *(i for i in space if i not in where)])
