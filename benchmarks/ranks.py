"""What several processes gain: steps on 1 and 2 of them, measured, and on up to 1,024 by a model.

``python -m benchmarks.ranks`` starts the processes with the ``mpiexec`` beside this Python (packages mpi4py and mpich),
prints a table and writes ``benchmarks/results/ranks.json`` and ``.png``.

The model is T(p) = C(B/p) + A(p, n). C, the gradients and the update of the rows of one process, is measured for each
number of rows. A, adding up n numbers of p processes, is that of R. Thakur, R. Rabenseifner and W. Gropp, "Optimization
of collective communication operations in MPICH", IJHPCA 2005: 2 ⌈log₂ p⌉ α + 2 (p − 1)/p · n β, with the latency α and
the time β for a number fitted to this machine's memory, or of a network that is assumed. The rest of it, adding (γ), is
in the fitted β; of the assumed network it is left out.

Where gradients are added up in parts while others are computed (`gradloom.runtime.overlap`), a call for n₁ of them
begins when they are announced and the call before is done: the moments and the step, threads and all, are measured with
calls that do nothing; the model adds A(p, n₁). It knows of no core that computes more slowly because another adds up.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .machine import description, thread_environment
from .report import short, table

COUNTS = (10, 100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000)
PROCESSES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
NETWORK = {"alpha_us": 2.0, "beta_us": 4 / 12.5e3}  # assumed: 2 µs, 100 Gb/s, 4 bytes a number
CASES: dict[str, tuple[tuple[int, ...], int]] = {
    "784-16-16-10, batch 512": ((784, 16, 16, 10), 512),
    "784-512-512-10, batch 1024": ((784, 512, 512, 10), 1024),
    "784-512-512-10, batch 8192": ((784, 512, 512, 10), 8192),
}


# ---- in each process -------------------------------------------------------------------------------------------------


def network(sizes: tuple[int, ...]) -> Any:
    import gradloom as gl

    layers = [gl.layers.Dense(size, gl.relu) for size in sizes[1:-1]]
    last = gl.layers.Dense(sizes[-1], gl.softmax)
    return gl.Sequential([*layers, last], input_shape=sizes[0], loss=gl.losses.CrossEntropy(targets="labels"))


def steps(sizes: tuple[int, ...], batch: int, parts_of_so_many: int, seconds: float, rounds: int, comm: Any) -> Any:
    """Microseconds a step, of each round, with `batch` rows for all processes together.

    `parts_of_so_many` is 0 for one call a step; or how many processes the parts are made for: then, by one process,
    with the moments at which the calls could begin.
    """
    import gradloom as gl
    from gradloom.runtime.gradient_sums import GradientSums
    from gradloom.runtime.overlap import least_of, parts_of
    from gradloom.runtime.ranks import Ranks

    net, rng, overlap = network(sizes), np.random.default_rng(0), parts_of_so_many > 0
    model = gl.Model(net, seed=0)
    x, y = rng.standard_normal((batch, sizes[0])), rng.integers(0, sizes[-1], batch)
    data = model.check(x, y)
    trainer = model.trainer(gl.optimizers.SGD(lr=1e-4), -(-batch // comm.Get_size()), overlap)
    ranks, order = Ranks(comm, net, "cpu", overlap), np.arange(batch)
    begins = Begins()
    if overlap and comm.Get_size() == 1:
        finished = trainer.program.module.FINISHED
        parts = parts_of(trainer.program.module, least_of(parts_of_so_many, 4))
        ranks._sums = GradientSums(begins, None, trainer.params.flat.size, np.float32, parts, len(finished))

    def step() -> None:
        begins.anew()
        ranks.run(trainer, data, order, batch)

    step()
    begins.all.clear()
    taken = timed(step, seconds, rounds, comm)
    ranks.close()
    return {"step_us": taken, **begins.medians()} if overlap and comm.Get_size() == 1 else taken


class Begins:
    """A communicator that adds nothing up, but notes when it was to, and how much."""

    def __init__(self) -> None:
        self.all: list[list[tuple[float, int]]] = []

    def anew(self) -> None:
        self.begun, self.all = time.perf_counter(), [*self.all[-999:], []]

    def Allreduce(self, in_place: Any, numbers: Any) -> None:
        self.all[-1].append((time.perf_counter() - self.begun, len(numbers)))

    def medians(self) -> dict[str, list[float]]:
        found = np.median(np.array(self.all), axis=0)
        return {"begins_us": list(found[:, 0] * 1e6), "numbers": list(found[:, 1])}


def timed(function: Any, seconds: float, rounds: int, comm: Any) -> list[float]:
    """Microseconds a call, by rank 0's clock, in each round."""
    found = []
    count = 1
    while True:
        comm.Barrier()
        begun = time.perf_counter()
        for _ in range(count):
            function()
        comm.Barrier()
        taken = comm.bcast(time.perf_counter() - begun)
        if taken < seconds / rounds:
            count = max(count + 1, math.ceil(count * min(10, seconds / rounds / max(taken, 1e-9))))
            continue
        found.append(taken / count * 1e6)
        if len(found) == rounds:
            return found


