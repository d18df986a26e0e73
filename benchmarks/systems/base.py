"""What every system offers to the driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class NotOffered(Exception):
    """A system has no such model; the message says what is missing."""


class Trainer:
    """A model with its data, ready to train.

    Attributes
    ----------
    unit : `run` takes multiples of so many steps.
    note : what differs from the work of the others, for the report.
    """

    unit = 1
    note = ""

    def reset(self) -> None:
        """Go back to the initial weights, the first batch, and an optimizer that has done no step."""
        raise NotImplementedError

    def run(self, steps: int) -> float:
        """Train for `steps` steps and return the mean of their losses, each taken before its update."""
        raise NotImplementedError

    def settle(self, steps: int) -> None:
        """Train as long as what a system chooses by the clock, for calls of so many steps, may still change."""

    def losses(self, steps: int) -> list[float]:
        """The losses of the first steps from the initial weights."""
        self.reset()
        return [self.run(1) for _ in range(steps)]

    def mean_loss(self, steps: int) -> float:
        """The mean loss of the first steps from the initial weights, trained as it is timed."""
        self.reset()
        return self.run(steps)

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients of the first batch at the initial weights, by the names of `workloads`."""
        raise NotOffered("gradients are compared between gradloom and PyTorch")


class Stepwise(Trainer):
    """A trainer of one call a step: ``step(x, y)`` trains on a batch and returns the loss, a number or on its way.

    Parameters
    ----------
    batches : pairs of x and y, as the system likes them.
    restart : what `reset` does to the weights and the optimizer.
    step : what trains.
    """

    def __init__(self, batches: Sequence[Any], restart: Callable[[], None], step: Callable[[Any, Any], Any]) -> None:
        self.batches, self.restart, self.step = batches, restart, step
        self.at = 0

    def reset(self) -> None:
        self.restart()
        self.at = 0

    def run(self, steps: int) -> float:
        batches, step, count, at = self.batches, self.step, len(self.batches), self.at
        found = []
        for _ in range(steps):
            found.append(step(*batches[at]))
            at = at + 1 if at + 1 < count else 0
        self.at = at
        return float(np.mean([float(loss) for loss in found]))
