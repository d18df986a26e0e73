"""What `a[i]` and `a[i] = v` become in the rewritten source. Everything else that touches memory builds on these."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import LockstepError, Promotion
from .memory import View
from .now import NOW
from .races import check_read, check_write


def load(array: Any, index: Any, line: int) -> Any:
    """`array[index]`: an element, or a view where axes are left over."""
    if array.__class__ is not View:
        return array[index]
    if array.axes == 1 and index.__class__ is np.int64:
        at = index.__index__()
        if not array.low <= at < array.length:
            raise array.outside(at, line)
        at = array.offset + at * array.step
    else:
        at = array.place(index, line)
        if at.__class__ is View:
            return at
    memory = array.memory
    if memory.tracked:
        check_read(array, memory, at, line)
    value = memory.data[at]
    return value if memory.cast is None else memory.cast(value)


def store(array: Any, index: Any, value: Any, line: int) -> None:
    """`array[index] = value`."""
    if array.__class__ is not View:
        raise LockstepError(f"{NOW.place(line)}: assignment to an item of {type(array).__name__}, which is no array")
    if array.axes == 1 and index.__class__ is np.int64:
        at = index.__index__()
        if not array.low <= at < array.length:
            raise array.outside(at, line)
        at = array.offset + at * array.step
    else:
        at = array.place(index, line)
        if at.__class__ is View:
            raise LockstepError(f"{NOW.place(line)}: assignment to more than one element of {array}")
    if array.memory.tracked:
        check_write(array, array.memory, at, line)
    put(array, at, value, line)


def put(array: View, at: int, value: Any, line: int) -> None:
    """Write an element of the memory below `array`, refusing what the launch's options refuse."""
    memory = array.memory
    if memory.is_float32:
        if value.__class__ is not np.float32 and isinstance(value, float) and NOW.float64 != "allow":
            raise promotion(array, line)
    elif memory.cast is not None:
        value = int(value)  # or NumPy would wrap silently what does not fit
    if memory.kind == "constant":
        raise LockstepError(f"{NOW.place(line)}: {array} cannot be written")
    memory.data[at] = value


def promotion(array: View, line: int) -> Promotion:
    return Promotion(
        f"{NOW.place(line)}: a float64 value goes into {array} of float32. In Numba a bare literal such as 0.1 is "
        "float64, and so is a float32 with an integer; write float32(...) around the literal or the integer"
    )
