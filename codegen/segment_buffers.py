"""Segments of time, and the buffers that tensors have in them: for the steps of one, and what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Dummy, Expr, Integer

from ..symbolic.tensors import Tensor, element_of, indices_of
from .along_time import AlongTime, Unit, parts_of
from .lower import Lowering
from .ops import Op, Pointwise
from .sizes import Sizes


@dataclass(frozen=True)
class Segment:
    """A segment, or all full ones: the first step, how many, the number among all, and the index of their loop."""

    start: Expr
    length: int
    number: Expr
    index: Any = None


class SegmentBuffers:
    """The buffers of a module in segments of time, and what is moved between them.

    Parameters
    ----------
    found : which ops run along time, and how
    every : k, how many steps a segment has
    lowering : names new tensors

    Attributes
    ----------
    owners : the tensors that are parts of others, as `Schedule.temporaries`, in segments
    """

    def __init__(self, found: AlongTime, every: int, lowering: Lowering, sizes: Sizes) -> None:
        self.found, self.every, self.lowering, self.sizes = found, every, lowering, sizes
        self.owners: dict[Tensor, Tensor] = {}
        self._tensors: dict[Any, Tensor] = {}
        count, rest = divmod(found.length, every)
        index = Dummy("s", integer=True)
        behind = found.step > 0
        self.full = Segment(index * every + (0 if behind else rest), every, index, index)
        self.last = Segment(Integer(count * every if behind else 0), rest, Integer(count)) if rest else None
        self.count = count

    def _fixed(self, tensor: Tensor, step: int) -> Tensor:
        axis = self.found.axes[tensor]
        shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
        return self._tensor((tensor, "at", step), f"{tensor.name}_at", shape, tensor)

    def _carried(self, tensor: Tensor, step: int) -> bool:
        """Whether a segment reads steps of the one that was done before it."""
        return tensor in self.found.local and self.found.halo(tensor)[0 if step > 0 else 1] > 0

    def _copy(self, unit: Unit, tensor: Tensor, segment: Segment, to: int, of: int, backward: bool) -> Op:
        """One step of a buffer to another place."""
        here = self._local(tensor, segment, backward)
        return self._assigned(unit, tensor, here, (Integer(to),), here, (Integer(of),))

    def _bound(self, unit: Unit, tensor: Tensor, segment: Segment, backward: bool) -> list[Op]:
        """Store what the segment begins with; for the backward pass, take it."""
        low, high = self.found.halo(tensor)
        first, count = (0, low) if self.found.step > 0 else (low + segment.length, high)
        rest = self._without_time(tensor)
        shape = (Integer(self.count + (self.last is not None)), Integer(count), *rest)
        kept = self._tensor((tensor, "kept"), f"{tensor.name}_kept", shape, tensor)
        here = self._local(tensor, segment, backward)
        made = []
        for at in range(count):
            ends = (here, (Integer(first + at),)), (kept, (segment.number, Integer(at)))
            (to, where), (of, origin) = ends if backward else ends[::-1]
            made.append(self._assigned(unit, tensor, to, where, of, origin))
        return made

    def _keep_step(self, unit: Unit, tensor: Tensor, at: int, place: int, segment: Segment, backward: bool) -> Op:
        """Store what one step was, once all segments are done."""
        axis = self.found.axes[tensor]
        target, space = self._whole(self._fixed(tensor, at))
        here, low = self._local(tensor, segment, backward), self.found.halo(tensor)[0]
        rest = indices_of(target)
        value = element_of(here, (*rest[:axis], Integer(place + low), *rest[axis:]))
        return Pointwise(target, value, space, self._equation(unit, tensor))

    def _zero(self, op: Op) -> Op:
        target, space = self._whole(op.tensor)
        return Pointwise(target, Integer(0), space, op.equation)

    def _whole(self, tensor: Tensor) -> tuple[Expr, tuple[tuple[Any, Expr], ...]]:
        shape = self.sizes.shape(tensor.shape)
        letters = self.lowering.network.fresh_indices(list(tensor.shape), ())
        return element_of(tensor, letters), tuple(zip(letters, shape, strict=True))

    def _assigned(self, unit: Unit, tensor: Tensor, to: Tensor, where: Any, of: Tensor, origin: Any) -> Op:
        """``to[where, …] = of[origin, …]``, time among the axes of `tensor` where its buffers have it."""
        axis = self.found.axes[tensor]
        rest = self._without_time(tensor)
        letters = self.lowering.network.fresh_indices(list(rest), ())

        def element(one: Tensor, at: tuple[Any, ...]) -> Expr:
            places = (*letters[:axis], *at, *letters[axis:]) if len(at) == 1 else (*at, *letters)
            return element_of(one, places)

        space = tuple(zip(letters, rest, strict=True))
        return Pointwise(element(to, where), element(of, origin), space, self._equation(unit, tensor))

    def _without_time(self, tensor: Tensor) -> tuple[Expr, ...]:
        axis = self.found.axes[tensor]
        return self.sizes.shape((*tensor.shape[:axis], *tensor.shape[axis + 1 :]))

    def _equation(self, unit: Unit, tensor: Tensor) -> Any:
        return next(op.equation for op in parts_of(unit.op) if op.tensor == tensor)

    def _local(self, tensor: Tensor, segment: Segment, backward: bool) -> Tensor:
        """The buffer of a tensor for the steps of a segment; where steps are carried over, one for all segments."""
        made_in_backward = self.found.makers[tensor].part == 2
        again = backward and not made_in_backward
        step = -self.found.step if backward else self.found.step
        length = self.every if self._carried(tensor, step) else segment.length
        key = (tensor, again, length)
        if key not in self._tensors:
            low, high = self.found.halo(tensor)
            axis = self.found.axes[tensor]
            shape = (*tensor.shape[:axis], Integer(low + length + high), *tensor.shape[axis + 1 :])
            self._tensor(key, f"{tensor.name}_{'again' if again else 'steps'}", shape, tensor)
            owner = self.lowering.temporaries.get(tensor)
            # A product may lie in the place of what it is a part of: where both have buffers of the same shape.
            if owner is not None and owner in self.found.local:
                other = self._local(owner, segment, backward)
                if other.shape == self._tensors[key].shape:
                    self.owners[self._tensors[key]] = other
        return self._tensors[key]

    def _tensor(self, key: Any, name: str, shape: Any, like: Tensor) -> Tensor:
        if key not in self._tensors:
            role = "value" if like.role == "adjoint" else like.role
            self._tensors[key] = Tensor(self.lowering.unused(name), tuple(shape), role, classes=like.classes)
        return self._tensors[key]
