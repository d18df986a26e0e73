"""Operands that are read through windows: the padded copy that stands for an element and its guards.

A convolution reads ``x[b, c, h + u - 1, w + v - 1]`` where that lies inside of x, else 0. With P = h + u and Q = w + v
the element and its guards are functions of (b, c, P, Q) alone, so a copy over those is made once, padded with zeros,
and ``copy[b, c, h + u, w + v]`` is read in its place. All windows laid out (im2col) would be as many times larger as
they overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Integer, Mod, Mul, Symbol, expand, floor

from ..symbolic.guards import Guard
from ..symbolic.ranges import bounds
from ..symbolic.tensors import elements, indices_of, tensor_of
from .ops import Extents, is_index


@dataclass(frozen=True)
class Windows:
    """A product as it is copied, and where the copy is read.

    Attributes
    ----------
    body : the product, in the indices of the copy
    axes : the indices of the copy and their extents
    places : where the copy is read, one position per axis
    """

    body: Expr
    axes: Extents
    places: tuple[Any, ...]


def windows_of(product: Expr, space: Mapping[Any, Expr], fresh: Any) -> Windows | None:
    """Read `product` as a function of its positions, or None where it is not one of them alone.

    Parameters
    ----------
    space : its indices → numbers, or the batch size
    fresh : takes a size, gives an index that is not used yet
    """
    read = max(elements(product), key=lambda element: tensor_of(element).rank, default=None)
    if read is None or product.has(floor, Mod):
        return None
    places: dict[Expr, tuple[Symbol, Expr, Expr]] = {}  # position without its constant → index, where it begins, extent
    axes: Extents = {}
    reading: list[Any] = []
    for place in indices_of(read):
        if is_index(place) and place in space:
            axes[place] = space[place]
            reading.append(place)
            continue
        moving = expand(place - place.as_coeff_Add()[0]) if isinstance(place, Expr) else place
        if not getattr(moving, "free_symbols", set()) & set(space):
            continue  # the same everywhere
        found = bounds(moving, space)
        if moving in places or found is None or not all(isinstance(end, Integer) for end in found):
            return None
        low, high = found
        index = fresh(high - low + 1)
        places[moving] = (index, low, high - low + 1)
        axes[index] = high - low + 1
        reading.append(expand(moving - low))
    if not places or len(axes) != len(reading):
        return None
    made = _rewritten(product, places, set(space))
    if made is None or made.free_symbols & (set(space) - set(axes)):
        return None
    return Windows(made, axes, tuple(reading))


def _rewritten(product: Expr, places: Mapping[Expr, Any], known: set[Any]) -> Expr | None:
    """`product` with each position written in the index that stands for it."""
    factors = []
    for factor in Mul.make_args(product):
        if isinstance(factor, Guard):
            made = _position(factor.args[0], places)
            factors.append(Guard(made))
            continue
        names = {}
        for element in elements(factor):
            moved = tuple(_position(place, places) for place in indices_of(element))
            names[element] = tensor_of(element)[moved] if moved else element
        factors.append(factor.xreplace(names))
    return Mul(*factors)


def _position(place: Any, places: Mapping[Expr, Any]) -> Any:
    """A position, or a bound on one, with the index that stands for it."""
    if not isinstance(place, Expr) or is_index(place) or elements(place):
        return place
    for moving, (index, low, _) in places.items():
        letter = sorted(moving.free_symbols, key=str)[0]
        count, step = expand(place).coeff(letter), moving.coeff(letter)
        if count != 0 and (count / step).is_Integer:
            rest = expand(place - count / step * moving)
            if not rest.free_symbols & moving.free_symbols:
                return expand(rest + count / step * (index + low))
    return place
