"""The ops of a step that blocks may do each for itself, and the gradients that they make."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Mul

from ...symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from ..ops import Contraction, Op, Reduction, is_index
from ..plan import Plan
from ..scan import gather_steps
from ..teams import rows_first


def training_ops(plan: Plan) -> list[Op] | None:
    """The ops of a step.

    None if they need each other along time, read windows, as convolutions do, or need noise or the network's states;
    and if the optimizer sums over the parameters.
    """
    network, schedule, sizes = plan.network, plan.schedule, plan.sizes
    if plan.update is None or sizes.batch is None or network.loss is None or network.has_modes or network.noises:
        return None
    if any(one.index is not None for stage in plan.update.stages for one in stage.once):
        return None
    parts = (schedule.forward, schedule.loss, schedule.backward)
    steps = [op for part in parts for op in gather_steps(rows_first(part, sizes, plan.lowering.temporary))]
    if not all(isinstance(op, Op) and _is_direct(op) for op in steps):
        return None
    ops = [_plain(op) for op in steps if isinstance(op, Op)]
    return _needed(ops, {network.loss, *gradients_of(plan).values()})


def gradients_of(plan: Plan) -> dict[Tensor, Tensor]:
    """Trained parameter → its gradient, in the order in which they lie."""
    trained = [name for name, place in plan.layout.parameters.items() if place.offset < plan.layout.trainable]
    return {plan.network.tensors[name]: plan.schedule.gradients[name] for name in trained}


def _is_direct(op: Op) -> bool:
    """Whether every position that is read is an index, a number or what data say."""
    places = [place for element in op.reads for place in indices_of(element)]
    return all(place.is_Integer or is_index(place) or is_element(place) for place in places)


def _plain(op: Op) -> Op:
    if not isinstance(op, Contraction):
        return op
    return Reduction(op.target, Mul(op.left, op.right, *op.when), op.space, op.equation, op.bound)


def _needed(ops: Sequence[Op], wanted: set[Tensor]) -> list[Op]:
    """The ops that make what is wanted; not those of gradients that no parameter takes."""
    made: list[Op] = []
    for op in reversed(ops):
        if op.tensor in wanted:
            made.append(op)
            wanted = wanted | {tensor_of(element) for element in op.reads}
    return made[::-1]
