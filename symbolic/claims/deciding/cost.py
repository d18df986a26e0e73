"""How much a question takes: operations at given sizes, and whether fractions can hold all of its values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sympy
from sympy import Expr, Piecewise
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanFunction

from ...binders import Binder
from ...functions import Elementwise
from ...guards import Guard
from ...held import held
from ...recurrence import Recurrence
from ...tensors import is_element
from .grid import formula_of
from .point import Point, blocks_of
from .question import Question

_FUNCTION = 8  # operations that a function is worth, in many digits


def bodies(question: Question) -> Iterable[tuple[Expr, tuple[Expr, ...]]]:
    """What is evaluated for a question, with the sizes of its axes: the equations that it needs, and the two sides."""
    blocks = blocks_of(question.derivation)
    for tensor in question.needs:
        block = blocks.get(tensor)
        for equation in block.equations if isinstance(block, Recurrence) else (block,) if block is not None else ():
            if equation.target == tensor:
                yield equation.body, equation.target.shape
    sizes = tuple(size for _, size in question.indices)
    yield question.left, sizes
    yield question.right, sizes


def operations(question: Question, point: Point) -> int:
    """About how many operations it takes to evaluate both sides at the sizes of `point`."""
    total = 0
    for body, sizes in bodies(question):
        count = 1
        for size in sizes:
            count *= point.size(size)
        total += _operations(body, count, point)
    return total


def own_operations(question: Question, point: Point, entries: int) -> int:
    """The same of the two sides alone, where no more than `entries` of each are evaluated."""
    return sum(_operations(side, entries, point) for side in (question.left, question.right))


def _operations(node: Any, count: int, point: Point) -> int:
    if isinstance(node, Binder):
        for _, extent in node.limits:
            count *= point.size(extent)
        return count + _operations(node.body, count, point)
    if is_element(node) or not node.args:
        return 0
    inside = sum(_operations(arg, count, point) for arg in node.args)
    return inside + count * (_FUNCTION if isinstance(node, sympy.Function) and not isinstance(node, Guard) else 1)


def is_rational(question: Question) -> bool:
    """Whether both sides, and all that they need, have rational values at rational points."""
    network = question.derivation.network
    constants = [network.values[tensor.name] for tensor in question.needs if tensor.name in network.values]
    return all(value.is_Rational for value in constants) and all(_keeps_rationals(body) for body, _ in bodies(question))


@lru_cache(maxsize=4096)
def _keeps_rationals(node: Any) -> bool:
    if is_element(node):
        return True
    if isinstance(node, sympy.Pow) and not node.exp.is_Integer:
        return False
    if node.is_number and not node.args:
        return bool(node.is_Rational)
    if isinstance(node, Elementwise):
        function: Any = type(node)
        if not _keeps_rationals(formula_of(function, len(node.args))[1]):
            return False
    rational = (
        sympy.Add, sympy.Mul, sympy.Pow, sympy.Abs, sympy.sign, sympy.floor, sympy.ceiling, sympy.Mod,
        sympy.KroneckerDelta, sympy.Symbol, sympy.Tuple, Piecewise, Relational, BooleanFunction, Elementwise, Binder,
        Guard, held,
    )  # fmt: skip
    known = isinstance(node, rational) or type(node).__name__ in ("ExprCondPair", "BooleanTrue", "BooleanFalse")
    return known and all(_keeps_rationals(arg) for arg in node.args)
