"""How many threads a training uses."""

from __future__ import annotations

import os
from typing import Any

from ..symbolic.errors import DataError

WORTH = 2e6  # operations a step that one thread more is worth: all wait for each other several times in a step

_chosen: int | None = None


def set_threads(count: int | None) -> None:
    """Train with `count` threads; None, the default, goes by the cores and by how much work a step is.

    The results are the same bits for any number of threads. The environment variable ``GRADLOOM_NUM_THREADS`` does the
    same for a whole process.

    Raises
    ------
    DataError
        If `count` is no whole number of at least 1.
    """
    global _chosen
    _chosen = None if count is None else _checked("count", count)


def threads_for(operations: float) -> int:
    """How many threads a step of so many operations is worth.

    Raises
    ------
    DataError
        If ``GRADLOOM_NUM_THREADS`` is no whole number of at least 1.
    """
    given = os.environ.get("GRADLOOM_NUM_THREADS")
    if _chosen is not None:
        return _chosen
    if given:
        return _checked("GRADLOOM_NUM_THREADS", int(given) if given.strip().isdecimal() else given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(operations / WORTH)))


def _checked(name: str, count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise DataError(f"{name} is {count!r}; expected a whole number of at least 1")
    return count
