"""How expressions are written, whatever the medium: order of factors, brackets, letters of bound indices.

`text` and `latex` give the marks. A reader finds a − y rather than −y + a, a scalar in front, a sum at the end, and
letters that are free in the equation.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import sympy
from sympy import (
    Add,
    Expr,
    Indexed,
    Integer,
    KroneckerDelta,
    Mod,
    Mul,
    Piecewise,
    Pow,
    Rational,
    Symbol,
    Tuple,
    floor,
)

from .binders import ArgMax, Binder, Max
from .functions import Elementwise
from .guards import Guard
from .indices import Dim
from .notation import PLAIN, Notation
from .partial import Partial
from .positions import GuardGroup, PositionWriter
from .print_order import (
    JointArgMax,
    above,
    common_guards,
    join_roots,
    joint_maxima,
    opposite,
    order_factors,
    order_terms,
    root_below,
)
from .tensors import Tensor, elements, indices_of, is_element, tensor_of

# The letters for a bound index: given the size of its axis, and the tensors and axes that it stands at.
Letters: TypeAlias = Callable[[Expr, Sequence[tuple[Tensor, int]]], Sequence[str]]

# Binding strength, weakest first.
SUM, PRODUCT, UNARY, POWER, ATOM = range(5)
_LETTERS = "ijklmnpqrsuvw"


def decimal(number: Rational) -> str | None:
    """A finite decimal, where that reads better than a fraction (0.01, but 1/2)."""
    if number.q == 1 or number.q % 5:
        return None
    rest = number.q
    while rest % 2 == 0:
        rest //= 2
    while rest % 5 == 0:
        rest //= 5
    return format(float(number), ".15g") if rest == 1 else None


class Printer(ABC):
    """Base of the printers; a subclass gives the marks of one medium.

    Parameters
    ----------
    taken : names that a bound letter must not repeat
    letters : the letters that a sum over an axis of some size takes rather than others
    indices : those of the left side, in order
    """

    def __init__(
        self,
        taken: Iterable[str] = (),
        letters: Letters | None = None,
        indices: Sequence[Symbol] = (),
        notation: Notation = PLAIN,
    ) -> None:
        self.taken = set(taken)
        self.letters = letters
        self.notation = notation
        self.indices = tuple(indices)
        self.names: dict[Symbol, str] = {}

    # ---- marks of the medium ---------------------------------------------------------------------------------

    @abstractmethod
    def symbol(self, tensor: Tensor) -> str: ...

    @abstractmethod
    def element(self, tensor: Tensor, where: list[str]) -> str: ...

    @abstractmethod
    def derivative(self, of: str, by: str) -> str: ...

    @abstractmethod
    def part(self, tensor: Tensor, where: list[str]) -> str: ...

    @abstractmethod
    def letter(self, name: str) -> str: ...

    @abstractmethod
    def brackets(self, inside: str) -> str: ...

    @abstractmethod
    def fraction(self, top: str, bottom: str) -> str: ...

    @abstractmethod
    def power(self, base: str, exponent: str) -> str: ...

    @abstractmethod
    def call(self, function: str, args: list[str]) -> str: ...

    @abstractmethod
    def binder(self, kind: str, letters: list[str], body: str) -> str: ...

    @abstractmethod
    def cases(self, branches: list[tuple[str, str | None]]) -> str: ...

    @abstractmethod
    def iverson(self, condition: str) -> str: ...

    @abstractmethod
    def position_mark(self, mark: str, *args: str) -> str: ...

    @abstractmethod
    def relation(self, left: str, operator: str, right: str) -> str: ...

    @abstractmethod
    def magnitude(self, inside: str) -> str: ...

    @abstractmethod
    def root(self, inside: str) -> str: ...

    @abstractmethod
    def transpose(self, symbol: str) -> str: ...

    @abstractmethod
    def norm(self, inside: str, order: int) -> str: ...

    @abstractmethod
    def inner(self, left: str, right: str) -> str: ...

    ones = hadamard = ""

    def exponential(self, exponent: str) -> str:
        return self.call("exp", [exponent])

    def function_name(self, function: Any) -> str:
        return function.__name__

    def operator(self, name: str) -> str:
        return name

    product = " "
    conjunction, disjunction, negation = " and ", " or ", "not "

    def decimal(self, written: str) -> str:
        return written

    # ---- expressions -----------------------------------------------------------------------------------------

    def write(self, expr: Any) -> str:
        return self._write(expr)[0]

    def within(self, expr: Any, strength: int) -> str:
        """`expr`, in brackets if it binds less tightly than `strength`."""
        written, own = self._write(expr)
        return self.brackets(written) if own < strength else written

    def _write(self, expr: Any) -> tuple[str, int]:
        if is_element(expr):
            tensor, where = tensor_of(expr), indices_of(expr)
            return (
                self.element(tensor, [self.position(place) for place in where]) if where else self.symbol(tensor)
            ), ATOM
        if isinstance(expr, Partial):
            return self.derivative(*map(self.write, expr.args)), ATOM
        if isinstance(expr, Symbol):
            return self.letter(self.names.get(expr, expr.name)), ATOM
        if isinstance(expr, Rational):
            return self._number(expr)
        if isinstance(expr, Add):
            return self._add(expr), SUM
        if isinstance(expr, Mul) or (isinstance(expr, Pow) and expr.exp.is_Rational and expr.exp < 0):
            return self._mul(expr)
        if isinstance(expr, Pow):
            if expr.exp == Rational(1, 2):
                return self.root(self.write(expr.base)), ATOM
            return self.power(self.within(expr.base, ATOM), self.write(expr.exp)), POWER
        if isinstance(expr, Binder):
            return self._binder(expr)
        if isinstance(expr, Piecewise):
            return self._piecewise(expr)
        if isinstance(expr, KroneckerDelta):
            left, right = sorted(expr.args, key=lambda place: (place.is_number, bool(place.args)))
            return self.iverson(self.relation(self.position(left), "=", self.position(right))), ATOM
        if isinstance(expr, JointArgMax):
            places, maximum = expr.args
            at = ", ".join(self.position(place) for place in places)
            return self.iverson(self.relation(f"({at})", "=", self._binder(maximum, "argmax")[0])), ATOM
        if isinstance(expr, Guard | GuardGroup):
            guards, read = expr.args if isinstance(expr, GuardGroup) else ((expr,), ())
            return self.iverson(self._positions().conditions(guards, read)), ATOM
        if isinstance(expr, sympy.core.relational.Relational):
            write = self.position if expr.has(Mod, floor) and not elements(expr) else self.write
            left, right, mark = expr.lhs, expr.rhs, expr.rel_op
            if mark in (">", ">=") and not elements(expr) and not right.is_number:
                left, right, mark = right, left, mark.replace(">", "<")  # u ≤ t rather than t ≥ u
            return self.relation(write(left), mark, write(right)), SUM
        if isinstance(expr, sympy.And | sympy.Or):
            mark = self.conjunction if isinstance(expr, sympy.And) else self.disjunction
            parts = sorted(expr.args, key=sympy.default_sort_key)
            return mark.join(
                self.within(part, PRODUCT if len(part.args) > 1 and isinstance(part, sympy.And | sympy.Or) else SUM)
                for part in parts
            ), SUM
        if isinstance(expr, sympy.Not):
            return f"{self.negation}{self.within(expr.args[0], PRODUCT)}", UNARY
        if isinstance(expr, sympy.exp):
            return self.exponential(self.write(expr.args[0])), POWER
        if isinstance(expr, sympy.Abs):
            return self.magnitude(self.write(expr.args[0])), ATOM
        if isinstance(expr, sympy.Function):
            return self.call(self.function_name(type(expr)), [self.write(arg) for arg in self._arguments(expr)]), ATOM
        return self.other(expr), ATOM

    def position(self, place: Any) -> str:
        """A whole-number expression in indices and sizes."""
        return self._positions().write(place)

    def _positions(self) -> PositionWriter:
        return PositionWriter(self.write, self.product, self.position_mark, self.names)

    def other(self, expr: Any) -> str:
        return str(expr)

    def _arguments(self, expr: sympy.Function) -> tuple[Expr, ...]:
        """The arguments as written: those at the end that have their default value are left out."""
        args = list(expr.args)
        if isinstance(expr, Elementwise):
            defaults = type(expr).defaults
            while len(args) > 1 and args[-1] == defaults[len(args) - 1]:
                args.pop()
        return tuple(args)

    def _number(self, number: Rational) -> tuple[str, int]:
        strength = UNARY if number < 0 else ATOM
        written = decimal(number)
        if written is not None:
            return self.decimal(written), strength
        if isinstance(number, Integer):
            digits = str(abs(number))
            if len(digits) > 5 and int(digits) == 10 ** (len(digits) - 1):
                power = self.power("10", str(len(digits) - 1))
                return ("-" + power, UNARY) if number < 0 else (power, POWER)
            return str(number), strength
        sign = "-" if number < 0 else ""
        return sign + self.fraction(str(abs(number.p)), str(number.q)), PRODUCT

    def _add(self, expr: Add) -> str:
        out = ""
        terms = order_terms(common_guards(expr))
        if len(terms) == 1:
            return self.within(terms[0], PRODUCT)
        for term in terms:
            negative = term.as_coeff_Mul()[0].is_negative
            written = self.within(-term if negative else term, PRODUCT)
            out += (" - " if negative else " + ") + written if out else ("-" if negative else "") + written
        return out

    def _mul(self, expr: Expr) -> tuple[str, int]:
        coefficient, rest = expr.as_coeff_Mul()
        negative, coefficient = coefficient.is_negative, abs(coefficient)
        top: list[Expr] = []
        scalar_bottom: list[Expr] = []
        bottom: list[Expr] = []
        guards = [factor for factor in Mul.make_args(rest) if isinstance(factor, Guard)]
        if guards:
            rest = Mul(*(factor for factor in Mul.make_args(rest) if factor not in guards))
            read = {place for element in rest.atoms(Indexed) for place in element.indices}
            top.append(GuardGroup(Tuple(*guards), Tuple(*sorted(read, key=sympy.default_sort_key))))
        for factor in joint_maxima(Mul.make_args(rest)):
            if isinstance(factor, Pow) and factor.exp.is_Rational and factor.exp < 0:
                (bottom if elements(factor) or factor.has(Binder) else scalar_bottom).append(1 / factor)
            elif factor != 1:
                top.append(factor)
        # One over a size, 1/5 Σ, is written as 1/4 Σ and 1/3 Σ are; 0.1 and 0.01 are constants that somebody chose.
        over_size = coefficient.p == 1 and coefficient.q % 10 != 0
        written_number = None if scalar_bottom or over_size else decimal(coefficient)
        if written_number is None:
            coefficient = root_below(coefficient, top, scalar_bottom)
        lead = "" if written_number is None else self.decimal(written_number)
        if written_number is None and coefficient.q != 1:
            scalar_bottom.insert(0, Integer(coefficient.q))
        if written_number is None and coefficient.p != 1:
            top.insert(0, Integer(coefficient.p))
        written = [lead] if lead else []
        join_roots(top, scalar_bottom)
        sizes = any(not factor.is_number for factor in scalar_bottom)
        scalar_top = [f for f in top if above(f, sizes)]
        if bottom:
            written.append(self.fraction(self._factors(top) or "1", self._factors([*scalar_bottom, *bottom])))
        else:
            rest_top = [f for f in top if f not in scalar_top] if scalar_bottom else top
            if scalar_bottom:
                written.append(self.fraction(self._factors(scalar_top) or "1", self._factors(scalar_bottom)))
            if rest_top:
                written.append(self._factors(rest_top, alone=not written))
        return ("-" if negative else "") + self.product.join(written), UNARY if negative else PRODUCT

    def _factors(self, factors: list[Expr], alone: bool = True) -> str:
        ordered = order_factors(factors, self.indices)
        if len(ordered) == 1 and alone:
            return self.write(ordered[0])
        written = []
        for place, factor in enumerate(ordered):
            last = place == len(ordered) - 1
            # A sum reaches to the end of its product: only the last may go without brackets.
            strength = PRODUCT if isinstance(factor, Binder) and last else UNARY
            written.append(self.within(factor, strength))
        return self.product.join(written)

    def _binder(self, expr: Binder, mark: str | None = None) -> tuple[str, int]:
        kind = mark or ("max" if isinstance(expr, Max) else "argmax" if isinstance(expr, ArgMax) else "sum")
        limits, body = list(expr.limits), expr.body
        while isinstance(expr, Max) and isinstance(body, Max):
            limits, body = [*limits, *body.limits], body.body
        letters = self.choose_letters(limits, body)
        self.names |= letters
        written = self.binder(kind, [self.letter(letters[i]) for i, _ in limits], self.within(body, PRODUCT))
        for index in letters:
            del self.names[index]
        return written, PRODUCT

    def choose_letters(self, limits: Iterable[tuple[Symbol, Expr]], body: Expr = sympy.S.Zero) -> dict[Symbol, str]:
        """A letter for each bound index: one that its axes in `body` have, if that is not taken, else the next one."""
        avoid = self.taken | set(self.names.values())
        avoid |= {s.name for s in body.free_symbols if isinstance(s, Symbol) and s not in self.names}
        chosen: dict[Symbol, str] = {}
        for index, size in limits:
            at = [(tensor_of(e), axis) for e in elements(body) for axis, p in enumerate(indices_of(e)) if p == index]
            pool = [*(self.letters(size, at) if self.letters else ()), *_LETTERS, *(f"i{n}" for n in range(1, 100))]
            chosen[index] = next(letter for letter in pool if letter not in avoid)
            avoid.add(chosen[index])
        return chosen

    def _piecewise(self, expr: Piecewise) -> tuple[str, int]:
        branches = expr.args
        if len(branches) == 2 and branches[1].args == (Integer(0), sympy.true):
            value, condition = branches[0].args
            if value == 1:
                return self.iverson(self.write(condition)), ATOM
        if len(branches) == 2 and branches[0].args[0] == 0 and branches[1].args == (Integer(1), sympy.true):
            return self.iverson(self.write(opposite(branches[0].args[1]))), ATOM
        written = [
            (self.write(v), None if condition == sympy.true else self.write(condition)) for v, condition in branches
        ]
        return self.cases(written), ATOM


def names_in(expr: Expr, indices: Iterable[Symbol] = ()) -> set[str]:
    """The names that a bound letter must not repeat: free indices, sizes, tensors, the letter of a layer ``W⟨l⟩``."""
    free = {symbol.name for symbol in expr.free_symbols if isinstance(symbol, Symbol | Dim)}
    layers = {letter for name in free for letter in re.findall(r"⟨([^\d+-]+)", name)}
    return free | layers | {index.name for index in indices}
