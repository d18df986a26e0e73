"""What a training step takes of memory, as it is planned and as a process has it.

``python -m benchmarks.memory`` prints a table and writes ``benchmarks/results/memory.json``. The *need* is parameters,
optimizer state, stored activations and one batch of data. A stored activation is what the backward pass reads of what
the forward pass made, each tensor once, at its own size: without it the forward pass would have to be done again.
Beyond the need a step has the gradients, which an optimizer reads once all of them are there, and what lives for a part
of the step only (deltas, sums, copies), in the workspace as the stored activations are. "of need" is what is planned
over the need, "with gradients" the same with the gradients counted as needed. "peak" is how far
the largest resident set of a fresh process that trains grew over what it was after the kernels were loaded, run once on
a batch of one row.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .report import short, table
from .workloads import WORKLOADS

BOUND = 1.3
NETWORKS = ("W2", "W3", "W4", "W5", "W6", "W6l", "W7", "W9", "long", "long√")  # √: with checkpoints
LONG = {"batch": 32, "inputs": 16, "units": 128, "length": 512, "classes": 10}


@dataclass(frozen=True)
class Memory:
    """Bytes of one training step, by what they hold, as planned.

    Attributes
    ----------
    workspace : the stored activations and everything else in between
    """

    parameters: int
    state: int
    gradients: int
    stored: int
    workspace: int
    batch: int

    @property
    def need(self) -> int:
        return self.parameters + self.state + self.stored + self.batch

    @property
    def planned(self) -> int:
        return self.parameters + self.state + self.gradients + self.workspace + self.batch

    @property
    def ratio(self) -> float:
        """What is planned, over what is needed."""
        return self.planned / self.need

    @property
    def ratio_with_gradients(self) -> float:
        """The same with the gradients, which are there whole before an optimizer begins, among what is needed."""
        return self.planned / (self.need + self.gradients)


def memory_of(network: Any, batch: int, **options: Any) -> Memory:
    """The planned memory of a step of `batch` rows; `options` are those of `gradloom.codegen.generate.generate`."""
    import gradloom  # noqa: F401  (its folders are one package)
    from gradloom.codegen.generate import generate
    from gradloom.codegen.sizes import resolve_sizes

    made = generate(network, batch=batch, **options)
    real = np.dtype(options.get("dtype", "float32")).itemsize
    sizes = resolve_sizes(network, options.get("sizes") or {})

    def numbers(shape: Any) -> int:
        count = prod(sizes.shape(shape))
        return int(count.subs(made.batch, batch)) if made.batch is not None and hasattr(count, "subs") else int(count)

    places = made.layout
    data = [*network.inputs, *network.targets, *network.noises]
    return Memory(
        parameters=real * sum(numbers(place.shape) for place in places.parameters.values()),
        state=real * len(places.state) * places.trainable,
        gradients=real * sum(numbers(place.shape) for place in places.gradients.values()),
        stored=real * sum(numbers(shape) for shape in made.stored.values()),
        workspace=real * workspace_of(made.source, batch),
        batch=sum((8 if tensor.classes is not None else real) * numbers(tensor.shape) for tensor in data),
    )


def workspace_of(source: str, batch: int) -> int:
    """The length of the workspace, in numbers, as a generated module says it."""
    start = source.index("def workspace(batch)")
    line = next(line for line in source[start:].splitlines() if "numbers = " in line or "return" in line)
    text = line.split("numbers = ")[1] if "numbers = " in line else line.split("np.empty(")[1].split(",")[0]
    return int(eval(text, {"batch": batch}))  # an arithmetic expression that the generator printed


def network_of(name: str) -> tuple[Any, int, dict[str, Any]]:
    """A workload, or an LSTM over many steps that gives its last state: network, batch, options of `generate`."""
    import gradloom as gl

    from .systems import gradloom_

    if name in WORKLOADS:
        workload = WORKLOADS[name]
        network, _ = gradloom_.NETWORKS[workload.kind](workload)
        return network, workload.batch, {"dtype": workload.dtype, "optimizer": gradloom_.optimizer(workload)}
    layers = [gl.layers.LSTM(LONG["units"], return_sequences=False), gl.layers.Dense(LONG["classes"])]
    shape = (LONG["length"], LONG["inputs"])
    network = gl.Sequential(layers, shape, loss=gl.losses.CrossEntropy(targets="labels"), name="long")
    options: dict[str, Any] = {"optimizer": gl.optimizers.SGD(lr=0.01)}
    return network, LONG["batch"], {**options, "checkpoint": True} if name.endswith("√") else options


def peak(name: str) -> dict[str, Any]:
    """Bytes that the largest resident set of this process grows by when it trains; run it in a fresh one."""
    network, batch, options = network_of(name)
    program = network.compile(batch=batch, **options)
    module, rng = program.module, np.random.default_rng(0)

    def trained(rows: int, count: int) -> None:
        """Train on as many rows as a batch has: the data are those of a batch, and so is the copy of its rows."""
        data = []
        for tensor in (*network.inputs, *network.targets):
            shape = (rows, *(int(size) for size in tensor.shape[1:]))
            whole = tensor.classes is not None
            data.append(rng.integers(0, int(tensor.classes), shape) if whole else rng.random(shape, program.dtype))
        size = sum(prod(shape) for _, shape in module.PARAMETERS.values())
        params = (rng.random(size, program.dtype) - program.dtype.type(0.5)) / 64
        grads, state = np.zeros_like(params), np.zeros((len(module.STATE), module.TRAINABLE), params.dtype)
        hyper = np.array([program.optimizer.values[name] for name in module.HYPER], float)
        held.append((params, grads, state, data))
        for _ in range(count):
            module.epoch(params, grads, state, *data, np.arange(rows), rows, hyper, 0, module.workspace(rows))

    held: list[Any] = []
    trained(1, 1)
    held.clear()
    ctypes.CDLL(None).malloc_trim(0)  # what the first step left goes back to the system (glibc)
    Path("/proc/self/clear_refs").write_text("5")  # the largest size is counted anew (Linux)
    before = resident("VmRSS")
    trained(batch, 2)
    return {"before": before, "grown": resident("VmHWM") - before, "data": sum(a.nbytes for a in held[0][3])}


def resident(kind: str) -> int:
    """Bytes of this process that are in memory, "VmRSS" now or "VmHWM" at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--peak", action="store_true", help="also train, each network in a process of its own")
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent / "results"))
    parser.add_argument("--only-peak", metavar="NETWORK", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.only_peak:
        print(json.dumps(peak(options.only_peak)))
        return
    rows, found = [], {}
    for name in options.networks.split(","):
        network, batch, chosen = network_of(name)
        planned = memory_of(network, batch, **chosen)
        entry: dict[str, Any] = {
            **asdict(planned),
            "ratio": planned.ratio,
            "with_gradients": planned.ratio_with_gradients,
        }
        shown = "–"
        if options.peak:
            command = [sys.executable, "-m", "benchmarks.memory", "--only-peak", name]
            subprocess.run(command, check=True, capture_output=True)  # compiles: the next one loads kernels from disk
            entry["peak"] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            shown = mib(entry["peak"]["grown"])
        parts = [mib(part) for part in asdict(planned).values()]
        rows.append(
            [name, *parts, mib(planned.planned), shown, f"{planned.ratio:.2f}", f"{planned.ratio_with_gradients:.2f}"]
        )
        found[name] = entry
    head = ["MiB", "parameters", "state", "gradients", "stored", "workspace", "batch", "planned", "peak", "of need"]
    print(table([*head, "with gradients"], rows))
    folder = Path(options.results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.json").write_text(json.dumps(found, indent=1) + "\n")


def mib(count: float) -> str:
    return short(count / 2**20)


if __name__ == "__main__":
    main()
