"""The array printer: a whole nest as one NumPy expression, its axes aligned by broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import sympy
from sympy import Expr, Integer, KroneckerDelta, Piecewise, Pow, Rational

from ..symbolic.indices import Dim
from ..symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from .ops import Extents, is_index, is_plain
from .printers import ATOM, COMPARISON, POWER, PRODUCT, SIGN, Printer, Text, float_text
from .stable_functions import Erfc, Logistic


class VectorPrinter(Printer):
    """Prints expressions over the index space `space`, one array axis per index, in its order.

    An axis that a part does not depend on has length 1 there, or is left out where it leads.

    Parameters
    ----------
    space : the indices and how far they run
    array : the text of a whole tensor
    names : the names of sizes
    used : collects the names of the functions to import from scipy.special
    """

    functions: ClassVar[dict[type, str]] = Printer.functions | {sympy.erf: "erf", sympy.erfc: "erfc", Erfc: "erfc"}

    def __init__(
        self, space: Extents, array: Callable[[Tensor], Text], names: dict[Any, str], used: dict[str, None]
    ) -> None:
        self.space, self.array, self.names, self.used = space, array, names, used

    # ---- elements --------------------------------------------------------------------------------------------------

    def element(self, element: Expr) -> Text:
        text = self.array(tensor_of(element))
        where = list(indices_of(element))
        if not where:
            return text
        if is_plain(element):
            return self.align(text, where)
        if all(is_index(place) or isinstance(place, Integer) for place in where):
            left = [place for place in where if is_index(place)]
            if len(set(left)) == len(left):  # x[:, 3]
                places = ", ".join(":" if is_index(place) else str(place) for place in where)
                return self.align(Text(f"{text.within(ATOM)}[{places}]"), left)
        return Text(f"{text.within(ATOM)}[{', '.join(self.integer(place).text for place in where)}]")

    def align(self, text: Text, axes: Sequence[Any]) -> Text:
        """An array whose axes are the indices `axes`, transposed and spread over the space."""
        order = list(self.space)
        at = [order.index(index) for index in axes]
        if at != sorted(at):
            if len(at) == 2:
                text = Text(f"{text.within(ATOM)}.T")
            else:
                permutation = sorted(range(len(at)), key=lambda axis: at[axis])
                text = Text(f"np.transpose({text.text}, {tuple(permutation)})")
        subscripts = [":" if place in at else "None" for place in range(min(at, default=len(order)), len(order))]
        return Text(f"{text.within(ATOM)}[{', '.join(subscripts)}]") if "None" in subscripts else text

    def position(self, place: Any) -> Text:
        # As an array over the space: the positions of an index count up, a label's are data.
        if is_element(place):
            return self.element(place)
        return self.align(Text(f"np.arange({self.size(self.space[place])})"), [place])

    # ---- leaves ----------------------------------------------------------------------------------------------------

    def number(self, value: Expr) -> Text:
        return Text(float_text(value), SIGN if value.is_negative else ATOM)

    def dim(self, dim: Dim) -> str:
        return self.names[dim]

    def size_value(self, expr: Expr) -> Text:
        return self.integer(sympy.expand(expr))

    def index_value(self, index: Any) -> Text:
        return self.align(Text(f"np.arange({self.size(self.space[index])}, dtype=real)"), [index])

    def power(self, expr: Pow) -> Text:
        base, exponent = expr.base, expr.exp
        if exponent.is_number and exponent.is_negative:
            return Text(f"1 / {self.print(base**-exponent).within(SIGN)}", PRODUCT)
        if exponent == Rational(1, 2):
            return Text(f"np.sqrt({self.text(base)})")
        return Text(f"{self.print(base).within(ATOM)}**{self.print(exponent).within(ATOM)}", POWER)

    def piecewise(self, expr: Piecewise) -> Text:
        out, depth = "", 0
        for value, condition in expr.args:
            # A bare number would be float64, or an integer, where both branches are numbers.
            text = f"real({self.text(value)})" if value.is_number else self.text(value)
            if condition == True:  # noqa: E712 - SymPy's true
                return Text(out + text + ")" * depth)
            out += f"np.where({self.text(condition)}, {text}, "
            depth += 1
        return Text(f"{out}real(np.nan){')' * depth}")

    def delta(self, expr: KroneckerDelta) -> Text:
        left, right = (self.integer(place).text for place in expr.args)
        return Text(f"np.equal({left}, {right}).astype(real)")

    def logistic(self, expr: Logistic) -> Text:
        self.used.setdefault("expit")
        return Text(f"expit({self.text(expr.args[0])})")

    def call(self, expr: Any) -> Text:
        if isinstance(expr, sympy.erf | sympy.erfc | Erfc):
            self.used.setdefault(self.functions[expr.func])
        return super().call(expr)

    def negation(self, expr: Any) -> Text:
        return Text(f"np.logical_not({self.text(expr.args[0])})")

    def logic(self, expr: Any, word: str, rank: int) -> Text:
        parts = sorted(expr.args, key=sympy.default_sort_key)
        sign = {"and": " & ", "or": " | "}[word]
        return Text(sign.join(f"({self.text(part)})" for part in parts), COMPARISON)
