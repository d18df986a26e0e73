"""How fast the kernels of a network train, and where the time goes, equation by equation."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codegen.generate import generate
from ..symbolic.errors import UndefinedError
from ..symbolic.network import Network
from .cache import load_module
from .compilation import check_choices, check_sizes
from .data import Data, check_data
from .fit_options import check_count, check_trainable
from .gradcheck import prime_sizes, random_data
from .model import Model
from .training import Trainer

STEPS_OF_DATA = 8  # mini-batches of random data
SAMPLES = 9
X86 = ("x86_64", "AMD64", "i686")


@dataclass(frozen=True)
class Part:
    """What one stretch of the kernels computes, and its share of a step."""

    equations: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Timing:
    """How fast a network trains.

    Attributes
    ----------
    batch : rows a step
    generated, compiled : seconds to derive and generate, and for the first training call (0.1 s or so from the cache)
    steps : microseconds a step, of each sample
    threads : how many trained
    buffers : bytes of parameters, gradients, the optimizer's state, and the workspace
    parts : where the time goes if one thread does it, the largest share first; empty where the processor does not tell
    is_unrolled : whether the network is so small that an epoch is one straight line; `parts` is then of the functions
        that it is made from
    """

    batch: int
    generated: float
    compiled: float
    steps: tuple[float, ...]
    buffers: dict[str, int]
    parts: tuple[Part, ...]
    is_unrolled: bool = False
    threads: int = 1

    @property
    def step(self) -> float:
        """The median, in microseconds."""
        return statistics.median(self.steps)

    def __str__(self) -> str:
        low, _, high = statistics.quantiles(self.steps, n=4)
        lines = [
            f"{_number(self.step)} µs a step of {self.batch} rows (quartiles {_number(low)} – {_number(high)}), "
            f"{_number(self.batch / self.step * 1e6)} rows a second, "
            + ("by one thread" if self.threads == 1 else f"by {self.threads} threads"),
            f"{self.generated:.2f} s to derive and generate, {self.compiled:.2f} s to compile or load",
            ", ".join(f"{name} {size / 2**20:.2f} MiB" for name, size in self.buffers.items()),
        ]
        if self.is_unrolled:
            lines.append("An epoch is one straight line of code; the shares are those of its parts, computed apart.")
        if self.parts:
            lines += ["", "    µs      %  equations"]
        for part in self.parts:
            first, *others = part.equations or ("all else",)
            lines.append(f"{_number(self.step * part.share):>6}  {100 * part.share:5.1f}  {first}")
            lines += [f"{'':15}{equation}" for equation in others]
        return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def bench(
    network: Network,
    data: Any = None,
    *,
    batch: int = 100,
    optimizer: Any,
    dtype: str = "float32",
    sizes: Mapping[str, int] | None = None,
    schedule: Any = None,
    checkpoint: int | bool | None = None,
    seconds: float = 1.0,
    seed: int = 0,
) -> Timing:
    """Time the training of `network` by its compiled kernels.

    Parameters
    ----------
    data : a pair (X, Y) as for `Model.fit`; random numbers by default
    batch : rows a step
    schedule, checkpoint : as for `Network.compile`
    seconds : about how long to train, all samples together

    Raises
    ------
    UndefinedError
        If the network has no batch axis, so that there are no mini-batches.
    LossError, SizeError, DataError
        As `Model` and `Model.fit` do.
    """
    check_count("batch", batch)
    check_trainable(network)
    dtype = check_choices("cpu", dtype, optimizer)
    if network.batch is None:
        raise UndefinedError(f"{network.name} has no batch axis, so it has no training in mini-batches to be timed")
    numbers = check_sizes(sizes or {})
    start = time.perf_counter()
    model = Model(network, seed, "cpu", dtype, numbers, schedule, checkpoint)
    trainer = model.trainer(optimizer, batch)
    generated = time.perf_counter() - start
    checked = _data(network, data, model, batch, seed, dtype)
    order = np.arange(checked.rows)
    trainer.choose_threads(batch, checked.rows)
    start = time.perf_counter()
    trainer.run(checked, order[:batch], batch)
    compiled = time.perf_counter() - start
    while not trainer.team.is_settled:
        trainer.run(checked, order, batch)
    samples = _samples(lambda: trainer.run(checked, order, batch), -(-checked.rows // batch), seconds)
    buffers = {
        "parameters": trainer.params.flat.nbytes,
        "gradients": trainer.grads.nbytes,
        "optimizer": trainer.state.nbytes,
        "workspace": trainer.program.workspace(batch).nbytes,
    }
    options = {"dtype": dtype, "batch": batch, "sizes": numbers, "schedule": schedule, "checkpoint": checkpoint}
    parts = _parts(network, options, optimizer, trainer, checked.take(slice(batch)))
    is_unrolled = hasattr(trainer.program.module, "epoch_by_row")
    return Timing(batch, generated, compiled, samples, buffers, parts, is_unrolled, trainer.team.count)


def _data(network: Network, data: Any, model: Model, batch: int, seed: int, dtype: str) -> Data:
    if data is not None:
        return model.check(*data)
    assert network.batch is not None
    rng = np.random.default_rng(seed)
    known = {**prime_sizes(network), **model.sizes, network.batch.name: batch * STEPS_OF_DATA}
    values = {t.name: random_data(network, t, known, rng) for t in network.inputs + network.targets}
    return check_data(network, values, np.dtype(dtype), dict(model.sizes))


def _samples(run: Any, steps: int, seconds: float) -> tuple[float, ...]:
    """Microseconds a step of samples of about the same length."""
    start = time.perf_counter()
    run()
    passes = max(1, int(seconds / SAMPLES / max(time.perf_counter() - start, 1e-9)))
    found = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        for _ in range(passes):
            run()
        found.append((time.perf_counter() - start) / passes / steps * 1e6)
    return tuple(found)


def _parts(network: Network, options: dict[str, Any], optimizer: Any, trainer: Trainer, data: Data) -> tuple[Part, ...]:
    """The shares of a step, by kernels that count the cycles between marks, run by one thread."""
    if platform.machine() not in X86:
        return ()
    generated = generate(network, **options, optimizer=optimizer, timed=True)
    module = load_module(generated.source, {"timed": True, **{name: str(value) for name, value in options.items()}})
    params, state = trainer.params.flat.copy(), trainer.state.copy()
    noise = trainer.program.noise(data.rows)
    work = module.workspace(data.rows)
    begin = module.training_loss if network.has_modes else module.loss

    def step() -> None:
        begin(params, *data.arrays, *noise, work)
        module.backward(params, *data.arrays, *noise, work, trainer.grads)
        module.update(params, trainer.grads, state, trainer.hyper, 1)

    step()
    least = None
    for _ in range(20):
        module.CYCLES[:] = 0
        params[:], state[:] = trainer.params.flat, trainer.state
        step()
        found = module.CYCLES[1 : len(generated.parts)]
        least = found.copy() if least is None else np.minimum(least, found)
    assert least is not None
    shares = least / least.sum()
    parts = [Part(equations, float(share)) for equations, share in zip(generated.parts[1:], shares, strict=True)]
    return tuple(sorted(parts, key=lambda part: -part.share))
