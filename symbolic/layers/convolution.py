"""Convolutions: `Conv1D`, `Conv2D`, `DepthwiseConv2D`. All are cross-correlations: the kernel is not flipped."""

from __future__ import annotations

from typing import Any, ClassVar

import sympy
from sympy import Expr, Integer

from ..activations import activate, identity
from ..binders import Sum
from ..errors import ShapeError
from ..guards import padded
from ..indices import as_size
from ..network import Network
from ..ranges import quotient
from ..tensors import Tensor
from .base import Layer, Place, as_flag, letters
from .dense import activation_name
from .spatial import OUT, WINDOW, needs_spatial, per_axis, windows


class _Convolution(Layer):
    """Options and windows that convolutions over 1 or 2 spatial axes share."""

    rank: ClassVar[int]

    def __init__(
        self,
        kernel: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        bias: bool,
        activation: Any,
        weight_init: Any,
        bias_init: Any,
    ) -> None:
        name = type(self).__name__
        self.kernel = per_axis(kernel, self.rank, f"kernel of {name}")
        self.stride = per_axis(stride, self.rank, f"stride of {name}", 1)
        self.dilation = per_axis(dilation, self.rank, f"dilation of {name}", 1)
        self.padding: Any = padding
        if padding == "valid":
            self.padding = (Integer(0),) * self.rank
        elif padding != "same":
            if isinstance(padding, str):
                raise ShapeError(f"padding of {name} is {padding!r}; expected 'valid', 'same' or whole numbers")
            self.padding = per_axis(padding, self.rank, f"padding of {name}", 0)
        self.bias = as_flag(bias, f"bias of {type(self).__name__}")
        self.activation = activation
        self.weight_init = weight_init
        self.bias_init = bias_init

    def _window(self, x: Tensor, place: Place, at: Any, over: Any) -> tuple[list[Expr], list[Expr]]:
        """Where the window at `at` reads at its place `over`, and how many windows there are, for each axis."""
        where, sizes = [], []
        for axis, size in enumerate(needs_spatial(x, self.rank, self, place)):
            stride, dilation, kernel = self.stride[axis], self.dilation[axis], self.kernel[axis]
            spread = dilation * (kernel - 1) + 1
            before, total = self._padding(axis, size, spread, place)
            sizes.append(windows(size, spread, stride, self, place, x, total))
            where.append(stride * at[axis] + dilation * over[axis] - before)
        return where, sizes

    def _padding(self, axis: int, size: Expr, spread: Expr, place: Place) -> tuple[Expr, Expr]:
        """The places added before an axis, and before and behind it together."""
        if self.padding != "same":
            return self.padding[axis], 2 * self.padding[axis]
        stride = self.stride[axis]
        if stride == 1:
            total = spread - 1
        elif isinstance(size, Integer) and isinstance(spread, Integer):
            total = sympy.Max(0, (quotient(size - 1, stride)) * stride + spread - size)
        else:
            raise ShapeError(
                f"{type(self).__name__} at place {place}: how many places padding='same' adds with stride {stride} "
                f"depends on the number that {size} stands for; give padding as a number"
            )
        return quotient(total, Integer(2)), total


