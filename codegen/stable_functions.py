"""Functions that exist in generated code only: exact forms of what overflows or cancels when it is written out."""

from __future__ import annotations

import sympy


class _Stable(sympy.Function):
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption


class Logistic(_Stable):
    """``1 / (1 + exp(-u))``."""


class LogAddExp(_Stable):
    """``log(exp(u) + exp(v))``; with u = 0, softplus(v)."""


class Log1p(_Stable):
    """``log(1 + u)``."""


class Difference(_Stable):
    """``u - v``, computed before anything is added to it."""


class Erfc(_Stable):
    """``1 - erf(u)``; SymPy's own turns ``erfc(-u)`` back into ``2 - erfc(u)``."""


class Expm1(_Stable):
    """``exp(u) - 1``."""
