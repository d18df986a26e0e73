"""Data sets in files: what is read is what was written, by other libraries where there is one; mistakes are named."""

from __future__ import annotations

import gzip
import struct
import zipfile

import numpy as np
import pytest
from small_models import MODEL, run

import gradloom as gl
from gradloom.runtime.datasets import data_for, load_arrays, load_file
from gradloom.runtime.formats.idx import TYPES, load_idx
from gradloom.symbolic.errors import DataError, MissingExtraError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(13, 3))
CLASSES = RNG.integers(0, 3, 13)


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def table(rows, header="", delimiter=","):
    return header + "\n".join(delimiter.join(map(str, row)) for row in rows) + "\n"


# ---- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delimiter", "suffix"), [(",", "csv"), (";", "csv"), ("\t", "tsv")])
def test_csv_with_and_without_a_header(tmp_path, delimiter, suffix):
    rows = [[*map(repr, map(float, x)), c] for x, c in zip(X, CLASSES, strict=True)]
    plain = load_file(written(tmp_path / f"a.{suffix}", table(rows, delimiter=delimiter)))
    header = delimiter.join(["width", '"the height"', "depth", "kind"]) + "\r\n"
    named = load_file(written(tmp_path / f"b.{suffix}", "\ufeff" + table(rows, header, delimiter)))
    for found in (plain, named):
        assert np.array_equal(found.x, X)
        assert np.array_equal(found.y, CLASSES)
        assert found.classes == 3


def test_csv_columns_by_name_and_number(tmp_path):
    path = written(tmp_path / "a.csv", "a,b,c\n1,2.5,5\n4,-1e-3,6\n")
    assert load_file(path, "b").y.tolist() == [2.5, -1e-3]
    assert load_file(path, "b").x.tolist() == [[1, 5], [4, 6]]
    assert load_file(f"{path}:a").y.tolist() == [1, 4]
    assert load_file(f"{path}:0").x.tolist() == [[2.5, 5], [-1e-3, 6]]
    assert load_file(path, -1).y.dtype == np.int64
    with pytest.raises(DataError, match=r"has no column 'd'; its columns are a, b, c"):
        load_file(f"{path}:d")
    with pytest.raises(DataError, match="numbers, from 0 to 1"):
        load_file(written(tmp_path / "b.csv", "1,2\n3,4\n"), 2)


def test_csv_of_words_is_labels(tmp_path):
    words = ["setosa", "virginica", "setosa", "iris, odd"]
    rows = [[number, f'"{word}"'] for number, word in enumerate(words)]
    found = load_file(written(tmp_path / "a.csv", table(rows)))
    assert found.y.tolist() == [1, 2, 1, 0]
    assert found.x.tolist() == [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: it has 1 cells, the first line has 2"),
        ("a,b\n1,2\n\n3,4,5\n", "line 4: it has 3 cells"),
        ("a,b,c\n1,x,2\n", "line 2, column b: found 'x', expected a number"),
        ("1,2,3\n1,,2\n", "line 2, column 1: found an empty cell"),
        ("a,b\n1,2\n3,nan\n", "line 3, column b: found nan, expected a finite number"),
        ("a,b\n-inf,2\n", "line 2, column a: found -inf"),
        ("a,b\n1,2\n3,four\n", "line 3, column b: found 'four'"),
        ("", "0 lines of 0 cells"),
        ("a,b\n", "1 lines of 2 cells"),
        ("1\n2\n", "2 lines of 1 cells"),
    ],
)
def test_csv_that_is_wrong(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        load_file(written(tmp_path / "a.csv", text))


def test_csv_that_is_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x80,\n")
    with pytest.raises(DataError, match="in UTF-8"):
        load_file(tmp_path / "a.csv")
    with pytest.raises(DataError, match="there is no data file"):
        load_file(tmp_path / "b.csv")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path, words = tmp_path / "a.parquet", np.array(["b", "c", "a"])[CLASSES]
    columns = {"u": X[:, 0], "v": CLASSES.astype("int16"), "w": X[:, 1].astype("float32"), "kind": words.tolist()}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=5)
    found = load_file(path)
    assert found.y.tolist() == np.unique(words, return_inverse=True)[1].tolist()
    assert np.array_equal(found.x, np.stack([X[:, 0], CLASSES, X[:, 1].astype("float32")], axis=1))
    with pytest.raises(DataError, match="column kind: it holds words, expected numbers"):
        load_file(f"{path}:v")
    parquet.write_table(pyarrow.table({"u": [1.5, None], "y": [1, 2]}), path)
    with pytest.raises(DataError, match="row 1, column u: there is no value"):
        load_file(path)
    parquet.write_table(pyarrow.table({"u": [1.5, 2.5], "y": [1.0, float("inf")]}), path)
    with pytest.raises(DataError, match="row 1, column y: found inf"):
        load_file(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="not a Parquet file, or is damaged"):
        load_file(path)
    with pytest.raises(DataError, match="there is no data file"):
        load_file(tmp_path / "b.parquet")


