"""The bodies of the functions of a NumPy module."""

from __future__ import annotations

from sympy import Integer

from ..symbolic.tensors import Tensor, tensor_of
from .kernels import Bodies, Body, with_inference
from .numpy_writer import NumpyWriter
from .once import OnceWriter, sum_of_array
from .plan import Plan
from .printers import Text
from .scan import gather_steps
from .update import UpdatePlan
from .vector import VectorPrinter


def write_numpy(plan: Plan) -> Bodies:
    """The bodies of the functions of ``numpy.py.j2``."""
    made = _write_mode(plan)
    return made if plan.inference is None else with_inference(made, _write_mode(plan.inference))


def _write_mode(plan: Plan) -> Bodies:
    schedule, names = plan.schedule, plan.names
    parts = (schedule.forward, schedule.loss, schedule.backward, schedule.advance)
    names.declare(op.tensor for part in parts for op in part)
    buffers = {plan.network.tensors[name]: ("params", place) for name, place in plan.layout.parameters.items()}
    buffers |= {schedule.gradients[name]: ("grads", place) for name, place in plan.layout.gradients.items()}
    used: dict[str, None] = {}
    following = [tensor_of(op.body) for op in schedule.assign]

    def writer(tensors: list[Tensor]) -> NumpyWriter:
        kept, temporaries = schedule.kept, schedule.temporaries
        return NumpyWriter(names, plan.sizes, buffers, kept, temporaries, plan.rows(tensors), used, following)

    forward = writer(plan.network.inputs).body(gather_steps(schedule.forward))
    loss = writer(plan.data).body(gather_steps(schedule.loss), plan.network.loss) if plan.is_valued else None
    backward = None if plan.network.loss is None else writer(plan.data).body(gather_steps(schedule.backward))
    predict = writer(plan.network.inputs).outputs(schedule.outputs) if schedule.outputs else None
    advance = writer(plan.data).body((*gather_steps(schedule.advance), *schedule.assign)) if schedule.assign else None
    update = None if plan.update is None else write_update(plan.update, plan.layout.trainable, plan.real)
    return Bodies(forward, loss, backward, predict, update, "", tuple(sorted(used)), advance=advance)


def write_update(plan: UpdatePlan, trainable: int, real: str) -> Body:
    """The body of ``update(params, grads, state, hyper, step)``."""
    names = plan.names
    once = OnceWriter(plan, sum_of_array(plan, trainable, real))
    lines: list[str] = []
    for at, stage in enumerate(plan.stages):
        lines += once.before(at)
        for equation, body in zip(stage.equations, stage.bodies, strict=True):
            space = {equation.indices[0]: Integer(trainable)}
            numbers = {size: Integer(trainable) for size in equation.target.shape}
            printer = VectorPrinter(space, lambda tensor: Text(names.of(tensor)), {}, {}, numbers=numbers)
            lines += [f"# {equation}", f"{names.of(equation.target)}[...] = {printer.text(body)}"]
    views = [f"{names.of(tensor)} = {buffer}[0:{trainable}]" for tensor, buffer in plan.vectors]
    return Body((*once.head(), *views), tuple(lines))
