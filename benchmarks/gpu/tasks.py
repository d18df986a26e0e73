"""The trainings that are measured on a GPU, and the same in small, for a run without one."""

from __future__ import annotations

from dataclasses import replace

from ..workloads import WORKLOADS, Workload


def _mlp(name: str, sizes: tuple[int, ...], batch: int, batches: int) -> Workload:
    title = f"{'-'.join(map(str, sizes))} ReLU, softmax cross-entropy, batch {batch}, SGD"
    settings = {"sizes": sizes, "hidden": "relu", "loss": "softmax"}
    return Workload(name, title, "mlp", batch, batches, "sgd", 1e-3, None, settings=settings)


def _lenet(batch: int) -> Workload:
    title = f"LeNet-5 on 28×28, batch {batch}, momentum"
    return replace(WORKLOADS["W5"], name=f"lenet_{batch}", title=title, batch=batch, goal=None)


def _lstm(batch: int) -> Workload:
    title = f"LSTM, hidden 128, 65 symbols, T 100, batch {batch}, SGD"
    settings = {**WORKLOADS["W6l"].settings, "length": 100}
    more = {"batch": batch, "batches": 8, "goal": None, "settings": settings}
    return replace(WORKLOADS["W6l"], name=f"lstm_{batch}", title=title, **more)


# The first ones first: where time is short, the last are left out.
TASKS = (
    replace(WORKLOADS["W2"], name="small", goal=None),
    _mlp("one_layer", (784, 128, 10), 128, 50),
    _lstm(32),
    _lenet(64),
    _mlp("medium_128", (784, 512, 512, 10), 128, 40),
    _mlp("large", (1024, 4096, 4096, 1024), 4096, 4),
    _mlp("medium_512", (784, 512, 512, 10), 512, 20),
    _lenet(512),
    _lstm(64),
    _lstm(1),
)


def in_small(task: Workload) -> Workload:
    """The same with few numbers, so that simulators and interpreters are done with it soon."""
    settings = dict(task.settings)
    if task.kind == "mlp":
        settings["sizes"] = tuple(7 - place for place, _ in enumerate(settings["sizes"]))
    if task.kind == "recurrent":
        settings |= {"hidden": 4, "symbols": 5, "length": 3}
    return replace(task, batch=min(task.batch, 3), batches=2, settings=settings)
