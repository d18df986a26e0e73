"""The bodies of the functions of ``cuda.py.j2``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ...symbolic.errors import UnsupportedError
from ...symbolic.tensors import Tensor
from ..carried import carry_cuda
from ..cuda_tiles import TF32_TILES, TILES
from ..kernels import Bodies, Body, tuple_text, with_inference
from ..plan import Plan
from ..scalar import SizePrinter
from ..scan import gather_steps
from ..teams import rows_first
from .costs import most_blocks
from .fuse import fused
from .kinds import Phase, made_by
from .phases import phases_of
from .places import Places, flat, place_all
from .products import Tiles
from .rows import in_rows
from .steps import with_fewer_sums
from .updates import write_update
from .writer import WAIT, CudaWriter

# What the generated functions may call of what modules carry.
CALLED = frozenset(
    "where larger sign logistic logaddexp put_number put_four add_number block_sum grid_barrier shifted anew".split()
)
ALWAYS = frozenset({"grid_barrier", "shifted", "device"})


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
    made = _write_mode(plan, tiles)
    if plan.inference is not None:
        other = _write_mode(plan.inference, tiles, is_inference=True)
        made = replace(with_inference(made, other), inference_loss_at=other.loss_at)
    if plan.update is not None:
        update, scalars, counts = write_update(plan.update, plan.layout.trainable)
        made = replace(made, update=update, scalars=scalars, scalar_counts=counts)
        tiles.blocks = max(tiles.blocks, -(-plan.layout.trainable // TILES[0].threads))
    bodies = replace(
        made,
        products=_declarations(tiles),
        tables=_tables(tiles),
        stage=tiles.stage,
        threads=TILES[0].threads,
        blocks=tiles.blocks,
    )
    imported = [plan.real, *(["uint64"] if plan.network.noises else [])]
    return replace(bodies, carried=carry_cuda(_called(bodies), imported))


def _write_mode(plan: Plan, tiles: Tiles, *, is_inference: bool = False) -> Bodies:
    """The functions of a network, in training or in one that has modes in inference; `backward` is a whole step."""
    schedule, sizes = plan.schedule, plan.sizes
    temporary = plan.lowering.temporary
    parts = (schedule.forward, schedule.loss, schedule.backward, schedule.advance)
    raw = [phases_of(gather_steps(rows_first(part, sizes, temporary)), sizes, temporary) for part in parts]
    whole = (*raw[:2], raw[0] + raw[1] + raw[2], raw[3])
    forward, loss, step, advance = (in_rows(fused(part, sizes), sizes) for part in whole)
    assign = fused(phases_of(schedule.assign, sizes, temporary), sizes)
    has_loss = plan.network.loss is not None
    # Of a network with modes, loss and gradients in training are one function, those of inference are others.
    is_of_training = plan.network.has_modes and (plan.inference is not None or plan.network.is_of_training)
    loss, step = [] if is_of_training else loss, step if has_loss and not is_inference else []
    functions = with_fewer_sums((forward, loss, step, advance, assign), schedule.temporaries)
    forward, loss, step, advance, assign = functions
    plan.names.declare(dict.fromkeys(tensor for part in functions for phase in flat(part) for tensor in made_by(phase)))
    places, length = place_all(plan.network, schedule, plan.layout, sizes, functions)
    data = [plan.names.of(tensor) for tensor in plan.data]
    tiles.blocks = max(tiles.blocks, *(most_blocks(part, sizes) for part in functions))

    def body(phases: Sequence[Phase], result: Tensor | None = None) -> Body:
        return CudaWriter(places, plan.names, sizes, tiles, data).body(phases, result)

    output = schedule.output
    changes = None
    if schedule.assign:
        first, later = body(advance), body(assign)
        changes = Body(tuple(dict.fromkeys((*first.views, *later.views))), (*first.lines, WAIT, *later.lines))
    return Bodies(
        body(forward),
        body(loss) if has_loss else None,
        body(step, plan.network.loss) if step else None,
        None if output is None else Body((), (), _place_text(places, output, plan)),
        None,
        SizePrinter({sizes.batch: "batch"}).size(length),
        advance=changes,
        loss_at=_offset(places, plan.network.loss) if plan.network.loss is not None else "",
    )


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
    written = [bodies.forward, bodies.loss, bodies.backward, bodies.update, bodies.advance]
    lines = [line for body in written if body for line in (*body.views, *body.lines)]
    lines += bodies.products
    found = {name for line in lines if not line.lstrip().startswith("#") for name in re.findall(r"\b\w+\b", line)}
    return (found & (CALLED | {"simt_tile", "tf32_tile", "sums_of_lanes", "part_of_inner"})) | ALWAYS
