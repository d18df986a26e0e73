"""What users give, as what it stands for: `strict`, a SymPy object, and no text is ever evaluated; `listed`, a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Basic, SympifyError, sympify


def listed(value: Any) -> list[Any] | None:
    """The parts of a list, or of what else has parts; None for a text and for what has none."""
    if isinstance(value, str | bytes):
        return None
    try:
        return list(value)
    except TypeError:
        return None


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
