"""Transposed convolutions: `ConvTranspose1D`, `ConvTranspose2D`."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Integer, KroneckerDelta, Mod, Mul

from ..activations import identity
from ..binders import Sum
from ..errors import ShapeError
from ..guards import padded
from ..indices import as_size
from ..network import Network
from ..ranges import quotient
from ..tensors import Tensor
from .base import Layer, Place, as_flag, letters
from .convolution import finish, size_text
from .dense import activation_name
from .spatial import IN, OUT, WINDOW, needs_spatial, per_axis


class ConvTranspose2D(Layer):
    """A transposed convolution over (B, C, H, W): as a linear map, the transpose of a `Conv2D` of the same options.

    With stride s, padding P and no dilation, for each output channel o and position p, q::

        z[i, o, p, q] = Sum(W[c, o, p + P - s h, q + P - s w] x[i, c, h, w], c, h, w) + b[o]

    where W counts as 0 outside of it: each entry of x adds a copy of the kernel, s places from the next (Dumoulin and
    Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4; as in PyTorch). Along an axis of
    stride 1 the same sum is written over the kernel: ``Sum(W[c, o, u, …] x[i, c, p + P - d u, …], c, u, …)``. What
    comes out has s (H - 1) + d (K - 1) + 1 - 2 P + output_padding rows for K rows of kernel, and columns likewise.
    The parameters are ``W1 (C, filters, rows, columns)`` and ``b1 (filters,)``.

    Parameters
    ----------
    filters : how many channels come out.
    kernel : the size of the kernel, one number for a square or (rows, columns).
    stride, dilation : whole numbers of at least 1, one or one for each axis.
    padding : how many places are cut off at both ends, one number or one for each axis.
    output_padding : how many places are added behind; less than the stride or the dilation.
    bias, activation, weight_init, bias_init : as in `Conv2D`.

    Raises
    ------
    ShapeError
        If an option is no size, or `output_padding` is as large as stride and dilation; on `build`, if the incoming
        tensor is not (B, C, H, W), or nothing would come out.
    """

    rank = 2

    def __init__(
        self,
        filters: Any,
        kernel: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        dilation: Any = 1,
        bias: bool = True,
        activation: Any = identity,
        weight_init: Any = None,
        bias_init: Any = None,
    ) -> None:
        name = type(self).__name__
        self.filters = as_size(filters, f"filters of {name}")
        self.kernel = per_axis(kernel, self.rank, f"kernel of {name}")
        self.stride = per_axis(stride, self.rank, f"stride of {name}", 1)
        self.padding = per_axis(padding, self.rank, f"padding of {name}", 0)
        self.output_padding = per_axis(output_padding, self.rank, f"output_padding of {name}", 0)
        self.dilation = per_axis(dilation, self.rank, f"dilation of {name}", 1)
        for more, stride, dilation in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if more >= max(stride, dilation):
                raise ShapeError(
                    f"output_padding of {name} is {more}, with stride {stride} and dilation {dilation}; it must be "
                    "smaller than one of them, or whole rows would hold the bias alone"
                )
        self.bias = as_flag(bias, f"bias of {type(self).__name__}")
        self.activation = activation
        self.weight_init = weight_init
        self.bias_init = bias_init

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        lengths = needs_spatial(x, self.rank, self, place)
        i, o, c, *rest = letters(network, "ioc" + OUT[self.rank] + WINDOW[self.rank] + IN[self.rank])
        at, over, among = (rest[self.rank * n : self.rank * (n + 1)] for n in range(3))
        sizes: list[Expr] = []
        kernel_at: list[Expr] = []
        x_at: list[Expr] = []
        summed, factors = [(c, x.shape[1])], []
        for axis, length in enumerate(lengths):
            sizes.append(self._size(axis, length, place))
            stride, dilation, kernel = self.stride[axis], self.dilation[axis], self.kernel[axis]
            moved = at[axis] + self.padding[axis]
            if stride == 1 or dilation > 1:
                # p + P = s h + d u, solved for h
                apart = moved - dilation * over[axis]
                if stride > 1:
                    factors.append(KroneckerDelta(Mod(apart, stride), 0))
                kernel_at, x_at = [*kernel_at, over[axis]], [*x_at, quotient(apart, stride)]
                summed.append((over[axis], kernel))
            else:
                kernel_at, x_at = [*kernel_at, moved - stride * among[axis]], [*x_at, among[axis]]
                summed.append((among[axis], length))
        W = self.parameter(network, "W", (x.shape[1], self.filters, *self.kernel), place, init=self.weight_init)
        body = Sum(padded(W[(c, o, *kernel_at)]) * padded(x[(i, c, *x_at)]) * Mul(*factors), *summed)
        return finish(self, network, x, (i, o, *at), body, sizes, self.filters, place)

    def _size(self, axis: int, length: Expr, place: Place) -> Expr:
        spread = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        size = self.stride[axis] * (length - 1) + spread - 2 * self.padding[axis] + self.output_padding[axis]
        if isinstance(size, Integer) and size <= 0:
            raise ShapeError(
                f"{type(self).__name__} at place {place}: with padding {self.padding[axis]} nothing would be left of "
                f"an axis of size {length}; make the padding smaller"
            )
        return as_size(size, f"what comes out of {type(self).__name__} at place {place}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.filters}, {size_text(self.kernel)}, {activation_name(self.activation)})"


class ConvTranspose1D(ConvTranspose2D):
    """A transposed convolution over (B, C, L): `ConvTranspose2D` for one spatial axis.

    The parameters are ``W1 (C, filters, kernel)`` and ``b1 (filters,)``.
    """

    rank = 1
