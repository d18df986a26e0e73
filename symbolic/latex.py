"""Equations as LaTeX, for amsmath: symbols from names, sums, cases, deltas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sympy

from .equations import Equation
from .functions import Elementwise
from .notation import PLAIN, Notation
from .printer import Letters, Printer, names_in
from .tensors import Adjoint, Cotangent, Direction, Entry, Tangent, Tensor
from .text import NUMBER, entry_adjoint, is_delta

_GREEK = frozenset(
    """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi
    omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega""".split()
)
_ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde", "dot": r"\dot", "vec": r"\vec"}
_FUNCTIONS = {"log": r"\log", "tanh": r"\tanh", "sinh": r"\sinh", "cosh": r"\cosh", "sin": r"\sin", "cos": r"\cos"}


def name_latex(name: str, *, layer: bool = False) -> str:
    """A LaTeX symbol for a name: ``W1`` is W^{(1)} with `layer`, else W_{1}; ``y_hat`` is \\hat{y}, ``lam`` λ.

    With `layer`, ``W3_1`` is W^{(3.1)}: the first layer inside of the third.
    """
    stem, *parts = [part for part in name.split("_") if part] or [name]
    match = re.fullmatch(rf"([A-Za-z]+)({NUMBER})", stem)
    numbers = []
    if match:
        stem, numbers = match[1], [match[2]]
        while layer and parts and re.fullmatch(NUMBER, parts[0]):
            numbers.append(parts.pop(0))
    number = number_latex(numbers)
    stem = {"lam": "lambda"}.get(stem, stem)  # lambda itself is a keyword of Python
    word = f"\\{stem}" if stem in _GREEK else stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    rest = []
    for part in parts:
        if part in _ACCENTS:
            word = f"{_ACCENTS[part]}{{{word}}}"
        else:
            known = f"\\{part}" if part in _GREEK else part if len(part) == 1 else rf"\mathrm{{{part}}}"
            rest.append(number_latex([part]) if part.startswith("⟨") else known)
    if number and layer:
        word += f"^{{({number})}}"
    elif number:
        rest.insert(0, number)
    return word + (f"_{{{','.join(rest)}}}" if rest else "")


def number_latex(parts: Sequence[str]) -> str:
    """The number of a layer, from the parts of a name: ``3.1``; where a letter runs, ``l-1``, ``(l-1).1``."""
    written = [part.strip("⟨⟩").replace("ℓ", r"\ell") for part in parts]
    return ".".join(f"({part})" if len(parts) > 1 and re.search("[+-]", part) else part for part in written)


def tensor_latex(tensor: Tensor, notation: Notation = PLAIN) -> str:
    """The symbol of a tensor; a gradient is δ for a pre-activation, ∂L/∂T for all else."""
    if tensor.name in notation.symbols:
        return notation.symbols[tensor.name]
    if isinstance(tensor, Adjoint) and isinstance(tensor.of, Entry):
        tensor = entry_adjoint(tensor)
    if isinstance(tensor, Entry):
        places = [str(place) for place in tensor.shown]
        whole = LatexPrinter(notation=notation)
        return whole.element(tensor.of, places) if places else whole.symbol(tensor.of)
    if isinstance(tensor, Adjoint):
        if is_delta(tensor, notation):
            return _delta(tensor_latex(tensor.of, notation))
        below, above = tensor_latex(tensor.of, notation), tensor_latex(tensor.loss, notation)
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"
    if isinstance(tensor, Direction):
        return f"v_{{{tensor_latex(tensor.of, notation)}}}"
    if isinstance(tensor, Tangent) and not tensor.label:
        return _dotted(tensor_latex(tensor.of, notation))
    if isinstance(tensor, Cotangent):
        letter, rest = _first_letter(tensor_latex(tensor.of, notation))
        return rf"\bar{{{letter}}}{rest}"
    numbers = tensor.rank > 0 and notation.layers == "numbers"
    return tensor.latex or _bold(name_latex(tensor.name, layer=numbers), tensor, notation)


def _delta(symbol: str) -> str:
    """The δ of a pre-activation: its symbol with the letter z replaced, or a δ with the symbol below it."""
    if re.match(r"z(?![A-Za-z])", symbol):
        return r"\delta" + symbol[1:]
    if symbol.startswith(r"\boldsymbol{z}"):
        return r"\boldsymbol{\delta}" + symbol[len(r"\boldsymbol{z}") :]
    return rf"\delta_{{{symbol}}}"


def _bold(symbol: str, tensor: Tensor, notation: Notation) -> str:
    """The symbol of a vector or a matrix in bold type, its accent inside and its number outside."""
    if not (notation.bold and tensor.rank):
        return symbol
    letter, _, number = re.match(r"((?:\\[A-Za-z]+\{.*?\}|\\[A-Za-z]+|.))(?=([_^]|$))(.*)", symbol, re.S).groups()  # type: ignore[union-attr]
    return rf"\boldsymbol{{{letter}}}{number}"


def _dotted(symbol: str) -> str:
    """A dot over the letter of a symbol; in front of what has no letter of its own, a D."""
    if symbol.startswith(r"\frac"):
        return rf"\operatorname{{D}}\!\left({symbol}\right)"
    letter, rest = _first_letter(symbol)
    dots = re.match(r"\\(d{1,3})ot\{(.*)\}$", letter)
    return (rf"\{dots[1]}dot{{{dots[2]}}}" if dots else rf"\dot{{{letter}}}") + rest


def _first_letter(symbol: str) -> tuple[str, str]:
    """The letter of a symbol with what stands over it, and its scripts."""
    letter = re.match(r"\\d*dot\{[^{}]*\}|\\[A-Za-z]+(\{[^{}]*\})?|.", symbol)
    assert letter is not None
    return letter[0], symbol[letter.end() :]


class LatexPrinter(Printer):
    """LaTeX math mode."""

    product = r" \, "
    conjunction, disjunction, negation = r" \land ", r" \lor ", r"\neg "

    def decimal(self, written: str) -> str:
        mantissa, _, exponent = written.partition("e")
        if not exponent:
            return written
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa} \cdot {power}"

    def symbol(self, tensor: Tensor) -> str:
        return tensor_latex(tensor, self.notation)

    def element(self, tensor: Tensor, where: list[str]) -> str:
        places = (" " if all(len(place) == 1 for place in where) else ", ").join(where)
        named = tensor.name in self.notation.symbols or is_delta(tensor, self.notation)
        if isinstance(tensor, Adjoint) and not named:
            of = self.symbol(tensor.of)
            below = rf"\left({of}\right)_{{{places}}}" if "frac" in of else _subscripted(of, places)
            return rf"\frac{{\partial {self.symbol(tensor.loss)}}}{{\partial {below}}}"
        if isinstance(tensor, Tangent) and "frac" in self.symbol(tensor):
            return f"{self.symbol(tensor)}_{{{places}}}"
        return _subscripted(self.symbol(tensor), places)

    def part(self, tensor: Tensor, where: list[str]) -> str:
        return self.element(tensor, [place.replace(" ", "") for place in where])

    def derivative(self, of: str, by: str) -> str:
        return rf"\frac{{\partial {of}}}{{\partial {by}}}"

    def letter(self, name: str) -> str:
        return name_latex(name)

    def position_mark(self, mark: str, *args: str) -> str:
        if mark == "floor":
            return rf"\lfloor {args[0]} / {args[1]} \rfloor"
        return rf"{args[0]} \bmod {args[1]}" if mark == "mod" else {"≤": r"\le", "≥": r"\ge"}.get(mark, mark)

    ones, hadamard = r"\mathbf{1}", r" \odot "

    def transpose(self, symbol: str) -> str:
        if "frac" in symbol:
            return rf"\left({symbol}\right)^\top"
        return rf"({symbol})^\top" if "^" in symbol else rf"{symbol}^\top"

    def norm(self, inside: str, order: int) -> str:
        return rf"\left\|{inside}\right\|" + ("^2" if order == 2 else "_1")

    def inner(self, left: str, right: str) -> str:
        return rf"\left\langle {left},\, {right} \right\rangle"

    def brackets(self, inside: str) -> str:
        return rf"\left({inside}\right)"

    def fraction(self, top: str, bottom: str) -> str:
        return rf"\frac{{{top}}}{{{bottom}}}"

    def power(self, base: str, exponent: str) -> str:
        # A symbol with its layer above needs brackets: (W^{(1)})², not W^{(1)2}.
        base = self.brackets(base) if "^" in base and not base.endswith(r"\right)") else base
        return f"{base}^{{{exponent}}}"

    def exponential(self, exponent: str) -> str:
        return f"e^{{{exponent}}}"

    def function_name(self, function: Any) -> str:
        if issubclass(function, Elementwise) and function.symbol:
            return function.symbol
        name = function.__name__
        return _FUNCTIONS.get(name, rf"\operatorname{{{name.replace('_', r' ')}}}")

    def operator(self, name: str) -> str:
        return rf"\operatorname{{{name}}}"

    def call(self, function: str, args: list[str]) -> str:
        return rf"{function}\left({', '.join(args)}\right)"

    def binder(self, kind: str, letters: list[str], body: str) -> str:
        mark = {"sum": r"\sum", "max": r"\max", "argmax": r"\operatorname*{arg\,max}"}[kind]
        return f"{mark}_{{{', '.join(letters)}}} {body}"

    def cases(self, branches: list[tuple[str, str | None]]) -> str:
        rows = [f"{value} & " + (rf"\text{{if }} {cond}" if cond else r"\text{otherwise}") for value, cond in branches]
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def iverson(self, condition: str) -> str:
        return rf"\left[{condition}\right]"

    def relation(self, left: str, operator: str, right: str) -> str:
        marks = {">=": r"\ge", "<=": r"\le", "!=": r"\ne", "==": "="}
        return f"{left} {marks.get(operator, operator)} {right}"

    def magnitude(self, inside: str) -> str:
        return rf"\left|{inside}\right|"

    def root(self, inside: str) -> str:
        return rf"\sqrt{{{inside}}}"

    def other(self, expr: Any) -> str:
        return sympy.latex(expr)


def _subscripted(symbol: str, places: str) -> str:
    """A symbol with indices; a subscript that it has already is joined, for TeX allows one."""
    inside = re.search(r"_\{((?:[^{}]|\{[^{}]*\})*)\}$", symbol)
    return f"{symbol[: inside.start()]}_{{{inside[1]};\\,{places}}}" if inside else f"{symbol}_{{{places}}}"


def latex(expr: Any) -> str:
    """`expr` as LaTeX, without delimiters."""
    return LatexPrinter(names_in(expr)).write(expr)


def equation_latex(
    equation: Equation, letters: Letters | None = None, notation: Notation = PLAIN, *, align: str = ""
) -> str:
    """An equation as LaTeX; `align` is put before the equals sign (``&`` in an align environment)."""
    printer = LatexPrinter(names_in(equation.body, equation.indices), letters, equation.indices, notation)
    return f"{printer.write(equation.lhs)} {align}= {printer.write(equation.body)}"
