"""One process for one system at one workload: it does what the driver asks, a line of JSON at a time, and waits.

``python -m benchmarks.worker SYSTEM WORKLOAD ARRAYS [DTYPE]``, which `driver` starts with the number of threads in the
environment. Only NumPy and the system's own library are needed.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from dataclasses import replace
from typing import Any

from .machine import keep_to

CHUNKS = 5  # samples that one measurement is divided into, at least


class Worker:
    def __init__(self, system: str, workload: str, path: str, dtype: str | None) -> None:
        self.system, self.name, self.path, self.dtype = system, workload, path, dtype
        self.chunk = 0

    def start(self) -> dict[str, Any]:
        """Import, build, compile: each timed, up to the end of the first step (or of the first pass, for a scan)."""
        import numpy as np

        from .systems import SYSTEMS
        from .workloads import WORKLOADS

        with np.load(self.path) as found:
            arrays = dict(found)
        system, workload = SYSTEMS[self.system], WORKLOADS[self.name]
        self.workload = workload if self.dtype is None else replace(workload, dtype=self.dtype)
        begun = time.perf_counter()
        try:
            library = importlib.import_module(system.library)
            from .systems import NotOffered, trainer

            importlib.import_module(f".systems.{system.module}", __package__)
            imported = time.perf_counter()
        except ImportError as error:
            return {"absent": f"not installed ({error})"}
        before, ready = memory(), time.perf_counter()
        try:
            self.trainer = trainer(system, self.workload, arrays)
            self.trainer.run(self.trainer.unit)
        except NotOffered as error:
            return {"absent": str(error)}
        return {
            "version": getattr(library, "__version__", "?"),
            "import_s": imported - begun,
            "first_s": time.perf_counter() - ready,
            "first_steps": self.trainer.unit,
            "imported_mib": before,
            "note": self.trainer.note,
        }

    def losses(self, steps: int) -> list[float]:
        return self.trainer.losses(steps)

    def mean(self) -> float:
        """The mean loss of the first pass, trained in the way that is timed."""
        return self.trainer.mean_loss(self.workload.batches)

    def gradients(self, path: str) -> None:
        import numpy as np

        np.savez(path, **self.trainer.gradients())

    def time(self, seconds: float) -> dict[str, Any]:
        """Microseconds a step, as samples of at least a fifth of `seconds` each, from the initial weights on."""
        run, unit = self.trainer.run, self.trainer.unit
        self.trainer.reset()
        self.chunk = self.chunk or unit
        while True:  # also warms the caches that the other systems have used since
            begun = time.perf_counter()
            run(self.chunk)
            taken = time.perf_counter() - begun
            if taken > 0.8 * seconds / CHUNKS:
                break
            self.chunk = max(self.chunk + unit, int(self.chunk * min(8, seconds / CHUNKS / taken)) // unit * unit)
        self.trainer.settle(self.chunk)
        self.trainer.reset()
        samples, begun, loss = [], time.perf_counter(), 0.0
        while len(samples) < CHUNKS - 2 or time.perf_counter() - begun < seconds:
            at = time.perf_counter()
            loss = run(self.chunk)
            samples.append((time.perf_counter() - at) / self.chunk * 1e6)
        return {"samples": samples, "steps": self.chunk, "loss": loss}

    def memory(self) -> float:
        return memory()


def memory() -> float:
    """The largest resident size so far, MiB. Getrusage would count what the parent had at the fork."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    keep_to(int(os.environ.get("BENCHMARK_THREADS", os.cpu_count() or 1)))
    worker = Worker(*sys.argv[1:4], dtype=sys.argv[4] if len(sys.argv) > 4 else None)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"answer": getattr(worker, asked["do"])(**asked.get("with", {}))}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
