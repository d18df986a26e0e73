"""A training in which blocks wait for each other once a step, or never: each does everything small for itself.

Parameters, their gradients and the optimizer's states lie in the shared memory of every block for the whole of `train`,
and all blocks compute the same bits. What is large is divided (`divided`): each block keeps its part. A network without
anything large is one block's. This file says what such a training does and where it keeps things; `block_training`
writes it, and `write` compares its `cycles` with those of the form in which all blocks share all work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, prod
from typing import Any

from sympy import Dummy, Expr, Mul

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from ..ops import Contraction, Op, Reduction, is_index
from ..plan import Plan
from ..scan import gather_steps
from ..sizes import Sizes
from ..teams import rows_first
from .assumed import STATEMENT, WAIT
from .costs import at_rows
from .divided import Divider, Division, Parts, divisions
from .fuse import fused
from .kinds import Divided, Each, Phase, Together
from .phases import phases_of

SHARED = 48 * 1024  # bytes that a block has without asking at the launch
MOST_HELD = SHARED // 2  # bytes that the parameters of every block may take, with gradients and states
COPIED = 64  # numbers of a row of data: rows of no more are copied
MOST_PARTS = 64
MEETING, ENTRY = 100, 12  # cycles, rounded: a wait for a block's threads; an entry of a sum
WORTH = 1.5  # times as long one block takes alone before others are asked, who have to be waited for
UNEVEN = 1.1  # times as long take parts of two lengths, which are no constants
FROM_AFAR = 16  # numbers that come to a block from global memory in a cycle


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


# ---- how long it takes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What an op does: numbers for the cost model.

    Attributes
    ----------
    free, bound : index → how far it runs
    far : data that are read where they are, and how many numbers they have
    """

    free: Mapping[Any, int]
    bound: Mapping[Any, int]
    far: Mapping[Tensor, int]

    @classmethod
    def of(cls, op: Op, sizes: Sizes) -> Work:
        extents = {index: at_rows(extent, sizes) for index, extent in op.space}
        far = {tensor for tensor in map(tensor_of, op.reads) if is_far(tensor, sizes)}
        return cls(
            {index: extents[index] for index in op.free},
            {index: extents[index] for index in op.bound},
            {tensor: _count(tensor.shape, sizes) for tensor in far},
        )


def chosen(
    ops: Sequence[Op], plan: Plan, threads: int, only: Division | None = None, most: int | None = None
) -> tuple[float, Parts | None]:
    """The quickest way to divide a training, and how many cycles a step takes then, about.

    With `only`, of the ways to divide it so in parts of `most` at most.
    """
    sizes, gradients = plan.sizes, gradients_of(plan)
    work = [Work.of(op, sizes) for op in ops]
    lengths = {parameter: _count(parameter.shape, sizes) for parameter in gradients}

    def cycles(parts: Parts | None) -> float:
        return _cycles(work, parts, lengths, plan, threads)

    alone = inf if only else cycles(None)
    best: tuple[float, Parts | None] = (alone, None)
    for division in [only] if only else divisions(ops, gradients, sizes):
        counts = range(2, min(MOST_PARTS, division.length) + 1)
        found = dict.fromkeys(ceil(division.length / count) for count in counts)
        for size in (size for size in found if most is None or size <= most):
            parts = Parts.of(division, size)
            best = min(best, (cycles(parts), parts), key=lambda pair: pair[0])
    return best if alone > WORTH * best[0] else (alone, None)


def _cycles(
    work: Sequence[Work], parts: Parts | None, lengths: Mapping[Tensor, int], plan: Plan, threads: int
) -> float:
    axes = {} if parts is None else parts.division.axes
    each = 2 + len(plan.layout.state)
    changed = sum(length for parameter, length in lengths.items() if parameter not in axes)
    if changed * each * _bytes(plan) > MOST_HELD:
        return inf
    total = 0.0
    for place, one in enumerate(work):
        index = parts.division.indices.get(place) if parts else None
        # Where nothing is divided along an index, `own` is empty.
        own = {index: parts.size} if parts and index is not None else {}
        points = prod(own.get(at, count) for at, count in one.free.items())
        length = prod(own.get(at, count) for at, count in one.bound.items())
        total += _sum_cycles(points, length, threads)
        total += sum(count for tensor, count in one.far.items() if tensor not in axes) / FROM_AFAR
        if parts and index in one.bound:
            total += WAIT + _sum_cycles(points, parts.count, threads) + points * parts.count / FROM_AFAR
    if parts:
        sliced = [length for parameter, length in lengths.items() if parameter in axes]
        changed += sum(length // parts.division.length * parts.size for length in sliced)
        total *= 1 if parts.own == parts.size else UNEVEN
    return total + MEETING + ceil(changed / threads) * STATEMENT * each


def is_far(tensor: Tensor, sizes: Sizes) -> bool:
    """Whether an op reads rows of data where they are, in global memory: they are long, and not divided."""
    is_batched = tensor.role in ("input", "target") and tensor.rank and tensor.shape[0] == sizes.batch
    return bool(is_batched and _count(tensor.shape[1:], sizes) > COPIED)


def _sum_cycles(points: int, length: int, threads: int) -> float:
    """Of sums, so many and so long, by the threads of a block: one of each, or by the warps where there are few."""
    alone = MEETING + ceil(points / threads) * (STATEMENT + length * ENTRY)
    return min(alone, MEETING + ceil(points * 32 / threads) * (4 * STATEMENT + ceil(length / 32) * ENTRY))


def _count(shape: Sequence[Any], sizes: Sizes) -> int:
    return prod((at_rows(size, sizes) for size in sizes.shape(shape)), start=1)


def _bytes(plan: Plan) -> int:
    return 4 if plan.real == "float32" else 8


# ---- the phases ----------------------------------------------------------------------------------------------------


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
