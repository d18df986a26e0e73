"""From a function of a generated CUDA module to what a GPU loads: PTX, then machine code. Neither needs a driver.

This is the one module that knows the compiler, numba-cuda, and its assembler, nvJitLink. Together with
`codegen/carried/cuda/intrinsics.py`, which knows its extension interface, it is what another compiler would replace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import RLock
from types import SimpleNamespace
from typing import Any

from ..symbolic.errors import UnsupportedError
from .cuda_toolkit import require_compiler, whole_toolkit

_NUMBERS = ("float32", "float64", "int8", "int32", "int64", "uint8", "uint32", "uint64")
_COMPILING = RLock()

# Instructions of PTX that speed depends on.
_INSTRUCTIONS = {
    "float64": r"\.f64\b",
    "wide_loads": r"\bld\.(?:global|shared)\.(?:v4\.[bfu]32|v2\.[bfu]64)\b|\bcp\.async\.cg\.",
    "global_loads_of_16": r"\bld\.global\.(?:v4\.[bfu]32|v2\.[bfu]64)\b",
    "wide_stores": r"\bst\.(?:global|shared)\.(?:v4\.[bfu]32|v2\.[bfu]64)\b",
    "copies": r"\bcp\.async\.c[ag]\.",
    "mma": r"\bmma\.sync",
    "long_divisions": r"\b(?:div|rem)\.s64\b",
    "atomic_adds": r"\b(?:red|atom)\.global\.add\.f",
    "barriers": r"\batom\.add\.release\.gpu\b",
    "calls": r"\bcall\b",
    "generic": r"\b(?:ld|st)\.(?:v[24]\.)?[bfsu]\d",
    "read_only": r"\bld\.global\.nc\b",
}


@dataclass(frozen=True)
class Ptx:
    """A kernel in PTX: its text, and the name of its entry there."""

    text: str
    name: str


@dataclass(frozen=True)
class Resources:
    """What a kernel takes of the GPU.

    Attributes
    ----------
    registers : of each thread
    shared : bytes of static shared memory of each block, with what CUDA keeps for itself (1 KiB from Hopper on)
    local : bytes of memory of each thread, for arrays that are not held in registers
    spills : bytes that are stored and loaded for want of registers
    """

    registers: int
    shared: int
    local: int
    spills: int


@dataclass(frozen=True)
class Cubin:
    """A kernel in machine code for one kind of GPU: what the driver loads, the name of its entry, and what it takes.

    `resources` is None of machine code that was made earlier.
    """

    code: bytes
    name: str
    resources: Resources | None = None


def compile_ptx(
    function: Callable[..., None],
    signature: Sequence[str],
    cc: tuple[int, int],
    launch_bounds: int | tuple[int, int],
    max_registers: int | None = None,
    fast: bool = False,
) -> Ptx:
    """Compile a kernel to PTX, for any driver of CUDA 13.0 or newer.

    Parameters
    ----------
    function : of a generated module; it returns nothing
    signature : the kinds of its arguments: "float32", "int32", …, and "float32*", … for pointers
    cc : the compute capability of the GPU, (9, 0) for a Hopper
    launch_bounds : the most threads of a block; or those, and the fewest blocks that are to fit on one multiprocessor,
        which limits the registers
    max_registers : of a thread; not with a number of blocks, which says the same
    fast : functions and divisions in the hardware's approximations, and subnormal numbers as 0

    Returns
    -------
    The PTX; its entry has the name of the function.

    Raises
    ------
    MissingExtraError
        If the compiler, or a part of it, is not installed.
    """
    require_compiler()
    cuda = _of_numba()
    taken = cuda.types.void(*map(_kind, signature))
    with whole_toolkit(), _COMPILING, _device(cc):
        text, _ = cuda.compile_ptx(function, taken, cc=cc, launch_bounds=launch_bounds, fastmath=fast)
    entry = re.search(r"\.entry\s+([\w$]+)", text)
    assert entry is not None, text[:500]
    # The compiler's own name holds where the function stood, and the arguments in a code that only Numba reads.
    text = re.sub(rf"(?<![\w$]){re.escape(entry[1])}(?=_param_\d+\b|(?![\w$]))", function.__name__, text)
    if max_registers is not None:
        text = re.sub(r"^\.maxntid\b.*$", rf"\g<0>\n.maxnreg {max_registers}", text, count=1, flags=re.MULTILINE)
    return Ptx(text, function.__name__)


def cubin(ptx: Ptx, cc: tuple[int, int]) -> Cubin:
    """Assemble PTX for the GPUs of a compute capability.

    Raises
    ------
    MissingExtraError
        If the assembler is not installed.
    UnsupportedError
        If the assembler refuses the kernel, as one that takes more shared memory than there is, or is older than the
        kind of GPU.
    """
    require_compiler()
    from cuda.bindings import nvjitlink

    options = [f"-arch=sm_{cc[0]}{cc[1]}", "-O3", "-verbose"]
    text = ptx.text.encode()
    with whole_toolkit():
        linker = nvjitlink.create(len(options), options)
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, text, len(text), "kernel.ptx")
        nvjitlink.complete(linker)
        code = _taken(linker, nvjitlink.get_linked_cubin_size, nvjitlink.get_linked_cubin)
        log = _taken(linker, nvjitlink.get_info_log_size, nvjitlink.get_info_log).decode()
    except nvjitlink.nvJitLinkError:
        log = _taken(linker, nvjitlink.get_error_log_size, nvjitlink.get_error_log).decode()
        said = log.strip("\0 \n").replace(ptx.name, "the kernel")
        raise UnsupportedError(f"the assembler for sm_{cc[0]}{cc[1]} refuses a kernel: {said}") from None
    finally:
        nvjitlink.destroy(linker)
    return Cubin(code, ptx.name, _resources(log))


def counts(ptx: Ptx) -> dict[str, int]:
    """How many instructions of PTX are of each kind that speed depends on.

    Returns
    -------
    dict
        "float64": of double precision; "wide_loads", "wide_stores": of 16 bytes, asynchronous copies with the loads,
        and "global_loads_of_16" without them and those of shared memory; "copies": asynchronous copies; "mma": of
        tensor cores; "long_divisions": of signed numbers of 64 bits; "atomic_adds": of real numbers; "barriers": of
        the grid; "calls": functions not inlined; "generic": loads and stores of which the compiler did not find out
        whether they are of global or shared memory; "read_only": loads past the coherent caches.
    """
    body = "\n".join(line for line in ptx.text.splitlines() if not line.lstrip().startswith((".", "//")))
    return {name: len(re.findall(pattern, body)) for name, pattern in _INSTRUCTIONS.items()}


@contextmanager
def _device(cc: tuple[int, int]) -> Iterator[None]:
    """The compiler asks the driver which GPU functions that kernels call are for, but for kernels themselves."""
    dispatcher = _of_numba(".dispatcher")
    asked = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=cc)
    try:
        yield
    finally:
        dispatcher.get_current_device = asked


def _of_numba(name: str = "") -> Any:
    """Numba's CUDA package or a module of it: numba-cuda's where that is installed, which type checkers do not see."""
    return import_module(f"numba.cuda{name}")


def _kind(name: str) -> Any:
    types = _of_numba(".types")
    number = name.removesuffix("*")
    if number not in _NUMBERS:
        known = ", ".join(_NUMBERS)
        raise UnsupportedError(f'an argument of a kernel is "{name}"; expected {known}, or a pointer, as float32*')
    return types.CPointer(getattr(types, number)) if name.endswith("*") else getattr(types, number)


def _taken(linker: Any, size: Callable[[Any], int], take: Callable[[Any, bytearray], None]) -> bytes:
    found = bytearray(size(linker))
    take(linker, found)
    return bytes(found)


def _resources(log: str) -> Resources:
    def most(pattern: str) -> int:
        return max((int(found) for found in re.findall(pattern, log)), default=0)

    return Resources(
        registers=most(r"[Uu]sed (\d+) registers"),
        shared=most(r"(\d+) bytes smem"),
        local=most(r"(\d+) bytes stack frame"),
        spills=most(r"(\d+) bytes spill (?:stores|loads)"),
    )
