"""Pointers, the places of operands by strides and tables, and accesses of several elements at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import access
from .access import put
from .errors import LockstepError, Misaligned
from .memory import View
from .now import NOW, caller_line
from .races import check_read, check_write

WIDEST = 16
"""Bytes that one instruction moves; more are several instructions."""


def aligned(array: View, index: Any, count: int, line: int) -> int:
    """The first of `count` elements, which must be there and lie at a multiple of their bytes, 16 at most."""
    at = array.several(index, count, line)
    memory = array.memory
    size = memory.data.itemsize
    if size not in (4, 8):
        raise LockstepError(f"{NOW.place(line)}: a wide access moves elements of 4 or 8 bytes; {array} has others")
    whole = min(WIDEST, count * size)
    if at * size % whole:
        raise Misaligned(
            f"{NOW.place(line)}: the {whole}-byte access to {array} at index {index} starts {at * size % whole} bytes "
            f"after a multiple of {whole}; pad the rows to a multiple of {whole // size} elements or read single ones"
        )
    if NOW.declared_alignment and memory.alignment < whole:
        raise Misaligned(
            f"{NOW.place(line)}: a {whole}-byte access to {array}, which is declared without alignment={whole} and may "
            f"start at any multiple of {memory.alignment} bytes"
        )
    return at


def fetch(array: View, at: int, count: int, line: int) -> list[Any]:
    memory = array.memory
    if memory.tracked:
        for one in range(at, at + count):
            check_read(array, memory, one, line)
    values = list(memory.data[at : at + count])
    return values if memory.cast is None else [memory.cast(value) for value in values]


def ld2(array: View, index: Any) -> tuple[Any, ...]:
    """Two elements from `index` on, in one access."""
    line = caller_line()
    return tuple(fetch(array, aligned(array, index, 2, line), 2, line))


def ld4(array: View, index: Any) -> tuple[Any, ...]:
    """Four elements from `index` on, in one access."""
    line = caller_line()
    return tuple(fetch(array, aligned(array, index, 4, line), 4, line))


def st4(array: View, index: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Write four elements from `index` on, in one access."""
    line = caller_line()
    at = aligned(array, index, 4, line)
    for one, value in enumerate((a, b, c, d), at):
        if array.memory.tracked:
            check_write(array, array.memory, one, line)
        put(array, one, value, line)


def pointer_to(array: View) -> View:
    """The pointer to an array's first element, which reaches as far as the array."""
    strides = tuple(math.prod(array.lengths[axis + 1 :]) for axis in range(array.axes))
    if array.strides != strides:
        raise LockstepError(f"{NOW.place(caller_line())}: {array} has gaps; a pointer into it would lead elsewhere")
    return array if array.axes == 1 else View(array.memory, array.name, array.offset, (int(array.size),), (1,))


def shifted(pointer: View, places: Any) -> View:
    """The pointer to the element `places` further on, which reaches as far as `pointer` does."""
    return pointer.shifted(places.__index__(), caller_line())


def along(stride: Any, index: Any) -> np.int64:
    """How far something lies from its base: `stride` is a number, a table, or (table, number)."""
    if stride.__class__ is View:
        return access.load(stride, index, caller_line())
    if stride.__class__ is tuple:
        table, factor = stride
        return access.load(table, index, caller_line()) * factor
    return np.int64(stride * index)


def narrow(number: Any, by: Any) -> tuple[int, int]:
    """The operands of a division in 32 bits."""
    found = int(number), int(by)
    if not 0 <= found[0] < 2**31 or not 0 < found[1] < 2**31:
        raise LockstepError(f"{NOW.place(caller_line())}: {found[0]} by {found[1]} is no division of 31 bits")
    return found


def quotient(number: Any, by: Any) -> np.int64:
    """How often a number goes into another."""
    whole, divisor = narrow(number, by)
    return np.int64(whole // divisor)


def remainder(number: Any, by: Any) -> np.int64:
    """What is left over."""
    whole, divisor = narrow(number, by)
    return np.int64(whole % divisor)
