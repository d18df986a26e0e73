"""Straight-line scalar code: sums and products are combined in the order in which their parts are ready.

The time of a short step is that of its longest chain of dependent operations. Combining the two parts that are ready
first, again and again, gives the tree whose result is ready first (M. C. Golumbic, "Combinatorial merging", IEEE
Trans. Computers C-25, 1976); of equal parts that is a balanced tree. It depends on the expression alone, so the same
network gives the same bits.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import sympy
from sympy import Add, Expr, Integer, Mul, Pow

from ..symbolic.tensors import is_element
from .printers import PRODUCT, SIGN, SUM, Text
from .scalar import ScalarPrinter
from .stable_functions import Expm1, Log1p, LogAddExp, Logistic

# About how many cycles results take; only their order matters.
STEP, DIVISION, FUNCTION = 4, 14, 40
LONGEST_LINE = 90  # a longer part of a sum or product gets a name

Signed = tuple[bool, Text]


def join_earliest(parts: Iterable[tuple[int, Any]], cost: int, join: Callable[[Any, Any], Any]) -> tuple[int, Any]:
    """Combine parts, each given with the time at which it is ready, two at a time; the last one left."""
    heap = [(ready, place, part) for place, (ready, part) in enumerate(parts)]
    heapq.heapify(heap)
    while len(heap) > 1:
        first, second = sorted((heapq.heappop(heap), heapq.heappop(heap)), key=lambda item: item[1])
        joined = join(first[2], second[2])
        heapq.heappush(heap, (max(first[0], second[0]) + cost, first[1], joined))
    return heap[0][0], heap[0][2]


class EarliestPrinter(ScalarPrinter):
    """Prints scalars so that the result is ready as early as can be.

    Parameters
    ----------
    ready : when an element is ready, in cycles since the step began
    """

    # libm's: one number at a time they are ready sooner than functions that are made to vectorise.
    functions: ClassVar[dict[type, str]] = ScalarPrinter.functions | {
        sympy.exp: "np.exp",
        sympy.log: "np.log",
        sympy.tanh: "np.tanh",
        Log1p: "np.log1p",
        Expm1: "np.expm1",
    }

    def __init__(self, *arguments: Any, ready: Callable[[Expr], int], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._element_ready = ready

    def ready(self, expr: Any) -> int:
        """When the value of `expr` is ready."""
        if is_element(expr):
            return self._element_ready(expr)
        if not expr.args or expr.is_number:
            return 0
        if isinstance(expr, Add | Mul):
            return join_earliest(((self.ready(arg), None) for arg in expr.args), STEP, lambda *_: None)[0]
        cost = STEP
        if isinstance(expr, Pow):
            cost = DIVISION if expr.exp.is_negative else STEP if expr.exp.is_Integer else FUNCTION
        elif isinstance(expr, sympy.Function) and not isinstance(expr, sympy.Abs):
            cost = FUNCTION
        return max(map(self.ready, expr.args)) + cost

    def add(self, expr: Add) -> Text:
        return self.total(expr.args)

    def total(self, terms: Sequence[Expr]) -> Text:
        """The sum of `terms`."""
        flat = [part for term in terms for part in Add.make_args(term) if part != 0]
        if not flat:
            return self.number(Integer(0))
        parts = []
        for term in flat:
            negative = bool(term.as_coeff_Mul()[0].is_negative)
            parts.append((self.ready(term), (negative, self.print(-term if negative else term))))
        _, (negative, text) = join_earliest(parts, STEP, self._plus)
        return Text(f"-{text.within(SIGN)}", SIGN) if negative else text

    def _plus(self, left: Signed, right: Signed) -> Signed:
        if left[0] and not right[0]:
            left, right = right, left
        sign = "-" if right[0] != left[0] else "+"
        return left[0], self._short(Text(f"{left[1].within(SUM)} {sign} {right[1].within(PRODUCT)}", SUM))

    def _short(self, text: Text) -> Text:
        return text if len(text.text) <= LONGEST_LINE else Text(self.let(text.text))

    def product(self, factors: Sequence[Expr]) -> Text:
        parts = ((self.ready(factor), self.print(factor)) for factor in factors)
        return join_earliest(parts, STEP, self._times)[1]

    def _times(self, left: Text, right: Text) -> Text:
        # A product on the left needs no parentheses: Python multiplies from left to right.
        return self._short(Text(f"{left.within(PRODUCT)} * {right.within(SIGN)}", PRODUCT))

    def mul(self, expr: Mul) -> Text:
        if expr.args[0].is_negative or any(isinstance(factor, self.brackets) for factor in expr.args):
            return super().mul(expr)
        below = [1 / factor for factor in expr.args if isinstance(factor, Pow) and _is_divisor(factor)]
        above = [factor for factor in expr.args if not (isinstance(factor, Pow) and _is_divisor(factor))]
        top = self.product(above) if above else self.number(Integer(1))
        return Text(f"{top.within(PRODUCT)} / {self.product(below).within(SIGN)}", PRODUCT) if below else top

    def logistic(self, expr: Logistic) -> Text:
        one = self.number(Integer(1)).text
        # exp may overflow to infinity for a large negative argument: the quotient is then 0, as it should be.
        return Text(f"{one} / ({one} + {self.text(sympy.exp(-expr.args[0]))})", PRODUCT)

    def call(self, expr: Any) -> Text:
        if not isinstance(expr, LogAddExp) or expr.args[0] != 0:
            return super().call(expr)
        # log(1 + exp(v)) = max(0, v) + log(1 + exp(-|v|)): the second part is that of -v too.
        v = expr.args[1]
        rest = self.let(self.text(Log1p(sympy.exp(-sympy.Abs(v)))))
        return Text(f"max({self.number(Integer(0)).text}, {self.text(v)}) + {rest}", SUM)


def _is_divisor(factor: Pow) -> bool:
    return bool(factor.exp.is_number and factor.exp.is_negative)
