"""Sums that guards cut short: ``Σ_t<T [t ≥ 1] f(t)`` is ``Σ_t<T-1 f(t + 1)``, in which nothing is guarded.

So the gradient of a recurrent weight, Σ_t δ[t] h[t - 1], reads both operands where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Expr, Integer, Mul, expand

from ..symbolic.binders import rename_free
from ..symbolic.guards import Guard
from .ops import Extents
from .sizes import Sizes


def without_ends(body: Expr, bound: Extents, sizes: Sizes) -> tuple[Expr, Extents]:
    """The summand, and its indices with how far they run, without the guards on one index alone of a known size."""
    factors = list(Mul.make_args(body))
    ends: dict[Any, tuple[int, int]] = {}
    for guard in [factor for factor in factors if isinstance(factor, Guard)]:
        found = _end(guard.args[0].xreplace(sizes.numbers), bound, sizes)
        if found is not None:
            index, low, high = found
            first, last = ends.get(index, (0, int(sizes.resolve(bound[index])) - 1))
            ends[index] = (max(first, low), min(last, high))
            factors.remove(guard)
    if not ends or any(last < first for first, last in ends.values()):
        return body, bound
    moved: Mapping[Any, Any] = {index: index + first for index, (first, _) in ends.items() if first}
    lengths: Extents = {index: Integer(last - first + 1) for index, (first, last) in ends.items()}
    return rename_free(Mul(*factors), moved), {**bound, **lengths}


def _end(limit: Expr, bound: Extents, sizes: Sizes) -> tuple[Any, int, int] | None:
    """The index, the first and the last of its values, where ``limit ≥ 0`` says that and no more."""
    (index,) = limit.free_symbols if len(limit.free_symbols) == 1 else (None,)
    if index not in bound or not sizes.resolve(bound[index]).is_Integer:
        return None
    step, last = limit.coeff(index), int(sizes.resolve(bound[index])) - 1
    rest = expand(limit - step * index)
    if not rest.is_Integer or step not in (1, -1):
        return None
    return (index, int(-rest), last) if step == 1 else (index, 0, int(rest))
