"""Reads that stay inside: where a sum or a maximum is computed by itself, for all values of its free indices.

An equation multiplies what may leave an axis by guards. A binder in it becomes a temporary, which is computed before
the guards around it are looked at; so the elements in it are guarded themselves.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, Indexed, Mul

from ..symbolic.binders import Binder
from ..symbolic.guards import Guard
from ..symbolic.ranges import Ranges, bounds, is_never_negative
from ..symbolic.tensors import Tensor, is_element


def guard_reads(
    expr: Any, ranges: Ranges, numbers: Ranges, *, alone: bool = False, guards: tuple[Expr, ...] = ()
) -> Any:
    """`expr` with guards on every element in a binder that could leave its tensor.

    Parameters
    ----------
    ranges : the sizes of the free indices
    numbers : numbers for symbolic sizes
    alone : whether `expr` stands inside a binder
    guards : what is known to be at least 0 where it stands
    """
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        changed = guard_reads(body, {**ranges, **dict(pairs)}, numbers, alone=True)
        return expr if changed == body else expr.func(changed, *pairs)
    if isinstance(expr, Indexed):
        if expr.has(Binder):
            places = [guard_reads(place, ranges, numbers, guards=guards) for place in expr.indices]
            expr = expr.func(expr.base, *places)
        if not alone:
            return expr
        return Mul(expr, *(Guard(bound) for bound in _leaving(expr, ranges, numbers) if not _implied(bound, guards)))
    if not expr.args or isinstance(expr, Tensor | Guard) or is_element(expr):
        return expr
    if isinstance(expr, Mul):
        guards += tuple(factor.args[0] for factor in expr.args if isinstance(factor, Guard))
    changed = [guard_reads(arg, ranges, numbers, alone=alone, guards=guards) for arg in expr.args]
    return expr if list(expr.args) == changed else expr.func(*changed)


def _leaving(element: Indexed, ranges: Ranges, numbers: Ranges) -> list[Expr]:
    """What must be at least 0 for the element to be one, as far as its indices do not ensure it."""
    found = []
    for place, size in zip(element.indices, element.base.label.shape, strict=True):
        size = size.xreplace(numbers)
        # A plain index may run further than this axis, where a guard says so.
        if place.is_Integer or is_element(place) or (place in ranges and ranges[place].xreplace(numbers) == size):
            continue
        span = bounds(place, ranges)
        if span is None or not is_never_negative(span[0]):
            found.append(place)
        if span is None or not is_never_negative(size - 1 - span[1]):
            found.append(size - 1 - place)
    return found


def _implied(bound: Expr, guards: tuple[Expr, ...]) -> bool:
    return any(is_never_negative(bound - guard) for guard in guards)
