"""Memory and the arrays that lie in it: where an index leads, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import LockstepError, OutOfBounds
from .now import NOW

BAD_INTEGER = 0x5BADF00D
"""What integer shared and local memory holds before anything is written: as an index it is out of bounds."""

POISON = {"f": np.nan, "i": BAD_INTEGER, "u": BAD_INTEGER, "b": True}


class Memory:
    """One allocation, flat, with who wrote and read each element since the last barrier of its scope.

    Attributes
    ----------
    data
        The elements.
    kind
        "global", "shared", "local" or "constant"; errors say it.
    alignment
        Bytes at which the first element is known to lie.
    tracked
        Whether races are looked for.
    writers, readers, atomics
        By element: the last write as (moment, line); the reads since, one such pair or a dict of them by thread; the
        atomic accesses, a dict by thread.
    landing
        By element: the asynchronous copy under way to it, as (moment, line).
    """

    __slots__ = (
        "alignment", "atomics", "cast", "data", "is_float32", "kind", "landing", "readers", "tracked", "writers",
    )  # fmt: skip

    def __init__(self, data: np.ndarray, kind: str, tracked: bool, alignment: int = 16) -> None:
        self.data = data
        self.kind = kind
        self.alignment = alignment
        # Numba computes in 64 bits with integers of every size.
        self.cast = {"i": np.int64, "u": np.uint64}.get(data.dtype.kind)
        self.is_float32 = data.dtype == np.float32
        self.tracked = tracked
        self.landing: dict[int, Any] = {}
        self.forget()

    @classmethod
    def poisoned(cls, size: int, dtype: np.dtype, kind: str, tracked: bool, alignment: int) -> Memory:
        value = POISON[dtype.kind]
        if dtype.kind in "iu" and dtype.itemsize < 4:
            value &= 0x7F
        return cls(np.full(size, value, dtype), kind, tracked, alignment)

    def forget(self) -> None:
        """All threads of the scope have met at a barrier: what was before it is ordered."""
        self.writers: dict[int, Any] = {}
        self.readers: dict[int, Any] = {}
        self.atomics: dict[int, Any] = {}


class View:
    """An array of a kernel: a part of a `Memory`. `lengths` and `strides` are in elements.

    A pointer into an array of one axis is the array with its first element elsewhere: indices go from `low`, below 0
    if it does not point to the start, to `length` - 1.
    """

    __slots__ = ("axes", "length", "lengths", "low", "memory", "name", "offset", "step", "strides")

    def __init__(self, memory: Memory, name: str, offset: int, lengths: tuple[int, ...], strides: tuple[int, ...]):
        self.memory = memory
        self.name = name
        self.offset = offset
        self.lengths = lengths
        self.strides = strides
        self.axes = len(lengths)
        self.low = 0
        self.length = lengths[0]
        self.step = strides[0]

    @classmethod
    def whole(cls, memory: Memory, name: str, lengths: tuple[int, ...], offset: int = 0) -> View:
        strides = tuple(math.prod(lengths[axis + 1 :]) for axis in range(len(lengths)))
        return cls(memory, name, offset, lengths, strides)

    @property
    def shape(self) -> tuple[np.int64, ...]:
        return tuple(map(np.int64, self.lengths))

    @property
    def size(self) -> np.int64:
        return np.int64(math.prod(self.lengths))

    @property
    def ndim(self) -> np.int64:
        return np.int64(self.axes)

    @property
    def dtype(self) -> np.dtype:
        return self.memory.data.dtype

    def __len__(self) -> int:
        return self.length

    def __str__(self) -> str:
        return f'{self.memory.kind} array "{self.name}"'

    def element(self, at: int) -> int:
        """The number of an element of `memory.data` in the array, also where this is a pointer into it."""
        return at - self.offset - self.low * self.step

    def outside(self, index: Any, line: int, axis: int = 0, count: int = 1) -> OutOfBounds:
        which = f" on axis {axis}" if self.axes > 1 else ""
        what = f"index {index}" if count == 1 else f"elements {index} to {int(index) + count - 1}"
        start = f" from element {-self.low} on" if self.low else ""
        return OutOfBounds(
            f"{NOW.place(line)}: {what}{start}{which} of {self} of shape {self.lengths} lies outside; "
            "CUDA would read or write other memory, and a negative index does not count from the end"
        )

    def place(self, index: Any, line: int) -> int | View:
        """The element in `memory.data` that `index` means, or the view if it leaves axes over."""
        indices = index if index.__class__ is tuple else (index,)
        if len(indices) != self.axes or slice in map(type, indices):
            return self.part(indices, line)
        if self.axes == 1:
            one = indices[0].__index__()
            if not self.low <= one < self.length:
                raise self.outside(one, line)
            return self.offset + one * self.step
        at = self.offset
        for i, length, stride in zip(indices, self.lengths, self.strides, strict=True):
            one = i.__index__()
            if not 0 <= one < length:
                self.part(indices, line)  # raises
            at += one * stride
        return at

    def part(self, indices: tuple[Any, ...], line: int) -> View:
        """The view that slices, or fewer indices than axes, leave over."""
        if len(indices) > self.axes:
            raise OutOfBounds(f"{NOW.place(line)}: {len(indices)} indices for {self} of {self.axes} axes")
        offset, lengths, strides = self.offset, [], []
        for axis, i in enumerate(indices):
            length, stride = self.lengths[axis], self.strides[axis]
            if isinstance(i, slice):
                start, stop, step = self.bounds(i, length, line, axis)
                offset += start * stride
                lengths.append(max(0, -((start - stop) // step)))
                strides.append(stride * step)
                continue
            at = i.__index__()
            if not 0 <= at < length:
                raise self.outside(at, line, axis)
            offset += at * stride
        lengths += self.lengths[len(indices) :]
        strides += self.strides[len(indices) :]
        return View(self.memory, self.name, offset, tuple(lengths), tuple(strides))

    def bounds(self, part: slice, length: int, line: int, axis: int) -> tuple[int, int, int]:
        start = 0 if part.start is None else int(part.start)
        stop = length if part.stop is None else int(part.stop)
        step = 1 if part.step is None else int(part.step)
        if step < 1:
            raise LockstepError(f"{NOW.place(line)}: a slice with step {step}; the simulator knows positive steps")
        for end in (start, stop):
            if not 0 <= end <= length:
                raise self.outside(end, line, axis)
        return start, stop, step

    def several(self, index: Any, count: int, line: int) -> int:
        """The first of `count` consecutive elements from `index` on, which must be there."""
        at = index.__index__()
        if self.axes != 1 or self.step != 1:
            raise LockstepError(f"{NOW.place(line)}: a wide access needs an array of one axis without gaps")
        if not self.low <= at <= self.length - count:
            raise self.outside(at, line, count=count)
        return self.offset + at

    def shifted(self, places: int, line: int) -> View:
        """The pointer to the element `places` further on; what it may reach stays the same."""
        if self.axes != 1:
            raise LockstepError(f"{NOW.place(line)}: {self} has {self.axes} axes; a pointer has one")
        view = View(self.memory, self.name, self.offset + places * self.step, self.lengths, self.strides)
        view.low, view.length = self.low - places, self.length - places
        return view
