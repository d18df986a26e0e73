"""Checkpoints: of a recurrence only the state at every k-th step is stored; the rest is computed again for gradients.

All that runs along time, the recurrences and what each step of theirs is made of or leads to, is done in segments of k
steps, in buffers of k steps. The forward pass stores what every segment begins with. The backward pass takes the
segments in reverse: it computes the forward pass of one again from there, then its deltas, and adds what it gives to
the sums over time, the gradients of the weights. Activations then take memory of the order of T/k + k instead of T,
for one more forward pass (T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training deep nets with sublinear memory cost",
2016; A. Gruslys et al., "Memory-efficient backpropagation through time", 2016).

What is read along time in another way, as by attention, what one function hands to another, as the loss of every step,
and what the module hands out, is stored whole. `along_time.py` finds which ops run along time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr, Integer, expand

from ..symbolic.tensors import Tensor, element_of, indices_of
from .along_time import AlongTime, Unit, parts_of, targets_of
from .lower import Lowering
from .one_step import flat, rewritten
from .ops import Op, Pointwise, Reduction, Scan, Segments, Steps, tensors_read
from .segment_buffers import Segment, SegmentBuffers
from .sizes import Sizes


class Checkpoints(SegmentBuffers):
    """The ops of a module in segments of time; see `SegmentBuffers` for the parameters."""

    def part(self, number: int) -> list[Steps]:
        """One function: what does not run along time, and the segments, in turn."""
        found = self.found
        units = [unit for unit in found.units if unit.part == number]
        made: list[Steps] = []
        for level in range(max((unit.level for unit in units), default=-1) + 1):
            own = [unit for unit in units if unit.level == level]
            made += [self._plain(unit) for unit in own if unit.time is None]
            inside = [unit for unit in own if unit.time is not None]
            if inside:
                made += self._segments(inside, number)
        return made

    # ---- inside ----------------------------------------------------------------------------------------------

    def _plain(self, unit: Unit) -> Any:
        return rewritten(unit.op, self._snapshot)

    def _snapshot(self, tensor: Tensor, places: Sequence[Any]) -> Expr:
        """What one step of a tensor in segments was, stored by itself."""
        if tensor not in self.found.fixed or tensor not in self.found.local:
            return element_of(tensor, places)
        axis = self.found.axes[tensor]
        return element_of(self._fixed(tensor, int(places[axis])), (*places[:axis], *places[axis + 1 :]))

    def _segments(self, units: list[Unit], number: int) -> list[Steps]:
        backward = number == 2
        step = -self.found.step if backward else self.found.step
        again = self.found.needed_again(units) if backward else []
        made: list[Steps] = [self._zero(op) for unit in units for op in parts_of(unit.op) if self.found.sums(unit, op)]
        carried = [tensor for unit in (*again, *units) for tensor in targets_of(unit.op) if self._carried(tensor, step)]
        sums = [op.tensor for unit in units for op in parts_of(unit.op) if self.found.sums(unit, op)]
        halos = [self._local(tensor, self.full, backward) for tensor in carried]
        body = self._inside(self.full, units, again, carried, step)
        loop = Segments(self.full.index, self.count, step, tuple(body), (*halos, *sums))
        tail = [] if self.last is None else self._inside(self.last, units, again, carried, step)
        made += [*tail, loop] if backward else [loop, *tail]
        where = self.full if backward or self.last is None else self.last
        start = self._last_start(backward)
        for unit in units:
            for tensor in targets_of(unit.op):
                for at in sorted(self.found.fixed.get(tensor, ())) if tensor in self.found.local else ():
                    made.append(self._keep_step(unit, tensor, at, at - start, where, backward))
        return made

    def _last_start(self, backward: bool) -> int:
        """The first step of the segment that is done last."""
        return self.found.last_start(self.every, backward)

    def _inside(
        self, segment: Segment, units: list[Unit], again: list[Unit], carried: list[Tensor], step: int
    ) -> list[Op | Scan]:
        """The ops of one segment."""
        backward = step != self.found.step
        made: list[Op | Scan] = []
        makers = {tensor: unit for unit in (*again, *units) for tensor in targets_of(unit.op)}
        if step < 0:
            for tensor in carried:
                low, high = self.found.halo(tensor)
                made += [
                    self._copy(makers[tensor], tensor, segment, low + segment.length + at, low + at, backward)
                    for at in range(high)
                ]
        stored = [tensor for tensor in makers if tensor in self.found.stored_at_bounds]
        made += [op for tensor in stored for op in self._bound(makers[tensor], tensor, segment, backward)]
        made += [self._in_segment(unit, segment, backward) for unit in again]
        for unit in units:
            op = self._in_segment(unit, segment, backward)
            made += self._added(op, segment) if self.found.sums(unit, unit.op) else [op]
        if step > 0:
            for tensor in carried:
                made += [
                    self._copy(makers[tensor], tensor, segment, at, at + segment.length, backward)
                    for at in range(self.found.halo(tensor)[0])
                ]
        return made

    def _in_segment(self, unit: Unit, segment: Segment, backward: bool) -> Any:
        """The ops of a unit for the steps of a segment, in its buffers."""
        found, time = self.found, unit.time

        def element(tensor: Tensor, places: tuple[Any, ...]) -> Expr:
            if tensor not in found.local:
                return element_of(tensor, places)
            axis = found.axes[tensor]
            if isinstance(places[axis], Integer):
                return self._snapshot(tensor, places)
            own = expand(places[axis] - segment.start + found.halo(tensor)[0])
            here = self._local(tensor, segment, backward)
            return element_of(here, (*places[:axis], own, *places[axis + 1 :]))

        made = rewritten(unit.op, element, {time: time + segment.start})
        if isinstance(made, Scan):
            return replace(made, length=Integer(segment.length))
        return replace(made, space=tuple((i, Integer(segment.length) if i == time else n) for i, n in made.space))

    def _added(self, op: Op, segment: Segment) -> list[Op]:
        """A sum over time: that over the steps of a segment, added to what there is."""
        shape = self.sizes.shape(op.tensor.shape)
        part = self._tensor((op.tensor, "part", segment.index), f"{op.tensor.name}_part", shape, op.tensor)
        of_part = element_of(part, indices_of(op.target))
        if not isinstance(op, Reduction) or not op.is_scatter:
            space = tuple((index, size) for index, size in op.space if index in op.free)
            target, added = op.target, of_part
        else:
            target, space = self._whole(op.tensor)
            added = element_of(part, indices_of(target))
        return [replace(op, target=of_part), Pointwise(target, target + added, space, op.equation)]


def kept_between(parts: Sequence[Sequence[Steps]], outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors that one function makes and another reads without making them itself, and the outputs."""
    made = [dict.fromkeys(op.tensor for op in flat(part)) for part in parts]
    read = [set(tensors_read(flat(part))) for part in parts]
    return tuple(
        tensor
        for place, own in enumerate(made)
        for tensor in own
        if tensor in outputs
        or any(tensor in read[other] and tensor not in made[other] for other in range(len(parts)) if other != place)
    )


def with_checkpoints(
    parts: Sequence[Sequence[Steps]],
    every: int | bool,
    handed_out: Iterable[Tensor],
    lowering: Lowering,
    sizes: Sizes,
) -> tuple[list[list[Steps]], dict[Tensor, Tensor]]:
    """The ops of `forward`, `loss` and `backward` (and what follows, as it is) in segments of time.

    Parameters
    ----------
    every : k, how many steps a segment has; True for about the square root of their number
    handed_out : the tensors that must be stored whole

    Returns
    -------
    The ops, and the owners of new tensors that are parts of others.

    Raises
    ------
    UnsupportedError
        If there is no recurrence, or if there are several of different lengths or directions.
    SizeError
        If `every` is more than the number of steps, or less than a step reads back.
    """
    found = AlongTime(parts, every, set(handed_out), lowering.network.name)
    made = Checkpoints(found, found.every, lowering, sizes)
    return [made.part(number) if number < 3 else list(part) for number, part in enumerate(parts)], made.owners
