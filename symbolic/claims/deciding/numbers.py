"""The kinds of numbers that a claim is evaluated in: floats, many digits, fractions; all in NumPy arrays.

An operation without a real value raises `NoValueError`, so that an infinity or a complex number decides nothing.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
import sympy
from scipy import special
from sympy import Expr

# Functions of one argument, as SymPy calls them; mpmath has them all, but for the name of "ceiling".
FUNCTIONS = frozenset(
    """exp log tanh sinh cosh coth sech csch sin cos tan cot sec csc asin acos atan asinh acosh atanh erf erfc
    gamma loggamma digamma""".split()
)
_NUMPY: dict[str, Any] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "erf": special.erf, "erfc": special.erfc,
}  # fmt: skip


class NoValueError(ArithmeticError):
    """An expression has no real value here: a division by 0, the logarithm of a negative number."""


class IrrationalError(ArithmeticError):
    """A function that takes rational numbers to others, so that fractions cannot hold its values."""


class Numbers:
    """Floats; the other kinds derive from it.

    Attributes
    ----------
    digits : decimal digits, None for floats and fractions
    dtype : of the arrays
    """

    digits: int | None = None
    dtype: Any = np.float64

    def ratio(self, top: Any, bottom: int) -> Any:
        """The array `top` / `bottom`, of whole numbers."""
        return np.asarray(top, dtype=np.float64) / bottom

    def whole(self, array: Any) -> Any:
        """An array of whole numbers, as numbers of this kind."""
        return np.asarray(array, dtype=np.float64)

    def constant(self, value: Expr) -> Any:
        return float(value)

    def function(self, name: str, array: Any) -> Any:
        if name in _NUMPY:
            return self._checked(_NUMPY[name](array))
        return self._checked(np.vectorize(lambda x: _real(getattr(mpmath.fp, name)(x)), otypes=[float])(array))

    def power(self, base: Any, exponent: Any) -> Any:
        return self._checked(np.power(base, exponent))

    def root(self, array: Any) -> Any:
        return self._checked(np.sqrt(array))

    def inverse(self, array: Any) -> Any:
        return self._checked(1 / array)

    def floor(self, array: Any) -> Any:
        return np.floor(array)

    def _checked(self, array: Any) -> Any:
        if not np.all(np.isfinite(array)):
            raise NoValueError("no finite real value")
        return array


class LongFloats(Numbers):
    """The longest floats of the machine: 80 bits on most."""

    dtype = np.longdouble

    def ratio(self, top: Any, bottom: int) -> Any:
        return np.asarray(top, dtype=np.longdouble) / bottom

    def whole(self, array: Any) -> Any:
        return np.asarray(array, dtype=np.longdouble)

    def constant(self, value: Expr) -> Any:
        return np.longdouble(str(sympy.N(value, 25)))

    def function(self, name: str, array: Any) -> Any:
        if name in _NUMPY:
            return self._checked(np.asarray(_NUMPY[name](array), dtype=np.longdouble))
        return np.asarray(super().function(name, np.asarray(array, dtype=float)), dtype=np.longdouble)


class Digits(Numbers):
    """mpmath numbers of any precision."""

    dtype = np.object_

    def __init__(self, digits: int) -> None:
        self.digits = digits
        self.context: Any = mpmath.MPContext()
        self.context.dps = digits

    def ratio(self, top: Any, bottom: int) -> Any:
        return self._each(lambda x: self.context.mpf(int(x)) / bottom, top)

    def whole(self, array: Any) -> Any:
        return self._each(lambda x: self.context.mpf(int(x)), array)

    def constant(self, value: Expr) -> Any:
        if isinstance(value, sympy.Rational):
            return self.context.mpf(value.p) / value.q
        return self.context.mpf(sympy.N(value, self.context.dps + 5))

    def function(self, name: str, array: Any) -> Any:
        return self._tried(getattr(self.context, name), array)

    def power(self, base: Any, exponent: Any) -> Any:
        return self._tried(self.context.power, base, exponent)

    def root(self, array: Any) -> Any:
        return self._tried(self.context.sqrt, array)

    def inverse(self, array: Any) -> Any:
        return self._tried(lambda x: 1 / x, array)

    def floor(self, array: Any) -> Any:
        return self._each(self.context.floor, array)

    def _tried(self, function: Any, *arrays: Any) -> Any:
        try:
            return self._each(lambda *x: _real(function(*x)), *arrays)
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise NoValueError(str(error)) from None

    @staticmethod
    def _each(function: Any, *arrays: Any) -> Any:
        return np.frompyfunc(function, len(arrays), 1)(*(np.asarray(array, dtype=object) for array in arrays))


class Fractions(Numbers):
    """`fractions.Fraction`: exact, for what has rational operations alone."""

    dtype = np.object_

    def ratio(self, top: Any, bottom: int) -> Any:
        return Digits._each(lambda x: Fraction(int(x), bottom), top)

    def whole(self, array: Any) -> Any:
        return Digits._each(lambda x: Fraction(int(x)), array)

    def constant(self, value: Expr) -> Any:
        if not isinstance(value, sympy.Rational):
            raise IrrationalError(str(value))
        return Fraction(int(value.p), int(value.q))

    def function(self, name: str, array: Any) -> Any:
        raise IrrationalError(name)

    def power(self, base: Any, exponent: Any) -> Any:
        raise IrrationalError("power")

    def root(self, array: Any) -> Any:
        raise IrrationalError("square root")

    def inverse(self, array: Any) -> Any:
        try:
            return Digits._each(lambda x: 1 / x, array)
        except ZeroDivisionError:
            raise NoValueError("a division by 0") from None

    def floor(self, array: Any) -> Any:
        return Digits._each(lambda x: Fraction(x.numerator // x.denominator), array)


def _real(value: Any) -> Any:
    # In any context a complex number has an imaginary part.
    if isinstance(value, complex) or type(value).__name__ == "mpc" or not mpmath.isfinite(value):
        raise NoValueError("no finite real value")
    return value


@cache
def with_digits(digits: int) -> Digits:
    return Digits(digits)


FLOATS, LONG_FLOATS, FRACTIONS = Numbers(), LongFloats(), Fractions()
