"""Machine code beside a generated CUDA module: what `gradloom generate --arch` writes, and `load_kernels` finds.

Beside ``kernels.py`` lie ``kernels.sm_90.train.cubin`` and such a file for each other kernel, as the driver loads them,
and ``kernels.sm_90.json``, which says of which source they were made, by what, and each file's digest; and how many
threads and bytes of shared memory the blocks of a launch have, as the module says, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..symbolic.errors import DataError, UnsupportedError
from .cache import load_module
from .cuda_compiler import Cubin, compile_ptx, cubin
from .cuda_host import device_part, host_module, kernels_of, kinds_of
from .cuda_module import DeviceModule
from .cuda_toolkit import compiler_versions
from .files import write_atomically


def architecture(text: str) -> tuple[int, int]:
    """The compute capability that ``sm_90`` names.

    Raises
    ------
    UnsupportedError
        If the text names none from sm_80 on: older GPUs lack instructions that the kernels are written with.
    """
    found = re.fullmatch(r"(?:sm_)?(\d{1,2})(\d)", text)
    cc = (int(found[1]), int(found[2])) if found else (0, 0)
    if cc < (8, 0):
        raise UnsupportedError(f"architecture {text!r} is not offered; expected sm_80 or newer, such as sm_90")
    return cc


def write_cubins(path: Path, source: str, cc: tuple[int, int]) -> list[Path]:
    """Compile every kernel of a module for a kind of GPU, and write the machine code beside the module's file.

    Returns
    -------
    The files: one for each kernel, and what describes them.

    Raises
    ------
    MissingExtraError
        If the compiler is not installed.
    UnsupportedError
        If the assembler refuses a kernel.
    OSError
        If a file cannot be written.
    """
    versions, host = compiler_versions(), host_module(source)
    module = load_module(source, {"target": "cuda"})
    written: list[Path] = []
    kernels: dict[str, dict[str, str]] = {}
    for kernel in kernels_of(source):
        ptx = compile_ptx(getattr(module, kernel), list(kinds_of(host, kernel, host.real).values()), cc, host.THREADS)
        code = cubin(ptx, cc).code
        written.append(path.with_name(f"{path.stem}.{_name(cc)}.{kernel}.cubin"))
        write_atomically(written[-1], code)
        kernels[kernel] = {"file": written[-1].name, "sha256": hashlib.sha256(code).hexdigest()}
    about = {"source": _digest(source), "architecture": _name(cc), "compiler": versions, "kernels": kernels}
    about["launch"] = {"threads": host.THREADS, "shared": host.SHARED}
    # Last: what it describes is there by then.
    written.append(_description(path, cc))
    write_atomically(written[-1], (json.dumps(about, indent=2) + "\n").encode())
    return written


def load_kernels(path: str | os.PathLike[str], device: Any = None) -> DeviceModule:
    """The functions of a generated CUDA module, which need no compiler where machine code for the GPU lies beside it.

    They are those of a module for the CPU (``predict``, ``loss``, ``loss_and_gradients``, ``update``, ``epoch``) and
    take NumPy arrays as those do.

    Parameters
    ----------
    path : what ``gradloom generate --target cuda -o FILE`` wrote
    device : the GPU; by default the first one

    Raises
    ------
    DataError
        If the file is missing, or is no such module.
    DeviceError
        If there is no GPU.
    MissingExtraError
        When a kernel is first asked for: if neither its machine code nor a compiler is there.
    """
    from .cuda_device import default_device

    path = Path(path)
    try:
        source = path.read_text(encoding="utf-8")
        host_module(source)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # of a file that is another module, or was changed
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is no module that gradloom generate --target cuda wrote ({reason})") from error
    device = default_device() if device is None else device
    module = device_part(source, {"target": "cuda"}, _finder(path, source))
    return DeviceModule(module, device, module.real)


def _finder(path: Path, source: str) -> Callable[[str, tuple[int, int]], Cubin | None]:
    """Finds machine code beside a module.

    What is damaged, or of another source, is not used: a `DataError` says so where there is no other.
    """

    def find(kernel: str, cc: tuple[int, int]) -> Cubin | None:
        flaw: DataError | None = None
        # Code for sm_80 runs on sm_86, too; that of another major number does not.
        for minor in range(cc[1], -1, -1):
            description = _description(path, (cc[0], minor))
            try:
                if description.exists():
                    return _described(description, _digest(source), kernel)
            except DataError as error:
                flaw = flaw or error
        if flaw is not None:
            raise flaw
        return None

    return find


def _described(description: Path, source: str, kernel: str) -> Cubin:
    name = description.name
    try:
        about = json.loads(description.read_bytes())
        digest, listed = about["source"], about["kernels"][kernel]
        name, wanted = Path(listed["file"]).name, listed["sha256"]
        if digest != source:
            raise DataError(f"{description.name} is of another source than the module beside it")
        code = (description.parent / name).read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} is damaged, or has no kernel {kernel}") from None
    if hashlib.sha256(code).hexdigest() != wanted:
        raise DataError(f"{name} is damaged: it is not what was written")
    return Cubin(code, kernel)


def _description(path: Path, cc: tuple[int, int]) -> Path:
    return path.with_name(f"{path.stem}.{_name(cc)}.json")


def _name(cc: tuple[int, int]) -> str:
    return f"sm_{cc[0]}{cc[1]}"


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()
