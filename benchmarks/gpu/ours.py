"""gradloom on the GPU, as `Model.fit` trains: many steps in a call, data and parameters where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.runtime.device_trainer import DeviceTrainer
from gradloom.runtime.parameters import Parameters
from gradloom.runtime.training import Trainer

from ..systems.gradloom_ import NETWORKS, optimizer
from ..workloads import Workload

Arrays = dict[str, np.ndarray]


class Ours:
    """A training of a workload by target "cuda", or by another one where there is no GPU.

    Attributes
    ----------
    unit : `run` takes multiples of so many steps
    clock : gives the seconds that a function takes
    """

    unit = 1

    def __init__(self, task: Workload, arrays: Arrays, target: str, precision: str | None = None) -> None:
        network, names = NETWORKS[task.kind](task)
        options: dict[str, Any] = {} if precision is None else {"precision": precision}
        program = network.compile(
            target=target, batch=task.batch, dtype=task.dtype, optimizer=optimizer(task), **options
        )
        weights = {name[2:]: array for name, array in arrays.items() if name.startswith("w:")}
        params = Parameters(program.module.PARAMETERS, task.dtype)
        params.fill({name: part(weights).reshape(params[name].shape) for name, part in names.items()})
        self.initial, self.batch = params.flat.copy(), task.batch
        self.trainer = (DeviceTrainer if target == "cuda" else Trainer)(program, params)
        x, y = (arrays[name].reshape(-1, *arrays[name].shape[2:]) for name in "xy")
        self.data = self.trainer.hold(program.check((x, y), {}))
        self.device = program.module.device if target == "cuda" else None
        self.reset()

    def reset(self) -> None:
        """Go back to the initial weights and the first batch."""
        self.trainer.end()
        self.trainer.params.flat[:], self.trainer.state[:], self.trainer.steps = self.initial, 0, 0
        self.trainer.begin()

    def run(self, steps: int) -> float:
        """Train on; the mean of the losses."""
        first = self.trainer.steps * self.batch
        order = np.arange(first, first + steps * self.batch) % self.data.rows
        return self.trainer.run(self.data, order, self.batch) / len(order)

    def losses(self, steps: int) -> list[float]:
        self.reset()
        return [self.run(1) for _ in range(steps)]

    def seconds(self, steps: int) -> float:
        """How long so many steps take, by the GPU's clock."""
        from .clock import wall_seconds

        return (self.device.seconds if self.device else wall_seconds)(lambda: self.run(steps))
