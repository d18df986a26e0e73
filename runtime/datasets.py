"""Data sets for the command line and the examples: scikit-learn's digits, and ``.npz`` files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError
from ..symbolic.network import Network
from .array_checks import one_hot_rows
from .files import ArchiveError, read_archive

Array = NDArray[Any]
PAIRS = (("images", "labels"), ("X", "y"), ("x", "y"), ("X", "Y"), ("data", "target"))


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets with a title; `y` holds integer labels, or numbers."""

    title: str
    x: Array
    y: Array

    @property
    def classes(self) -> int | None:
        """The number of classes, where `y` holds labels."""
        return int(self.y.max()) + 1 if self.y.ndim == 1 and self.y.dtype.kind in "iu" and self.y.size else None


def load_digits() -> Dataset:
    """The 1,797 handwritten digits of 8 × 8 pixels that come with scikit-learn, pixels from 0 to 1, labels 0…9.

    Raises
    ------
    DataError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError as error:
        raise DataError(
            "the bundled digits come with scikit-learn, which is not installed: pip install 'gradloom[demo]', "
            "or give data of your own with --data FILE"
        ) from error
    x, y = bundled(return_X_y=True)
    return Dataset("1,797 handwritten digits of 8 × 8 pixels (scikit-learn)", x / 16.0, y.astype(np.int64))


def load_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, by name; nothing pickled is read.

    Raises
    ------
    DataError
        If the file is missing, not an ``.npz`` file, corrupt, or holds Python objects.
    """
    try:
        return read_archive(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except ArchiveError as error:
        raise DataError(f"{path} is not an .npz file of plain arrays, or is damaged ({error})") from error


def load_file(path: str | Path) -> Dataset:
    """Inputs and targets from an ``.npz`` file with ``images`` and ``labels``, or ``X`` and ``y``.

    Whole numbers from 0 to 255 (dtype uint8) are pixels and are scaled to 0…1.

    Raises
    ------
    DataError
        If there is no such pair of arrays; and see `load_arrays`.
    """
    arrays = load_arrays(path)
    for inputs, targets in PAIRS:
        if inputs in arrays and targets in arrays:
            x, y = arrays[inputs], arrays[targets]
            if not x.ndim or not y.ndim or len(x) != len(y):
                raise DataError(
                    f"{path}: {inputs} has shape {x.shape} and {targets} {y.shape}; expected as many rows each"
                )
            title = f"{len(x):,} rows of {' × '.join(map(str, x.shape[1:])) or '1'} ({Path(path).name})"
            return Dataset(title, x / 255.0 if x.dtype == np.uint8 else x, y)
    expected = ", or ".join(f"{inputs} and {targets}" for inputs, targets in PAIRS[:2])
    raise DataError(f"{path} holds {', '.join(arrays) or 'no arrays'}; expected {expected}")


def data_for(network: Network, path: str | Path | None = None) -> tuple[Any, Any]:
    """``(X, Y)`` for ``Model.fit`` from a file, or from the bundled digits.

    A file whose arrays have the names of the network's inputs and targets is taken as it is. Otherwise the inputs of a
    data set are flattened where the network takes one row per sample, and labels become one-hot rows where its target
    is not labels.

    Raises
    ------
    DataError
        If the network has several inputs or targets and the file has not their names; and see `load_file`.
    """
    if path is not None:
        arrays = load_arrays(path)
        names = [tensor.name for tensor in network.inputs + network.targets]
        if all(name in arrays for name in names) and not all(name in arrays for name in ("images", "labels")):
            return tuple({t.name: arrays[t.name] for t in part} for part in (network.inputs, network.targets))  # type: ignore[return-value]
    dataset = load_digits() if path is None else load_file(path)
    if len(network.inputs) != 1 or len(network.targets) != 1:
        names_text = ", ".join(t.name for t in network.inputs + network.targets) or "none"
        raise DataError(
            f"{network.name} has the inputs and targets {names_text}, so {dataset.title} does not say which is which; "
            "give an .npz file with an array of each name, or define data = (X, Y) in the MODEL file"
        )
    source, target = network.inputs[0], network.targets[0]
    x, y = dataset.x, dataset.y
    if source.rank == 2 and x.ndim > 2:
        x = x.reshape(len(x), -1)
    if target.classes is None and target.rank == 2 and y.ndim == 1:
        width = target.shape[1]
        if dataset.classes is not None and width != 1:
            y = one_hot_rows(y, int(width) if width.is_number else dataset.classes, target.name)
        else:
            y = y.reshape(-1, 1)
    return x, y
