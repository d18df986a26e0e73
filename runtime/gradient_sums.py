"""The loss and the gradients of several processes, added up: in one call, or in a few while the backward pass goes on.

A kernel that announces what it is done with (`generate`, ``announced``) runs in a thread beside the one that calls MPI.
That one adds up the gradients of the last layers while those of the first are still computed (`overlap` says which).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .overlap import Part
from .parameters import ALIGNMENT, aligned_zeros

Array = NDArray[Any]
Compute = Callable[..., float]
END = 1  # the byte that says that the kernel has returned; it writes 0


class GradientSums:
    """Adds up what the processes of a communicator compute in a step.

    Parameters
    ----------
    comm, op : the communicator, and what MPI is to read and write in place
    size : how many gradients there are, of which those in `parts` are added up
    parts : what goes into one call, in the order of the calls; a part is announced before the next is waited for

    Attributes
    ----------
    gradients : their buffer; the loss lies before it, so that the call for the first layers takes it along
    """

    def __init__(self, comm: Any, in_place: Any, size: int, dtype: Any, parts: Sequence[Part]) -> None:
        self.comm, self.parts, self._in_place = comm, tuple(parts), in_place
        head = ALIGNMENT // np.dtype(dtype).itemsize
        buffer = aligned_zeros(head + size, np.dtype(dtype))
        self.gradients: Array = buffer[head:]
        self._all: Array = buffer[head - 1 :]
        self._threads: ThreadPoolExecutor | None = None
        self._heard = math.inf  # announcements of this step
        if len(self.parts) > 1:
            self._threads = ThreadPoolExecutor(1, "gradloom")
            self._ears, self._mouth = os.pipe()

    def add_up(self, compute: Compute | None, weight: float) -> float:
        """Write the gradients of all processes to `gradients`, times their weights; return their loss.

        `compute` writes this process's to an array and returns the loss; where there is a thread for it, it is handed
        a pipe besides. None: it has nothing to add.
        """
        running: Future[float] | None = None
        if compute is None:
            self._all[:] = 0
        elif self._threads is None:
            self._all[0] = compute(self.gradients)
        else:
            self._heard, running = 0, self._threads.submit(self._run, compute)
        for part in self.parts:
            if running is not None:
                self._wait_for(part.after, running)
            first = part.start + (part.start > 0)  # the loss stands before the first gradient
            numbers = self._all[first : part.stop + 1]
            numbers *= weight
            self.comm.Allreduce(self._in_place, numbers)
        return float(self._all[0])

    def _run(self, compute: Compute) -> float:
        try:
            return compute(self.gradients, self._mouth)
        finally:
            os.write(self._mouth, bytes([END]))

    def _wait_for(self, after: float, running: Future[float]) -> None:
        """Go on when so many announcements are made, or the kernel has returned."""
        while self._heard < after:
            heard = os.read(self._ears, 4096)
            self._heard += math.inf if END in heard else len(heard)
            if self._heard == math.inf:
                self._all[0] = running.result()

    def close(self) -> None:
        """End the thread."""
        if self._threads is not None:
            self._threads.shutdown()
            os.close(self._ears)
            os.close(self._mouth)
            self._threads = None
