"""`DeviceTrainer`: a `Trainer` whose parameters, optimizer state and data stay on a device while it trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from .data import Data
from .device_arrays import DeviceArray
from .parameters import Parameters
from .program import Program
from .training import Trainer

ALIGNMENT = 64  # numbers: parts of the arena begin at multiples of it


class DeviceTrainer(Trainer):
    """One optimizer at work on parameters in one arena of device memory.

    Between `begin` and `end` the device has the numbers that count; `fetch` copies them to `params` and `state`, which
    count before and after. Those of a device that a fault has ended are lost: what the host has stays. The arena holds
    the parameters and the state side by side, the gradients, and two earlier values of the first two, which a training
    that diverges goes back to.
    """

    def __init__(self, program: Program, params: Parameters, seed: int = 0) -> None:
        super().__init__(program, params, seed)
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

    def hold(self, data: Data) -> Data:
        return self.program.hold(data)

    def begin(self) -> None:
        self._params.fill(self.params.flat)
        self._state.fill(self.state)
        self._begun, self._is_newer, self._fetched = True, False, self.steps

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

    def end(self) -> None:
        self.fetch()
        self._begun = False
        self.program.module.forget()  # the data, once nobody else has them

    # ---- what `Trainer.run` asks for -------------------------------------------------------------------------------

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


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
