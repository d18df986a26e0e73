"""Activation functions, as forward equations only; their derivatives are derived.

There are two kinds, and `Dense` takes either. An *elementwise* activation is any Python function from one SymPy
expression to another: those made by `elementwise` keep their name in what is printed, a lambda does as well. An
activation *along an axis*, such as softmax, couples the entries of one axis; it is an `AlongAxis`, a function of an
element and the index of that axis.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sympy import Expr, KroneckerDelta, Piecewise, Rational, erf, exp, log, pi, sqrt, tanh

from .binders import Sum, from_user
from .errors import UndefinedError
from .functions import elementwise, of_symbols


class AlongAxis:
    """An activation that couples the entries of one axis: a function of an element and the index of that axis.

    Parameters
    ----------
    formula : ``formula(z[i, j], j)`` returns a SymPy expression; it sums over that axis with ``Sum(…, j)``.

    Examples
    --------
    >>> import gradloom as gl
    >>> normalise = gl.AlongAxis(lambda z, j: z / gl.Sum(z, j))
    >>> layer = gl.layers.Dense(10, normalise)
    """

    def __init__(self, formula: Callable[[Any, Any], Any]) -> None:
        self.formula = formula
        functools.update_wrapper(self, formula)

    def __call__(self, z: Any, axis: Any) -> Expr:
        return from_user(self.formula(from_user(z), axis))


_SLOPE, _CUBIC = Rational(1, 100), Rational(44715, 10**6)

sigmoid = elementwise("sigmoid", lambda z: 1 / (1 + exp(-z)), latex=r"\sigma")
sigmoid.__doc__ = "``1 / (1 + exp(-z))``, the logistic function."

relu = elementwise("relu", lambda z: Piecewise((z, z > 0), (0, True)))
relu.__doc__ = "``z`` where ``z > 0``, else 0 (Nair and Hinton 2010); the subgradient at the kink is 0."

leaky_relu = elementwise("leaky_relu", lambda z, alpha=_SLOPE: Piecewise((z, z > 0), (alpha * z, True)))
leaky_relu.__doc__ = (
    "``z`` where ``z > 0``, else ``alpha z`` with alpha = 0.01 (Maas et al. 2013); at 0 the slope is alpha."
)

elu = elementwise("elu", lambda z, alpha=1: Piecewise((z, z > 0), (alpha * (exp(z) - 1), True)))
elu.__doc__ = "``z`` where ``z > 0``, else ``alpha (exp(z) - 1)`` with alpha = 1 (Clevert et al. 2015)."

softplus = elementwise("softplus", lambda z: log(1 + exp(z)))
softplus.__doc__ = "``log(1 + exp(z))`` (Dugas et al. 2000)."

silu = elementwise("silu", lambda z: z * sigmoid(z))
silu.__doc__ = "``z sigmoid(z)``, also called swish (Elfwing et al. 2017; Ramachandran et al. 2017)."

gelu = elementwise("gelu", lambda z: z / 2 * (1 + erf(z / sqrt(2))))
gelu.__doc__ = "``z/2 (1 + erf(z / sqrt 2))``, exact (Hendrycks and Gimpel 2016)."

gelu_tanh = elementwise(
    "gelu_tanh", lambda z: z / 2 * (1 + tanh(sqrt(2 / pi) * (z + _CUBIC * z**3))), latex=r"\operatorname{gelu}_{\tanh}"
)
gelu_tanh.__doc__ = "``z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))``, the tanh form of `gelu` in the same paper."


def identity(z: Any) -> Any:
    """Return `z` itself: a linear layer."""
    return z


@AlongAxis
def softmax(z: Any, axis: Any) -> Any:
    """``softmax(z[i, j], j) = exp(z[i, j]) / Sum(exp(z[i, k]), k)``: each entry's share of the whole axis."""
    return exp(z) / Sum(exp(z), axis)


@AlongAxis
def log_softmax(z: Any, axis: Any) -> Any:
    """``log_softmax(z[i, j], j) = z[i, j] - log Sum(exp(z[i, k]), k)``: the logarithm of `softmax`."""
    return z - log(Sum(exp(z), axis))


def one_hot(label: Any, index: Any) -> Expr:
    """1 where `index` is the class `label`, else 0: ``one_hot(y[i], c)``, for labels declared with ``classes=``."""
    return KroneckerDelta(index, from_user(label))


def activate(activation: Any, z: Any, axis: Any) -> Expr:
    """Apply an activation of either kind to the element `z`, whose last index is `axis`.

    Raises
    ------
    UndefinedError
        If `activation` is not a function, or does not return one expression.
    """
    if not callable(activation):
        raise UndefinedError(
            f"{activation!r} is not an activation: expected gl.sigmoid or another of gl's, or a function of one "
            "SymPy expression, such as lambda z: z * gl.tanh(z)"
        )
    at = (z, axis) if isinstance(activation, AlongAxis) else (z,)
    found = of_symbols(activation, *at, name=f"activation {activation!r}", kind=UndefinedError)
    if not isinstance(found, Expr | int | float):
        raise UndefinedError(f"activation {activation!r} returned {found!r}; expected one SymPy expression in {z}")
    return from_user(found)


__all__ = [
    "AlongAxis", "activate", "elu", "gelu", "gelu_tanh", "identity", "leaky_relu", "log_softmax", "one_hot", "relu",
    "sigmoid", "silu", "softmax", "softplus", "tanh",
]  # fmt: skip
