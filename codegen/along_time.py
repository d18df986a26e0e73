"""Which ops run along time: those of a recurrence, and all that a step of it is made of or leads to, step by step.

A tensor has its time along the axis at which the ops of a recurrence, or others that were found before, read it at
their own step. An op that sums over time gives a sum; an op that reads time in another way stays outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from sympy import Integer

from ..symbolic.errors import SizeError, UnsupportedError
from ..symbolic.tensors import Tensor, indices_of, tensor_of
from .ops import Contraction, Op, Reduction, Scan

BACKWARD = 2  # the number of that function


@dataclass(eq=False)
class Unit:
    """An op or a recurrence: the function that it is in, its index of time or None, which segments it comes before."""

    op: Op | Scan
    part: int
    time: Any = None
    level: int = 0

    @property
    def extents(self) -> dict[Any, Any]:
        return {} if isinstance(self.op, Scan) else dict(self.op.space)


def parts_of(op: Any) -> tuple[Op, ...]:
    return op.ops if isinstance(op, Scan) else (op,)


def targets_of(op: Any) -> list[Tensor]:
    return [part.tensor for part in parts_of(op)]


def steps_apart(place: Any, time: Any) -> int | None:
    """The shift at which a step is read, or None where `place` is none."""
    gap = place - time
    return int(gap) if isinstance(gap, Integer) else None


def good_length(steps: int) -> int:
    """How many steps a segment has by default: about the square root, a divisor within a factor of two if there is one.

    All segments are then alike, and there is half as much code.
    """
    root = isqrt(steps - 1) + 1 if steps > 1 else 1
    fitting = [k for k in range((root + 1) // 2, 2 * root + 1) if steps % k == 0 and k < steps]
    return min(fitting, key=lambda k: (max(k * k / steps, steps / (k * k)), k), default=root)


class AlongTime:
    """What runs along time in the functions of a module; `with_checkpoints` says which errors are raised.

    Attributes
    ----------
    length, step, every : how many steps there are, the direction of the forward pass, how many steps a segment has
    units : all ops; those that run along time have an index of it, and are in the segments of their level
    axes : the axis of time of tensors
    makers : which unit makes a tensor
    local : the tensors that are kept for the steps of a segment only
    fixed : which steps of a tensor are read for themselves
    stored_at_bounds : the tensors of the forward pass whose steps a segment begins with are stored
    """

    def __init__(self, parts: Sequence[Sequence[Any]], every: int | bool, kept: set[Tensor], name: str) -> None:
        self.units = [Unit(op, number) for number, part in enumerate(parts[:3]) for op in part]
        self._find_recurrences(every, name)
        self.makers = {tensor: unit for unit in self.units for tensor in targets_of(unit.op)}
        self.axes: dict[Tensor, int] = {}
        self._find_times()
        self.fixed: dict[Tensor, set[int]] = {}
        self.local = {t for t in self.axes if t not in kept and self.makers[t].time is not None}
        self.local -= {tensor for part in parts[3:] for op in part for tensor in map(tensor_of, _reads(op))}
        self._find_levels()
        self._leave_out_what_is_whole()
        self.halos: dict[Tensor, tuple[int, int]] = {}
        self._find_halos()
        again = {t for unit in self.needed_again(self.units) for t in targets_of(unit.op)}
        self.stored_at_bounds = {t for t in again if t in self.local and self.halo(t)[0 if self.step > 0 else 1]}
        deepest = max((max(self.halo(tensor)) for tensor in self.local), default=0)
        if self.every < deepest:
            raise SizeError(
                f"checkpoint is {self.every}, but {name} reads {deepest} steps back; take at least {deepest}"
            )

    def halo(self, tensor: Tensor) -> tuple[int, int]:
        """How many steps before and behind a segment are read with it."""
        return self.halos.get(tensor, (0, 0))

    def sums(self, unit: Unit, op: Any) -> bool:
        """Whether an op sums over time."""
        return not isinstance(unit.op, Scan) and unit.time is not None and unit.time in op.bound

    def last_start(self, every: int, backward: bool) -> int:
        """The first step of the segment that is done last."""
        count, rest = divmod(self.length, every)
        if backward:  # full segments come last, in the other direction
            return 0 if self.step > 0 else self.length - every
        if rest:
            return count * every if self.step > 0 else 0
        return self.length - every if self.step > 0 else 0

    def needed_again(self, units: Iterable[Unit]) -> list[Unit]:
        """The units of the forward pass that those of the backward pass among `units` need, in order."""
        chosen: set[int] = set()
        stack = [tensor for unit in units if unit.part == BACKWARD for tensor in self._local_reads(unit)]
        while stack:
            unit = self.makers[stack.pop()]
            if unit.part != BACKWARD and id(unit) not in chosen:
                chosen.add(id(unit))
                stack += self._local_reads(unit)
        return [unit for unit in self.units if id(unit) in chosen]

    def _local_reads(self, unit: Unit) -> list[Tensor]:
        found = ((tensor_of(element), element) for element in _reads(unit.op))
        return [t for t, element in found if t in self.local and self._is_step(unit, element)]

    # ---- what the constructor does ----------------------------------------------------------------------------

    def _find_recurrences(self, every: int | bool, name: str) -> None:
        scans = [unit for unit in self.units if isinstance(unit.op, Scan)]
        forward = [unit.op for unit in scans if unit.part != BACKWARD]
        if not forward:
            raise UnsupportedError(
                f"checkpoint: {name} has no recurrence, so there is no state to compute the rest from again; "
                "leave checkpoint out"
            )
        kinds = {(op.length, op.step) for op in forward}  # type: ignore[union-attr]
        wrong = {(u.op.length, -u.op.step) for u in scans if u.part == BACKWARD} - kinds  # type: ignore[union-attr]
        if len(kinds) > 1 or wrong:
            shown = ", ".join(
                sorted(f"{length} steps {'forward' if step > 0 else 'in reverse'}" for length, step in kinds | wrong)
            )
            raise UnsupportedError(
                f"checkpoint: {name} has recurrences of different kinds ({shown}), which no segments fit; all must run "
                "over the same steps in the same direction; leave checkpoint out"
            )
        ((length, self.step),) = kinds
        self.length = int(length)
        self.every = good_length(self.length) if every is True else int(every)
        if self.every > self.length:
            raise SizeError(
                f"checkpoint is {self.every}, but {name} has {self.length} steps; take fewer, such as "
                f"{good_length(self.length)}, about the square root, or True"
            )
        for unit in scans:
            unit.time = unit.op.time  # type: ignore[union-attr]

    def _find_times(self) -> None:
        """Go from what is known to run along time to what that reads and what reads it, until nothing is new."""
        refused: set[Tensor] = set()
        for unit in self.units:
            for op in parts_of(unit.op) if unit.time is not None else ():
                self.axes[op.tensor] = indices_of(op.target).index(unit.time)
        before = (-1, -1)
        while before != (before := (len(self.axes), sum(unit.time is not None for unit in self.units))):
            for unit in self.units:
                if unit.time is None and not isinstance(unit.op, Scan):
                    unit.time = self._time_of(unit)
                    if unit.time is None and unit.op.tensor in self.axes:
                        del self.axes[unit.op.tensor]
                        refused.add(unit.op.tensor)
                if unit.time is None:
                    continue
                for element in _reads(unit.op):
                    tensor = tensor_of(element)
                    if tensor not in self.makers or tensor in self.axes or tensor in refused:
                        continue
                    places = indices_of(element)
                    found = [axis for axis, place in enumerate(places) if steps_apart(place, unit.time) is not None]
                    maker = self.makers[tensor]
                    # What was made by a sum over time, or along another index, has no time here.
                    if len(found) == 1 and maker.time is None:
                        self.axes[tensor] = found[0]

    def _time_of(self, unit: Unit) -> Any:
        """The index of time of an op, as far as it can be known yet; the axis of what it makes is noted."""
        op: Any = unit.op
        extents = unit.extents
        steps = [index for index in extents if extents[index] == self.length]
        places = indices_of(op.target)
        if op.tensor in self.axes:
            time = places[self.axes[op.tensor]]
            return time if time in steps and time in op.free else None
        found = {
            index
            for element in op.reads
            if tensor_of(element) in self.axes
            for index in steps
            if steps_apart(indices_of(element)[self.axes[tensor_of(element)]], index) is not None
        }
        if len(found) != 1:
            return None
        (time,) = found
        if time in op.bound:
            is_sum = isinstance(op, Contraction) or (isinstance(op, Reduction) and op.kind == "sum")
            return time if is_sum else None
        if time not in places:
            return None
        self.axes[op.tensor] = places.index(time)
        return time

    def _is_step(self, unit: Unit, element: Any) -> bool:
        """Whether a unit reads a tensor step by step."""
        place = indices_of(element)[self.axes[tensor_of(element)]]
        return unit.time is not None and steps_apart(place, unit.time) is not None

    def _find_levels(self) -> None:
        """Which segments each unit is in or comes before; what is read in another way than step by step is whole."""
        for unit in self.units:
            step = -self.step if unit.part == BACKWARD else self.step
            for element in _reads(unit.op):
                tensor = tensor_of(element)
                maker = self.makers.get(tensor)
                if maker is None or maker is unit:
                    continue
                stepwise = tensor in self.axes and self._is_step(unit, element)
                if maker.time is not None and tensor in self.local and not stepwise:
                    self._note_fixed(tensor, indices_of(element)[self.axes[tensor]])
                if maker.part != unit.part:
                    if unit.part != BACKWARD:
                        self.local.discard(tensor)
                    continue
                ahead = stepwise and steps_apart(indices_of(element)[self.axes[tensor]], unit.time) * step > 0  # type: ignore[operator]
                after = maker.time is not None and (not stepwise or ahead)
                unit.level = max(unit.level, maker.level + after)
        for unit in self.units:
            for element in _reads(unit.op):
                tensor = tensor_of(element)
                maker = self.makers.get(tensor)
                other = maker is not None and maker.part == unit.part and maker.level != unit.level
                if other and tensor in self.axes and self._is_step(unit, element):
                    self.local.discard(tensor)

    def _leave_out_what_is_whole(self) -> None:
        """Segments in which nothing is local save nothing."""
        groups: dict[tuple[int, int], list[Unit]] = {}
        for unit in self.units:
            if unit.time is not None:
                groups.setdefault((unit.part, unit.level), []).append(unit)
        for group in groups.values():
            if not self.needed_again(group) and not any(t in self.local for u in group for t in targets_of(u.op)):
                for unit in group:
                    unit.time = None

    def _note_fixed(self, tensor: Tensor, place: Any) -> None:
        """A step that is read for itself is stored if it is in the segment that is done last; else all are."""
        backward = self.makers[tensor].part == BACKWARD
        start, rest = self.last_start(self.every, backward), self.length % self.every
        length = self.every if backward or not rest else rest
        if isinstance(place, Integer) and start <= int(place) < start + length:
            self.fixed.setdefault(tensor, set()).add(int(place))
        else:
            self.local.discard(tensor)

    def _find_halos(self) -> None:
        for unit in self.units:
            for element in _reads(unit.op):
                tensor = tensor_of(element)
                if tensor in self.local and self._is_step(unit, element):
                    gap = steps_apart(indices_of(element)[self.axes[tensor]], unit.time)
                    assert gap is not None
                    low, high = self.halo(tensor)
                    self.halos[tensor] = (max(low, -gap), max(high, gap))


def _reads(op: Any) -> Iterator[Any]:
    for part in parts_of(op):
        yield from part.reads
