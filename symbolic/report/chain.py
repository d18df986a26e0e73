"""`Chain`: the gradient of one entry as lecturers write it, ∂L/∂w = ∂L/∂a · ∂a/∂z · ∂z/∂w, every factor named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sympy import Expr, Integer

from ..binders import rename_free
from ..equations import Equation
from ..errors import IndexingError
from ..latex import LatexPrinter
from ..notation import PLAIN, Notation
from ..printer import Printer, names_in
from ..tensors import Tensor, element_of, indices_of, shape_text, tensor_of
from ..text import TextPrinter, is_delta
from ..unrolled import Unrolled
from . import as_html, as_latex, as_markdown, as_text
from .closed import closed
from .conventions import fact_used
from .document import Document, Formula, Line, Prose
from .links import Branching, Factor, Path, Walk
from .notebook import shown
from .writing import Writer

DIRECT = Prose.plain(
    "“direct”: the derivative by way of this equation alone; the loss depends on the same value by other ways too."
)

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..network import Network


class Chain:
    """The gradient of one entry, from the loss to the entry, as products of local derivatives.

    Attributes
    ----------
    derivation : the derivation that it is of
    element : the entry, such as ``W2[0, 0]``
    branchings : the sum over paths for the entry, and for each tensor at which the paths branch again
    """

    def __init__(self, derivation: Derivation, entry: str, notation: Notation = PLAIN) -> None:
        self.derivation = derivation
        tensor, where = parse_entry(derivation.network, entry)
        self._walk = Walk(derivation.network)
        self.branchings = self._walk.all_from(tensor, where)
        self.element = self.branchings[0].element
        self._tensor, self._where = tensor, where
        self.notation = notation

    @property
    def factors(self) -> list[Factor]:
        """The local derivatives, each once, in the order in which they are met; those of any entry say those of one."""
        found = [factor for b in self.branchings for path in b.paths for factor in path.factors]
        known = list({(factor.of, factor.by): factor for factor in found}.values())
        return [factor for factor in known if not any(_says(other, factor) for other in known)]

    @property
    def expression(self) -> Expr:
        """The gradient in forward values alone, all factors put in.

        Raises
        ------
        UnsupportedError
            If the chain goes on from step to step of a recurrence.
        """
        return closed(self.branchings, self._walk)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The products, then their factors."""
        return (*self._products(), *self._formulas())

    def document(self) -> Document:
        """The chain, its factors, and what the derivation makes of them."""
        document = Document(f"Chain of {TextPrinter().write(self.element)}")
        document.add("Chain", self._products())
        direct = [DIRECT] if any(factor.direct for factor in self.factors) else []
        document.add("Factors", [*self._formulas(), *direct])
        document.add("Together", self._together())
        return document

    def text(self) -> str:
        """The chain as plain text."""
        return as_text.text(self.document())

    def latex(self, *, standalone: bool = False) -> str:
        """The chain as LaTeX for amsmath: a fragment to ``\\input``, or a whole document."""
        return as_latex.latex(self.document(), standalone=standalone)

    def markdown(self) -> str:
        """The chain as Markdown with ``$$`` formulas."""
        return as_markdown.markdown(self.document())

    def html(self, *, standalone: bool = True) -> str:
        """The chain as HTML with MathML: a whole page, or a part of one.

        Raises
        ------
        MissingExtraError
            Without latex2mathml: ``pip install "gradloom[pages]"``.
        """
        return as_html.html(self.document(), standalone=standalone)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str | None:
        return shown(self.document())

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_latex_(self) -> str:
        rows = [line.formula.latex.replace(" = ", " &= ", 1) for line in self.lines]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    # ---- inside ----------------------------------------------------------------------------------------------

    def _products(self) -> list[Line]:
        marks = [Marks(kind, self.notation) for kind in (TextPrinter, LatexPrinter)]
        return [Line(Formula(*(mark.sum_of_products(b) for mark in marks))) for b in self.branchings]

    def _formulas(self) -> list[Line]:
        marks = [Marks(kind, self.notation) for kind in (TextPrinter, LatexPrinter)]
        out = []
        for factor in self.factors:
            notes = tuple(fact_used(fact, self.derivation.network, self.notation) for fact in factor.facts)
            out.append(Line(Formula(*(mark.definition(factor) for mark in marks)), notes))
        return out

    def _together(self) -> list[Line]:
        """What the derivation has for the entry, and the gradients that this reads."""
        name = self._tensor.name
        derivation = self.derivation
        if name not in derivation.steps:
            derivation = derivation.network.derive([name])
        write = Writer(derivation.network, self.notation)
        whole = derivation[name]
        entry = Equation(whole.target, (), whole.at(self._where))
        left, right = write.expression(element_of(whole.target, self._where)), write.expression(entry.body)
        out = [Line(Formula(f"{left.text} = {right.text}", f"{left.latex} = {right.latex}"))]
        wanted, waiting = [], [tensor for tensor in entry.reads if tensor.role == "adjoint"]
        by_target = {step.equation.target: step.equation for step in derivation.steps.values()}
        while waiting:
            target = waiting.pop(0)
            if target not in wanted:
                wanted.append(target)
                waiting += [tensor for tensor in by_target[target].reads if tensor.role == "adjoint"]
        return out + [Line(self._with_delta(by_target[target], write)) for target in wanted]

    def _with_delta(self, equation: Equation, write: Writer) -> Formula:
        """An equation, beside a δ what it is: δ2[i, j] = ∂L/∂z2[i, j] = …."""
        formula = write.equation(equation)
        if not is_delta(equation.target, self.notation):
            return formula
        plain = Writer(write.network, replace(self.notation, deltas=False)).expression(equation.lhs)
        return Formula(
            formula.text.replace(" = ", f" = {plain.text} = ", 1),
            formula.latex.replace(" = ", f" = {plain.latex} = ", 1),
        )


