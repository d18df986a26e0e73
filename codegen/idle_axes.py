"""Values that are the same all along an axis are stored without it.

In the derivative of z[b, j] = Σ_k W[j, k] x[b, k] along x's first entry, ż[b, j] = W[j, 0], nothing depends on b.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr

from ..symbolic.equations import Equation
from ..symbolic.tensors import Tensor, elements, indices_of, tensor_of
from .ops import Contraction, Op, Pointwise, is_plain, tensors_read

Temporary = Callable[[str, dict[Any, Expr], Equation], Expr]


def without_idle_axes(ops: Sequence[Op], whole: Collection[Tensor | None], temporary: Temporary) -> list[Op]:
    """The same ops, with tensors of fewer axes where the axes left out do not matter.

    Parameters
    ----------
    whole : the tensors that are handed out, and so keep all axes
    temporary : makes the element of a new tensor
    """
    fixed = {*whole, *tensors_read(op for op in ops if isinstance(op, Contraction))}
    made: list[Op] = []
    shorter: dict[Tensor, tuple[Tensor, tuple[int, ...]]] = {}
    known: set[Tensor] = set()
    later = {op.tensor for op in ops}
    for op in ops:
        op = _with_shorter(op, shorter)
        later.discard(op.tensor)
        used = [axis for axis, place in enumerate(indices_of(op.target)) if op.body.has(place)]
        is_idle = 0 < len(used) < op.tensor.rank and isinstance(op, Pointwise) and is_plain(op.target)
        # In a recurrence, what is read may be made later.
        if is_idle and op.tensor not in fixed | known and later.isdisjoint(tensors_read([op])):
            extents = dict(op.space)
            indices = [indices_of(op.target)[axis] for axis in used]
            target = temporary("alike", {index: extents[index] for index in indices}, op.equation)
            shorter[op.tensor] = tensor_of(target), tuple(used)
            op = replace(op, target=target, space=tuple((index, extents[index]) for index in indices))
        known.add(op.tensor)
        made.append(op)
    return made


def _with_shorter(op: Op, shorter: dict[Tensor, tuple[Tensor, tuple[int, ...]]]) -> Op:
    names = {element: _shorter(element, *shorter[tensor_of(element)]) for element in _found(op, shorter)}
    return replace(op, body=op.body.xreplace(names)) if names else op


def _found(op: Op, tensors: Collection[Tensor]) -> Iterable[Expr]:
    return [element for element in elements(op.body) if tensor_of(element) in tensors]


def _shorter(element: Expr, tensor: Tensor, axes: Sequence[int]) -> Expr:
    return tensor[tuple(indices_of(element)[axis] for axis in axes)]
