"""Data files: tables, Parquet, IDX, .npy and .npz, altered ones and hostile ones, read as `gradloom train` does."""

from __future__ import annotations

import gzip
import io
import pickle
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.choices import Choices
from fuzzing.oracle import CANARY, PAYLOADS
from fuzzing.target import Target

DTYPES = ("<f8", ">f4", "<f2", "u1", "<i8", "<u8", "?", "<c16", "<U3", "S2", "O", "<M8[s]", "<m8[D]", "V4", "<f8,<i4")
CELLS = ("0", "1", "-2.5", "3e1", "nan", "inf", "1e400", "", " ", "setosa", '"', '"a\nb"', "0x1F", "1_000", "٣", "²",
         "+",
         "1e", "--1", "True", "9007199254740993", "9" * 400, *PAYLOADS)  # fmt: skip


class Pickled:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return sys.audit, ("canary",)


def array(choices: Choices) -> Any:
    """An array of few rows, of an odd type now and then."""
    shape = tuple(choices.pick((4, 2, 4, 4, 2, choices.below(6))) for _ in range(choices.pick((2, 1, 2, 1, 3, 0, 4))))
    made = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) % 3
    kind = choices.pick((*DTYPES, *["f4", "i4", "f8"] * 5))
    if kind == "O":
        return np.full(shape, Pickled(), dtype=object)
    try:
        return made.astype(kind)
    except (TypeError, ValueError):
        return np.zeros(shape, kind)