def test_parquet_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "gradloom\[parquet\]"'):
        load_file(tmp_path / "a.parquet")


# ---- IDX -------------------------------------------------------------------------------------------------------------


def idx(array, code):
    """The bytes of an IDX file, by its description alone."""
    letter = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}[code]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + struct.pack(f">{array.size}{letter}", *array.ravel().tolist())


@pytest.mark.parametrize("code", TYPES)
def test_idx_of_every_type(tmp_path, code):
    array = RNG.integers(0, 100, (5, 2, 3))
    for path, content in ((tmp_path / "a", idx(array, code)), (tmp_path / "a.gz", gzip.compress(idx(array, code)))):
        path.write_bytes(content)
        found = load_idx(path)
        assert np.array_equal(found, array)
        assert found.dtype.isnative


@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_s_files(tmp_path, end):
    images, labels = RNG.integers(0, 256, (7, 4, 5)), RNG.integers(0, 10, 7)
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        content = idx(array, 0x08)
        (tmp_path / f"{name}{end}").write_bytes(gzip.compress(content) if end else content)
        (tmp_path / f"{name.replace('train', 't10k')}{end}").write_bytes(content[:3])
    for path in (tmp_path, tmp_path / f"train-images-idx3-ubyte{end}", tmp_path / f"train-labels-idx1-ubyte{end}"):
        found = load_file(path)
        assert np.array_equal(found.x, images / 255)
        assert np.array_equal(found.y, labels)
        assert found.classes == labels.max() + 1
    net = gl.Sequential([gl.layers.Dense(10)], 20, loss=gl.losses.CrossEntropy())
    x, y = data_for(net, tmp_path)
    assert x.shape == (7, 20)
    assert np.array_equal(y, np.eye(10)[labels])


