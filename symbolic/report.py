"""A derivation as a page: forward equations, deltas, gradients, and what was assumed; LaTeX, text or Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sympy

from .binders import ArgMax, Max
from .equations import Equation
from .errors import UnsupportedError
from .functions import Elementwise
from .latex import LatexPrinter, equation_latex, tensor_latex
from .latex_lines import WIDTH, broken, printed_width
from .matrix_view import View
from .matrix_write import matrix_latex, matrix_text
from .printer import Letters, names_in
from .tensors import elements, shape_text
from .text import TextPrinter, equation_text

if TYPE_CHECKING:
    from .derivation import Derivation
    from .facts import Fact
    from .modes import Mark
    from .network import Network

Form = Literal["matrix", "index"]
_LINE = " \\\\\n &\\quad "  # goes on in the next line of an align environment
_LAYOUTS = {
    "columns": "Matrices with a batch axis hold one example per column; a vector beside one is repeated to its size.",
    "rows": "Matrices with a batch axis hold one example per row; a vector beside one is repeated to its size.",
}
_POSITIONS = {
    False: "Below a tensor stands a position along the axis of this letter; what is shown is the matrix there.",
    True: "Below a tensor stands a position along the axis of this letter, the batch among them; what is shown "
    "is the matrix there, of one example, its first axis down.",
}


@dataclass(frozen=True)
class Line:
    """One equation of a page, in both media, and what is said about it."""

    text: str
    latex: str
    notes: tuple[tuple[str, str], ...] = ()  # the facts used, likewise
    steps: tuple[tuple[str, str], ...] = ()  # text and LaTeX of what stood before compaction
    prose: str = ""  # a sentence with formulas in $…$, where the line is no equation


class Printable:
    """What a `Derivation` offers for printing."""

    def text(self, form: Form = "matrix", *, steps: bool = False, layout: Any = "columns") -> str:
        """The derivation as plain text.

        Parameters
        ----------
        form : "matrix" (index form where an equation has no matrix form) or "index"
        steps : also show each adjoint as the chain rule gives it, before it is compacted
        layout : "columns" (one example per column) or "rows"
        """
        out = []
        for title, lines in _page(self, form, steps, layout):
            out.append(title)
            for line in lines:
                out.append(f"  {line.text}" + "".join(f"    ({text})" for text, _ in line.notes))
                out += [f"      = {text}" for text, _ in line.steps]
            out.append("")
        return "\n".join(out)

    def latex(
        self, form: Form = "matrix", *, steps: bool = False, layout: Any = "columns", standalone: bool = False
    ) -> str:
        """The derivation as LaTeX for amsmath: a fragment to ``\\input``, or a whole document; see `text`."""
        out = []
        for title, lines in _page(self, form, steps, layout):
            out.append(rf"\paragraph{{{title}}}")
            equations = [line for line in lines if line.latex]
            if equations:
                rows = [_latex_row(line) for line in equations]
                out += [r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"]
            out += [rf"{line.prose}\par" for line in lines if line.prose]
        body = "\n".join(out) + "\n"
        return _DOCUMENT.format(body=body) if standalone else body

    def markdown(self, form: Form = "matrix", *, steps: bool = False, layout: Any = "columns") -> str:
        """The derivation as Markdown with ``$$`` formulas, for notebooks and sites; see `text`."""
        out = []
        for title, lines in _page(self, form, steps, layout):
            out += [f"### {title}", ""]
            for line in lines:
                if line.prose:
                    out += [f"- {line.prose}"]
                    continue
                out += [f"$$ {line.latex} $$", ""]
                out += [text for _, latex in line.steps for text in (f"$$ = {latex} $$", "")]
                out += [part for _, latex in line.notes for part in (f"({latex})", "")]
            out.append("")
        return "\n".join(out)

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()


_DOCUMENT = r"""\documentclass{{article}}
\usepackage{{amsmath,amssymb}}
\begin{{document}}
{body}\end{{document}}
"""


def _latex_row(line: Line) -> str:
    """One row of an align environment, and more where the formula is too wide for one."""
    left, _, right = line.latex.partition(" = ")
    parts = broken(right, WIDTH - printed_width(left))
    row = f"{left} &= " + _LINE.join(map(str.strip, parts))
    for _, before in line.steps:
        row += " \\\\\n &= " + _LINE.join(map(str.strip, broken(before)))
    notes = [rf"\text{{({latex})}}" for _, latex in line.notes]
    wide = len(parts) > 1 or printed_width(parts[0]) > WIDTH // 2
    return row + "".join(_LINE + note if wide else f" && {note}" for note in notes)


def _page(derivation: Any, form: str, steps: bool, layout: str) -> list[tuple[str, list[Line]]]:
    """The sections of the page: title and lines."""
    if form not in ("matrix", "index"):
        raise UnsupportedError(f"form {form!r}: expected 'matrix' or 'index'")
    if layout not in _LAYOUTS:
        raise UnsupportedError(f"layout {layout!r}: expected 'columns' or 'rows'")
    network: Network = derivation.network
    write, view = _writer(derivation, form, layout)
    by_target = {step.equation.target: step for step in derivation.steps.values()}
    deltas: list[Line] = []
    gradients: list[Line] = []
    for equation in derivation.adjoints:
        step = by_target[equation.target]
        notes = tuple(_fact(fact, network) for fact in step.facts)
        before = (_raw(step.raw, _sum_letters(network)),) if steps and step.raw.body != equation.body else ()
        line = Line(*write(equation), notes, before)
        (gradients if equation in derivation.gradients.values() else deltas).append(line)
    sections = [
        ("Network", [_marked(mark, *write(equation)) for mark, equation in network.written()]),
        ("Backward", deltas),
        ("Gradients", gradients),
        ("Conventions", [Line(text, "", prose=prose) for text, prose in _conventions(derivation, view, layout)]),
    ]
    return [(title, lines) for title, lines in sections if lines]


def _marked(mark: Mark, text: str, latex: str) -> Line:
    return Line(mark.text + text, latex + mark.latex)


def _writer(derivation: Any, form: str, layout: Any) -> tuple[Callable[[Equation], tuple[str, str]], View | None]:
    network: Network = derivation.network
    letters = _sum_letters(network)
    view = None
    if form == "matrix":
        view = View([*network.equations, *derivation.adjoints], layout, network.batch)

    def write(equation: Equation) -> tuple[str, str]:
        if view is not None:
            text = matrix_text(equation, layout, network.batch, view=view, letters=letters)
            latex = matrix_latex(equation, layout, network.batch, view=view, letters=letters)
            if text is not None and latex is not None:
                return text, latex
        return equation_text(equation, letters), equation_latex(equation, letters=letters)

    return write, view


def _sum_letters(network: Network) -> Letters | None:
    """The letters of sums: with more than two axes, those of the declaration tell which axis is meant."""
    return network.letters_of if any(tensor.rank > 2 for tensor in network.tensors.values()) else None


def _raw(equation: Equation, letters: Letters | None) -> tuple[str, str]:
    given = names_in(equation.body, equation.indices), letters, equation.indices
    return TextPrinter(*given).write(equation.body), LatexPrinter(*given).write(equation.body)


def _fact(fact: Fact, network: Network) -> tuple[str, str]:
    total, value = fact.statement(network.home(fact.tensor))
    text, latex = (printer(names_in(total)).write(total) for printer in (TextPrinter, LatexPrinter))
    return f"using {text} = {value}, {fact.source}", f"using ${latex} = {value}$, {fact.source}"


def _conventions(derivation: Derivation, view: View | None, layout: str) -> list[tuple[str, str]]:
    """What the reader must know, as text and as prose with formulas: layout, shapes, the derivative at each kink."""
    network = derivation.network
    out = []
    if view is not None and network.batch is not None:
        out.append((_LAYOUTS[layout], _LAYOUTS[layout]))
    if view is not None and any(map(view.positions, (*network.equations, *derivation.adjoints))):
        out.append((_POSITIONS[view.example],) * 2)
    shaped = [tensor for tensor in network.tensors.values() if tensor.rank]
    if shaped:
        text, prose = (
            ", ".join(f"{write(tensor)} {shape_text(tensor.shape)}" for tensor in shaped)
            for write in (str, lambda tensor: f"${tensor_latex(tensor)}$")
        )
        out.append((f"Shapes, as stored: {text}.", f"Shapes, as stored: {prose}."))
    return out + list(_kinks(network))


def _kinks(network: Network) -> dict[tuple[str, str], None]:
    """The subgradient conventions that the equations of `network` call on, each said once."""
    said: dict[tuple[str, str], None] = {}
    for equation in network.equations:
        for node in sympy.preorder_traversal(equation.body):
            if isinstance(node, Elementwise):
                said.update(dict.fromkeys(_kinks_of(node)))
            elif isinstance(node, Max | ArgMax):
                said.setdefault(("The gradient of a maximum goes to the first entry that reaches it.",) * 2)
            elif isinstance(node, sympy.Abs):
                said.setdefault(
                    ("The derivative of |u| at 0 is taken as 0.", "The derivative of $|u|$ at 0 is taken as 0.")
                )
            elif isinstance(node, sympy.floor | sympy.ceiling | sympy.sign) and elements(node):
                said.setdefault(("The derivative of a step (floor, ceiling, sign) is taken as 0 everywhere.",) * 2)
            elif isinstance(node, sympy.Piecewise):
                said.setdefault(("At the border of a case, the derivative is that of the case that holds there.",) * 2)
    return said


def _kinks_of(node: Elementwise) -> list[tuple[str, str]]:
    """Whether the derivative of a named function jumps where its argument is 0, and its value there."""
    function = type(node)
    z = sympy.Dummy("z", real=True)
    definition = function.definition(z, *node.args[1:])
    if not definition.has(sympy.Piecewise, sympy.Abs):
        return []
    slope = sympy.diff(definition, z)
    left, at, right = (slope.subs(z, value) for value in (sympy.Rational(-1, 10**9), 0, sympy.Rational(1, 10**9)))
    if not all(value.is_number for value in (left, at, right)) or abs(sympy.N(left - right)) < 1e-6:
        return []
    symbol = LatexPrinter().function_name(function)
    return [(f"{function.__name__}′(0) = {at}.", f"${symbol}'(0) = {sympy.latex(at)}$.")]
