"""Pooling over spatial axes: the largest value or the mean of windows, or of whole axes."""

from __future__ import annotations

from typing import Any, ClassVar

from sympy import Mul

from ..binders import Max, Sum
from ..network import Network
from ..tensors import Tensor
from .base import Layer, Place, letters, needs_axes
from .convolution import size_text
from .spatial import IN, OUT, WINDOW, needs_spatial, per_axis, windows


class _Pool(Layer):
    """Windows over the last `rank` axes of (B, C, …)."""

    rank: ClassVar[int]

    def __init__(self, size: Any, stride: Any = None) -> None:
        name = type(self).__name__
        self.size = per_axis(size, self.rank, f"size of {name}")
        self.stride = self.size if stride is None else per_axis(stride, self.rank, f"stride of {name}", 1)

    def _read(self, network: Network, x: Tensor, place: Place) -> tuple[Any, Any, Any, Any]:
        """Where the outgoing tensor is written, what it reads there, the window's indices, and the outgoing shape."""
        lengths = needs_spatial(x, self.rank, self, place)
        i, c, *rest = letters(network, "ic" + OUT[self.rank] + WINDOW[self.rank])
        at, over = rest[: self.rank], rest[self.rank :]
        steps = zip(lengths, self.size, self.stride, strict=True)
        sizes = [windows(length, size, stride, self, place, x) for length, size, stride in steps]
        element = x[(i, c, *(step * p + u for step, p, u in zip(self.stride, at, over, strict=True)))]
        return (i, c, *at), element, list(zip(over, self.size, strict=True)), (*x.shape[:2], *sizes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({size_text(self.size)}, {size_text(self.stride)})"


class MaxPool2D(_Pool):
    """The largest value of each window: ``a[i, c, p, q] = Max(x[i, c, s p + u, s q + v], u, v)``, over (B, C, H, W).

    What comes out has ⌊(H - K)/s⌋ + 1 rows for windows of K rows: what is left over at the end is dropped, as in
    PyTorch. Windows may overlap. The gradient goes to the first of equal maxima, row by row.

    Parameters
    ----------
    size : of the window, one number for a square or (rows, columns).
    stride : how far windows are apart, one number or one for each axis; None for `size`.

    Raises
    ------
    ShapeError
        If an option is no size; on `build`, if the incoming tensor is not (B, C, H, W), or the window is larger.
    """

    rank = 2

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        where, element, over, shape = self._read(network, x, place)
        note = f"{type(self).__name__}, layer {place}"
        return network.define(f"a{place}", where, Max(element, *over), shape=shape, note=note)


class MaxPool1D(MaxPool2D):
    """The largest value of each window: ``a[i, c, p] = Max(x[i, c, s p + u], u)``, over (B, C, L); see `MaxPool2D`."""

    rank = 1


class AveragePool2D(_Pool):
    """The mean of each window: ``z[i, c, p, q] = Sum(x[i, c, s p + u, s q + v], u, v) / K²``, over (B, C, H, W).

    Sizes, options and errors are those of `MaxPool2D`.
    """

    rank = 2

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        where, element, over, shape = self._read(network, x, place)
        note = f"{type(self).__name__}, layer {place}"
        return network.define(f"z{place}", where, Sum(element, *over) / Mul(*self.size), shape=shape, note=note)


class AveragePool1D(AveragePool2D):
    """The mean of each window: ``z[i, c, p] = Sum(x[i, c, s p + u], u) / K``, over (B, C, L); see `AveragePool2D`."""

    rank = 1


class GlobalAveragePool(Layer):
    """The mean over all axes but batch and channels: ``z[i, c] = Sum(x[i, c, h, w], h, w) / (H W)``.

    Raises
    ------
    ShapeError
        On `build`, if the incoming tensor is neither (B, C, L) nor (B, C, H, W).
    """

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        i, c, over = _whole_axes(self, network, x, place)
        body = Sum(x[(i, c, *over)], *over) / Mul(*x.shape[2:])
        return network.define(f"z{place}", (i, c), body, note=f"GlobalAveragePool, layer {place}")


class GlobalMaxPool(Layer):
    """The largest value over all axes but batch and channels: ``a[i, c] = Max(x[i, c, h, w], h, w)``.

    The gradient goes to the first of equal maxima, row by row.

    Raises
    ------
    ShapeError
        On `build`, if the incoming tensor is neither (B, C, L) nor (B, C, H, W).
    """

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        i, c, over = _whole_axes(self, network, x, place)
        return network.define(f"a{place}", (i, c), Max(x[(i, c, *over)], *over), note=f"GlobalMaxPool, layer {place}")


def _whole_axes(layer: Layer, network: Network, x: Tensor, place: Place) -> tuple[Any, Any, Any]:
    needs_axes(x, 3, layer, place, most=4)
    i, c, *over = letters(network, "ic" + IN[x.rank - 2])
    return i, c, over
