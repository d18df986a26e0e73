"""Accesses of 16 bytes, and asynchronous copies from global to shared memory.

An asynchronous copy lands when the thread that issued it waits for its group, no earlier; until then its target is
NaN, so that a kernel without the wait computes NaN. The target counts as written when the copy is issued and again
when it lands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .access import put
from .errors import LockstepError, Misaligned
from .memory import POISON, View
from .now import NOW, caller_line
from .races import check_read, check_write


def aligned(array: View, index: Any, line: int) -> int:
    """The first of four elements, which must be there, of four bytes each, and lie at a multiple of 16 bytes."""
    at = array.four(index, line)
    memory = array.memory
    if memory.data.itemsize != 4:
        raise LockstepError(f"{NOW.place(line)}: a 16-byte access moves four elements of 4 bytes; {array} has others")
    if at % 4:
        raise Misaligned(
            f"{NOW.place(line)}: the 16-byte access to {array} at index {index} starts {at * 4 % 16} bytes after a "
            "multiple of 16; pad the rows to a multiple of 4 elements or read single elements"
        )
    if NOW.declared_alignment and memory.alignment < 16:
        raise Misaligned(
            f"{NOW.place(line)}: a 16-byte access to {array}, which is declared without alignment=16 and may start "
            f"at any multiple of {memory.alignment} bytes"
        )
    return at


def ld4(array: View, index: Any) -> tuple[Any, ...]:
    """Four elements from `index` on, in one access."""
    line = caller_line()
    return tuple(fetch(array, aligned(array, index, line), line))


def fetch(array: View, at: int, line: int) -> list[Any]:
    memory = array.memory
    if memory.tracked:
        for one in range(at, at + 4):
            check_read(array, memory, one, line)
    values = list(memory.data[at : at + 4])
    return values if memory.cast is None else [memory.cast(value) for value in values]


def st4(array: View, index: Any, *values: Any) -> None:
    """Write four elements from `index` on, in one access."""
    line = caller_line()
    at = aligned(array, index, line)
    for one, value in enumerate(values, at):
        if array.memory.tracked:
            check_write(array, array.memory, one, line)
        put(array, one, value, line)


def cp_async16(target: View, index: Any, source: View, source_index: Any) -> None:
    """Begin to copy four elements; they land when the thread waits for the group."""
    line = caller_line()
    if target.memory.kind != "shared" or source.memory.kind != "global":
        raise LockstepError(f"{NOW.place(line)}: an asynchronous copy goes from global to shared memory")
    if target.dtype != source.dtype:
        raise LockstepError(f"{NOW.place(line)}: a copy from {source.dtype} to {target.dtype}")
    at = aligned(target, index, line)
    values = fetch(source, aligned(source, source_index, line), line)
    for one in range(at, at + 4):
        if target.memory.tracked:
            check_write(target, target.memory, one, line)
            target.memory.landing[one] = (NOW.moment, line)
    target.memory.data[at : at + 4] = POISON[target.dtype.kind]
    NOW.thread.issued.append((target, at, values))


def cp_commit() -> None:
    """The copies issued since the last commit are a group."""
    NOW.thread.groups.append(NOW.thread.issued)
    NOW.thread.issued = []


def wait(groups: int) -> None:
    """All but the newest `groups` groups land."""
    line = caller_line()
    waiting = NOW.thread.groups
    landed = len(waiting) - int(groups)
    for group in waiting[: max(landed, 0)]:
        for target, at, values in group:
            for one, value in enumerate(values, at):
                if target.memory.tracked:
                    del target.memory.landing[one]
                    check_write(target, target.memory, one, line)
                put(target, one, value, line)
    NOW.thread.groups = waiting[max(landed, 0) :]


def cp_wait(groups: int) -> Callable[[], None]:
    """The intrinsic that waits until at most `groups` groups are under way."""
    return functools.partial(wait, groups)


def tf32(value: Any) -> np.int64:
    """The bits of a float32, rounded to the 10 bits of fraction of TF32, ties away from zero (`cvt.rna.tf32.f32`)."""
    if value.__class__ is not np.float32:
        raise TypeError(f"tf32 takes a float32, not {type(value).__name__}")
    bits = int(value.view(np.uint32))
    if np.isfinite(value):
        bits = (bits + 0x1000) & 0xFFFFE000
    return np.int64(np.uint32(bits).view(np.int32))
