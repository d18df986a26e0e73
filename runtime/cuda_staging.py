"""Copies between NumPy arrays and a GPU, through memory of the host that the GPU reads and writes by itself.

Of any other memory the driver would make such a copy itself, and wait for it. Here two halves take turns: while one is
under way, the other is filled or emptied. What is sent goes behind what was sent before, so that many small arrays wait
for nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HALF = 4 * 2**20  # bytes
_ALIGNMENT = 16  # bytes, of what is sent
WITHOUT_TIMING = 2  # CU_EVENT_DISABLE_TIMING


@dataclass
class _Half:
    """Pinned memory, and the event that says when the GPU is done with it.

    Attributes
    ----------
    filled : how many bytes are in use
    is_awaited : whether the event was recorded behind them, and nobody has waited for it
    """

    pointer: int
    bytes: Array
    event: Any
    filled: int = 0
    is_awaited: bool = False


class Staging:
    """Pinned memory for the copies on one stream; it lives as long as the process.

    Parameters
    ----------
    call : calls the driver, by name
    stream : of the kernels: what is copied to the device is there when the next kernel begins
    """

    def __init__(self, call: Callable[..., Any], stream: Any) -> None:
        self._call, self._stream, self._size = call, stream, HALF
        self._halves: list[_Half] = []
        self._lock = RLock()

    def send(self, pointer: int, array: Array) -> None:
        """Copy a C-contiguous array to the device; it may be changed when this returns."""
        data = _bytes(array)
        with self._lock:
            start = 0
            while start < data.size:
                half = self._now()
                if half.filled >= self._size:
                    half = self._turned()
                place, count = half.filled, min(self._size - half.filled, data.size - start)
                half.bytes[place : place + count] = data[start : start + count]
                half.filled = -(-(place + count) // _ALIGNMENT) * _ALIGNMENT
                half.is_awaited = False  # a fetch that was interrupted may have recorded the event before this copy
                self._call("cuMemcpyHtoDAsync", pointer + start, half.pointer + place, count, self._stream)
                start += count

    def fetch(self, array: Array, pointer: int) -> None:
        """Fill a C-contiguous array from the device, once all that was launched is done."""
        data = _bytes(array)
        if not data.size:
            return
        with self._lock:
            under_way: tuple[_Half, int, int] | None = None
            for start in range(0, data.size, self._size):
                half = self._turned()
                half.filled = count = min(self._size, data.size - start)
                self._call("cuMemcpyDtoHAsync", half.pointer, pointer + start, count, self._stream)
                self._record(half)
                self._take(data, under_way)
                under_way = half, start, count
            self._take(data, under_way)
            for half in self._halves:  # the last copy is done, and so is all before it
                half.filled, half.is_awaited = 0, False

    def _take(self, data: Array, arrived: tuple[_Half, int, int] | None) -> None:
        if arrived is not None:
            half, start, count = arrived
            self._wait(half)
            data[start : start + count] = half.bytes[:count]

    def _now(self) -> _Half:
        """The half whose turn it is."""
        if not self._halves:
            self._halves = [self._made(), self._made()]
        return self._halves[0]

    def _turned(self) -> _Half:
        """The other half, when the GPU is done with it."""
        before = self._now()
        if before.filled and not before.is_awaited:
            self._record(before)
        self._halves.reverse()
        half = self._halves[0]
        self._wait(half)
        half.filled = 0
        return half

    def _record(self, half: _Half) -> None:
        self._call("cuEventRecord", half.event, self._stream)
        half.is_awaited = True

    def _wait(self, half: _Half) -> None:
        if half.is_awaited:
            self._call("cuEventSynchronize", half.event)
            half.is_awaited = False

    def _made(self) -> _Half:
        pointer = int(self._call("cuMemHostAlloc", self._size, 0))
        view = np.ctypeslib.as_array((ctypes.c_uint8 * self._size).from_address(pointer))
        return _Half(pointer, view, self._call("cuEventCreate", WITHOUT_TIMING))


def _bytes(array: Array) -> Array:
    """The bytes of an array, as a view."""
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8)
