"""A loss of one's own inside of PyTorch: the bridge against the same loss in plain PyTorch, forward and backward.

``python -m benchmarks.bridges`` prints a table and writes ``benchmarks/results/bridges.json``. The loss is a focal
cross-entropy of smoothed labels with a penalty on confidence: a softmax, about ten elementwise operations and sums over
rows. In every round each way of computing it is measured once, begun by another one each time. The bridge computes by
one thread, whatever PyTorch's number of threads.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gradloom as gl

from .figures import spread
from .report import short, table

SIZES = ((1, 3), (100, 10), (1024, 1000))
SMOOTHING, SHARPNESS, CONFIDENCE = 0.1, 2, 0.05


def network() -> gl.Network:
    """The loss, declared."""
    net = gl.Network("focal_confidence")
    B, c = gl.dims("B c")
    i, j = gl.indices("i j")
    z, y = net.input("z", (B, c)), net.target("y", (B, c))
    p = net.define("p", (i, j), gl.softmax(z[i, j], j))
    log_p = net.define("l", (i, j), gl.log_softmax(z[i, j], j))
    smooth = (1 - SMOOTHING) * y[i, j] + SMOOTHING / c
    row = net.define("r", (i,), gl.Sum(-smooth * (1 - p[i, j]) ** SHARPNESS * log_p[i, j], j))
    peak = net.define("s", (i,), gl.Sum(p[i, j] ** 2, j))
    net.minimize(gl.Sum(row[i] + CONFIDENCE * (1 - peak[i]) ** 2, i) / B)
    return net


def plain(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same as people write it in PyTorch."""
    log_p = z.log_softmax(1)
    p = log_p.exp()
    smooth = (1 - SMOOTHING) * y + SMOOTHING / z.shape[1]
    row = -(smooth * (1 - p) ** SHARPNESS * log_p).sum(1)
    peak = (p**2).sum(1)
    return (row + CONFIDENCE * (1 - peak) ** 2).mean()


def steps(rows: int, classes: int, threads: int, compiled: bool) -> dict[str, Callable[[], float]]:
    """What is measured: forward and backward by each way, and the loss that it finds."""
    made = torch.Generator().manual_seed(0)
    z = torch.randn(rows, classes, generator=made, requires_grad=True)
    y = torch.nn.functional.one_hot(torch.randint(classes, (rows,), generator=made), classes).float()

    def step(loss: Callable[..., Any], count: int) -> Callable[[], float]:
        def run() -> float:
            torch.set_num_threads(count)
            z.grad = None
            value = loss(z, y)
            value.backward()
            return float(value.detach())

        return run

    found = {"gradloom": step(gl.torch.function(network()), 1), "torch, 1 thread": step(plain, 1)}
    if threads > 1:
        found[f"torch, {threads} threads"] = step(plain, threads)
    if compiled:
        found[f"torch.compile, {threads} thread{'s' * (threads > 1)}"] = step(torch.compile(plain), threads)
    values = {name: (run(), z.grad.clone()) for name, run in found.items()}  # type: ignore[union-attr]
    value, gradient = values["torch, 1 thread"]
    for name, (other, moved) in values.items():
        if abs(other - value) > 1e-5 * abs(value) or (moved - gradient).abs().max() > 1e-5 * gradient.abs().max():
            raise SystemExit(f"{name} finds {other} where PyTorch finds {value}, or another gradient")
    return found


def measured(found: dict[str, Callable[[], float]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Microseconds a step, the median of each round, in turn."""
    samples: dict[str, list[float]] = {name: [] for name in found}
    names = list(found)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken, run = [], found[name]
            run()
            begun = time.perf_counter()
            while not taken or time.perf_counter() - begun < seconds:
                at = time.perf_counter()
                run()
                taken.append((time.perf_counter() - at) * 1e6)
            samples[name].append(float(np.median(taken)))
    return samples


def processor() -> str:
    """What the processor calls itself."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bridges", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of one way in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch, beside one")
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which needs a C++ compiler")
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent / "results"))
    options = parser.parse_args(given)
    cases, rows = {}, []
    for size in SIZES:
        samples = measured(steps(*size, options.threads, options.compile), options.rounds, options.seconds)
        ours = np.array(samples["gradloom"])
        ratios = {name: spread(np.array(theirs) / ours) for name, theirs in samples.items() if name != "gradloom"}
        cases[f"{size[0]}x{size[1]}"] = {"us": samples, "ratios": ratios}
        for name, taken in samples.items():
            us = spread(taken)
            told = ratios.get(name)
            ratio = "" if told is None else f"{told['median']:.2f} ({told['q1']:.2f} – {told['q3']:.2f})"
            spreads = f"{short(us['median'])} ({short(us['q1'])} – {short(us['q3'])})"
            rows.append([f"{size[0]} × {size[1]}", name, spreads, ratio])
    print(table(["rows × classes", "system", "µs (quartiles)", "times gradloom's"], rows))
    setting = {
        "processor": processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": options.threads,
        "rounds": options.rounds,
        "dtype": "float32",
    }
    path = Path(options.results) / "bridges.json"
    path.write_text(json.dumps({"setting": setting, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
