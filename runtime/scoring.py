"""Outputs, loss and metrics of a program on many rows, computed some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Basic, Indexed

from ..symbolic.binders import Binder
from ..symbolic.network import Network
from .data import Data
from .metrics import Metric
from .program import Program

Array = NDArray[Any]
SCORE_ROWS = 512  # rows of one forward call: enough for speed, little memory


def outputs(program: Program, flat: Any, data: Data, batch: int) -> Array:
    """The network's output for all rows of `data`, which holds the inputs."""
    output, size = program.network.output, program.network.batch
    if size is None or not output.rank or output.shape[0] != size:
        return program.run_predict(flat, data.loaded())
    return np.concatenate([program.run_predict(flat, part) for part in _parts(data, batch)])


def score(
    program: Program, flat: Any, data: Data, batch: int, metrics: Mapping[str, Metric], known: Data | None = None
) -> dict[str, float]:
    """The loss and `metrics` on checked data; `known` are the same data on the host, where these are on a device.

    A loss that divides by the batch size is that of all rows; one that does not is the mean over batches of `batch`
    rows, so that it can be compared with the loss in training.
    """
    rows = SCORE_ROWS if averages_over_batch(program.network) else batch
    total = sum(program.run_loss(flat, part) * part.rows for part in _parts(data, rows))
    scores = {"loss": total / data.rows}
    if metrics:
        found = outputs(program, flat, data.of_role("input"), SCORE_ROWS)
        target = np.asarray((known or data).of_role("target").arrays[0])
        scores.update({name: float(metric(found, target)) for name, metric in metrics.items()})
    return scores


def _parts(data: Data, rows: int) -> Iterator[Data]:
    if not any(data.batched):
        yield data
        return
    for start in range(0, data.rows, rows):
        yield data.take(slice(start, start + rows))  # one after the other: of data in a file each is a copy


def averages_over_batch(network: Network) -> bool:
    """Whether the loss in inference divides by the batch size, so that it does not grow with the number of rows."""
    batch = network.batch

    def mentions(node: Basic) -> bool:
        if isinstance(node, Binder):
            return mentions(node.body)
        return node == batch or (not isinstance(node, Indexed) and any(mentions(arg) for arg in node.args))

    needed, found = {network.loss}, False
    for equation in reversed(network.for_inference()):
        if equation.target in needed:
            needed.update(equation.reads)
            found = found or mentions(equation.body)
    return found
