"""Equality by algebra: the difference, with definitions put in where they may help, is compacted to 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sympy import Expr, Integer

from ..binders import Binder
from ..compact import compact, measure
from ..equations import Equation
from ..facts import Fact
from ..recurrence import Recurrence
from ..rewriting import Rewriting
from ..tensors import Adjoint, Tensor, elements, indices_of, tensor_of
from .point import blocks_of
from .question import Question

LONGEST = 400  # what is longer is not compacted: that could take minutes
_LEVELS = 3


def is_zero_by_algebra(question: Question, rewrite: Rewriting) -> tuple[bool, tuple[Fact, ...]]:
    """Whether the difference of the two sides is 0 in canonical form, and the facts that this takes.

    False says nothing: no canonical form knows every identity.
    """
    ranges = dict(question.indices)
    tried = set()
    for left, right in _forms(question):
        difference = left - right
        if difference == 0:
            return True, ()
        if difference in tried or measure(difference) > LONGEST:
            continue
        tried.add(difference)
        form, facts = compact(difference, rewrite, ranges)
        if form == 0:
            return True, tuple(facts)
    return False, ()


def _forms(question: Question) -> Iterator[tuple[Expr, Expr]]:
    """The two sides as they stand, and with adjoints and then values that only one of them has put in."""
    left, right = question.left, question.right
    yield left, right
    for _ in range(_LEVELS):
        new = with_definitions(question, left, right, _is_adjoint)
        if new == (left, right):
            break
        left, right = new
        yield left, right
    for _ in range(_LEVELS):
        new = with_definitions(question, left, right, _is_small)
        if new == (left, right):
            break
        left, right = new
        yield left, right


def _is_adjoint(equation: Equation) -> bool:
    return isinstance(equation.target, Adjoint) and equation.target.role == "adjoint"


def _is_small(equation: Equation) -> bool:
    return not _is_adjoint(equation) and not equation.body.has(Binder) and measure(equation.body) < 60


def with_definitions(
    question: Question, left: Expr, right: Expr, wanted: Callable[[Equation], bool]
) -> tuple[Expr, Expr]:
    """Both sides with what stands only in one of them replaced by its equation, if the equation is `wanted`."""
    tensors = [{tensor_of(element) for element in elements(side)} for side in (left, right)]
    alone = tensors[0] ^ tensors[1]
    known = {t: equation for t in alone if (equation := _equation(question, t)) is not None and wanted(equation)}
    return _put_in(left, known, question), _put_in(right, known, question)


def _equation(question: Question, tensor: Tensor) -> Equation | None:
    block = blocks_of(question.derivation).get(tensor)
    if isinstance(block, Recurrence):
        return next(equation for equation in block.equations if equation.target == tensor)
    if block is None and isinstance(tensor, Adjoint) and tensor.role == "adjoint":
        known = question.derivation.network.tensors.get(tensor.of.name)
        if known is not None and known != question.derivation.network.loss:
            return Equation(tensor, question.derivation.network.home(known), Integer(0))
    return block


def _put_in(expr: Expr, known: dict[Tensor, Equation], question: Question) -> Expr:
    # One element after another: a binder opens itself where what is put in would be captured.
    found = [element for element in elements(expr) if tensor_of(element) in known]
    return expr.xreplace({element: known[tensor_of(element)].at(indices_of(element)) for element in found})
