"""SymPy expressions over an index space as nodes of an ONNX graph: one operator for each function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from sympy import Add, Expr, Integer, KroneckerDelta, Mul, Piecewise, Pow, Rational

from ...symbolic.errors import UnsupportedError
from ...symbolic.guards import Guard
from ...symbolic.tensors import is_element, tensor_of
from ..ops import is_index
from ..printers import is_position, is_size
from ..stable_functions import Difference, Erfc, Expm1, Log1p, LogAddExp, Logistic
from .positions import Positions
from .values import Value

FUNCTIONS: dict[Any, str] = {
    sympy.exp: "Exp", sympy.log: "Log", sympy.sin: "Sin", sympy.cos: "Cos", sympy.tan: "Tan", sympy.asin: "Asin",
    sympy.acos: "Acos", sympy.atan: "Atan", sympy.sinh: "Sinh", sympy.cosh: "Cosh", sympy.tanh: "Tanh",
    sympy.asinh: "Asinh", sympy.sign: "Sign", sympy.floor: "Floor", sympy.ceiling: "Ceil", sympy.Abs: "Abs",
    Logistic: "Sigmoid",
}  # fmt: skip
# Of these onnxruntime knows no float64: what they are by others, where that is as exact.
ONLY_FLOAT32: dict[Any, Callable[[Expr], Expr] | None] = {
    sympy.tan: lambda x: sympy.sin(x) / sympy.cos(x), sympy.asin: None, sympy.acos: None, sympy.atan: None,
    sympy.sinh: lambda x: (sympy.exp(x) - sympy.exp(-x)) / 2, sympy.cosh: lambda x: (sympy.exp(x) + sympy.exp(-x)) / 2,
    sympy.asinh: lambda x: sympy.sign(x) * sympy.log(sympy.Abs(x) + sympy.sqrt(x**2 + 1)),
}  # fmt: skip
RELATIONS: dict[Any, str] = {
    sympy.StrictGreaterThan: "Greater", sympy.GreaterThan: "GreaterOrEqual", sympy.StrictLessThan: "Less",
    sympy.LessThan: "LessOrEqual", sympy.Equality: "Equal",
}  # fmt: skip


class Expressions(Positions):
    """Writes expressions over `space`; a value has the axes of the indices that it depends on, in that order."""

    def value(self, expr: Any) -> Value:
        """The value of any expression that ops hold.

        Raises
        ------
        UnsupportedError
            If it holds a function that ONNX has no operator for.
        """
        if is_element(expr):
            found = self.element(expr)
            return self._real(found) if tensor_of(expr).classes is not None else found
        if isinstance(expr, Expr) and expr.is_number:
            return Value((), self.graph.real(float(expr)))
        if isinstance(expr, Expr) and (is_index(expr) or is_size(expr)):
            return self._real(self.integer(sympy.expand(expr)))
        if isinstance(expr, sympy.floor | sympy.Mod) and is_position(expr):
            return self._real(self.integer(expr))
        if isinstance(expr, Add):
            return self._sum(expr)
        if isinstance(expr, Mul):
            return self._product(expr)
        if isinstance(expr, Pow):
            return self._power(expr.base, expr.exp)
        if isinstance(expr, Piecewise):
            return self._piecewise(expr)
        if isinstance(expr, Guard):
            return self._guarded([expr], Integer(1))
        if isinstance(expr, KroneckerDelta):
            left, right = map(self.integer, expr.args)
            return self._real(self.apply("Equal", left, right))
        return self._call(expr)

    def _real(self, value: Value) -> Value:
        if value.array is not None:
            return Value(value.axes, self.graph.constant(value.array, self.graph.dtype))
        return Value(value.axes, self.graph.cast(value.name, self.graph.dtype))

    def _sum(self, expr: Add) -> Value:
        # Differences first: they cancel, and are computed before anything is added to them.
        terms = sorted(expr.args, key=lambda term: (_is_negative(term), not isinstance(term, Difference)))
        made = self.value(terms[0])
        for term in terms[1:]:
            negative = _is_negative(term)
            made = self.apply("Sub" if negative else "Add", made, self.value(-term if negative else term))
        return made

    def _product(self, expr: Mul) -> Value:
        guards = [factor for factor in expr.args if isinstance(factor, Guard)]
        if guards:
            return self._guarded(guards, Mul(*(factor for factor in expr.args if factor not in guards)))
        if expr.args[0] == -1:
            return self.apply("Neg", self.value(-expr))
        above, below = [], []
        for factor in expr.args:
            if isinstance(factor, Pow) and factor.exp.is_number and factor.exp.is_negative:
                below.append(factor.base**-factor.exp)
            else:
                above.append(factor)
        made = self.value(above[0]) if above else self.value(Integer(1))
        for factor in above[1:]:
            made = self.apply("Mul", made, self.value(factor))
        for factor in below:
            made = self.apply("Div", made, self.value(factor))
        return made

    def _power(self, base: Expr, exponent: Expr) -> Value:
        if exponent.is_number and exponent.is_negative:
            return self.apply("Div", self.value(Integer(1)), self._power(base, -exponent))
        if exponent == 1:
            return self.value(base)
        if exponent == Rational(1, 2):
            return self.apply("Sqrt", self.value(base))
        if exponent == 2:
            made = self.value(base)
            return self.apply("Mul", made, made)
        return self.apply("Pow", self.value(base), self.value(exponent))

    def _piecewise(self, expr: Piecewise) -> Value:
        if len(expr.args) == 2 and expr == Piecewise((expr.args[0][0], expr.args[0][0] > 0), (0, True)):
            return self.apply("Relu", self.value(expr.args[0][0]))
        pairs = list(expr.args)
        made = self.value(pairs.pop()[0]) if pairs[-1][1] == True else Value((), self.graph.real(float("nan")))  # noqa: E712
        for value, condition in reversed(pairs):
            made = self.apply("Where", self._condition(condition), self.value(value), made)
        return made

    def _guarded(self, guards: list[Expr], value: Expr) -> Value:
        """`value` where every guard is 1, else 0, whatever is read there."""
        made = None
        for guard in guards:
            holds = self.apply("GreaterOrEqual", self.integer(guard.args[0]), Value((), array=np.array(0)))
            made = holds if made is None else self.apply("And", made, holds)
        assert made is not None
        return self.apply("Where", made, self.value(value), self.value(Integer(0)))

    def guarded(self, guards: tuple[Expr, ...], made: Value) -> Value:
        """A value that is made already, 0 where a guard is."""
        for guard in guards:
            holds = self.apply("GreaterOrEqual", self.integer(guard.args[0]), Value((), array=np.array(0)))
            made = self.apply("Where", holds, made, self.value(Integer(0)))
        return made

    def _condition(self, expr: Any) -> Value:
        if isinstance(expr, sympy.And | sympy.Or):
            made, *others = (self._condition(part) for part in sorted(expr.args, key=sympy.default_sort_key))
            for other in others:
                made = self.apply("And" if isinstance(expr, sympy.And) else "Or", made, other, fold=False)
            return made
        if isinstance(expr, sympy.Not):
            return self.apply("Not", self._condition(expr.args[0]))
        if isinstance(expr, sympy.Unequality):
            return self.apply("Not", self._condition(sympy.Eq(*expr.args, evaluate=False)))
        if isinstance(expr, sympy.logic.boolalg.BooleanAtom):
            return Value((), array=np.array(bool(expr)))
        return self.apply(RELATIONS[expr.func], *map(self.value, expr.args))

    def _call(self, expr: Any) -> Value:
        if isinstance(expr, Difference):
            return self.apply("Sub", *map(self.value, expr.args))
        if isinstance(expr, Log1p):
            return self.apply("Log", self.value(1 + expr.args[0]))
        if isinstance(expr, Expm1):
            return self.apply("Sub", self.apply("Exp", self.value(expr.args[0])), self.value(Integer(1)))
        if isinstance(expr, sympy.erf | sympy.erfc | Erfc):
            return self._erf(expr)
        if isinstance(expr, LogAddExp):
            left, right = map(self.value, expr.args)
            down = self.apply("Neg", self.apply("Abs", self.apply("Sub", left, right)))
            rest = self.apply("Log", self.apply("Add", self.value(Integer(1)), self.apply("Exp", down)))
            return self.apply("Add", self.apply("Max", left, right), rest)
        if expr.func not in FUNCTIONS:
            raise UnsupportedError(
                f"{expr.func.__name__} has no operator in ONNX (found in {expr}); write it with exp, log, sqrt, tanh, "
                "erf, sin, cos, Abs, sign, Piecewise or powers"
            )
        if self.graph.dtype == np.float64 and expr.func in ONLY_FLOAT32:
            rewritten = ONLY_FLOAT32[expr.func]
            if rewritten is None:
                raise UnsupportedError(
                    f"onnxruntime has no {FUNCTIONS[expr.func]} of float64 (found in {expr}); "
                    "export with dtype='float32'"
                )
            return self.value(rewritten(expr.args[0]))
        return self.apply(FUNCTIONS[expr.func], self.value(expr.args[0]))

    def _erf(self, expr: Any) -> Value:
        """erf or erfc: of float64, which onnxruntime has not, by the approximation of the compiled kernels."""
        x, one = self.value(expr.args[0]), self.value(Integer(1))
        is_erf = isinstance(expr, sympy.erf)
        if self.graph.dtype != np.float64:
            made = self.apply("Erf", x)
            return made if is_erf else self.apply("Sub", one, made)
        from ..carried.elementary import ERFC_FLOAT64

        four = self.value(Integer(4))
        size = self.apply("Min", self.apply("Abs", x), self.value(Integer(28)))  # beyond, erfc is 0
        raised = self.apply("Add", size, four)
        ratio = self.apply("Div", self.apply("Sub", size, four), raised)
        made = self.value(sympy.Float(ERFC_FLOAT64[-1], 17))
        for factor in reversed(ERFC_FLOAT64[:-1]):
            made = self.apply("Add", self.apply("Mul", made, ratio), self.value(sympy.Float(factor, 17)))
        falling = self.apply("Exp", self.apply("Neg", self.apply("Mul", size, size)))
        far = self.apply("Div", self.apply("Mul", falling, made), raised)
        if is_erf:
            return self.apply("Mul", self.apply("Sign", x), self.apply("Sub", one, far))
        negative = self.apply("Less", x, self.value(Integer(0)))
        return self.apply("Where", negative, self.apply("Sub", self.value(Integer(2)), far), far)


def _is_negative(term: Any) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)
