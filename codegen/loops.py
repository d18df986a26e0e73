"""Ops → loop nests: the order of the loops, and where a reduction keeps what it has so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Integer, Mul, expand, prod

from ..symbolic.equations import Equation
from ..symbolic.errors import UnsupportedError
from ..symbolic.guards import Guard
from ..symbolic.tensors import indices_of, is_element, tensor_of
from .blocks import all_blocks, choose_blocks
from .halves import over_halves
from .kernel_schedule import KernelSchedule
from .nests import AddTo, Clear, Dot, Finish, Item, Loop, Set, Start, Step, rename
from .ops import Contraction, Op, Reduction, Scan, Segments, Steps
from .sizes import Sizes
from .strides import axes_of

NOTHING = KernelSchedule()
SHORT = 7  # a loop of no more steps is not worth being the innermost
LONGEST_SUM = 4096  # numbers that are summed up one by one; of more there are sums of sums, which round less
Temporary: TypeAlias = Callable[[str, dict[Any, Expr], Equation], Expr]  # makes the element of a new tensor


def nest(op: Steps, sizes: Sizes, real: str, temporary: Temporary, chosen: KernelSchedule = NOTHING) -> Item:
    """The loops of one op in numbers of type `real`, those of the batch outside; `temporary` names partial sums.

    Raises
    ------
    UnsupportedError
        If a product cannot be computed in the way that is `chosen` for it.
    """
    if isinstance(op, Segments):
        index = Dummy(op.index.name, integer=True)
        body = tuple(rename(nest(part, sizes, real, temporary, chosen), {op.index: index}) for part in op.ops)
        return Loop(index, Integer(op.count), body, step=op.step, carries=op.carried)
    if isinstance(op, Scan):
        time = Dummy(op.time.name, integer=True)
        steps = tuple(
            rename(_nest(part, sizes, real, temporary, chosen, whole=False), {op.time: time}) for part in op.ops
        )
        return Loop(time, op.length, steps, step=op.step)
    made = _nest(op, sizes, real, temporary, chosen, whole=True)
    return made if op.half is None else over_halves(made, op.half, sizes.batch)


def _nest(op: Op, sizes: Sizes, real: str, temporary: Temporary, chosen: KernelSchedule, *, whole: bool) -> Item:
    """The loops of an op, over the `whole` of its target or over a part that a loop around chooses."""
    extents = dict(op.space)
    if isinstance(op, Contraction):
        product = _product(op, sizes, real, chosen.way(op.equation.target.name))
        if product is not None:
            return product
        op = Reduction(op.target, Mul(op.left, op.right, *op.when), op.space, op.equation, op.bound)
    order = loop_order(op, sizes.batch) if whole else [*op.free, *op.bound]
    if not isinstance(op, Reduction):
        padded = _padded(op, order)
        if padded is not None:
            return padded
        return wrapped(order, extents, (Set(op.target, op.body, op.equation),)) if order else _set(op)
    limits, op = limits_of(op, order)
    kept = [index for index in order if index not in op.bound]
    inner = order[len(kept) :]
    if op.is_scatter or order[: len(kept)] != kept:
        body: tuple[Item, ...] = (AddTo(op.target, op.body, op.equation),)
        last = [] if op.is_scatter else _last_of(order, op.bound)
        outer = order[: len(order) - len(last)]
        if last:
            # What is summed over innermost is summed up by itself, in a variable.
            part = temporary("part", {index: extents[index] for index in outer}, op.equation)
            body = (reduction_loop(op, part, outer, last, temporary, limits), AddTo(op.target, part, op.equation))
        made = wrapped(outer, extents, body, limits)
        return replace(made, before=(Clear(op.tensor, op.equation),))
    made = reduction_loop(op, op.target, kept, inner, temporary, limits)
    return wrapped(kept, extents, (made,)) if kept else made


def _padded(op: Op, order: Sequence[Any]) -> Any:
    """A copy of what lies inside of guards, in loops over that alone, behind one that clears all; else None."""
    guards: list[Expr] = []
    rest: list[Expr] = []
    for factor in Mul.make_args(op.body):
        (guards if isinstance(factor, Guard) else rest).append(factor)
    if not guards or len(rest) != 1 or not is_element(rest[0]) or tensor_of(rest[0]).rank < 2:
        return None
    limits: dict[Any, list[Expr]] = {}
    for guard in guards:
        place = guard.args[0]
        found = [index for index in order if place.has(index)]
        if len(found) != 1 or not _is_linear(place, found[0]):
            return None
        limits.setdefault(found[0], []).append(place)
    extents = dict(op.space)
    first = min(order.index(index) for index in limits)
    starts, inside = {}, dict(extents)
    for index, places in limits.items():
        bounds = [(place.coeff(index), expand(place - place.coeff(index) * index)) for place in places]
        if not extents[index].is_Integer or any(abs(step) != 1 or not rest.is_Integer for step, rest in bounds):
            return None
        low = max(0, *(-int(rest) for step, rest in bounds if step == 1), 0)
        high = min(int(extents[index]), *(int(rest) + 1 for step, rest in bounds if step == -1), int(extents[index]))
        if low >= high:
            return None
        starts[index], inside[index] = index + low, Integer(high - low)
    cleared = wrapped(order[first:], extents, (Set(op.target, Integer(0), op.equation),))
    moved = (part.xreplace(starts) for part in (op.target, rest[0]))
    target, value = (tensor_of(part)[tuple(expand(place) for place in indices_of(part))] for part in moved)
    copied = wrapped(order[first:], inside, (Set(target, value, op.equation),))
    made = replace(copied, before=(cleared,))
    return wrapped(order[:first], extents, (made,)) if first else made


def _product(op: Contraction, sizes: Sizes, real: str, way: str) -> Item | None:
    """A product in blocks, with loops around it over its batch; None where no block fits, as in a dot product."""
    axes = axes_of(op, sizes)
    blocks = None if way == "loops" else choose_blocks(axes, real, sizes.batch, way, sizes.rows)
    if blocks is None:
        possible = dict.fromkeys(blocks.way for blocks in all_blocks(axes, real, sizes.batch, sizes.rows))
        if way not in ("", "loops") and possible:
            offered = ", ".join(repr(one) for one in [*possible, "loops"])
            name = op.equation.target.name
            raise UnsupportedError(f"schedule: {name}'s product cannot be computed as {way!r}; choose from {offered}")
        return None
    # What is done for each example anyway is done in a loop over them: what follows can then be done there, too.
    # A panel is copied once for all of them.
    around = {axis.name for axis in blocks.around if not (blocks.pack == "right" and axis.right == 0)}
    apart = [index for index in (*op.rows, *op.columns) if index.name in around]
    apart = [index for index in apart if dict(op.space)[index] == sizes.batch]
    if apart:
        rows, columns = (tuple(i for i in side if i not in apart) for side in (op.rows, op.columns))
        return _product(replace(op, rows=rows, columns=columns, batch=(*apart, *op.batch)), sizes, real, way)
    return wrapped(op.batch, dict(op.space), (Dot(op, blocks),)) if op.batch else Dot(op, blocks)


def _set(op: Op) -> Item:
    return Set(op.target, op.body, op.equation)


def _last_of(order: Sequence[Any], bound: Sequence[Any]) -> list[Any]:
    """The innermost indices of `order`, as far as all are in `bound`."""
    last: list[Any] = []
    for index in reversed(order):
        if index not in bound:
            break
        last.insert(0, index)
    return last


def limits_of(op: Reduction, order: Sequence[Any]) -> tuple[dict[Any, list[Expr]], Reduction]:
    """The guards of a sum that a loop can see to by where it starts and stops, and the op without them.

    A guard limits the innermost loop that it depends on, if it is linear in its index and the loop is one that may
    leave something out: one over what is summed, or any loop where the sum is added up in memory.
    """
    limits: dict[Any, list[Expr]] = {}
    if op.kind != "sum":
        return limits, op
    kept = [index for index in order if index not in op.bound]
    in_memory = op.is_scatter or order[: len(kept)] != kept
    rest = []
    for factor in Mul.make_args(op.body):
        found = [index for index in order if factor.has(index)] if isinstance(factor, Guard) else []
        inner = found[-1] if found else None
        if inner is not None and (in_memory or inner in op.bound) and _is_linear(factor.args[0], inner):
            limits.setdefault(inner, []).append(factor.args[0])
        else:
            rest.append(factor)
    return limits, replace(op, body=Mul(*rest))


def _is_linear(place: Expr, index: Any) -> bool:
    step = place.coeff(index)
    return bool(step.is_Integer) and not expand(place - step * index).has(index)


def wrapped(
    order: Sequence[Any],
    extents: Mapping[Any, Expr],
    body: tuple[Item, ...],
    limits: Mapping[Any, Any] = MappingProxyType({}),
) -> Any:
    for index in reversed(order):
        fresh = Dummy(index.name, integer=True)
        inside = tuple(rename(item, {index: fresh}) for item in body)
        bounds = tuple(limit.xreplace({index: fresh}) for limit in limits.get(index, ()))
        body = (Loop(fresh, extents[index], inside, limits=bounds),)
    return body[0]


def reduction_loop(
    op: Reduction,
    target: Expr,
    outer: Sequence[Any],
    bound: Sequence[Any],
    temporary: Temporary,
    limits: Mapping[Any, Any],
) -> Loop:
    """The loop over the first bound index; a sum over more gets a variable per level, which also rounds less."""
    extents = dict(op.space)
    index, inner = bound[0], bound[1:]
    if inner and op.kind == "sum" and not _runs_on(op, bound):
        part = temporary("part", {i: extents[i] for i in (*outer, index)}, op.equation)
        body: tuple[Item, ...] = (
            reduction_loop(op, part, [*outer, index], inner, temporary, limits),
            Step(target, "sum", part, Integer(0), op.equation),
        )
    else:
        position: Expr = Integer(0)
        for place in op.bound:
            position = position * extents[place] + place
        body = (Step(target, op.kind, op.body, position, op.equation),)
        for place in reversed(inner):
            body = (wrapped([place], extents, body, limits),)
    made = wrapped([index], extents, body, limits)
    return replace(made, before=(Start(target, op.kind, op.equation),), after=(Finish(target, op.equation),))


def _runs_on(op: Reduction, bound: Sequence[Any]) -> bool:
    """Whether what is summed over lies side by side, and is few enough to be summed up in one go."""
    extents = dict(op.space)
    if not all(extents[index].is_Integer for index in bound) or prod(extents[index] for index in bound) > LONGEST_SUM:
        return False
    return all(tuple(bound) == indices_of(element)[-len(bound) :] for element in op.reads if element.has(*bound))


def loop_order(op: Op, batch: Any) -> list[Any]:
    """The order of the loops: the batch outside, inside the index along which most operands lie side by side."""
    free, bound = list(op.free), list(op.bound)
    if not isinstance(op, Reduction) or op.kind != "sum":
        return [*free, *bound]
    extents = dict(op.space)
    read = [indices_of(element) for element in op.reads if indices_of(element)]
    largest = max(map(len, read), default=0)
    along = [places[-1] for places in read if len(places) == largest]
    candidates = [*bound, *free[-1:]]

    def fits(index: Any) -> tuple[int, bool, bool]:
        # In x[h + u, w + v] both w and v run along what lies side by side; the longer loop is the better one.
        count = sum(place == index or (place.is_Add and place.coeff(index) == 1) for place in along)
        shifted = any(place.is_Add and place.has(index) for place in along)
        return count, extents[index] != batch, shifted and _is_long(extents[index])

    innermost = max(candidates, key=fits)
    rest = [index for index in (*free, *bound) if index != innermost]
    rest.sort(key=lambda index: (batch is None or extents[index] != batch, index in bound))
    row = next((index for index in bound if extents[index] == batch), None)
    if row in rest:
        # Memory is run through in its order: tensors of a recurrence have time outside of the batch.
        widest = [places for places in read if len(places) == largest]
        before = [index for index in bound if index in rest and all(_is_before(index, row, at) for at in widest)]
        rest = [*before, *(index for index in rest if index not in before)]
    return [*rest, innermost]


def _is_before(index: Any, row: Any, places: Sequence[Expr]) -> bool:
    """Whether an index stands outside of the row in an element."""
    found = [[at for at, place in enumerate(places) if place.has(one)] for one in (index, row)]
    return all(found) and max(found[0]) < min(found[1])


def _is_long(extent: Expr) -> bool:
    return not extent.is_Integer or int(extent) > SHORT
