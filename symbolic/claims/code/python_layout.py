"""How arrays are laid out for a user's function, and its results: examples in rows, in columns, or one alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...network import Network
from ...tensors import Adjoint, Tensor


@dataclass(frozen=True)
class ArrayLayout:
    """One convention.

    Attributes
    ----------
    columns : one example per column: the batch axis is the last
    upright : vectors without a batch axis have a second axis of length 1
    weights : matrices of parameters are (in, out), as in ``x @ W``
    alone : one example, without a batch axis
    """

    columns: bool = False
    upright: bool = False
    weights: bool = False
    alone: bool = False

    def change(self, tensor: Tensor, network: Network) -> str:
        """What is done to the array of a tensor: "" where it stays as it is."""
        plain = tensor.of if isinstance(tensor, Adjoint) else tensor
        if network.batch is not None and network.batch in plain.shape:
            if self.alone:
                return "alone"
            return "columns" if self.columns else ""
        if self.upright and plain.rank == 1:
            return "upright"
        return "weights" if self.weights and plain.rank == 2 and plain.role == "parameter" else ""

    def show(self, tensor: Tensor, array: Any, network: Network) -> Any:
        """A tensor's array in this layout."""
        change, axis = self.change(tensor, network), _batch_axis(tensor, network)
        if change == "alone":
            return np.take(array, 0, axis=axis)
        if change == "columns":
            return np.moveaxis(array, axis, -1) if array.ndim > 1 else array[None, :]
        if change == "upright":
            return array[:, None]
        return array.T if change == "weights" else array

    def back(self, tensor: Tensor, array: Any, network: Network) -> Any:
        """The inverse of `show`."""
        change, axis = self.change(tensor, network), _batch_axis(tensor, network)
        if change == "alone":
            return np.expand_dims(array, axis)
        if change == "columns":
            return np.moveaxis(array, -1, axis) if tensor.rank > 1 else array[0]
        if change == "upright":
            return array[:, 0]
        return array.T if change == "weights" else array

    def words(self) -> str:
        """What is unlike the network's own layout, but for which way the examples run."""
        parts = ["the example without a batch axis"] if self.alone else []
        parts += ["weights as (in, out)"] if self.weights else []
        return " and ".join(parts)

    def plainly(self, tensor: Tensor, array: Any, network: Network) -> Any:
        """An array in this layout as the network has it, but for weights, which stay as they are."""
        return array if self.change(tensor, network) == "weights" else self.back(tensor, array, network)


def _batch_axis(tensor: Tensor, network: Network) -> int:
    return tensor.shape.index(network.batch) if network.batch in tensor.shape else 0


def layouts(network: Network, rows: int | None) -> Iterator[ArrayLayout]:
    """The layouts, in the order in which they are tried: as the network declares its tensors first."""
    for weights in (False, True):
        yield ArrayLayout(weights=weights)
        if network.batch is not None:
            yield ArrayLayout(columns=True, upright=True, weights=weights)
            yield ArrayLayout(columns=True, weights=weights)
    if network.batch is not None and rows == 1:
        for weights in (False, True):
            yield ArrayLayout(alone=True, weights=weights)


__all__ = ["ArrayLayout", "layouts"]
