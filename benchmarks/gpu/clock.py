"""How long things take: by the GPU's clock where a library hands out its events, else by the wall's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wall_seconds(work: Callable[[], Any]) -> float:
    """The time until `work` returns, which waits for what it asked for."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def torch_seconds(work: Callable[[], Any], device: str) -> float:
    """The time on the current stream of PyTorch."""
    import torch

    if device == "cpu":
        return wall_seconds(work)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    work()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def enough(seconds: Callable[[int], float], unit: int, wanted: float, most: int = 20_000) -> int:
    """How many steps, a multiple of `unit`, take about `wanted` seconds; the first of them have been done before."""
    count = unit
    while count < most:
        taken = seconds(count)
        if taken >= wanted / 4:
            return max(unit, min(most, int(count * wanted / taken)) // unit * unit)
        count *= 4
    return most // unit * unit
