"""The bodies of the functions of ``cuda.py.j2``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sympy import Dummy, Integer

from ...symbolic.errors import UnsupportedError
from ...symbolic.tensors import Tensor, elements, tensor_of
from ..carried import carry_cuda
from ..cuda_tiles import TF32_TILES, TILES
from ..kernels import Bodies, Body, tuple_text, with_inference
from ..layout import Place
from ..nests import Set
from ..once import OnceWriter
from ..plan import Plan
from ..scalar import SizePrinter
from ..scan import gather_steps
from ..sizes import Sizes
from ..teams import rows_first
from ..update import Once, UpdatePlan
from .phases import Each, Phase, Together, blocks_for, made_by, phases_of
from .places import Places, flat, place_all
from .products import Tiles
from .writer import WAIT, CudaWriter, who_lines

# What the generated functions may call of what modules carry.
CALLED = frozenset(
    "where larger sign logistic logaddexp put_number put_four add_number block_sum grid_barrier shifted".split()
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
        other = _write_mode(plan.inference, tiles)
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


def _write_mode(plan: Plan, tiles: Tiles) -> Bodies:
    schedule, sizes = plan.schedule, plan.sizes
    temporary = plan.lowering.temporary
    parts = (schedule.forward, schedule.loss, schedule.backward, schedule.advance)
    functions = [phases_of(gather_steps(rows_first(part, sizes, temporary)), sizes, temporary) for part in parts]
    assign = phases_of(schedule.assign, sizes, temporary)
    plan.names.declare(
        dict.fromkeys(tensor for part in (*functions, assign) for phase in flat(part) for tensor in made_by(phase))
    )
    places, length = place_all(plan.network, schedule, plan.layout, sizes, [*functions, assign])

    data = [plan.names.of(tensor) for tensor in plan.data]

    for phase in (phase for part in (*functions, assign) for phase in part):
        tiles.blocks = max(tiles.blocks, blocks_for(phase, sizes, tiles.sizes[0].threads))

    def body(phases: Sequence[Phase]) -> Body:
        return CudaWriter(places, plan.names, sizes, tiles, data).body(phases)

    forward, loss, backward, advance = map(body, functions)
    loss_place = _offset(places, plan.network.loss) if plan.network.loss is not None else ""
    output = schedule.output
    predict = None if output is None else Body((), (), _place_text(places, output, plan))
    changes = None
    if schedule.assign:
        later = body(assign)
        changes = Body(tuple(dict.fromkeys((*advance.views, *later.views))), (*advance.lines, WAIT, *later.lines))
    size = SizePrinter({sizes.batch: "batch"}).size(length)
    has_loss = plan.network.loss is not None
    return Bodies(
        forward,
        loss if has_loss else None,
        backward if has_loss else None,
        predict,
        None,
        size,
        advance=changes,
        loss_at=loss_place,
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


def write_update(plan: UpdatePlan, trainable: int) -> tuple[Body, Body, tuple[int, int]]:
    """``update`` on the device; what the host computes before it for each step; how many numbers that and sums are."""
    names = plan.names
    leading = _of_the_step(plan)
    given = [*plan.hyper, *(one.tensor for one in leading)]
    host = Body((), OnceWriter(plan, lambda one: []).head_of(leading), tuple_text([*map(names.of, given)]))
    places: Places = {}
    for tensor, buffer in plan.vectors:
        name, row = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", buffer).groups()  # type: ignore[union-attr]
        places[tensor] = (name, Place(Integer(int(row or 0) * trainable), (Integer(trainable),)))
    sums = [one for stage in plan.stages for one in stage.once if one.index is not None]
    places |= {one.tensor: ("sums", Place(Integer(at), ())) for at, one in enumerate(sums)}
    writer = CudaWriter(places, names, Sizes(None, {}), Tiles("real", TILES))
    for tensor in given:
        writer.preset(tensor)
    lines: list[str] = []
    for stage in plan.stages:
        lines += [WAIT] * bool(lines)
        for one in stage.once:
            if one in leading:
                continue
            if one.index is None:
                text = writer.printer.text(one.body)
                lines += [*writer.flush(), f"{writer.preset(one.tensor)} = {text}"]
                continue
            entry = Dummy("q", integer=True)
            value = one.body.xreplace({one.index: entry})
            total = Together(one.tensor, value, (), ((entry, Integer(trainable)),), stage.equations[0])
            lines += [WAIT, *writer.phase(total), WAIT]
            text = writer.element(one.tensor)
            lines.append(f"{writer.preset(one.tensor)} = {text}")
        index = Dummy("q", integer=True)
        sets = tuple(
            Set(e.lhs.xreplace({e.indices[0]: index}), body.xreplace({e.indices[0]: index}), e)
            for e, body in zip(stage.equations, stage.bodies, strict=True)
        )
        lines += [f"# {equation}" for equation in stage.equations]
        lines += writer.phase(Each(((index, Integer(trainable)),), sets))
    read = [(names.of(tensor), at) for at, tensor in enumerate(given)]
    views = [f"{name} = scalars[{at}]" for name, at in read if any(re.search(rf"\b{name}\b", line) for line in lines)]
    return Body((*who_lines(lines), *views, *writer.start_lines()), tuple(lines)), host, (len(given), len(sums))


def _of_the_step(plan: UpdatePlan) -> list[Once]:
    """The scalars that depend on the hyper-parameters and the step alone, in order."""
    known = {*plan.hyper, plan.step}
    found = []
    for one in (one for stage in plan.stages for one in stage.once):
        if one.index is None and set(map(tensor_of, elements(one.body))) <= known:
            known.add(one.tensor)
            found.append(one)
    return found


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
    written = [bodies.forward, bodies.loss, bodies.backward, bodies.update, bodies.advance, bodies.training_loss]
    lines = [line for body in written if body for line in (*body.views, *body.lines)]
    lines += bodies.products
    found = {name for line in lines if not line.lstrip().startswith("#") for name in re.findall(r"\b\w+\b", line)}
    return (found & (CALLED | {"simt_tile", "tf32_tile"})) | ALWAYS
