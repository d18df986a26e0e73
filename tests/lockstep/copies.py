"""Asynchronous copies from global to shared memory, and what rounds their elements for tensor cores.

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
from .errors import LockstepError
from .memory import POISON, View
from .now import NOW, caller_line
from .pointers import aligned, fetch
from .races import check_write


def copied(count: int) -> Callable[[View, Any, View, Any, Any], None]:
    def copy(target: View, index: Any, source: View, start: Any, is_inside: Any) -> None:
        """Begin to copy `count` elements, zeros if not `is_inside`; they land when the thread waits for the group."""
        line = caller_line()
        if target.memory.kind != "shared" or source.memory.kind != "global":
            raise LockstepError(f"{NOW.place(line)}: an asynchronous copy goes from global to shared memory")
        if target.dtype != source.dtype or target.dtype.itemsize != 4:
            raise LockstepError(
                f"{NOW.place(line)}: a copy from {source.dtype} to {target.dtype}; it moves elements of 4 bytes"
            )
        at = aligned(target, index, count, line)
        if is_inside:
            values = fetch(source, aligned(source, start, count, line), count, line)
        else:
            values = [target.dtype.type(0)] * count
        for one in range(at, at + count):
            if target.memory.tracked:
                check_write(target, target.memory, one, line)
                target.memory.landing[one] = (NOW.moment, line)
        target.memory.data[at : at + count] = POISON[target.dtype.kind]
        NOW.thread.issued.append((target, at, values))

    return copy


cp_async16, cp_async4 = copied(4), copied(1)


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
