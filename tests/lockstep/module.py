"""A generated module, read from its source: its kernels and device functions, and the constants that they name."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from . import access, atomics, copies, host, launch, pointers, values
from .device import CUDA
from .errors import LockstepError
from .functions import Functions
from .now import NOW
from .rewrite import COLLECTIVES, ended

HOOKS = {
    **{name: getattr(pointers, name) for name in "ld2 ld4 st4 shifted pointer_to along quotient remainder".split()},
    **{name: getattr(copies, name) for name in "cp_async16 cp_async4 cp_commit tf32".split()},
    "anew": lambda number: number,
    "add_atomic": atomics.add_atomic,
    **{f"cp_wait{groups}": copies.cp_wait(groups) for groups in range(8)},
}


class Module:
    """The kernels of a source text, to be launched. Made by `load`."""

    def __init__(self, lines: list[str], kernels: dict[str, Any]) -> None:
        self.lines = lines
        self.kernels = kernels

    def launch(
        self,
        name: str,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        arguments: Iterable[Any],
        shared_bytes: int = 0,
        *,
        order: str | int = "forward",
        races: bool = True,
        float64: str = "stores",
        declared_alignment: bool = False,
    ) -> None:
        """Run a kernel to its end.

        Parameters
        ----------
        name
            The kernel.
        grid, block
            Blocks of the grid, threads of a block, along up to three axes.
        arguments
            Arrays (C-contiguous, changed in place; overlapping ones share their memory) and scalars. A scalar's type
            is the kernel's: give a learning rate as `np.float32(lr)`.
        shared_bytes
            The size of `cuda.shared.array(0, ...)`.
        order
            In which order threads and blocks run between barriers: "forward", "reverse", or a seed by which it is
            drawn anew every time.
        races
            Whether to look for accesses that nothing orders; without it a launch takes about half the time.
        float64
            "stores" raises `Promotion` where a float64 goes into float32 memory, "casts" also where a computed one is
            cast by `float32(...)`, "allow" nowhere.
        declared_alignment
            Whether 16-byte accesses to shared and local arrays need their `alignment=16`.

        Raises
        ------
        LockstepError
            One of its kinds, at the first fault.
        """
        if name not in self.kernels:
            raise LockstepError(f'no kernel "{name}"; there are {", ".join(sorted(self.kernels)) or "none"}')
        if float64 not in ("stores", "casts", "allow"):
            raise LockstepError(f'float64 is "stores", "casts" or "allow", not {float64!r}')
        NOW.kernel, NOW.lines = name, self.lines
        NOW.float64, NOW.declared_alignment = float64, declared_alignment
        launch.run(self.kernels[name], grid, block, list(arguments), shared_bytes, order, races)


def load(
    source: str,
    *,
    kernels: Iterable[str] = ("cuda.jit",),
    devices: Iterable[str] = (),
    plain: Iterable[str] = (),
    collectives: Mapping[str, str] | None = None,
    hooks: Mapping[str, Any] | None = None,
) -> Module:
    """Read a module's source.

    Parameters
    ----------
    source
        The text. Imports are not followed. Top-level assignments are run where kernels and device functions need them,
        and so are the undecorated functions that these assignments call: factories, which define device functions and
        return them.
    kernels, devices
        The decorators that make a function a kernel or a device function, as the source spells them, without
        arguments: "kernel", "cuda.jit". A kernel's decorator with `device=True` makes a device function, and
        `device = cuda.jit(device=True)` a decorator.
    plain
        The names of kernels that have no decorator.
    collectives
        More names of collectives: `{"all_blocks": "grid"}` makes every call of `all_blocks`, whatever its arguments, a
        barrier of the grid, as `grid_barrier` is. Operations are "grid" and those of `rewrite.COLLECTIVES`.
    hooks
        Python functions in the place of intrinsics (and of functions of the source) by name, beside those known:
        those of `HOOKS` and mma_tf32. They take and return what `values` describes.
    """
    tree = ast.parse(source)
    hooks = {**HOOKS, **(hooks or {})}
    named = {**COLLECTIVES, **(collectives or {})}
    roles = {"kernel": set(kernels), "device": {*devices, *host.named_decorators(tree, set(kernels))}}
    known = host.run(tree, roles, set(plain), hooks, set(named))
    space = host.imports(tree, kernel_modules()) | hooks
    space |= {"_load": access.load, "_store": access.store, "_ended": ended, "__builtins__": values.BUILTINS}
    functions = Functions(known, space, named)
    made = {name: noted for name, noted in known.items() if isinstance(noted, host.Noted) and noted.is_kernel}
    return Module(source.splitlines(), {name: functions.function(noted) for name, noted in made.items()})


def kernel_modules() -> dict[str, Any]:
    """What the modules that kernels use are inside them, by full name."""
    return {
        "math": values.MATH,
        "numpy": values.NUMPY,
        **{f"math.{name}": value for name, value in vars(values.MATH).items()},
        **{f"numpy.{name}": value for name, value in vars(values.NUMPY).items()},
        **{f"numba.{name}": cast for name, cast in values.CASTS.items()},
        "numba.cuda": CUDA,
        "numba.cuda.libdevice": CUDA.libdevice,
    }
