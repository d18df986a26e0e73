"""What is written into gates: numbers, names of functions, and max or min where cases are one."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import And, Expr, Piecewise

from ..functions import Elementwise
from ..latex import latex
from ..tensors import elements

_NAMED = {"Abs": r"$|x|$", "Guard": "if", "KroneckerDelta": "=", "Piecewise": "if", "held": "held"}


def has_labels(expr: Expr) -> bool:
    return any(element.classes is not None for element in elements(expr))


def extreme(expr: Piecewise) -> str:
    """ "max" or "min" where the cases are one, else ""."""
    values = [value for value, _ in expr.args]
    kinds = set()
    for place, (value, condition) in enumerate(expr.args[:-1]):
        beaten = set()
        for relation in And.make_args(condition):
            if not isinstance(relation, sympy.core.relational.Relational) or value not in relation.args:
                return ""
            larger = relation.gts if isinstance(relation, sympy.Ge | sympy.Gt | sympy.Le | sympy.Lt) else None
            if larger is None:
                return ""
            kinds.add("max" if larger == value else "min")
            beaten |= set(relation.args) - {value}
        if not set(values[place + 1 :]) <= beaten | {value}:
            return ""
    return kinds.pop() if len(kinds) == 1 else ""


def function_mark(expr: Any) -> str:
    name = type(expr).__name__
    symbol = getattr(type(expr), "symbol", None)
    if isinstance(expr, Elementwise) and symbol:
        return f"${symbol}$"
    if name == "KroneckerDelta" and has_labels(expr):
        numbers = [str(arg) for arg in expr.args if arg.is_number]
        return f"= {numbers[0]}" if numbers else "="
    return _NAMED.get(name, name.replace("_", " "))


def number_mark(number: Expr) -> str:
    return f"${latex(number)}$"
