"""`DeviceArray`: an array that lies in the memory of a device, and stays there from call to call.

What runs on the device takes it as it is; ``np.asarray`` copies it to the host, so that all else takes it, too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def fill(self, array: Array) -> None:
        """Copy an array of the host here."""
        self.device.write(self.buffer, np.asarray(array).reshape(-1))

    def __repr__(self) -> str:
        return f"<DeviceArray {self.shape}: {self.dtype}>"
