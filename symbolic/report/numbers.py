"""Numbers on pages: how they are written, and formulas with the numbers put in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sympy import Expr

from ..latex import LatexPrinter
from ..notation import PLAIN, Notation
from ..printer import ATOM, SUM, Printer, names_in
from ..tensors import is_element, tensor_of
from ..text import TextPrinter
from .document import Formula, Line

DECIMALS = 9  # as in the lecture notes that people compare with
_LEAST, _MOST = 1e-4, 1e6
# Brackets around a negative number that begins a formula, or what stands in brackets itself, unless a power follows.
_LEADING = {
    TextPrinter: re.compile(r"(^|\()\((-[\d.e-]+)\)(?= |$)"),
    LatexPrinter: re.compile(r"(^|\\left\()\\left\((-[^()]*?)\\right\)(?= |$)"),
}


def short(value: Any) -> str:
    """A number with at most nine decimals and no zeros at its end: ``0.3775``; very small or large ones as 1.5e-7."""
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    if number == 0:
        return "0"
    if not _LEAST <= abs(number) < _MOST:
        mantissa, _, exponent = f"{number:.6e}".partition("e")
        return f"{_trimmed(mantissa)}e{int(exponent)}"
    return _trimmed(f"{number:.{DECIMALS}f}")


def aligned(value: Any) -> str:
    """A number for a column of a table: nine decimals, those of zeros too."""
    number = float(value) + 0.0  # no minus in front of a zero
    if number and not _LEAST <= abs(number) < _MOST:
        return f"{number:.6e}".replace("e-0", "e-").replace("e+0", "e+")
    return f"{number:.{DECIMALS}f}"


def _trimmed(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def value(number: Any) -> Formula:
    """A number as a formula."""
    return Formula(*(kind().decimal(short(number)) for kind in (TextPrinter, LatexPrinter)))


def matrix(numbers: Any) -> Formula:
    """A number, or nested lists of them: ``(1, 2)``, ``[[1, 2], [3, 4]]``."""
    if not isinstance(numbers, list):
        return value(numbers)
    inside = [matrix(part) for part in numbers]
    if not numbers or not isinstance(numbers[0], list):
        return Formula(f"({', '.join(f.text for f in inside)})", rf"\left({', '.join(f.latex for f in inside)}\right)")
    text = "[" + ", ".join(f"[{f.text[1:-1]}]" for f in inside) + "]"
    rows = r" \\ ".join(" & ".join(value(number).latex for number in row) for row in numbers)
    return Formula(text, rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}")


class _WithNumbers(Printer):
    """A printer that writes a tensor of rank 0 as its number; a negative one stands in brackets in products."""

    product = " · "
    values: Mapping[str, Any]

    def _write(self, expr: Any) -> tuple[str, int]:
        if not is_element(expr):
            return super()._write(expr)
        number = self.values[tensor_of(expr).name]
        return self.decimal(short(number)), ATOM if number >= 0 else SUM


class _Text(_WithNumbers, TextPrinter):
    product = " · "


class _Latex(_WithNumbers, LatexPrinter):
    product = r" \cdot "


class Formulas:
    """Writes expressions in scalars in both media: with their symbols, or with their numbers.

    Parameters
    ----------
    values : name of a scalar → number
    """

    def __init__(self, values: Mapping[str, Any], notation: Notation = PLAIN) -> None:
        self.values, self.notation = values, notation

    def symbols(self, expr: Expr, notation: Notation | None = None) -> Formula:
        given = names_in(expr), None, (), notation or self.notation
        return Formula(TextPrinter(*given).write(expr), LatexPrinter(*given).write(expr))

    def numbers(self, expr: Expr) -> Formula:
        printers: list[_WithNumbers] = [_Text(), _Latex()]
        for printer in printers:
            printer.values = self.values
        text, latex = (printer.write(expr) for printer in printers)
        return Formula(_LEADING[TextPrinter].sub(r"\1\2", text), _LEADING[LatexPrinter].sub(r"\1\2", latex))


def product(factors: Iterable[Formula]) -> Formula:
    """``a · b · c``; a factor that is a negative number stands in brackets, unless it is the first."""
    known = list(factors)
    known[1:] = [Formula(f"({f.text})", rf"\left({f.latex}\right)") if f.text.startswith("-") else f for f in known[1:]]
    return Formula(" · ".join(f.text for f in known), r" \cdot ".join(f.latex for f in known))


def total(terms: Iterable[Formula]) -> Formula:
    """``a + b - c``."""
    text = latex = ""
    for term in terms:
        minus = term.text.startswith("-")
        mark = " - " if minus else " + "
        text += (mark if text else "-" * minus) + term.text.removeprefix("-")
        latex += (mark if latex else "-" * minus) + term.latex.removeprefix("-")
    return Formula(text, latex)


def equal(*sides: Formula, name: str = "") -> Line:
    """``a = b = c`` as a line; what would stand twice in a row stands once."""
    kept = [side for place, side in enumerate(sides) if place == 0 or side.text != sides[place - 1].text]
    return Line(Formula(" = ".join(s.text for s in kept), " = ".join(s.latex for s in kept)), name=name)
