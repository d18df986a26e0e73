"""What a step should take on an H200, reckoned from what the generated kernels do: an estimate, nothing measured.

A step is the sum of three parts: waits of all blocks for each other, operations of products, and bytes. Waits are
counted in the generated source; those within steps of time as often as there are steps. Operations are those of the
contractions (`benchmarks.flops`), bytes those of the workspace (written and read once), of the parameters and of the
update. How the parts overlap, and what the caches keep, is left out.
"""

from __future__ import annotations

import ast
import itertools
import math
from dataclasses import dataclass

from gradloom.codegen.generate import generate
from gradloom.runtime.cuda_host import host_module

from ..flops import flops
from ..systems.gradloom_ import NETWORKS, optimizer
from ..workloads import LENET, Workload
from .tasks import TASKS

# Of the H200 SXM: NVIDIA H200 Tensor Core GPU, datasheet, 2024 (FP32 67 TFLOP/s; memory 4.8 TB/s); 132 multiprocessors.
PEAK, BANDWIDTH, MULTIPROCESSORS = 67e12, 4.8e12, 132
# Assumed, not published: the share of the peak that products in registers reach where all multiprocessors have tiles;
# and what a wait costs, with the first loads after it, which no others hide.
SHARE, WAIT = 0.5, 2.5e-6
# Where a block does everything small for itself, threads add up numbers of shared memory, which gives 32 in a cycle: of
# 128 multiplications 16 have their two factors.
SHARE_OF_LOOPS = 1 / 8
TILE = 64  # rows and columns of the tile that utilisation is reckoned with
UPDATE_BYTES = {"sgd": 8, "momentum": 16, "adam": 24}  # for each parameter; few gradients go through memory


@dataclass(frozen=True)
class Estimate:
    """Of one step: how often all wait, and seconds by what they go to."""

    waits: int
    waiting: float
    products: float
    memory: float

    @property
    def total(self) -> float:
        return self.waiting + self.products + self.memory


def estimate(task: Workload) -> Estimate:
    """Reckon the time of one step of a task."""
    network, _ = NETWORKS[task.kind](task)
    source = generate(network, target="cuda", optimizer=optimizer(task), batch=task.batch).source
    module, waits = host_module(source), waits_of(source, "train")
    parameters = sum(math.prod(shape) for _, shape in module.PARAMETERS.values())
    if hasattr(module, "PARTS"):
        # Blocks keep the parameters; what all read are rows of data and the parts of sums.
        return Estimate(waits, waits * WAIT, by_block(task, module.PARTS), 4 * module.sums(task.batch) / BANDWIDTH)
    moved = 2 * 4 * module.workspace(task.batch) + UPDATE_BYTES[task.optimizer] * parameters
    return Estimate(waits, waits * WAIT, flops(task) / (PEAK * SHARE * busy(task)), moved / BANDWIDTH)


def by_block(task: Workload, parts: int) -> float:
    """The seconds that a block takes which does every product by itself, but of the largest layer a part."""
    layer, *others = sorted((math.prod(shape) for shape in _layers(task)), reverse=True)
    # Forward and the gradient of the weight; of the others that of what comes in, too.
    operations = 2 * (2 * layer / parts + 3 * sum(others))
    return operations / (PEAK / MULTIPROCESSORS * SHARE_OF_LOOPS)


def busy(task: Workload) -> float:
    """The share of the multiprocessors that products have tiles for, by the operations of each."""
    shapes = _products(task)
    parts = [math.prod(shape) for shape in shapes]
    tiles = [math.ceil(rows / TILE) * math.ceil(columns / TILE) for rows, columns, _ in shapes]
    used = [min(1.0, count / MULTIPROCESSORS) for count in tiles]
    return sum(parts) / sum(part / share for part, share in zip(parts, used, strict=True))


def _products(task: Workload) -> list[tuple[int, int, int]]:
    """Rows, columns and inner size of the products of a step: each layer's, and its two gradients'."""
    layers = _layers(task)
    gradients = [[(columns, inner, rows), (rows, inner, columns)] for rows, columns, inner in layers]
    return [*layers, *itertools.chain.from_iterable(gradients)]


def _layers(task: Workload) -> list[tuple[int, int, int]]:
    """The same of the layers alone."""
    if task.kind == "mlp":
        layers = [(task.batch, m, n) for n, m in itertools.pairwise(task.settings["sizes"])]
    elif task.kind == "conv":
        places = {"c1": 28 * 28, "c2": 10 * 10}
        layers = [(task.batch * places.get(name, 1), of[0], math.prod(of[1:])) for name, of in LENET.items()]
    else:  # of each step of time
        hidden = task.settings["hidden"]
        layers = [(task.batch, 4 * hidden, hidden), (task.batch, task.settings["symbols"], hidden)]
    return layers


def waits_of(source: str, name: str) -> int:
    """How often all blocks wait for each other in a function of a module, for each mini-batch of `train`."""
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}

    def count(node: ast.AST) -> int:
        times = 1
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "grid_barrier":
                return 1
            if node.func.id in functions and node.func.id in CALLED:
                return sum(map(count, functions[node.func.id].body))
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
            times = _length(node.iter)
        return times * sum(map(count, ast.iter_child_nodes(node)))

    return sum(map(count, functions[name].body))


def _length(call: ast.Call) -> int:
    """How many numbers a `range` of constants has; of others, as of points and mini-batches, one is counted."""
    try:
        return len(range(*map(ast.literal_eval, call.args)))
    except ValueError:
        return 1


CALLED = {"training_step", "forward", "loss", "training_loss", "backward", "loss_and_gradients", "advance", "update"}
CALLED |= {"train_alone", "step_alone"}  # where a block trains by itself


def table() -> str:
    """Every task, in Markdown."""
    lines = [
        f"Estimated, not measured: {PEAK / 1e12:.0f} TFLOP/s and {BANDWIDTH / 1e12:.1f} TB/s as published of an H200; "
        f"assumed are {SHARE:.0%} of the former",
        f"where {MULTIPROCESSORS} multiprocessors have tiles of {TILE}×{TILE}, and {WAIT * 1e6:.1f} µs a wait.",
        "",
        "| training | waits a step | of these, µs | products, µs | memory, µs | a step, µs |",
        "|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        found = estimate(task)
        parts = [found.waiting, found.products, found.memory, found.total]
        lines.append(f"| {task.title} | {found.waits} | {' | '.join(f'{1e6 * part:,.1f}' for part in parts)} |")
    return "\n".join(lines)
