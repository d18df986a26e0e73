"""Files of data that are missing, damaged, or hold something else."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np

import gradloom as gl

from .case import LABELS, Case, Place, X

load = gl.datasets.load_file


def table(text: str | bytes, column: str = "", name: str = "data.csv") -> Case:
    return lambda place: load(f"{place.file(name, text)}{column}")


def idx(content: bytes, kind: str = "images-idx3", name: str = "train") -> Case:
    def run(place: Place) -> object:
        place.file("train-images-idx3-ubyte", images(2, 3))
        place.file("train-labels-idx1-ubyte", labels(2))
        return load(place.file(f"{name}-{kind}-ubyte", content))

    return run


def images(rows: int, size: int) -> bytes:
    return struct.pack(">HBBIII", 0, 8, 3, rows, size, size) + bytes(rows * size * size)


def labels(rows: int) -> bytes:
    return struct.pack(">HBBI", 0, 8, 1, rows) + bytes(rows)


def parquet(column: str = "", **columns: object) -> Case:
    def run(place: Place) -> object:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(columns), place.path / "data.parquet")
        return load(f"{place.path / 'data.parquet'}{column}")

    return run


def pair(x: object, y: object, name: str = "X.npy") -> Case:
    def run(place: Place) -> object:
        np.save(place.path / "X.npy", x)
        np.save(place.path / "y.npy", y)
        return load(place.path / name)

    return run


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-30])
    return path


def loose(place: Place) -> object:
    np.save(place.path / "other.npy", X)
    return load(place.path / "other.npy")


def renamed(place: Place) -> object:
    os.replace(place.arrays(X=X, y=LABELS), place.path / "X.npy")
    np.save(place.path / "y.npy", LABELS)
    return load(place.path / "X.npy")


def pickled(place: Place) -> object:
    return load(place.arrays(X=np.array([None, {}], dtype=object), y=LABELS[:2]))


CASES: dict[str, Case] = {
    "A table that is not there": lambda place: load(place.path / "data.csv"),
    "A folder with the name of a table": lambda place: (
        (place.path / "data.csv").mkdir(),
        load(place.path / "data.csv"),
    ),
    "A table that is no text": table(b"a,b\n\xff\xfe,1\n"),
    "A table without a row": table("a,b\n"),
    "A line with too few cells": table("a,b,c\n1,2,3\n4,5\n"),
    "A word among numbers": table("a,b,c\n1,2,3\n4,five,6\n"),
    "An empty cell": table("a,b,c\n1,2,3\n4,,6\n"),
    "A cell that is not finite": table("a,b,c\n1,2,3\n4,nan,6\n"),
    "An empty cell among classes": table("a,b,c\n1,2,cat\n4,5,\n"),
    "A column that is not there": table("a,b,c\n1,2,3\n", ":d"),
    "A column whose name two have": table("a,a,c\n1,2,3\n", ":a"),
    "A column of a file that is no table": lambda place: load(place.arrays(X=X, y=LABELS), target="y"),
    "A Parquet file that is not there": lambda place: load(place.path / "data.parquet"),
    "A Parquet file that is none": table("a,b\n1,2\n", name="data.parquet"),
    "A Parquet file of one column": parquet(a=[1.0, 2.0]),
    "A missing value in a Parquet file": parquet(a=[1.0, None], b=[0, 1]),
    "A column of a Parquet file that holds no numbers": parquet(a=["x", "y"], b=[0, 1]),
    "A number of a Parquet file that is not finite": parquet(a=[1.0, float("nan")], b=[0, 1]),
    "An archive that is not there": lambda place: load(place.path / "data.npz"),
    "An archive that is none": table("nothing", name="data.npz"),
    "An archive that is cut short": lambda place: load(truncated(place.arrays(X=X, y=LABELS))),
    "An archive of other names": lambda place: load(place.arrays(a=X, b=LABELS)),
    "An archive of pickled objects": pickled,
    "Arrays of different numbers of rows": lambda place: load(place.arrays(X=X, y=LABELS[:3])),
    "An .npy file that is not there": lambda place: load(place.path / "X.npy"),
    "An .npy file without its pair": loose,
    "An .npy file that is an archive": renamed,
    "An IDX file that is none": idx(b"nothing at all"),
    "An IDX file that is cut short": idx(images(2, 3)[:-4]),
    "An IDX file that ends in its header": idx(images(2, 3)[:7]),
    "An IDX file with bytes too many": idx(images(2, 3) + b"more"),
    "A zipped IDX file that is cut short": lambda place: load(
        place.file("train-images-idx3-ubyte.gz", gzip.compress(images(2, 3))[:-9])
    ),
    "An IDX file without its pair": lambda place: load(place.file("test-images-idx3-ubyte", images(2, 3))),
}
