"""Parameters alone in files that others read: ``.safetensors``, and ``.npz`` of plain arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.errors import MissingExtraError, SavedFileError, ShapeError
from ...symbolic.indices import Dim
from ...symbolic.network import Network
from ...symbolic.tensors import shape_text
from ..data import size_of
from ..files import ArchiveError, read_archive, write_archive, write_atomically
from ..saved_files import check_destination, check_path, fingerprint

Array = NDArray[Any]
SUFFIXES = (".safetensors", ".npz")
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
         "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}  # fmt: skip
ABOUT = "__about__"  # what an .npz file says of itself, in the place of safetensors' metadata


def write_parameters(path: str | os.PathLike[str], network: Network, params: Mapping[str, Array]) -> None:
    """
    Raises
    ------
    SavedFileError
        If the suffix is none of `SUFFIXES`, or the file cannot be written; one that was there before is untouched.
    """
    from ... import __version__

    check_destination(path)
    about = {"network": network.name, "fingerprint": fingerprint(network), "gradloom": __version__}
    arrays = {name: np.ascontiguousarray(array) for name, array in params.items()}
    try:
        if _suffix(path) == ".npz":
            text = np.frombuffer(json.dumps(about).encode(), np.uint8)
            write_archive(Path(path), {**arrays, ABOUT: text})
        else:
            write_atomically(Path(path), _safetensors().save(arrays, {"format": "np", **about}))
    except OSError as error:
        raise SavedFileError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error


def read_parameters(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a file by name; nothing pickled is read.

    Raises
    ------
    SavedFileError
        If the file is missing, damaged, or has another suffix.
    """
    check_path(path, "cannot open")
    shown = os.fspath(path)
    try:
        if _suffix(path) == ".npz":
            arrays = read_archive(path)
            arrays.pop(ABOUT, None)
            return arrays
        _safetensors()
        from safetensors import SafetensorError

        try:
            return _tensors(Path(path).read_bytes())
        except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ArchiveError(str(error)) from error
    except FileNotFoundError as error:
        raise SavedFileError(f"there is no file of parameters {shown}") from error
    except OSError as error:
        raise SavedFileError(f"cannot read {shown}: {error.strerror or error}") from error
    except ArchiveError as error:
        raise SavedFileError(f"{shown} is no file of plain arrays, or is damaged ({error})") from error


def _tensors(content: bytes) -> dict[str, Array]:
    """The arrays of a file of safetensors; bfloat16, which NumPy has not, becomes float32, of which it is a part."""
    import safetensors

    library: Any = safetensors
    made = {}
    for name, found in library.deserialize(content):
        kind = TYPES.get(found["dtype"])
        if kind is None:
            raise ArchiveError(f"{name} holds {found['dtype']}; expected {', '.join(TYPES)}")
        array = np.frombuffer(found["data"], kind)
        if found["dtype"] == "BF16":
            array = (array.astype("<u4") << 16).view("<f4")
        made[name] = array.reshape(found["shape"])
    return made


def check_parameters(
    arrays: Mapping[str, Array], network: Network, sizes: dict[str, int], dtype: str, shown: str
) -> None:
    """Compare arrays with what a network declares; sizes that are not known yet are read off them.

    Raises
    ------
    SavedFileError
        If names are missing or unknown, or an array holds no real numbers, or one too large for `dtype`.
    ShapeError
        If an array has another shape than its parameter.
    """
    tensors = network.parameters + network.states
    names = [tensor.name for tensor in tensors]
    missing, unknown = [name for name in names if name not in arrays], [name for name in arrays if name not in names]
    if missing or unknown:
        raise SavedFileError(
            f"{shown} holds {', '.join(arrays) or 'no arrays'}; {network.name} has {', '.join(names) or 'none'}"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
        )
    for tensor in tensors:
        array = arrays[tensor.name]
        if array.dtype.kind != "f":
            raise SavedFileError(f"{shown}: {tensor.name} holds {array.dtype}; expected floating-point numbers")
        if array.ndim == tensor.rank:
            for size, found in zip(tensor.shape, array.shape, strict=True):
                if isinstance(size, Dim):
                    sizes.setdefault(size.name, found)
        expected = tuple(size_of(size, sizes, tensor.name) for size in tensor.shape)
        if array.shape != expected:
            symbolic = "" if str(expected) == shape_text(tensor.shape) else f", declared {shape_text(tensor.shape)}"
            raise ShapeError(f"{shown}: {tensor.name} has shape {array.shape}; expected {expected}{symbolic}")
        largest = np.abs(array, where=np.isfinite(array), out=np.zeros_like(array)).max(initial=0)
        if largest > np.finfo(dtype).max:
            raise SavedFileError(f"{shown}: {tensor.name} holds {largest:g}, too large for {dtype}; take float64")


def _suffix(path: str | os.PathLike[str]) -> str:
    check_path(path, "cannot open")
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise SavedFileError(f"{os.fspath(path)}: parameters are kept in files that end in {' or '.join(SUFFIXES)}")
    return suffix


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError(
            'files of safetensors need the package safetensors: pip install "gradloom[safetensors]"; .npz needs none'
        ) from None
    return safetensors.numpy
