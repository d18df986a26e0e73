"""`Guard`: the Iverson bracket [e ≥ 0] of a whole-number expression in indices.

An affine index (``x[h + u - 1]``) may leave its axis. What is read there is multiplied by guards: where a guard is 0,
the product is 0 and nothing is read; a Kronecker delta that could not be solved counts as one. `padded` writes them for
people; the adjoint engine makes them where it solves an index; `ranges` drops those that always hold.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, Function, Indexed, Integer, Symbol

from .errors import IndexingError
from .strict import strict
from .tensors import Tensor, indices_of, is_element, tensor_of


class Guard(Function):
    """``[e ≥ 0]``: 1 or 0. In a product, the other factors are evaluated only where it is 1."""

    nargs = 1
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption
    _eval_is_nonnegative = lambda self: True  # noqa: E731

    @classmethod
    def eval(cls, bound: Expr) -> Expr | None:
        flat = sympy.expand(bound)
        # An index may have any sign here: `ranges` knows better, and SymPy would think long about it.
        if all(symbol.is_nonnegative for symbol in flat.free_symbols):
            if flat.is_nonnegative:
                return Integer(1)
            if flat.is_negative:
                return Integer(0)
        return None if flat == bound else cls(flat)

    def _eval_power(self, exponent: Expr) -> Expr | None:
        return self if exponent.is_positive else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


def inside(place: Any, size: Any) -> Expr:
    """``[0 ≤ place < size]``: 1 where `place` is a position along an axis of `size`, else 0.

    Examples
    --------
    The mean of a window that looks back at most three steps:

    >>> import gradloom as gl
    >>> t, u = gl.indices("t u")
    >>> net = gl.Network("window")
    >>> x = net.input("x", (11,))
    >>> y = net.define("y", t, gl.Sum(gl.inside(t - u, 3) * x[u], u) / 3, shape=(11,))
    >>> print(net)
    y[t] = 1/3 Σ_i x[i] [0 ≤ t - i < 3]
    """
    try:
        place, size = strict(place), strict(size)
        if not (isinstance(place, Expr) and isinstance(size, Expr)):
            raise sympy.SympifyError(place)
    except sympy.SympifyError:
        found = f"{place!r}, {size!r}"
        raise IndexingError(f"inside takes a position and a size, such as t - u and 3, found {found}") from None
    return Guard(place) * Guard(size - 1 - place)


def padded(element: Any) -> Expr:
    """An element that counts as 0 where its indices leave the tensor: ``padded(x[b, h + u - 1])``.

    Raises
    ------
    IndexingError
        If it is not one element of a tensor.
    """
    if not is_element(element):
        raise IndexingError(f"padded takes one element of a tensor, such as x[i - 1], found {element}")
    tensor: Tensor = tensor_of(element)
    guards = [
        inside(place, size)
        for place, size in zip(indices_of(element), tensor.shape, strict=True)
        if not isinstance(place, Symbol | Integer | Indexed)
    ]
    return sympy.Mul(element, *guards)
