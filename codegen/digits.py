"""Indices that stand in quotients and remainders, written as digits.

Pooling's adjoint reads ``d[h // 2, w // 2]`` and compares ``h % 2``; flattening reads ``a[j // 9, j % 9 // 3, j % 3]``.
With h = 2 h' + u both are plain indices: no division is left in the loops, and what is the same for a whole window is
computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from sympy import Expr, Integer, Mod, floor

from .ops import Extents


def digits_of(body: Expr, space: Extents, fresh: Callable[[Expr], Any]) -> tuple[dict[Any, Expr], Extents]:
    """What to put in the place of indices of `space`, and the space of the digits; both unchanged where there are none.

    Parameters
    ----------
    space : index → number, or the batch size
    fresh : takes a size, gives an index that is not used yet
    """
    places: dict[Any, Expr] = {}
    high: Extents = {}
    low: Extents = {}
    for index, size in space.items():
        steps = _steps(body, index, size)
        if not steps:
            high[index] = size
            continue
        parts: list[tuple[Any, Expr]] = []
        for below, above in pairwise([Integer(1), *steps, size]):
            extent = above / below
            digit = fresh(extent)
            parts.append((digit, below))
            (high if above == size else low)[digit] = extent
        places[index] = sum((digit * below for digit, below in parts), Integer(0))
    # The window's own indices go inside, the longest step first.
    return places, {**high, **dict(reversed(low.items()))} if places else space


def _steps(body: Expr, index: Any, size: Expr) -> list[Expr]:
    """What an index is divided by, each a multiple of the one before, all of them dividing its size; else none."""
    if not size.is_Integer:
        return []
    found: set[Expr] = set()
    for node in body.atoms(floor, Mod):
        if not node.has(index):
            continue
        if isinstance(node, floor):
            step = index / node.args[0]
        else:
            top, period = node.args
            inner = index / top.args[0] if isinstance(top, floor) else Integer(1) if top == index else None
            if inner is None:
                return []
            step = inner * period
        if not step.is_Integer or not (step > 1):
            return []
        found.add(step)
    steps = sorted(found)
    chain = [Integer(1), *steps, size]
    if any(above % below != 0 for below, above in pairwise(chain)):
        return []
    return [step for step in steps if step != size]
