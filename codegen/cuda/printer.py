"""The printer of kernels: scalar expressions in functions that a device has."""

from __future__ import annotations

from typing import Any, ClassVar

import sympy
from sympy import Pow, Rational

from ..printers import Printer, Text
from ..scalar import ScalarPrinter
from ..stable_functions import Erfc, Expm1, Log1p, LogAddExp, Logistic


class CudaPrinter(ScalarPrinter):
    """Prints scalar expressions in functions that the device has."""

    functions: ClassVar[dict[type, str]] = {
        kind: name.replace("np.arc", "math.a").replace("np.", "math.") for kind, name in Printer.functions.items()
    } | {
        sympy.Abs: "abs",
        sympy.sign: "sign",
        sympy.erf: "math.erf",
        sympy.erfc: "math.erfc",
        Erfc: "math.erfc",
        Log1p: "math.log1p",
        Expm1: "math.expm1",
        Logistic: "logistic",
        LogAddExp: "logaddexp",
    }

    def power(self, expr: Pow) -> Text:
        if expr.exp == Rational(1, 2):
            return Text(f"math.sqrt({self.text(expr.base)})")
        return super().power(expr)

    def call(self, expr: Any) -> Text:
        if isinstance(expr, sympy.floor | sympy.ceiling):
            return Text(f"{self.real}({super().call(expr).text})")  # a whole number otherwise
        return super().call(expr)
