"""Layers: each adds forward equations to a network, and nothing else.

A layer is a `Layer` with one method, ``build(network, x, place)``: given the incoming tensor and the layer's place
(1, 2, …), add parameters and equations to the network and return the outgoing tensor. A layer of your own is a
subclass in your own file; it needs no derivative, since the engine derives it.

What a layer gives is named ``z`` where it is linear, and ``a`` otherwise, with the place behind.
"""

from .attention import Attention, TransformerBlock
from .base import Layer, Place, letters, needs_axes
from .batch_norm import BatchNorm
from .chain import Chain, Residual
from .dense import Activation, Dense, TiedDense, activation_name
from .dropout import Dropout
from .embedding import Embedding, Positions
from .norm import LayerNorm, RMSNorm

__all__ = [
    "Activation", "Attention", "BatchNorm", "Chain", "Dense", "Dropout", "Embedding", "Layer", "LayerNorm",
    "Place", "Positions", "RMSNorm", "Residual", "TiedDense", "TransformerBlock", "activation_name", "letters",
    "needs_axes",
]  # fmt: skip
