"""`Kernel`: machine code that the driver has loaded, with the place that its arguments are handed over in."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from struct import Struct
from typing import Any

from .cuda_memory import Buffer

_BYTES = 8  # of each argument's place


class Kernel:
    """A kernel in machine code, which is unloaded when nobody holds this any more.

    The driver reads arguments through pointers to them, and has copied them when a launch returns: one place, made
    once, serves all launches.

    Parameters
    ----------
    function : what the driver launches
    most_blocks : how many blocks of it run at the same time
    kinds : of its arguments: "int32", "uint64", or a pointer, as "float32*"
    shared : bytes of shared memory that each block asks for, besides what it has anyway

    Attributes
    ----------
    arguments : the address of the pointers to the arguments
    """

    def __init__(self, function: Any, most_blocks: int, kinds: Sequence[str], shared: int = 0) -> None:
        self.function, self.most_blocks, self.shared = function, most_blocks, shared
        self._values = (ctypes.c_uint64 * max(1, len(kinds)))()
        start = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * max(1, len(kinds)))(*(start + _BYTES * at for at in range(len(kinds))))
        self._packed = Struct("=" + "".join("i4x" if kind == "int32" else "Q" for kind in kinds))
        self.arguments = ctypes.addressof(self._pointers)

    def take(self, arguments: Sequence[Any]) -> None:
        """Put the arguments of the next launch in their place."""
        values = [one.pointer if isinstance(one, Buffer) else one for one in arguments]
        self._packed.pack_into(self._values, 0, *values)
