"""Single kernels beside PyTorch's: products, a dense layer, a loss with its gradient, an update."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import gradloom as gl

from ..figures import spread
from .clock import enough, torch_seconds, wall_seconds


@dataclass(frozen=True)
class Case:
    """One computation in both.

    Attributes
    ----------
    amount : floating-point operations, or bytes that must be moved
    unit : "GFLOP/s" or "GB/s", for that
    ours, torch : make a function that does it once, with its numbers where they are; `torch` of a device.
        `ours` is None where gradloom has nothing of the kind
    """

    name: str
    amount: float
    unit: str
    ours: Callable[[str, str | None], tuple[Callable[[], Any], Any]] | None
    torch: Callable[[str], Callable[[], Any]]


def cases(small: bool) -> Iterator[Case]:
    """Those that are measured, the first ones first; `small` has the same with few numbers."""
    sizes = [(7, 5, 6)] if small else [(n, n, n) for n in (4096, 1024, 512, 2048, 8192)]
    skinny = [] if small else [(64, 4096, 4096), (8192, 8192, 64), (256, 256, 65536)]
    yield _adam(101 if small else 10_000_000)
    for rows, columns, inner in (*sizes, *skinny):
        yield _product(rows, columns, inner)
    yield _dense(*(7, 5, 6) if small else (4096, 4096, 1024))
    yield _cross_entropy(*(7, 5) if small else (8192, 1024))


def measured(device: str, seconds: float, rounds: int, deadline: float, tf32: bool = False) -> Iterator[dict[str, Any]]:
    """The time of each case, of the copy that bandwidth is compared with first.

    Parameters
    ----------
    seconds : of one measurement
    deadline : of `time.monotonic`; what comes later is left out
    """
    has_torch = importlib.util.find_spec("torch") is not None
    listed = list(cases(small=device == "cpu"))
    for case in [_copy(1000 if device == "cpu" else 2**26)] * has_torch + listed:
        if tf32 and case.unit != "GFLOP/s":
            continue
        row: dict[str, Any] = {"case": case.name, "unit": case.unit, "tf32": tf32, "systems": {}}
        makers: dict[str, Callable[[], tuple[Callable[[], Any], Any]]] = {}
        if case.ours is not None:
            target, precision = "cuda" if device == "cuda" else "numpy", "tf32" if tf32 else None
            makers["gradloom"] = partial(case.ours, target, precision)
        if has_torch:
            makers["torch"] = lambda case=case: (_torch(case, device, tf32), None)
        for name, make in makers.items():
            if time.monotonic() > deadline:
                row["left_out"] = "no time was left"
                break
            try:
                once, ours = make()
                once()
                clock = _clock(name, device, ours)
                row["systems"][name] = _timed(once, clock, seconds, rounds, case.amount, deadline)
            except Exception as error:  # one kernel's failure is a result, too
                row["systems"][name] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
        yield row


def _timed(
    once: Callable[[], Any], clock: Any, seconds: float, rounds: int, amount: float, deadline: float
) -> dict[str, Any]:
    """Rounds until the deadline, one at least."""

    def repeated(count: int) -> float:
        def work() -> None:
            for _ in range(count):
                once()

        return float(clock(work))

    count = enough(repeated, 1, seconds, 2000)
    samples: list[float] = []
    while len(samples) < rounds and not (samples and time.monotonic() > deadline):
        samples.append(1e6 * repeated(count) / count)
    us = spread(samples)
    return {"us": us, "samples": samples, "rate": amount / us["median"] / 1e3}


def _clock(name: str, device: str, ours: Any) -> Callable[[Callable[[], Any]], float]:
    if name == "gradloom":
        return ours.seconds if device == "cuda" else wall_seconds
    return lambda work: torch_seconds(work, device)


def _torch(case: Case, device: str, tf32: bool) -> Callable[[], Any]:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32
    return case.torch(device)


# ---- what is computed --------------------------------------------------------------------------------------------


def _copy(count: int) -> Case:
    """PyTorch's copy of float32 numbers; gradloom has none."""

    def torch(device: str) -> Callable[[], Any]:
        import torch

        of = torch.zeros(count, device=device)
        to = torch.empty_like(of)
        return lambda: to.copy_(of)

    return Case(f"copy of {4 * count / 2**20:.0f} MiB", 8.0 * count, "GB/s", None, torch)


def _run(program: Any, kernel: str, arrays: tuple[np.ndarray, ...], call: str) -> tuple[Callable[[], Any], Any]:
    """A function that runs a kernel once and leaves the result; with target "numpy", the function of that name."""
    module, rows = program.module, len(arrays[0])
    flat = np.random.default_rng(1).standard_normal(_length(module)).astype(np.float32)
    work = program.workspace(rows)
    grads_count = max((at + int(np.prod(s)) for at, s in module.gradient_places(rows).values()), default=1)
    grads = np.zeros(grads_count, np.float32)
    if program.target == "cuda":
        held = [module.hold(array) for array in (flat, grads, *arrays)]
        with_grads = held[1] if kernel == "run_gradients" else None
        module.run(kernel, held[0], held[2:], work, with_grads)
        return module.again(kernel), module.device
    more = (grads,) if kernel == "run_gradients" else ()
    return lambda: getattr(module, call)(flat, *arrays, work, *more), None


