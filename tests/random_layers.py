"""Random layers that fit a shape, each with what PyTorch calls it: the pieces of `random_networks`.

A *maker* is a function of a `Draw` and the shape of a sample that returns a `Piece`, or None where it does not fit.
Makers with an option for what comes out (`units`, `filters`) draw it unless it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy
import torch.nn.functional as F
from oracles import ACTIVATIONS

import gradloom as gl
from gradloom.symbolic import layers as L

Shape = tuple[Any, ...]


class Piece(NamedTuple):
    """A layer, and its function in PyTorch: of x, tensors by name, the layer's place, and whether in training."""

    layer: Any
    torch: Callable[[Any, Mapping[str, Any], Any, bool], Any]


class Draw:
    """Random choices, the same ones for a seed; the numbers of symbolic sizes; the masks that are declared."""

    def __init__(self, seed: int, symbolic: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.symbolic = symbolic
        self.numbers: dict[Any, int] = {}
        self.masks: dict[Any, str] = {}

    def pick(self, options: Any) -> Any:
        found = list(options)
        return found[self.rng.integers(len(found))]

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def number(self, size: Any) -> int:
        return int(sympy.sympify(size).xreplace(self.numbers))

    def shape(self, shape: Shape) -> tuple[int, ...]:
        return tuple(self.number(size) for size in shape)

    def entries(self, shape: Shape) -> int:
        return math.prod(self.shape(shape))

    def size(self, shape: Shape, options: Any = (2, 3, 5, 7), name: str = "N") -> Any:
        """A size that is no other one's; a symbol now and then, if the network has any."""
        number = int(self.pick([n for n in options if n not in self.shape(shape)] or options))
        if not self.symbolic or self.chance(0.6):
            return number
        made = gl.Dim(f"{name}{len(self.numbers)}")
        self.numbers[made] = number
        return made

    def activation(self, *without: str) -> tuple[Any, Any]:
        return ACTIVATIONS[self.pick([name for name in ACTIVATIONS if name not in without])]

    def mask(self, length: Any) -> str:
        """The name of the input that masks sequences of this length."""
        return self.masks.setdefault(sympy.sympify(length), f"seen{len(self.masks)}")


def dense(draw: Draw, shape: Shape, units: Any = None) -> Piece:
    ours, theirs = draw.activation()
    bias, units = draw.chance(0.8), draw.size(shape) if units is None else units
    return Piece(
        L.Dense(units, ours, bias=bias),
        lambda x, w, at, _: theirs(F.linear(x, w[f"W{at}"], w[f"b{at}"] if bias else None)),
    )


def tied(draw: Draw, shape: Shape) -> Piece:
    (first, theirs), (second, last) = draw.activation(), draw.activation()
    layer = L.Dense(draw.size(shape), first)

    def reference(x: Any, w: Any, at: Any, _: bool) -> Any:
        hidden = theirs(F.linear(x, w[f"W{at}_1"], w[f"b{at}_1"]))
        return last(F.linear(hidden, w[f"W{at}_1"].T, w[f"b{at}_2"]))

    return Piece(L.Chain([layer, L.TiedDense(layer, second)]), reference)


def activation(draw: Draw, shape: Shape) -> Piece:
    ours, theirs = draw.activation("identity")
    return Piece(L.Activation(ours), lambda x, w, at, _: theirs(x))


def layer_norm(draw: Draw, shape: Shape) -> Piece | None:
    if draw.number(shape[-1]) < 3:
        return None  # of two entries the normalised ones are 1 and -1, whatever they are
    eps, affine = draw.pick([1e-5, 0.1]), draw.chance(0.7)
    return Piece(L.LayerNorm(eps, affine), lambda x, w, at, _: norm(x, w, at, eps, affine))


def norm(x: Any, w: Any, at: Any, eps: float = 1e-5, affine: bool = True) -> Any:
    scale, shift = (w[f"gamma{at}"], w[f"beta{at}"]) if affine else (None, None)
    return F.layer_norm(x, x.shape[-1:], scale, shift, eps)


def rms_norm(draw: Draw, shape: Shape) -> Piece | None:
    if draw.number(shape[-1]) < 2:
        return None
    affine = draw.chance(0.7)
    return Piece(
        L.RMSNorm(1e-3, affine),
        lambda x, w, at, _: F.rms_norm(x, x.shape[-1:], w[f"gamma{at}"] if affine else None, 1e-3),
    )


def batch_norm(draw: Draw, shape: Shape) -> Piece:
    axis = int(draw.pick(range(1, len(shape) + 1)))

    def reference(x: Any, w: Any, at: Any, training: bool) -> Any:
        known = [w[f"running_{what}{at}"].clone() for what in ("mean", "var")]  # or they would be written
        made = F.batch_norm(x.movedim(axis, 1), *known, w[f"gamma{at}"], w[f"beta{at}"], training, 0.1, 1e-3)
        return made.movedim(1, axis)

    return Piece(L.BatchNorm(axis, eps=1e-3), reference)


def dropout(draw: Draw, shape: Shape) -> Piece:
    rate = draw.pick([0.2, 0.5])
    return Piece(L.Dropout(rate), lambda x, w, at, training: x * (w[f"u{at}"] >= rate) / (1 - rate) if training else x)


def reshape(draw: Draw, shape: Shape) -> Piece:
    total, options = draw.entries(shape), [(*shape, 1), (1, *shape)] if len(shape) < 3 else []
    options += [(*shape[:k], -1, *shape[k + 2 :]) for k in range(len(shape) - 1)] * 2
    if draw.shape(shape) == tuple(shape):
        parts = [d for d in range(2, total) if total % d == 0]
        options += [(d, -1) for d in parts] + [(-1, d, e) for d in parts for e in parts if total % (d * e) == 0]
    made = draw.pick(options)
    numbers = [-1 if size == -1 else draw.number(size) for size in made]
    return Piece(L.Reshape(made), lambda x, w, at, _: x.reshape(len(x), *numbers))


def flatten(draw: Draw, shape: Shape) -> Piece:
    return Piece(L.Flatten(), lambda x, w, at, _: x.flatten(1))


def permute(draw: Draw, shape: Shape) -> Piece:
    order = [int(axis) + 1 for axis in draw.rng.permutation(len(shape))]
    return Piece(L.Permute(*order), lambda x, w, at, _: x.permute(0, *order))


def part(draw: Draw, shape: Shape) -> Piece | None:
    axis = int(draw.pick(range(1, len(shape) + 1)))
    size = draw.number(shape[axis - 1])
    if size < 3:
        return None
    start, stop, step = int(draw.pick([0, 1, -2])), draw.pick([None, size - 1, -1]), int(draw.pick([1, 2]))
    if shape[axis - 1] != size:
        start, stop = 1, None  # of a symbol no more is known than that it is positive
    where = (slice(None),) * axis + (slice(start, stop, step),)
    return Piece(L.Slice(axis, start, stop, step), lambda x, w, at, _: x[where])


def is_symbol(size: Any) -> bool:
    """Whether `size` is no number: a stride then gives sizes of which little can be proved."""
    return not sympy.sympify(size).is_Integer


def convolution(draw: Draw, shape: Shape, filters: Any = None, same: bool = False) -> Piece:
    """A convolution over (C, L) or (C, H, W), a depthwise one now and then; `same` keeps the lengths."""
    rank, lengths = len(shape) - 1, draw.shape(shape[1:])
    kernel = [int(draw.pick([1, 2, 3][:n])) for n in lengths]
    dilation = [int(draw.pick([1, 1, 2])) for _ in kernel]
    stride = [1 if same or is_symbol(size) else int(draw.pick([1, 1, 2, 3])) for size in shape[1:]]
    spread = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = [
        max(int(draw.pick([0, 1, k])), -(-(s - n) // 2)) for k, s, n in zip(kernel, spread, lengths, strict=True)
    ]
    around = [p for pair in zip(padding, padding, strict=True) for p in pair][::-1]
    if same:
        around = [p for s in reversed(spread) for p in ((s - 1) // 2, s - 1 - (s - 1) // 2)]
    ours, theirs = draw.activation()
    bias, channels = draw.chance(0.8), shape[0]
    each, read = draw.chance(0.2) and rank == 2 and filters is None, draw.number(channels)
    options = {"stride": stride, "dilation": dilation, "bias": bias, "activation": ours}
    options["padding"] = "same" if same else padding
    if each:
        layer, groups = L.DepthwiseConv2D(kernel, multiplier=int(draw.pick([1, 2])), **options), read
    else:
        groups = int(draw.pick([g for g in (1, 2, 3) if channels == read and read % g == 0]) if channels == read else 1)
        outward = draw.size(shape, [n for n in (2, 3, 4, 5, 6) if n % groups == 0]) if filters is None else filters
        groups = groups if isinstance(outward, int) and outward % groups == 0 else 1
        layer = (L.Conv1D if rank == 1 else L.Conv2D)(outward, kernel, groups=groups, **options)
    function = F.conv1d if rank == 1 else F.conv2d

    def reference(x: Any, w: Any, at: Any, _: bool) -> Any:
        W = w[f"W{at}"][:, None] if each else w[f"W{at}"]
        z = function(F.pad(x, around), W, w[f"b{at}"] if bias else None, stride, 0, dilation, groups)
        return theirs(z.movedim(1, -1)).movedim(-1, 1)

    return Piece(layer, reference)


def transposed(draw: Draw, shape: Shape) -> Piece:
    rank, lengths = len(shape) - 1, draw.shape(shape[1:])
    kernel, dilation = ([int(draw.pick(options)) for _ in lengths] for options in ([1, 2, 3], [1, 1, 2]))
    stride = [int(draw.pick([1, 2, 3])) for _ in lengths]
    room = [s * (n - 1) + d * (k - 1) for s, n, d, k in zip(stride, lengths, dilation, kernel, strict=True)]
    padding = [int(draw.pick([0, min(d * (k - 1), r // 2)])) for d, k, r in zip(dilation, kernel, room, strict=True)]
    more = [int(draw.rng.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True)]
    ours, theirs = draw.activation()
    bias = draw.chance(0.8)
    kind, function = [(L.ConvTranspose1D, F.conv_transpose1d), (L.ConvTranspose2D, F.conv_transpose2d)][rank - 1]
    layer = kind(draw.size(shape, (2, 3, 5)), kernel, stride, padding, more, dilation, bias=bias, activation=ours)

    def reference(x: Any, w: Any, at: Any, _: bool) -> Any:
        b = w[f"b{at}"] if bias else None
        z = function(x, w[f"W{at}"], b, stride, padding, more, 1, dilation)
        return theirs(z.movedim(1, -1)).movedim(-1, 1)

    return Piece(layer, reference)


def pool(draw: Draw, shape: Shape) -> Piece:
    rank, lengths = len(shape) - 1, draw.shape(shape[1:])
    size = [int(draw.pick([1, 2, 3][:n])) for n in lengths]
    stride = [1 if is_symbol(axis) else int(draw.pick([1, 2, 3])) for axis in shape[1:]]
    kind, function = draw.pick(
        [
            ((L.MaxPool1D, F.max_pool1d), (L.AveragePool1D, F.avg_pool1d)),
            ((L.MaxPool2D, F.max_pool2d), (L.AveragePool2D, F.avg_pool2d)),
        ][rank - 1]
    )
    return Piece(kind(size, stride), lambda x, w, at, _: function(x, size, stride))


def global_pool(draw: Draw, shape: Shape) -> Piece:
    if draw.chance():
        return Piece(L.GlobalAveragePool(), lambda x, w, at, _: x.flatten(2).mean(-1))
    return Piece(L.GlobalMaxPool(), lambda x, w, at, _: x.flatten(2).max(-1).values)
