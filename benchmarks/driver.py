"""The driver: a process for each system; it compares what they compute, and measures them in turn, round by round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .flops import flops
from .machine import thread_environment
from .systems import SYSTEMS, System
from .workloads import WORKLOADS, Workload, arrays

ROOT = Path(__file__).parent.parent
GRADIENTS = 1e-5  # of gradloom against PyTorch, both in float64, relative to the largest entry
PAUSE = 0.05  # seconds before a measurement: threads of the system before have stopped to spin


@dataclass
class Options:
    """
    Attributes
    ----------
    pythons : system → the interpreter it is run by, where that is not ours.
    seconds : of one measurement of one system.
    """

    workloads: list[str]
    systems: list[str]
    rounds: int = 7
    seconds: float = 0.4
    threads: int = os.cpu_count() or 1
    images: str | None = None
    pythons: dict[str, str] = field(default_factory=dict)


class Failed(Exception):
    """A system's process ended, or raised; the message is what it said."""


class Process:
    """One system at one workload, in a process of its own. It sleeps on its input unless it is asked something."""

    def __init__(self, system: System, workload: Workload, path: Path, caches: Path, options: Options) -> None:
        self.system = system
        python = options.pythons.get(system.name, sys.executable)
        command = [python, "-m", "benchmarks.worker", system.name, workload.name, str(path), workload.dtype]
        environment = {
            **thread_environment(options.threads),
            "GRADLOOM_CACHE_DIR": str(caches / "gradloom"),
            "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
            "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'},mode=NUMBA",
            "BENCHMARK_THREADS": str(options.threads),
        }
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `end`)
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors,
        )  # fmt: skip

    def ask(self, what: str, **how: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what, "with": how}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            raise Failed(f"the process ended at {what}: {self.errors.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["answer"]

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


def run_workload(name: str, options: Options, say: Any = print) -> dict[str, Any]:
    """Everything about one workload: agreement, compile times, samples by system and round, memory."""
    workload = WORKLOADS[name]
    with tempfile.TemporaryDirectory(prefix="gradloom-benchmark-") as place:
        caches, path = Path(place), Path(place) / "arrays.npz"
        np.savez(path, **arrays(workload, options.images))
        say(f"{name}: {workload.title}")
        running, rows = {}, {}
        try:
            for system in options.systems:
                if workload.kind not in SYSTEMS[system].kinds:
                    rows[system] = {"absent": "no such model"}
                    continue
                rows[system] = _start(system, workload, path, caches, options, running)
                absent = rows[system].get("absent")
                say(f"  {system}: " + (absent or f"ready after {rows[system]['first_s']:.1f} s"))
            _compare(workload, running, rows)
            gradients = _gradients(workload, running, options, caches)
            for row in [*rows.values(), gradients]:
                if row.get("disagrees"):
                    say(f"  DISAGREES: {row['disagrees']}")
            _measure(running, rows, options)
            for system, process in running.items():
                rows[system]["memory_mib"] = process.ask("memory")
        finally:
            for process in running.values():
                process.end()
        for system in list(running):
            if SYSTEMS[system].cached:
                again: dict[str, Process] = {}
                found = _start(system, workload, path, caches, options, again)
                again[system].end()
                rows[system]["cached_s"] = found["first_s"]
    steps = {"workload": name, "title": workload.title, "goal": workload.goal, "dtype": workload.dtype}
    return {**steps, "batch": workload.batch, "flops": flops(workload), "gradients": gradients, "systems": rows}


def _start(
    system: str,
    workload: Workload,
    path: Path,
    caches: Path,
    options: Options,
    running: dict[str, Process],
) -> dict[str, Any]:
    """A process that has done its first step; each system compiles into an empty cache of its own."""
    process = Process(SYSTEMS[system], workload, path, caches / system, options)
    try:
        found = process.ask("start")
    except Failed as error:
        found = {
            "absent": "failed",
            "error": str(error),
            "disagrees": f"{system} failed: {str(error).strip().splitlines()[-1]}",
        }
    if "absent" in found:
        process.end()
    else:
        running[system] = process
    return found


def _compare(workload: Workload, running: dict[str, Process], rows: dict[str, dict[str, Any]]) -> None:
    """Compare the losses of the first steps, and their mean over a pass, with those of a peer."""
    count = min(workload.batches, 20)
    limit = 1e-9 if workload.dtype == "float64" else 1e-3 if workload.optimizer == "adam" else 1e-4
    reference = next((name for name in ("torch", "numpy", *running) if name in running), None)
    for system, process in list(running.items()):
        try:
            rows[system]["losses"] = process.ask("losses", steps=count)
            rows[system]["mean_loss"] = process.ask("mean")
        except Failed as error:
            running.pop(system).end()
            rows[system] = {
                "absent": "failed",
                "error": str(error),
                "disagrees": f"{system} failed: {str(error).strip().splitlines()[-1]}",
            }
    if reference not in running:
        reference = next(iter(running), None)
    for system in running:
        apart = _apart(rows[system]["losses"], rows[reference]["losses"])
        mean = _apart([rows[system]["mean_loss"]], [rows[reference]["mean_loss"]])
        rows[system]["losses_apart"] = max(apart, mean)
        if not max(apart, mean) <= limit:
            rows[system]["disagrees"] = (
                f"losses of {system} are {max(apart, mean):.1e} off those of {reference}; {limit:.0e} is allowed"
            )


def _apart(found: Iterable[float], expected: Iterable[float]) -> float:
    pairs = zip(found, expected, strict=True)
    return float(np.max([abs(a - b) / max(abs(b), 1e-30) for a, b in pairs]))


def _gradients(workload: Workload, running: dict[str, Process], options: Options, caches: Path) -> dict[str, Any]:
    """Gradients of the first batch in float64, of gradloom and PyTorch, in processes of their own."""
    if not {"gradloom", "torch"} <= set(running):
        return {"compared": False}
    double, found = replace(workload, dtype="float64"), {}
    path = caches / "arrays64.npz"
    np.savez(path, **arrays(double, options.images))
    for system in ("gradloom", "torch"):
        process = Process(SYSTEMS[system], double, path, caches / "double", options)
        try:
            process.ask("start")
            process.ask("gradients", path=str(caches / f"{system}.npz"))
        except Failed as error:
            return {"compared": False, "disagrees": f"gradients of {system}: {error}"}
        finally:
            process.end()
        with np.load(caches / f"{system}.npz") as arrays_of:
            found[system] = dict(arrays_of)
    apart = {name: float(np.abs(found["gradloom"][name] - g).max() / max(np.abs(g).max(), 1e-300))
             for name, g in found["torch"].items()}  # fmt: skip
    worst = max(apart, key=apart.__getitem__)
    result = {"compared": True, "apart": apart[worst], "limit": GRADIENTS}
    if not apart[worst] <= GRADIENTS:
        result["disagrees"] = f"the gradient of {worst} is {apart[worst]:.1e} off PyTorch's; {GRADIENTS:.0e} is allowed"
    return result


def _measure(running: dict[str, Process], rows: dict[str, dict[str, Any]], options: Options) -> None:
    """Every system in turn in each round, begun by another one each time: a slow moment of the machine meets all."""
    names = list(running)
    for name in names:
        rows[name]["rounds"] = []
    for turn in range(options.rounds):
        first = turn % max(len(names), 1)
        for name in names[first:] + names[:first]:
            time.sleep(PAUSE)
            found = running[name].ask("time", seconds=options.seconds)
            rows[name]["rounds"].append(found["samples"])
            if not np.isfinite(found["loss"]):
                rows[name]["disagrees"] = f"the loss of {name} became {found['loss']} while it was timed"
