"""The scalar printer: one element's expression, for the loops of compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import sympy
from sympy import Expr, Integer, KroneckerDelta, Piecewise, Pow, Rational

from ..symbolic.guards import Guard
from ..symbolic.indices import Dim
from ..symbolic.tensors import elements, is_element
from .printers import ATOM, COMPARISON, CONDITIONAL, OR, PRODUCT, SIGN, SUM, Printer, Text, float_text
from .stable_functions import Erfc, Expm1, Log1p, LogAddExp, Logistic

_HEAVY = (sympy.Function, Guard)  # what is computed only where it must be
_LONGEST_PRODUCT = 8  # z**9 and above call pow; below, products are faster and keep float32


class ScalarPrinter(Printer):
    """Prints expressions in the elements at one point of a loop nest, in functions of ``elementary.py``.

    Parameters
    ----------
    element_text : how an element is read where the expression stands
    names : letters of the loop indices, names of sizes
    let : takes the text of a sub-expression that is needed twice, returns the name of a local variable with its value
    real : the name of the kernel's floating-point type
    is_there : whether an element can be read at every point of the loops, whatever conditions stand around it
    """

    brackets = (Guard, KroneckerDelta)
    functions: ClassVar[dict[type, str]] = Printer.functions | {
        sympy.Abs: "abs",
        sympy.exp: "exp",
        sympy.log: "log",
        sympy.tanh: "tanh",
        sympy.erf: "erf",
        sympy.erfc: "erfc",
        Erfc: "erfc",
        Log1p: "log1p",
        Expm1: "expm1",
        Logistic: "logistic",
        LogAddExp: "logaddexp",
    }

    def __init__(
        self,
        element_text: Callable[[Expr], str],
        names: dict[Any, str],
        let: Callable[[str], str],
        real: str = "real",
        is_there: Callable[[Expr], bool] = lambda element: False,
    ) -> None:
        self.element_text, self.names, self._let, self.real = element_text, names, let, real
        self._is_there = is_there
        self._conditions: tuple[str, ...] = ()  # under which what is being printed is looked at

    def let(self, text: str) -> str:
        """A local variable with the value of `text`, which is not looked at where that stands under conditions."""
        if self._conditions:
            text = f"{text} if {' and '.join(self._conditions)} else {self.number(Integer(0)).text}"
        return self._let(text)

    def _print_where(self, conditions: Iterable[str], value: Any) -> Text:
        before = self._conditions
        self._conditions = (*before, *(part for part in conditions if part not in before))
        found = self.print(value)
        self._conditions = before
        return found

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

    def _are_light(self, *values: Any) -> bool:
        """Whether all of these can be computed, and may as well be, where only one of them is asked for."""
        return all(
            all(isinstance(part, KroneckerDelta | Piecewise) for part in value.atoms(*_HEAVY))
            and all(part.exp.is_Integer and abs(part.exp) <= _LONGEST_PRODUCT for part in value.atoms(Pow))
            and all(self._is_there(element) for element in elements(value))
            for value in values
        )

    def _where(self, test: str, yes: Text, no: Text) -> Text:
        return Text(f"where({test}, {yes.text}, {no.text})")

    def piecewise(self, expr: Piecewise) -> Text:
        *first, (last, otherwise) = expr.args
        light = self._are_light(*(part for pair in expr.args for part in pair))
        if otherwise == True and light and all(elements(test) for _, test in first):  # noqa: E712
            found = self.print(last)
            for value, test in reversed(first):
                found = self._where(self.print(test).text, self.print(value), found)
            return found
        out = ""
        past: list[str] = []
        for value, condition in expr.args:
            if condition == True:  # noqa: E712 - SymPy's true
                return Text(out + self._print_where(past, value).within(OR if out else CONDITIONAL), CONDITIONAL)
            test = self.print(condition)
            # Conditions on positions may say what can be read; those on values do not.
            about = [] if elements(condition) else [test.within(COMPARISON)]
            out += f"{self._print_where([*past, *about], value).within(OR)} if {test.within(OR)} else "
            past += [f"not ({test.text})" for _ in about]
        return Text(f"{out}{self.real}(np.nan)", CONDITIONAL)

    def guarded(self, guards: list[Expr], value: Expr) -> Text:
        conditions = [self._condition(guard) for guard in sorted(guards, key=lambda guard: bool(elements(guard)))]
        zero = self.number(Integer(0)).text
        if all(elements(guard) for guard in guards) and self._are_light(*guards, value):
            test = conditions[0] if len(conditions) == 1 else " & ".join(f"({part})" for part in conditions)
            return self._where(test, self.print(value), Text(zero))
        found = self._print_where(conditions, value).within(OR)
        return Text(f"{found} if {' and '.join(conditions)} else {zero}", CONDITIONAL)

    def _condition(self, bracket: Expr) -> str:
        if isinstance(bracket, KroneckerDelta):
            left, right = (self.integer(place).within(SUM) for place in bracket.args)
            return f"{left} == {right}"
        return f"{self.integer(bracket.args[0]).within(SUM)} >= 0"

    def delta(self, expr: KroneckerDelta) -> Text:
        return self.guarded([expr], Integer(1))

    def logistic(self, expr: Logistic) -> Text:
        return self.call(expr)


class SizePrinter(Printer):
    """Prints whole-number expressions in sizes, with `names` for the sizes."""

    def __init__(self, names: dict[Any, str]) -> None:
        self.names = names

    def dim(self, dim: Dim) -> str:
        return self.names[dim]
