"""Scalar operations, and putting what is read once where it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, preorder_traversal

from ..symbolic.equations import Equation
from ..symbolic.tensors import is_element


@dataclass(frozen=True)
class Scalar:
    """One scalar operation.

    Attributes
    ----------
    target : the element, with numbers for its indices, and one symbol for the row of the batch
    terms : the value, or what is combined into it
    kind : "set" for one value, else how terms are combined: "sum", "max", "argmax"
    over_rows : whether it is a sum over the batch: the terms are those of one row
    equation : the equation that it belongs to
    """

    target: Expr
    terms: tuple[Expr, ...]
    kind: str
    over_rows: bool
    equation: Equation


def readings(scalars: Iterable[Scalar]) -> Counter[Expr]:
    """How often each element is read."""
    found: Counter[Expr] = Counter()
    for scalar in scalars:
        for term in scalar.terms:
            found.update(node for node in preorder_traversal(term) if is_element(node))
    return found


def fold(scalars: Sequence[Scalar], readings: Counter[Expr], kept: Iterable[Expr]) -> list[Scalar]:
    """Put sums into the sums, and products into the products, that alone read them.

    A longer sum or product leaves more choice of what to combine first. `kept` are elements that are needed elsewhere.
    """
    left: dict[Expr, Scalar] = {}
    needed = set(kept)

    def once(element: Expr) -> Scalar | None:
        found = left.get(element)
        return None if found is None or readings[element] != 1 or element in needed or found.over_rows else found

    for scalar in scalars:
        if scalar.kind in ("set", "sum"):
            terms: list[Expr] = []
            for term in (part for whole in scalar.terms for part in Add.make_args(whole)):
                inner = once(term)
                if inner is not None and inner.kind in ("set", "sum"):
                    terms += left.pop(term).terms
                    continue
                for factor in Mul.make_args(term):
                    inner = once(factor)
                    if inner is not None and inner.kind in ("set", "sum") and len(inner.terms) == 1:
                        (value,) = inner.terms
                        if isinstance(value, Mul):
                            term = term.xreplace({factor: left.pop(factor).terms[0]})
                terms.append(term)
            scalar = replace(scalar, terms=tuple(terms), kind="sum" if len(terms) > 1 else scalar.kind)
        left[scalar.target] = scalar
    return list(left.values())
