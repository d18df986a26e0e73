"""IDX files, the format of MNIST: a header that says type and shape, then the numbers; also compressed by gzip.

Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.errors import DataError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}  # numbers are big-endian
GZIP = b"\x1f\x8b"
IMAGES, LABELS = "images-idx3", "labels-idx1"  # in the names of MNIST's files


def is_idx(path: Path) -> bool:
    """Whether a file begins as an IDX file does, compressed or not."""
    try:
        with open(path, "rb") as file:
            head = file.read(4)
        if head[:2] == GZIP:
            with gzip.open(path, "rb") as packed:
                head = packed.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES and head[3] > 0


def load_idx(path: str | Path) -> NDArray[Any]:
    """The array of an IDX file, of the machine's byte order.

    Raises
    ------
    DataError
        If the file is missing, no IDX file, truncated, or longer than its header says.
    """
    try:
        content = Path(path).read_bytes()
        if content[:2] == GZIP:
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read, or is truncated ({error}); get it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES or not content[3]:
        raise DataError(f"{path} is not an IDX file: it begins with the bytes {content[:4].hex(' ') or '(none)'}")
    dtype, rank = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise DataError(f"{path} is truncated: it ends within its header; get it again")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", rank, 4))
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - start
    if found != expected:
        shown = " × ".join(map(str, shape))
        raise DataError(
            f"{path} is {'truncated' if found < expected else 'damaged'}: its header says {shown} numbers of "
            f"{dtype.itemsize} bytes, {expected} in all, but {found} bytes follow; get it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def idx_pair(path: Path) -> tuple[Path, Path]:
    """The files of images and of labels, of which `path` is one.

    Raises
    ------
    DataError
        If its name is not one of such a pair, or the other is missing.
    """
    name = path.name
    for own, other in ((IMAGES, LABELS), (LABELS, IMAGES)):
        for mine, theirs in ((own, other), (own.replace("-", "."), other.replace("-", "."))):
            if mine in name:
                beside = path.with_name(name.replace(mine, theirs))
                options = [beside, beside.with_suffix("") if beside.suffix == ".gz" else Path(f"{beside}.gz")]
                found = next((option for option in options if option.is_file()), None)
                if found is None:
                    raise DataError(f"{path} has no {beside.name} beside it; images and labels are two files")
                return (path, found) if own == IMAGES else (found, path)
    raise DataError(f"{path}: the names of IDX files hold {IMAGES} and {LABELS}, as train-{IMAGES}-ubyte; rename them")
