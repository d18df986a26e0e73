"""`Memory`: the memory of one GPU, and the copies to it, from it and in it, in the order of one stream."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cuda_driver import DeviceError, Driver, within
from .cuda_staging import WITHOUT_TIMING, Staging
from .dlpack import UNORDERED

Array = NDArray[Any]


class Buffer:
    """Numbers in the memory of a device; it is given back when nobody holds the buffer, or a part of it, any more.

    Attributes
    ----------
    pointer : where they begin
    owner : what else must be there as long as they are: the buffer that this is a part of; or, of memory that was not
        made here, what holds it
    whole : the buffer that this is a part of, or itself
    is_lent : of a whole buffer, whether others were handed it, who may read and write it whenever they like
    """

    def __init__(self, count: int, dtype: np.dtype[Any], pointer: int, owner: Any = None) -> None:
        self.count, self.dtype, self.pointer, self.owner = count, dtype, pointer, owner
        self.whole: Buffer = owner.whole if isinstance(owner, Buffer) else self
        self.is_lent = False


class Memory:
    """The memory of a GPU.

    Parameters
    ----------
    call : calls the driver
    context : of the GPU; it is the thread's as this is made
    """

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
        self._await_others(buffer)
        if buffer.count:
            self._call("cuMemsetD8Async", buffer.pointer, 0, buffer.count * buffer.dtype.itemsize, self._stream)

    @within
    def copy(self, to: Buffer, of: Buffer) -> None:
        """Copy all of a buffer to the beginning of another."""
        self._await_others(to, of)
        if of.count:
            size = of.count * of.dtype.itemsize
            self._call("cuMemcpyDtoDAsync", to.pointer, of.pointer, size, self._stream)

    @within
    def write(self, buffer: Buffer, array: Array) -> None:
        """Copy an array to the beginning of a buffer, before the kernels that are launched from now on."""
        self._await_others(buffer)
        self._staging.send(buffer.pointer, np.ascontiguousarray(array, buffer.dtype))

    @within
    def read(self, buffer: Buffer, start: int, array: Array) -> None:
        """Fill an array with the numbers of a buffer from `start` on, once all that was launched is done."""
        self._await_others(buffer)
        is_alike = array.flags.c_contiguous and array.dtype == buffer.dtype
        whole = array if is_alike else np.empty(array.shape, buffer.dtype)
        self._staging.fetch(whole, buffer.pointer + start * buffer.dtype.itemsize)
        if whole is not array:
            array[...] = whole

    # ---- others who have the memory, or whose it is ------------------------------------------------------------------

    @property
    def stream(self) -> int:
        """The stream of the kernels and copies, as other libraries take one."""
        return int(self._stream)

    @within
    def wait_for(self, stream: int) -> None:
        """Go on when all is done that was asked of a stream."""
        self._call("cuStreamSynchronize", stream)

    @within
    def wait_for_all(self) -> None:
        """Go on when all is done that was asked of this GPU."""
        self._call("cuCtxSynchronize")

    @within
    def lend(self, buffer: Buffer, stream: int | None) -> None:
        """Let others have a buffer.

        What was asked of it so far is done before what they ask of a stream of theirs from now on; without one, now;
        with -1, when they have seen to it themselves.
        """
        buffer.whole.is_lent = True
        if stream == UNORDERED:
            return
        if stream is None:
            self._call("cuStreamSynchronize", self._stream)
            return
        event = self._call("cuEventCreate", WITHOUT_TIMING)
        try:
            self._call("cuEventRecord", event, self._stream)
            self._call("cuStreamWaitEvent", stream, event, 0)
        finally:
            self._call.give_back(self._context, ("cuEventDestroy", event))  # once it is recorded

    def let_go(self, buffers: Iterable[Buffer]) -> None:
        """Go on when nothing is at work any more with memory that was not made here: its owner may change it then."""
        if any(one.whole.owner is not None for one in buffers):
            self.wait_for(self._stream)

    def _await_others(self, *buffers: Buffer) -> None:
        """Go on when nothing is at work with these that others were handed: they have streams of their own."""
        for one in buffers:
            if one.whole.is_lent:
                self._call("cuCtxSynchronize")
                return

    def _room(self, size: int) -> str:
        free, total = self._call("cuMemGetInfo")
        return (
            f"{size / 2**20:,.0f} MiB were asked for, and {free / 2**20:,.0f} of {total / 2**20:,.0f} are free; take "
            "smaller batches, or train on a part of the data at a time"
        )
