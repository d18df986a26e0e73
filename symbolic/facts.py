"""Facts: properties of tensors, declared or proved, that compaction may use and names where it does.

A fact says what a tensor sums to along one axis: a one-hot target to 1, a softmax to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sympy import Expr

from .binders import Binder, Sum, binders
from .errors import IndexingError
from .tensors import Tensor, element_of, indices_of, is_element, tensor_of

if TYPE_CHECKING:
    from .equations import Equation


@dataclass(frozen=True)
class Fact:
    """``Σ tensor[…] == value`` over axis `axis`, whatever the other indices; `source` says how it is known."""

    tensor: Tensor
    axis: int
    value: Expr
    source: str

    @staticmethod
    def from_sum(total: Any, value: Any, source: str) -> Fact:
        """Read a fact from ``Sum(y[i, k], k)`` and its value.

        Raises
        ------
        IndexingError
            If `total` is not a sum of one tensor over one of its axes, or `value` depends on an index.
        """
        if isinstance(total, Sum) and len(total.limits) == 1 and is_element(total.body):
            where = indices_of(total.body)
            bound = total.limits[0][0]
            if where.count(bound) == 1 and isinstance(value, Expr) and value.is_number:
                return Fact(tensor_of(total.body), where.index(bound), value, source)
        raise IndexingError(
            f"cannot use {total} = {value} as a fact: expected the sum of one tensor over one of its axes and a "
            "number, as in assume(gl.Sum(y[i, k], k), 1)"
        )

    def applies(self, total: Expr) -> bool:
        """Whether `total` is the sum that this fact gives a value for."""
        if not (isinstance(total, Sum) and len(total.limits) == 1 and is_element(total.body)):
            return False
        where = indices_of(total.body)
        bound = total.limits[0][0]
        return tensor_of(total.body) == self.tensor and [a for a, at in enumerate(where) if at == bound] == [self.axis]

    def statement(self, letters: Iterable[Any]) -> tuple[Expr, Expr]:
        """The two sides, written with the indices `letters`."""
        where = tuple(letters)
        index = where[self.axis]
        return Sum(element_of(self.tensor, where), (index, self.tensor.shape[self.axis])), self.value


def use_facts(expr: Expr, facts: Iterable[Fact]) -> tuple[Expr, list[Fact]]:
    """Replace every sum that a fact gives a value for; also return the facts used."""
    used: dict[Fact, None] = {}
    known = list(facts)

    def walk(node: Any) -> Any:
        if isinstance(node, Sum):
            for fact in known:
                if fact.applies(node):
                    used.setdefault(fact)
                    return fact.value
        if not node.args or not node.has(Binder):
            return node
        return node.func(*(walk(arg) for arg in node.args))

    return walk(expr), list(used)


def proved_facts(equation: Equation) -> list[Fact]:
    """The axes along which the tensor of `equation` provably sums to a number: a softmax to 1, for one.

    The sum of the right side is taken, what does not depend on the summed index is moved out, and the rest cancels.
    """
    from .compact import hoist

    # A sum can only cancel against one over the same axis.
    summed = {size for binder in binders(equation.body) for _, size in binder.limits}
    facts = []
    for axis, index in enumerate(equation.indices):
        if equation.target.shape[axis] not in summed:
            continue
        total = hoist(Sum(equation.body, (index, equation.target.shape[axis])))
        if total.is_number:
            facts.append(Fact(equation.target, axis, total, "proved from its equation"))
    return facts
