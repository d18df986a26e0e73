"""The functions that claims may name, each by what makes its SymPy expression of an argument."""

from __future__ import annotations

from typing import Any

import sympy

from ... import activations
from ...functions import Elementwise
from ...held import held

_NAMED = {
    "sigmoid": activations.sigmoid,
    "sigm": activations.sigmoid,
    "logistic": activations.sigmoid,
    r"\sigma": activations.sigmoid,
    "relu": activations.relu,
    "ReLU": activations.relu,
    "softplus": activations.softplus,
    r"\zeta": activations.softplus,
    "silu": activations.silu,
    "swish": activations.silu,
    "gelu": activations.gelu,
    "GELU": activations.gelu,
    "elu": activations.elu,
    "ELU": activations.elu,
    "exp": sympy.exp,
    "log": sympy.log,
    "ln": sympy.log,
    "tanh": sympy.tanh,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "arctan": sympy.atan,
    "erf": sympy.erf,
    "sign": sympy.sign,
    "sgn": sympy.sign,
    "abs": sympy.Abs,
    "sqrt": sympy.sqrt,
    "held": held,
    "sech": lambda z: 1 / sympy.cosh(z),
}

# Of whole columns, rows or matrices; `calls` says what each does.
OF_ARRAYS = frozenset(
    [
        "softmax",
        "diag",
        "Diag",
        "tr",
        "Tr",
        "trace",
        "rowsum",
        "colsum",
        "sum",
        "mean",
        "max",
        "min",
        "logsumexp",
        "onehot",
    ]
)

FUNCTIONS: dict[str, Any] = {**_NAMED, **{name: name for name in sorted(OF_ARRAYS)}}


def own_functions(expressions: Any) -> dict[str, Any]:
    """The named functions that stand in the equations of a network, by name and by symbol."""
    found: dict[str, Any] = {}
    for expr in expressions:
        for node in sorted(expr.atoms(Elementwise), key=str):
            found.setdefault(type(node).__name__.replace("_", ""), type(node))  # as it is read without its space
            if type(node).symbol:
                found.setdefault(type(node).symbol, type(node))
    return found
