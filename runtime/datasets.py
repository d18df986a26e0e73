"""Data sets for the command line and the examples: scikit-learn's digits, and files of several formats."""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray

from ..symbolic.errors import DataError
from ..symbolic.network import Network
from .array_checks import one_hot_rows
from .files import ArchiveError, read_archive
from .formats.idx import idx_pair, is_idx, load_idx
from .formats.tables import load_csv, load_parquet

Array = NDArray[Any]
TABLES = {".csv": load_csv, ".tsv": load_csv, ".parquet": load_parquet}
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
    _check_name(path)
    try:
        return read_archive(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except ArchiveError as error:
        raise DataError(f"{path} is not an .npz file of plain arrays, or is damaged ({error})") from error


def load_file(path: str | Path, target: str | int | None = None) -> Dataset:
    """Inputs and targets from a file; what it is follows from its suffix, or from how it begins.

    - ``.npz`` with ``images`` and ``labels``, or ``X`` and ``y``;
    - ``.npy``, one of a pair with these names side by side, or their folder: arrays that are mapped into memory;
    - ``.csv``, ``.tsv``, ``.parquet`` with a column of targets, `target`: its name or number, by default the last. It
      may stand behind the path, as in ``iris.csv:species``;
    - IDX files as those of MNIST, ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, also with ``.gz``; one
      of the two is named, or their folder.

    Whole numbers from 0 to 255 (dtype uint8) are pixels and are scaled to 0…1.

    Raises
    ------
    DataError
        If the file is missing or damaged, or there is no such pair or column; the message says where.
    MissingExtraError
        If a Parquet file is to be read and pyarrow is not installed.
    """
    _check_name(path)
    file, column = _with_column(path, target)
    kind = file.suffix.lower()
    if kind in TABLES:
        return _dataset(path, *TABLES[kind](file, column), "the inputs", "the targets")
    if column is not None:
        raise DataError(f"{path} is no table, so it has no column {column!r}")
    if kind == ".npy" or file.is_dir():
        return _load_pair(file)
    if is_idx(file):
        images, labels = idx_pair(file)
        return _dataset(path, load_idx(images), load_idx(labels).astype(np.int64), images.name, labels.name)
    arrays = load_arrays(file)
    for inputs, targets in PAIRS:
        if inputs in arrays and targets in arrays:
            return _dataset(path, arrays[inputs], arrays[targets], inputs, targets)
    expected = ", or ".join(f"{inputs} and {targets}" for inputs, targets in PAIRS[:2])
    raise DataError(f"{path} holds {', '.join(arrays) or 'no arrays'}; expected {expected}")


def _check_name(path: Any) -> None:
    if not isinstance(path, str | os.PathLike) or "\0" in os.fsdecode(path):
        raise DataError(f"{path!r} is no name of a file; expected one, such as data.npz")


def _dataset(path: str | Path, x: Array, y: Array, inputs: str, targets: str) -> Dataset:
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise DataError(f"{path}: {inputs} has shape {x.shape} and {targets} {y.shape}; expected as many rows each")
    title = f"{len(x):,} rows of {' × '.join(map(str, x.shape[1:])) or '1'} ({Path(path).name})"
    return Dataset(title, x / 255.0 if x.dtype == np.uint8 else x, y)


def _with_column(path: str | Path, target: str | int | None) -> tuple[Path, str | int | None]:
    """The file and the column of a path that may name one behind it."""
    file, colon, column = str(path).rpartition(":")
    if not colon or Path(file).suffix.lower() not in TABLES or Path(path).exists():
        return Path(path), target
    return Path(file), column


def _load_pair(path: Path) -> Dataset:
    """The arrays of a folder, or of the folder that a ``.npy`` file lies in."""
    if not path.exists():
        raise DataError(f"there is no data file {path}")
    folder = path if path.is_dir() else path.parent
    for inputs, targets in PAIRS:
        first, second = folder / f"{inputs}.npy", folder / f"{targets}.npy"
        if first.is_file() and second.is_file() and (path.is_dir() or path.name in (first.name, second.name)):
            return _dataset(path, _mapped(first), _mapped(second), first.name, second.name)
    images = sorted(other for other in path.iterdir() if "images" in other.name) if path.is_dir() else []
    found = [other for other in images if is_idx(other)]
    if found:
        training = [other for other in found if other.name.startswith("train")]
        return load_file((training or found)[0])
    expected = ", or ".join(f"{inputs}.npy and {targets}.npy" for inputs, targets in PAIRS[:2])
    raise DataError(f"{folder} holds no pair of arrays; expected {expected}, or files of MNIST's format")


def _mapped(path: Path) -> Array:
    """The array of a ``.npy`` file, mapped into memory: read where it is, as it is needed."""
    try:
        if zipfile.is_zipfile(path):
            raise DataError(f"{path} is an archive of several arrays; rename it to end in .npz")
        with open(path, "rb") as file:
            # Versions after these are of arrays with named fields.
            header = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}.get(read_magic(file))
            shape, _, dtype = ((), False, np.dtype("V")) if header is None else header(file)
            there = os.fstat(file.fileno()).st_size - file.tell()
        # NumPy itself would end the process, or wrap around.
        if not dtype.itemsize:
            raise ValueError(f"its dtype is {dtype}, of no bytes")
        if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize > there:
            raise ValueError(f"its header says {shape} numbers of {dtype.itemsize} bytes, but {there} bytes follow")
        mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped
    except DataError:
        raise
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, TokenError, OverflowError) as error:
        raise DataError(f"{path} is not a .npy file of plain numbers, or is damaged ({error})") from error


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
        _check_name(path)
    if path is not None and zipfile.is_zipfile(path):
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
        x = x.reshape(len(x), math.prod(x.shape[1:]))
    if target.classes is None and target.rank == 2 and y.ndim == 1:
        width = target.shape[1]
        if dataset.classes is not None and width != 1:
            y = one_hot_rows(y, int(width) if width.is_number else dataset.classes, target.name)
        else:
            y = y.reshape(-1, 1)
    return x, y
