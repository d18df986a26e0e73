"""Dropout: entries set to 0 at random in training."""

from __future__ import annotations

from numbers import Real

from sympy import Piecewise

from ..binders import from_user
from ..errors import DataError
from ..network import Network
from ..tensors import Tensor
from .base import Layer, Place, letters, needs_axes


class Dropout(Layer):
    """Dropout: ``a[i, j] = x[i, j] [u[i, j] >= p] / (1 - p)`` in training, ``a[i, j] = x[i, j]`` in inference.

    The noise ``u1`` (with the layer's place for the 1) has the shape of `x`. Dividing by 1 - p in training keeps the
    mean of each entry, so that inference needs no factor.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).

    Parameters
    ----------
    rate : p, the probability with which an entry is set to 0, at least 0 and less than 1.

    Raises
    ------
    DataError
        If `rate` is no such number.
    """

    def __init__(self, rate: float = 0.5) -> None:
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= rate < 1:
            raise DataError(f"rate of Dropout is {rate!r}; expected a number of at least 0 and less than 1")
        self.rate: float = rate

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 1, self, place)
        where = letters(network, ("i" + "tuvw"[: max(x.rank - 2, 0)] + "j")[: x.rank])
        u = network.noise(f"u{place}", x.shape)
        p = from_user(self.rate)
        kept = Piecewise((1, u[where] >= p), (0, True))
        body = x[where] * kept / (1 - p)
        return network.define(f"a{place}", where, body, inference=x[where], note=f"Dropout, layer {place}")

    def __repr__(self) -> str:
        return f"Dropout({self.rate})"


__all__ = ["Dropout"]
