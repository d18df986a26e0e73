"""Equality by algebra: the difference, with definitions put in where they may help, is compacted to 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sympy import Expr, Integer

from ...binders import Binder
from ...compact import compact, measure
from ...equations import Equation
from ...facts import Fact
from ...recurrence import Recurrence
from ...rewriting import Rewriting
from ...tensors import Adjoint, Tensor, elements, indices_of, is_element, tensor_of
from .point import blocks_of
from .question import Question

WORK = 220  # of lengths that are compacted: more could take minutes
_SMALL = 60  # length of an equation of a value that is put in
_LEVELS = 4


def is_zero_by_algebra(question: Question, rewrite: Rewriting) -> tuple[bool, tuple[Fact, ...]]:
    """Whether the difference of the two sides is 0 in canonical form, and the facts that this takes.

    False says nothing: no canonical form knows every identity.
    """
    ranges = dict(question.indices)
    tried = set()
    work = 0
    for left, right in _forms(question):
        difference = left - right
        if difference == 0:
            return True, ()
        if difference in tried:
            continue
        tried.add(difference)
        work += measure(difference)
        if work > WORK:
            break
        form, facts = compact(difference, rewrite, ranges)
        if form == 0:
            return True, tuple(facts)
    return False, ()


def _forms(question: Question) -> Iterator[tuple[Expr, Expr]]:
    """The two sides as they stand, and with adjoints and then values that only one of them has put in."""
    form = question.left, question.right
    for form in opened(question):
        yield form
    for form in with_definitions(question, *form, _is_small):  # noqa: B020 - it goes on from the last
        yield form
    yield from with_definitions(question, *form, _is_value)


def opened(question: Question) -> Iterator[tuple[Expr, Expr]]:
    """The two sides as they stand; then with what is claimed, and adjoints that only one side has, put in."""
    left, right = question.left, question.right
    yield left, right
    for side in (left, right):
        # ∂L/∂W[j, k] = …: in a recurrence the other side may read the same tensor, a step behind.
        equation = _equation(question, tensor_of(side)) if is_element(side) else None
        if equation is not None:  # likewise z = …, which says what z is
            put_in = equation.at(indices_of(side))
            left, right = (put_in, right) if side is left else (left, put_in)
            yield left, right
            break
    yield from with_definitions(question, left, right, _is_adjoint)


def _is_adjoint(equation: Equation) -> bool:
    return isinstance(equation.target, Adjoint) and equation.target.role == "adjoint"


def _is_value(equation: Equation) -> bool:
    return not _is_adjoint(equation) and measure(equation.body) < _SMALL


def _is_small(equation: Equation) -> bool:
    return _is_value(equation) and not equation.body.has(Binder)


def with_definitions(
    question: Question, left: Expr, right: Expr, wanted: Callable[[Equation], bool]
) -> Iterator[tuple[Expr, Expr]]:
    """Both sides with what stands only in one of them replaced by its equation, if that is `wanted`, one by one.

    What is computed last goes first: nothing that is put in later reads it again.
    """
    order = {tensor: place for place, tensor in enumerate(blocks_of(question.derivation))}
    for _ in range(_LEVELS):
        tensors = [{tensor_of(element) for element in elements(side)} for side in (left, right)]
        known = {
            tensor: equation
            for tensor in tensors[0] ^ tensors[1]
            if (equation := _equation(question, tensor)) is not None and wanted(equation)
        }
        if not known:
            return
        last = max(known, key=lambda tensor: (order.get(tensor, -1), tensor.name))
        left, right = (_put_in(side, known[last]) for side in (left, right))
        yield left, right


def _equation(question: Question, tensor: Tensor) -> Equation | None:
    block = blocks_of(question.derivation).get(tensor)
    if isinstance(block, Recurrence):
        return next(equation for equation in block.equations if equation.target == tensor)
    if block is None and isinstance(tensor, Adjoint) and tensor.role == "adjoint":
        known = question.derivation.network.tensors.get(tensor.of.name)
        if known is not None and known != question.derivation.network.loss:
            return Equation(tensor, question.derivation.network.home(known), Integer(0))
    return block


def _put_in(expr: Expr, equation: Equation) -> Expr:
    found = [element for element in elements(expr) if tensor_of(element) == equation.target]
    return expr.xreplace({element: equation.at(indices_of(element)) for element in found})
