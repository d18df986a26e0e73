"""Layers: each adds forward equations to a network, and nothing else.

A layer is a `Layer` with one method, ``build(network, x, place)``: given the incoming tensor and the layer's place
(1, 2, …), add parameters and equations to the network and return the outgoing tensor. A layer of your own is a
subclass in your own file; it needs no derivative, since the engine derives it.

What a layer gives is named ``z`` where it is linear, and ``a`` otherwise, with the place behind.
"""

from .attention import Attention, TransformerBlock
from .base import Layer, Place, letters, needs_axes
from .batch_norm import BatchNorm
from .bidirectional import Bidirectional
from .chain import Chain, Residual
from .convolution import Conv1D, Conv2D, DepthwiseConv2D
from .dense import Activation, Dense, TiedDense, activation_name
from .dropout import Dropout
from .embedding import Embedding, Positions
from .gated import GRU, LSTM
from .norm import GroupNorm, LayerNorm, RMSNorm
from .pooling import AveragePool1D, AveragePool2D, GlobalAveragePool, GlobalMaxPool, MaxPool1D, MaxPool2D
from .recurrent import RNN, Recurrent
from .shape import Flatten, Parallel, Permute, Reshape, Slice, concatenate, flatten, permute, reshape, take
from .transposed import ConvTranspose1D, ConvTranspose2D

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "Attention",
    "AveragePool1D",
    "AveragePool2D",
    "BatchNorm",
    "Bidirectional",
    "Chain",
    "Conv1D",
    "Conv2D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "Parallel",
    "Permute",
    "Place",
    "Positions",
    "RMSNorm",
    "Recurrent",
    "Reshape",
    "Residual",
    "Slice",
    "TiedDense",
    "TransformerBlock",
    "activation_name",
    "concatenate",
    "flatten",
    "letters",
    "needs_axes",
    "permute",
    "reshape",
    "take",
]  # fmt: skip
