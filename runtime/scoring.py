"""Outputs, loss and metrics of a program on many rows, computed some at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Basic, Indexed

from ..symbolic.binders import Binder
from ..symbolic.errors import DataError
from ..symbolic.network import Network
from .data import Data
from .metrics import Metric
from .program import Program
from .ranks import Alone

Array = NDArray[Any]
SCORE_ROWS = 512  # rows of one forward call: enough for speed, little memory


def outputs(program: Program, flat: Any, data: Data, batch: int, into: Any = None, ranks: Alone | None = None) -> Any:
    """The network's output for all rows of `data`, which holds the inputs; a tuple, where it has several.

    It is left in `into`, if that is given. Several processes, `ranks`, compute a part each; rank 0 has the result, the
    others an empty array.
    """
    if not program.gives_rows:
        return program.run_predict(flat, data.loaded(), into)
    parts = _parts(data, batch)
    if into is not None:
        for part in parts:
            program.run_predict(flat, data.take(part), into[part.start : min(part.stop, data.rows)])
        return into
    found = (ranks or Alone()).each(lambda part: program.run_predict(flat, data.take(part)), parts)
    if len(found) == 1:
        return found[0]
    if found and isinstance(found[0], tuple):
        return tuple(map(np.concatenate, zip(*found, strict=True)))
    return np.concatenate(found) if found else np.empty(0)


def score(
    program: Program,
    flat: Any,
    data: Data,
    batch: int,
    metrics: Mapping[str, Metric],
    known: Data | None = None,
    ranks: Alone | None = None,
) -> dict[str, float]:
    """The loss and `metrics` on checked data; `known` are the same data on the host, where these are on a device.

    A loss that divides by the batch size is that of all rows; one that does not is the mean over batches of `batch`
    rows, so that it can be compared with the loss in training. Several processes, `ranks`, compute a part each; rank
    0 has the result.
    """
    ranks = ranks or Alone()
    rows = SCORE_ROWS if averages_over_batch(program.network) else batch

    def loss(rows: slice) -> float:
        part = data.take(rows)
        return program.run_loss(flat, part) * part.rows

    scores = {"loss": sum(ranks.each(loss, _parts(data, rows))) / data.rows}
    if metrics:
        found = outputs(program, flat, data.of_role("input"), SCORE_ROWS, ranks=ranks)
        if ranks.rank:
            return scores
        found = found[0] if isinstance(found, tuple) else found
        target = np.asarray((known or data).of_role("target").arrays[0])
        scores.update({name: _number(name, metric(found, target)) for name, metric in metrics.items()})
    return scores


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"metric {name} returned {value!r}; expected one number") from None


def _parts(data: Data, rows: int) -> list[slice]:
    """The rows of parts of the data, which are taken one after the other: of data in a file each is a copy."""
    return [slice(start, start + rows) for start in range(0, data.rows, rows)]


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
