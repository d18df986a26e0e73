"""Facts: properties of tensors, declared or proved, that compaction may use and names where it does.

A fact says what a tensor sums to along one axis: a one-hot target to 1, a softmax to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sympy import Expr, Mul

from .binders import Binder, Sum, binders, rebuilt
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

    def summed(self, total: Expr) -> Expr | None:
        """The sum `total` with this fact used once: Σ_j,k f(j) y[j, k] is Σ_j f(j) value; or None."""
        if not isinstance(total, Sum) or not total.has(self.tensor):
            return None
        body, pairs = total.open()
        factors = list(Mul.make_args(body))
        for place, factor in enumerate(factors):
            if not is_element(factor) or tensor_of(factor) != self.tensor:
                continue
            index = indices_of(factor)[self.axis]
            others = factors[:place] + factors[place + 1 :]
            alone = indices_of(factor).count(index) == 1 and not any(other.has(index) for other in others)
            if alone and (index, self.tensor.shape[self.axis]) in pairs:
                left = [pair for pair in pairs if pair[0] != index]
                return Sum(Mul(self.value, *others), *left)
        return None

    def statement(self, letters: Iterable[Any]) -> tuple[Expr, Expr]:
        """The two sides, written with the indices `letters`."""
        where = tuple(letters)
        index = where[self.axis]
        return Sum(element_of(self.tensor, where), (index, self.tensor.shape[self.axis])), self.value


def use_facts(expr: Expr, facts: Iterable[Fact]) -> tuple[Expr, list[Fact]]:
    """Replace every sum that a fact gives a value for; also return the facts used."""
    used: dict[Fact, None] = {}
    read = expr.atoms(Tensor)
    known = [fact for fact in facts if fact.tensor in read]
    if not known:
        return expr, []

    def walk(node: Any) -> Any:
        for fact in known:
            replaced = fact.summed(node)
            if replaced is not None:
                used.setdefault(fact)
                return walk(replaced)
        if not node.args or not node.has(Binder):
            return node
        return rebuilt(node, walk)

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
