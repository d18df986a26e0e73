"""The loss and the gradients of several processes, added up: in one call, or in a few while the backward pass goes on.

A kernel that announces what it is done with (`generate`, ``announced``) writes to a pipe. A thread reads it, and adds
up the gradients of the last layers while those of the first are still computed (`overlap` says which). The kernel, the
last call and the update stay in one thread: its core has the parameters in its cache.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .overlap import Part
from .parameters import ALIGNMENT, aligned_zeros

Array = NDArray[Any]
Compute = Callable[..., float]
FAILED = 1  # the byte that says that the kernel has raised an error; it writes 0 itself


class GradientSums:
    """Adds up what the processes of a communicator compute in a step.

    Parameters
    ----------
    comm, op : the communicator, and what MPI is to read and write in place
    size : how many gradients there are, of which those in `parts` are added up
    parts : what goes into one call, in the order of the calls, which is that of the announcements
    finished : how many announcements the kernel could make; who waits is woken by those of a part alone

    Attributes
    ----------
    gradients : their buffer; the loss lies before it, so that the call for the first layers takes it along
    """

    def __init__(self, comm: Any, in_place: Any, size: int, dtype: Any, parts: Sequence[Part], finished: int) -> None:
        self.comm, self._in_place = comm, in_place
        self._early = [part for part in parts if part.after < math.inf]
        self._late = [part for part in parts if part.after == math.inf]
        head = ALIGNMENT // np.dtype(dtype).itemsize
        buffer = aligned_zeros(head + size, np.dtype(dtype))
        self.gradients: Array = buffer[head:]
        self._all: Array = buffer[head - 1 :]
        self._threads: ThreadPoolExecutor | None = None
        if self._early:
            self._threads = ThreadPoolExecutor(1, "gradloom")
            self._ears, self._mouth = os.pipe()
            self._pipes = np.full(finished, -1)
            self._pipes[[int(part.after) - 1 for part in self._early]] = self._mouth

    def add_up(self, compute: Compute | None, weight: float) -> float:
        """Write the gradients of all processes to `gradients`, times their weights; return their loss.

        `compute` writes this process's to an array and returns the loss; where parts are announced, it is handed pipes
        besides. None: it has nothing to add. After an error there is nothing left but to `close`.
        """
        if compute is None:
            self._all[:] = 0
            for part in self._early:
                self._add(part, weight)
        elif self._threads is None:
            self._all[0] = compute(self.gradients)
        else:
            adding = self._threads.submit(self._add_early, weight)
            self._all[0] = self._announced(compute)
            adding.result()
        for part in self._late:
            self._add(part, weight)
        return float(self._all[0])

    def _add(self, part: Part, weight: float) -> None:
        first = part.start + (part.start > 0)  # the loss stands before the first gradient
        numbers = self._all[first : part.stop + 1]
        numbers *= weight
        self.comm.Allreduce(self._in_place, numbers)

    def _announced(self, compute: Compute) -> float:
        try:
            return compute(self.gradients, self._pipes)
        except BaseException:
            os.write(self._mouth, bytes([FAILED]))
            raise

    def _add_early(self, weight: float) -> None:
        """Add up what is announced, each part when it is; where the kernel fails, no more of them."""
        heard = 0.0
        for part in self._early:
            if part.after > heard and FAILED in os.read(self._ears, 1):
                return
            heard = part.after
            self._add(part, weight)

    def close(self) -> None:
        """End the thread."""
        if self._threads is not None:
            self._threads.shutdown()
            os.close(self._ears)
            os.close(self._mouth)
            self._threads = None