def test_idx_that_is_wrong(tmp_path):
    content, path = idx(np.arange(30).reshape(5, 6), 0x0C), tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content[:-7])
    with pytest.raises(DataError, match=r"truncated: its header says 5 × 6 numbers of 4 bytes, 120 in all, but 113"):
        load_idx(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(DataError, match="is damaged: its header says"):
        load_idx(path)
    path.write_bytes(content[:9])
    with pytest.raises(DataError, match="ends within its header"):
        load_idx(path)
    path.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(DataError, match="truncated"):
        load_idx(path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="begins with the bytes 68 65 6c 6c"):
        load_idx(path)
    path.write_bytes(b"\0\0\x0e\x03" + b"\xff" * 12)  # more numbers than there is memory
    with pytest.raises(DataError, match="0 bytes follow"):
        load_idx(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match="has no train-labels-idx1-ubyte beside it"):
        load_file(path)


# ---- arrays ----------------------------------------------------------------------------------------------------------


def test_arrays_side_by_side(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", CLASSES)
    for path in (tmp_path, tmp_path / "X.npy", str(tmp_path / "y.npy")):
        found = load_file(path)
        assert isinstance(found.x, np.memmap)
        assert np.array_equal(found.x, X)
        assert np.array_equal(found.y, CLASSES)
    np.save(tmp_path / "y.npy", CLASSES[:-1])
    with pytest.raises(DataError, match=r"X\.npy has shape \(13, 3\) and y\.npy \(12,\); expected as many rows"):
        load_file(tmp_path)
    (tmp_path / "X.npy").write_bytes((tmp_path / "X.npy").read_bytes()[:-5])
    with pytest.raises(DataError, match=r"X\.npy is not a \.npy file of plain numbers, or is damaged"):
        load_file(tmp_path)
    (tmp_path / "X.npy").unlink()
    with pytest.raises(DataError, match="there is no data file"):
        load_file(tmp_path / "X.npy")
    with pytest.raises(DataError, match="holds no pair of arrays"):
        load_file(tmp_path)


def test_command_line_trains_on_a_table(tmp_path, capsys):
    model = written(tmp_path / "model.py", MODEL)
    rows = [[*x, *np.tanh(x[:1])] for x in X]
    path = written(tmp_path / "a.csv", table(rows, "a,b,c,d\n"))
    text = MODEL.replace("gl.layers.Dense(2)", "gl.layers.Dense(1)")
    written(model, text)
    status, out, _ = run(capsys, "train", model, "--data", f"{path}:d", "--epochs", 2)
    assert status == 0
    assert "loss" in out
    status, _, err = run(capsys, "train", model, "--data", f"{path}:e")
    assert status == 2
    assert "has no column 'e'" in err


# ---- what would silently be other numbers ----------------------------------------------------------------------------


def test_csv_with_commas_in_its_numbers_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 1, column 0: found '1,5', expected a number"):
        load_file(written(tmp_path / "a.csv", "1,5;2\n2,5;3\n"))
    assert load_file(written(tmp_path / "b.csv", "\r\n1;2;3\r\n4;5;6\r\n")).x.tolist() == [[1, 2], [4, 5]]


def test_csv_with_a_label_left_out(tmp_path):
    with pytest.raises(DataError, match="line 3, column kind: found an empty cell"):
        load_file(written(tmp_path / "a.csv", "a,kind\n1,cat\n2, \n3,dog\n"))


def test_whole_numbers_that_int64_does_not_hold(tmp_path):
    found = load_file(written(tmp_path / "a.csv", "1,99999999999999999999\n2,3\n")).y
    assert found.tolist() == [1e20, 3]
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": [1.0, 2.0], "y": pyarrow.array([2**63 + 2**20, 1], pyarrow.uint64())})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    assert load_file(tmp_path / "a.parquet").y.tolist() == [2**63 + 2**20, 1]


def test_columns_that_have_one_name_or_a_number_for_one(tmp_path):
    path = written(tmp_path / "a.csv", "a,a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="has 2 columns 'a'; give the number of one"):
        load_file(f"{path}:a")
    assert load_file(f"{path}:1").y.tolist() == [2, 5]
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"2": [1, 2], "1": [3, 4], "0": [5, 6]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    assert load_file(f"{tmp_path / 'a.parquet'}:2").y.tolist() == [1, 2]  # the one of that name, not the last


def raw(header):
    """A .npy file of version 1 with such a header, and no numbers."""
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        raw(b"{'descr': '<f8', 'fortran_order': False, 'shape': " + b"(" * 300 + b"}"),  # a TokenError of NumPy's
        raw(b"{'descr': '<U0', 'fortran_order': False, 'shape': (3,)}"),  # mapping it ended the process
        raw(b"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 2)}"),
        raw(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -2)}"),
        b"\x93NUMPY\3\0",
    ],
)
def test_headers_of_arrays_that_lie(tmp_path, content):
    for name in ("X.npy", "y.npy"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is not a \.npy file of plain numbers, or is damaged"):
        load_file(tmp_path / "X.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("X.npy", "y.npy"):
            archive.writestr(name, content[:-1])
    with pytest.raises(DataError, match=r"is not an \.npz file of plain arrays, or is damaged"):
        load_file(tmp_path / "a.npz")


def test_members_of_an_archive_that_are_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", b"a text")
        archive.writestr("y", b"another")
    with pytest.raises(DataError, match="'X' in it is no array"):
        load_file(tmp_path / "a.npz")


def test_rows_of_no_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((0, 3, 2)), y=np.zeros(0))
    net = gl.Sequential([gl.layers.Dense(1)], input_shape=6, loss=gl.losses.SquaredError())
    assert data_for(net, tmp_path / "a.npz")[0].shape == (0, 6)


@pytest.mark.parametrize("name", ["a\0b.csv", "a\0b", "a\0b.npy", "a\0.npz", None, 3])
def test_what_names_no_file(name):
    for read in (load_file, load_arrays):
        with pytest.raises(DataError, match="is no name of a file; expected one"):
            read(name)


def test_a_header_is_what_one_says(tmp_path):
    """By default the first line is one where it has no number; of years, or of words alone, one has to be told."""
    path = tmp_path / "a.csv"
    path.write_text("1999,2000,2001\n1.5,2,0\n2.5,3,1\n")
    assert load_file(path).x.tolist() == [[1999, 2000], [1.5, 2], [2.5, 3]]
    years = load_file(f"{path}:1999", header=True)
    assert (years.x.tolist(), years.y.tolist()) == ([[2, 0], [3, 1]], [1.5, 2.5])
    path.write_text("u,2000,y\n1.5,2,0\n2.5,3,1\n")
    with pytest.raises(DataError, match="line 1: found 'u' above a number; if the line is a header, say so: header=T"):
        load_file(path)
    assert load_file(path, header=True).y.tolist() == [0, 1]
    path.write_text("1.5,oak\n2.5,ash\n3.5,elm\n")  # a word in the column of the targets is no header
    assert load_file(path).y.tolist() == [2, 0, 1]
    path.write_text("nan,oak\n2,ash\n")
    with pytest.raises(DataError, match="line 1, column 0: found nan"):
        load_file(path, header=False)


def test_categories_of_a_parquet_file(tmp_path):
    """As pandas writes them: codes of its own, which need not be in the order of the words."""
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    words = pyarrow.DictionaryArray.from_arrays([2, 0, 1, 2, 0], ["oak", "elm", "ash"])
    numbers = pyarrow.DictionaryArray.from_arrays([1, 0, 1, 1, 0], [2.5, 7.5])
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"u": numbers, "y": words}), path)
    found = load_file(path)
    assert found.x[:, 0].tolist() == [7.5, 2.5, 7.5, 7.5, 2.5]
    assert found.y.tolist() == [0, 2, 1, 0, 2]  # of ash, elm, oak
    with pytest.raises(DataError, match="column y: it holds words, expected numbers; give each word a column of 0 and"):
        load_file(f"{path}:u")
