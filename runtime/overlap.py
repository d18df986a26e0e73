"""Which gradients of several processes are added up while others are computed.

It follows from the kernel and the number of processes: never from a clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..symbolic.errors import UnsupportedError
from ..symbolic.network import Network
from .data import size_of

ALPHA, BETA = 2e-6, 8e-11  # seconds: until a message is there, and for a byte of it, at 100 Gb/s
WORTH = 4  # how many times as long as its latency a call must take that is made apart


@dataclass(frozen=True)
class Part:
    """Gradients that lie side by side, which one call adds up `after` so many announcements; at infinity the last."""

    start: int
    stop: int
    after: float = math.inf


def check_overlap(overlap: bool, mpi: Any, target: str) -> None:
    """
    Raises
    ------
    UnsupportedError
        If gradients are to be added up beside a kernel, and it announces nothing, or MPI allows no threads.
    """
    has_threads = mpi.Query_thread() >= mpi.THREAD_SERIALIZED  # two of them call MPI, one after the other
    if overlap and not (has_threads and target == "cpu"):
        why = f"target {target!r} cannot do that" if has_threads else "MPI was started for one thread alone"
        raise UnsupportedError(f"overlap is True, but {why}; it is for target 'cpu': give overlap=False")


def least_of(processes: int, itemsize: int) -> int:
    """How many numbers are worth a call of their own: those that take `WORTH` times as long as its latency.

    With the model of Thakur, Rabenseifner and Gropp (IJHPCA 2005) for p processes: 2 ⌈log₂ p⌉ α is the latency, and
    2 (p − 1)/p β the time of a byte.
    """
    if processes == 1:
        return 1
    share = (processes - 1) / processes
    return math.ceil(WORTH * math.ceil(math.log2(processes)) * ALPHA / (share * BETA * itemsize))


def parts_of(module: Any, least: int) -> tuple[Part, ...]:
    """What the gradients of a module are added up in, from the last layers on: parts of at least so many numbers.

    The rest, at the front, is the last part, whose numbers nothing is left to hide behind.
    """
    finished: Sequence[Sequence[str]] = getattr(module, "FINISHED", ())
    when = {name: place for place, names in enumerate(finished, 1) for name in names if place < len(finished)}
    found: list[Part] = []
    stop, after = module.TRAINABLE, 0.0
    trained = [(offset, name) for name, (offset, _) in module.GRADIENTS.items() if offset < stop]
    for offset, name in sorted(trained, reverse=True):
        after = max(after, when.get(name, math.inf))
        if offset and stop - offset >= least:
            if found and found[-1].after == after:
                found[-1] = replace(found[-1], start=offset)
            else:
                found.append(Part(offset, stop, after))
            stop, after = offset, 0.0
    last = found.pop().stop if found and found[-1].after == math.inf else stop
    return (*sorted(found, key=lambda part: part.after), Part(0, last))


def count_trained(network: Network, sizes: Mapping[str, int]) -> int:
    """How many numbers an update changes."""
    trained = [tensor for tensor in network.parameters if tensor.name not in network.frozen]
    return sum(math.prod(size_of(size, sizes) for size in tensor.shape) for tensor in trained)
