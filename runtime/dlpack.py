"""DLPack's structures (https://dmlc.github.io/dlpack, dlpack.h), for arrays of a GPU in both directions."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

ON_GPU, MANAGED = 2, 13  # kDLCUDA, kDLCUDAManaged
LEGACY_STREAM, UNORDERED = 1, -1  # the default stream, as CUDA and DLPack number it; none: a consumer orders its work
_KINDS = {0: "i", 1: "u", 2: "f", 6: "b"}  # DLDataTypeCode


class Tensor(ctypes.Structure):
    """DLTensor, the head of what a capsule points to."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """NumPy's type, if it has this one."""
        kind = _KINDS.get(self.code)
        return np.dtype(f"{kind}{self.bits // 8}") if kind is not None and self.lanes == 1 else None


class _Placed:
    """Of NumPy's array interface: where numbers lie, and what keeps them there."""

    def __init__(self, array: Any, pointer: int) -> None:
        self.array = array
        self.__array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (pointer, False),
            "version": 3,
        }


def tensor_of(capsule: Any) -> Tensor:
    """What a capsule that nobody has taken points to."""
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Tensor.from_address(pointer_of(capsule, b"dltensor"))


def capsule(array: Any, pointer: int, place: tuple[int, int]) -> Any:
    """A capsule of an array, C-contiguous, that lies at a pointer of a device; it keeps the array as long as it lives.

    NumPy makes it, as if of an array of the host, at which nobody looks: so it is C that lets go of it, in whichever
    thread, and also while an error is being raised.
    """
    made = np.asarray(_Placed(array, pointer)).__dlpack__()
    tensor = tensor_of(made)
    tensor.device_type, tensor.device_id = place
    return made
