"""`epoch` of the tiniest networks: one function in which every loop but those over steps and rows is unrolled.

Parameters and the optimizer's state are local variables from the first step to the last; nothing is stored in between.
A step has three parts: what depends on the parameters alone, the rows one by one (sums over the batch are local
variables too), and what depends on those sums; then the optimizer's equations, entry by entry.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import sympy
from sympy import Expr, Integer, KroneckerDelta, Symbol

from ..symbolic.tensors import Tensor, elements, indices_of, is_element, tensor_of
from .kernels import UnrolledEpoch
from .ops import Op, Reduction, Scan, tensors_read
from .plan import Plan
from .scan import gather_steps
from .unrolled_fold import Scalar
from .unrolled_writer import ROW, StepWriter, trained

LIMIT = 600
"""Up to how many operations per row and step loops are unrolled: beyond, compilation takes longer than it is worth."""

Moment = tuple[Op, dict[Symbol, Integer]]  # an op, and where in time: recurrences are unrolled too
BEFORE, ROWS, AFTER = range(3)


def unroll_epoch(plan: Plan, unroll: bool | None = None) -> UnrolledEpoch | None:
    """The body of `epoch` as straight-line code, or None where the ordinary schedule is to make it.

    Parameters
    ----------
    unroll : whether to; by default where a step has at most `LIMIT` operations per row

    Returns
    -------
    None if there is nothing to train, the network has modes, or rows of the batch need each other in another way than
    by sums that only the loss and the gradients are made of.
    """
    batch = plan.sizes.batch
    if unroll is False or plan.update is None or not plan.layout.trainable or batch is None or plan.network.has_modes:
        return None
    ops = _needed(plan)
    if not all(_is_regular(op, batch) for op in ops) or (unroll is None and operations(plan, ops) > LIMIT):
        return None
    moments = _moments(plan, {op.tensor for op in ops})
    phases = _phases(moments, plan)
    if phases is None:
        return None
    scalars = [[scalar for op, at in phase for scalar in _scalars(op, at, plan)] for phase in phases]
    return UnrolledEpoch(
        by_row=StepWriter(plan, by_row=True).epoch(*scalars), by_batch=StepWriter(plan).epoch(*scalars)
    )


def operations(plan: Plan, ops: Sequence[Op]) -> int:
    """About how many scalar operations one step takes per row."""
    total = 0
    for op in ops:
        times = math.prod(int(size) for index, size in op.space if size != plan.sizes.batch)
        total += times * (_nodes(op.body) + bool(op.bound))
    assert plan.update is not None
    return total + plan.layout.trainable * sum(_nodes(body) for stage in plan.update.stages for body in stage.bodies)


def _nodes(expr: Any) -> int:
    if is_element(expr) or not expr.args or expr.is_number:
        return 0
    own = len(expr.args) - 1 - (expr.args[0] == -1) if isinstance(expr, sympy.Add | sympy.Mul) else 1
    return own + sum(map(_nodes, expr.args))


def _needed(plan: Plan) -> list[Op]:
    """The ops that the loss and the gradients of what is trained are made by."""
    ops = [*plan.schedule.forward, *plan.schedule.loss, *plan.schedule.backward]
    makers = {op.tensor: op for op in ops}
    needed: set[Tensor] = set()
    stack = [plan.network.loss, *(plan.schedule.gradients[tensor.name] for tensor in trained(plan))]
    while stack:
        tensor = stack.pop()
        if tensor in makers and tensor not in needed:
            needed.add(tensor)
            stack += tensors_read([makers[tensor]])
    return [op for op in ops if op.tensor in needed]


def _is_regular(op: Op, batch: Any) -> bool:
    """Whether the op reads and makes rows of the batch one by one, and all other axes have numbers for sizes."""
    rows = [index for index, size in op.space if size == batch]
    if len(rows) > 1 or any(size != batch and not isinstance(size, Integer) for _, size in op.space):
        return False
    read = [element for element in (*op.reads, op.target) if isinstance(element, sympy.Indexed)]
    for element in read:
        for place, size in zip(indices_of(element), tensor_of(element).shape, strict=True):
            if (size == batch) != (place in rows) or (place not in rows and _has_beside_elements(place, rows)):
                return False
    return not _has_beside_elements(op.body, rows)


def _has_beside_elements(expr: Any, indices: Sequence[Symbol]) -> bool:
    """Whether `expr` uses one of `indices` other than to say which element it reads."""
    return bool(expr.xreplace({element: Integer(1) for element in elements(expr)}).has(*indices))


def _moments(plan: Plan, wanted: set[Tensor]) -> list[Moment]:
    """The ops in order, those of a recurrence one step after the other."""
    made: list[Moment] = []
    for part in (plan.schedule.forward, plan.schedule.loss, plan.schedule.backward):
        for item in gather_steps([op for op in part if op.tensor in wanted]):
            if isinstance(item, Scan):
                times = range(int(item.length))[:: item.step]
                made += [(op, {item.time: Integer(time)}) for time in times for op in item.ops]
            else:
                made.append((item, {}))
    return made


def _phases(moments: Sequence[Moment], plan: Plan) -> list[list[Moment]] | None:
    """What is computed before the rows, for each row, and after them; None if rows need what all rows give."""
    batch = plan.sizes.batch
    known = {tensor: ROWS if batch in tensor.shape else BEFORE for tensor in plan.data}
    phases: list[list[Moment]] = [[], [], []]
    for op, at in moments:
        phase = max((known.get(tensor, BEFORE) for tensor in tensors_read([op])), default=BEFORE)
        known[op.tensor] = phase
        for index, size in op.space:
            if size == batch:
                if phase == AFTER or (index in op.bound and getattr(op, "kind", "sum") != "sum"):
                    return None
                phase, known[op.tensor] = ROWS, AFTER if index in op.bound else ROWS
        phases[phase].append((op, at))
    return phases


def _scalars(op: Op, at: dict[Symbol, Integer], plan: Plan) -> Iterator[Scalar]:
    """One op as scalar operations."""
    target, body, space = op.target.xreplace(at), op.body.xreplace(at), dict(op.space)
    kind = op.kind if isinstance(op, Reduction) else "sum" if op.bound else "set"
    for place, size in zip(indices_of(target), plan.sizes.shape(op.tensor.shape), strict=True):
        if is_element(place):
            # Data say where to add: everywhere, what is 0 elsewhere.
            index = sympy.Dummy(integer=True)
            target, body, space[index] = target.xreplace({place: index}), body * KroneckerDelta(place, index), size
    rows = {index: ROW for index, size in space.items() if size == plan.sizes.batch}
    over_rows = any(index in op.bound for index in rows)
    bound = {index: space[index] for index in op.bound if index not in rows}
    free = {index: size for index, size in space.items() if index not in bound and index not in rows}
    for point in _points(free):
        terms = tuple(body.xreplace(rows | point | inner) for inner in _points(bound))
        yield Scalar(target.xreplace(rows | point), terms, kind, over_rows, op.equation)


def _points(space: dict[Any, Expr]) -> Iterator[dict[Any, Integer]]:
    for places in itertools.product(*(range(int(size)) for size in space.values())):
        yield dict(zip(space, map(Integer, places), strict=True))
