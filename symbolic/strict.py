"""`strict`: values of Python as SymPy objects, and no text among them is ever evaluated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Basic, SympifyError, sympify


def strict(value: Any) -> Basic:
    """A number or an expression as SymPy has it.

    SymPy's own ``sympify(value, strict=True)`` refuses a text, but evaluates one inside of a tuple, list, dict or set.

    Raises
    ------
    SympifyError
        If it is neither.
    """
    if not isinstance(value, Basic):
        if isinstance(value, Iterable) and getattr(value, "shape", None) != ():
            raise SympifyError(value)
        value = sympify(value, strict=True)
    if not isinstance(value, Basic):  # a class of functions, a matrix that can change
        raise SympifyError(value)
    return value
