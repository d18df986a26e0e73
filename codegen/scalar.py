"""The scalar printer: one element's expression, for the loops of compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import sympy
from sympy import Expr, Integer, KroneckerDelta, Piecewise, Pow, Rational

from ..symbolic.indices import Dim
from ..symbolic.tensors import is_element
from .printers import ATOM, CONDITIONAL, OR, PRODUCT, SIGN, SUM, Printer, Text, float_text
from .stable_functions import Erfc, Logistic

_LONGEST_PRODUCT = 8  # z**9 and above call pow; below, products are faster and keep float32


class ScalarPrinter(Printer):
    """Prints expressions in the elements at one point of a loop nest.

    Parameters
    ----------
    element_text : how an element is read where the expression stands
    names : letters of the loop indices, names of sizes
    let : takes the text of a sub-expression that is needed twice, returns the name of a local variable with its value
    real : the name of the kernel's floating-point type
    """

    functions: ClassVar[dict[type, str]] = Printer.functions | {
        sympy.Abs: "abs",
        sympy.erf: "math.erf",
        sympy.erfc: "math.erfc",
        Erfc: "math.erfc",
    }

    def __init__(
        self, element_text: Callable[[Expr], str], names: dict[Any, str], let: Callable[[str], str], real: str = "real"
    ) -> None:
        self.element_text, self.names, self.let, self.real = element_text, names, let, real

    def element(self, element: Expr) -> Text:
        return Text(self.element_text(element))

    def number(self, value: Expr) -> Text:
        return Text(f"{self.real}({float_text(value)})")

    def dim(self, dim: Dim) -> str:
        return self.names[dim]

    def size_value(self, expr: Expr) -> Text:
        return Text(f"{self.real}({self.size(expr)})")

    def index_value(self, index: Any) -> Text:
        return Text(f"{self.real}({self.integer(index).text})")

    def position(self, place: Any) -> Text:
        return Text(self.element_text(place) if is_element(place) else self.names[place])

    def power(self, expr: Pow) -> Text:
        base, exponent = expr.base, expr.exp
        if exponent.is_number and exponent.is_negative:
            return Text(f"{self.number(Integer(1)).text} / {self.print(base**-exponent).within(SIGN)}", PRODUCT)
        if exponent == Rational(1, 2):
            return Text(f"np.sqrt({self.text(base)})")
        if exponent.is_Integer and exponent <= _LONGEST_PRODUCT:
            found = self.print(base)
            name = found.text if is_element(base) else self.let(found.text)
            return Text(" * ".join([name] * int(exponent)), PRODUCT)
        return Text(f"{self.print(base).within(ATOM)} ** {self.print(exponent).within(ATOM)}", SIGN)

    def piecewise(self, expr: Piecewise) -> Text:
        out = ""
        for value, condition in expr.args:
            if condition == True:  # noqa: E712 - SymPy's true
                return Text(out + self.print(value).within(OR if out else CONDITIONAL), CONDITIONAL)
            out += f"{self.print(value).within(OR)} if {self.print(condition).within(OR)} else "
        return Text(f"{out}{self.real}(np.nan)", CONDITIONAL)

    def guarded(self, guards: list[Expr], value: Expr) -> Text:
        conditions = " and ".join(f"{self.integer(guard.args[0]).within(SUM)} >= 0" for guard in guards)
        zero = self.number(Integer(0)).text
        return Text(f"{self.print(value).within(OR)} if {conditions} else {zero}", CONDITIONAL)

    def delta(self, expr: KroneckerDelta) -> Text:
        left, right = (self.integer(place).text for place in expr.args)
        one, zero = self.number(Integer(1)).text, self.number(Integer(0)).text
        return Text(f"{one} if {left} == {right} else {zero}", CONDITIONAL)

    def logistic(self, expr: Logistic) -> Text:
        one = self.number(Integer(1)).text
        # exp may overflow to infinity for a large negative argument: the quotient is then 0, as it should be.
        return Text(f"{one} / ({one} + np.exp({self.text(-expr.args[0])}))", PRODUCT)


class SizePrinter(Printer):
    """Prints whole-number expressions in sizes, with `names` for the sizes."""

    def __init__(self, names: dict[Any, str]) -> None:
        self.names = names

    def dim(self, dim: Dim) -> str:
        return self.names[dim]