def npy(choices: Choices) -> bytes:
    """A .npy file; its header may say anything."""
    buffer = io.BytesIO()
    np.save(buffer, array(choices), allow_pickle=True)
    if not choices.one_in(5):
        return buffer.getvalue()
    shape = choices.pick(
        ("(3, 2)", "(10000000000, 10)", "(-1,)", "()", "(2**40,)", "(True, 2)", CANARY, "[3]", "(" * 300)
    )
    kind = choices.pick(("'<f8'", "'|O'", "'|V0'", "[('a', '<f8')]", CANARY, "'<f8' * 9999999", "None", "'>U99999999'"))
    text = f"{{'descr': {kind}, 'fortran_order': {choices.pick(('False', 'True', '0', CANARY))}, 'shape': {shape}}}\n"
    version = choices.pick((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode() + choices.take(64)


def npz(choices: Choices) -> bytes:
    """An archive; names may be paths, odd, or the same twice, and members no arrays."""
    buffer = io.BytesIO()
    names = ["X.npy", "y.npy", "images.npy", "labels.npy", "x.npy", "../up.npy", "/tmp/abs.npy", "X", "", "a\0b.npy"]
    packing = choices.pick((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for place in range(choices.below(5)):
            name = choices.pick((names[2 * choices.below(2) + place % 2], *names, choices.text() + ".npy"))
            member = choices.pick((npy, npy, lambda c: pickle.dumps(Pickled()), lambda c: c.take(40)))(choices)
            try:
                archive.writestr(name, member)
            except (UnicodeError, ValueError, IndexError):
                continue
    return buffer.getvalue()


def table(choices: Choices) -> bytes:
    """Cells between commas, semicolons or tabs."""
    delimiter = choices.pick((",", ";", "\t"))
    width = 1 + choices.below(5)
    cells = lambda: [choices.pick(CELLS) if choices.one_in(25) else str(choices.below(9)) for _ in range(width)]  # noqa: E731
    lines = [",".join(choices.text(5) for _ in range(width))] if choices.one_in(2) else []
    lines += [delimiter.join(cells()[: width - choices.one_in(30)]) for _ in range(choices.below(8))]
    text = choices.pick(("\n", "\n", "\r\n", "\r", "\n\n")).join(lines)
    return text.encode(choices.pick(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")


def parquet(choices: Choices) -> bytes:
    """Columns of every type that Parquet has, with and without gaps."""
    import pyarrow as pa
    import pyarrow.parquet

    kinds = (pa.float64(), pa.int64(), pa.uint64(), pa.bool_(), pa.float16(), pa.string(), pa.large_string(),
             pa.binary(),
             pa.decimal128(9, 2), pa.timestamp("s"), pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.null(),
             pa.dictionary(pa.int8(), pa.string()), pa.date32(), pa.float32(), pa.string_view())  # fmt: skip
    rows, columns, names = choices.below(5), [], []
    for _ in range(choices.below(5)):
        kind = choices.pick((kinds[0], kinds[1], *kinds))
        values: Any = [None if choices.one_in(12) else choices.below(4) for _ in range(rows)]
        try:
            made = pa.array(values, pa.int64()).cast(kind)
        except (pa.ArrowException, TypeError):
            made = pa.nulls(rows, kind)
        columns.append(made)
        names.append(choices.pick(("a", "b", "y", "", choices.text(6).encode("utf-8", "replace").decode())))
    buffer = io.BytesIO()
    try:
        pyarrow.parquet.write_table(pa.table(columns, names), buffer)
    except (pa.ArrowException, OSError):
        return b"PAR1"
    return buffer.getvalue()


def idx(choices: Choices) -> bytes:
    rank = choices.pick((3, 1, 1, 2, 0, 255))
    sizes = [choices.number() % 2**32 if choices.one_in(5) else choices.below(4) for _ in range(rank % 9)]
    kind = choices.pick((8, 8, 9, 11, 12, 13, 14, 10, 0))
    content = bytes([0, 0, kind, rank]) + struct.pack(f">{len(sizes)}I", *sizes)
    count = int(np.prod([min(size, 9) for size in sizes]))
    content += bytes(choices.below(4) for _ in range(min(count, 60)))
    return gzip.compress(content, mtime=0) if choices.one_in(4) else content


KINDS = {"t.csv": table, "t.tsv": table, "t.parquet": parquet, "a.npz": npz, "X.npy": npy, "images.npy": npy,
         "t-images-idx3-ubyte": idx, "t-labels-idx1-ubyte.gz": idx, "T.CSV": table, "file": npz}  # fmt: skip
BESIDE = {"X.npy": "y.npy", "images.npy": "labels.npy", "t-images-idx3-ubyte": "t-labels-idx1-ubyte",
          "t-labels-idx1-ubyte.gz": "t-images-idx3-ubyte"}  # fmt: skip


def prepare(folder: Path) -> Target:
    import pyarrow.parquet  # noqa: F401 - what is imported later would be watched

    import gradloom as gl
    from gradloom.runtime.datasets import data_for, load_file

    place = folder / "data"
    nets = [gl.Sequential([gl.layers.Dense(3)], input_shape=n, loss=gl.losses.SquaredError()) for n in (2, 1)]
    nets.append(gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.CrossEntropy(targets="labels")))
    models = [gl.Model(net, target="numpy") for net in nets]

    def call(choices: Choices) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        name = choices.pick(tuple(KINDS))
        plain = choices.below(4)  # raw bytes, a file that may be altered, or one that is not
        content = KINDS[name](choices) if plain else b""
        if name in BESIDE:
            (place / BESIDE[name]).write_bytes(KINDS[name](choices))
        column = choices.pick(("", "", ":y", ":0", ":-1", ":99", ":" + choices.text(6)))
        whole = choices.one_in(8)
        model = choices.pick(models)
        content = choices.rest() if not plain else choices.altered(content) if plain == 1 else content
        (place / name).write_bytes(content)
        path = str(place) if whole else str(place / name) + column
        if choices.one_in(2):
            load_file(path)
            return
        x, y = data_for(model.network, path)
        model.check(x, y)
        model.predict(x)

    return Target(call, limit=10.0, seeds=[bytes([n, 2, *range(9 * n % 256)]) for n in range(len(KINDS))])
