"""How threads share the work of a function: who does which part of each nest.

A nest whose outermost loop runs over the rows of the batch is shared by rows; a product or a loop over anything else,
by an index of what it writes. So no two threads ever add to the same number, and every number is made in one order,
however many threads there are. Scalars are made by every thread for itself, the rest by the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr

from ..symbolic.tensors import Tensor, indices_of, tensor_of
from .loops import Temporary
from .nests import Clear, Dot, Item, Loop, reads, statements, targets, written
from .ops import Op, Pointwise, Reduction
from .sizes import Sizes
from .strides import Axis
from .team_shares import InMemory, Share, accesses

LEAST = 64  # a loop over less is not worth being shared
COPYING = 30_000  # cycles to copy an operand that are worth a wait, if it is then copied but once
STRIP, STRIPS = 32, 8  # columns that a thread's part is cut by; how many such strips are worth being shared
FEW, WHOLE = 4, 24  # steps of an index that are hardly worth being shared; rows that are several blocks of registers


def rows_first(ops: Iterable[Op], sizes: Sizes, temporary: Temporary) -> list[Op]:
    """The same ops; a sum over the batch and more, as a loss is, is a sum for each row first, which threads share."""
    made: list[Op] = []
    for op in ops:
        extents = dict(op.space)
        row = next((index for index in op.bound if extents[index] == sizes.batch), None)
        if not isinstance(op, Reduction) or op.kind != "sum" or op.free or row is None or op.is_scatter:
            made.append(op)
            continue
        rest = tuple((index, extents[index]) for index in op.bound if index != row)
        part = temporary("row", {row: extents[row]}, op.equation)
        space = ((row, extents[row]), *rest)
        inner = tuple(index for index, _ in rest)
        by_row = (
            Reduction(part, op.body, space, op.equation, inner)
            if rest
            else Pointwise(part, op.body, space, op.equation)
        )
        made += [by_row, Reduction(op.target, part, space[:1], op.equation, (row,))]
    return made


def share_work(items: Sequence[Item], sizes: Sizes, in_memory: InMemory) -> list[Share]:
    """Share the nests of one function; `in_memory` says whether a tensor is seen by all threads."""
    return [_share(item, sizes, in_memory) for item in items]


def _share(item: Item, sizes: Sizes, in_memory: InMemory) -> Share:
    if isinstance(item, Loop) and item.carries is not None:
        inner = tuple(share_work(item.body, sizes, in_memory))
        return Share(replace(item, body=tuple(share.item for share in inner)), "each", inner=inner)
    if isinstance(item, Loop) and item.of_halves:
        parts = (by_parts(part, sizes, in_memory) or part for part in item.body)
        return Share(replace(item, body=tuple(parts)), "parts")
    if isinstance(item, Dot) and (by_columns := _by_columns(item)) is not None:
        return Share(by_columns, "parts")
    for kind, split in (("rows", by_rows), ("parts", by_parts)):
        made = split(item, sizes, in_memory)
        if made is not None:
            return Share(made, kind)  # type: ignore[arg-type]
    only_scalars = not any(in_memory(tensor) and tensor.rank for tensor in written(item))
    return Share(item, "each" if only_scalars else "first")


def made_by_one(shares: Iterable[Share]) -> frozenset[Tensor]:
    """The scalars that the first thread alone makes: the others find them in memory."""
    found: set[Tensor] = set()
    for share in shares:
        if share.inner:
            found |= made_by_one(share.inner)
        elif share.kind == "first":
            found |= {tensor for tensor in written(share.item) if not tensor.rank}
    return frozenset(found)


def by_rows(item: Item, sizes: Sizes, in_memory: InMemory) -> Item | None:
    """The nest with its loops over the batch marked as shared, if each row is made of what belongs to that row."""
    if isinstance(item, Loop) and item.step:
        body = [by_rows(part, sizes, in_memory) for part in item.body]
        if None in body or item.before or item.after:
            return None
        made = replace(item, body=tuple(body))  # type: ignore[arg-type]
        return made if _keeps_rows_apart(made, in_memory) else None
    if isinstance(item, Dot):
        return _product_by(item, sizes, by_batch=True)
    if not isinstance(item, Loop) or item.limits or item.before or item.after:
        return None
    if item.extent != sizes.batch:
        # Tensors of a recurrence have time outside of the batch.
        inner = by_rows(item.body[0], sizes, in_memory) if len(item.body) == 1 else None
        around = None if inner is None else replace(item, body=(inner,))
        return around if around is not None and _keeps_rows_apart(around, in_memory) else None
    return replace(item, is_shared=True) if _stays(item, in_memory) else None


def _keeps_rows_apart(steps: Loop, in_memory: InMemory) -> bool:
    """Whether no step over time reads another row of what the steps write."""
    reading, writing = ([one for one in some if in_memory(one[0])] for some in accesses(Share(steps, "rows")))
    own: dict[Tensor, frozenset[int]] = {}
    for tensor, access in writing:
        own[tensor] = own.get(tensor, access.axes) & access.axes
    return all(own.values()) and all(tensor not in own or access.axes & own[tensor] for tensor, access in reading)


def _stays(loop: Loop, in_memory: InMemory) -> bool:
    """Whether a step of the loop writes and reads, of all that the loop writes, what has the loop's index alone."""
    axes: dict[Tensor, set[int]] = {}
    for statement in statements(loop):
        for target in [t for t in targets(statement) if in_memory(tensor_of(t))]:
            own = {axis for axis, place in enumerate(indices_of(target)) if place == loop.index}
            axes[tensor_of(target)] = axes.get(tensor_of(target), own) & own
        if isinstance(statement, Clear) and in_memory(statement.target):
            return False
    if any(not found for found in axes.values()):
        return False
    for element in reads(loop):
        known = axes.get(tensor_of(element))
        if known is not None and not any(indices_of(element)[axis] == loop.index for axis in known):
            return False
    return True


