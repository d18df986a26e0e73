"""All kernels of a run compiled ahead, by several processes at once, into the kernel cache.

Each process does what the run will do on a device that compiles and launches nothing: it needs no GPU.
``python -m benchmarks.gpu.prepare --arch sm_90`` does it on any machine with the compiler, and says what each took.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any

import numpy as np

Job = tuple[str, str, str | None]  # what of, its name, the precision


class Preparing:
    """In the place of a GPU: kernels are compiled for its kind, numbers stay where they are, and results are 0."""

    number, stream = 0, 0

    is_lost = False

    def operations(self, dtype: Any) -> float:
        return 1e12

    def __init__(self, cc: tuple[int, int]) -> None:
        self.cc = cc

    def buffer(self, count: int, dtype: Any) -> Any:
        return SimpleNamespace(count=count, dtype=np.dtype(dtype), pointer=0)

    def part(self, buffer: Any, start: int, count: int) -> Any:
        return self.buffer(count, buffer.dtype)

    def compile(self, function: Any, kinds: Sequence[str], threads: int, shared: int = 0) -> None:
        function.__globals__["machine_code"](function.__name__, kinds, threads, self.cc)

    def read(self, buffer: Any, start: int, array: Any) -> None:
        array[...] = 0

    def clear(self, *_: Any) -> None:
        """Nothing: as `write`, `copy` and `launch`."""

    write = copy = launch = clear


def jobs(tf32: bool = True) -> list[Job]:
    """What a run compiles, the largest first, so that they end together."""
    from . import correctness, kernels
    from .tasks import TASKS

    kinds: list[str | None] = [None, "tf32"] if tf32 else [None]
    checks: list[Job] = [("check", name, kind) for kind in kinds for name in correctness.chosen(kind)]
    trainings: list[Job] = [("training", task.name, None) for task in TASKS]
    single: list[Job] = [
        ("kernel", case.name, kind)
        for kind in kinds
        for case in kernels.cases(small=False)
        if kind is None or case.unit == "GFLOP/s"
    ]
    return [*checks, *trainings, *single]


def prepare(job: Job, cc: tuple[int, int]) -> tuple[Job, float, str]:
    """Compile what one job needs; how long that took, and what went wrong."""
    from gradloom.runtime import cuda_device

    from . import correctness, kernels
    from .ours import Ours
    from .tasks import TASKS

    cuda_device.default_device = lambda: Preparing(cc)
    of, name, precision = job
    start, said = time.perf_counter(), ""
    try:
        if of == "check":
            rows = correctness.checked("cuda", precision=precision, only=name)
            said = "; ".join(row["failed"] for row in rows if "failed" in row)
        elif of == "training":
            from ..workloads import arrays

            task = next(task for task in TASKS if task.name == name)
            Ours(task, arrays(task), "cuda", precision).run(1)
        else:
            case = next(case for case in kernels.cases(small=False) if case.name == name)
            case.ours("cuda", precision)[0]()
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:300]}"
    return job, time.perf_counter() - start, said


def prepared(
    cc: tuple[int, int], workers: int, limit: float, wanted: Sequence[Job] | None = None
) -> Iterator[tuple[Job, float, str]]:
    """Every job, as it is done, and what went wrong.

    Those that have not begun after `limit` seconds, or when a process died, are left to the run itself.
    """
    end = time.monotonic() + limit
    # New processes: those that are forked of one that uses a GPU must not go on with it.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = {_begun(pool, job, cc): job for job in (jobs() if wanted is None else wanted)}
        for done in as_completed(waiting):
            try:
                yield (waiting[done], 0.0, "no time was left") if done.cancelled() else done.result()
            except BrokenProcessPool as error:  # as where the system has ended one for want of memory: none is left
                yield waiting[done], 0.0, f"not compiled: {error}"
            if time.monotonic() > end:
                for one in waiting:
                    one.cancel()


def _begun(pool: ProcessPoolExecutor, job: Job, cc: tuple[int, int]) -> Future[tuple[Job, float, str]]:
    try:
        return pool.submit(prepare, job, cc)
    except BrokenProcessPool as error:
        failed: Future[tuple[Job, float, str]] = Future()
        failed.set_exception(error)
        return failed


def main(given: list[str] | None = None) -> int:
    from gradloom.runtime.cubin_files import architecture

    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="sm_90", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", metavar="NAME", help="of a task, a network or a kernel")
    options = parser.parse_args(given)
    wanted = [job for job in jobs() if options.only in (None, job[1])]
    failed = 0
    for (of, name, precision), seconds, said in prepared(architecture(options.arch), options.workers, 3600, wanted):
        failed += bool(said)
        print(f"{of} {name}{f', {precision}' if precision else ''}: {seconds:.1f} s {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
