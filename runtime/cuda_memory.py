"""`Memory`: the memory of one GPU, and the copies to it, from it and in it, in the order of one stream."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cuda_driver import DeviceError, Driver, within
from .cuda_staging import Staging

Array = NDArray[Any]


class Buffer:
    """Numbers in the memory of a device; it is given back when nobody holds the buffer, or a part of it, any more.

    Attributes
    ----------
    pointer : where they begin
    owner : what else must be there as long as they are
    """

    def __init__(self, count: int, dtype: np.dtype[Any], pointer: int, owner: Any = None) -> None:
        self.count, self.dtype, self.pointer, self.owner = count, dtype, pointer, owner


class Memory:
    """Parameters: the driver; a context of it, which is the thread's as this is made."""

    def __init__(self, call: Driver, context: Any) -> None:
        self._call, self._context = call, context
        self._stream = call("cuStreamCreate", 1)  # one of its own, which waits for no other
        self._staging = Staging(call, self._stream)

    @within
    def buffer(self, count: int, dtype: Any) -> Buffer:
        """Memory for `count` numbers, as it is.

        Raises
        ------
        DeviceError
            If there is not so much left.
        """
        kind = np.dtype(dtype)
        size = max(count, 1) * kind.itemsize
        try:
            pointer = int(self._call("cuMemAlloc", size))
        except DeviceError as error:
            if self._call.lost is not None:
                raise
            raise DeviceError(f"{error}: {self._room(size)}", error.status) from None
        made = Buffer(count, kind, pointer)
        weakref.finalize(made, self._call.give_back, self._context, ("cuMemFree", pointer))
        return made

    def part(self, buffer: Buffer, start: int, count: int) -> Buffer:
        """`count` numbers of a buffer, from `start` on."""
        return Buffer(count, buffer.dtype, buffer.pointer + start * buffer.dtype.itemsize, buffer)

    def buffer_at(self, pointer: int, count: int, dtype: Any, owner: Any) -> Buffer:
        """Numbers that lie there already, as long as `owner` lives."""
        return Buffer(count, np.dtype(dtype), pointer, owner)

    @within
    def number_of(self, pointer: int) -> int | None:
        """The number of the GPU in whose memory a pointer points, or None."""
        interface = self._call.interface
        kind = interface.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        status, *found = interface.cuPointerGetAttribute(kind, pointer)
        return None if int(status) else int(found[0])

    @within
    def clear(self, buffer: Buffer) -> None:
        """Set all of a buffer to 0."""
        if buffer.count:
            self._call("cuMemsetD8Async", buffer.pointer, 0, buffer.count * buffer.dtype.itemsize, self._stream)

    @within
    def copy(self, to: Buffer, of: Buffer) -> None:
        """Copy all of a buffer to the beginning of another."""
        if of.count:
            size = of.count * of.dtype.itemsize
            self._call("cuMemcpyDtoDAsync", to.pointer, of.pointer, size, self._stream)

    @within
    def write(self, buffer: Buffer, array: Array) -> None:
        """Copy an array to the beginning of a buffer, before the kernels that are launched from now on."""
        self._staging.send(buffer.pointer, np.ascontiguousarray(array, buffer.dtype))

    @within
    def read(self, buffer: Buffer, start: int, array: Array) -> None:
        """Fill an array with the numbers of a buffer from `start` on, once all that was launched is done."""
        whole = array if array.flags.c_contiguous else np.empty(array.shape, array.dtype)
        self._staging.fetch(whole, buffer.pointer + start * buffer.dtype.itemsize)
        if whole is not array:
            array[...] = whole

    def _room(self, size: int) -> str:
        free, total = self._call("cuMemGetInfo")
        return (
            f"{size / 2**20:,.0f} MiB were asked for, and {free / 2**20:,.0f} of {total / 2**20:,.0f} are free; take "
            "smaller batches, or train on a part of the data at a time"
        )
