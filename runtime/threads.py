"""How many threads a training uses: as its operations let expect, and where that is unsure, as the clock then tells."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sympy import Basic, Indexed

from ..symbolic.binders import Binder
from ..symbolic.errors import DataError
from ..symbolic.network import Network
from .data import size_of

WORTH = 2e6  # operations a step that one thread more is worth: all wait for each other several times in a step
START = 3e7  # operations that could be done while the threads are started
SURE = 1e8  # operations a step from which all threads are worth while on every machine
MOST = 1024
CALLS = 3  # that are timed of each number of threads

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


class Team:
    """How many threads train: begins with `guess`, and tries others once that can have paid.

    Whether a second thread is worth while depends on how long two cores take to tell each other something, which
    differs between machines. Kernels for one thread are another compilation than those for several: others are tried
    when as much time has been trained as the first call took, which compiled, so that a short training does not compile
    twice. The results are the same bits whatever is chosen.

    Parameters
    ----------
    guess : what to begin with
    others : what to try, in this order, as long as each is faster than what is best so far

    Attributes
    ----------
    count : how many threads are to train now
    """

    def __init__(self, guess: int, others: Sequence[int] = ()) -> None:
        self.count = self._best = guess
        self._others = list(others)
        self._seconds: dict[int, list[float]] = {}
        self._compiling = self._trained = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether nothing is tried any more."""
        return not self._others and self.count == self._best

    def took(self, seconds: float, steps: int) -> None:
        """Hear how long a call took that did `steps` steps by `count` threads."""
        if self.is_settled or steps < 1:
            return
        if self.count not in self._seconds:  # the first call compiles, or reads from the disk
            self._seconds[self.count] = []
            self._compiling = max(self._compiling, seconds)
            return
        timed = self._seconds[self.count]
        timed.append(seconds / steps)
        if self.count != self._best:
            if len(timed) >= CALLS:
                if min(timed) < min(self._seconds[self._best]):
                    self._best = self.count
                else:
                    self._others.clear()
                self._next()
            return
        self._trained += seconds
        if len(timed) >= CALLS and self._trained >= self._compiling:
            self._next()

    def _next(self) -> None:
        self.count = self._others.pop(0) if self._others else self._best


def team_for(operations: float, steps: float = math.inf) -> Team:
    """The team for `steps` steps, of so many operations each, in one call; errors as `threads_for`."""
    guess = threads_for(operations, steps)
    is_given = _chosen is not None or os.environ.get("GRADLOOM_NUM_THREADS")
    if is_given or guess == 1 or operations >= SURE:
        return Team(guess)
    return Team(guess, [guess >> halved for halved in range(1, guess.bit_length())])


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
