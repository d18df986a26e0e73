"""Metrics: numbers for people beside the loss, such as accuracy.

A metric is a function ``metric(outputs, targets) -> float`` of two arrays, named by its ``__name__``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError
from .data import Data
from .mapped_arrays import CHECKED, MappedArray

Array = NDArray[Any]
Metric = Callable[[Array, Array], float]


def accuracy(outputs: Array, targets: Array) -> float:
    """The fraction of rows (for several labels per row: of entries) that are classified correctly.

    With integer labels, or one-hot rows, the class is the largest output. Otherwise targets take two values, and the
    output counts as the nearer one: 0 or 1 for probabilities, -1 or 1 for the hinge loss.

    Raises
    ------
    DataError
        If the targets are not classes.
    """
    if targets.dtype.kind in "iu":
        return float((outputs.argmax(axis=-1) == targets).mean())
    if outputs.shape == targets.shape and is_one_hot(targets):
        return float((outputs.argmax(axis=-1) == targets.argmax(axis=-1)).mean())
    values = np.unique(targets)
    if outputs.shape != targets.shape or len(values) > 2 or not set(values) <= {-1.0, 0.0, 1.0}:
        raise DataError("accuracy needs targets that are classes: labels, one-hot rows, or entries of two values")
    low = -1.0 if values[0] == -1 else 0.0
    return float(((outputs > (low + 1) / 2) == (targets == 1)).mean())


def mean_absolute_error(outputs: Array, targets: Array) -> float:
    """The mean of ``|output - target|``."""
    if outputs.shape != targets.shape:
        raise DataError(
            f"mean_absolute_error needs targets of the outputs' shape {outputs.shape}, found {targets.shape}"
        )
    return float(np.abs(outputs - targets).mean())


NAMED: dict[str, Metric] = {"accuracy": accuracy, "mean_absolute_error": mean_absolute_error}


def is_one_hot(targets: Any) -> bool:
    """Whether every row holds one 1 and zeros."""
    if targets.ndim < 2 or targets.shape[-1] < 2:
        return False
    if isinstance(targets, MappedArray):
        rows = max(1, CHECKED // max(1, math.prod(targets.shape[1:]) * targets.dtype.itemsize))
        return all(is_one_hot(targets[start : start + rows]) for start in range(0, len(targets), rows))
    targets = np.asarray(targets)  # of a GPU, a copy
    return bool(((targets == 0) | (targets == 1)).all() and (targets.sum(axis=-1) == 1).all())


def choose_metrics(chosen: Any, targets: Data) -> dict[str, Metric]:
    """The metrics to report, by name: those chosen, or accuracy where the one target holds classes.

    Raises
    ------
    DataError
        If a name is unknown, or the network has not exactly one target to compare with.
    """
    if chosen is None:
        classes = len(targets.arrays) == 1 and (targets.arrays[0].dtype.kind in "iu" or is_one_hot(targets.arrays[0]))
        return {"accuracy": accuracy} if classes else {}
    single = isinstance(chosen, str) or callable(chosen) or not isinstance(chosen, Iterable)
    names: Iterable[Any] = [chosen] if single else chosen
    metrics: dict[str, Metric] = {}
    for metric in names:
        if isinstance(metric, str) and metric in NAMED:
            metrics[metric] = NAMED[metric]
        elif callable(metric):
            metrics[getattr(metric, "__name__", type(metric).__name__)] = metric
        else:
            raise DataError(f"metric {metric!r} is unknown; choose from {', '.join(NAMED)}, or give a function")
    if metrics and len(targets.arrays) != 1:
        raise DataError(f"metrics compare the output with one target, but this network has {len(targets.arrays)}")
    return metrics
