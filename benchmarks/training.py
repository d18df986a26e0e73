"""One training epoch of the generated module against PyTorch eager: microseconds a step, as medians with spread.

``python benchmarks/training.py [--rounds N]`` prints a table and writes ``benchmarks/results/training.json``.
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from pathlib import Path

import numba
import numpy as np
import torch

import gradloom as gl

THREADS = 2
# name: sizes, activation, batch, rows, learning rate
WORKLOADS = {
    "784-16-16-10 sigmoid, squared error, batch 100": ((784, 16, 16, 10), "sigmoid", 100, 5000, 0.1),
    "784-16-16-10 sigmoid, squared error, batch 10": ((784, 16, 16, 10), "sigmoid", 10, 5000, 0.1),
    "784-256-128-10 relu, squared error, batch 128": ((784, 256, 128, 10), "relu", 128, 5120, 0.01),
}


def ours(sizes, activation, batch, x, y, rate, weights):
    act = {"sigmoid": gl.sigmoid, "relu": gl.relu}[activation]
    layers = [gl.layers.Dense(width, act, weight_init=w) for width, w in zip(sizes[1:], weights, strict=True)]
    network = gl.Sequential(layers, input_shape=sizes[0], loss=gl.losses.SquaredError())
    program = network.compile(batch=batch, optimizer=gl.optimizers.SGD(lr=rate))
    module = program.module
    order, grads = np.arange(len(x)), np.empty(module.TRAINABLE, np.float32)
    params = np.concatenate([part.ravel() for w in weights for part in (w, np.zeros(len(w), np.float32))])
    state, hyper, work = np.empty((0, module.TRAINABLE), np.float32), np.array([rate]), module.workspace(batch)

    def epoch():
        total, _ = module.epoch(params, grads, state, x, y, order, batch, hyper, 0, work)
        return total / len(x)

    return epoch


def theirs(sizes, activation, batch, x, y, rate, weights):
    act = {"sigmoid": torch.sigmoid, "relu": torch.relu}[activation]
    parameters = [torch.tensor(part, requires_grad=True) for w in weights for part in (w, np.zeros(len(w), np.float32))]
    optimizer = torch.optim.SGD(parameters, lr=rate)
    x, y = torch.tensor(x), torch.tensor(y)

    def epoch():
        total = 0.0
        for start in range(0, len(x), batch):
            a, t = x[start : start + batch], y[start : start + batch]
            for w, b in zip(parameters[::2], parameters[1::2], strict=True):
                a = act(torch.nn.functional.linear(a, w, b))
            loss = ((a - t) ** 2).sum() / (2 * len(t))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(t)
        return total / len(x)

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(THREADS)
    table = []
    for name, (sizes, activation, batch, rows, rate) in WORKLOADS.items():
        rng = np.random.default_rng(0)
        x = rng.random((rows, sizes[0]), dtype=np.float32)
        y = np.eye(sizes[-1], dtype=np.float32)[rng.integers(0, sizes[-1], rows)]
        weights = [(rng.standard_normal((n, m)) / np.sqrt(m)).astype(np.float32) for m, n in itertools.pairwise(sizes)]
        epochs = {
            "gradloom": ours(sizes, activation, batch, x, y, rate, weights),
            "PyTorch eager": theirs(sizes, activation, batch, x, y, rate, weights),
        }
        losses = [epoch() for epoch in epochs.values()]
        assert np.isclose(*losses, rtol=1e-4), f"{name}: the losses differ: {losses}"
        steps = rows / batch
        taken: dict[str, list[float]] = {system: [] for system in epochs}
        for _ in range(rounds):  # interleaved, so that a slow moment of the machine meets both
            for system, epoch in epochs.items():
                start = time.perf_counter()
                epoch()
                taken[system].append((time.perf_counter() - start) / steps * 1e6)
        print(name)
        for system, times in taken.items():
            print(f"  {system:14} {statistics.median(times):8.1f} µs a step   {min(times):.1f} – {max(times):.1f}")
        ratio = statistics.median(taken["PyTorch eager"]) / statistics.median(taken["gradloom"])
        print(f"  PyTorch / gradloom: {ratio:.1f}")
        table.append({"workload": name, "microseconds_per_step": taken, "ratio": ratio, "losses": losses})
    versions = {"python": platform.python_version(), "numba": numba.__version__, "torch": torch.__version__}
    out = Path(__file__).parent / "results" / "training.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps({"setting": {**versions, "threads": THREADS}, "rounds": rounds, "table": table}, indent=1)
    )


if __name__ == "__main__":
    main()
