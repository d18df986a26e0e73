"""Where the blocks of a `replicated` training keep what.

====== =====================================================================================================
buffer what lies there
====== =====================================================================================================
held   in shared memory: the parameters that every block has, their gradients, the optimizer's states
own    what a block computes for itself in a step; in shared memory, or in `room` where that is too small
slices the block's part of what is divided, beside `own`, and the rows of the data's part
parts  in `room`, for all to see: sums of parts, of this step or the last one, in turn
====== =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import Expr, Integer, expand, prod

from ...symbolic.tensors import Tensor
from ..layout import Place, rounded_up
from ..lifetimes import share_places
from ..plan import Plan
from .block_costs import SHARED
from .block_writer import meetings
from .kinds import made_by, made_by_everyone
from .places import Places, from_memory
from .replicated import Replicated

SCRATCH = 32  # numbers for sums
LINE = 16


class Kept:
    """Where a block keeps what."""

    def __init__(self, made: Replicated, plan: Plan) -> None:
        self.made, self.plan, self.sizes = made, plan, plan.sizes
        self.states = len(plan.layout.state)
        self.places: Places = {}
        for name, place in plan.layout.parameters.items():
            self.places[plan.network.tensors[name]] = ("params", place)
        slices = {} if made.divider is None else made.divider.slices
        self.small = [parameter for parameter in made.gradients if parameter not in slices]
        self.large = [parameter for parameter in made.gradients if parameter in slices]
        self.given: dict[Tensor, Tensor] = {}  # what every block has → what holds it outside
        self.count = self._hold()
        fixed = self._keep_slices(slices)
        own, parts, data = self._others()
        self.own_length = self._share(own, "own", Integer(0))
        self.slice_length = self._share(data, "mine", fixed)
        self.parts_length = self._share(parts, "parts", Integer(0))

    @property
    def held(self) -> int:
        """How many numbers every block has for the whole training."""
        return self.count * (2 + self.states)

    @property
    def free(self) -> int:
        """How many numbers of shared memory that leaves over."""
        return SHARED // (4 if self.plan.real == "float32" else 8) - SCRATCH - self.held

    @property
    def is_linear(self) -> bool:
        """Whether nothing grows faster than the batch."""
        batch = self.sizes.batch
        lengths = (self.own_length, self.slice_length, self.parts_length)
        return all(expand(length.diff(batch)).is_Integer for length in lengths)

    def at(self, length: Expr, rows: int) -> int:
        """A length for some rows of the batch."""
        return int(length.subs({self.sizes.batch: rows}))

    def _hold(self) -> int:
        """Places for what every block has: parameters, gradients, states; how many numbers are the parameters.

        Rows of an even length get one number more, so that what lies below each other lies in different banks.
        """
        at, layout = 0, self.plan.layout
        offsets: dict[Tensor, int] = {}
        for parameter in self.small:
            offsets[parameter] = at
            at += prod(_padded(layout.parameters[parameter.name].shape))
        for parameter in self.small:
            given = layout.parameters[parameter.name]
            shape = _padded(given.shape)
            states = self.made.states[parameter]
            for number, tensor in enumerate((parameter, self.made.gradients[parameter], *states)):
                self.places[tensor] = ("held", Place(Integer(offsets[parameter] + number * at), shape))
            outside = [("params", given.offset)]
            outside += [("state", number * layout.trainable + given.offset) for number in range(self.states)]
            for tensor, (buffer, offset) in zip((parameter, *states), outside, strict=True):
                self.given[tensor] = Tensor(self.made.unused(f"{tensor.name}_given"), given.shape)
                self.places[self.given[tensor]] = (buffer, Place(offset, given.shape))
        return int(at)

    def _keep_slices(self, slices: Mapping[Tensor, Tensor]) -> Expr:
        """Parts of parameters, of gradients and of states; where they lie outside; how much place they take."""
        at = Integer(0)
        layout = self.plan.layout
        for parameter in self.large:
            of_all = layout.parameters[parameter.name]
            states = self.made.states[parameter]
            for number, state in enumerate(states):
                self.places[state] = ("state", Place(number * layout.trainable + of_all.offset, of_all.shape))
            assert self.made.divider is not None
            for tensor in (parameter, self.made.gradients[parameter], *states):
                held = self.made.divider.slice_of(tensor)
                self.places[held] = ("mine", Place(at, held.shape))
                at += prod(held.shape)
        return rounded_up(at, LINE)

    def _others(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What else lies in memory: of a block, parts for all, and what is divided."""
        phases = self.made.phases
        needed = from_memory(phases, self.sizes)
        for phase in phases:
            needed -= made_by_everyone(phase)
        written = dict.fromkeys(tensor for phase in phases for tensor in made_by(phase))
        left = [tensor for tensor in written if tensor in needed and tensor not in self.places]
        divider = self.made.divider
        summed = [] if divider is None else divider.summed
        cut = set() if divider is None else set(divider.slices.values())
        own = [tensor for tensor in left if tensor not in summed and tensor not in cut]
        return own, [*summed], [tensor for tensor in left if tensor in cut]

    def _share(self, tensors: Sequence[Tensor], buffer: str, start: Expr) -> Expr:
        """Places in a buffer behind `start`, and its length; the same place for what is never needed at once."""
        when = self._when()
        if buffer == "parts":
            when = dict.fromkeys(tensors, (0, 0))
        found, length = share_places(tensors, {tensor: when[tensor] for tensor in tensors}, self.sizes, line=1)
        for tensor, place in found.items():
            self.places[tensor] = (buffer, Place(expand(start + place.offset), place.shape))
        return expand(start + length)

    def _when(self) -> dict[Tensor, tuple[int, int]]:
        """Between which waits each tensor is needed, the first and the last."""
        found: dict[Tensor, tuple[int, int]] = {}
        summed = set() if self.made.divider is None else set(self.made.divider.summed)
        group = 0
        for phase, wait in zip(self.made.phases, meetings(self.made.phases, summed), strict=True):
            group += bool(wait)
            for tensor in {*from_memory([phase], self.sizes), *made_by(phase)}:
                found[tensor] = (found.get(tensor, (group, group))[0], group)
        return found


def _padded(shape: Sequence[Expr]) -> tuple[Expr, ...]:
    return tuple(shape) if len(shape) < 2 or shape[-1] % 2 else (*shape[:-1], shape[-1] + 1)