def worker(what: str, seconds: float, rounds: int) -> None:
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    found: Any
    if what == "allreduce":
        found = {}
        for count in COUNTS:
            numbers = np.zeros(count, np.float32)
            found[count] = timed(lambda numbers=numbers: comm.Allreduce(MPI.IN_PLACE, numbers), seconds, rounds, comm)
    else:
        name, several = what.rsplit("|", 1)
        found = []
        for pair in several.split(","):  # one after another: processes take long to start
            batch, parts_of_so_many = map(int, pair.split(":"))
            found.append(steps(CASES[name][0], batch, parts_of_so_many, seconds, rounds, comm))
    if comm.Get_rank() == 0:
        print("RESULT", json.dumps(found))


# ---- the whole -------------------------------------------------------------------------------------------------------


def run(processes: int, what: str, seconds: float, rounds: int) -> Any:
    start = Path(sys.executable).with_name("mpiexec")
    own = [
        sys.executable,
        "-m",
        "benchmarks.ranks",
        "--worker",
        what,
        "--seconds",
        str(seconds),
        "--rounds",
        str(rounds),
    ]
    command = [str(start), "-n", str(processes), *own]
    done = subprocess.run(command, env=thread_environment(1), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).partition(" ")[2])


def added_up(processes: int, count: int, alpha_us: float, beta_us: float) -> float:
    """Microseconds of the model to add up `count` numbers of each process."""
    return 2 * math.ceil(math.log2(processes)) * alpha_us + 2 * (processes - 1) / processes * count * beta_us


def fitted(measured: dict[str, list[float]]) -> dict[str, float]:
    """α and β of two processes: least squares of relative errors, over the minima."""
    counts = np.array([int(count) for count in measured])
    least = np.array([min(samples) for samples in measured.values()])
    columns = np.stack([2 * np.ones(len(counts)), counts], 1) / least[:, None]
    alpha, beta = np.linalg.lstsq(columns, np.ones(len(counts)), rcond=None)[0]
    return {"alpha_us": float(alpha), "beta_us": float(beta)}


def overlapped(found: dict[str, Any], processes: int) -> float:
    """Microseconds of the model for a step whose parts are added up one after another, each when it is announced."""
    done = 0.0
    for begin, count in zip(found["begins_us"], found["numbers"], strict=True):
        done = max(done, begin) + added_up(processes, count, **NETWORK)
    return float(min(found["step_us"]) - found["begins_us"][-1] + done)


