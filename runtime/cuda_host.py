"""What of a generated CUDA module the host runs, without a compiler; and the machine code of its kernels.

A module's constants and the functions that place things are plain Python; only its kernels, and what they call, need
the compiler. Machine code is looked for beside the file of the module, then in the kernel cache, and made if it is in
neither.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..symbolic.errors import DataError, MissingExtraError
from .cache import find_compiled, keep_compiled, load_module
from .cuda_compiler import Cubin, compile_ptx, cubin
from .cuda_toolkit import compiler_versions, whole_toolkit

CARRIED = "# ---- What the kernels call"
KERNELS = "# ---- The kernels"
WHOLE_NUMBERS = {"count": "int32", "batch": "int32", "step": "int32", "seed": "uint64"}


def host_module(source: str) -> ModuleType:
    """The part of a generated CUDA module that the host runs; of each kernel it has the arguments alone."""
    module = ModuleType("host")
    head = source[: source.index(CARRIED)]
    lines = [line for line in head.splitlines() if not line.startswith(("from numba", "from llvmlite"))]
    lines = [re.sub(r"^real = ", "real = np.", line) for line in lines]
    for text in ("\n".join(lines), source[source.index(KERNELS) :]):
        exec(compile(text, "<generated>", "exec"), module.__dict__)
    return module


def device_part(
    source: str, options: Mapping[str, Any], beside: Callable[[str, tuple[int, int]], Cubin | None] | None = None
) -> ModuleType:
    """`host_module` of a source, which these options name in the kernel cache, with the machine code of its kernels."""
    module = host_module(source)
    module.__dict__["machine_code"] = MachineCode(source, options, beside)
    return module


def kernels_of(source: str) -> list[str]:
    """The names of a module's kernels."""
    return re.findall(r"^@kernel\ndef (\w+)\(", source[source.index(KERNELS) :], re.MULTILINE)


def kinds_of(module: ModuleType, kernel: str, dtype: Any) -> dict[str, str]:
    """The arguments of a kernel of a module for numbers of a type, and their kinds as `cuda_compiler` takes them."""
    whole = {**WHOLE_NUMBERS, module.BATCH: "int32"}
    pointers = dict.fromkeys(("gate", *module.WHOLE), "int32*")
    real = f"{np.dtype(dtype).name}*"
    names = inspect.signature(getattr(module, kernel)).parameters
    return {name: whole.get(name) or pointers.get(name, real) for name in names}


class MachineCode:
    """The kernels of one module in machine code, for whichever kind of GPU asks.

    Parameters
    ----------
    source : of the module
    options : what was asked of the generator, which names the module in the kernel cache
    beside : gives what was compiled for a kernel and a kind of GPU before, or None; a `DataError` where that is flawed
    """

    def __init__(
        self,
        source: str,
        options: Mapping[str, Any],
        beside: Callable[[str, tuple[int, int]], Cubin | None] | None = None,
    ) -> None:
        self.source, self.options = source, dict(options)
        self.beside = beside or (lambda kernel, cc: None)

    def __call__(self, kernel: str, kinds: Sequence[str], threads: int, cc: tuple[int, int]) -> Cubin:
        """A kernel for blocks of so many threads.

        Raises
        ------
        MissingExtraError
            If there is no machine code yet, and no compiler.
        UnsupportedError
            If the assembler refuses the kernel.
        CacheError
            If a chosen cache directory cannot be used.
        """
        flaw = ""
        try:
            found = self.beside(kernel, cc)
        except DataError as error:  # it is compiled anew, where that can be done
            found, flaw = None, f"{error}, and "
        if found is not None:
            return found
        try:
            asked = json.dumps([kernel, list(kinds), threads, cc, compiler_versions()], sort_keys=True)
        except MissingExtraError as error:
            raise MissingExtraError(f"{flaw}{error}; or generate the machine code where one is: {mend(cc)}") from None
        key = f"{kernel}-{hashlib.sha256(asked.encode()).hexdigest()[:32]}.cubin"
        kept = find_compiled(self.source, self.options, key)
        if kept is not None:
            return Cubin(kept, kernel)
        with whole_toolkit():
            function = getattr(load_module(self.source, self.options), kernel)
        made = cubin(compile_ptx(function, kinds, cc, threads), cc)
        keep_compiled(self.source, self.options, key, made.code)
        return made


def mend(cc: tuple[int, int]) -> str:
    """The command that writes machine code for a kind of GPU."""
    return f"gradloom generate MODEL --target cuda --arch sm_{cc[0]}{cc[1]} -o FILE.py, then gl.load_kernels('FILE.py')"
