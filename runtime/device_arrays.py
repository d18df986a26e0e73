"""`DeviceArray`: an array that lies in the memory of a device, and stays there from call to call.

What runs on the device takes it as it is; ``np.asarray`` copies it to the host, so that all else takes it, too. Other
libraries that compute on the GPU take it without a copy, by DLPack (https://dmlc.github.io/dlpack) or
``__cuda_array_interface__``. What they then do with it is done before what is asked of it here from then on; what is
done here later, they know only of an array that they take again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import ShapeError
from .dlpack import LEGACY_STREAM, ON_GPU, capsule

Array = NDArray[Any]


class DeviceArray:
    """Numbers in a buffer of a device, C-contiguous.

    Parameters
    ----------
    device : what `cuda_device.Device` is
    buffer : holds at least as many numbers as the shape says

    Attributes
    ----------
    shape, dtype, ndim, size, nbytes : those of the array
    """

    def __init__(self, device: Any, buffer: Any, shape: tuple[int, ...]) -> None:
        self.device, self.buffer, self.shape = device, buffer, tuple(shape)
        self.dtype: np.dtype[Any] = buffer.dtype
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        """Neighbouring rows, as a part of this array; any others as an array of the host, which is a copy."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            return np.asarray(self)[rows]
        start, stop, _ = rows.indices(len(self))
        count, each = max(0, stop - start), self.size // max(1, len(self))
        part = self.device.part(self.buffer, start * each, count * each)
        return DeviceArray(self.device, part, (count, *self.shape[1:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("an array of a device cannot be had on the host without a copy")
        found = np.empty(self.shape, self.dtype)
        self.device.read(self.buffer, 0, found)
        return found if dtype is None else found.astype(dtype, copy=False)

    def reshape(self, *shape: Any) -> DeviceArray:
        """The same numbers in another shape."""
        empty = np.empty(self.shape, np.bool_).reshape(*shape)
        return DeviceArray(self.device, self.buffer, empty.shape)

    def fill(self, array: Any) -> None:
        """Copy an array of as many numbers here, of the host or of the same device.

        Raises
        ------
        ShapeError
            If it has more, or fewer.
        """
        is_there = isinstance(array, DeviceArray) and array.device is self.device and array.dtype == self.dtype
        found = array if is_there else np.asarray(array).reshape(-1)
        if found.size != self.size:
            raise ShapeError(f"{found.size} numbers cannot be copied to an array of {self.size}, of shape {self.shape}")
        if is_there:
            self.device.copy(self.buffer, self.device.part(array.buffer, 0, self.size))
        else:
            self.device.write(self.buffer, found)

    def copy(self) -> DeviceArray:
        """The same numbers in memory of their own, on the device."""
        made = DeviceArray(self.device, self.device.buffer(self.size, self.dtype), self.shape)
        made.fill(self)
        return made

    # ---- how other libraries take it -----------------------------------------------------------------------------

    def __dlpack_device__(self) -> tuple[int, int]:
        return ON_GPU, self.device.number

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """What ``from_dlpack`` of PyTorch, CuPy and JAX takes: the same memory, which lives as long as they have it.

        `stream` is theirs: what they ask of it comes after what was asked of this array so far; None is the default
        stream, -1 none, where they wait by themselves.
        """
        if dl_device is not None and tuple(map(int, dl_device)) != self.__dlpack_device__():
            raise BufferError("an array of a device cannot be had elsewhere by DLPack; numpy.asarray copies it")
        given = self.copy() if copy else self
        self.device.lend(given.buffer, LEGACY_STREAM if stream in (None, 0) else int(stream))
        return capsule(given, given.buffer.pointer, self.__dlpack_device__())

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """What CuPy and Numba take; what was asked of this array so far is done, so that they need not wait."""
        self.device.lend(self.buffer, None)
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.buffer.pointer if self.size else 0, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def __repr__(self) -> str:
        return f"<DeviceArray {self.shape}: {self.dtype}>"
