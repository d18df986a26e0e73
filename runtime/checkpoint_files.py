"""Where the checkpoints of a training are kept: a directory that belongs to one process at a time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..symbolic.errors import DataError, SavedFileError
from .data import Data
from .device_arrays import DeviceArray

PATTERN = "checkpoint-*.npz"
SAMPLED = 64  # rows of the data whose bytes tell them from other data


class Checkpoints:
    """Write checkpoints of a training to a directory, for `Model.fit`.

    One is written when the last is `seconds` old, at the end, and after Ctrl-C; a file is whole or absent, and the
    earlier one stays until then.

    Parameters
    ----------
    folder : a directory, which is created; it belongs to one training at a time.
    seconds : from one checkpoint to the next, at least. Training stops for as long as it takes to write one.
    keep : how many are kept, the newest.

    Raises
    ------
    DataError
        If `seconds` or `keep` is not such a number.
    """

    def __init__(self, folder: str | os.PathLike[str], seconds: float = 30.0, keep: int = 2) -> None:
        if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
            raise DataError(f"checkpoints is {folder!r}; expected a directory, or gl.Checkpoints(directory, …)")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
            raise DataError(f"seconds between checkpoints is {seconds!r}; expected a number of at least 0")
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise DataError(f"keep of checkpoints is {keep!r}; expected a whole number of at least 1")
        self.folder, self.seconds, self.keep = Path(folder), float(seconds), keep

    def files(self) -> list[Path]:
        """The checkpoints that are there, the oldest first."""
        return sorted(self.folder.glob(PATTERN))


def as_checkpoints(given: Any) -> Checkpoints | None:
    """`Checkpoints` from what `fit` is given: one, a directory, or None."""
    return given if given is None or isinstance(given, Checkpoints) else Checkpoints(given)


def digest_of(data: Data) -> str:
    """Tells data from others, by their shapes and the bytes of some rows; of those on a device by the shapes alone."""
    digest = hashlib.sha256()
    for tensor, array in zip(data.tensors, data.arrays, strict=True):
        digest.update(f"{tensor.name} {array.shape} ".encode())
        if not isinstance(array, DeviceArray):
            sampled = array
            if array.ndim and len(array) > SAMPLED:
                sampled = array[np.linspace(0, len(array) - 1, SAMPLED).astype(np.int64)]
            digest.update(np.ascontiguousarray(sampled).tobytes())
    return digest.hexdigest()


def lock(folder: Path) -> int | None:
    """The open lock of a directory, created if it is missing; None where the system has no such locks.

    It ends with the process, however that ends.

    Raises
    ------
    SavedFileError
        If the directory cannot be written to, or another process has its lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SavedFileError(
            f"cannot write checkpoints to {folder}: {error.strerror or error}; name a directory that can be written to"
        ) from error
    try:
        import fcntl
    except ImportError:  # Windows
        os.close(lock)
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SavedFileError(
            f"another training is writing checkpoints to {folder}; wait for its end, or name another directory"
        ) from None
    return lock
