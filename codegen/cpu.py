"""The bodies of the functions of ``cpu.py.j2``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sympy import Dummy, Integer

from ..symbolic.tensors import Tensor
from .carried import CALLED, carry
from .checkpoints import kept_between, with_checkpoints
from .chosen_rows import read_in_place
from .clocks import Clocks
from .cpu_writer import CpuWriter
from .finished import finished_by
from .fuse import fuse
from .halves import in_halves
from .kernels import Bodies, Body, with_inference
from .layout import Place
from .lifetimes import results_early, work_bytes
from .loops import nest
from .nests import Loop, Set
from .once import OnceWriter, sum_by_loop
from .one_step import without_time
from .ops import Contraction, Steps
from .plan import Plan
from .product_calls import Products
from .scalar import SizePrinter
from .scan import gather_steps
from .short_loops import without_short_loops
from .sizes import Sizes
from .storage import Storage, place_tensors, seen_by_all
from .team_shares import Share
from .team_waits import rows_before_parts, with_waits
from .teams import made_by_one, rows_first, share_work
from .unrolled_step import unroll_epoch
from .update import UpdatePlan

SMALL = 2**20  # bytes of workspace that need no saving: there it counts more that threads seldom wait for each other


def write_cpu(plan: Plan) -> Bodies:
    """The bodies of the functions of ``cpu.py.j2``."""
    products, clocks = Products(), Clocks() if plan.timed else None
    ops = [op for one in (plan, plan.inference) if one is not None for op in one.schedule.ops]
    plan.chosen.check_names(op.equation.target.name for op in ops if isinstance(op, Contraction))
    made = _write_mode(plan, products, clocks)
    if plan.inference is not None:
        made = with_inference(made, _write_mode(plan.inference, products, clocks))
    has_steps = made.update is not None and made.epoch is None and plan.sizes.batch is not None
    trains = {"flushed", "restored"} if has_steps else set()
    carried = carry(
        {*made.carried.names, "begin", "wait", *trains, *(["contraction"] if products.declarations else [])}
    )
    return replace(made, products=products.declarations, carried=carried, parts=tuple(clocks.parts) if clocks else ())


def _write_mode(plan: Plan, products: Products, clocks: Clocks | None) -> Bodies:
    schedule, batch = plan.schedule, plan.sizes.batch
    unroll = {None: None, "unrolled": True, "calls": False}[plan.chosen.epoch]
    epoch = None if plan.timed or plan.checkpoint is not None else unroll_epoch(plan, unroll)
    temporary = plan.lowering.temporary
    sums = plan.chosen.sums if plan.checkpoint is None else "whole"
    gradients = in_halves(schedule, plan.lowering, plan.sizes, sums)
    parts = (schedule.forward, schedule.loss, gradients, schedule.advance, schedule.assign)
    steps: list[list[Steps]] = [[*gather_steps(rows_first(part, plan.sizes, temporary))] for part in parts]
    handed_out = [*schedule.gradients.values(), *schedule.outputs]
    if plan.checkpoint is not None:
        steps, owners = with_checkpoints(steps, plan.checkpoint, handed_out, plan.lowering, plan.sizes)
        schedule = replace(
            schedule, kept=kept_between(steps, schedule.outputs), temporaries={**schedule.temporaries, **owners}
        )
    handed_out += schedule.kept
    steps, replaced = without_time(steps, handed_out, plan.names)
    schedule = schedule.renamed(replaced)
    nests = [
        without_short_loops(fuse(nest(op, plan.sizes, plan.real, temporary, plan.chosen) for op in part))
        for part in steps
    ]
    made = seen_by_all(schedule, nests) - {*schedule.gradients.values()}
    is_small = plan.checkpoint is None and work_bytes(made, plan.sizes, plan.real) <= SMALL
    # One thread alone announces, and gradients that come early are what it announces for.
    apart = is_small and not plan.announced if plan.chosen.workspace is None else plan.chosen.workspace == "apart"
    if not apart:
        nests[:3] = [results_early(part) for part in nests[:3]]
    # Not fused: an assignment must not run before what reads the old state.
    nests[3:] = [nests[3] + nests[4]]
    memory = seen_by_all(schedule, nests) | {*schedule.gradients.values(), *plan.network.states}
    shares = [share_work(items, plan.sizes, memory.__contains__) for items in nests]
    if apart:
        shares = [rows_before_parts(part) for part in shares]
    nests = [tuple(share.item for share in part) for part in shares]
    of_one = made_by_one([share for part in shares for share in part])
    storage = place_tensors(
        plan.network, schedule, plan.layout, plan.sizes, plan.names, nests, apart=apart, of_one=of_one
    )
    in_place = read_in_place([*plan.network.inputs, *plan.network.targets], nests, plan.sizes)
    shares = with_waits(shares, storage.buffers.__contains__, storage.same, storage.overlap)

    def writer(tensors: list[Tensor]) -> CpuWriter:
        return CpuWriter(storage, plan.sizes, plan.rows(tensors, in_place), plan.real, products)

    forward = writer(plan.network.inputs).body(shares[0], clocks=clocks)
    loss = writer(plan.data).body(shares[1], plan.network.loss, clocks) if plan.is_valued else None
    finished = finished_by(shares[2], schedule.gradients) if plan.announced else {}
    backward = None
    if plan.network.loss is not None:
        backward = writer(plan.data).body(shares[2], clocks=clocks, finished=finished)
    predict = writer(plan.network.inputs).copies(schedule.outputs) if schedule.outputs else None
    update = None if plan.update is None else write_update(plan.update, plan.layout.trainable, plan.real, clocks)
    size = SizePrinter({batch: "batch"}).size(storage.work_size)
    advance = writer(plan.data).body(shares[3], clocks=clocks) if schedule.assign else None
    bodies = Bodies(forward, loss, backward, predict, update, size, advance=advance, epoch=epoch, in_place=in_place)
    written = [forward, loss, backward, update, advance, *([epoch.by_row, epoch.by_batch] if epoch else [])]
    return replace(bodies, finished=tuple(finished.values()), **_needs([body for body in written if body]))


def _needs(bodies: list[Body]) -> dict[str, Any]:
    """What of other modules the functions need."""
    lines = [line for body in bodies for line in (*body.views, *body.lines) if not line.lstrip().startswith("#")]
    called = {name for line in lines for name in re.findall(r"(?<![\w.])\w+(?=\()", line)}
    names = (called & CALLED) | ({"LANES32", "LANES64"} if "in_lanes" in called else set())
    return {"uses_math": any("math." in line for line in lines), "carried": carry(names)}


def write_update(plan: UpdatePlan, trainable: int, real: str, clocks: Clocks | None = None) -> Body:
    """The body of ``update(params, grads, state, hyper, step)``."""
    names = plan.names
    place = Place(Integer(0), (Integer(trainable),))
    storage = Storage({tensor: (buffer, place) for tensor, buffer in plan.vectors}, names, Integer(0))
    writer = CpuWriter(storage, Sizes(None, {}), "", real, Products())
    for tensor in plan.scalars:
        writer.preset(tensor)
    once = OnceWriter(plan, sum_by_loop(plan, trainable, real))
    lines: list[str] = []
    for at, stage in enumerate(plan.stages):
        index = Dummy("q", integer=True)
        sets = tuple(
            Set(
                equation.lhs.xreplace({equation.indices[0]: index}),
                body.xreplace({equation.indices[0]: index}),
                equation,
            )
            for equation, body in zip(stage.equations, stage.bodies, strict=True)
        )
        for tensor in stage.summed:
            writer.view(tensor)
        loop = Loop(index, Integer(trainable), sets, is_shared=True)
        body = writer.body([Share(loop, "parts")], clocks=clocks)
        # What is made once, such as a norm, reads numbers of all threads that the stage may change.
        before = once.before(at)
        waiting = ["wait(gate, threads)", *before, *["wait(gate, threads)"] * bool(before)]
        lines += [*[""] * bool(lines), *waiting, *body.lines]
    return Body((*once.head(), *body.views), tuple(lines))
