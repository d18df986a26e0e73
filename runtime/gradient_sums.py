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
DONE, FAILED = 1, 2  # the bytes that say that the kernel has returned, or raised an error; it writes 0 itself


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
        if len(self.parts) > 1:
            self._threads = ThreadPoolExecutor(1, "gradloom")
            self._ears, self._mouth = os.pipe()

    def add_up(self, compute: Compute | None, weight: float) -> float:
        """Write the gradients of all processes to `gradients`, times their weights; return their loss.

        `compute` writes this process's to an array and returns the loss; where there are several parts, it is handed a
        pipe besides. None: it has nothing to add.
        """
        if compute is None:
            self._all[:] = 0
            for part in self.parts[:-1]:
                self._add(part, weight)
        elif self._threads is None:
            self._all[0] = compute(self.gradients)
        else:
            adding = self._threads.submit(self._add_early, weight)
            self._all[0] = self._announced(compute)
            adding.result()
        self._add(self.parts[-1], weight)
        return float(self._all[0])

    def _add(self, part: Part, weight: float) -> None:
        first = part.start + (part.start > 0)  # the loss stands before the first gradient
        numbers = self._all[first : part.stop + 1]
        numbers *= weight
        self.comm.Allreduce(self._in_place, numbers)

    def _announced(self, compute: Compute) -> float:
        end = FAILED
        try:
            loss = compute(self.gradients, self._mouth)
            end = DONE
            return loss
        finally:
            os.write(self._mouth, bytes([end]))

    def _add_early(self, weight: float) -> None:
        """Add up all parts but the last, each when it is announced; where the kernel fails, no more of them."""
        heard = 0.0
        for part in [*self.parts[:-1], None]:
            while heard < (math.inf if part is None else part.after):
                found = os.read(self._ears, 4096)
                if FAILED in found:
                    return
                heard += math.inf if DONE in found else len(found)
            if part is not None:
                self._add(part, weight)

    def close(self) -> None:
        """End the thread."""
        if self._threads is not None:
            self._threads.shutdown()
            os.close(self._ears)
            os.close(self._mouth)
            self._threads = None
