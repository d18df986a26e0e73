"""From a network to the source of a module: derive, lower, schedule, write, render.

==========  ==============================  =========================================
stage       takes                           gives
==========  ==============================  =========================================
derive      network                         adjoint equations (``symbolic``)
stable      right sides                     right sides that do not overflow
lower       equations                       ops: pointwise, reduction, contraction
schedule    ops                             forward, loss, backward; what is kept
loops       ops                             fused loop nests (compiled targets)
storage     nests                           where each tensor lies
write       nests or ops                    printed statements
render      printed statements              the module
==========  ==============================  =========================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Integer, prod

from ..symbolic.derivation import Derivation
from ..symbolic.errors import UnsupportedError
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor, shape_text
from .kernel_schedule import KernelSchedule, as_schedule, check_checkpoint, check_precision
from .kernels import Data, Entry, Module, Noise, tuple_text
from .layout import Layout, Place, make_layout
from .names import Names
from .plan import Plan
from .render import render
from .scalar import SizePrinter
from .schedule import schedule as make_schedule
from .schedule import schedule_inference, stored_shapes
from .sizes import Sizes, resolve_sizes
from .targets import DTYPES, TARGETS
from .update import plan_update


@dataclass(frozen=True)
class GeneratedModule:
    """The source of a module, and what is known of it.

    Attributes
    ----------
    layout : where things lie in its buffers
    parts : with `timed`, the equations after each mark
    stored : the activations that are stored without checkpoints, name → shape: what the backward pass reads of the
        forward pass; the batch size in it is `batch`
    """

    source: str
    layout: Layout
    parts: tuple[tuple[str, ...], ...] = ()
    stored: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    batch: Any = None


def generate(
    network: Network,
    *,
    target: str = "cpu",
    dtype: str = "float32",
    batch: int = 64,
    sizes: Mapping[str, int] | None = None,
    optimizer: Any = None,
    wrt: Iterable[str] | None = None,
    schedule: Any = None,
    timed: bool = False,
    checkpoint: int | bool | None = None,
    precision: str | None = None,
    valued: bool = True,
    announced: bool = False,
) -> GeneratedModule:
    """Generate the module that evaluates, differentiates and trains `network`.

    Where there is no loss but an output was named, the module has ``predict`` alone.

    Parameters
    ----------
    target : "cpu" (Numba) or "numpy" (the readable reference)
    dtype : "float32" or "float64"
    batch : about how many rows a batch has: what cost models reckon with; the module takes any
    sizes : numbers for every symbolic size but the batch's, by name
    optimizer : one of ``gl.optimizers``; adds ``update`` and ``epoch``
    wrt : names to give gradients of; by default the parameters, or the inputs where there are none
    schedule : a `KernelSchedule`, or a mapping of its parameters: what is not left to cost models
    timed : whether the code counts where its time goes, in ``CYCLES`` (target "cpu", on x86 processors)
    checkpoint : k: of a recurrence only the state at every k-th step is stored, and the backward pass computes the rest
        again; True for about the square root of the number of steps (target "cpu")
    precision : "tf32": tensor cores compute products, of float32 factors that are rounded to 10 bits of mantissa
        (target "cuda")
    valued : False leaves the loss out, and what calls it: ``backward`` follows ``forward`` (targets "cpu" and "numpy")
    announced : whether ``backward`` takes ``pipes``, int64, and writes a byte to the file descriptor at place k, if
        that is none below 0, when it is done with the gradients at place k of ``FINISHED`` (target "cpu")

    Raises
    ------
    UnsupportedError
        If the target, type or precision is unknown, or the network holds a function that the target has no counterpart
        of; if `checkpoint` is given and there is no recurrence, or several that do not run together.
    SizeError
        If a size has no number, or `checkpoint` is more than the number of steps.
    LossError, UnusedParameterError
        As `Network.derive` does.
    """
    if target not in TARGETS:
        raise UnsupportedError(f"target {target!r} is not offered; choose from {', '.join(TARGETS)}")
    if dtype not in DTYPES:
        raise UnsupportedError(f"dtype {dtype!r} is not offered; choose from {', '.join(DTYPES)}")
    if timed and target != "cpu":
        raise UnsupportedError(f"target {target!r} cannot count where its time goes; choose cpu")
    if announced and target != "cpu":
        raise UnsupportedError(f"target {target!r} cannot say when a gradient is finished; choose cpu")
    chosen = as_schedule(schedule)
    chosen.check_target(target)
    checkpoint = check_checkpoint(checkpoint, target)
    precision = check_precision(precision, target, dtype)
    known = resolve_sizes(network, sizes or {}, batch)
    if network.loss is None and network.has_output and wrt is None and optimizer is None:
        return _generate(network, Derivation(network), target, dtype, known, None, chosen, timed, checkpoint, precision)
    names = list(wrt) if wrt is not None else network.asked or [tensor.name for tensor in network.parameters] or None
    derivation = network.derive(names)
    return _generate(
        network, derivation, target, dtype, known, optimizer, chosen, timed, checkpoint, precision, valued, announced
    )


def _generate(
    network: Network,
    derivation: Derivation,
    target: str,
    dtype: str,
    known: Sizes,
    optimizer: Any,
    chosen: KernelSchedule,
    timed: bool,
    checkpoint: int | bool | None,
    precision: str | None,
    valued: bool = True,
    announced: bool = False,
) -> GeneratedModule:
    shapes = {name: equation.target.shape for name, equation in derivation.gradients.items()}
    layout = make_layout(network, known, shapes, optimizer)
    lies: Any = {"strided": TARGETS[target].strided, "sums_last": TARGETS[target].sums_last}
    planned, lowering = make_schedule(
        network, derivation, known, list(layout.gradients), in_segments=checkpoint is not None, valued=valued, **lies
    )
    identifiers = Names()
    identifiers.declare([known.batch] if known.batch is not None else [])
    identifiers.declare(tensor for tensor in network.tensors.values() if tensor not in planned.replaced)
    identifiers.declare(planned.gradients.values())
    update = None if optimizer is None else plan_update(optimizer, layout.trainable)
    plan = Plan(
        network,
        planned,
        lowering,
        layout,
        known,
        identifiers,
        update,
        dtype,
        chosen=chosen,
        timed=timed,
        checkpoint=checkpoint,
        precision=precision,
        valued=valued,
        announced=announced,
    )
    if network.has_modes and not network.is_of_training:
        planned, lowering = schedule_inference(network, known, **lies)
        other = replace(
            plan, schedule=planned, lowering=lowering, names=identifiers.copy(), layout=replace(layout, gradients={})
        )
        plan = replace(plan, inference=replace(other, update=None))
    module = _module(plan, derivation, target)
    source = render(TARGETS[target].template, module)
    return GeneratedModule(source, layout, module.bodies.parts, stored_shapes(plan.schedule, known), known.batch)


def _module(plan: Plan, derivation: Derivation, target: str) -> Module:
    layout, sizes = plan.layout, plan.sizes
    bodies = TARGETS[target].write(plan)
    if plan.network.has_modes and plan.network.is_of_training:
        bodies = replace(bodies, loss=None, training_loss=bodies.loss)
    text = SizePrinter({sizes.batch: "batch"}).size
    batch = "" if sizes.batch is None else plan.names.of(sizes.batch)

    def entry(name: str, place: Place) -> Entry:
        return Entry(name, text(place.offset), tuple_text([text(size) for size in place.shape]))

    def data(tensor: Tensor) -> Data:
        name = plan.names.of(tensor)
        batched = tensor.rank > 0 and sizes.batch is not None and tensor.shape[0] == sizes.batch
        if not batched:
            return Data(name, name, "", is_whole=tensor.classes is not None)
        batch_name = plan.names.fresh(f"{name}_rows")
        inner = [text(size) for size in sizes.shape(tensor.shape[1:])]
        is_copied = tensor not in bodies.in_place
        copy, length = _copy(name, batch_name, inner), text(prod(sizes.shape(tensor.shape[1:]), start=Integer(1)))
        shape = tuple_text(["batch", *inner])
        return Data(name, batch_name, shape, copy, is_copied, length, tensor.classes is not None)

    def noise(tensor: Tensor) -> Noise:
        shape = sizes.shape(tensor.shape)
        grows = [bool(size.free_symbols) for size in shape]
        if any(grows) and (shape[0] != sizes.batch or any(grows[1:])):
            raise UnsupportedError(
                f"noise {tensor.name} has shape {shape_text(tensor.shape)}; the batch size {sizes.batch} may be its "
                "first axis alone"
            )
        text_of_shape = tuple_text([text(size) for size in shape]) if shape else "()"
        length = SizePrinter({sizes.batch: batch}).size(prod(shape, start=Integer(1)))
        each = text(prod((size for size in shape if size != sizes.batch), start=Integer(1)))
        return Noise(plan.names.of(tensor), text_of_shape, "[:count]" if any(grows) else "", length, each)

    network = plan.network
    arguments = {tensor: data(tensor) for tensor in [*network.inputs, *network.targets]}
    return Module(
        doc=_doc(plan, derivation, target),
        dtype=plan.real,
        inputs=tuple(arguments[tensor] for tensor in network.inputs),
        data=tuple(arguments.values()),
        noises=tuple(noise(tensor) for tensor in network.noises),
        mantissa={"float32": 24, "float64": 53}[plan.real],
        states=tuple_text([f'"{tensor.name}"' for tensor in network.states]) if network.states else "",
        parameters=tuple(entry(name, place) for name, place in layout.parameters.items()),
        gradients=tuple(entry(name, place) for name, place in layout.gradients.items() if place.is_fixed),
        growing_gradients=tuple(entry(name, place) for name, place in layout.gradients.items() if not place.is_fixed),
        batch=batch,
        trainable=layout.trainable,
        state=tuple_text([f'"{name}"' for name in layout.state]),
        hyper=tuple_text([f'"{name}"' for name in layout.hyper]),
        bodies=bodies,
    )


def _copy(name: str, batch_name: str, inner: list[str]) -> tuple[str, ...]:
    """Loops that copy one row: Numba compiles them many times faster than the assignment of a slice."""
    letters = [f"i{place}" for place in range(1, len(inner) + 1)]
    pairs = enumerate(zip(letters, inner, strict=True))
    loops = [f"{'    ' * depth}for {letter} in range({size}):" for depth, (letter, size) in pairs]
    places = ", ".join(letters)
    to, of = (f"row, {places}", f"at, {places}") if inner else ("row", "at")
    return (*loops, f"{'    ' * len(inner)}{batch_name}[{to}] = {name}[{of}]")


def _doc(plan: Plan, derivation: Derivation, target: str) -> tuple[str, ...]:
    network = plan.network
    lines = [f"{network.name}: {TARGETS[target].summary}, {plan.real}. Generated by gradloom.", "", "Network:"]
    lines += [f"    {mark.text}{equation}" for mark, equation in network.written()]
    lines += ["", "Derivation:"]
    lines += [f"    {equation}" for equation in derivation.adjoints]
    if plan.update is not None:
        lines += ["", "Update, at step t:"]
        lines += [f"    {equation}" for equation in plan.update.equations]
    return tuple(line.replace("\\", "\\\\").replace('"', "'") for line in lines)
