"""Ranges of index expressions: which guards always hold, which quotients are whole.

An index runs from 0 to its size less 1. From that, `bounds` gives the least and largest value of an affine expression
with quotients and remainders in it, and `within` simplifies an expression by what holds for all its indices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
from sympy import Add, Expr, Indexed, Integer, KroneckerDelta, Mod, Mul, Symbol, floor

from .binders import ArgMax, Binder
from .guards import Guard
from .tensors import Tensor, is_element

Ranges = Mapping[Any, Expr]  # index → size


def bounds(place: Expr, ranges: Ranges) -> tuple[Expr, Expr] | None:
    """The least and the largest value of `place`, expressions in sizes; None where they are not known."""
    low: Expr = Integer(0)
    high: Expr = Integer(0)
    for term in Add.make_args(sympy.expand(place)):
        factors = Mul.make_args(term)
        moving = [factor for factor in factors if _is_moving(factor, ranges)]
        rest = Mul(*(factor for factor in factors if factor not in moving))
        if not moving:
            low, high = low + term, high + term
            continue
        span = _atom(moving[0], ranges) if len(moving) == 1 else None
        if span is None or not (rest.is_nonnegative or rest.is_nonpositive):
            return None
        first, last = span if rest.is_nonnegative else span[::-1]
        low, high = low + rest * first, high + rest * last
    return sympy.expand(low), sympy.expand(high)


def _is_moving(factor: Expr, ranges: Ranges) -> bool:
    return any(isinstance(symbol, Symbol) and symbol in ranges for symbol in factor.free_symbols)


def _atom(node: Expr, ranges: Ranges) -> tuple[Expr, Expr] | None:
    if node in ranges:
        return Integer(0), ranges[node] - 1
    if isinstance(node, Mod) and not _is_moving(node.args[1], ranges):
        return Integer(0), node.args[1] - 1
    if isinstance(node, ArgMax):
        return Integer(0), node.limits[0][1] - 1
    if isinstance(node, floor):
        inner = bounds(node.args[0], ranges)
        return None if inner is None else (floor(inner[0]), floor(inner[1]))
    return None


def is_never_negative(size: Expr) -> bool:
    """Whether an expression in sizes is at least 0 for all sizes; False where that cannot be shown."""
    size = sympy.expand(size)
    if not all(symbol.is_nonnegative for symbol in size.free_symbols):
        return False
    if size.is_nonnegative or (len(size.free_symbols) > 1 and sympy.factor(size).is_nonnegative):
        return True
    whole = size.is_integer
    # ⌊y⌋ is at most y, and more than y less 1.
    for node in sorted(size.atoms(floor), key=sympy.default_sort_key):
        factor = size.coeff(node)
        if factor.is_negative:
            size = sympy.expand(size.xreplace({node: node.args[0]}))
        elif factor.is_positive:
            step = sympy.fraction(sympy.together(node.args[0]))[1]
            size = sympy.expand(size.xreplace({node: node.args[0] - (step - 1) / step}))
    # A whole number above -1 is at least 0.
    return bool(size.is_nonnegative or (whole and (size + 1).is_positive))


def always(guard: Guard, ranges: Ranges) -> bool | None:
    """Whether a guard is 1 for all values of its indices (True), 0 for all (False), or it depends (None)."""
    found = bounds(guard.args[0], ranges)
    if found is None:
        return None
    if is_never_negative(found[0]):
        return True
    return False if is_never_negative(-1 - found[1]) else None


def within(expr: Any, ranges: Ranges) -> Any:
    """`expr` with what holds wherever its indices are in `ranges`: guards dropped, quotients and remainders solved."""
    if not expr.args or not expr.has(Guard, floor, Mod, KroneckerDelta):
        return expr
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        changed = within(body, {**ranges, **dict(pairs)})
        return expr if changed == body else expr.func(changed, *pairs)
    if isinstance(expr, Guard):
        place = _whole(expr.args[0], ranges)
        guard = Guard(place)
        known = always(guard, ranges) if isinstance(guard, Guard) else None
        return guard if known is None else Integer(int(known))
    if isinstance(expr, floor | Mod) and not expr.atoms(Tensor):
        return _whole(expr, ranges)
    if isinstance(expr, Tensor):
        return expr
    if isinstance(expr, Indexed):
        places = [_whole(place, ranges) if not place.atoms(Tensor) else within(place, ranges) for place in expr.indices]
        return expr.func(expr.base, *places)
    if isinstance(expr, KroneckerDelta):
        if expr.atoms(Tensor):
            return expr.func(*(within(arg, ranges) if arg.atoms(Tensor) else _whole(arg, ranges) for arg in expr.args))
        one, other = (_whole(arg, ranges) for arg in expr.args)
        apart = bounds(one - other, ranges)
        if apart is not None and apart[0] == apart[1] == 0:  # the only position of an axis of length 1
            return Integer(1)
        return expr.func(one, other)
    changed = [within(arg, ranges) for arg in expr.args]
    if isinstance(expr, Mul):
        changed = _without_implied(changed)
    return expr.func(*changed)


def _whole(place: Any, ranges: Ranges) -> Any:
    """⌊(W h + w)/W⌋ as h, and (W h + w) mod W as w, where w is between 0 and W."""
    if not place.args or not place.has(floor, Mod):
        return place
    place = place.func(*(_whole(arg, ranges) for arg in place.args))
    if isinstance(place, Add | Mul):
        place = sympy.expand(place)
        for rest in sorted(place.atoms(Mod), key=sympy.default_sort_key):
            inner, step = rest.args
            whole = place.coeff(rest) * step * quotient(inner, step)
            if whole in place.args:
                return _whole(place - whole - place.coeff(rest) * (rest - inner), ranges)
    if isinstance(place, floor):
        top, step = sympy.fraction(sympy.together(place.args[0]))
        divided = divide(top, step, ranges)
        return _coarser(top, step, ranges) if divided is None else divided[0]
    if isinstance(place, Mod):
        divided = divide(place.args[0], place.args[1], ranges)
        return place if divided is None else divided[1]
    return place


def divide(top: Expr, step: Expr, ranges: Ranges) -> tuple[Expr, Expr] | None:
    """The quotient and remainder of `top` by `step` where both are affine, or None."""
    if step == 1:
        return top, Integer(0)
    whole: list[tuple[Expr, Expr]] = []
    rest: list[tuple[Expr, Expr]] = []
    for term in Add.make_args(sympy.expand(top)):
        ratio = sympy.cancel(term / step)
        (whole if sympy.fraction(ratio)[1] == 1 and _is_whole(ratio) else rest).append((term, ratio))
    remainder = Add(*(term for term, _ in rest))
    found = bounds(remainder, ranges)
    if found is None or not (is_never_negative(found[0]) and is_never_negative(step - 1 - found[1])):
        return None
    return Add(*(ratio for _, ratio in whole)), remainder


def _coarser(top: Expr, step: Expr, ranges: Ranges) -> Expr:
    """⌊(W t + w)/(H W)⌋ as ⌊t/H⌋, where w is between 0 and W."""
    moving = (term for term in Add.make_args(sympy.expand(top)) if _is_moving(term, ranges))
    for unit in dict.fromkeys(Mul(*(f for f in Mul.make_args(t) if not _is_moving(f, ranges))) for t in moving):
        whole = sympy.cancel(step / unit)
        if unit != 1 and sympy.fraction(whole)[1] == 1 and _is_whole(whole):
            divided = divide(top, unit, ranges)
            if divided is not None:
                return quotient(divided[0], whole)
    return quotient(top, step)


def quotient(top: Expr, step: Expr) -> Expr:
    """⌊top / step⌋, quotients of quotients joined."""
    if step == 1:
        return top
    if isinstance(top, floor):
        inner, more = sympy.fraction(sympy.together(top.args[0]))
        return floor(inner / (more * step))
    return floor(top / step)


def _is_whole(ratio: Expr) -> bool:
    return bool(ratio.is_integer)


def _without_implied(factors: list[Expr]) -> list[Expr]:
    """Of [e ≥ 0] and [e + 1 ≥ 0] only the first says something."""
    guards = [factor for factor in factors if isinstance(factor, Guard)]
    weaker = set()
    for one in guards:
        for other in guards:
            apart = sympy.expand(one.args[0] - other.args[0]) if one != other else None
            if apart is not None and is_never_negative(apart) and apart != 0:
                weaker.add(one)
    return [factor for factor in factors if factor not in weaker]


def axis_guard(place: Expr, size: Expr) -> Expr:
    """``[0 ≤ place < size]`` for a place that was solved for; a label or an ArgMax is known to be inside."""
    if is_element(place) or (isinstance(place, ArgMax) and place.limits[0][1] == size):
        return Integer(1)
    return Guard(place) * Guard(size - 1 - place)
