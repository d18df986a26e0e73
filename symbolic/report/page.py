"""A derivation as a document: legend, forward equations, deltas, gradients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..equations import Equation
from ..errors import UndefinedError, UnsupportedError
from ..matrix_view import View
from ..notation import PLAIN, Notation
from .conventions import conventions, fact_used
from .document import Document, Formula, Line, Prose, Stage
from .repeats import Folding, Item, Repeated
from .stages import Stages
from .writing import Writer

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..network import Network

Form = Literal["matrix", "index"]


def page(derivation: Derivation, form: str, notation: Notation, *, steps: bool = False, fold: bool = True) -> Document:
    """The document of `derivation`, its equations in `form`, "matrix" or "index".

    With `steps` it tells how each adjoint came about; with `fold` layers that are alike are written once.
    """
    if form not in ("matrix", "index"):
        raise UnsupportedError(f"form {form!r}: expected 'matrix' or 'index'")
    network = derivation.network
    check_symbols(derivation, notation)
    everything = [*network.equations, *derivation.adjoints]
    view = View(everything, notation.layout, network.batch) if form == "matrix" else None
    write = Writer(network, notation, view)
    folding = Folding.of(network, notation.symbols, fold)
    document = Document(network.name)
    document.add("Conventions", conventions(derivation, view, notation, folding))
    document.add("Network", forward(network, write, folding))
    wanted = {equation.target for equation in derivation.gradients.values()}
    adjoints = _Adjoints(derivation, write, folding, steps)
    document.add("Backward", adjoints.lines(e for e in derivation.adjoints if e.target not in wanted))
    document.add("Gradients", adjoints.lines(e for e in derivation.adjoints if e.target in wanted))
    return document


def check_symbols(derivation: Derivation, notation: Notation) -> None:
    """
    Raises
    ------
    UndefinedError
        If `notation` has a symbol for what is no tensor of the network, and no gradient (``d_W1``).
    """
    known = [*derivation.network.tensors, *(step.equation.target.name for step in derivation.steps.values())]
    for name in notation.symbols:
        if name not in known:
            raise UndefinedError(f"symbols: there is no tensor {name!r}; there are {', '.join(known)}")


def forward(network: Network, write: Writer, folding: Folding) -> list[Line]:
    """The equations of `network`."""
    out = []
    for item, run in folding(Item(equation, mark=mark) for mark, equation in network.written()):
        formula, mark = write.equation(item.equation), item.mark
        formula = Formula(mark.text + formula.text, formula.latex + mark.latex)
        target = item.equation.target
        out.append(Line(_of_run(formula, run), name=(run.first(target) if run else target).name))
    return out


def declared(network: Network) -> list[Line]:
    """The equations of `network` in index form, in the notation that nobody chose."""
    return forward(network, Writer(network, PLAIN), Folding.of(network))


class _Adjoints:
    """The lines of adjoints."""

    def __init__(self, derivation: Derivation, write: Writer, folding: Folding, steps: bool) -> None:
        self.write, self.folding = write, folding
        self.steps = {step.equation.target: step for step in derivation.steps.values()}
        self.stages = Stages(derivation, write) if steps else None

    def lines(self, equations: Iterable[Equation]) -> list[Line]:
        items = []
        for equation in equations:
            facts = self.steps[equation.target].facts
            beside = tuple(fact.statement(self.write.network.home(fact.tensor))[0] for fact in facts)
            items.append(Item(equation, beside, tuple((fact.axis, fact.value, fact.source) for fact in facts)))
        return [self._line(item, run) for item, run in self.folding(items)]

    def _line(self, item: Item, run: Repeated | None) -> Line:
        target = item.equation.target
        step = self.steps[run.first(target) if run else target]
        facts = step.facts if run is None else [replace(fact, tensor=run.of(fact.tensor)) for fact in step.facts]
        notes = tuple(fact_used(fact, self.write.network, self.write.notation) for fact in facts)
        stages = self.stages.of(step) if self.stages else ()
        if stages and run:
            shown = f"{run.letter} = {run.values[0]}"
            stages = (Stage(Prose(f"for instance where {shown}", f"for instance where ${shown}$")), *stages)
        return Line(_of_run(self.write.equation(item.equation), run), notes, stages, step.tensor.name)


def _of_run(formula: Formula, run: Repeated | None) -> Formula:
    """A formula and the layers that it holds for."""
    if run is None:
        return formula
    text, latex = run.numbers  # in braces, so that no line is broken inside
    return Formula(f"{formula.text}    for {text}", rf"{formula.latex} \quad \text{{for }} {{{latex}}}")
