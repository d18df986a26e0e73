"""Values in an ONNX graph with the indices of their axes, and how they are brought to the same axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Integer

from .graph import Graph

# Whole numbers that are known are computed here, and stand in the graph as constants.
FOLDED: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Mod": np.mod,
    "Div": np.floor_divide,
    "Min": np.minimum,
    "Max": np.maximum,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
}


@dataclass(frozen=True, eq=False)
class Value:
    """An array whose axes run along indices, each once.

    Attributes
    ----------
    axes : the index of each axis, in order
    name : what holds it in the graph, "" where it is a constant not yet in it
    array : the numbers, where they are known: positions and conditions on them
    """

    axes: tuple[Any, ...]
    name: str = ""
    array: NDArray[Any] | None = None


class Values:
    """Makes values over an index space.

    Parameters
    ----------
    graph : what the nodes are added to
    space : the indices in the order of the axes, and how far they run
    size : a size as a value
    """

    def __init__(self, graph: Graph, space: Mapping[Any, Any], size: Callable[[Any], Value]) -> None:
        self.graph, self.space, self.size = graph, dict(space), size

    def name(self, value: Value) -> str:
        """The name in the graph; a constant comes into it."""
        return value.name or self.graph.constant(value.array, value.array.dtype)  # type: ignore[union-attr]

    def apply(self, kind: str, *values: Value, fold: bool = True, **attributes: Any) -> Value:
        """An operator that works entry by entry, on values with any axes."""
        axes = tuple(index for index in self.space if any(index in value.axes for value in values))
        arrays = [value.array for value in values]
        if fold and kind in FOLDED and all(array is not None for array in arrays):
            spread = [self._spread_array(value, axes) for value in values]
            return Value(axes, array=FOLDED[kind](*spread))
        names = [self._spread(value, axes) for value in values]
        return Value(axes, self.graph.node(kind, names, **attributes))

    def _spread_array(self, value: Value, axes: Sequence[Any]) -> NDArray[Any]:
        assert value.array is not None
        missing = [place for place, index in enumerate(axes) if index not in value.axes]
        return np.expand_dims(value.array, missing)

    def _spread(self, value: Value, axes: Sequence[Any]) -> str:
        """The name of the value with axes of length 1 where it has none, those that lead left out."""
        if not value.axes:
            return self.name(value)
        inner = axes[list(axes).index(value.axes[0]) :]
        missing = [place for place, index in enumerate(inner) if index not in value.axes]
        return self.unsqueezed(self.name(value), missing)

    def unsqueezed(self, name: str, places: Sequence[int]) -> str:
        return self.graph.node("Unsqueeze", [name, self.graph.constant(places)]) if places else name

    def ordered(self, value: Value, axes: Iterable[Any]) -> Value:
        """The same with its axes in the order of `axes`, of which it may have some only."""
        wanted = tuple(index for index in axes if index in value.axes)
        if wanted == value.axes:
            return value
        order = [value.axes.index(index) for index in wanted]
        if value.array is not None:
            return Value(wanted, array=value.array.transpose(order))
        return Value(wanted, self.graph.node("Transpose", [value.name], perm=order))

    def whole(self, value: Value, axes: Sequence[Any]) -> str:
        """The name of the value with exactly these axes, repeated along those that it has not."""
        value = self.ordered(value, axes)
        if len(value.axes) == len(axes):
            return self.name(value)
        sizes = [self.space[index] for index in axes]
        if value.array is not None and all(isinstance(size, Integer) for size in sizes):
            spread = np.broadcast_to(self._spread_array(value, axes), [int(size) for size in sizes])
            return self.graph.constant(spread, value.array.dtype)
        return self.graph.node("Expand", [self._spread(value, axes), self.shape(sizes)])

    def shape(self, sizes: Sequence[Any]) -> str:
        """The name of a shape, as a vector of whole numbers."""
        if all(isinstance(size, Integer) for size in sizes):
            return self.graph.constant([int(size) for size in sizes])
        parts = [self.unsqueezed(self.name(self.size(size)), [0]) for size in sizes]
        return self.graph.node("Concat", parts, axis=0)
