"""Layers, activations, losses and penalties with arguments that are none, or on tensors that they do not take."""

from __future__ import annotations

import numpy as np

import gradloom as gl
from gradloom import layers as L

from .case import Case, stacked

IMAGE, SEQUENCE = (3, 8, 8), (5, 4)
SHARED = L.Dense(3)
FREE = gl.dims("H")

CASES: dict[str, Case] = {
    "No layer at all": lambda place: stacked_of([]),
    "One layer without a list": lambda place: stacked_of(L.Dense(3)),
    "Something else than a layer": lambda place: stacked_of([gl.tanh]),
    "The class of a layer": lambda place: stacked_of([L.Dense]),
    "A layer that returns no tensor": lambda place: stacked(type("Own", (L.Layer,), {"build": lambda *_: 3})()),
    "Something else than a layer within another": lambda place: stacked(L.Residual([3])),
    "The batch in input_shape": lambda place: stacked(shape=gl.dims("B n")),
    "An input_shape that is no size": lambda place: stacked(shape="2"),
    "A number of units below 1": lambda place: stacked(L.Dense(-3)),
    "A number of units that is a word": lambda place: stacked(L.Dense("a")),
    "A list for the number of units": lambda place: stacked(L.GRU([]), shape=SEQUENCE),
    "An activation that is no function": lambda place: stacked(L.Dense(3, "sigmoid")),
    "An activation of NumPy": lambda place: stacked(L.Dense(3, np.exp)),
    "An activation that returns no expression": lambda place: stacked(L.Dense(3, lambda z: None)),
    "A layer at two places of different sizes": lambda place: stacked(SHARED, SHARED),
    "A transposed weight that is none": lambda place: L.TiedDense(of=3),
    "A transposed weight of another size": lambda place: stacked(
        SHARED, L.TiedDense(of=SHARED), L.TiedDense(of=SHARED)
    ),
    "A transposed weight that is not yet there": lambda place: stacked(L.TiedDense(of=L.Dense(3))),
    "A convolution of rows": lambda place: stacked(L.Conv2D(3, 2), shape=7),
    "A kernel larger than the image": lambda place: stacked(L.Conv2D(2, 9), shape=IMAGE),
    "A stride below 1": lambda place: stacked(L.Conv2D(2, 3, stride=0), shape=IMAGE),
    "Three strides for two axes": lambda place: stacked(L.Conv2D(2, 3, stride=(1, 1, 1)), shape=IMAGE),
    "A padding that is unknown": lambda place: stacked(L.Conv2D(2, 3, padding="full"), shape=IMAGE),
    "Groups that do not divide the channels": lambda place: stacked(L.Conv2D(4, 3, groups=2), shape=IMAGE),
    "A transposed convolution with more padding than image": lambda place: stacked(
        L.ConvTranspose2D(2, 3, padding=9), shape=IMAGE
    ),
    "An output_padding of whole rows": lambda place: L.ConvTranspose2D(2, 3, output_padding=1),
    "Padding same, of a size without a number": lambda place: stacked(
        L.Conv2D(2, 3, stride=2, padding="same"), shape=(3, FREE, 8)
    ),
    "A recurrent layer on rows": lambda place: stacked(L.LSTM(3), shape=7),
    "An initial state that is unknown": lambda place: L.GRU(3, initial="zeros"),
    "A truncation below 1": lambda place: L.RNN(3, truncate=0),
    "Two directions of what has none": lambda place: L.Bidirectional(L.Dense(3)),
    "Heads that do not divide the axis": lambda place: stacked(L.Attention(3), shape=SEQUENCE),
    "An embedding of numbers": lambda place: stacked(L.Embedding(5, 3), shape=4),
    "Positions of labels": lambda place: stacked(L.Positions(), shape=4, input_classes=5),
    "A rate of dropout that is none": lambda place: L.Dropout(1.5),
    "A momentum of batch normalisation that is none": lambda place: L.BatchNorm(momentum=2),
    "Batch normalisation of an axis that is not there": lambda place: stacked(L.BatchNorm(axis=3), shape=7),
    "Groups that do not divide the features": lambda place: stacked(L.GroupNorm(5), shape=IMAGE),
    "A shape of another size": lambda place: stacked(L.Reshape((3, 3)), shape=IMAGE),
    "Axes that are no permutation": lambda place: stacked(L.Permute(1, 1), shape=SEQUENCE),
    "A part of an axis that is not there": lambda place: stacked(L.Slice(1, 2, 9), shape=SEQUENCE),
    "An axis that is not there": lambda place: stacked(L.Slice(4), shape=SEQUENCE),
    "A sum with another shape": lambda place: stacked(L.Residual([L.Dense(3)]), shape=7),
    "Branches that do not fit": lambda place: stacked(L.Parallel([L.Flatten(), L.Permute(2, 1)]), shape=SEQUENCE),
    "A flattened size without a number": lambda place: stacked(L.MaxPool2D(2), L.Flatten(), shape=(3, FREE, 8)),
    "A mask of another shape": lambda place: masked_twice(),
    "A loss that is none": lambda place: stacked(loss="mse"),
    "A loss of NumPy's functions": lambda place: stacked(loss=lambda a, y: np.exp(a - y)),
    "A loss that returns no expression": lambda place: stacked(loss=lambda a, y: None),
    "A reduction that is unknown": lambda place: gl.losses.SquaredError(reduction="max"),
    "A kind of targets that is unknown": lambda place: gl.losses.CrossEntropy(targets="words"),
    "A mask that is none": lambda place: gl.losses.SquaredError(mask=3),
    "A target of another shape": lambda place: other_target(),
    "Classes along no axis": lambda place: rows_of_numbers(),
    "A margin that is no positive number": lambda place: gl.losses.Huber(delta=-1),
    "A penalty without a list": lambda place: stacked(penalties=gl.losses.L2(0.1)),
    "A penalty that is none": lambda place: stacked(penalties=["l2"]),
    "A penalty without a loss": lambda place: gl.Sequential([L.Dense(3)], 2, penalties=[gl.losses.L2(0.1)]),
    "A strength below 0": lambda place: gl.losses.L2(-1),
    "A penalty on what is not there": lambda place: stacked(penalties=[gl.losses.L2(0.1, parameters=["V"])]),
}


def stacked_of(layers: object) -> gl.Network:
    return gl.Sequential(layers, 2)  # type: ignore[arg-type]


def masked_twice() -> gl.Network:
    return stacked(L.Attention(1, mask="x"), shape=SEQUENCE)


def other_target() -> object:
    net = gl.Network("net")
    B = gl.dims("B")
    x, y = net.input("x", (B, 3)), net.target("y", (B, 2))
    return gl.losses.SquaredError().term(net, x, y)


def rows_of_numbers() -> object:
    net = gl.Network("net")
    return gl.losses.CrossEntropy().term(net, net.input("x", (gl.dims("B"),)))
