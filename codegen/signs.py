"""The sign of what went into a rectifier, asked of what came out of it: the backward pass keeps one of the two.

``a = z if z > 0 else c z`` with 0 ≤ c is positive where z is, and nowhere else (where z is not a number, neither is
said to be positive). So where the backward pass reads z for its sign alone, and reads a as it is, [z > 0] is [a > 0],
and z need not be stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr, Piecewise, StrictGreaterThan, true

from ..symbolic.tensors import Tensor, tensor_of
from .ops import Op, Pointwise, is_plain, tensors_read


def signs_of_outputs(forward: Sequence[Op], backward: Sequence[Op]) -> tuple[Op, ...]:
    """The ops of the backward pass, with [z > 0] asked of a wherever z is then not read at all."""
    read = set(tensors_read(backward))
    for before, after in _rectified(forward):
        if before in read and after in read:
            changed = tuple(_asked(op, before, after) for op in backward)
            if before not in set(tensors_read(changed)):
                backward = changed
    return tuple(backward)


def _rectified(ops: Sequence[Op]) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs z, a of the rectifiers among `ops`, element by element."""
    for op in ops:
        if isinstance(op, Pointwise) and isinstance(op.body, Piecewise) and is_plain(op.target):
            (value, condition), *others = op.body.args
            if len(others) == 1 and others[0][1] == true and condition == StrictGreaterThan(value, 0):
                slope = others[0][0] / value
                if value.is_Indexed and value.indices == op.target.indices and slope.is_number and slope >= 0:
                    yield tensor_of(value), op.tensor


def _asked(op: Op, before: Tensor, after: Tensor) -> Op:
    def is_sign(part: Any) -> bool:
        return isinstance(part, StrictGreaterThan) and part.rhs == 0 and _is_element(part.lhs, before)

    def of_output(part: Any) -> Expr:
        return StrictGreaterThan(after[part.lhs.indices], 0)

    return replace(op, body=op.body.replace(is_sign, of_output)) if before in set(tensors_read([op])) else op


def _is_element(part: Any, tensor: Tensor) -> bool:
    return bool(part.is_Indexed) and tensor_of(part) == tensor
