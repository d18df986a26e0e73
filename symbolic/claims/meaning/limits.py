"""What random points at small sizes would not show: positions far along an axis, numbers far from 1."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, Indexed, Integer, KroneckerDelta, Piecewise, Pow

from ...binders import Binder
from ...guards import Guard
from ...indices import Dim
from ...tensors import elements
from .values import NotReadError

NEAR = 2  # positions up to this one are on every axis that is drawn, and one more is
SMALLEST, LARGEST = sympy.Rational(1, 10**12), 10**12


def check_positions(expr: Expr, ranges: dict[Any, Any], network: Any) -> None:
    """Refuse conditions on positions or sizes that none of the sizes that are drawn may ever meet, ``i \\le 50``.

    A number that the network itself has (the width of a kernel) is met, as sizes are drawn to go with it.

    Raises
    ------
    NotReadError
        If there is one.
    """
    own = [abs(n) for equation in network.equations for n in equation.body.atoms(Integer)]
    own += [abs(n) for tensor in network.tensors.values() for axis in tensor.shape for n in axis.atoms(Integer)]
    _walk(expr, ranges, max(own, default=0))


def _walk(node: Any, ranges: dict[Any, Any], known: int) -> None:
    if isinstance(node, Binder):
        ranges = {**ranges, **dict(node.limits)}
    places: list[Expr] = []
    if isinstance(node, Guard | KroneckerDelta):
        places = [sympy.expand(sum(node.args) if isinstance(node, Guard) else node.args[0] - node.args[1])]
    elif isinstance(node, Indexed):
        places = list(node.indices)
    elif isinstance(node, Piecewise):
        conditions = [condition for _, condition in node.args if not elements(condition)]
        places = [part.lhs - part.rhs for c in conditions for part in c.atoms(sympy.core.relational.Relational)]
    for place in places:
        far = max((abs(number) for number in place.atoms(Integer)), default=Integer(0))
        if far <= max(NEAR, known) or elements(place):
            continue
        sizes = [symbol if isinstance(symbol, Dim) else ranges.get(symbol) for symbol in place.free_symbols]
        letter = next((size for size in sizes if size is None or size.free_symbols), None)
        if letter is not None:
            raise NotReadError(
                f"a condition on a position compares it with {far}, while {letter} is a letter: whether there are as "
                f"many is not known; give the network a number for {letter}"
            )
    for arg in node.args:
        _walk(arg, ranges, known)


def check_padding(expr: Expr, times: Any) -> None:
    """Refuse what is read beside its axis inside of a function: 0 is there what a term is, not what e⁰ is.

    Along time it is the state before the first step, which is 0.

    Raises
    ------
    NotReadError
        If there is one.
    """
    stack: list[tuple[Any, bool]] = [(expr, False)]
    while stack:
        node, inside = stack.pop()
        if inside and isinstance(node, sympy.Mul) and any(isinstance(arg, Guard) for arg in node.args):
            read = [arg for arg in node.args if isinstance(arg, Indexed) and _beside(arg, times)]
            if read:
                raise NotReadError(f"{read[0]} is read beside its axis, inside of a function: what is it there?")
        function = isinstance(node, sympy.Function) and not isinstance(node, Guard | Piecewise | KroneckerDelta)
        below = isinstance(node, Pow) and not (node.exp.is_Integer and node.exp.is_positive)
        for arg in node.args:
            if isinstance(arg, Expr | sympy.Tuple | sympy.logic.boolalg.Boolean):
                stack.append((arg, not isinstance(node, Binder) and (inside or function or below)))


def _beside(element: Indexed, times: Any) -> bool:
    shape = element.base.label.shape
    return any(place.is_Add and size not in times for place, size in zip(element.indices, shape, strict=True))


def extreme_number(expr: Expr) -> Expr | None:
    """A number in `expr` so small or large that digits may not show it; None if there is none."""
    stack = [expr]
    while stack:
        node = stack.pop()
        if node.is_number and node != 0:
            size = abs(sympy.N(node, 5))
            if not SMALLEST < size < LARGEST:
                return node
        if isinstance(node, Pow) and node.exp.is_number and abs(node.exp) > 30:
            return node
        stack += [arg for arg in node.args if isinstance(arg, Expr)]
    return None
