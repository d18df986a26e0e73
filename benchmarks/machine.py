"""What the machine can do at most: GEMM and memory bandwidth, on a number of threads.

``python -m benchmarks.machine`` prints JSON; `limits` runs it in a process for each number of threads.
"""

from __future__ import annotations

import importlib.util
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


# What tells a library how to work on this machine; none is passed on, so that each chooses as it does for its users.
CHOICES = (
    "OPENBLAS_",
    "MKL_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "BLIS_",
    "NVPL_",
    "NUMBA_",
    "XLA_",
    "JAX_",
    "TORCH",
    "PYTENSOR_",
)


def thread_environment(threads: int) -> dict[str, str]:
    """The environment in which every library that we know takes so many threads, and nothing else is chosen for it."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CHOICES)}
    return {**kept, **{f"{name}_NUM_THREADS": str(threads) for name in names}}


def keep_to(threads: int) -> None:
    """Keep this process to the last `threads` cores (the first is the busiest); XLA makes a thread for each it sees."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


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
    keep_to(threads)  # before any library makes its threads
    import numpy as np

    found = {f"{dtype}_gflops": 0.0 for dtype in ("float32", "float64")}
    for library in ("numpy", "torch", "jax"):
        if importlib.util.find_spec(library) is None:
            continue
        for dtype in ("float32", "float64"):
            for n in SIZES:
                run = PRODUCTS[library](np.full((n, n), 0.5, dtype), threads)
                found[f"{dtype}_gflops"] = max(found[f"{dtype}_gflops"], best(seconds / 2, 2 * n**3, run))
    found["triad_gbs"] = best(2 * seconds, 24 * TRIAD, triad(threads))
    return found


def numpy_product(a: Any, threads: int) -> Any:
    import numpy as np

    out = np.empty_like(a)
    return lambda: np.dot(a, a, out=out)


def torch_product(a: Any, threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    given = torch.from_numpy(a)
    out = torch.empty_like(given)
    return lambda: torch.mm(given, given, out=out)


def jax_product(a: Any, threads: int) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    given, product = jax.numpy.asarray(a), jax.jit(lambda a: a @ a)
    return lambda: product(given).block_until_ready()


PRODUCTS = {"numpy": numpy_product, "torch": torch_product, "jax": jax_product}


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
