"""Files that are whole or absent: atomic writing, and reading of ``.npz`` archives without pickle."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class ArchiveError(Exception):
    """A file is not an archive of plain arrays, or is damaged; says what is wrong, in a few words."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either there as a whole or not at all, whatever happens meanwhile."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # that it has a new name must last, too; not every system can be asked for it
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_unfinished(folder: Path, pattern: str) -> None:
    """Remove what is left of files that a killed process was about to write; no other process may be writing."""
    for left in folder.glob(f".{pattern}.*"):
        with contextlib.suppress(OSError):
            left.unlink()


def write_archive(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays to an ``.npz`` file, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_archive(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All arrays of an ``.npz`` file, by name; nothing pickled is read, and checksums are checked.

    Raises
    ------
    FileNotFoundError
    ArchiveError
        If the file is something else, truncated or corrupt, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise ArchiveError("it does not begin as an .npz file does")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
        strange = [name for name, array in found.items() if not isinstance(array, np.ndarray)]
        if strange:
            raise ArchiveError(f"{strange[0]!r} in it is no array")
        return found
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ArchiveError(error.strerror or str(error)) from error
    except (ValueError, KeyError, EOFError, TypeError, MemoryError, RuntimeError) as error:
        raise ArchiveError(_first_line(error)) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError, TokenError) as error:
        raise ArchiveError(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