def case(name: str, machine: dict[str, float], seconds: float, rounds: int) -> dict[str, Any]:
    from gradloom.runtime.overlap import least_of

    sizes, batch = CASES[name]
    count = sum((n + 1) * m for n, m in itertools.pairwise(sizes))
    processes = [number for number in PROCESSES if number <= batch]
    with_parts = [number for number in processes[1:] if count > least_of(number, 4)]
    asked = [(batch // number, 0) for number in processes] + [(batch // number, number) for number in with_parts]
    alone = run(1, f"{name}|{','.join(f'{rows}:{parts}' for rows, parts in asked)}", seconds, rounds)
    compute = dict(zip(processes, alone, strict=False))
    in_parts = dict(zip(with_parts, alone[len(processes) :], strict=True))
    two = run(2, f"{name}|{batch}:0" + (f",{batch}:2" if with_parts else ""), seconds, rounds)
    least = {number: min(samples) for number, samples in compute.items()}
    curves = {
        kind: {p: least[p] + (added_up(p, count, **costs) if p > 1 else 0.0) for p in processes}
        for kind, costs in (("this machine", machine), ("network", NETWORK))
    }
    return {
        "parameters": count,
        "measured_us": {1: compute[1], 2: two[0]},
        "measured_overlapped_us": {2: two[1]} if with_parts else {},
        "compute_us": compute,
        "compute_in_parts": in_parts,
        "modelled_us": curves,
        "network_overlapped_us": {p: overlapped(found, p) for p, found in in_parts.items()},
    }


def plot(cases: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(cases), figsize=(4.2 * len(cases), 3.6), layout="constrained")
    for (name, found), ax in zip(cases.items(), np.atleast_1d(axes), strict=True):
        curve = found["modelled_us"]["network"]
        alone = curve[1]
        ax.plot(list(curve), [alone / t for t in curve.values()], "o-", ms=3, label="model: network")
        others = found["network_overlapped_us"]
        ax.plot(list(others), [alone / t for t in others.values()], "^:", ms=3, label="the same, overlapped")
        measured = {p: min(samples) for p, samples in found["measured_us"].items()}
        ax.plot(list(measured), [measured[1] / t for t in measured.values()], "s", label="measured here")
        ax.plot(list(curve), list(curve), "k--", lw=0.7, label="ideal")
        ax.set(xscale="log", yscale="log", xlabel="processes", ylabel="speed, over one", title=name)
        ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent / "results"))
    options = parser.parse_args(given)
    if options.worker:
        worker(options.worker, options.seconds, options.rounds)
        return
    added = run(2, "allreduce", options.seconds, options.rounds)
    machine = fitted(added)
    print(f"adding up, two processes here: α = {machine['alpha_us']:.2f} µs, β = {machine['beta_us'] * 1e3:.3f} ns")
    cases = {name: case(name, machine, options.seconds, options.rounds) for name in CASES}
    for name, found in cases.items():
        curve, hidden = found["modelled_us"]["network"], found["network_overlapped_us"]
        rows = [
            [
                str(p),
                short(min(found["measured_us"][p])) if p in found["measured_us"] else "",
                short(found["modelled_us"]["this machine"][p]) if p <= 2 else "",
                short(curve[p]),
                f"{curve[1] / curve[p]:.1f}",
                short(min(found["measured_overlapped_us"][p])) if p in found["measured_overlapped_us"] else "",
                short(hidden[p]) if p in hidden else "",
                f"{curve[1] / hidden[p]:.1f}" if p in hidden else "",
            ]
            for p in curve
        ]
        print(f"\n{name}: {found['parameters']:,} parameters, µs a step")
        head = ["processes", "measured", "model: here", "model: network", "speed"]
        head += ["overlapped: measured", "model: network", "speed"]
        print(table(head, rows))
    folder = Path(options.results)
    folder.mkdir(parents=True, exist_ok=True)
    made = {"machine": description(), "network": NETWORK, "here": machine, "allreduce_us": added, "cases": cases}
    (folder / "ranks.json").write_text(json.dumps(made, indent=1))
    plot(cases, folder / "ranks.png")


if __name__ == "__main__":
    main()
