"""Claims in Python: a function over NumPy arrays, a whole ``backward``, or a file of them.

A function's name says what it returns (``dW2``, ``delta1``, ``a1``), its parameters say what it is given; see
`python_names`. A ``backward`` returns a dict of arrays by name, or ``return dx, dw, db``.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...derivation import Derivation
from ...errors import GradloomError
from ...tensors import Adjoint, Tensor
from ..deciding.decide import _WHOLE_ROWS, decide, judge_of
from ..deciding.draw import Style
from ..deciding.question import EQUAL, NOT_EQUAL, ROUNDED, UNDECIDED, Decision, Question
from ..deciding.survey import Judge, Place, Survey
from ..judge import Finding, Meaning
from ..meaning.reading import Manner
from ..meaning.values import C, R, Value
from ..verdict import Judged, Verdict
from .python_judge import NEAR, SAME, Compared, Runs, choose, places_for, question_of, where_text
from .python_layout import ArrayLayout
from .python_names import Names
from .python_source import UserCodeError, UserFunction, run_file

_EXACT = 1e-12  # beyond this relative error, constants may be rounded
_SHAPES = "it has the shape"
_WHOLE = re.compile(r"back_?(ward|prop)|gradients|grads", re.IGNORECASE)
_LIKE_A_CLAIM = re.compile(r"d_?[A-Za-z]\d*$|d_\w+$|(grad|nabla)_\w+$|delta_?\w*$")


def check_python(derivation: Derivation, claim: Any, *, single: bool = False, explain: bool = True) -> Verdict:
    """Judge a Python function, or all claims in a file.

    Parameters
    ----------
    derivation : of everything, see `everything`
    claim : a function, or a `Path` of a .py file
    single : whether it is about one example alone
    explain : whether to look for a counterexample and the likely mistake where a line is wrong

    Raises
    ------
    UnknownNameError
        If it is not known what a function is given or returns; in a file, such a line is "unread".
    UserCodeError
        If a file cannot be run; a function that raises an error is "unread".
    DataError
        If there is no such file.
    """
    names = Names(derivation)
    options = {"single": single}
    if isinstance(claim, Path):
        lines = _of_file(claim, names, single, explain)
        return Verdict(derivation, lines, title=f"Verdict on {claim.name}", options=options)
    function = UserFunction(claim, getattr(claim, "__name__", type(claim).__name__))
    return Verdict(derivation, judged(function, names, single, explain), options=options)


def _of_file(path: Path, names: Names, single: bool, explain: bool) -> list[Judged]:
    module = run_file(path)
    found: list[Judged] = []
    helpers: list[str] = []
    for name, value in list(vars(module).items()):
        if name.startswith("_") or not inspect.isfunction(value) or value.__code__.co_filename != str(path):
            continue
        function = UserFunction(value, name)
        try:
            tensor = names.output(name)
            if tensor is None and _WHOLE.search(name) is None:
                if _LIKE_A_CLAIM.match(name):
                    error = f"not judged: {name} is no name of {names.network.name}; there are {names.known()}"
                    found.append(Judged(f"def {function.signature()}: …", function.line, "unread", error=error))
                else:
                    helpers.append(name)
                continue
            found += [replace(line, number=function.line) for line in judged(function, names, single, explain)]
        except GradloomError as error:
            if tensor is not None and not isinstance(tensor, Adjoint):  # sigmoid(z), cost(AL, Y): a helper's name
                helpers.append(name)
                continue
            found.append(Judged(f"def {function.signature()}: …", function.line, "unread", error=str(error)))
    if not found:
        raise UserCodeError(
            f"{path} claims nothing: it has no function named for a gradient, such as dW1, or backward; there are "
            f"{names.known()}" + (f"; not taken for claims: {', '.join(helpers)}" if helpers else "")
        )
    return found


@dataclass(frozen=True)
class _Task:
    """What all results of one function are judged with."""

    runs: Runs
    single: bool
    layout: ArrayLayout
    rows: int | None
    notes: tuple[str, ...]

    def meaning(self, tensor: Tensor, label: str, question: Question) -> Meaning:
        """What was compared, for pages: the derived tensor on both sides, and what the function was given."""
        names, layout = self.runs.names, self.layout
        places: Any = question.indices
        if tensor.rank == 2:
            turned = layout.change(tensor, names.network) == "columns"
            places = tuple(zip((C, R) if turned else (R, C), tensor.shape, strict=True))
        elif tensor.rank == 1:
            places = ((R, tensor.shape[0]),)
        read = tuple(self.runs.at(Place(0, Style(), self.rows), layout).read)
        single = names.network.batch is not None and self.rows == 1
        asked = CodeQuestion(question.derivation, question.left, question.right, places, False, single, read)
        manner = Manner("columns" if layout.columns else "rows", (), single)
        return Meaning(Value(question.left), Value(question.right), manner, self.notes, asked)


@dataclass(frozen=True, eq=False)
class CodeQuestion(Question):
    """A question whose right side is a function of `given` tensors."""

    given: tuple[Tensor, ...] = ()

    @cached_property
    def reads(self) -> list[Tensor]:
        return list(dict.fromkeys([*super().reads, *self.given]))


def judged(function: UserFunction, names: Names, single: bool, explain: bool) -> list[Judged]:
    """A line for each result of a function, in the order in which it returns them.

    Raises
    ------
    UnknownNameError
        If it is not known what it is given or returns.
    """
    runs = Runs(function, names, judge_of(names.derivation))
    rows = 1 if single and names.network.batch is not None else None
    layout, failed = choose(runs, rows)
    if layout is None and rows is None and names.network.batch is not None and isinstance(failed, UserCodeError):
        alone, _ = choose(runs, 1)
        if alone is not None:
            layout, rows, failed = alone, 1, None
    if layout is None:
        if isinstance(failed, UserCodeError):
            return [Judged(f"def {function.signature()}: …", 1, "unread", error=str(failed))]
        raise failed or UserCodeError(f"{function.signature()}: no random point was found to call it at")
    first = Place(0, Style(), rows)
    called = runs.at(first, layout)
    if runs.is_fickle(first, layout):
        error = f"{function.signature()} returns something else each time that it is called with the same arguments"
        return [Judged(f"def {function.signature()}: …", 1, "unread", error=error)]
    notes = [*called.notes, *([layout.words()] if _uses(layout, called.read, names) else [])]
    if called.changed:
        notes.append(f"it changes {', '.join(dict.fromkeys(called.changed))} in place")
    task = _Task(runs, single, layout, rows, tuple(notes))
    many = len(called.results) > 1 or called.results[0].label != function.name
    found: list[Judged] = []
    for number, result in enumerate(called.results, start=1):
        written = f"{function.signature()}: {result.label}" if many else f"def {function.signature()}: …"
        if result.tensor is None:
            found.append(Judged(written, number, "unread", error=result.problem))
            continue
        found.append(Judged(written, number, *_judge(task, result.label, result.tensor)))
    if explain:
        from .python_explain import explained

        found = explained(runs, layout, [r.label for r in called.results], [r.tensor for r in called.results], found)
    return found


def _uses(layout: ArrayLayout, read: dict[Tensor, Any], names: Names) -> bool:
    return any(layout.change(tensor, names.network) for tensor in read) and bool(layout.words())


def _judge(task: _Task, label: str, tensor: Tensor) -> tuple[str, Finding]:
    """The kind of one result and how it was found."""
    runs, names = task.runs, task.runs.names
    if tensor.classes is not None or (isinstance(tensor, Adjoint) and tensor.of.classes is not None):
        return UNDECIDED, _finding(UNDECIDED, "", note=f"{label}: class labels have no gradient")
    question = question_of(runs.judge, names, tensor, task.single)
    decision = _decided(task, label, question, task.rows)
    kind = decision.kind
    if task.rows == 1 and not task.single and kind == EQUAL:
        kind = "batch 1"
    if kind == NOT_EQUAL and task.rows is None and names.network.batch is not None:
        kind, decision = _for_one(task, label, question, decision)
    if kind == NOT_EQUAL:
        kind, decision = _for_one_hot(task, label, question, decision)
    if kind in (EQUAL, "batch 1") and not decision.facts:
        decision = replace(decision, facts=_needed(task, label, question))
    if kind == EQUAL and decision.facts:
        kind = "equal given"
    meaning = task.meaning(tensor, label, question)
    reason = decision.note if kind == NOT_EQUAL and decision.note.startswith(_SHAPES) else ""
    return kind, Finding(kind, decision, meaning, reason)


def _finding(kind: str, method: str, note: str = "") -> Finding:
    return Finding(kind, Decision(kind, method, note=note))


def _decided(task: _Task, label: str, question: Question, rows: int | None) -> Decision:
    """Equal, layout, rounded, not equal or undecided, with `rows` in the batch."""
    survey, places = places_for(task.runs.judge, question, rows)
    if not places:
        return Decision(UNDECIDED, "", note=survey.problem or "only points at a kink were found")
    found = [task.runs.compare(label, place, task.layout) for place in places]
    if any(_is_own(task, question, place) for place in places):
        return Decision(UNDECIDED, "", note=f"it returns {label}, which it is given")
    return _from_compared(task, label, question, survey, places, found)


def _from_compared(
    task: _Task, label: str, question: Question, survey: Survey, places: list[Place], found: list[Compared]
) -> Decision:
    reason = next((one.reason for one in found if one.reason), "")
    worst = max((one.error for one in found), default=np.inf)
    method = where_text(task.runs, places, worst) if np.isfinite(worst) else "at a random point"
    notes = next((one.note for one in found if one.note), "")
    if reason:
        return Decision(NOT_EQUAL, method, note=reason)
    if all(one.turned and one.error <= one.tolerance for one in found):
        return Decision("layout", method, note=notes)
    if all(one.equal for one in found):
        doubt = _doubt(question, survey)
        digits = _digits(task, label, places, found) if worst > _EXACT and not doubt else None
        if digits is not None:
            return Decision(ROUNDED, method, digits=digits, note=notes)
        return Decision(UNDECIDED if doubt else EQUAL, method, note=doubt or notes)
    if any(one.turned and one.claimed.shape[0] != one.claimed.shape[1] for one in found):
        shapes = found[0].claimed.T.shape, found[0].correct.shape
        return Decision(NOT_EQUAL, method, note=f"it has the shape {shapes[0]}, the correct one {shapes[1]}")
    if worst < NEAR:
        digits = _digits(task, label, places, found)
        if digits is not None:
            return Decision(ROUNDED, method, digits=digits, note=notes)
        about = int(-np.log10(worst))
        return Decision(UNDECIDED, method, note=f"they agree to about {about} digits, which is neither")
    return Decision(NOT_EQUAL, method, note=notes)


def _digits(task: _Task, label: str, places: list[Place], found: list[Compared]) -> int | None:
    """How many digits agree, if constants in the code are rounded."""
    from .python_rounding import agreeing_digits

    plain = all(one.fits and one.tolerance == SAME for one in found)
    return agreeing_digits(task.runs, label, places, task.layout) if plain else None


def _doubt(question: Question, survey: Survey) -> str:
    """Why an equality of numbers may hide a difference; "" if it does not."""
    if survey.zero and decide(replace(question, right=0 * question.left)).kind != EQUAL:
        return "it is 0 at every point that was tried, so that numbers say nothing"
    if survey.uncovered:
        where = ", ".join(dict.fromkeys(str(key[0]) for key in survey.uncovered))
        return f"at all points a condition in {where} came out the same, so that one of its branches was never taken"
    return ""


def _is_own(task: _Task, question: Question, place: Place) -> bool:
    """Whether the function was given what it is to find."""
    return any(tensor in task.runs.at(place, task.layout).read for tensor in question.reads)


def _for_one(task: _Task, label: str, question: Question, decision: Decision) -> tuple[str, Decision]:
    """Whether what is wrong is right for one example alone."""
    try:
        alone = _decided(task, label, question, 1)
    except GradloomError:
        return decision.kind, decision
    return ("batch 1", alone) if alone.kind == EQUAL else (decision.kind, decision)


def _for_one_hot(task: _Task, label: str, question: Question, decision: Decision) -> tuple[str, Decision]:
    """Whether what is wrong is right where the rows of a one-hot target are 0 but for one 1."""
    hot = tuple(fact for fact in task.runs.names.network.facts if fact.source == "declared: one-hot")
    if not hot:
        return decision.kind, decision
    try:
        survey, places = places_for(task.runs.judge, question, task.rows, _WHOLE_ROWS)
        found = [task.runs.compare(label, place, task.layout) for place in places]
    except GradloomError:
        return decision.kind, decision
    if len(places) < 3 or not all(one.equal for one in found) or _doubt(question, survey):
        return decision.kind, decision
    method = where_text(task.runs, places, max(one.error for one in found))
    return EQUAL, Decision(EQUAL, method, hot, note="equal where every row of it is 0 but for one 1")


def _needed(task: _Task, label: str, question: Question) -> tuple[Any, ...]:
    """The declared facts without which it is not equal."""
    network = task.runs.names.network
    # A fact may have taken a tensor out of a gradient altogether.
    derived = any(isinstance(tensor, Adjoint) for tensor in question.needs)
    declared = [fact for fact in network.facts if derived or fact.tensor in question.needs]
    if not declared or _holds_without(task, label, question, declared):
        return ()
    return tuple(f for f in declared if not _holds_without(task, label, question, [f])) or tuple(declared)


def _holds_without(task: _Task, label: str, question: Question, facts: list[Any]) -> bool:
    other: Judge = task.runs.judge.without(facts)
    runs = Runs(task.runs.function, Names(other.derivation), other)
    try:
        _, places = places_for(other, question.of(other.derivation), task.rows)
        return bool(places) and all(runs.compare(label, place, task.layout).equal for place in places)
    except GradloomError:
        return False


__all__ = ["check_python", "judged"]
