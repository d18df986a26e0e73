"""Layers made of layers: `Chain`, one after another; `Residual`, a chain beside what came in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import ShapeError
from ..network import Network
from ..tensors import Tensor, element_of, shape_text
from .base import Layer, Place, as_layers, axis_letters, build, inside, letters


class Chain(Layer):
    """Layers, one after another, as one layer. At place 3 they have the places 3_1, 3_2, …, and so their names.

    Parameters
    ----------
    layers : the layers, in order, or one layer.

    Raises
    ------
    UndefinedError
        On `build`, if something in `layers` is not a `Layer`.
    """

    def __init__(self, layers: Layer | Iterable[Layer]) -> None:
        self.layers: list[Any] = [layers] if isinstance(layers, Layer) else as_layers(layers, type(self).__name__)

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        for number, (layer, own) in enumerate(inside(place, self.layers)):
            x = build(network, layer, x, own, f"layers[{number}] of {type(self).__name__} at place {place}")
        return x

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layers!r})"


class Residual(Chain):
    """What comes in, plus what a chain of layers makes of it: ``a = x + f(x)`` (He et al. 2016, equation 1).

    The layers' places are those of a `Chain`.

    Parameters
    ----------
    layers : the layers of f, in order, or one layer.

    Raises
    ------
    ShapeError
        On `build`, if f changes the shape.
    UndefinedError
        On `build`, if something in `layers` is not a `Layer`.
    """

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        f = super().build(network, x, place)
        if f.shape != x.shape:
            raise ShapeError(
                f"Residual at place {place} adds {f.name} {shape_text(f.shape)} to {x.name} {shape_text(x.shape)}: the "
                "two shapes must be equal; end with a layer that gives back the incoming size"
            )
        where = letters(network, axis_letters(x.rank, "j"))
        body = element_of(x, where) + element_of(f, where)
        return network.define(f"a{place}", where, body, note=f"Residual, layer {place}")
