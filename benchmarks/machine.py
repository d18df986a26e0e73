"""What the machine can do at most: GEMM and memory bandwidth, on a number of threads.

``python -m benchmarks.machine`` prints JSON; `limits` runs it in processes of their own, one for each number of threads.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SIZES = (384, 768, 1536)
TRIAD = 8_000_000  # float64 entries an array, far beyond the caches


def limits(threads: int, seconds: float = 0.4) -> dict[str, Any]:
    """GFLOP/s by type and GB/s, on one thread and on `threads`."""
    found = {}
    for count in sorted({1, threads}):
        command = [sys.executable, "-m", "benchmarks.machine", str(count), str(seconds)]
        output = subprocess.run(command, env=thread_environment(count), cwd=ROOT, check=True, capture_output=True)
        found[str(count)] = json.loads(output.stdout)
    return found


def thread_environment(threads: int) -> dict[str, str]:
    """The environment in which every library that we know takes so many threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB")
    return {**os.environ, **{f"{name}_NUM_THREADS": str(threads) for name in names}}


def keep_to(threads: int) -> None:
    """Keep this process to the first `threads` cores; XLA, for one, takes as many threads as it sees cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def description() -> dict[str, Any]:
    found = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    try:
        with open("/proc/cpuinfo") as info:
            lines = dict(line.split(":", 1) for line in info.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return found
    read = {name.strip(): text.strip() for name, text in lines.items()}
    flags = read.get("flags", "").split()
    vector = next((name for name in ("avx512f", "avx2", "avx", "sse2") if name in flags), "?")
    return {**found, "processor": read.get("model name", "?"), "vectors": vector}


def best(seconds: float, work: float, run: Any) -> float:
    """The highest rate, in units of 1e9 of `work` a second."""
    run()
    fastest, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - at)
    return work / fastest / 1e9


def measure(threads: int, seconds: float) -> dict[str, float]:
    import numpy as np

    keep_to(threads)
    found = {}
    for dtype in ("float32", "float64"):
        rates = []
        for n in SIZES:
            a, b, c = (np.ones((n, n), dtype) for _ in range(3))
            rates.append(best(seconds / 2, 2 * n**3, lambda a=a, b=b, c=c: np.dot(a, b, out=c)))
        found[f"{dtype}_gflops"] = max(rates)
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(threads)
        for dtype in ("float32", "float64"):
            for n in SIZES:
                a, b, c = (torch.ones((n, n), dtype=getattr(torch, dtype)) for _ in range(3))
                rate = best(seconds / 2, 2 * n**3, lambda a=a, b=b, c=c: torch.mm(a, b, out=c))
                found[f"{dtype}_gflops"] = max(found[f"{dtype}_gflops"], rate)
    found["triad_gbs"] = best(2 * seconds, 24 * TRIAD, triad(threads))
    return found


def triad(threads: int) -> Any:
    """a = b + s c, as STREAM has it (McCalpin 1995): two arrays read, one written."""
    import numba
    import numpy as np

    numba.set_num_threads(threads)

    @numba.njit(parallel=True, fastmath=True)
    def run(a, b, c, s):
        for place in numba.prange(len(a)):
            a[place] = b[place] + s * c[place]

    a, b, c = (np.ones(TRIAD) for _ in range(3))
    return lambda: run(a, b, c, 3.0)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), float(sys.argv[2]))))
