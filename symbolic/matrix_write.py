"""Printing of matrix forms with the marks of a `Printer`.

``δ^{(1)} = (W^{(2)})^⊤ δ^{(2)} ⊙ a^{(1)} ⊙ (1 − a^{(1)})``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from .equations import Equation
from .held import held
from .latex import LatexPrinter
from .matrix_transpose import numerator, transposed
from .matrix_tree import Node
from .matrix_view import View
from .notation import Notation
from .printer import ATOM, PRODUCT, SUM, Letters, Printer, names_in
from .tensors import Tensor
from .text import TextPrinter

# Binding strength, weakest first: sums, ⊙ and scalar products, matrix products, powers, atoms.
_HADAMARD, _MATMUL, _POWER = 1, 2, 3


class MatrixWriter:
    """Writes a `Node` with the marks of `printer`."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer

    def write(self, node: Node) -> str:
        return self._write(node)[0]

    def within(self, node: Node, strength: int) -> str:
        written, own = self._write(node)
        return self.printer.brackets(written) if own < strength else written

    def _write(self, node: Node) -> tuple[str, int]:
        return getattr(self, f"_{node.kind}")(node)

    def _tensor(self, node: Node) -> tuple[str, int]:
        tensor, transposed = node.value
        symbol = self.printer.symbol(tensor)
        return (self.printer.transpose(symbol) if transposed else symbol), ATOM

    def _slice(self, node: Node) -> tuple[str, int]:
        tensor, transposed, where = node.value
        written = self._part(tensor, where)
        return (self.printer.transpose(written) if transposed else written), ATOM

    def _part(self, tensor: Tensor, where: tuple[Any, ...]) -> str:
        return self.printer.part(tensor, [self.printer.position(place) for place in where if place is not None])

    def _transpose(self, node: Node) -> tuple[str, int]:
        return self.printer.transpose(self.within(node.args[0], ATOM)), ATOM

    def _sum(self, node: Node) -> tuple[str, int]:
        return self._one_sum([node], [1]), _HADAMARD

    def _one_sum(self, sums: Sequence[Node], signs: Sequence[int]) -> str:
        """Sums over axes of the same sizes, under one sign."""
        chosen = self.printer.choose_letters(sums[0].value).values()
        names = {index: letter for node in sums for (index, _), letter in zip(node.value, chosen, strict=True)}
        self.printer.names |= names
        body = sums[0].args[0] if len(sums) == 1 else Node("add", tuple(node.args[0] for node in sums), tuple(signs))
        written = self.printer.binder(
            "sum", [self.printer.letter(name) for name in chosen], self.within(body, _HADAMARD)
        )
        for index in names:
            del self.printer.names[index]
        return written

    def _guarded(self, node: Node) -> tuple[str, int]:
        inside = self.within(node.args[0], _HADAMARD + (node.args[0].kind == "sum"))
        return self.printer.product.join([inside, self.printer.write(node.value)]), _HADAMARD

    def _scalar(self, node: Node) -> tuple[str, int]:
        written, strength = self.printer._write(node.value)
        return written, {SUM: SUM, PRODUCT: _HADAMARD}.get(strength, strength)

    def _add(self, node: Node) -> tuple[str, int]:
        out = ""
        sums = _alike([term for term in node.args if term.kind == "sum"])
        for term, sign in zip(node.args, node.value, strict=True):
            if any(term is other for other in sums[1:]):
                continue
            if sums and term is sums[0]:
                signs = [s for t, s in zip(node.args, node.value, strict=True) if any(t is other for other in sums)]
                written, sign = self._one_sum(sums, [s * sign for s in signs]), sign
            else:
                written = self.within(term, _HADAMARD)
            mark = " - " if sign < 0 else " + "
            out += mark + written if out else ("-" if sign < 0 else "") + written
        return out, SUM

    def _product(self, node: Node) -> tuple[str, int]:
        scalar = node.value
        # One matrix product needs no brackets among ⊙, which bind less tightly.
        nodes = [self.within(arg, _HADAMARD + (len(node.args) > 1 or scalar != 1)) for arg in node.args]
        # Norms and inner products are numbers: they multiply without ⊙.
        numbers = [text for text, arg in zip(nodes, node.args, strict=True) if arg.kind in ("norm", "inner")]
        matrices = [text for text, arg in zip(nodes, node.args, strict=True) if arg.kind not in ("norm", "inner")]
        out = self.printer.product.join([*numbers, *([self.printer.hadamard.join(matrices)] if matrices else [])])
        if scalar == -1:
            return f"-{out}", SUM
        if scalar == 1:
            return out, _HADAMARD if len(nodes) > 1 else _MATMUL
        written, strength = self.printer._write(scalar)
        written = self.printer.brackets(written) if strength == SUM else written
        return self.printer.product.join([written, out]), SUM if written.startswith("-") else _HADAMARD

    def _matmul(self, node: Node) -> tuple[str, int]:
        return self.printer.product.join(self.within(arg, _MATMUL) for arg in node.args), _MATMUL

    def _ones(self, node: Node) -> tuple[str, int]:
        return self.printer.transpose(self.printer.ones) if node.value else self.printer.ones, ATOM

    def _power(self, node: Node) -> tuple[str, int]:
        base = node.args[0]
        if node.value == sympy.Rational(1, 2):
            return self.printer.root(self.write(base)), ATOM
        return self.printer.power(self.within(base, ATOM), self.printer.write(node.value)), _POWER

    def _quotient(self, node: Node) -> tuple[str, int]:
        return self.printer.fraction(self.write(node.args[0]), self.write(node.args[1])), _MATMUL

    def _call(self, node: Node) -> tuple[str, int]:
        function = node.value
        kept = len(self.printer._arguments(function))
        if isinstance(function, held) and node.args[0].kind in ("tensor", "slice") and node.args[0].value[1]:
            inside = Node("call", (transposed(node.args[0]),), function)  # held(v)ᵀ, not held(vᵀ)
            return self.printer.transpose(self.write(inside)), ATOM
        args = [self.write(arg) for arg in node.args[:kept]]
        if isinstance(function, sympy.exp):
            return self.printer.exponential(args[0]), _POWER
        if isinstance(function, sympy.Abs):
            return self.printer.magnitude(args[0]), ATOM
        return self.printer.call(self.printer.function_name(type(function)), args), ATOM

    def _softmax(self, node: Node) -> tuple[str, int]:
        name = self.printer.operator("softmax")
        inner = self.printer.call(name, [self.write(node.args[0])])
        return (self.printer.call(self.printer.function_name(sympy.log), [inner]) if node.value else inner), ATOM

    def _onehot(self, node: Node) -> tuple[str, int]:
        labels = self._part(*node.value) if isinstance(node.value, tuple) else self.printer.symbol(node.value)
        return self.printer.call(self.printer.operator("onehot"), [labels]), ATOM

    def _condition(self, test: Any) -> str:
        operator, left, right = test
        return self.printer.relation(self.write(left), operator, self.write(right))

    def _iverson(self, node: Node) -> tuple[str, int]:
        return self.printer.iverson(self._condition(node.value)), ATOM

    def _cases(self, node: Node) -> tuple[str, int]:
        branches = [(self.write(value), None if test is None else self._condition(test)) for value, test in node.args]
        return self.printer.cases(branches), ATOM

    def _norm(self, node: Node) -> tuple[str, int]:
        return self.printer.norm(self.write(node.args[0]), node.value), ATOM

    def _inner(self, node: Node) -> tuple[str, int]:
        return self.printer.inner(self.write(node.args[0]), self.write(node.args[1])), ATOM


def _alike(sums: list[Node]) -> list[Node]:
    """Those that go over axes of the same sizes as the first, if there is more than one."""
    alike = [node for node in sums if [size for _, size in node.value] == [size for _, size in sums[0].value]]
    return alike if len(alike) > 1 else []


def matrix_latex(equation: Equation, view: View, notation: Notation, letters: Letters | None = None) -> str | None:
    """An equation in matrix form as LaTeX, or None where it has none; `view` is that of the whole derivation."""
    given = names_in(equation.body, equation.indices), letters, (), notation
    return _equation(equation, LatexPrinter(*given), view)


def matrix_text(equation: Equation, view: View, notation: Notation, letters: Letters | None = None) -> str | None:
    """An equation in matrix form as plain text, or None where it has none; `view` is that of the whole derivation."""
    given = names_in(equation.body, equation.indices), letters, (), notation
    return _equation(equation, TextPrinter(*given), view)


def _equation(equation: Equation, printer: Printer, view: View) -> str | None:
    form = view.form(equation)
    if form is None:
        return None
    if printer.notation.derivatives == "numerator":
        form = numerator(form)
    writer = MatrixWriter(printer)
    return f"{writer.write(form.left)} = {writer.write(form.right)}"