class Conv2D(_Convolution):
    """A convolution over (B, C, H, W), in the sense of cross-correlation.

    With stride s, dilation d and padding P, for each output channel o and position p, q::

        z[i, o, p, q] = Sum(W[o, c, u, v] x[i, c, s p + d u - P, s q + d v - P], c, u, v) + b[o]

    where x counts as 0 outside of it, then ``a = activation(z)``. What comes out has ⌊(H + 2P - d (K - 1) - 1)/s⌋ + 1
    rows for K rows of kernel, and columns likewise (Dumoulin and Visin, "A guide to convolution arithmetic for deep
    learning", 2016, relationship 15). The parameters are ``W1 (filters, C / groups, rows, columns)`` and
    ``b1 (filters,)``, with the layer's place for the 1.

    Parameters
    ----------
    filters : how many channels come out.
    kernel : the size of the kernel, one number for a square or (rows, columns).
    stride, dilation : whole numbers of at least 1, one or one for each axis.
    padding : how many zeros are added at both ends, one number or one for each axis; "valid" for none; "same" for as
        many that ⌈H / s⌉ rows come out, the odd one behind (as PyTorch does for stride 1 and TensorFlow for every one).
        With a stride above 1, "same" needs sizes that are numbers.
    groups : into how many groups the channels are divided; each output channel reads the channels of its group alone.
    bias : whether there is a bias.
    activation : as in `Dense`; softmax runs over the channels.
    weight_init, bias_init : how a model fills the parameters: an initialiser, an array, a number; None for the default.

    Raises
    ------
    ShapeError
        If an option is no size; on `build`, if the incoming tensor is not (B, C, H, W), if the kernel is larger than
        the padded input, or if `groups` divides the channels or the filters with a remainder.
    """

    rank = 2

    def __init__(
        self,
        filters: Any,
        kernel: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        activation: Any = identity,
        weight_init: Any = None,
        bias_init: Any = None,
    ) -> None:
        super().__init__(kernel, stride, padding, dilation, bias, activation, weight_init, bias_init)
        self.filters = as_size(filters, f"filters of {type(self).__name__}")
        self.groups = as_size(groups, f"groups of {type(self).__name__}")

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        i, o, c, *rest = letters(network, "ioc" + OUT[self.rank] + WINDOW[self.rank])
        at, over = rest[: self.rank], rest[self.rank :]
        where, sizes = self._window(x, place, at, over)
        read, given = (
            self._share(size, what, place) for size, what in ((x.shape[1], x.name), (self.filters, "filters"))
        )
        W = self.parameter(network, "W", (self.filters, read, *self.kernel), place, init=self.weight_init)
        # With one channel to read there is no sum over channels.
        own, summed = (Integer(0), over) if read == 1 else (c, [c, *over])
        channel = own if self.groups == 1 else read * quotient(o, given) + own
        body = Sum(W[(o, own, *over)] * padded(x[(i, channel, *where)]), *summed)
        return finish(self, network, x, (i, o, *at), body, sizes, self.filters, place)

    def _share(self, channels: Expr, what: str, place: Place) -> Expr:
        """How many of the channels each group has."""
        share = channels / self.groups
        if not share.is_integer:
            raise ShapeError(
                f"{type(self).__name__} at place {place} has {self.groups} groups, which do not divide the {channels} "
                f"{'filters' if what == 'filters' else f'channels of {what}'}; choose a divisor"
            )
        return share

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.filters}, {size_text(self.kernel)}, {activation_name(self.activation)})"


class Conv1D(Conv2D):
    """A convolution over (B, C, L), in the sense of cross-correlation.

    ``z[i, o, p] = Sum(W[o, c, u] x[i, c, s p + d u - P], c, u) + b[o]``, where x counts as 0 outside of it. All else is
    as in `Conv2D`, for one spatial axis; the parameters are ``W1 (filters, C / groups, kernel)`` and ``b1 (filters,)``.
    """

    rank = 1


class DepthwiseConv2D(_Convolution):
    """A convolution of each channel by itself, over (B, C, H, W).

    ``z[i, o, p, q] = Sum(W[o, u, v] x[i, o // multiplier, s p + d u - P, s q + d v - P], u, v) + b[o]``: each channel
    gives `multiplier` channels. It is a `Conv2D` with as many groups as channels, whose weight's axis of length 1 is
    left out: the parameters are ``W1 (C multiplier, rows, columns)`` and ``b1 (C multiplier,)``.

    Parameters
    ----------
    kernel, stride, padding, dilation, bias, activation, weight_init, bias_init : as in `Conv2D`.
    multiplier : how many channels each channel gives.

    Raises
    ------
    ShapeError
        As `Conv2D` does.
    """

    rank = 2

    def __init__(
        self,
        kernel: Any,
        multiplier: Any = 1,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        bias: bool = True,
        activation: Any = identity,
        weight_init: Any = None,
        bias_init: Any = None,
    ) -> None:
        super().__init__(kernel, stride, padding, dilation, bias, activation, weight_init, bias_init)
        self.multiplier = as_size(multiplier, "multiplier of DepthwiseConv2D")

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        i, o, p, q, u, v = letters(network, "iopquv")
        where, sizes = self._window(x, place, (p, q), (u, v))
        filters = x.shape[1] * self.multiplier
        W = self.parameter(network, "W", (filters, *self.kernel), place, init=self.weight_init)
        body = Sum(W[o, u, v] * padded(x[(i, quotient(o, self.multiplier), *where)]), u, v)
        return finish(self, network, x, (i, o, p, q), body, sizes, filters, place)

    def __repr__(self) -> str:
        return f"DepthwiseConv2D({size_text(self.kernel)}, {self.multiplier}, {activation_name(self.activation)})"


def finish(
    layer: Any, network: Network, x: Tensor, where: Any, body: Expr, sizes: Any, filters: Any, place: Place
) -> Tensor:
    """Add the bias of a convolution to `body`, define z of it, and apply the activation, a softmax over channels."""
    if layer.bias:
        body += layer.parameter(network, "b", (filters,), place, init=layer.bias_init)[where[1]]
    note = f"{type(layer).__name__}, layer {place}"
    z = network.define(f"z{place}", where, body, shape=(x.shape[0], filters, *sizes), note=note)
    if layer.activation is identity:
        return z
    return network.define(f"a{place}", where, activate(layer.activation, z[where], where[1]), shape=z.shape, note=note)


def size_text(sizes: Any) -> str:
    """One number where all are equal, else all."""
    return str(sizes[0]) if len(set(sizes)) == 1 else str(tuple(sizes))
