"""`Trainer`: runs steps of an optimizer in blocks, and can go back to the last good parameters."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codegen.sizes import usual_rows
from ..symbolic.errors import DivergenceError
from ..symbolic.network import Network
from .data import Data
from .parameters import Parameters, aligned_zeros
from .program import Program
from .ranks import Ranks
from .threads import Team, operations_per_row

Array = NDArray[Any]
# Operations in one call of the epoch kernel, some 0.1 s: progress shows and Ctrl-C works in between. And what a step
# costs apart from its operations, in operations.
BLOCK, STEP = 2e8, 5e4


class Trainer:
    """One optimizer at work on one buffer of parameters.

    Attributes
    ----------
    state : (number of states, trainable entries), zero before the first step
    steps : steps done
    seed : with the number of a step, what its noise is drawn from
    team : how many threads train together, see `choose_threads`
    ranks : the processes that train together, if there are several
    """

    def __init__(self, program: Program, params: Parameters, seed: int = 0) -> None:
        module = program.module
        self.program = program
        self.params = params
        self.seed = seed
        self.frozen = set(program.network.frozen)  # what the program was generated for
        self.grads = aligned_zeros(params.flat.size, program.dtype)
        self.state: Array = aligned_zeros(len(module.STATE) * module.TRAINABLE, program.dtype).reshape(
            len(module.STATE), module.TRAINABLE
        )
        self.steps = 0
        self.team = Team(1)
        self.ranks: Ranks | None = None
        self._good: Any = None

    def resume(self, state: Array, steps: int) -> None:
        """Go on from an earlier training's state, if it is one of these kernels."""
        if state.shape == self.state.shape:
            self.state[:], self.steps = state, steps

    @property
    def hyper(self) -> Array:
        """The optimizer's hyper-parameters as they are now; changing one compiles nothing."""
        values = self.program.optimizer.values
        return np.array([values[name] for name in self.program.module.HYPER], dtype=np.float64)

    def fits(self, batch: int, announced: bool = False) -> bool:
        """Whether the kernels were chosen for batches of about this size, and announce gradients if they are to."""
        return usual_rows(self.program.batch) == usual_rows(batch) and (
            hasattr(self.program.module, "FINISHED") or not announced
        )

    def choose_threads(self, batch: int, rows: int) -> None:
        """Decide how many threads train, in calls of about `rows` rows each: the first calls may change it.

        Once for a training: kernels are compiled for one thread and for several.
        """
        if self.program.target == "cpu":
            self.team = self.program.team(batch, -(-rows // batch))

    def rows_per_call(self, batch: int) -> int:
        """How many rows one call of the epoch kernel takes, in some 0.1 s.

        The number follows from the equations, not from a clock: sums over calls are then the same bits in every run.
        """
        return rows_per_block(self.program.network, self.program.sizes, batch)

    # ---- where the numbers are: of a training on a device, `DeviceTrainer` says otherwise ------------------------

    @property
    def flat(self) -> Any:
        """The parameters as kernels take them."""
        return self.params.flat

    def hold(self, data: Data) -> Data:
        """Data that many calls are to take, where the kernels are."""
        return data

    def begin(self) -> None:
        """Take the parameters and the state from the host: who else may have changed them is done."""

    def fetch(self) -> None:
        """See to it that the host has the parameters and the state as they are now."""

    def end(self) -> None:
        """`fetch`, and leave them to the host."""

    # ---- steps -----------------------------------------------------------------------------------------------------

    def run(self, data: Data, order: Array, batch: int) -> float:
        """Train on the rows `order`, in mini-batches; return the sum over batches of loss × rows.

        Raises
        ------
        DivergenceError
            If a loss or a parameter is no longer finite. The parameters, and the optimizer's state, are then the last
            ones that are known to give a finite loss.
        """
        before = self._keep()
        try:
            total, done = self._run(data, order, batch)
            self.steps += done
        except KeyboardInterrupt:
            self._restore(before)  # the steps that are done and those that are counted must be the same
            raise
        if not math.isfinite(total):
            # A first step that fails condemns the parameters it began with; a later one only those made since.
            keep = self._good if done == 0 and self._good is not None else before
            where = self.steps + 1
            self._restore(keep)
            raise DivergenceError(f"the loss became {_kind(total)} at step {where}")
        if not self._is_finite():
            where = self.steps
            self._restore(before)
            raise DivergenceError(f"the parameters became NaN or infinite within the {done} steps up to step {where}")
        self._good = before
        return total

    def _run(self, data: Data, order: Array, batch: int) -> tuple[float, int]:
        if self.ranks is not None:
            return self.ranks.run(self, data, order, batch)
        with self.program.turn:
            return self._run_alone(data, order, batch)

    def _run_alone(self, data: Data, order: Array, batch: int) -> tuple[float, int]:
        module, work = self.program.module, self.program.workspace(min(batch, data.rows))
        (flat, grads, state), arrays = self._buffers(), data.arrays
        if not any(data.batched):
            there = self.program.target == "cuda"
            noise = self.program.noise(data.rows, seed=self.seed, step=self.steps + 1, on_device=there)
            arrays = (*arrays, *noise)
            loss = float(module.loss_and_gradients(flat, *arrays, work, grads))
            if not math.isfinite(loss):
                return loss, 0
            if self.program.network.assignments:
                module.advance(flat, *arrays, work)
            module.update(flat, grads, state, self.hyper, self.steps + 1)
            return loss * data.rows, 1
        seed = (self.seed,) if self.program.network.noises else ()
        steps = (self.hyper, self.steps, *seed)
        team = (self.team.count,) if self.program.target == "cpu" else ()
        begun = time.perf_counter()
        total, done = module.epoch(flat, grads, state, *arrays, order, batch, *steps, work, *team)
        self.team.took(time.perf_counter() - begun, int(done))
        return float(total), int(done)

    def _buffers(self) -> tuple[Any, Any, Any]:
        """Parameters, gradients and state, as kernels take them."""
        return self.params.flat, self.grads, self.state

    def _is_finite(self) -> bool:
        return bool(np.isfinite(self.params.flat).all())

    def _keep(self) -> Any:
        """The parameters and the state as they are now, for `_restore`; of these the last two are good."""
        return self.params.flat.copy(), self.state.copy(), self.steps

    def _restore(self, kept: Any) -> None:
        self.params.flat[:], self.state[:] = kept[0], kept[1]
        self.steps = kept[2]


def noise_seed(seed: int, training: int) -> int:
    """The seed of the noise in a model's first, second, … training; 63 bits, so that kernels know one type of it."""
    return int(np.random.SeedSequence([seed, training]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _kind(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"


def rows_per_block(network: Network, sizes: Mapping[str, int], batch: int) -> int:
    """How many rows one call of the epoch kernel takes: whole batches of about `BLOCK` operations."""
    operations = 3 * operations_per_row(network, sizes) * batch + STEP
    return max(1, int(BLOCK / operations)) * batch
