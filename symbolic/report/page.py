"""A derivation as a document: legend, forward equations, deltas, gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..equations import Equation
from ..errors import UnsupportedError
from ..matrix_view import View
from ..modes import Mark
from ..notation import Notation
from .conventions import conventions, fact_used
from .document import Document, Formula, Line
from .stages import Stages
from .writing import Writer

if TYPE_CHECKING:
    from ..derivation import Derivation, Step

Form = Literal["matrix", "index"]


def page(derivation: Derivation, form: str, notation: Notation, *, steps: bool = False) -> Document:
    """The document of `derivation`, its equations in `form`, "matrix" or "index"; with `steps`, how each came about."""
    if form not in ("matrix", "index"):
        raise UnsupportedError(f"form {form!r}: expected 'matrix' or 'index'")
    network = derivation.network
    view = None
    if form == "matrix":
        view = View([*network.equations, *derivation.adjoints], notation.layout, network.batch)
    write = Writer(network, notation, view)
    document = Document(network.name)
    document.add("Conventions", conventions(derivation, view, notation))
    document.add("Network", [_forward(mark, equation, write) for mark, equation in network.written()])
    wanted = {equation.target for equation in derivation.gradients.values()}
    by_target = {step.equation.target: step for step in derivation.steps.values()}
    stages = Stages(derivation, write) if steps else None
    lines = [(equation, _adjoint(by_target[equation.target], write, stages)) for equation in derivation.adjoints]
    document.add("Backward", [line for equation, line in lines if equation.target not in wanted])
    document.add("Gradients", [line for equation, line in lines if equation.target in wanted])
    return document


def _forward(mark: Mark, equation: Equation, write: Writer) -> Line:
    formula = write.equation(equation)
    return Line(Formula(mark.text + formula.text, formula.latex + mark.latex), name=equation.target.name)


def _adjoint(step: Step, write: Writer, stages: Stages | None) -> Line:
    notes = tuple(fact_used(fact, write.network, write.notation) for fact in step.facts)
    return Line(write.equation(step.equation), notes, stages.of(step) if stages else (), step.tensor.name)
