"""The order in which terms and factors are written, and which factors stand above and below a fraction bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sympy
from sympy import (
    Add,
    Expr,
    Function,
    Integer,
    KroneckerDelta,
    Mod,
    Mul,
    Piecewise,
    Pow,
    Rational,
    Symbol,
    Tuple,
    floor,
)

from .binders import ArgMax, Binder, Max, binders, rename_free
from .guards import Guard
from .partial import Partial
from .positions import GuardGroup
from .ranges import within
from .tensors import Adjoint, Entry, Tensor, elements, indices_of, is_element, tensor_of

_ROLE_ORDER = {"parameter": 1, "state": 1, "adjoint": 2}
_SMALL = Rational(1, 100)  # a number below it is taken for the ε of σ² + ε


def common_guards(expr: Add) -> list[Expr]:
    """The terms of a sum, those that have the same guards as one: (f + g) [t ≥ 1]."""
    groups: dict[frozenset[Expr], list[Expr]] = {}
    for term in expr.args:
        guards = frozenset(factor for factor in Mul.make_args(term) if isinstance(factor, Guard))
        groups.setdefault(guards, []).append(term)
    out = []
    for guards, terms in groups.items():
        if not guards or len(terms) == 1:
            out += terms
            continue
        bare = [Mul(*(factor for factor in Mul.make_args(term) if factor not in guards)) for term in terms]
        out.append(Mul(*sorted(guards, key=sympy.default_sort_key), Add(*bare)))
    return out


class JointArgMax(Function):
    """``JointArgMax(positions, Max(f, …))``: one where the first maximum of f is at `positions`."""


def joint_maxima(factors: Iterable[Expr]) -> list[Expr]:
    """`factors` with [p = argmax_j max_k f(j, k)] [q = argmax_k f(p, k)] as one bracket, [(p, q) = argmax_j,k f]."""
    out = list(factors)
    for outer in [factor for factor in out if isinstance(factor, KroneckerDelta)]:
        position, found = _of_argmax(outer)
        if found is None or not isinstance(found.body, Max):
            continue
        inside, pairs = found.open()
        body, inner = inside.open()
        if len(inner) > 1:
            continue
        there = within(rename_free(body, {pairs[0][0]: position}), {})
        for other in out:
            place, candidate = _of_argmax(other)
            if candidate is not None and other != outer and candidate == ArgMax(there, *inner):
                joint = JointArgMax(Tuple(position, place), Max(body, *pairs, *inner))
                out = [joint if factor == outer else factor for factor in out if factor != other]
                break
    return out


def _of_argmax(factor: Expr) -> tuple[Any, ArgMax | None]:
    """The two sides of [p = argmax …]."""
    if isinstance(factor, KroneckerDelta):
        for one, other in (factor.args, factor.args[::-1]):
            if isinstance(other, ArgMax):
                return one, other
    return None, None


def order_terms(terms: Iterable[Expr]) -> list[Expr]:
    """Terms as written: positive ones first (a − y, 1 − a), of those sums first (Σ W x + b), penalties and ε last."""

    def rank(term: Expr) -> tuple[bool, bool, bool]:
        last = any(tensor_of(element).role == "constant" for element in elements(term))
        small = isinstance(term, Rational) and 0 < term < _SMALL
        return bool(term.as_coeff_Mul()[0].is_negative), bool(last or small), not any(binders(term))

    return sorted(terms, key=rank)


def order_factors(factors: Iterable[Expr], indices: Sequence[Symbol] = ()) -> list[Expr]:
    """Factors as written: scalars, differences, elements (by role), 1 − a, functions, conditions, sums.

    Elements of one role stand as the indices of the left side do, and what is read at another step (t − 1) stands
    beside the guard.
    """

    def shifted(element: Expr) -> bool:
        return any(isinstance(place, Add) and not place.has(floor, Mod) for place in indices_of(element))

    def rank(factor: Expr) -> tuple[Any, ...]:
        base = factor.base if isinstance(factor, Pow) else factor
        if isinstance(base, Guard | GuardGroup):
            return 6, 1
        if isinstance(base, Partial):
            return 8, 0
        if not base.has(Binder) and all(_is_scalar(tensor_of(element)) for element in elements(base)):
            plain_sum = isinstance(base, Add) and not any(term.is_number for term in base.args)
            return 0, 0 if not elements(base) else 1 if plain_sum else 3 if isinstance(base, Add) else 2
        if isinstance(base, Binder):
            return 7, 0
        if isinstance(base, Add):
            return (4, 0) if any(term.is_number for term in base.args) else (1, 0)
        if is_element(base):
            tensor = tensor_of(base)
            away = tuple(index not in indices_of(base) for index in indices) if tensor.rank > 2 else ()
            return 5 if shifted(base) else 2, _ROLE_ORDER.get(tensor.role, 3), away
        return (6, 0) if isinstance(base, Piecewise | KroneckerDelta | JointArgMax) else (5, 0)

    return sorted(factors, key=rank)


def _is_scalar(tensor: Tensor) -> bool:
    """Whether `tensor` is of rank 0 and no entry of another, nor the gradient by one."""
    return tensor.rank == 0 and not isinstance(tensor.of if isinstance(tensor, Adjoint) else tensor, Entry)


def above(factor: Expr, sizes: bool) -> bool:
    """Whether `factor` stands above a number or, with `sizes`, above the size of an axis: λ/B."""
    if is_element(factor):
        return sizes and tensor_of(factor).role == "constant" and not indices_of(factor)
    return not elements(factor) and not factor.has(Binder) and not isinstance(factor, GuardGroup)


def root_below(coefficient: Rational, top: list[Expr], bottom: list[Expr]) -> Rational:
    """Write √3/6 as 1/√12: the coefficient that is left, with the root moved from `top` to `bottom`."""
    for root in top:
        if isinstance(root, Pow) and root.exp == Rational(1, 2) and root.base.is_Integer:
            square = Rational(coefficient.q**2) / root.base
            if coefficient.q > 1 and square.q == 1:
                top.remove(root)
                bottom.append(Pow(square, Rational(1, 2), evaluate=False))
                return Integer(coefficient.p)
    return coefficient


def opposite(condition: Any) -> Any:
    """What holds where `condition` does not, as comparisons: i ≥ 3 for i < 3, both negated for one or the other."""
    return sympy.to_nnf(sympy.Not(condition), simplify=False)


def join_roots(top: list[Expr], bottom: list[Expr]) -> None:
    """Write √2/√π as √(2/π)."""
    roots = [
        [f for f in side if isinstance(f, Pow) and f.exp == Rational(1, 2) and f.is_number] for side in (top, bottom)
    ]
    if all(roots):
        for side, found in zip((top, bottom), roots, strict=True):
            for root in found:
                side.remove(root)
        inside = Mul(*(root.base for root in roots[0])) / Mul(*(root.base for root in roots[1]))
        top.insert(0, Pow(inside, Rational(1, 2), evaluate=False))
