"""From a network to a `Program`: what it may be compiled for, checked; its source generated, or found, and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..codegen.kernel_schedule import KernelSchedule, as_schedule, check_precision
from ..codegen.sizes import usual_rows
from ..symbolic.derivation import asked_names
from ..symbolic.errors import SizeError, UndefinedError, UnsupportedError
from ..symbolic.network import Network
from .cache import load_module
from .kept_sources import generated_source
from .program import Program

TARGETS = ("cpu", "cuda", "numpy")
DTYPES = ("float32", "float64")


def compile_network(
    network: Network,
    *,
    target: str = "cpu",
    dtype: str = "float32",
    batch: int = 100,
    sizes: Mapping[str, int] | None = None,
    optimizer: Any = None,
    wrt: Iterable[str] | None = None,
    schedule: Any = None,
    checkpoint: int | bool | None = None,
    precision: str | None = None,
    valued: bool = True,
    announced: bool = False,
) -> Program:
    """Generate and load the kernels of `network`; see `Network.compile` for the parameters.

    Without `valued` the loss is left out, and what calls it: the module's `backward` follows `forward`. If `announced`,
    `loss_and_gradients` takes pipes, as `generate` says.

    Raises
    ------
    LossError
        If the network has no loss.
    SizeError
        If a symbolic size, other than the batch, has no number, or `checkpoint` is more than the number of steps.
    UnsupportedError
        If `checkpoint` is given for another target than "cpu", or for a network without a recurrence; if `precision` is
        not one of the target and the dtype.
    UndefinedError
        If `target`, `dtype` or `optimizer` is unknown.
    MissingExtraError, DeviceError
        If the target is "cuda", and its compiler is not installed, or there is no GPU.
    CacheError
        If a chosen cache directory cannot be used.
    """
    dtype = check_choices(target, dtype, optimizer)
    if not isinstance(batch, int | np.integer) or isinstance(batch, bool) or batch < 1:
        raise SizeError(f"batch is {batch!r}; expected a whole number of at least 1")
    numbers = check_sizes(sizes or {})
    names = None if wrt is None else tuple(asked_names(network, wrt))
    options: dict[str, Any] = {
        "target": target,
        "dtype": dtype,
        "rows": usual_rows(int(batch)),
        "sizes": numbers,
        "optimizer": type(optimizer).__name__,
        "wrt": names,
    }
    if schedule is not None:
        made = as_schedule(schedule)
        is_plain = type(made) is KernelSchedule
        options["schedule"] = _as_list(made) if is_plain else made
    if checkpoint is not None:
        options["checkpoint"] = checkpoint
    precision = check_precision(precision, target, dtype)
    if precision is not None:
        options["precision"] = precision
    if not valued:
        options["valued"] = False
    if announced:
        options["announced"] = True

    def generate() -> str:
        from ..codegen.generate import generate  # what is kept needs none of it

        return generate(
            network,
            target=target,
            dtype=dtype,
            batch=int(batch),
            sizes=numbers,
            optimizer=optimizer,
            wrt=names,
            schedule=schedule,
            checkpoint=checkpoint,
            precision=precision,
            valued=valued,
            announced=announced,
        ).source

    device = None
    if target == "cuda":
        from .cuda_device import default_device

        device = default_device()
    source = generated_source(network, optimizer, options, generate)
    if device is None:
        module: Any = load_module(source, options)
    else:
        from .cuda_host import device_part
        from .cuda_module import DeviceModule

        module = DeviceModule(device_part(source, options), device, dtype)
    return Program(
        network,
        source,
        module,
        target=target,
        dtype=dtype,
        sizes=numbers,
        optimizer=optimizer,
        batch=int(batch),
    )


def _as_list(schedule: KernelSchedule) -> list[Any]:
    """All that a schedule chooses, in one order."""
    return sorted({**vars(schedule), "products": sorted(schedule.products.items())}.items())


def check_choices(target: str, dtype: Any, optimizer: Any = None) -> str:
    """Check what a program is compiled for; return the name of `dtype`."""
    if not isinstance(target, str) or target not in TARGETS:
        raise UnsupportedError(f"target {target!r} is not offered; choose from {', '.join(TARGETS)}")
    try:
        name = str(np.dtype(dtype).name)
    except (TypeError, ValueError, SyntaxError, OverflowError, RecursionError):
        name = repr(dtype)
    if name not in DTYPES:
        raise UnsupportedError(f"dtype {name} is not offered; choose from {', '.join(DTYPES)}")
    if optimizer is not None:
        check_optimizer(optimizer)
    return name


def check_optimizer(optimizer: Any) -> None:
    """
    Raises
    ------
    UndefinedError
        If it is none.
    """
    if isinstance(optimizer, type) or not hasattr(optimizer, "equations"):
        shown = f"{optimizer.__name__}, a class" if isinstance(optimizer, type) else repr(optimizer)
        raise UndefinedError(f"optimizer is {shown}; expected one of gl.optimizers, such as gl.optimizers.SGD(lr=0.1)")


def check_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes as plain integers, by name.

    Raises
    ------
    SizeError
        If one is not a positive whole number.
    """
    if not isinstance(sizes, Mapping):
        raise SizeError(f"sizes is {sizes!r}; expected a dict of numbers by name, as in {{'n': 64}}")
    made = {}
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise SizeError(f"size {name} is {size!r}; expected a whole number of at least 1")
        made[str(name)] = int(size)
    return made
