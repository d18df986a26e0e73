"""Random networks of all layers and losses, each built layer by layer together with its counterpart in PyTorch.

``random_network(seed)`` is a `RandomNetwork`: what was drawn, values of everything, and what PyTorch finds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from random_layers import (
    Draw,
    Piece,
    Shape,
    activation,
    batch_norm,
    convolution,
    dense,
    dropout,
    flatten,
    global_pool,
    layer_norm,
    part,
    permute,
    pool,
    reshape,
    rms_norm,
    tied,
    transposed,
)
from random_losses import LossPiece, draw_loss
from random_sequences import attention, positions, recurrent, transformer_block

import gradloom as gl
from gradloom.symbolic import layers as L

LARGEST = 120  # entries of a sample, between layers
HEAVY = (L.Recurrent, L.Bidirectional, L.Attention, L.TransformerBlock)

# What makes a layer for samples of one axis, of two (T, n) and of three (C, H, W).
EVERYWHERE = [dense, dense, activation, layer_norm, rms_norm, batch_norm, dropout, reshape, part, tied]
MOVES = [pool, global_pool, permute, flatten]
MAKERS: dict[int, list[Any]] = {
    1: EVERYWHERE,
    2: [*EVERYWHERE, *[recurrent] * 3, attention, transformer_block, positions, *[convolution] * 2, transposed, *MOVES],
    3: [*EVERYWHERE[2:], *[convolution] * 4, transposed, transposed, pool, *MOVES],
}


def after(layer: Any, shape: Shape, classes: Any = None) -> Shape:
    """The shape of a sample that comes out of `layer`."""
    network = gl.Sequential([layer], shape, input_classes=classes)
    return tuple(network.equations[-1].target.shape[1:]) if network.equations else shape


def keeper(draw: Draw, shape: Shape) -> Piece:
    """A layer, or two in a chain, that gives back the shape."""
    options: list[Callable[[], Any]] = [
        lambda: dense(draw, shape, shape[-1]),
        lambda: in_chain([first := dense(draw, shape), dense(draw, after(first.layer, shape), shape[-1])]),
        lambda: layer_norm(draw, shape),
        lambda: batch_norm(draw, shape),
        lambda: dropout(draw, shape),
        lambda: tied(draw, shape),
    ]
    if len(shape) == 2:
        options += [lambda: attention(draw, shape), lambda: recurrent(draw, shape, shape[-1], whole=True)]
    if len(shape) > 1:
        options += [lambda: convolution(draw, shape, shape[0], same=True)] * len(shape)
    return drawn(draw, options)


def drawn(draw: Draw, options: list[Callable[[], Any]]) -> Any:
    made = None
    while made is None:
        made = draw.pick(options)()
    return made


def in_chain(pieces: list[Piece], kind: Any = L.Chain) -> Piece:
    return Piece(kind([piece.layer for piece in pieces]), functools.partial(_in_turn, pieces))


def _in_turn(pieces: list[Piece], x: Any, w: Any, at: Any, training: bool) -> Any:
    for number, piece in enumerate(pieces, start=1):
        x = piece.torch(x, w, f"{at}_{number}", training)
    return x


def residual(draw: Draw, shape: Shape) -> Piece:
    inner = in_chain([keeper(draw, shape) for _ in range(int(draw.pick([1, 2])))], L.Residual)
    return Piece(inner.layer, lambda x, w, at, training: x + inner.torch(x, w, at, training))


def parallel(draw: Draw, shape: Shape) -> Piece:
    """Two or three layers side by side, one behind the other along the last axis or the first."""
    axis = int(draw.pick([1, len(shape)]))
    options: list[Callable[[], Any]] = [lambda: keeper(draw, shape), lambda: activation(draw, shape)]
    if axis == len(shape):
        options += [lambda: dense(draw, shape)]
    if len(shape) == 2 and axis == 2:
        options += [lambda: recurrent(draw, shape, whole=True)]
    if len(shape) > 1 and axis == 1:
        options += [lambda: convolution(draw, shape, draw.size(shape), same=True)]
    pieces = [drawn(draw, options) for _ in range(int(draw.pick([2, 2, 3])))]

    def reference(x: Any, w: Any, at: Any, training: bool) -> Any:
        parts = [piece.torch(x, w, f"{at}_{number}", training) for number, piece in enumerate(pieces, start=1)]
        return torch.cat(parts, axis)

    return Piece(L.Parallel([piece.layer for piece in pieces], draw.pick([axis, axis - len(shape) - 1])), reference)


def shared(draw: Draw, shape: Shape) -> Piece:
    """The same layer twice, with an activation between."""
    options = [lambda: dense(draw, shape, shape[-1])]
    if len(shape) > 1:
        options += [lambda: convolution(draw, shape, shape[0], same=True)]
    piece, between = drawn(draw, options), activation(draw, shape)

    def reference(x: Any, w: Any, at: Any, training: bool) -> Any:
        for number in range(3):
            x = (between if number == 1 else piece).torch(x, w, f"{at}_1", training)
        return x

    return Piece(L.Chain([piece.layer, between.layer, piece.layer]), reference)


def next_piece(draw: Draw, shape: Shape, light: bool) -> Piece:
    """A layer after which there are not too many entries; none that is `HEAVY` where it is to be light."""
    makers = [*MAKERS[len(shape)], residual, parallel, *[shared] * (draw.number(shape[-1]) > 1)]
    while True:
        piece = draw.pick(makers)(draw, shape)
        if piece is None or (light and isinstance(piece.layer, HEAVY)):
            continue
        try:
            made = draw.shape(after(piece.layer, shape))
        except gl.ShapeError:
            if not draw.symbolic:
                raise
            continue  # an axis of size S - 1, which may be 0, is not joined with others
        if len(made) in MAKERS and int(np.prod(made)) <= LARGEST:
            return piece


def start(draw: Draw) -> tuple[Shape, Any]:
    """The shape of a sample of the input, and the number of classes where it holds labels."""
    kind = draw.pick(["vector", "labels", "words", "sequence", "sequence", "sequence", "image", "image", "image"])
    if kind == "labels":
        return (), draw.size((), (3, 5, 7), "C")
    shape: Shape = ()
    for _ in range({"vector": 1, "words": 1, "sequence": 2, "image": 3}[kind]):
        options = (2, 3, 5) if kind in ("sequence", "words") else (5, 7) if shape and len(shape) < 3 else (2, 3, 5, 7)
        shape = (*shape, draw.size(shape, options, "S"))
    return shape, draw.size(shape, (3, 5, 7), "C") if kind == "words" else None


@dataclasses.dataclass
class RandomNetwork:
    """A drawn network with its PyTorch counterpart; `values` holds parameters, states, data and noise by name."""

    network: Any
    pieces: list[Piece]
    loss: LossPiece
    penalty: float
    sizes: dict[str, int]
    values: dict[str, np.ndarray]

    @property
    def wrt(self) -> list[str]:
        """Every parameter, and every real input that is no mask."""
        named = [t for t in self.network.by_role("parameter", "input") if t.classes is None]
        return [t.name for t in named if not t.name.startswith("seen")]

    def expected(self, dtype: Any = torch.float64, training: bool = True) -> tuple[Any, float, dict[str, Any]]:
        """Output, loss and gradients by PyTorch."""
        w = {name: torch.tensor(value) for name, value in self.values.items()}
        w = {name: value.to(dtype) if value.is_floating_point() else value for name, value in w.items()}
        for name in self.wrt:
            w[name].requires_grad_()
        output = w["x"]
        for at, piece in enumerate(self.pieces, start=1):
            output = piece.torch(output, w, at, training)
        output, loss = self.loss.torch(output, w)
        if self.penalty:
            loss = loss + self.penalty / 2 * sum((w[t.name] ** 2).sum() for t in self.network.parameters if t.rank > 1)
        found = torch.autograd.grad(loss, [w[name] for name in self.wrt], allow_unused=True)
        gradients = {
            name: np.zeros(w[name].shape) if gradient is None else gradient.numpy()
            for name, gradient in zip(self.wrt, found, strict=True)
        }
        return output.detach().numpy(), float(loss.detach()), gradients

    def __str__(self) -> str:
        x = self.network.tensors["x"]
        return f"{[piece.layer for piece in self.pieces]} on {x.shape[1:]}, {self.loss.loss!r}, {self.sizes}"


@functools.cache
def random_network(seed: int, most: int = 5) -> RandomNetwork:
    """The network of a seed: 1 to `most` layers, of which two at most are recurrent or attention."""
    draw = Draw(seed, symbolic=seed % 4 == 3)
    shape, classes = start(draw)
    sample, pieces = shape, []
    if classes is not None:
        units = draw.size(shape)
        pieces = [Piece(L.Embedding(classes, units), lambda x, w, at, _: w[f"E{at}"][x])]
        shape = (*shape, units)
    for _ in range(int(draw.rng.integers(1, most + 1))):
        heavy = sum(isinstance(piece.layer, HEAVY) for piece in pieces)
        pieces.append(next_piece(draw, shape, light=heavy == 2))
        shape = after(pieces[-1].layer, shape)
    loss = draw_loss(draw, shape)
    pieces += [] if loss.last is None else [loss.last]
    layers = [piece.layer for piece in pieces]
    weights = [t for t in gl.Sequential(layers, sample, input_classes=classes).parameters if t.rank > 1]
    penalty = draw.pick([0, 0, 0.1]) if weights else 0
    network = gl.Sequential(
        layers, sample, input_classes=classes, loss=loss.loss, penalties=[gl.losses.L2(penalty)] * bool(penalty)
    )
    derive = functools.cache(network.derive)
    network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
    known = {s for t in network.tensors.values() for size in t.shape for s in size.free_symbols}
    sizes = {size.name: number for size, number in draw.numbers.items() if size in known}
    return RandomNetwork(network, pieces, loss, penalty, sizes, _values(draw, network, loss))


def _values(draw: Draw, network: Any, loss: LossPiece) -> dict[str, np.ndarray]:
    """Random values; weights of a size that keeps what comes out near 1."""
    made: dict[str, np.ndarray] = {}
    numbers = {**draw.numbers, gl.Dim("B"): int(draw.pick([2, 3]))}
    for tensor in network.by_role("input", "target", "parameter", "state", "noise"):
        shape = tuple(int(size.xreplace(numbers)) for size in tensor.shape)
        if tensor.classes is not None:
            made[tensor.name] = draw.rng.integers(0, int(tensor.classes.xreplace(numbers)), shape)
        elif tensor.name.startswith("seen"):
            made[tensor.name] = draw.rng.integers(0, 2, shape).astype(float)
            made[tensor.name][:, 0] = 1  # PyTorch's attention gives NaN where nothing may be seen
        elif tensor.role == "target":
            made[tensor.name] = loss.target(draw.rng, shape)
        elif tensor.role in ("state", "noise"):
            made[tensor.name] = draw.rng.uniform(0, 1, shape) + 0.5 * (tensor.role == "state")
        else:
            scale = np.sqrt(np.prod(shape[1:])) if tensor.role == "parameter" and len(shape) > 1 else 1
            made[tensor.name] = draw.rng.normal(size=shape) / scale
    return made
