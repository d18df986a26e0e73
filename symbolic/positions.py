"""How positions along axes are written, ``2h + u - 1`` and ``⌊m / W⌋``, and guards, ``[0 ≤ p - u < H]``."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

import sympy
from sympy import Add, Expr, Function, Integer, Mod, Mul, floor

from .guards import Guard
from .indices import Dim
from .tensors import is_element


class GuardGroup(Function):
    """Guards of one product, which are written in one bracket, and the positions that the product reads."""


class PositionWriter:
    """Writes whole-number expressions.

    Parameters
    ----------
    write : writes a leaf: an index, a size, a label
    times : what stands between a letter and a letter
    marks : the names of the marks "floor", "mod", "<", "≤", "≥" in the medium
    bound : indices that stand behind others: 2p + u, with u summed over
    """

    def __init__(
        self, write: Callable[[Any], str], times: str, marks: Callable[..., str], bound: Container[Any] = ()
    ) -> None:
        self.leaf, self.times, self.marks, self.bound = write, times, marks, bound

    def write(self, place: Any) -> str:
        if is_element(place) or not place.args:
            return self.leaf(place)
        if isinstance(place, floor):
            top, bottom = sympy.fraction(sympy.together(place.args[0]))
            if sympy.cancel(top / bottom) != place.args[0]:
                return self.leaf(place)
            return self.marks("floor", self._bracketed(top), self._bracketed(bottom, Add | Mod | Mul))
        if isinstance(place, Mod):
            return self.marks("mod", self._bracketed(place.args[0]), self._bracketed(place.args[1]))
        if isinstance(place, Add):
            terms = sorted(place.args, key=self._term_order)
            out = self.write(terms[0])
            for term in terms[1:]:
                minus = _is_negative(term)
                out += (" - " if minus else " + ") + self._factor(-term if minus else term)
            return out
        if isinstance(place, Mul):
            if _is_negative(place):
                return "-" + self._factor(-place)
            factors = sorted(
                place.args, key=lambda f: (not f.is_Number, not isinstance(f, Dim), sympy.default_sort_key(f))
            )
            lead = str(factors[0]) if factors[0].is_Integer else ""
            rest = [self._bracketed(factor) for factor in factors[bool(lead) :]]
            return lead + self.times.join(rest)
        return self.leaf(place)

    def conditions(self, guards: Iterable[Guard], read: Iterable[Expr] = ()) -> str:
        """The guards as inequalities, two that bound the same place in one; rather a place that is among `read`."""
        read = set(read)
        waiting = [guard.args[0] for guard in guards]
        written = []
        while waiting:
            low = waiting.pop(0)
            high = next((other for other in waiting if not _moves(low + other)), None)
            if high is None:
                written.append(self._inequality(low))
                continue
            waiting.remove(high)
            place = min(low, high, key=lambda bound: (bound not in read, _offset(bound)))
            written.append(f"0 {self.marks('≤')} {self.write(place)} < {self.write(sympy.expand(low + high + 1))}")
        return ", ".join(sorted(written))

    def _inequality(self, bound: Expr) -> str:
        """``e ≥ 0`` with what is subtracted on the other side."""
        terms = Add.make_args(sympy.expand(bound))
        constant = Add(*(term for term in terms if term.is_number))
        above = Add(*(term for term in terms if not term.is_number and not _is_negative(term)))
        below = Add(*(-term for term in terms if not term.is_number and _is_negative(term)))
        if below == 0:
            return f"{self.write(above)} {self.marks('≥')} {self.write(-constant)}"
        if above == 0:
            return f"{self.write(below)} {self.marks('≤')} {self.write(constant)}"
        if constant < 0:
            return f"{self.write(below - constant - 1)} < {self.write(above)}"
        return f"{self.write(below)} {self.marks('≤')} {self.write(above + constant)}"

    def _factor(self, term: Expr) -> str:
        written = self.write(term)
        return f"{written}" if not isinstance(term, Mod) else f"({written})"

    def _bracketed(self, part: Any, kinds: Any = Add | Mod) -> str:
        written = self.write(part)
        return f"({written})" if isinstance(part, kinds) else written

    def _term_order(self, term: Any) -> tuple[Any, ...]:
        """Indices, the largest steps first and summed ones last, then sizes, then numbers, then what is subtracted."""
        sizes = sum(isinstance(factor, Dim) for factor in Mul.make_args(term))
        step = abs(term.as_coeff_Mul()[0])
        bound = any(symbol in self.bound for symbol in term.free_symbols)
        return _is_negative(term), term.is_number, not _moves(term), -sizes, -step, bound, sympy.default_sort_key(term)


def _is_negative(term: Any) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


def _moves(expr: Expr) -> bool:
    return any(not isinstance(symbol, Dim) for symbol in sympy.expand(expr).free_symbols)


def _offset(place: Expr) -> Any:
    """How far a place is from a sum of indices: sizes first, then numbers."""
    sizes = any(isinstance(symbol, Dim) and not _multiplies(place, symbol) for symbol in place.free_symbols)
    constant = abs(place.as_coeff_Add()[0])
    return sizes, constant if constant.is_number else Integer(0), sympy.default_sort_key(place)


def _multiplies(place: Expr, size: Any) -> bool:
    """Whether `size` stands only as the step of an index."""
    return all(_moves(term) for term in Add.make_args(place) if term.has(size))
