"""`DeviceTrainer`: a `Trainer` whose parameters, optimizer state and data stay on a device while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from typing import Any

import numpy as np

from ..symbolic.network import Network
from ..symbolic.recurrence import Recurrence, blocks
from .cuda_arguments import alone
from .data import Data, size_of
from .device_arrays import DeviceArray
from .parameters import Parameters
from .program import Program
from .threads import operations_per_row
from .training import Trainer

ALIGNMENT = 64  # numbers: parts of the arena begin at multiples of it
# Of one call of the training kernel, so that progress shows, Ctrl-C works, and a GPU that serves a display answers it.
SECONDS = 0.1
# About what a step takes beside its operations, in seconds: waits of all blocks for each other; and an equation of a
# recurrence, in each step of time, with a wait. Too much is said rather than too little: a call more is soon made.
STEP, PHASE = 2e-5, 3e-6


class DeviceTrainer(Trainer):
    """One optimizer at work on parameters in one arena of device memory.

    Between `begin` and `end` the device has the numbers that count; `fetch` copies them to `params` and `state`, which
    count before and after. Those of a device that a fault has ended are lost: what the host has stays. The arena holds
    the parameters and the state side by side, the gradients, and two earlier values of the first two, which a training
    that diverges goes back to.
    """

    def __init__(self, program: Program, params: Parameters, seed: int = 0) -> None:
        super().__init__(program, params, seed)
        self.turn = RLock()  # another thread may ask for the parameters during a training
        self.device = program.module.device
        sizes = [_aligned(params.flat.size), _aligned(self.state.size)]
        both = sum(sizes)
        arena = self.device.buffer(3 * both + _aligned(params.flat.size), program.dtype)

        def part(start: int, shape: tuple[int, ...]) -> DeviceArray:
            place = self.device.part(arena, start, int(np.prod(shape)))
            return DeviceArray(self.device, place, shape)

        self._live, *self._kept = (part(number * both, (both,)) for number in range(3))
        self._params = part(0, params.flat.shape)
        self._state = part(sizes[0], self.state.shape)
        self._grads = part(3 * both, params.flat.shape)
        self.device.clear(arena)
        self._begun = self._is_newer = False
        self._fetched = 0  # the steps that the host's numbers are of

    @property
    def flat(self) -> Any:
        """The parameters as kernels take them: on the device, while it trains."""
        return self._params if self._begun else self.params.flat

    def rows_per_call(self, batch: int) -> int:
        program = self.program
        operations = 3 * operations_per_row(program.network, program.sizes) * batch
        waits = 3 * PHASE * equations_along_time(program.network, program.sizes)
        seconds = operations / self.device.operations(program.dtype) + waits + STEP
        return max(1, int(SECONDS / seconds)) * batch

    def hold(self, data: Data) -> Data:
        return self.program.hold(data)

    @alone
    def begin(self) -> None:
        self._params.fill(self.params.flat)
        self._state.fill(self.state)
        self._begun, self._is_newer, self._fetched = True, False, self.steps

    @alone
    def fetch(self) -> None:
        if not self._is_newer:
            return
        if self.device.is_lost:  # and with it all that was done since
            self.steps = self._fetched
        else:
            self.device.read(self._params.buffer, 0, self.params.flat)
            self.device.read(self._state.buffer, 0, self.state)
            self._fetched = self.steps
        self._is_newer = False

    @alone
    def end(self) -> None:
        self.fetch()
        self._begun = False
        self.program.module.forget()  # the data, once nobody else has them

    # ---- what `Trainer.run` asks for -------------------------------------------------------------------------------

    @alone
    def run(self, data: Data, order: Any, batch: int) -> float:
        alone = not self._begun
        if alone:
            self.begin()
        self._is_newer = True
        try:
            return super().run(data, order, batch)
        finally:
            if alone:
                self.end()

    def _buffers(self) -> tuple[Any, Any, Any]:
        return self._params, self._grads, self._state

    def _keep(self) -> Any:
        """The parameters and the state as they are now, in the place of those that are not the last good ones."""
        good = self._good and self._good[0]
        kept = self._kept[1] if good is self._kept[0] else self._kept[0]
        self.device.copy(kept.buffer, self._live.buffer)
        return kept, self.steps

    def _restore(self, kept: Any) -> None:
        self.device.copy(self._live.buffer, kept[0].buffer)
        self.steps = kept[1]

    def _is_finite(self) -> bool:
        return bool(self.program.module.is_finite(self._params))


def equations_along_time(network: Network, sizes: Mapping[str, int]) -> int:
    """How many equations are computed one after another, step of time after step of time."""
    recurrences = (one for one in blocks(network.equations) if isinstance(one, Recurrence))
    return sum(size_of(one.length, sizes) * len(one.equations) for one in recurrences)


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
