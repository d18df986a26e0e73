"""What of the CUDA toolkit is installed, and in which versions; what is missing is said with how to install it.

The compiler is numba-cuda with NVVM and libdevice, the assembler nvJitLink; `cuda.bindings` calls these and the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ..symbolic.errors import MissingExtraError, UnsupportedError

INSTALL = 'pip install "gradloom[cuda]"'
_MISSING = f"CUDA kernels need a compiler, which is not installed: {INSTALL}"
# What these libraries raise where a part of the toolkit is not found, or lacks what they call: classes of theirs.
_ABSENT = ("DynamicLibNotFoundError", "NvvmSupportError")
_UNFIT = ("FunctionNotFoundError", "NotSupportedError")
_PARTS = {"libnvvm": "libNVVM", "nvvm": "libNVVM", "nvjitlink": "nvJitLink", "libdevice": "libdevice"}


def require_compiler() -> None:
    """Nothing, if the compiler is installed.

    Raises
    ------
    MissingExtraError
        If it is not, with how to install it.
    """
    require_driver_interface()
    if find_spec("numba_cuda") is None:
        raise MissingExtraError(_MISSING)


def require_driver_interface() -> None:
    """Nothing, if what calls the driver is installed; machine code that is there already needs no more.

    Raises
    ------
    MissingExtraError
        If it is not, with how to install it.
    """
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        raise MissingExtraError(_MISSING)


def compiler_versions() -> dict[str, str]:
    """What machine code depends on besides its source and the kind of GPU: compiler, optimiser and assembler.

    Raises
    ------
    MissingExtraError
        If the compiler, or a part of it, is not installed.
    """
    require_compiler()
    with whole_toolkit():
        from cuda.bindings import nvjitlink, nvvm

        found = {"numba-cuda": import_module("numba_cuda").__version__}
        for name, library in (("nvvm", nvvm), ("nvjitlink", nvjitlink)):
            found[name] = ".".join(map(str, library.version()))
    for package in ("nvidia-nvvm", "nvidia-nvjitlink"):
        with suppress(PackageNotFoundError):  # a toolkit that no package installer knows
            found[package] = version(package)
    return found


@contextmanager
def whole_toolkit() -> Iterator[None]:
    """In here, what is missing of the toolkit, or of a version that does not fit, is said with the mend.

    Raises
    ------
    MissingExtraError
        If a part is not there, or cannot be loaded.
    UnsupportedError
        If the assembler is older than the GPU.
    """
    try:
        yield
    except Exception as error:
        kind, text = type(error).__name__, str(error)
        if kind in _ABSENT or isinstance(error, ImportError) or text.startswith("Missing libdevice"):
            raise MissingExtraError(f"the CUDA compiler lacks {_part(text)}: {INSTALL}") from None
        if kind in _UNFIT:
            said = text.splitlines()[0] if text else kind
            raise MissingExtraError(f"the CUDA toolkit is of another version than needed ({said}): {INSTALL}") from None
        if "UNRECOGNIZED_ARCH" in text:
            raise UnsupportedError(
                "the assembler of the CUDA toolkit does not know this kind of GPU; install a newer toolkit "
                "(nvidia-nvvm and nvidia-nvjitlink), or generate for an older kind of the same major number (--arch)"
            ) from None
        raise


def _part(text: str) -> str:
    """The part of the toolkit that an error names, or what it says of it."""
    lowered = text.lower()
    found = next((name for word, name in _PARTS.items() if word in lowered), None)
    return found or f"a part ({text.splitlines()[0] if text else 'which is not said'})"
