"""Copies between NumPy arrays and a GPU, through memory of the host that the GPU reads and writes by itself.

Of any other memory the driver would make such a copy itself, and wait for it. Here two halves take turns: while one is
under way, the other is filled or emptied.
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
_WITHOUT_TIMING = 2  # CU_EVENT_DISABLE_TIMING


@dataclass(frozen=True)
class _Half:
    """Pinned memory, and the event that says when the GPU is done with it."""

    pointer: int
    bytes: Array
    event: Any


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
        self._turn = 0
        self._lock = RLock()

    def send(self, pointer: int, array: Array) -> None:
        """Copy a C-contiguous array to the device; it may be changed when this returns."""
        data = _bytes(array)
        with self._lock:
            for start in range(0, data.size, self._size):
                half = self._free_half()
                count = min(self._size, data.size - start)
                half.bytes[:count] = data[start : start + count]
                self._call("cuMemcpyHtoDAsync", pointer + start, half.pointer, count, self._stream)
                self._call("cuEventRecord", half.event, self._stream)

    def fetch(self, array: Array, pointer: int) -> None:
        """Fill a C-contiguous array from the device, once all that was launched is done."""
        data = _bytes(array)
        with self._lock:
            under_way: tuple[_Half, int, int] | None = None
            for start in range(0, data.size, self._size):
                half = self._free_half()
                count = min(self._size, data.size - start)
                self._call("cuMemcpyDtoHAsync", half.pointer, pointer + start, count, self._stream)
                self._call("cuEventRecord", half.event, self._stream)
                self._take(data, under_way)
                under_way = half, start, count
            self._take(data, under_way)

    def _take(self, data: Array, arrived: tuple[_Half, int, int] | None) -> None:
        if arrived is not None:
            half, start, count = arrived
            self._call("cuEventSynchronize", half.event)
            data[start : start + count] = half.bytes[:count]

    def _free_half(self) -> _Half:
        """The half whose turn it is, when the GPU is done with it."""
        if not self._halves:
            self._halves = [self._made(), self._made()]
        self._turn = 1 - self._turn
        half = self._halves[self._turn]
        self._call("cuEventSynchronize", half.event)
        return half

    def _made(self) -> _Half:
        pointer = int(self._call("cuMemHostAlloc", self._size, 0))
        view = np.ctypeslib.as_array((ctypes.c_uint8 * self._size).from_address(pointer))
        return _Half(pointer, view, self._call("cuEventCreate", _WITHOUT_TIMING))


def _bytes(array: Array) -> Array:
    """The bytes of an array, as a view."""
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8)
