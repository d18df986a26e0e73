"""SymPy expressions → source text: what both targets share.

A printer returns text with the precedence of its outermost operator, so that parentheses stand only where they must.
Every number is printed by `number`: in the kernels a literal has the kernel's type, since a bare ``1.0`` would make
float32 arithmetic float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

import sympy
from sympy import Add, Expr, Integer, KroneckerDelta, Mul, Piecewise, Pow, Rational

from ..symbolic.errors import UnsupportedError
from ..symbolic.guards import Guard
from ..symbolic.indices import Dim
from ..symbolic.tensors import is_element, tensor_of
from .ops import is_index
from .stable_functions import Difference, Expm1, Log1p, LogAddExp, Logistic

CONDITIONAL, OR, AND, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(9)


class Text(NamedTuple):
    """Source text and the precedence of its outermost operator."""

    text: str
    rank: int = ATOM

    def within(self, rank: int) -> str:
        """The text as an operand of an operator of precedence `rank`."""
        return self.text if self.rank >= rank else f"({self.text})"


RELATIONS = {
    sympy.StrictGreaterThan: ">",
    sympy.GreaterThan: ">=",
    sympy.StrictLessThan: "<",
    sympy.LessThan: "<=",
    sympy.Equality: "==",
    sympy.Unequality: "!=",
}


class Printer:
    """Base of the printers: sums, products, quotients and function calls."""

    brackets: ClassVar[tuple[type, ...]] = (Guard,)  # where one is 0, the other factors are not looked at
    functions: ClassVar[dict[type, str]] = {
        sympy.exp: "np.exp",
        sympy.log: "np.log",
        sympy.sin: "np.sin",
        sympy.cos: "np.cos",
        sympy.tan: "np.tan",
        sympy.asin: "np.arcsin",
        sympy.acos: "np.arccos",
        sympy.atan: "np.arctan",
        sympy.sinh: "np.sinh",
        sympy.cosh: "np.cosh",
        sympy.tanh: "np.tanh",
        sympy.asinh: "np.arcsinh",
        sympy.sign: "np.sign",
        sympy.floor: "np.floor",
        sympy.ceiling: "np.ceil",
        sympy.Abs: "np.abs",
        Log1p: "np.log1p",
        Expm1: "np.expm1",
        LogAddExp: "np.logaddexp",
    }

    def text(self, expr: Any) -> str:
        return self.print(expr).text

    def print(self, expr: Any) -> Text:
        """The text of any expression that equations may hold.

        Raises
        ------
        UnsupportedError
            If it holds a function that has no counterpart in the target.
        """
        if is_element(expr):
            return self.element(expr)
        if isinstance(expr, Expr) and expr.is_number:
            return self.number(expr)
        if isinstance(expr, Expr) and is_size(expr):
            return self.size_value(expr)
        if isinstance(expr, sympy.floor | sympy.Mod) and is_position(expr):
            return self.index_value(expr)
        if is_index(expr):
            return self.index_value(expr)
        for kind, method in self._methods():
            if isinstance(expr, kind):
                return method(expr)
        return self.call(expr)

    def _methods(self) -> Iterable[tuple[Any, Callable[[Any], Text]]]:
        return (
            (Add, self.add),
            (Mul, self.mul),
            (Pow, self.power),
            (Piecewise, self.piecewise),
            (KroneckerDelta, self.delta),
            (Guard, lambda e: self.guarded([e], Integer(1))),
            (sympy.And, lambda e: self.logic(e, "and", AND)),
            (sympy.Or, lambda e: self.logic(e, "or", OR)),
            (sympy.Not, self.negation),
            (sympy.core.relational.Relational, self.relation),
            (Logistic, self.logistic),
            (Difference, self.difference),
            (sympy.logic.boolalg.BooleanAtom, lambda e: Text(str(e))),
        )

    # ---- leaves: what the targets differ in --------------------------------------------------------------------

    def element(self, element: Expr) -> Text:
        raise NotImplementedError

    def number(self, value: Expr) -> Text:
        """A number that is no index."""
        raise NotImplementedError

    def size_value(self, expr: Expr) -> Text:
        """A whole number made of sizes, used as a real one."""
        raise NotImplementedError

    def index_value(self, index: Any) -> Text:
        """A loop index, used as a real number."""
        raise NotImplementedError

    def piecewise(self, expr: Piecewise) -> Text:
        raise NotImplementedError

    def delta(self, expr: KroneckerDelta) -> Text:
        raise NotImplementedError

    def guarded(self, guards: list[Expr], value: Expr) -> Text:
        """`value` where every guard is 1, else 0; `value` is not looked at there."""
        raise NotImplementedError

    def power(self, expr: Pow) -> Text:
        raise NotImplementedError

    def logistic(self, expr: Logistic) -> Text:
        raise NotImplementedError

    # ---- what they share ---------------------------------------------------------------------------------------

    def add(self, expr: Add) -> Text:
        terms = sorted(expr.args, key=lambda t: (_is_negative(t), not isinstance(t, Difference), -_weight(t)))
        out = self.print(terms[0]).within(SUM)
        for term in terms[1:]:
            sign, term = ("-", -term) if _is_negative(term) else ("+", term)
            out += f" {sign} {self.print(term).within(PRODUCT if sign == '-' or isinstance(term, Difference) else SUM)}"
        return Text(out, SUM)

    def difference(self, expr: Difference) -> Text:
        left, right = expr.args
        return Text(f"{self.print(left).within(SUM)} - {self.print(right).within(PRODUCT)}", SUM)

    def mul(self, expr: Mul) -> Text:
        guards = [factor for factor in expr.args if isinstance(factor, self.brackets)]
        if guards:
            return self.guarded(guards, Mul(*(factor for factor in expr.args if factor not in guards)))
        if _is_negative(expr):
            inner = self.print(-expr)
            return Text(f"-{inner.within(PRODUCT)}", min(inner.rank, SIGN) if inner.rank >= PRODUCT else SIGN)
        number, above, below = Integer(1), [], []
        for factor in expr.args:
            base, exponent = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
            if factor.is_number:
                number = number * factor
            elif exponent.is_number and exponent.is_negative:
                below.append(base**-exponent)
            else:
                above.append(factor)
        sizes = [factor for factor in below if is_size(factor)]
        if sizes and isinstance(number, Rational) and number.q <= 8:
            # 1/(2 B) as one divisor, as a person writes it.
            below = [factor for factor in below if factor not in sizes] + [Mul(number.q, *sizes)]
            number = Integer(number.p)
        above = sorted(above, key=_factor_order)
        if number != 1 or not above:
            above = [number, *above]
        first, *others = above
        out = " * ".join([self.print(first).within(PRODUCT), *(self.print(factor).within(SIGN) for factor in others)])
        for factor in below:
            out += f" / {self.print(factor).within(SIGN)}"
        return Text(out, PRODUCT)

    def call(self, expr: Any) -> Text:
        name = self.functions.get(expr.func)
        if name is None:
            raise UnsupportedError(
                f"{expr.func.__name__} has no counterpart in generated code (found in {expr}); write it with "
                "exp, log, sqrt, tanh, erf, sin, cos, Abs, sign, Piecewise or powers"
            )
        return Text(f"{name}({', '.join(self.text(arg) for arg in expr.args)})")

    def relation(self, expr: Any) -> Text:
        left, right = (self.print(side).within(SUM) for side in expr.args)
        return Text(f"{left} {RELATIONS[expr.func]} {right}", COMPARISON)

    def logic(self, expr: Any, word: str, rank: int) -> Text:
        parts = sorted(expr.args, key=sympy.default_sort_key)
        return Text(f" {word} ".join(self.print(part).within(rank + 1) for part in parts), rank)

    def negation(self, expr: Any) -> Text:
        return Text(f"not {self.print(expr.args[0]).within(ATOM)}", AND)

    def size(self, expr: Any) -> str:
        """An integer expression in sizes, as in ``range(2 * B)``."""
        return self.integer(sympy.expand(expr)).text

    def position(self, place: Any) -> Text:
        """An index, or an element of an integer tensor, as a position along an axis."""
        raise NotImplementedError

    def integer(self, expr: Any) -> Text:
        """A whole-number expression in sizes and positions."""
        if is_index(expr) or is_element(expr):
            return self.position(expr)
        if isinstance(expr, Integer):
            return Text(str(expr), ATOM if expr >= 0 else SIGN)
        if isinstance(expr, Dim):
            return Text(self.dim(expr))
        if isinstance(expr, Add):
            terms = sorted(expr.args, key=lambda term: (_is_negative(term), term.is_number))
            out = self.integer(terms[0]).within(SUM)
            for term in terms[1:]:
                sign, term = ("-", -term) if _is_negative(term) else ("+", term)
                out += f" {sign} {self.integer(term).within(PRODUCT if sign == '-' else SUM)}"
            return Text(out, SUM)
        if isinstance(expr, Mul):
            if expr.args[0] == -1:
                return Text(f"-{self.integer(-expr).within(SIGN)}", SIGN)
            return Text(" * ".join(self.integer(factor).within(SIGN) for factor in expr.args), PRODUCT)
        if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp > 0:
            return Text(" * ".join([self.integer(expr.base).within(PRODUCT)] * int(expr.exp)), PRODUCT)
        if isinstance(expr, sympy.floor | sympy.Mod):
            top, step = sympy.fraction(sympy.together(expr.args[0])) if isinstance(expr, sympy.floor) else expr.args
            sign = "//" if isinstance(expr, sympy.floor) else "%"
            return Text(f"{self.integer(top).within(SIGN)} {sign} {self.integer(step).within(SIGN)}", PRODUCT)
        raise UnsupportedError(f"{expr} is no whole-number polynomial in sizes and indices")

    def dim(self, dim: Dim) -> str:
        raise NotImplementedError


def is_size(expr: Any) -> bool:
    """Whether `expr` is a whole-number polynomial in sizes alone."""
    sizes = bool(expr.free_symbols) and all(isinstance(symbol, Dim) for symbol in expr.free_symbols)
    return sizes and expr.is_integer is True and not expr.has(sympy.Function)


def is_position(expr: Any) -> bool:
    """Whether `expr` is a whole number made of indices and sizes."""
    return all(is_index(s) or isinstance(s, Dim) for s in expr.free_symbols) and expr.is_integer is True


def float_text(value: Any) -> str:
    """The shortest decimal that gives the float64 nearest to `value`; whole numbers without a point."""
    if value.is_Integer and abs(value) < 2**24:
        return str(value)
    try:
        return repr(float(value))
    except TypeError:
        raise UnsupportedError(
            f"{value} is no real number; the derivative of a power of a negative number is none"
        ) from None


def _is_negative(term: Any) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


def _weight(term: Any) -> int:
    """How many axes the largest element of a term has: ``x @ W.T + b`` and not ``b + x @ W.T``."""
    ranks = [tensor_of(node).rank for node in sympy.preorder_traversal(term) if is_element(node)]
    return max(ranks, default=-1)


def _factor_order(factor: Any) -> tuple[int, int]:
    if all(isinstance(symbol, Dim) for symbol in factor.free_symbols):
        return (0, 0)
    if is_element(factor):
        tensor = tensor_of(factor)
        return (1, 0) if tensor.rank == 0 else (2, tensor.role != "adjoint")
    return (4, 0) if isinstance(factor, Add) else (3, 0)
