"""Which sums of products are matrix products, and how their operands lie.

``Σ_bound left · right``: the free indices that both sides have are a batch (a matrix product for each of their
values), those of one side alone are its rows or columns. An operand that does not lie so is copied first: the patches
of a convolution (im2col) are such a copy, its adjoint's too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Integer, Mod, Symbol, floor

from ..symbolic.guards import Guard
from ..symbolic.ranges import bounds
from ..symbolic.tensors import elements, indices_of, is_element

# np.dot costs more than the loops where every size but the batch is this small (measured on one core).
SMALL = 4
# A product that runs over more than so many times what its guards let through is left to loops, which skip the rest.
WASTE = 3
# The same for products that read windows of a padded copy, where nothing else is lost.
WASTE_OF_WINDOWS = 8


@dataclass(frozen=True)
class Product:
    """A sum over `bound` of `left` times `right`.

    Attributes
    ----------
    left, right : the factors of each side, guards included
    batch : the free indices of both sides
    rows, columns : the free indices of the left and of the right side
    """

    left: tuple[Expr, ...]
    right: tuple[Expr, ...]
    batch: tuple[Symbol, ...]
    rows: tuple[Symbol, ...]
    columns: tuple[Symbol, ...]
    bound: tuple[Symbol, ...]


def matrix_product(
    factors: Sequence[Expr], free: Sequence[Symbol], bound: Sequence[Symbol], is_operand: Callable[[Expr], bool]
) -> Product | None:
    """Read ``Σ_bound Π factors`` as matrix products, or None.

    Parameters
    ----------
    free : the order of the target's indices
    is_operand : whether a factor is read as it is; a matrix times a vector is not worth a copy
    """
    plain = [factor for factor in factors if not isinstance(factor, Guard)]
    summed = [factor for factor in plain if any(factor.has(index) for index in bound)]
    shared = [index for index in free if len(summed) > 1 and all(factor.has(index) for factor in summed)]
    for batch in ([], shared) if shared else ([],):
        sides = _sides(plain, [index for index in free if index not in batch])
        if sides is None:
            continue
        (rows, left), (columns, right) = sides
        if batch and not (rows and columns):
            continue
        if any(not all(any(factor.has(index) for factor in side) for index in bound) for side in (left, right)):
            continue
        if not (rows and columns) and not all(len(side) == 1 and is_operand(side[0]) for side in (left, right)):
            continue
        if not _share_guards([f for f in factors if isinstance(f, Guard)], left, right, [*rows], [*columns]):
            continue
        return Product(tuple(left), tuple(right), tuple(batch), tuple(rows), tuple(columns), tuple(bound))
    return None


def _sides(factors: Sequence[Expr], free: Sequence[Symbol]) -> Any:
    """Two groups of factors that have no index of `free` in common, with those of each."""
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
        (_, left), (_, right) = groups
        (right if len(left) == 1 and len(right) > 1 else left).extend(floating)
        return groups
    if len(groups) == 1 and floating:
        return [groups[0], ([], floating)]
    if not groups and len(floating) == 2:
        return [([], floating[:1]), ([], floating[1:])]
    return None


def _share_guards(guards: list[Expr], left: list[Expr], right: list[Expr], rows: list[Any], columns: list[Any]) -> bool:
    """Put each guard with the sides that it guards, or whose free indices it has; False where both have some."""
    for guard in guards:
        of_rows, of_columns = (any(guard.has(index) for index in side) for side in (rows, columns))
        guards_left, guards_right = _guards(guard, left), _guards(guard, right)
        if (of_rows and (of_columns or guards_right)) or (of_columns and guards_left):
            return False
        if of_columns or guards_right:
            right.append(guard)
        if guards_left or not (of_columns or guards_right):
            left.append(guard)
    return True


def _guards(guard: Expr, side: Sequence[Expr]) -> bool:
    """Whether `guard` is about a position in one of the factors of `side`."""
    bound = guard.args[0]
    places = [place for factor in side for element in elements(factor) for place in indices_of(element) if place.args]
    return any(
        not (bound + sign * place).expand().free_symbols & bound.free_symbols for place in places for sign in (1, -1)
    )


def is_wasteful(factors: Sequence[Expr], ranges: Mapping[Any, Expr], strided: bool) -> bool:
    """Whether most of the product is cut off by guards, as in the adjoint of a convolution with a stride."""
    let_through = 1.0
    seen: list[tuple[Expr, float]] = []
    for guard in factors:
        if not isinstance(guard, Guard):
            continue
        found = bounds(guard.args[0], ranges)
        if found is None or not all(isinstance(end, Integer) for end in found):
            continue
        low, high = int(found[0]), int(found[1])
        # The two guards of one place cut off the two ends of the same range.
        fraction = (high + 1) / (high - low + 1)
        other = next((f for g, f in seen if not _moves(guard.args[0] + g, ranges)), None)
        let_through *= fraction if other is None else max(fraction + other - 1, 1e-9) / other
        seen.append((guard.args[0], fraction))
    waste = WASTE_OF_WINDOWS if strided and not any(factor.has(floor, Mod) for factor in factors) else WASTE
    return let_through * waste < 1


def _moves(place: Expr, ranges: Mapping[Any, Expr]) -> bool:
    return any(index in ranges for index in place.expand().free_symbols)


def lies_well(
    element: Expr, time: Any, batch: Sequence[Symbol], one: Sequence[Symbol], other: Sequence[Symbol]
) -> bool:
    """Whether `element` is stored as the matrix `one` by `other`, or its transpose, for each step and of the batch."""
    if not is_element(element):
        return False
    where = indices_of(element)
    if time is not None and where and where[0].has(time):
        where = where[1:]
    return where in ((*batch, *one, *other), (*batch, *other, *one))


def is_small(sizes: Sequence[Expr]) -> bool:
    """Whether loops are the better choice for a product of these sizes; the batch size is not looked at."""
    return all(size <= SMALL for size in sizes if isinstance(size, Integer))