def _says(general: Factor, other: Factor) -> bool:
    """Whether `general`, with the positions of `other` in the place of its letters, is `other`."""
    places = list(zip(indices_of(general.by), indices_of(other.by), strict=False))
    fixed = {a: b for a, b in places if not isinstance(a, Integer) and isinstance(b, Integer)}
    if general is other or not fixed or tensor_of(general.by) != tensor_of(other.by):
        return False
    same = all(rename_free(g, fixed) == o for g, o in ((general.by, other.by), (general.of, other.of)))
    return same and rename_free(general.formula, fixed) == other.formula


class Marks:
    """Products of local derivatives in one medium; always ∂L/∂z, for δ would hide the factor."""

    def __init__(self, kind: type[Printer], notation: Notation) -> None:
        self.kind, self.notation = kind, replace(notation, deltas=False)
        self.times = r" \cdot " if kind is LatexPrinter else " · "

    def write(self, expr: Any) -> str:
        return self.printer(expr).write(expr)

    def printer(self, expr: Any) -> Printer:
        return self.kind(names_in(expr), None, (), self.notation)

    def name(self, factor: Factor) -> str:
        """∂of/∂by."""
        name = self.kind(notation=self.notation).derivative(self.write(factor.of), self.write(factor.by))
        if not factor.direct:
            return name
        # The loss reads it itself, and depends on it through others too.
        latex = self.kind is LatexPrinter
        return rf"\left.{name}\right|_{{\text{{direct}}}}" if latex else f"{name}|direct"

    def definition(self, factor: Factor) -> str:
        return f"{self.name(factor)} = {self.write(factor.formula)}"

    def product(self, path: Path) -> str:
        """``Σ_i [guard] ∂L/∂a · ∂a/∂z · ∂z/∂w``."""
        names = [] if path.rest is None else [self.write(path.rest)]
        written = self.times.join([*names, *map(self.name, path.factors)])
        printer = self.printer(path.product)
        if path.guard != 1:
            written = f"{printer.write(path.guard)} {written}"
        letters = [printer.letter(index.name) for index, _ in path.summed]
        return printer.binder("sum", letters, written) if letters else written

    def sum_of_products(self, branching: Branching) -> str:
        return f"{self.write(branching.adjoint)} = {' + '.join(map(self.product, branching.paths))}"


def parse_entry(network: Network, entry: Any) -> tuple[Tensor, tuple[Integer, ...]]:
    """The tensor and position that a text such as ``W2[0, 1]`` names.

    Raises
    ------
    IndexingError
        If the text is none of one entry, or the position is outside of the tensor.
    UndefinedError
        If there is no such tensor.
    """
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(?:\[([^\[\]]*)\])?\s*", entry) if isinstance(entry, str) else None
    if match is None:
        raise IndexingError(f"{entry!r} names no entry; expected a tensor and whole numbers, such as 'W2[0, 1]'")
    name, inside = match[1], match[2]
    parts = [] if inside is None else [part.strip() for part in inside.split(",")]
    wrong = next((part for part in parts if not part.isdecimal()), None)
    if wrong is not None:
        raise IndexingError(f"{entry!r}: a position is a whole number, counted from 0, found {wrong!r}")
    position = tuple(int(part) for part in parts)
    if isinstance(network, Unrolled) and name in network.entries:
        shown = {getattr(scalar, "shown", p): scalar for p, scalar in network.entries[name].items()}
        if position in shown:
            return shown[position], ()
    if isinstance(network, Unrolled) and (name in network.entries or name not in network.tensors):
        declared, where = parse_entry(network.origin, entry)
        return network.entry(declared.name, tuple(map(int, where))), ()
    tensor = network._known(name)
    if len(position) != tensor.rank:
        example = f"{name}[{', '.join('0' * tensor.rank)}]" if tensor.rank else name
        raise IndexingError(
            f"{entry!r}: {name} has {tensor.rank} axes {shape_text(tensor.shape)}; expected e.g. {example!r}"
        )
    for axis, (place, size) in enumerate(zip(position, tensor.shape, strict=True)):
        if isinstance(size, Integer) and place >= size:
            raise IndexingError(f"{entry!r}: axis {axis} of {name} {shape_text(tensor.shape)} ends at {size - 1}")
    return tensor, tuple(map(Integer, position))
