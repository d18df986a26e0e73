"""Labels and positions as vectors: `Embedding`, `Positions`."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..indices import as_size
from ..network import Network
from ..tensors import Tensor, shape_text
from .base import Layer, Place, letters, needs_axes


class Embedding(Layer):
    """A learned vector per class: ``a[i, t, k] = E[x[i, t], k]``, for labels ``x`` of shape (B,) or (B, T).

    The parameter is ``E1 (classes, units)``. In a `Sequential` the labels are declared with ``input_classes=classes``.

    Parameters
    ----------
    classes : how many labels there are: 0 … classes - 1.
    units : size of the vectors.
    init : how a model fills E: an initialiser, an array, a number; None for the default.

    Raises
    ------
    ShapeError
        If a size is no size; on `build`, if the incoming tensor does not hold labels of that many classes.
    """

    def __init__(self, classes: Any, units: Any, init: Any = None) -> None:
        self.classes = as_size(classes, "classes of Embedding")
        self.units = as_size(units, "units of Embedding")
        self.init = init

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        if x.classes != self.classes:
            found = "real numbers" if x.classes is None else f"labels of {x.classes} classes"
            raise ShapeError(
                f"Embedding at place {place} takes labels of {self.classes} classes, but {x.name} holds {found}; "
                f"declare them, as in Sequential(…, input_classes={self.classes})"
            )
        *at, k = letters(network, "ituvw"[: x.rank] + "k")
        E = self.parameter(network, "E", (self.classes, self.units), place, init=self.init)
        label = x[tuple(at)]
        shape = (*x.shape, self.units)
        return network.define(f"a{place}", (*at, k), E[label, k], shape=shape, note=f"Embedding, layer {place}")

    def __repr__(self) -> str:
        return f"Embedding({self.classes}, {self.units})"


class Positions(Layer):
    """A learned vector per position: ``a[i, t, k] = x[i, t, k] + P[t, k]`` (Gehring et al. 2017, section 3.1).

    The parameter is ``P1 (T, n)`` for an incoming (B, T, n).

    Parameters
    ----------
    init : how a model fills P: an initialiser, an array, a number; None for the default.

    Raises
    ------
    ShapeError
        On `build`, if the incoming tensor has not three axes.
    """

    def __init__(self, init: Any = None) -> None:
        self.init = init

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 3, self, place, most=3)
        if x.classes is not None:
            raise ShapeError(
                f"Positions at place {place}: {x.name} {shape_text(x.shape)} holds labels; put an Embedding before it"
            )
        i, t, k = letters(network, "itk")
        P = self.parameter(network, "P", x.shape[1:], place, init=self.init)
        return network.define(f"a{place}", (i, t, k), x[i, t, k] + P[t, k], note=f"Positions, layer {place}")

    def __repr__(self) -> str:
        return "Positions()"
