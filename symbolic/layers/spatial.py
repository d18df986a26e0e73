"""What layers over spatial axes share: their axes' options, the size that comes out, the letters."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Integer

from ..errors import ShapeError
from ..indices import as_size
from ..ranges import quotient
from ..tensors import Tensor, shape_text
from .base import Layer, Place

OUT, WINDOW, IN = {1: "p", 2: "pq"}, {1: "u", 2: "uv"}, {1: "w", 2: "hw"}


def per_axis(given: Any, rank: int, what: str, least: int | None = None) -> tuple[Any, ...]:
    """One value for each of `rank` spatial axes: a size, or with `least` a whole number of at least that.

    Raises
    ------
    ShapeError
        If it is neither one value nor one for each axis.
    """
    values = tuple(given) if isinstance(given, tuple | list) else (given,) * rank
    if len(values) != rank:
        raise ShapeError(f"{what} is {given!r}; expected one value or {rank}, one for each spatial axis")
    if least is None:
        return tuple(as_size(value, what) for value in values)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | Integer) or value < least:
            raise ShapeError(f"{what} is {given!r}; expected whole numbers of at least {least}")
    return tuple(Integer(value) for value in values)


def needs_spatial(x: Tensor, rank: int, layer: Layer, place: Place) -> tuple[Expr, ...]:
    """The sizes of the spatial axes of x (B, C, …).

    Raises
    ------
    ShapeError
        If x has not `rank` of them.
    """
    if x.rank != rank + 2:
        form = "(B, C, L)" if rank == 1 else "(B, C, H, W)"
        raise ShapeError(
            f"{type(layer).__name__} at place {place} takes a tensor {form}: batch, channels and {rank} spatial "
            f"ax{'is' if rank == 1 else 'es'}, but {x.name} has shape {shape_text(x.shape)}; a Reshape before it can "
            "add the axis of channels"
        )
    return x.shape[2:]


def windows(size: Expr, window: Expr, stride: Expr, layer: Layer, place: Place, x: Tensor, padding: Any = 0) -> Expr:
    """How many windows of `window` places fit along an axis of `size` with `padding` places added.

    Raises
    ------
    ShapeError
        If not even one does.
    """
    room = size + padding - window
    if room.is_negative:
        padded = f" with its padding of {padding} in all" if padding else ""
        raise ShapeError(
            f"{type(layer).__name__} at place {place}: a window over {window} places does not fit along an axis of "
            f"size {size}{padded} ({x.name} has shape {shape_text(x.shape)}), so nothing would come out; make the "
            "window smaller or the padding larger"
        )
    return as_size(quotient(room, stride) + 1, f"what comes out of {type(layer).__name__} at place {place}")
