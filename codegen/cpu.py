"""The bodies of the functions of ``cpu.py.j2``."""

from __future__ import annotations

from dataclasses import replace

from sympy import Dummy, Integer

from ..symbolic.tensors import Tensor
from .cpu_writer import CpuWriter
from .fuse import fuse
from .kernels import Bodies, Body
from .layout import Place
from .loops import nest
from .nests import Loop, Set
from .once import write_once
from .plan import Plan
from .scalar import SizePrinter
from .sizes import Sizes
from .storage import Storage, place_tensors
from .update import UpdatePlan


def write_cpu(plan: Plan) -> Bodies:
    """The bodies of the functions of ``cpu.py.j2``."""
    schedule, batch = plan.schedule, plan.sizes.batch
    parts = (schedule.forward, schedule.loss, schedule.backward)
    nests = [fuse(nest(op, batch, plan.lowering.temporary) for op in part) for part in parts]
    storage = place_tensors(plan.network, schedule, plan.layout, plan.sizes, plan.names, nests)

    def writer(tensors: list[Tensor]) -> CpuWriter:
        return CpuWriter(storage, plan.sizes, plan.rows(tensors), plan.real)

    forward = writer(plan.network.inputs).body(nests[0])
    loss = None if plan.network.loss is None else writer(plan.data).body(nests[1], plan.network.loss)
    backward = None if loss is None else writer(plan.data).body(nests[2])
    predict = None
    if schedule.output is not None:
        predict = writer(plan.network.inputs).body((), schedule.output)
        if schedule.output.rank:
            predict = replace(predict, result=f"{predict.result}.copy()")
    update = None if plan.update is None else write_update(plan.update, plan.layout.trainable, plan.real)
    size = SizePrinter({batch: "batch"}).size(storage.work_size)
    lines = [line for body in (forward, loss, backward) if body for line in body.lines]
    uses_math = any("math." in line for line in lines)
    return Bodies(forward, loss, backward, predict, update, size, uses_math=uses_math)


def write_update(plan: UpdatePlan, trainable: int, real: str) -> Body:
    """The body of ``update(params, grads, state, hyper, step)``."""
    names = plan.names
    place = Place(Integer(0), (Integer(trainable),))
    storage = Storage({tensor: (buffer, place) for tensor, buffer in plan.vectors}, names, Integer(0))
    writer = CpuWriter(storage, Sizes(None, {}), "", real)
    for tensor, _ in plan.scalars:
        writer.preset(tensor)
    index = Dummy("q", integer=True)
    sets = tuple(
        Set(equation.lhs.xreplace({equation.indices[0]: index}), body.xreplace({equation.indices[0]: index}), equation)
        for equation, body in zip(plan.equations, plan.bodies, strict=True)
    )
    body = writer.body([Loop(index, Integer(trainable), sets)])
    return Body((*write_once(plan), *body.views), body.lines)
