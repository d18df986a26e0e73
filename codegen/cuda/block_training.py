"""A `replicated` training as source, the functions of ``_cuda_blocks.j2``: what is kept where `block_places` says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from sympy import Dummy, Expr, Integer, prod

from ...symbolic.tensors import Tensor, element_of
from ..kernels import BlockTraining, Body
from ..layout import Place
from ..names import Names
from ..nests import Set
from ..plan import Plan
from ..scalar import SizePrinter
from ..sizes import Sizes
from .block_costs import chosen
from .block_ops import training_ops
from .block_places import Kept
from .block_writer import BlockWriter
from .kinds import Divided, Each, Phase, made_by
from .phases import phases_of
from .places import Places
from .products import Tiles
from .replicated import Replicated, copy_of, divided_phases, replicated
from .whole import strided

# Both reckonings are rough, and what a wait costs is the least certain of it, 3,000 to 4,500 cycles: unless it is
# reckoned to be this many times slower, the form that hardly waits is taken.
SLOWER = 1.2
ROOMY = 25 / 16  # times as many rows as reckoned with should have place in shared memory: 100 where 64 are


def training_by_block(plan: Plan, cycles: float, tiles: Tiles) -> BlockTraining | None:
    """The training in which blocks do all that is small for themselves, unless others are clearly quicker.

    A step takes these so many cycles.
    """
    threads = tiles.sizes[0].threads
    ops = training_ops(plan)
    if ops is None:
        return None
    needed, parts = chosen(ops, plan, threads)
    if needed >= SLOWER * cycles:
        return None
    if parts is not None:
        # Of smaller parts, more rows have place.
        kept = Kept(replicated(ops, plan, parts, str), plan)
        if kept.is_linear:
            rows = ceil(ROOMY * plan.sizes.rows)
            left = kept.free - kept.at(kept.own_length, rows)
            most = int(left // (kept.at(kept.slice_length, rows) / parts.size))
            other, smaller = chosen(ops, plan, threads, parts.division, most)
            parts = smaller if other < SLOWER * cycles else parts
    made = write_training(replicated(ops, plan, parts, plan.lowering.unused), plan, tiles)
    # In global memory a block would take longer than is reckoned.
    return made if made is not None and made.rows >= plan.sizes.rows else None


def write_training(made: Replicated, plan: Plan, tiles: Tiles) -> BlockTraining | None:
    """The functions of a training; None if what it needs grows faster than the batch."""
    kept = Kept(made, plan)
    lengths = (kept.own_length, kept.slice_length, kept.parts_length)
    batch = plan.sizes.batch
    if not kept.is_linear:
        return None
    assert plan.network.loss is not None
    divider = made.divider
    names = plan.names
    names.declare(kept.places)
    names.declare(tensor for phase in made.phases for tensor in made_by(phase))
    both = kept.own_length + kept.slice_length
    written = Tiles(tiles.real)
    rows = _rows_in(both, kept.free, batch)
    data = [names.of(tensor) for tensor in plan.data]

    def writer(among: Places, words: Names = names, sizes: Sizes = plan.sizes) -> BlockWriter:
        parts, summed = (None, ()) if divider is None else (divider.parts, divider.summed)
        threads = tiles.sizes[0].threads
        return BlockWriter(among, words, sizes, written, data, parts=parts, summed=summed, threads=threads)

    fetched, shared, stored = _outside(kept, plan)
    own, slices, sums = (SizePrinter({batch: "batch"}).size(length) for length in lengths)
    training = BlockTraining(
        parts=1 if divider is None else divider.parts.count,
        held=kept.held,
        rows=rows,
        shared=int(both.subs({batch: rows})) if rows else 0,
        own=own,
        slices=slices,
        sums=sums,
        fetch=_cleared(writer(kept.places).body(fetched)),
        store=_by_one(writer(kept.places).body(shared), writer(kept.places).body(stored)),
        step=writer(kept.places).body(made.phases, plan.network.loss),
        update=_update(kept, plan, writer),
    )
    longest = {} if divider is None else {divider.parts.own_size: divider.parts.size}
    tiles.points |= {count.subs(longest) for count in written.points}
    return training


def _rows_in(length: Expr, free: int, batch: Any) -> int:
    """How many rows of the batch what grows with them has place for, in so many numbers."""
    fixed, each = int(length.coeff(batch, 0)), int(length.coeff(batch, 1))
    return max(0, (free - fixed) // each if each else 0)


def _outside(kept: Kept, plan: Plan) -> tuple[list[Phase], list[Phase], list[Phase]]:
    """The phases that fetch parameters and states, that store what every block has, and that store its parts."""
    fetched: list[Phase] = []
    shared: list[Phase] = []
    stored: list[Phase] = []
    divider = kept.made.divider
    for inside, given in kept.given.items():
        letters = [Dummy(name, integer=True) for name, _ in zip("ijklmn", given.shape, strict=False)]
        space = tuple(zip(letters, given.shape, strict=True))
        here, there = (element_of(tensor, letters) for tensor in (inside, given))
        fetched += phases_of([copy_of(here, there, space)], plan.sizes, plan.lowering.temporary, by_block=True)
        back = phases_of([copy_of(there, here, space)], plan.sizes, plan.lowering.temporary, by_block=True)
        shared += back
    for parameter in kept.large:
        assert divider is not None
        for tensor in (parameter, *kept.made.states[parameter]):
            held, outside, space = divider.pair(tensor)
            fetched += divided_phases(copy_of(held, outside, space), plan, divider)
            stored += divided_phases(copy_of(outside, held, space), plan, divider)
    return fetched, shared, stored


def _cleared(body: Body) -> Body:
    """The same, after all that a block holds is 0: gaps between rows are changed with the rest."""
    who = ["lane = cuda.threadIdx.x", "lanes = cuda.blockDim.x"]
    head, step = strided("at", "lane", "HELD", "lanes")
    lines = [*head, "    held[at] = real(0)", step, "cuda.syncthreads()"]
    return Body((*who, *(line for line in body.views if line not in who)), (*lines, *body.lines))


def _by_one(shared: Body, stored: Body) -> Body:
    """What one block does, and then what each does."""
    lines = (
        ["if cuda.blockIdx.x == 0:", *("    " + line if line else "" for line in shared.lines)] if shared.lines else []
    )
    return Body(tuple(dict.fromkeys((*shared.views, *stored.views))), (*lines, *stored.lines))


def _update(kept: Kept, plan: Plan, writer: Any) -> Body:
    """One step of the optimizer, on what every block holds and on the block's parts."""
    update = plan.update
    assert update is not None
    given = [*update.hyper, *(one.tensor for stage in update.stages for one in stage.once)]
    places: Places = {}
    phases: list[Phase] = []
    count = kept.count
    vectors = [tensor for tensor, _ in update.vectors]
    if count:
        for number, tensor in enumerate(vectors):
            places[tensor] = ("held", Place(Integer(number * count), (Integer(count),)))
        phases += [Each(*made) for made in _assignments(update, {}, Integer(count))]
    for parameter in kept.large:
        divider = kept.made.divider
        assert divider is not None
        of_each = [parameter, kept.made.gradients[parameter], *kept.made.states[parameter]]
        moved: dict[Tensor, Tensor] = {}
        for tensor, of in zip(vectors, of_each, strict=True):
            place = kept.places[divider.slice_of(of)][1]
            length = prod(place.shape)
            moved[tensor] = Tensor(f"{tensor.name}_{parameter.name}", (length,))
            places[moved[tensor]] = ("mine", Place(place.offset, (length,)))
        size = divider.slice_of(parameter).shape
        own = divider.parts.own * prod(size[1:], start=Integer(1))
        phases += [
            Divided(divider.parts.part, divider.parts.count, Each(*made)) for made in _assignments(update, moved, own)
        ]
    update.names.declare(places)
    made = writer(places, update.names, Sizes(None, {}))
    for tensor in given:
        made.preset(tensor)
    body: Body = made.body(phases)
    asked = {name for line in body.lines for name in re.findall(r"\b\w+\b", line)}
    read = [(update.names.of(tensor), at) for at, tensor in enumerate(given)]
    views = [f"{name} = scalars[{at}]" for name, at in read if name in asked]
    return Body((*views, *body.views), body.lines)


def _assignments(update: Any, moved: Mapping[Tensor, Tensor], count: Expr) -> Iterable[tuple[Any, Any]]:
    """Space and body of each stage, over vectors in the place of those of all parameters."""
    for stage in update.stages:
        index = Dummy("q", integer=True)

        def at(expr: Any, old: Any, index: Any = index) -> Any:
            names = {tensor[old]: moved.get(tensor, tensor)[index] for tensor, _ in update.vectors}
            return expr.xreplace(names).xreplace({old: index})

        sets = tuple(
            Set(at(equation.lhs, equation.indices[0]), at(body, equation.indices[0]), equation)
            for equation, body in zip(stage.equations, stage.bodies, strict=True)
        )
        yield ((index, count),), sets
