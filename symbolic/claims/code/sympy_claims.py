"""Claims in SymPy: an `Equation`, an ``Eq`` of elements or of matrices, or a dict of gradients by name.

Elements may be those of gradloom's tensors, or of an ``IndexedBase`` with the name of one; matrices are expressions
over ``MatrixSymbol``, whose names are read as those of Python code (`python_names`): ``W2``, ``dW2``, ``delta2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sympy
from sympy import Expr

from ...derivation import Derivation
from ...equations import Equation
from ...errors import DataError, GradloomError
from ...tensors import Adjoint, Tensor, element_of
from ..deciding.decide import decide
from ..errors import AmbiguousClaimError, UnknownNameError
from ..follows import follows
from ..judge import Finding, Frame, Meaning, agreed, compared, question_of
from ..meaning.lexicon import lexicon_of
from ..meaning.reading import Manner, Reading, alternatives
from ..meaning.values import MismatchError, Value
from ..verdict import RIGHT, Judged, Verdict
from .python_names import Names
from .sympy_elements import element_sides
from .sympy_matrices import is_matrix, matrix_value


def check_sympy(derivation: Derivation, claim: Any, *, single: bool = False, explain: bool = True) -> Verdict:
    """Judge claims in SymPy.

    Parameters
    ----------
    derivation : of everything, see `everything`
    claim : an `Equation` whose target is a tensor or an `Adjoint`; ``sympy.Eq``; a dict of gradients, ``{"W2": …}``, by
        names of tensors, each an expression in the letters of the tensor or one of matrices; a pair ``("W2", …)``; or
        a list of these
    single : whether it is about one example alone
    explain : whether to look for a counterexample and the likely mistake where a line is wrong

    Raises
    ------
    DataError
        If it is none of these.
    UnknownNameError
        If a symbol is no tensor, index or size of the network; of several lines, that one is "unread".
    IndexingError, ShapeError
        If an index is bound nowhere, or runs over axes of two sizes; likewise.
    """
    names = Names(derivation)
    frame = Frame(lexicon_of(derivation), None, single)
    parts = list(_parts(claim))
    if not parts:
        raise DataError("there is no claim: the list is empty")
    lines: list[Judged] = []
    for number, part in enumerate(parts, start=1):
        try:
            lines.append(_judged(part, number, names, frame, lines, explain))
        except AmbiguousClaimError:
            raise
        except GradloomError as error:
            if len(parts) == 1:
                raise
            lines.append(Judged(_written(part, names), number, "unread", error=str(error)))
    return Verdict(derivation, lines, options={"single": single})


def _parts(claim: Any) -> Iterator[Any]:
    """The claims, one by one: equations, or pairs of a name and an expression."""
    if isinstance(claim, Mapping):
        yield from claim.items()
    elif isinstance(claim, tuple) and len(claim) == 2 and isinstance(claim[0], str | Tensor):
        yield claim
    elif isinstance(claim, list | tuple):
        for part in claim:
            yield from _parts(part)
    elif isinstance(claim, Equation | sympy.Eq):
        yield claim
    elif claim in (sympy.true, sympy.false):
        raise DataError(
            f"SymPy has made {claim} of this equation already; write sympy.Eq(left, right, evaluate=False), or "
            'a dict such as {"W2": right}'
        )
    else:
        raise DataError(
            f"a claim is LaTeX, an Equation, sympy.Eq(left, right), a dict such as {{'W2': expression}} or a Python "
            f"function; found {claim!r} of type {type(claim).__name__}"
        )


def _judged(part: Any, number: int, names: Names, frame: Frame, before: list[Judged], explain: bool) -> Judged:
    left, right = _sides(part, names)
    written = _written(part, names)
    finding = _of_matrices(left, right, written, names, frame) if is_matrix(right) or is_matrix(left) else None
    if finding is None:
        finding = _of_elements(left, right, part, names, frame)
    made = Judged(written, number, finding.kind, finding)
    if made.kind in RIGHT:
        return made
    wrong = [(line.number, line.finding) for line in before if line.kind in ("not equal", "follows") and line.finding]
    after = follows(finding, wrong, names.derivation) if made.kind in ("not equal", "batch 1", "layout") else None
    if after is not None:
        return replace(made, kind="follows", after=after)
    return _explained(made, names) if explain else made


def _sides(part: Any, names: Names) -> tuple[Any, Any]:
    """The left side, a tensor where it is named; and the right one."""
    if isinstance(part, Equation):
        return part.lhs, part.body
    if isinstance(part, sympy.Eq):
        return part.lhs, part.rhs
    name, right = part
    return _gradient(name, names), right


def _gradient(name: Any, names: Names) -> Tensor:
    tensor = names.output(name.name if isinstance(name, Tensor) else name)
    if tensor is None:
        raise UnknownNameError(f"{name} is no name of {names.network.name}; there are {names.known()}")
    return tensor if isinstance(tensor, Adjoint) else names.gradient(tensor)


def _written(part: Any, names: Names) -> str:
    from ...text import text

    if isinstance(part, Equation):
        return str(part)
    if isinstance(part, sympy.Eq):
        return f"{_text(part.lhs, text)} = {_text(part.rhs, text)}"
    return f"∂{names.loss}/∂{str(part[0]).removeprefix('d_')} = {_text(part[1], text)}"


def _text(side: Any, text: Any) -> str:
    if is_matrix(side) or not isinstance(side, Expr):
        return str(side)
    try:
        return str(text(side))
    except Exception:  # an IndexedBase, which the printer does not know
        return str(side)


def _of_elements(left: Any, right: Any, part: Any, names: Names, frame: Frame) -> Finding:
    """The finding on two sides in index form."""
    if isinstance(left, Tensor) and left.rank:
        where = names.network.home(left.of if isinstance(left, Adjoint) else left)
        left = element_of(left, where)
    derivation = names.derivation
    question = element_sides(left, right, names, frame.single)
    meaning = Meaning(Value(question.left), Value(question.right), Manner("rows", single=frame.single), (), question)
    assert derivation is question.derivation
    return agreed([meaning], {}, frame, str(part))


def _of_matrices(left: Any, right: Any, written: str, names: Names, frame: Frame) -> Finding:
    """The best that can be said in any layout, as of a formula in LaTeX."""
    worst: Finding | None = None
    reason = ""
    for manner in frame.manners():
        try:
            meanings = _meanings(left, right, written, names, frame, manner)
        except MismatchError as error:
            reason = reason or str(error)
            continue
        finding = agreed(meanings, {}, frame, written)
        if finding.kind not in ("not equal", "undecided"):
            return finding
        worst = worst or finding
    return worst or Finding("not equal", reason=reason)


def _meanings(left: Any, right: Any, written: str, names: Names, frame: Frame, manner: Manner) -> list[Meaning]:
    def start(choices: list[int]) -> Reading:
        return Reading(frame.lexicon, written, manner, {}, choices)

    def read(reading: Reading) -> tuple[Value, Value, bool]:
        subject, claimed = matrix_value(left, names, reading), matrix_value(right, names, reading)
        whole = subject.more or claimed.more or claimed.is_scalar
        turned = not whole and subject.shape != claimed.shape == subject.transposed.shape
        return *compared(subject, claimed.transposed if turned else claimed, reading), turned

    found: dict[Any, Meaning] = {}
    for reading, (one, other, turned) in alternatives(start, read):
        question = question_of(one, other, reading)
        found.setdefault(
            (one.entry, other.entry, one.shape),
            Meaning(one, other, manner, tuple(reading.notes), question, turned),
        )
    return [meaning for meaning in found.values() if not meaning.turned] or list(found.values())


def _explained(line: Judged, names: Names) -> Judged:
    """What else can be said of a wrong line: numbers, and the change that makes it right."""
    finding = line.finding
    if line.kind not in ("not equal", "batch 1") or finding is None or finding.meaning is None:
        return line
    question = finding.meaning.question
    try:
        from ..deciding.counterexample import counterexample

        shown = counterexample(question) if line.kind == "not equal" else None
    except ImportError:
        shown = None
    return replace(line, counterexample=shown, mistake=_mistake(question, names))


def _mistake(question: Any, names: Names) -> Any:
    """A sign or a factor that makes the claim right, or None."""
    try:
        from ..mistakes.search import Mistake
    except ImportError:
        return None
    for kind, words, factor in _factors(names):
        right = question.right * factor
        if decide(replace(question, right=right)).kind == "equal":
            from ...text import text

            return Mistake(kind, words, f"{text(question.left)} = {text(right)}")
    return None


def _factors(names: Names) -> Iterator[tuple[str, str, Expr]]:
    yield "sign", "the sign is wrong: yours is minus the correct one", sympy.Integer(-1)
    yield "factor", "a factor 2 is missing", sympy.Integer(2)
    yield "factor", "a factor 2 is too much", sympy.Rational(1, 2)
    batch = names.network.batch
    if batch is not None:
        yield "missing 1/B", f"1/{batch} is missing", 1 / batch
        yield "extra 1/B", f"1/{batch} is too much", batch


__all__ = ["check_sympy"]
