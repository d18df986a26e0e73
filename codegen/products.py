"""Which sums of products are matrix products, and how their operands lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Integer, Symbol

from ..symbolic.tensors import indices_of, is_element
from .ops import is_plain

# np.dot costs more than the loops where every size but the batch is this small (measured on one core).
SMALL = 4


@dataclass(frozen=True)
class Product:
    """A sum over `bound` of `left` times `right`, with the free indices of each."""

    left: tuple[Expr, ...]
    right: tuple[Expr, ...]
    rows: tuple[Symbol, ...]
    columns: tuple[Symbol, ...]
    bound: tuple[Symbol, ...]


def matrix_product(factors: Sequence[Expr], free: Sequence[Symbol], bound: Sequence[Symbol]) -> Product | None:
    """Read ``Σ_bound Π factors`` as one matrix product (matrix by matrix, by vector, or vector by vector), or None.

    `free` is the order of the target's indices. Factors that share a free index form one operand; there may be two.
    """
    groups: list[tuple[list[Symbol], list[Expr]]] = []
    floating = []
    for factor in factors:
        touched = [index for index in free if factor.has(index)]
        if not touched:
            floating.append(factor)
            continue
        joined = [group for group in groups if any(index in group[0] for index in touched)]
        indices = [index for index in free if index in touched or any(index in group[0] for group in joined)]
        members = [member for group in joined for member in group[1]] + [factor]
        groups = [group for group in groups if group not in joined] + [(indices, members)]
    groups.sort(key=lambda group: list(free).index(group[0][0]))
    if len(groups) == 2:
        (rows, left), (columns, right) = groups
        (right if len(left) == 1 and len(right) > 1 else left).extend(floating)
    elif len(groups) == 1 and floating:
        ((rows, left),), columns, right = groups, [], floating
    elif not groups and len(floating) == 2:
        rows, columns, left, right = [], [], floating[:1], floating[1:]
    else:
        return None
    if list(free) != [*rows, *columns]:
        return None
    if any(not all(any(factor.has(index) for factor in side) for index in bound) for side in (left, right)):
        return None
    if not (rows and columns) and not all(len(side) == 1 and is_operand(side[0]) for side in (left, right)):
        return None
    return Product(tuple(left), tuple(right), tuple(rows), tuple(columns), tuple(bound))


def is_operand(factor: Any) -> bool:
    return is_element(factor) and is_plain(factor)


def lies_well(element: Expr, one: Sequence[Symbol], other: Sequence[Symbol]) -> bool:
    """Whether `element` is stored as the matrix `one` by `other`, or as its transpose."""
    return is_operand(element) and indices_of(element) in ((*one, *other), (*other, *one))


def is_small(sizes: Sequence[Expr]) -> bool:
    """Whether loops are the better choice for a product of these sizes; the batch size is not looked at."""
    return all(size <= SMALL for size in sizes if isinstance(size, Integer))
