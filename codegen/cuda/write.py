"""The bodies of the functions of ``cuda.py.j2``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from sympy import Integer, expand

from ...symbolic.errors import UnsupportedError
from ...symbolic.tensors import Tensor
from ..carried import carry_cuda
from ..cuda_tiles import TF32_TILES, TILES, shared_asked
from ..kernels import Bodies, Body, tuple_text, with_inference
from ..plan import Plan
from ..scalar import SizePrinter
from ..scan import gather_steps
from ..teams import rows_first
from .becomes import training_step
from .block_training import training_by_block
from .costs import most_blocks, training_cost
from .fuse import fused
from .kinds import Phase, made_by
from .phases import phases_of
from .places import Places, flat, from_memory, place_all
from .products import Tiles
from .rows import cycles, in_rows
from .steps import with_fewer_sums
from .updates import write_update
from .whole import MOST_POINTS
from .writer import WAIT, CudaWriter

# What the generated functions may call of what modules carry.
CALLED = frozenset(
    (
        "where larger sign logistic logaddexp put_number put_four add_number add_atomic numbers_of block_sum warp_sum "
        "grid_barrier shifted anew quotient remainder turn_of"
    ).split()
)
ALWAYS = frozenset({"grid_barrier", "shifted", "device", "quotient", "remainder"})


def write_cuda(plan: Plan) -> Bodies:
    """The bodies of the functions of ``cuda.py.j2``.

    Raises
    ------
    UnsupportedError
        If activations are to be computed again (`checkpoint`), or the code is to count its time.
    """
    if plan.checkpoint is not None:
        raise UnsupportedError("target 'cuda' stores all activations; leave out checkpoint, or choose target 'cpu'")
    tiles = Tiles("real", TF32_TILES if plan.precision == "tf32" else TILES)
    made, together, taken = _write_mode(plan, tiles)
    if plan.inference is not None:
        other, *_ = _write_mode(plan.inference, tiles, is_inference=True)
        made = replace(with_inference(made, other), inference_loss_at=other.loss_at)
    if plan.update is not None:
        update, scalars, counts = write_update(plan.update, plan.layout.trainable)
        made = replace(made, update=update, scalars=scalars, scalar_counts=counts)
        alone = training_by_block(plan, taken, tiles)
        made = replace(made, by_block=alone, step=together() if together and not alone else None)
        if made.step is None:
            tiles.blocks = max(tiles.blocks, -(-plan.layout.trainable // TILES[0].threads))
    bodies = replace(
        made,
        points=_points(plan, tiles),
        products=_declarations(tiles),
        tables=_tables(tiles),
        stage=tiles.stage,
        shared=shared_asked(tiles.stage, {"float32": 4, "float64": 8}[plan.real]),
        threads=TILES[0].threads,
        blocks=tiles.blocks,
    )
    imported = [plan.real, *(["uint64"] if plan.network.noises else [])]
    return replace(bodies, carried=carry_cuda(_called(bodies), imported))


def _write_mode(
    plan: Plan, tiles: Tiles, *, is_inference: bool = False
) -> tuple[Bodies, Callable[[], Body] | None, float]:
    """The functions of a network, in training or in one that has modes in inference; `backward` is a whole step.

    Also what writes a step with its update, where that is done with the gradients; and how many cycles a step takes.
    """
    schedule, sizes = plan.schedule, plan.sizes
    temporary = plan.lowering.temporary
    parts = (schedule.forward, schedule.loss, schedule.backward, schedule.advance)
    is_fast = plan.chosen.scatter == "fast"
    raw = [
        phases_of(gather_steps(rows_first(part, sizes, temporary)), sizes, temporary, fast_scatter=is_fast)
        for part in parts
    ]
    joined = (*raw[:2], raw[0] + raw[1] + raw[2], raw[3])
    forward, loss, step, advance = (in_rows(fused(part, sizes), sizes) for part in joined)
    assign = fused(phases_of(schedule.assign, sizes, temporary), sizes)
    has_loss = plan.network.loss is not None
    # Of a network with modes, loss and gradients in training are one function, those of inference are others.
    is_of_training = plan.network.has_modes and (plan.inference is not None or plan.network.is_of_training)
    loss, step = [] if is_of_training else loss, step if has_loss and not is_inference else []
    whole, known = list[Phase](), Places()
    if step and sizes.batch is not None:
        made = in_rows(fused([phase for part in raw for phase in part], sizes), sizes) if raw[3] else step
        whole, known = training_step(made, plan)
        plan.names.declare(known)
    functions = with_fewer_sums((forward, loss, step, advance, assign, whole), schedule.temporaries)
    forward, loss, step, advance, assign, whole = functions
    plan.names.declare(dict.fromkeys(tensor for part in functions for phase in flat(part) for tensor in made_by(phase)))
    places, length = place_all(plan.network, schedule, plan.layout, sizes, functions, known)
    data = [plan.names.of(tensor) for tensor in plan.data]
    tiles.blocks = max(tiles.blocks, *(most_blocks(part, sizes) for part in functions))

    def body(phases: Sequence[Phase], result: Tensor | None = None) -> Body:
        return CudaWriter(places, plan.names, sizes, tiles, data).body(phases, result)

    def all_in_one() -> Body:
        # Other functions need more: gradients that are used at once lie nowhere here.
        needed = from_memory(whole, sizes)
        kept = {tensor: place for tensor, place in places.items() if place[0] not in ("grads", "work")}
        own = kept | {tensor: place for tensor, place in places.items() if tensor in needed}
        return CudaWriter(own, plan.names, sizes, tiles, data).body(whole, plan.network.loss, is_checked=True)

    output = schedule.output
    if schedule.further or (has_loss and not plan.is_valued):
        raise UnsupportedError("target 'cuda' gives one output, and the loss with its gradients; choose target 'cpu'")
    changes = None
    if schedule.assign:
        first, later = body(advance), body(assign)
        changes = Body(tuple(dict.fromkeys((*first.views, *later.views))), (*first.lines, WAIT, *later.lines))
    bodies = Bodies(
        body(forward),
        body(loss) if has_loss else None,
        body(step, plan.network.loss) if step else None,
        None if output is None else Body((), (), _place_text(places, output, plan)),
        None,
        SizePrinter({sizes.batch: "batch"}).size(length),
        advance=changes,
        loss_at=_offset(places, plan.network.loss) if plan.network.loss is not None else "",
    )
    taken = training_cost(cycles(whole or step, sizes), 0 if whole else plan.layout.trainable)
    return bodies, all_in_one if whole else None, taken


def _offset(places: Places, tensor: Tensor) -> str:
    return str(places[tensor][1].offset)


def _place_text(places: Places, tensor: Tensor, plan: Plan) -> str:
    """Where `predict` finds the output: buffer, offset, shape, as source."""
    if tensor not in places:
        raise UnsupportedError(f"{tensor.name} is an argument of the network, which a kernel does not hand back")
    buffer, place = places[tensor]
    text = SizePrinter({plan.sizes.batch: "batch"}).size
    return (
        f'"{buffer}", {text(place.offset)}, {tuple_text([text(size) for size in place.shape]) if place.shape else "()"}'
    )


def _points(plan: Plan, tiles: Tiles) -> str:
    """The most points that kernels number, as source: of spaces, of the sides of products, of the rows of a batch.

    Raises
    ------
    UnsupportedError
        If they are 2³¹ or more whatever the batch is.
    """
    data = [expand(prod(plan.sizes.shape(tensor.shape), start=Integer(1))) for tensor in plan.data]
    counts = {expand(count) for count in (*tiles.points, *data, Integer(1))}
    fixed = max(int(count) for count in counts if count.is_Integer)
    if fixed >= MOST_POINTS:
        raise UnsupportedError(f"{fixed} numbers are computed at once, and a kernel counts fewer than {MOST_POINTS}")
    # One that is not more than another in any power of the batch size is not needed.
    terms = {count: Counter(count.as_coefficients_dict()) for count in counts if not count.is_Integer}
    largest = [one for one in terms if not any(terms[one] < terms[other] for other in terms)]
    text = SizePrinter({plan.sizes.batch: "batch"}).size
    return ", ".join([str(fixed), *sorted(map(text, largest))])


def _declarations(tiles: Tiles) -> tuple[str, ...]:
    return (*tiles.functions, *(f"{name} = {text}" for text, name in tiles.declarations.items()))


def _tables(tiles: Tiles) -> tuple[str, ...]:
    """Where each table begins among all, and all of them."""
    lines, start, parts = [], 0, []
    for table, name in tiles.tables.items():
        lines.append(f"{name} = {start}")
        parts.append(f"    offsets({table.extents}, {table.steps}),")
        start += table.length
    return (*lines, "TABLES = np.concatenate((", *parts, "))") if parts else ()


def _called(bodies: Bodies) -> set[str]:
    """What of the carried functions a module calls."""
    written = [bodies.forward, bodies.loss, bodies.backward, bodies.update, bodies.advance, bodies.step]
    lines = [line for body in written if body for line in (*body.views, *body.lines)]
    lines += bodies.by_block.lines if bodies.by_block else ()
    lines += bodies.products
    found = {name for line in lines if not line.lstrip().startswith("#") for name in re.findall(r"\b\w+\b", line)}
    always = ALWAYS | ({"pointer_to"} if bodies.by_block else set())
    return (found & (CALLED | {"simt_tile", "tf32_tile", "sums_of_lanes", "part_of_inner"})) | always