def by_parts(item: Item, sizes: Sizes, in_memory: InMemory) -> Item | None:
    """The nest with its outermost loop, or an index of its product, marked as shared."""
    if isinstance(item, Dot):
        return _product_by(item, sizes, by_batch=False)
    if not isinstance(item, Loop) or item.step or item.limits or item.after:
        return None
    if item.before:
        return _added_by_parts(item, in_memory)
    return replace(item, is_shared=True) if _is_long(item) and _stays(item, in_memory) else None


def _added_by_parts(loop: Loop, in_memory: InMemory) -> Loop | None:
    """Sums that are added up in memory, shared by an index that everything which is added to has."""
    if not all(isinstance(part, Clear) for part in loop.before):
        return None
    inner = next((part for part in loop.body if isinstance(part, Loop) and not part.is_shared), None)
    while inner is not None:
        axes: dict[Tensor, int | None] = {}
        for statement in statements(loop):
            for target in [t for t in targets(statement) if in_memory(tensor_of(t))]:
                found = [axis for axis, place in enumerate(indices_of(target)) if place == inner.index]
                axes[tensor_of(target)] = found[0] if found else None
        if _is_long(inner) and None not in axes.values() and all(part.target in axes for part in loop.before):  # type: ignore[union-attr]
            cleared = tuple(replace(part, axis=axes[part.target]) for part in loop.before if isinstance(part, Clear))
            return replace(_with_shared(loop, inner), before=cleared)
        inner = next((part for part in inner.body if isinstance(part, Loop)), None) if len(inner.body) == 1 else None
    return None


def _with_shared(loop: Loop, chosen: Loop) -> Loop:
    """The nest with one of its inner loops marked as shared."""
    if loop is chosen:
        return replace(loop, is_shared=True)
    body = tuple(_with_shared(part, chosen) if isinstance(part, Loop) else part for part in loop.body)
    return replace(loop, body=body)


def _is_long(loop: Loop) -> bool:
    count = 1
    inner: Any = loop
    while isinstance(inner, Loop):
        count *= int(inner.extent) if inner.extent.is_Integer else LEAST
        inner = inner.body[0] if len(inner.body) == 1 else None
    return count >= LEAST and (not loop.extent.is_Integer or int(loop.extent) > 1)


def _product_by(item: Dot, sizes: Sizes, *, by_batch: bool) -> Dot | None:
    """The product with the axis that threads share: that of the batch, or a long one whose parts fill blocks."""
    free = [axis for axis in item.blocks.axes if not axis.is_bound]
    if by_batch:
        rows = next((axis for axis in free if axis.extent == sizes.batch and "," not in axis.name), None)
        return None if rows is None else replace(item, shared=rows.name)
    block = {item.blocks.rows, item.blocks.columns}

    def order(axis: Axis) -> tuple[Any, ...]:
        # Parts of a block leave registers empty, and the last vector of a part may not be a whole one.
        length = _length(axis.extent)
        return axis.name == item.blocks.vector, length < FEW, axis.name in block and length < WHOLE, -length

    free.sort(key=order)
    if not free or _length(free[0].extent) <= 1 or (free[0].name == item.blocks.vector and free[0].target != 1):
        return None
    return replace(item, shared=free[0].name)


def _by_columns(item: Dot) -> Dot | None:
    """The product with its columns as what threads share, where each would else copy all of the same large operand."""
    columns = next((axis for axis in item.blocks.axes if axis.name == item.blocks.vector), None)
    if item.blocks.copying < COPYING or columns is None or columns.is_bound or columns.target != 1:
        return None
    return replace(item, shared=columns.name) if STRIPS * STRIP <= _length(columns.extent) < float("inf") else None


def _length(extent: Expr) -> float:
    return int(extent) if extent.is_Integer else float("inf")
