"""Phases that take each row of the batch by itself → `Rows`: a block does them for its rows, and waits for no other.

Where a network is small, waiting for all blocks takes longer than computing. What one row needs of others, as a
gradient of a weight, stays outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..cuda_tiles import TILES
from ..nests import reads, statements, targets
from ..sizes import Sizes
from .assumed import BLOCKS, NEAR, WAIT
from .costs import at_rows, block_cost, blocks_for, grid_cost
from .kinds import Divided, Each, Phase, Product, Rows, Sums, TimeSteps, read_by, written_by
from .order import waits
from .products import tiled
from .sums import cycles_of, share_of, weights_of

GROUPS = (32, 8, 1)  # rows of a block; of those that cost the same, the first
Touched: TypeAlias = Mapping[int, tuple[set[Tensor], set[Tensor]]]  # phase by identity → what it reads and writes


def in_rows(phases: Sequence[Phase], sizes: Sizes) -> list[Phase]:
    """The same phases, those in `Rows` that are quicker so."""
    touched = {id(phase): (read_by(phase), written_by(phase)) for phase in phases}
    return list(phases) if sizes.batch is None else _in_rows(phases, touched, sizes)


def _in_rows(phases: Sequence[Phase], touched: Touched, sizes: Sizes) -> list[Phase]:
    for start in range(len(phases)):
        members = _by_row(phases[start:], touched, sizes)
        ends = [place for place, phase in enumerate(members, 1) if isinstance(phase, TimeSteps)]
        possible = [members[:end] for end in (len(members), *ends) if end in ends or sum(waits(members))]
        choices = [
            (_cost(some, size, sizes) - grid_cost(some, sizes), size, some) for some in possible for size in GROUPS
        ]
        gain, size, chosen = min(choices, key=lambda choice: choice[0], default=(0, 0, []))
        if gain < 0:
            taken = set(map(id, chosen))
            others = [phase for phase in phases[start:] if id(phase) not in taken]
            return [*phases[:start], Rows(size, tuple(chosen)), *_in_rows(others, touched, sizes)]
    return list(phases)


def cycles(phases: Sequence[Phase], sizes: Sizes) -> float:
    """How many cycles phases take, those in `Rows` among them, about."""
    for place, phase in enumerate(phases):
        if isinstance(phase, Rows):
            parts = [cycles(part, sizes) + WAIT for part in (phases[:place], phases[place + 1 :]) if part]
            return _cost(phase.phases, phase.size, sizes) + sum(parts)
    return grid_cost(phases, sizes)


def row_of(phase: Phase, sizes: Sizes) -> Any:
    """The index of the batch of a phase that takes each row by itself; None for any other."""
    space = phase.op.space if isinstance(phase, Product) else ()
    space = phase.space if isinstance(phase, Each) else phase.after.space if isinstance(phase, Sums) else space
    found = [index for index, extent in space if extent == sizes.batch]
    if len(found) != 1 or (isinstance(phase, Sums) and found[0] != space[0][0]):
        return None
    if isinstance(phase, Product):
        tiles = tiled(phase.op, sizes, TILES)
        sides = [tiles.rows.names, *(tuple(axis.name.split(",")) for axis in tiles.around)]
        is_free = found[0] in phase.op.batch or (found[0].name,) in sides
        return found[0] if is_free and found[0] not in phase.op.bound and phase.part is None else None
    return found[0]


def _by_row(phases: Sequence[Phase], touched: Touched, sizes: Sizes) -> list[Phase]:
    """Those that take each row by itself, from the first on; all others can come after them."""
    members: list[Phase] = []
    axes: dict[Tensor, int] = {}  # in what the members write, which axis the rows are
    read: set[Tensor] = set()  # by the others; and what members read of any rows
    wrote: set[Tensor] = set()
    for phase in phases:
        reading, writing = touched[id(phase)]
        own = None if reading & wrote or writing & (read | wrote) else _axes(phase, axes, sizes)
        if own is None:
            read, wrote = read | reading, wrote | writing
        else:
            members.append(phase)
            axes |= own
            read |= reading - axes.keys()
    return members


def _axes(phase: Phase, axes: dict[Tensor, int], sizes: Sizes) -> dict[Tensor, int] | None:
    """Which axis of what a phase writes the rows are; None if it reads other rows than its own of what `axes` has."""
    if isinstance(phase, TimeSteps):
        found: dict[Tensor, int] = {}
        written: dict[Tensor, int] = {}
        for part in phase.phases:
            written |= _axes(part, {}, sizes) or {}
        for part in phase.phases:
            own = _axes(part, axes | written, sizes)
            if own is None:
                return None
            found |= own
        return found
    row = row_of(phase, sizes)
    if row is None:
        return None
    assert isinstance(phase, Each | Product | Sums)
    items = phase.body if isinstance(phase, Each) else () if phase.after is None else phase.after.body
    ops = (phase.op,) if isinstance(phase, Product) else phase.ops if isinstance(phase, Sums) else ()
    operands = phase.operands if isinstance(phase, Sums) else [side for op in ops for side in (op.left, op.right)]
    read = [e for item in items for e in reads(item)]
    made = [target for item in items for s in statements(item) for target in targets(s)]
    read += operands
    made += [op.target for op in ops]
    if any(row not in indices_of(target) for target in made):
        return None
    own = {tensor_of(target): indices_of(target).index(row) for target in made}
    known = axes | own
    for element in read:
        axis = known.get(tensor_of(element))
        if axis is not None and indices_of(element)[axis] != row:
            return None
    return own


def _cost(phases: Sequence[Phase], size: int, sizes: Sizes) -> float:
    """Cycles of a block that does phases for `size` rows at a time, about."""
    groups = -(-sizes.rows // size)
    return -(-groups // BLOCKS) * _group_cost(phases, min(size, sizes.rows), sizes)


def _group_cost(phases: Sequence[Phase], size: int, sizes: Sizes, *, is_near: bool = False) -> float:
    total = 0.0
    for phase in phases:
        if isinstance(phase, TimeSteps):
            numbers = sum(weights_of(part, sizes, size) for part in phase.phases if isinstance(part, Sums))
            steps = _group_cost(phase.phases, size, sizes, is_near=4 * numbers <= NEAR)
            total += at_rows(phase.length, sizes) * steps
        elif isinstance(phase, Sums):
            share = share_of(phase, sizes, size, 1, 1)
            total += cycles_of(phase, sizes, size, share, blocks=1, is_near=is_near)
        elif not isinstance(phase, Divided):
            total += blocks_for(phase, sizes, size) * block_cost(phase, sizes)
    return total
