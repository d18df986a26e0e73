"""Axes at numbers: that none is empty, and that a fixed place lies on its axis, once sizes have numbers.

A size that is an expression, H - 4, says nothing wrong as long as H is a symbol. A number may make it 0 or less: then
there is nothing to compute, and an array of no entries would give a loss of 0 that looks like a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from sympy import Expr, Indexed, Integer

from .equations import Equation
from .errors import SizeError
from .indices import Dim
from .tensors import Tensor, elements, shape_text

if TYPE_CHECKING:
    from .network import Network

_LARGEST = 1000  # up to where a number is looked for that an axis would take


def check_axes(network: Network, numbers: Mapping[str, int]) -> None:
    """Evaluate every axis at `numbers`, size → number by name; an axis with a size that has none is left out.

    Raises
    ------
    SizeError
        If an axis of a tensor would be empty, or an equation reads a place that is not on its axis.
    """
    equations = {equation.target: equation for equation in network.equations}
    for tensor in network.tensors.values():
        check_shape(tensor, numbers, equations.get(tensor))
    for equation in chain(network.equations, network.assignments):
        for body in filter(None, (equation.body, equation.inference)):
            _check_fixed_places(equation, body, numbers)


def derived_axes(network: Network, size: Dim) -> bool:
    """Whether an axis of a tensor is an expression that `size` is a part of, not `size` itself."""
    return any(axis != size and size in axis.free_symbols for t in network.tensors.values() for axis in t.shape)


def check_shape(tensor: Tensor, numbers: Mapping[str, int], equation: Equation | None = None) -> None:
    """Check the axes of one tensor as `check_axes` does; `equation` defines it."""
    for axis, size in enumerate(tensor.shape):
        value = _at(size, numbers)
        if value is None or value >= 1:
            continue
        made_by = f" ({equation.note})" if equation is not None and equation.note else ""
        raise SizeError(
            f"{tensor.name} {shape_text(tensor.shape)}{made_by}: axis {axis}, {size}, is {value} at "
            f"{_given(size, numbers)}, so it would have no entry; {_mend(size, numbers)}"
        )


def _check_fixed_places(equation: Equation, body: Expr, numbers: Mapping[str, int]) -> None:
    fixed = [
        (element, axis, place)
        for element in elements(body)
        if isinstance(element, Indexed)
        for axis, place in enumerate(element.indices)
        if isinstance(place, Integer) and not isinstance(element.base.label.shape[axis], Integer)
    ]
    if not fixed:
        return
    # What a guard takes out at these numbers is not read.
    left = body.xreplace({s: Integer(numbers[s.name]) for s in body.free_symbols if s.name in numbers and _is_size(s)})
    reads = set(elements(left))
    for element, axis, place in fixed:
        size = element.base.label.shape[axis]
        value = _at(size, numbers)
        if value is not None and place >= value and element in reads:
            raise SizeError(
                f"{equation.target.name} reads {element}, but axis {axis} of {element.base.label.name}, {size}, is "
                f"{value} at {_given(size, numbers)}; {_mend(size - place, numbers)}"
            )


def _is_size(symbol: Any) -> bool:
    return isinstance(symbol, Dim)


def _at(size: Any, numbers: Mapping[str, int]) -> int | None:
    """The number that a size comes to; None where that is not known, or is plain."""
    if not all(symbol.name in numbers for symbol in size.free_symbols):
        return None
    return int(size.xreplace({symbol: Integer(numbers[symbol.name]) for symbol in size.free_symbols}))


def _given(size: Any, numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {numbers[name]}" for name in _names(size))


def _names(size: Any) -> list[str]:
    return sorted(symbol.name for symbol in size.free_symbols)


def _mend(size: Any, numbers: Mapping[str, int]) -> str:
    names = _names(size)
    for name in names:
        tried = range(numbers[name] + 1, _LARGEST)
        least = next((n for n in tried if (_at(size, {**numbers, name: n}) or 0) >= 1), None)
        if least is not None:
            return f"{name} must be at least {least}"
    return f"give other numbers for {', '.join(names)}"
