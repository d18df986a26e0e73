"""Recurrences in code: time leads the axes of what runs along it, and the ops of one step stand together.

A step then reads and writes whole matrices, and everything that does not depend on an earlier step is left outside the
loop over time: one large product over all steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr

from ..symbolic.binders import Binder
from ..symbolic.equations import Equation
from ..symbolic.indices import Index
from ..symbolic.recurrence import Recurrence, blocks
from ..symbolic.tensors import Adjoint, Tensor, indices_of, is_element, tensor_of
from .ops import Contraction, Op, Scan

_TIME = Index("t")


def time_axes(equations: Iterable[Equation]) -> dict[Tensor, int]:
    """The axis of time of every tensor that a recurrence defines."""
    return {
        tensor: axis
        for block in blocks(equations)
        if isinstance(block, Recurrence)
        for tensor, axis in block.axes.items()
    }


def time_first(equations: Iterable[Equation], axes: dict[Tensor, int]) -> list[Equation]:
    """The same equations, with the axis of time moved to the front of the tensors in `axes`."""
    moved = {tensor: _moved(tensor, axis) for tensor, axis in axes.items() if axis}

    def walk(node: Any) -> Any:
        if is_element(node) and tensor_of(node) in moved:
            where = [walk(place) for place in indices_of(node)]
            return moved[tensor_of(node)][_to_front(where, axes[tensor_of(node)])]
        if isinstance(node, Binder):
            body, pairs = node.open()
            return node.func(walk(body), *pairs)
        return node.func(*map(walk, node.args)) if node.args and not isinstance(node, Tensor) else node

    made = []
    for equation in equations:
        target = moved.get(equation.target)
        changed = walk(equation.body) if moved else equation.body
        if target is None:
            made.append(replace(equation, body=changed))
        else:
            where = _to_front(equation.indices, axes[equation.target])
            made.append(replace(equation, target=target, indices=where, body=changed))
    return made


def as_declared(tensor: Tensor, axis: int, name: str, indices: Sequence[Any]) -> Equation:
    """The equation that gives `tensor`, stored time first, its axes in the order of the declaration, as `name`."""
    copy = Tensor(name, tensor.shape, tensor.role)
    return Equation(copy, tuple(indices), _moved(tensor, axis)[_to_front(indices, axis)], "axes as declared")


def _moved(tensor: Tensor, axis: int) -> Tensor:
    if isinstance(tensor, Adjoint):
        return Adjoint(_moved(tensor.of, axis), tensor.loss)
    shape = _to_front(tensor.shape, axis)
    return Tensor(tensor.name, shape, tensor.role, classes=tensor.classes, latex=tensor.latex)


def _to_front(parts: Sequence[Any], axis: int) -> tuple[Any, ...]:
    return (parts[axis], *parts[:axis], *parts[axis + 1 :])


def gather_steps(ops: Sequence[Op]) -> list[Op | Scan]:
    """The ops of each recurrence as one `Scan`, where its first one stands."""
    makers = {op.tensor: op for op in ops}
    stand_ins = [Equation(op.tensor, indices_of(op.target), op.body) for op in ops]  # what a recurrence is found from
    made: list[Op | Scan] = []
    for block in blocks(stand_ins):
        if isinstance(block, Recurrence):
            made.append(_scan([makers[e.target] for e in block.equations], block))
        else:
            made.append(makers[block.target])
    return made


def _scan(ops: Sequence[Op], recurrence: Recurrence) -> Scan:
    time = next(name for name in (_TIME, *map(Index, "uvw")) if all(not op.body.has(name) for op in ops))
    steps = []
    length: Expr | None = None
    for op in ops:
        own = indices_of(op.target)[recurrence.axes[op.tensor]]
        length = dict(op.space)[own]
        parts: dict[str, Any] = {"target": op.target, "body": op.body}
        if isinstance(op, Contraction):
            parts |= {"left": op.left, "right": op.right, "when": op.when}
        renamed: dict[str, Any] = {
            name: tuple(p.xreplace({own: time}) for p in part) if name == "when" else part.xreplace({own: time})
            for name, part in parts.items()
        }
        if isinstance(op, Contraction):
            renamed |= {name: tuple(i for i in getattr(op, name) if i != own) for name in ("rows", "columns", "batch")}
        steps.append(replace(op, space=tuple((i, size) for i, size in op.space if i != own), **renamed))
    assert length is not None
    return Scan(time, length, recurrence.step, tuple(steps))
