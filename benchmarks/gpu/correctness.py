"""Whether what runs on the GPU is right: against float64 on the host, from fresh random numbers and poisoned memory."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import gradloom as gl

L = gl.layers
ROOT = Path(__file__).parent.parent.parent
# Relative to the largest entry; of losses, to the loss.
WITHIN = {None: 2e-5, "tf32": 2e-2}


def networks() -> dict[str, tuple[gl.Network, int, int]]:
    """A network of each kind that kernels differ in, with rows, once few and once many."""
    labels = gl.losses.CrossEntropy("labels")
    squared = gl.losses.SquaredError()
    wide = gl.Sequential([L.Dense(257, gl.relu), L.Dense(131, gl.tanh), L.Dense(10)], (193,), loss=labels)
    images = [L.Conv2D(5, 3, padding=1, activation=gl.relu), L.MaxPool2D(2), L.Flatten(), L.Dense(7)]
    block = [L.TransformerBlock(16, 2, 32, causal=True)]
    noisy = [L.Dense(37, gl.relu), L.BatchNorm(), L.Dropout(0.3), L.Dense(5)]
    return {
        "small": (gl.Sequential([L.Dense(5, gl.sigmoid), L.Dense(3)], (7,), loss=squared), 3, 3),
        "dense": (wide, 5, 601),
        "convolutions": (gl.Sequential(images, (2, 10, 14), loss=labels), 3, 67),
        "LSTM": (gl.Sequential([L.LSTM(19), L.Dense(3)], (11, 5), loss=squared), 2, 41),
        "attention": (gl.Sequential(block, (13, 16), loss=gl.losses.SquaredError("mean")), 7, 7),  # long to compile
        "modes": (gl.Sequential(noisy, (29,), loss=squared), 11, 203),
    }


def chosen(precision: str | None) -> list[str]:
    """The names of the networks that are checked; those whose products differ with tensor cores."""
    return [name for name in networks() if precision is None or name in ("dense", "convolutions", "LSTM")]


def checked(
    target: str,
    seed: int | None = None,
    tiny: bool = False,
    precision: str | None = None,
    only: str | None = None,
    deadline: float = math.inf,
) -> list[dict[str, Any]]:
    """Loss, gradients and output of each network, and a short training, each computed twice.

    Parameters
    ----------
    deadline : of `time.monotonic`; what comes later is left out

    Returns
    -------
    For each network how far each is from float64, whether it is within what float32 allows, and whether the second time
    gave the same bits; or what it "failed" with, or why it is "left_out".
    """
    rng = np.random.default_rng(seed)
    rows = []
    made = networks()
    for name in [only] if only else chosen(precision):
        network, few, many = made[name]
        for count in dict.fromkeys([few] if tiny else [few, many]):
            row: dict[str, Any] = {"network": name, "rows": count}
            rows.append(row)
            if time.monotonic() > deadline:
                row["left_out"] = "no time was left"
                continue
            try:
                row |= _one(network, count, target, rng, precision)
            except Exception as error:  # one network's failure is a result, too
                row["failed"] = f"{type(error).__name__}: {str(error)[:300]}"
    return rows


def passed(row: dict[str, Any]) -> bool:
    """Whether a row of `checked` has nothing wrong; of what is left out nothing is known."""
    return "left_out" in row or ("failed" not in row and row["right"] and row["same_bits"])


def _one(network: gl.Network, rows: int, target: str, rng: Any, precision: str | None) -> dict[str, Any]:
    # Not Adam: it makes steps of rounding errors where gradients are 0, as before a normalisation.
    rule = gl.optimizers.SGD(lr=0.01, momentum=0.9, clip_norm=1.0)
    options: dict[str, Any] = {} if precision is None else {"precision": precision}
    program = network.compile(target=target, batch=rows, optimizer=rule, **options)
    known = network.compile(target="numpy", dtype="float64", batch=rows, optimizer=rule)
    flat = gl.Model(network, int(rng.integers(2**31)), target="numpy").params.flat
    x = rng.standard_normal((rows, *map(int, network.inputs[0].shape[1:])))
    wanted = network.targets[0]
    if wanted.classes is not None:
        y = rng.integers(0, int(wanted.classes), (rows, *map(int, wanted.shape[1:])))
    else:
        y = rng.standard_normal((rows, *map(int, wanted.shape[1:])))
    x = x.astype(np.float32).astype(np.float64)  # the same numbers for both
    y = y if y.dtype.kind == "i" else y.astype(np.float32).astype(np.float64)
    results = [_results(program, flat, x, y, rows) for _ in range(2)]
    expected = _results(known, flat.astype(np.float64), x, y, rows)
    found = {}
    for name, value in expected.items():
        scale = max(float(np.abs(value).max()), 1e-6)
        found[name] = float(np.max([np.abs(result[name] - value).max() for result in results])) / scale
    same = all(np.array_equal(results[0][name], results[1][name], equal_nan=True) for name in expected)
    # A training multiplies what rounding makes of each step.
    right = all(value <= WITHIN[precision] * (50 if name == "trained" else 1) for name, value in found.items())
    return {"apart": found, "same_bits": same, "right": right and not any(map(np.isnan, found.values()))}


def _results(program: gl.Program, flat: np.ndarray, x: np.ndarray, y: np.ndarray, rows: int) -> dict[str, np.ndarray]:
    data = program.check((x, y), {})
    noise = program.noise(rows)
    poison(program, rows)
    loss, gradients = program.run_gradients(flat, data, *noise)
    found = {"loss": np.array(loss), **{f"gradient of {name}": g for name, g in gradients.items()}}
    poison(program, rows)
    found["output"] = program.predict(flat, x)
    module, params = program.module, flat.copy()
    state = np.zeros((len(module.STATE), module.TRAINABLE), flat.dtype)
    values = program.optimizer.values
    hyper = np.array([values[name] for name in module.HYPER])
    seed = (3,) if program.network.noises else ()
    poison(program, rows)
    batch = max(1, rows // 2)
    grads = np.full_like(flat, np.nan)
    order = np.arange(rows)[::-1].copy()
    module.epoch(params, grads, state, *data.arrays, order, batch, hyper, 0, *seed, program.workspace(batch))
    found["trained"] = params
    return found


def poison(program: gl.Program, rows: int) -> None:
    """Fill what kernels write with NaN: what one reads before it has written it, shows.

    That is the workspace, and the module's rooms of real numbers: gradients, losses, sums, drawn rows and noise. Rooms
    are made at a kernel's first launch, and so poisoned from the second on. Copies of what the host hands over are
    written anew before a launch; the tables of places are not, and stay.
    """
    work = program.workspace(rows)
    if program.target != "cuda":
        return
    module = program.module
    rooms = [room for name, room in module._rooms.items() if name != "tables"]
    for buffer in (work, *rooms):
        if buffer.dtype.kind == "f":
            module.device.write(buffer, np.full(buffer.count, np.nan, buffer.dtype))


def sanitized(limit: float, deadline: float) -> list[dict[str, str]]:
    """What compute-sanitizer says of the smallest sizes: accesses out of bounds, and races in shared memory.

    `limit` is in seconds, of each tool; after `deadline`, of `time.monotonic`, none is begun.
    """
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return [{"tool": "compute-sanitizer", "said": "not installed, so not run"}]
    said = []
    for name in ("memcheck", "racecheck"):
        if time.monotonic() > deadline:
            said.append({"tool": name, "said": "no time was left"})
            continue
        command = [tool, "--tool", name, "--error-exitcode", "9", sys.executable, "-m", "benchmarks.gpu", "--tiny"]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            said.append({"tool": name, "said": f"not done in {limit:.0f} s"})
            continue
        lines = [line for line in done.stdout.splitlines() if "SUMMARY" in line]
        said.append(
            {"tool": name, "said": f"{lines[-1] if lines else done.stderr[-300:]} (exit status {done.returncode})"}
        )
    return said