def _length(module: Any) -> int:
    return max((at + int(np.prod(shape)) for at, shape in module.PARAMETERS.values()), default=0)


def _compiled(network: gl.Network, rows: int, target: str, precision: str | None, **options: Any) -> Any:
    exact: dict[str, Any] = {} if precision is None else {"precision": precision}
    return network.compile(target=target, batch=rows, **exact, **options)


def _drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _product(rows: int, columns: int, inner: int) -> Case:
    def ours(target: str, precision: str | None) -> tuple[Callable[[], Any], Any]:
        B = gl.Dim("B")
        i, j, k = gl.indices("i j k")
        net = gl.Network("product")
        x, W = net.input("x", (B, inner)), net.parameter("W", (columns, inner))
        net.define("y", (i, j), gl.Sum(W[j, k] * x[i, k], k))
        net.set_output("y")
        return _run(_compiled(net, rows, target, precision), "run_forward", (_drawn(rows, inner),), "predict")

    def torch(device: str) -> Callable[[], Any]:
        import torch

        x, W = (torch.tensor(_drawn(n, inner), device=device) for n in (rows, columns))
        out = torch.empty(rows, columns, device=device)
        return lambda: torch.mm(x, W.T, out=out)

    name = f"product {rows} × {columns} over {inner}"
    return Case(name, 2.0 * rows * columns * inner, "GFLOP/s", ours, torch)


def _dense(rows: int, columns: int, inner: int) -> Case:
    def ours(target: str, precision: str | None) -> tuple[Callable[[], Any], Any]:
        net = gl.Sequential([gl.layers.Dense(columns, gl.sigmoid)], (inner,), name="dense")
        net.set_output(net.output.name)
        return _run(_compiled(net, rows, target, precision), "run_forward", (_drawn(rows, inner),), "predict")

    def torch(device: str) -> Callable[[], Any]:
        import torch

        x, W = (torch.tensor(_drawn(n, inner), device=device) for n in (rows, columns))
        b = torch.zeros(columns, device=device)
        return lambda: torch.sigmoid(torch.nn.functional.linear(x, W, b))

    name = f"dense layer with sigmoid {rows} × {columns} over {inner}"
    return Case(name, 2.0 * rows * columns * inner, "GFLOP/s", ours, torch)


def _cross_entropy(rows: int, classes: int) -> Case:
    labels = np.random.default_rng(0).integers(0, classes, rows)

    def ours(target: str, precision: str | None) -> tuple[Callable[[], Any], Any]:
        B = gl.Dim("B")
        net = gl.Network("cross_entropy")
        z = net.input("z", (B, classes))
        net.minimize(gl.losses.CrossEntropy("labels").term(net, z))
        arrays = _drawn(rows, classes), labels.astype(np.int32 if target == "cuda" else np.int64)
        return _run(_compiled(net, rows, target, precision, wrt=["z"]), "run_gradients", arrays, "loss_and_gradients")

    def torch(device: str) -> Callable[[], Any]:
        import torch

        z = torch.tensor(_drawn(rows, classes), device=device, requires_grad=True)
        y = torch.tensor(labels, device=device)

        def once() -> None:
            z.grad = None
            torch.nn.functional.cross_entropy(z, y).backward()

        return once

    # z is read, and its gradient written.
    return Case(f"softmax cross-entropy and gradient {rows} × {classes}", 8.0 * rows * classes, "GB/s", ours, torch)


def _adam(count: int) -> Case:
    def ours(target: str, precision: str | None) -> tuple[Callable[[], Any], Any]:
        i, j = gl.indices("i j")
        net = gl.Network("adam_alone")
        x, w = net.input("x", (gl.Dim("B"), count)), net.parameter("w", (count,))
        net.minimize(gl.Sum(w[j] * x[i, j], i, j))
        program = net.compile(target=target, batch=1, optimizer=gl.optimizers.Adam(lr=1e-3))
        module, values = program.module, program.optimizer.values
        hyper = np.array([values[name] for name in module.HYPER])
        arrays: Any = [np.full(count, 0.01, np.float32) for _ in range(2)] + [np.zeros((2, count), np.float32)]
        if target == "cuda":
            module.update(*(module.hold(array) for array in arrays), hyper, 1)
            return module.again("run_update"), module.device
        return lambda: module.update(*arrays, hyper, 1), None

    def torch(device: str) -> Callable[[], Any]:
        import torch

        w = torch.full((count,), 0.01, device=device, requires_grad=True)
        w.grad = torch.full_like(w, 0.01)
        rule = torch.optim.Adam([w], lr=1e-3, fused=True)
        return rule.step

    # Parameters, gradients and two averages are read, all but the gradients written.
    return Case(f"Adam on {count:,} parameters", 28.0 * count, "GB/s", ours, torch)
