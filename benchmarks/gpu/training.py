"""Trainings side by side: first that they compute the same, then how long a step takes."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..figures import spread
from ..systems.base import NotOffered
from ..workloads import Workload, arrays
from .clock import enough
from .ours import Ours
from .peers import JAX, TORCH, Jax, Torch

FIRST = 6  # steps whose losses are compared
APART = {"float32": 1e-4, "tf32": 2e-2}


def builders(device: str, tf32: bool) -> dict[str, Callable[[Workload, dict[str, np.ndarray]], Any]]:
    """What builds each system; `device` is "cuda", or "cpu" for a run without a GPU."""
    target, precision = ("cuda", "tf32" if tf32 else None) if device == "cuda" else ("numpy", None)
    made: dict[str, Any] = {"gradloom": lambda task, data: Ours(task, data, target, precision)}
    if importlib.util.find_spec("torch"):
        made |= {f"torch-{v}": lambda task, data, v=v: Torch(v, task, data, device, tf32) for v in TORCH}
    if importlib.util.find_spec("jax"):
        made |= {f"jax-{v}": lambda task, data, v=v: Jax(v, task, data, tf32) for v in JAX}
    return made


def measured(
    task: Workload, device: str, seconds: float, rounds: int, deadline: float, tf32: bool = False
) -> dict[str, Any]:
    """The figures of a task: for each system its compile time, its first losses and microseconds a step.

    Parameters
    ----------
    seconds : of one measurement
    deadline : of `time.monotonic`; systems that come later are left out, and rounds but the first
    """
    data = arrays(task)
    row: dict[str, Any] = {"task": task.name, "title": task.title, "tf32": tf32, "systems": {}, "left_out": {}}
    systems: dict[str, Any] = {}

    def tried(name: str, work: Callable[[], Any]) -> Any:
        """What `work` gives; a system that fails is left out, with what it said: that is a result, too."""
        try:
            return work()
        except NotOffered as reason:
            row["left_out"][name] = str(reason)
        except Exception as error:
            row["left_out"][name] = f"{type(error).__name__}: {str(error)[:300]}"
        systems.pop(name, None)
        row["systems"].pop(name, None)

    for name, build in builders(device, tf32).items():
        if time.monotonic() > deadline:
            row["left_out"][name] = "no time was left"
            continue
        start = time.perf_counter()
        made = tried(name, lambda build=build: build(task, data))
        if made is None:
            continue
        systems[name] = made
        losses = tried(name, lambda made=made: made.losses(min(FIRST, task.batches)))
        if losses is not None:
            row["systems"][name] = {"first_s": time.perf_counter() - start, "losses": losses, "samples": []}
    _compare(row, "tf32" if tf32 else "float32")
    for name, system in list(systems.items()):
        count = tried(name, lambda system=system: enough(system.seconds, system.unit, seconds))
        if count is not None:
            row["systems"][name]["steps"] = count
    for number in range(rounds):
        if number and time.monotonic() > deadline:
            break
        names = list(systems)
        # Begun by another one each time: what the one before leaves in caches and clocks is nobody's alone.
        for name in names[number % max(1, len(names)) :] + names[: number % max(1, len(names))]:
            count = row["systems"][name]["steps"]
            taken = tried(name, lambda name=name, count=count: systems[name].seconds(count))
            if taken is not None:
                row["systems"][name]["samples"].append(1e6 * taken / count)
    for one in row["systems"].values():
        one["us"] = spread(one["samples"])
    ours, peers = row["systems"].get("gradloom"), [n for n in row["systems"] if n != "gradloom"]
    if ours and peers:
        best = min(peers, key=lambda name: row["systems"][name]["us"]["median"])
        row["best_peer"] = best
        row["ratio"] = row["systems"][best]["us"]["median"] / ours["us"]["median"]
    return row


def _compare(row: dict[str, Any], precision: str) -> None:
    """How far apart the first losses are from PyTorch's, or the first system's."""
    known = row["systems"].get("torch-eager") or next(iter(row["systems"].values()), None)
    for found in row["systems"].values():
        wanted = np.array(known["losses"])
        found["apart"] = float(np.abs(np.array(found["losses"]) / wanted - 1).max())
        found["agrees"] = bool(found["apart"] <= APART[precision])
