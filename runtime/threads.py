"""How many threads a training uses."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from sympy import Basic, Indexed

from ..symbolic.binders import Binder
from ..symbolic.errors import DataError
from ..symbolic.network import Network
from .data import size_of

WORTH = 2e6  # operations a step that one thread more is worth: all wait for each other several times in a step
START = 3e7  # operations that could be done while the threads are started
MOST = 1024

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


def threads_for(operations: float, steps: float = math.inf) -> int:
    """How many threads are worth while for `steps` steps, of so many operations each, in one call.

    Raises
    ------
    DataError
        If ``GRADLOOM_NUM_THREADS`` is no whole number of at least 1.
    """
    given = os.environ.get("GRADLOOM_NUM_THREADS")
    if _chosen is not None:
        return _chosen
    if given:
        is_number = given.strip().isdecimal() and len(given) < 10
        return _checked("GRADLOOM_NUM_THREADS", int(given) if is_number else given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if operations * steps < START:
        return 1
    return max(1, min(cores, int(operations / WORTH)))


def operations_per_row(network: Network, sizes: Mapping[str, int]) -> float:
    """About how many operations the forward equations take per row of the batch."""
    batch = network.batch
    known = dict(sizes) | ({batch.name: 1} if batch is not None else {})

    def cost(node: Basic) -> float:
        if isinstance(node, Binder):
            return math.prod(size_of(extent, known) for _, extent in node.limits) * cost(node.body)
        if isinstance(node, Indexed) or not node.args:
            return 1.0
        return 1.0 + sum(cost(arg) for arg in node.args)

    total = 0.0
    for equation in network.equations:
        total += math.prod(size_of(size, known) for size in equation.target.shape) * cost(equation.body)
    return total


def _checked(name: str, count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= MOST:
        raise DataError(f"{name} is {count!r}; expected a whole number from 1 to {MOST}")
    return int(count)
