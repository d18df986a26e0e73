"""A generated module, read from its source: its kernels and device functions, and the constants that they name."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import access, copies, launch, values
from .device import CUDA, Constant
from .errors import LockstepError
from .now import NOW
from .rewrite import COLLECTIVES, Rewriter, dotted, that_yield

FILENAME = "<simulated>"
HOOKS = {
    **{name: getattr(copies, name) for name in ("ld4", "st4", "cp_async16", "cp_commit", "tf32")},
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
    collectives: Mapping[str, str] | None = None,
    hooks: Mapping[str, Any] | None = None,
) -> Module:
    """Read a module's source.

    Parameters
    ----------
    source
        The text. Imports are not followed and undecorated functions are left out; of the top-level assignments those
        are run that kernels and device functions need.
    kernels, devices
        The decorators that make a function a kernel or a device function, as the source spells them, without
        arguments: "kernel", "cuda.jit". A kernel's decorator with `device=True` makes a device function.
    collectives
        More names of collectives: `{"grid_barrier": "grid"}` makes every call of `grid_barrier`, whatever its
        arguments, a barrier of the grid. Operations are "grid" and those of `rewrite.COLLECTIVES`.
    hooks
        Python functions in the place of intrinsics (and of functions of the source) by name, beside those known:
        ld4, st4, cp_async16, cp_commit, cp_wait0 to cp_wait7, tf32, mma_tf32. They take and return what `values`
        describes.
    """
    tree = ast.parse(source)
    hooks = {**HOOKS, **(hooks or {})}
    named = {**COLLECTIVES, **(collectives or {})}
    roles = {"kernel": set(kernels), "device": set(devices)}
    functions: dict[str, dict[str, ast.FunctionDef]] = {"kernel": {}, "device": {}}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name not in hooks and node.name not in named:
            role = role_of(node, roles)
            if role is not None:
                functions[role][node.name] = node
    both = {**functions["device"], **functions["kernel"]}
    needed = set().union(*map(free, both.values()))
    space = constants(tree, needed - both.keys() - hooks.keys() - named.keys())
    space |= imports(tree, kernel_modules())
    space |= {"_load": access.load, "_store": access.store, "__builtins__": values.BUILTINS} | hooks
    yielding = that_yield(both, named)
    casts = values.CASTS | {name: value for name, value in space.items() if callable(value) and value in values.DTYPES}
    rewriter = Rewriter(named, yielding, casts)
    for name, function in both.items():
        rewritten = rewriter.function(function, generator=name in yielding or name in functions["kernel"])
        exec(compile(ast.Module([rewritten], []), FILENAME, "exec"), space)
    space |= rewriter.constants
    return Module(source.splitlines(), {name: space[name] for name in functions["kernel"]})


def role_of(function: ast.FunctionDef, roles: dict[str, set[str]]) -> str | None:
    for decorator in function.decorator_list:
        called = isinstance(decorator, ast.Call)
        name = dotted(decorator.func if called else decorator)
        if name in roles["device"]:
            return "device"
        if name in roles["kernel"]:
            keywords = {keyword.arg: keyword.value for keyword in decorator.keywords} if called else {}
            is_device = getattr(keywords.get("device"), "value", False)
            return "device" if is_device else "kernel"
    return None


def free(function: ast.FunctionDef) -> set[str]:
    """The names that a function reads and does not bind."""
    names = [node for statement in function.body for node in ast.walk(statement) if isinstance(node, ast.Name)]
    bound = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name.id for name in names} - bound - {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}


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


def host_modules() -> dict[str, Any]:
    """The same for the host's code, which computes constants; `numba.cuda` is only there for constant arrays."""
    return {
        "math": math,
        "numpy": np,
        **{f"math.{name}": value for name, value in vars(math).items()},
        **{f"numpy.{name}": value for name, value in vars(np).items()},
        **{f"numba.{name}": values.DTYPES[cast].type for name, cast in values.CASTS.items()},
    }


def imports(tree: ast.Module, known: dict[str, Any]) -> dict[str, Any]:
    """The names that the imports bind, where they are known; a kernel that uses another one fails at its name."""
    bound = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(aliases):
                prefix = ""
            case ast.ImportFrom(module=str(module), names=aliases):
                prefix = f"{module}."
            case _:
                continue
        for alias in aliases:
            if prefix + alias.name in known:
                bound[alias.asname or alias.name] = known[prefix + alias.name]
    return bound


def constants(tree: ast.Module, needed: set[str]) -> dict[str, Any]:
    """The values of the top-level assignments that `needed` names need, as kernels see them."""
    wanted = []
    needed = set(needed)
    for node in reversed(tree.body):
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} & needed
        ):
            wanted.append(node)
            needed |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    space = imports(tree, host_modules())
    before = set(space)
    try:
        with np.errstate(over="ignore"):
            exec(compile(ast.Module(wanted[::-1], []), FILENAME, "exec"), space)
    except Exception as error:
        names = ", ".join(sorted({ast.unparse(node).split(" ")[0] for node in wanted}))
        raise LockstepError(f"the constants {names} that kernels need cannot be computed: {error!r}") from error
    return {
        name: Constant.array_like(value) if isinstance(value, np.ndarray) else values.frozen(value)
        for name, value in space.items()
        if name not in before | {"__builtins__"}
    }
