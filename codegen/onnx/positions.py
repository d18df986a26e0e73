"""Places in arrays, as values in an ONNX graph: what expressions read is gathered at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy
from sympy import Add, Expr, Integer, Mul, Pow

from ...symbolic.errors import UnsupportedError
from ...symbolic.indices import Dim
from ...symbolic.ranges import bounds, is_never_negative
from ...symbolic.tensors import is_element
from ..ops import is_index
from .graph import Graph
from .values import Value, Values


class Positions(Values):
    """Writes elements and whole numbers over `space`; a value has the axes of the indices that it depends on.

    Parameters
    ----------
    graph, space : see `Values`
    array : of an element, what holds its tensor, the places along the axes of that, and how long those are
    numbers : numbers for symbolic sizes
    batch : gives the name of the batch size
    loops : the indices that loops around run over, each a whole number in the graph
    lengths : how far those run
    """

    def __init__(
        self,
        graph: Graph,
        space: Mapping[Any, Any],
        array: Callable[[Expr], tuple[str, tuple[Expr, ...], tuple[Expr, ...]]],
        numbers: Mapping[Any, Any],
        batch: Callable[[], str],
        loops: Mapping[Any, str] = MappingProxyType({}),
        lengths: Mapping[Any, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(graph, space, self.integer)
        self.array, self.numbers, self.batch, self.loops, self.lengths = array, numbers, batch, loops, lengths

    # ---- elements --------------------------------------------------------------------------------------------------

    def element(self, element: Expr) -> Value:
        """What is read of a tensor, at the places that an element names."""
        name, where, sizes = self.array(element)
        plain = [
            place in self.space and self.space[place] == size and sum(other.has(place) for other in where) == 1
            for place, size in zip(where, sizes, strict=True)
        ]
        if all(plain):
            return self.ordered(Value(where, name), self.space)
        places = {axis: self._inside(where[axis], sizes[axis]) for axis in range(len(where)) if not plain[axis]}
        used = [index for value in places.values() for index in value.axes]
        if len(set(used)) < len(used):
            return self._read_together(name, where, places)
        axes: list[Any] = list(where)
        for axis in reversed(places):
            name = self.graph.node("Gather", [name, self.name(places[axis])], axis=axis)
            axes[axis : axis + 1] = places[axis].axes
        return self.ordered(Value(tuple(axes), name), self.space)

    def _read_together(self, name: str, where: tuple[Expr, ...], places: dict[int, Value]) -> Value:
        """An array at places of which several depend on the same index, as on a diagonal."""
        rest = [axis for axis in range(len(where)) if axis not in places]
        order = [*places, *rest]
        if order != sorted(order):
            name = self.graph.node("Transpose", [name], perm=order)
        axes = [index for index in self.space if any(index in value.axes for value in places.values())]
        parts = [self.unsqueezed(self.whole(value, axes), [len(axes)]) for value in places.values()]
        found = self.graph.node("GatherND", [name, self.graph.node("Concat", parts, axis=len(axes))])
        return self.ordered(Value((*axes, *(where[axis] for axis in rest)), found), self.space)

    def _inside(self, place: Any, size: Any) -> Value:
        """A position as a value, moved inside where a guard may say that it is not."""
        value = self.integer(place)
        if is_element(place):
            return value
        if value.array is not None and isinstance(size, Integer):
            return Value(value.axes, array=value.array.clip(0, int(size) - 1))
        span = bounds(place, {**self.space, **self.lengths})
        if span is None or not is_never_negative(span[0]):
            value = self.apply("Max", value, Value((), array=np.array(0)))
        if span is None or not is_never_negative(size - 1 - span[1]):
            value = self.apply("Min", value, self.integer(sympy.expand(size - 1)))
        return value

    # ---- whole numbers ---------------------------------------------------------------------------------------------

    def integer(self, expr: Any) -> Value:
        """A whole-number expression in sizes and positions."""
        if isinstance(expr, Integer):
            return Value((), array=np.array(int(expr)))
        if is_element(expr):
            return self.element(expr)
        if isinstance(expr, Dim):
            return self.integer(self.numbers[expr]) if expr in self.numbers else Value((), self.batch())
        if expr in self.loops:
            return Value((), self.loops[expr])
        if is_index(expr):
            extent = self.integer(self.space[expr])
            if extent.array is not None:
                return Value((expr,), array=np.arange(int(extent.array)))
            zero, one = (self.graph.constant(number) for number in (0, 1))
            return Value((expr,), self.graph.node("Range", [zero, extent.name, one]))
        if isinstance(expr, Add | Mul):
            made = self.integer(expr.args[0])
            for part in expr.args[1:]:
                made = self.apply("Add" if isinstance(expr, Add) else "Mul", made, self.integer(part))
            return made
        if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp > 0:
            return self.integer(Mul(*[expr.base] * int(expr.exp), evaluate=False))
        if isinstance(expr, sympy.floor | sympy.Mod):
            top, step = sympy.fraction(sympy.together(expr.args[0])) if isinstance(expr, sympy.floor) else expr.args
            top, step = self.integer(top), self.integer(step)
            rest = self.apply("Mod", top, step)
            if isinstance(expr, sympy.Mod):
                return rest
            return self.apply("Div", self.apply("Sub", top, rest), step)  # ONNX rounds quotients towards 0
        raise UnsupportedError(f"{expr} is no whole-number polynomial in sizes and indices")
