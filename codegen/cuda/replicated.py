"""A training in which blocks wait for each other once a step, or never: each does everything small for itself.

Parameters, their gradients and the optimizer's states lie in the shared memory of every block for the whole of `train`,
and all blocks compute the same bits. What is large is divided (`divided`): each block keeps its part. A network without
anything large is one block's. This file says what such a training does, of `block_ops`; `block_places` says where it
keeps things, `block_training` writes it, and compares its cycles (`block_costs`) with those of the form in which all
blocks share all work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sympy import Dummy, Expr

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, tensor_of
from ..ops import Op
from ..plan import Plan
from .block_costs import is_far
from .block_ops import gradients_of
from .divided import Divider, Division, Parts
from .fuse import fused
from .kinds import Divided, Each, Phase, Together
from .phases import phases_of


@dataclass(frozen=True)
class Replicated:
    """What a block does in a step.

    Attributes
    ----------
    phases : from the drawing of rows to the gradients
    divider : what is divided; None if nothing is
    gradients, states : trained parameter → its gradient, and the optimizer's states of it
    unused : a name that no tensor has, from one that is wanted
    """

    phases: tuple[Phase, ...]
    divider: Divider | None
    gradients: Mapping[Tensor, Tensor]
    states: Mapping[Tensor, tuple[Tensor, ...]]
    unused: Callable[[str], str]


def replicated(ops: Sequence[Op], plan: Plan, parts: Parts | None, unused: Callable[[str], str]) -> Replicated:
    """The phases of a step, the rows of data first; `unused` names what is new."""
    sizes, gradients = plan.sizes, gradients_of(plan)
    states = {
        parameter: tuple(Tensor(unused(f"{name}_{parameter.name}"), parameter.shape) for name in plan.layout.state)
        for parameter in gradients
    }
    divider = None
    if parts is not None:
        axes = parts.division.axes
        own = {state: axes[parameter] for parameter in gradients if parameter in axes for state in states[parameter]}
        parts = replace(parts, division=Division({**axes, **own}, parts.division.indices, parts.division.length))
        divider = Divider(parts, sizes, unused)
    phases: list[Phase] = []
    ops = _drawn(ops, plan, divider, phases, unused)
    for place, op in enumerate(ops):
        if divider is None or place not in divider.parts.division.indices:
            phases += _phases([op], plan)
            continue
        own_part, added = divider.ops(op, place)
        phases += divided_phases(own_part, plan, divider)
        phases += _phases([added] if added else [], plan)
    # What is done with an entry right after it is made needs no memory; joined by rows first, it would.
    joined = fused(fused(phases, sizes, short=0), sizes)
    return Replicated(tuple(joined), divider, gradients, states, unused)


def divided_phases(op: Op, plan: Plan, divider: Divider) -> list[Phase]:
    """An op for the part at hand."""
    found = _phases([op], plan)
    assert all(isinstance(phase, Each | Together) for phase in found)
    part, count = divider.parts.part, divider.parts.count
    return [Divided(part, count, phase) for phase in found if isinstance(phase, Each | Together)]


def _phases(ops: Sequence[Op], plan: Plan) -> list[Phase]:
    return phases_of(ops, plan.sizes, plan.lowering.temporary, by_block=True)


def _drawn(
    ops: Sequence[Op], plan: Plan, divider: Divider | None, phases: list[Phase], unused: Callable[[str], str]
) -> list[Op]:
    """The ops as they read the rows of data that `phases` copy: parts of those that are divided, and short ones."""
    sizes, moved = plan.sizes, dict[Tensor, Tensor]()
    axes = {} if divider is None else divider.parts.division.axes
    read = {tensor_of(element) for op in ops for element in op.reads}
    for tensor in plan.data:
        if not tensor.rank or tensor.shape[0] != sizes.batch or tensor not in read:
            continue
        if divider is not None and tensor in axes:
            held, value, space = divider.pair(tensor)
            phases += divided_phases(copy_of(held, value, space), plan, divider)
        elif not is_far(tensor, sizes):
            shape = sizes.shape(tensor.shape)
            copy = Tensor(unused(f"{tensor.name}_drawn"), shape, tensor.role, classes=tensor.classes)
            letters = [Dummy(name, integer=True) for name, _ in zip("ijklmn", shape, strict=False)]
            space = tuple(zip(letters, shape, strict=True))
            phases += _phases([copy_of(copy[tuple(letters)], tensor[tuple(letters)], space)], plan)
            moved[tensor] = copy
    return [_reading(op, moved) for op in ops]


def copy_of(target: Expr, value: Expr, space: tuple[tuple[Any, Expr], ...]) -> Op:
    """``target = value``."""
    letters = tuple(letter for letter, _ in space)
    return Op(target, value, space, Equation(tensor_of(target), letters, value))


def _reading(op: Op, moved: Mapping[Tensor, Tensor]) -> Op:
    names = {e: moved[tensor_of(e)][e.indices] for e in op.reads if tensor_of(e) in moved}
    return replace(op, body=op.body.xreplace(names), target=op.target.xreplace(names)) if names else op
