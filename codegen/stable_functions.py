"""Functions that exist in generated code only: exact forms of what overflows or cancels when it is written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from mpmath.libmp import prec_to_dps


class _Stable(sympy.Function):
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption

    def _eval_evalf(self, prec: int) -> Any:
        """The value of numbers, which generated code holds as one number."""
        return MEANING[type(self)](*self.args).evalf(prec_to_dps(prec))


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


MEANING: dict[type, Callable[..., Any]] = {
    Logistic: lambda u: 1 / (1 + sympy.exp(-u)),
    LogAddExp: lambda u, v: sympy.log(sympy.exp(u) + sympy.exp(v)),
    Log1p: lambda u: sympy.log(1 + u),
    Difference: lambda u, v: u - v,
    Erfc: sympy.erfc,
    Expm1: lambda u: sympy.exp(u) - 1,
}
