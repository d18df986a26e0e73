"""Arrays that are mapped into memory and larger than is good to copy: read some rows at a time, ahead of their use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .array_checks import checked_numbers

if TYPE_CHECKING:
    from .data import Data

Array = NDArray[Any]
LARGE = 2**28  # bytes in the kernels' dtype: arrays of fewer are copied as a whole
CHECKED = 2**24  # bytes that are checked at a time


class Pixels:
    """Whole numbers from 0 to 255 in a large file, which stand for 0…1: scaled as they are read.

    It is as an array of float64 where one is needed (``numpy.asarray``, ``pixels[rows]``); `Model.fit` reads some rows
    at a time.

    Parameters
    ----------
    array : of uint8, mapped into memory; its first axis is the batch.
    """

    def __init__(self, array: Any) -> None:
        self.array, self.dtype = array, np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        return int(self.array.ndim)

    @property
    def size(self) -> int:
        return int(self.array.size)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> Any:
        return self.array[rows] / 255.0

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self.array / 255.0, dtype)

    def reshape(self, *shape: Any) -> Pixels:
        return Pixels(self.array.reshape(*shape))


class MappedArray:
    """Rows of an array in a file, converted to the kernels' dtype when they are taken.

    Parameters
    ----------
    array : mapped into memory; its first axis is the batch.
    dtype : of what is taken.
    rows : the numbers of the rows that there are; None for all.
    scaled : whether it holds pixels from 0 to 255, which stand for 0…1.
    """

    def __init__(self, array: Array, dtype: np.dtype[Any], rows: Array | None = None, scaled: bool = False) -> None:
        self.array, self.dtype, self.rows, self.scaled = array, dtype, rows, scaled

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def __len__(self) -> int:
        return len(self.array) if self.rows is None else len(self.rows)

    def __getitem__(self, rows: Any) -> Array:
        """The rows of a slice, or of an array of their numbers, as an array in memory."""
        if isinstance(rows, slice) and self.rows is None:
            return np.require(self._scaled(self.array[rows]), self.dtype, ["C", "A", "W"])
        wanted = np.asarray(rows) if self.rows is None else self.rows[rows]
        made = np.empty((len(wanted), *self.array.shape[1:]), self.dtype)
        plain = self.array.flags.c_contiguous and self.array.flags.aligned
        if plain and self.array.dtype == self.dtype:
            # Not "raise", which would copy once more; the numbers are those of rows that there are.
            return np.take(self.array, wanted, axis=0, out=made, mode="wrap")
        step = max(1, CHECKED // max(1, self.array[:1].size * max(self.array.itemsize, 8)))  # scaled in float64
        for start in range(0, len(wanted), step):
            some = wanted[start : start + step]
            # `take` is faster, but would first copy a whole array that does not lie row behind row.
            made[start : start + step] = self._scaled(np.take(self.array, some, axis=0) if plain else self.array[some])
        return made

    def _scaled(self, array: Array) -> Array:
        return array / 255.0 if self.scaled else array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self[:] if self.rows is None else self[np.arange(len(self))], dtype)

    def part(self, rows: Array) -> MappedArray:
        """Some of the rows, left where they are."""
        return MappedArray(self.array, self.dtype, rows if self.rows is None else self.rows[rows], self.scaled)


def is_mapped(value: Any, dtype: np.dtype[Any]) -> bool:
    """Whether an array lies in a file, and is too large to be copied as a whole."""
    value = value.array if isinstance(value, Pixels) else value
    lies = isinstance(value, np.memmap) and getattr(value, "_mmap", None) is not None
    return lies and value.ndim > 0 and value.dtype.kind in "biuf" and value.size * dtype.itemsize >= LARGE


def checked_map(name: str, array: Any, dtype: np.dtype[Any]) -> MappedArray:
    """An array in a file as data, after a check of all its numbers, some rows at a time.

    Raises
    ------
    DataError
        As `checked_numbers`; the message says in which rows.
    """
    scaled = isinstance(array, Pixels)
    found = np.asarray(array.array if scaled else array)
    rows = max(1, CHECKED // max(1, found[:1].size * max(found.itemsize, dtype.itemsize)))
    for start in range(0, len(found), rows):
        part = found[start : start + rows]
        checked_numbers(f"{name}[{start}:{start + len(part)}]", part, dtype)
    return MappedArray(found, dtype, scaled=scaled)


def streamed(data: Data, blocks: Iterable[Array]) -> Iterator[tuple[Data, Array, Array]]:
    """For each block of rows: data that hold them, their numbers in these, and the block.

    Of arrays in files the rows of a block are gathered by another thread while the block before is trained on.
    """
    if not any(isinstance(array, MappedArray) for array in data.arrays):
        for block in blocks:
            yield data, block, block
        return
    with ThreadPoolExecutor(1, "gradloom-data") as reader:
        waiting: list[tuple[Array, Any]] = []
        for block in blocks:
            waiting.append((block, reader.submit(data.take, block)))
            if len(waiting) == 2:
                first, found = waiting.pop(0)
                yield found.result(), np.arange(len(first)), first
        for block, found in waiting:
            yield found.result(), np.arange(len(block)), block
