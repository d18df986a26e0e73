"""`cuda.atomic`: read, change and write of one element that no other atomic access divides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .access import put
from .errors import LockstepError
from .memory import View
from .now import NOW, caller_line
from .races import check_atomic


def changing(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def atomic(array: View, index: Any, value: Any) -> Any:
        return update(array, index, lambda old: change(old, value), caller_line())

    return staticmethod(atomic)


def update(array: View, index: Any, change: Callable[[Any], Any], line: int) -> Any:
    at = array.place(index, line)
    if isinstance(at, View):
        raise LockstepError(f"{NOW.place(line)}: an atomic access to more than one element of {array}")
    memory = array.memory
    if memory.tracked:
        check_atomic(array, memory, at, line)
    old = memory.data[at]
    old = old if memory.cast is None else memory.cast(old)
    put(array, at, change(old), line)
    return old


class Atomic:
    add = changing(lambda old, value: old + value)
    sub = changing(lambda old, value: old - value)
    and_ = changing(lambda old, value: old & value)
    or_ = changing(lambda old, value: old | value)
    xor = changing(lambda old, value: old ^ value)
    exch = changing(lambda old, value: value)
    inc = changing(lambda old, value: 0 if old >= value else int(old) + 1)
    dec = changing(lambda old, value: value if old == 0 or old > value else int(old) - 1)
    # Numba's max and min give NaN if either is NaN; nanmax and nanmin pass over it.
    max = changing(np.maximum)
    min = changing(np.minimum)
    nanmax = changing(np.fmax)
    nanmin = changing(np.fmin)

    @staticmethod
    def cas(array: View, index: Any, old: Any, value: Any) -> Any:
        return update(array, index, lambda now: value if now == old else now, caller_line())

    @staticmethod
    def compare_and_swap(array: View, old: Any, value: Any) -> Any:
        return update(array, np.int64(0), lambda now: value if now == old else now, caller_line())


def add_atomic(pointer: View, place: Any, value: Any) -> None:
    """`cuda.atomic.add` by a pointer."""
    update(pointer, place, lambda old: old + value, caller_line())
