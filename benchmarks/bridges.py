"""A loss of one's own inside of PyTorch: the bridge against the same loss in plain PyTorch, forward and backward.

``python -m benchmarks.bridges`` prints a table and writes ``benchmarks/results/bridges.json``. The loss is a focal
cross-entropy of smoothed labels with a penalty on confidence: a softmax, about ten elementwise operations and sums over
rows. A dense layer with an activation that PyTorch has by name is measured too, by its sum. In every round each way is
measured once, begun by another one each time; before, all must find the same loss and gradient. The bridge computes by
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
LAYER = (256, 512, 512)
SMOOTHING, SHARPNESS, CONFIDENCE = 0.1, 2, 0.05
Way = Callable[[], tuple[float, torch.Tensor]]


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


def losses(rows: int, classes: int) -> tuple[Any, Any, torch.Tensor]:
    """The loss by gradloom and as PyTorch has it, functions of z, and z."""
    made = torch.Generator().manual_seed(0)
    z = torch.randn(rows, classes, generator=made, requires_grad=True)
    y = torch.nn.functional.one_hot(torch.randint(classes, (rows,), generator=made), classes).float()
    ours = gl.torch.function(network())
    return (lambda z: ours(z, y)), (lambda z: plain(z, y)), z


def layers(rows: int, inputs: int, outputs: int) -> tuple[Any, Any, torch.Tensor]:
    """The same of a dense layer with an activation that it has by name, of which the sum is taken."""
    made = torch.Generator().manual_seed(0)
    mish = gl.elementwise("mish", lambda z: z * gl.tanh(gl.softplus(z)))
    ours = gl.torch.Module(gl.Sequential([gl.layers.Dense(outputs, mish)], input_shape=inputs))
    theirs = torch.nn.Sequential(torch.nn.Linear(inputs, outputs), torch.nn.Mish())
    with torch.no_grad():
        theirs[0].weight.copy_(ours.W1)
        theirs[0].bias.copy_(ours.b1)
    x = torch.randn(rows, inputs, generator=made, requires_grad=True)
    return (lambda x: ours(x).sum()), (lambda x: theirs(x).sum()), x


def ways(ours: Any, theirs: Any, x: torch.Tensor, threads: int, compiled: bool) -> dict[str, Way]:
    """What is measured: forward and backward by each way, with the loss and the gradient that it finds."""

    def step(loss: Callable[..., Any], count: int) -> Way:
        def run() -> tuple[float, torch.Tensor]:
            torch.set_num_threads(count)
            x.grad = None
            value = loss(x)
            value.backward()
            assert x.grad is not None
            return float(value.detach()), x.grad

        return run

    found = {"gradloom": step(ours, 1), "torch, 1 thread": step(theirs, 1)}
    if threads > 1:
        found[f"torch, {threads} threads"] = step(theirs, threads)
    if compiled:
        found[f"torch.compile, {threads} thread{'s' * (threads > 1)}"] = step(torch.compile(theirs), threads)
    value, gradient = found["torch, 1 thread"]()
    for name, run in found.items():
        other, moved = run()
        if abs(other - value) > 1e-5 * abs(value) or (moved - gradient).abs().max() > 1e-5 * gradient.abs().max():
            raise SystemExit(f"{name} finds {other} where PyTorch finds {value}, or another gradient")
    return found


def measured(found: dict[str, Way], rounds: int, seconds: float) -> dict[str, list[float]]:
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
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bridges", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of one way in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch, beside one")
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which needs a C++ compiler")
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent / "results"))
    options = parser.parse_args(given)
    cases: dict[str, Any] = {}
    rows: list[list[str]] = []
    made = {f"loss, {rows} × {classes}": (losses, (rows, classes)) for rows, classes in SIZES}
    made[f"layer, {LAYER[0]} × {LAYER[1]} → {LAYER[2]}"] = (layers, LAYER)
    for case, (make, size) in made.items():
        found = ways(*make(*size), options.threads, options.compile)
        samples = measured(found, options.rounds, options.seconds)
        ours = np.array(samples["gradloom"])
        ratios = {name: spread(np.array(theirs) / ours) for name, theirs in samples.items() if name != "gradloom"}
        cases[case] = {"us": samples, "ratios": ratios}
        for name, taken in samples.items():
            us = spread(taken)
            told = ratios.get(name)
            ratio = "" if told is None else f"{told['median']:.2f} ({told['q1']:.2f} – {told['q3']:.2f})"
            spreads = f"{short(us['median'])} ({short(us['q1'])} – {short(us['q3'])})"
            rows.append([case, name, spreads, ratio])
    print(table(["what", "system", "µs (quartiles)", "times gradloom's"], rows))
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
