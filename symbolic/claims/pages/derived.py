"""The derived equations that a claim is held against, in the network's notation."""

from __future__ import annotations

from sympy import Expr

from ...equations import Equation
from ...errors import GradloomError
from ...matrix_tree import Layout
from ...matrix_view import View
from ...notation import Notation
from ...report.document import Formula, Line
from ...report.writing import Writer
from ...tensors import Adjoint, elements, is_element, tensor_of
from ..meaning.values import C, R
from ..verdict import Judged, Verdict

MOST = 3  # equations that are shown


def writer_of(line: Judged, verdict: Verdict) -> Writer:
    """What writes equations as the claim does: one example per column or per row."""
    meaning = line.finding.meaning if line.finding else None
    notation = _notation_of(verdict, meaning.manner.layout if meaning else None)
    derivation = verdict.derivation
    everything = [*derivation.network.equations, *(step.equation for step in derivation.steps.values())]
    return Writer(derivation.network, notation, View(everything, notation.layout, derivation.network.batch))


def derived(line: Judged, verdict: Verdict) -> list[Line]:
    """The equations of what the claim is about: between matrices and, where that is another, entry by entry."""
    finding = line.finding
    subject = None if finding is None else finding.meaning.left if finding.meaning else finding.subject
    if subject is None:
        return []
    write = writer_of(line, verdict)
    equations = list(dict.fromkeys(_equations(subject.entry, verdict)))[:MOST]
    out: list[Line] = []
    if not is_element(subject.entry):
        out += _expression(subject.entry, write)
        if not _has_gradient(subject.entry):
            return out
    for equation in equations:
        for formula in dict.fromkeys(filter(None, (write.matrix(equation), write.index(equation)))):
            out.append(Line(formula, name=equation.target.name))
    return out


def _has_gradient(entry: Expr) -> bool:
    return any(isinstance(tensor_of(element), Adjoint) for element in elements(entry))


def _equations(entry: Expr, verdict: Verdict) -> list[Equation]:
    """Those of the tensors that `entry` reads, gradients first."""
    derivation = verdict.derivation
    tensors = list(dict.fromkeys(tensor_of(element) for element in elements(entry)))
    steps = {step.equation.target: step.equation for step in derivation.steps.values()}
    known = {equation.target: equation for equation in derivation.network.equations}
    gradients = [steps[tensor] for tensor in tensors if tensor in steps]
    return gradients or [known[tensor] for tensor in tensors if tensor in known]


def _expression(entry: Expr, write: Writer) -> list[Line]:
    """A left side that is no single tensor: what it is, entry by entry."""
    try:
        made = write.expression(entry, tuple(mark for mark in (R, C) if entry.has(mark)))
    except GradloomError:
        return []
    return [Line(Formula(f"left side = {made.text}", rf"\text{{left side}} = {made.latex}"))]


def _notation_of(verdict: Verdict, layout: Layout | None = None) -> Notation:
    """The notation of the claim, as far as it is known."""
    options = verdict.options
    return Notation(
        layout=layout or options.get("layout") or "columns",
        derivatives=options.get("derivatives") or "denominator",
        symbols=options.get("symbols") or {},
    )
