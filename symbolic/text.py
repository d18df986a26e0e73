"""Equations as plain text: ``∂L/∂W[j, k] = Σ_i δ[i, j] x[i, k]``."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from .equations import Equation
from .notation import PLAIN, Notation
from .printer import Letters, Printer, names_in
from .tensors import Adjoint, Derived, Entry, Tangent, Tensor

NUMBER = r"\d+|⟨[^⟩]+⟩"  # of a layer, in a name: a `Running` tensor has a letter there


def is_preactivation(tensor: Tensor) -> bool:
    """Whether the gradient of `tensor` is a δ of the textbooks: z, z1, z3_1 of a layer in a layer, zi1 of a gate i."""
    tensor = tensor.of if isinstance(tensor, Entry) else tensor
    return tensor.role == "value" and re.fullmatch(rf"z[a-z]?(({NUMBER})(_({NUMBER}))*)?", tensor.name) is not None


def is_delta(tensor: Tensor, notation: Notation = PLAIN) -> bool:
    """Whether `tensor` is a δ of the textbooks: the loss's own gradient, of a pre-activation."""
    if not (notation.deltas and isinstance(tensor, Adjoint)):
        return False
    return is_preactivation(tensor.of) and not isinstance(tensor.loss, Derived)


def entry_adjoint(tensor: Adjoint) -> Tensor:
    """The gradient by an entry, as that entry of the gradient by its tensor."""
    entry: Any = tensor.of
    whole = Adjoint(entry.of, tensor.loss, tensor.role)
    return Entry(whole, entry.position, entry.shown, tensor.name)


def dotted(name: str) -> str:
    """``ȧ1`` of ``a1``: a dot over the first letter."""
    return unicodedata.normalize("NFC", name[0] + "\N{COMBINING DOT ABOVE}") + name[1:]


class TextPrinter(Printer):
    """Unicode text; elements as in Python."""

    def decimal(self, written: str) -> str:
        return written.replace("e-0", "e-")

    def symbol(self, tensor: Tensor) -> str:
        if isinstance(tensor, Entry) and tensor.shown:
            return self.element(tensor.of, [str(place) for place in tensor.shown])
        if isinstance(tensor, Entry):
            return self.symbol(tensor.of)
        if isinstance(tensor, Adjoint) and isinstance(tensor.of, Entry):
            if "/" in (of := self.symbol(tensor.of)):
                return self.derivative(self.symbol(tensor.loss), of)
            return self.symbol(entry_adjoint(tensor))
        if isinstance(tensor, Adjoint):
            if is_delta(tensor, self.notation):
                return "δ" + tensor.of.name[1:]
            of = self.symbol(tensor.of)
            return f"∂{self.symbol(tensor.loss)}/∂{of if '/' not in of else f'({of})'}"
        if isinstance(tensor, Tangent) and not tensor.label:
            inner = self.symbol(tensor.of)
            return f"D({inner})" if "/" in inner else dotted(inner)
        return tensor.name

    def element(self, tensor: Tensor, where: list[str]) -> str:
        return f"{self.symbol(tensor)}[{', '.join(where)}]"

    def part(self, tensor: Tensor, where: list[str]) -> str:
        places = ",".join(where).replace(" ", "")
        symbol = self.symbol(tensor)
        return f"{symbol}_{places}" if len(places) == 1 and "_" not in symbol else f"{symbol}_{{{places}}}"

    def derivative(self, of: str, by: str) -> str:
        return f"∂{_one_word(of, '/')}/∂{_one_word(by, '/')}"

    def letter(self, name: str) -> str:
        return name

    def position_mark(self, mark: str, *args: str) -> str:
        return f"⌊{args[0]}/{args[1]}⌋" if mark == "floor" else f"{args[0]} mod {args[1]}" if mark == "mod" else mark

    ones, hadamard = "𝟏", " ⊙ "

    def transpose(self, symbol: str) -> str:
        return f"({symbol})ᵀ" if "/" in symbol else f"{symbol}ᵀ"

    def norm(self, inside: str, order: int) -> str:
        return f"‖{inside}‖" + ("²" if order == 2 else "₁")

    def inner(self, left: str, right: str) -> str:
        return f"⟨{left}, {right}⟩"

    def brackets(self, inside: str) -> str:
        return f"({inside})"

    def fraction(self, top: str, bottom: str) -> str:
        return f"{_one_word(top, ' /')}/{_one_word(bottom, ' */')}"

    def power(self, base: str, exponent: str) -> str:
        superscript = {"2": "²", "3": "³"}.get(exponent)
        if superscript:
            return base + superscript
        return f"{base}^{exponent}" if re.fullmatch(r"\w+", exponent) else f"{base}^({exponent})"

    def call(self, function: str, args: list[str]) -> str:
        return f"{function}({', '.join(args)})"

    def binder(self, kind: str, letters: list[str], body: str) -> str:
        return f"{'Σ' if kind == 'sum' else kind}_{','.join(letters)} {body}"

    def cases(self, branches: list[tuple[str, str | None]]) -> str:
        return (
            "{"
            + "; ".join(value + (f" if {condition}" if condition else " else") for value, condition in branches)
            + "}"
        )

    def iverson(self, condition: str) -> str:
        return f"[{condition}]"

    def relation(self, left: str, operator: str, right: str) -> str:
        marks = {">=": "≥", "<=": "≤", "!=": "≠", "==": "="}
        return f"{left} {marks.get(operator, operator)} {right}"

    def magnitude(self, inside: str) -> str:
        return f"|{inside}|"

    def root(self, inside: str) -> str:
        return f"sqrt({inside})"


def _one_word(written: str, marks: str) -> str:
    """`written`, in brackets if one of `marks` stands in it outside of brackets."""
    depth = 0
    for mark in written:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(mark, 0)
        if depth == 0 and mark in marks:
            return f"({written})"
    return written


def text(expr: Any) -> str:
    """`expr` as plain text."""
    return TextPrinter(names_in(expr)).write(expr)


def equation_text(equation: Equation, letters: Letters | None = None, notation: Notation = PLAIN) -> str:
    """An equation as one line of plain text; `letters` are those that sums take for axes of some size."""
    printer = TextPrinter(names_in(equation.body, equation.indices), letters, equation.indices, notation)
    return f"{printer.write(equation.lhs)} = {printer.write(equation.body)}"
