"""The array printer: a whole nest as one NumPy expression, its axes aligned by broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import sympy
from sympy import Expr, KroneckerDelta, Piecewise, Pow, Rational

from ..symbolic.indices import Dim
from ..symbolic.ranges import bounds, is_never_negative
from ..symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from .ops import Extents
from .printers import ATOM, COMPARISON, POWER, PRODUCT, SIGN, SUM, Printer, Text, float_text
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
    loops : the indices that a loop around runs over, which are plain numbers here, and how far they run
    numbers : numbers for symbolic sizes
    """

    functions: ClassVar[dict[type, str]] = Printer.functions | {sympy.erf: "erf", sympy.erfc: "erfc", Erfc: "erfc"}

    def __init__(
        self,
        space: Extents,
        array: Callable[[Tensor], Text],
        names: dict[Any, str],
        used: dict[str, None],
        loops: Mapping[Any, Expr] = MappingProxyType({}),
        numbers: Mapping[Any, Expr] = MappingProxyType({}),
    ) -> None:
        self.space, self.array, self.names, self.used, self.loops = space, array, names, used, loops
        self.numbers = numbers

    # ---- elements --------------------------------------------------------------------------------------------------

    def element(self, element: Expr) -> Text:
        text = self.array(tensor_of(element))
        where = list(indices_of(element))
        if not where:
            return text
        shape = [size.xreplace(self.numbers) for size in tensor_of(element).shape]
        whole = [self.space.get(place, size) == size for place, size in zip(where, shape, strict=True)]
        left = [place for place in where if place in self.space]
        plain = all(place in self.space or self._is_fixed(place) for place in where)
        if plain and all(whole) and len(set(left)) == len(left):
            if len(left) == len(where):
                return self.align(text, where)
            places = [
                ":" if place in self.space else self._inside(place, size)
                for place, size in zip(where, shape, strict=True)
            ]
            while places[-1] == ":":
                places.pop()
            return self.align(Text(f"{text.within(ATOM)}[{', '.join(places)}]"), left)
        places = [self._inside(place, size) for place, size in zip(where, shape, strict=True)]
        return Text(f"{text.within(ATOM)}[{', '.join(places)}]")

    def _is_fixed(self, place: Any) -> bool:
        """Whether a position is one number: written so, or made of the indices of loops."""
        symbols = [symbol for symbol in place.free_symbols if not isinstance(symbol, Dim)]
        return all(symbol in self.loops for symbol in symbols)

    def _inside(self, place: Any, size: Any) -> str:
        """A position as an array over the space, or a number; where a guard may say that it is outside, moved inside."""
        text = self.integer(place).text
        if is_element(place) or place.is_Integer:
            return text
        span = bounds(place, {**self.space, **self.loops})
        low = span is not None and is_never_negative(span[0])
        high = span is not None and is_never_negative(size - 1 - span[1])
        if low and high:
            return text
        last = self.size(size - 1)
        if self._is_fixed(place):
            return f"max({text}, 0)" if high else f"min({text}, {last})" if low else f"min(max({text}, 0), {last})"
        return f"np.clip({text}, 0, {last})"

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
        if place in self.loops:
            return Text(place.name)
        return self.align(Text(f"np.arange({self.size(self.space[place])})"), [place])

    # ---- leaves ----------------------------------------------------------------------------------------------------

    def number(self, value: Expr) -> Text:
        return Text(float_text(value), SIGN if value.is_negative else ATOM)

    def dim(self, dim: Dim) -> str:
        return self.names[dim]

    def size_value(self, expr: Expr) -> Text:
        return self.integer(sympy.expand(expr))

    def index_value(self, index: Any) -> Text:
        if index in self.loops:
            return Text(f"real({index.name})")
        if index not in self.space:
            return Text(f"np.asarray({self.integer(index).text}, real)")
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

    def guarded(self, guards: list[Expr], value: Expr) -> Text:
        conditions = [f"{self.integer(guard.args[0]).within(SUM)} >= 0" for guard in guards]
        condition = conditions[0] if len(conditions) == 1 else " & ".join(f"({part})" for part in conditions)
        return Text(f"np.where({condition}, {self.text(value)}, real(0))")

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
