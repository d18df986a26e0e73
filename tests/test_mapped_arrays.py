"""Training on arrays in files: the same bits as in memory, and little memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

import gradloom as gl
from gradloom.runtime import mapped_arrays
from gradloom.runtime.mapped_arrays import MappedArray

RNG = np.random.default_rng(7)


@pytest.fixture
def small_is_large(monkeypatch):
    """Arrays of any size are left in their files, and read and checked few rows at a time."""
    monkeypatch.setattr(mapped_arrays, "LARGE", 0)
    monkeypatch.setattr(mapped_arrays, "CHECKED", 700)


def mapped(tmp_path, array, name="x"):
    np.save(tmp_path / f"{name}.npy", array)
    return np.load(tmp_path / f"{name}.npy", mmap_mode="r")


def fitted(monkeypatch, X, Y, **options):
    """History and parameters after three epochs of many blocks."""
    monkeypatch.setattr("gradloom.runtime.training.rows_per_block", lambda *_: 20)
    net = gl.Sequential([gl.layers.Dense(7, gl.tanh), gl.layers.Dense(3)], 5, loss=gl.losses.SquaredError())
    model = gl.Model(net, target="numpy", seed=3)
    history = model.fit(X, Y, epochs=3, batch=10, progress=False, **options)
    return list(history), model.params.flat.copy(), model


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"validation": 0.3}])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", ">f4"])
def test_the_same_bits_as_in_memory(tmp_path, monkeypatch, small_is_large, dtype, options):
    X = (10 * RNG.normal(size=(113, 5))).astype(dtype)
    Y = RNG.normal(size=(113, 3))
    taken = []
    take = MappedArray.__getitem__
    monkeypatch.setattr(MappedArray, "__getitem__", lambda self, rows: taken.append(rows) or take(self, rows))
    expected, params, _ = fitted(monkeypatch, X, Y, **options)
    assert not taken
    found, others, model = fitted(monkeypatch, mapped(tmp_path, X), Y, **options)
    assert sum(not isinstance(rows, slice) for rows in taken) >= 12  # of every epoch all blocks
    assert np.array_equal(params, others)
    assert found == expected
    file = mapped(tmp_path, X)
    assert np.array_equal(model.predict(file), model.predict(X))
    assert model.evaluate(file, Y) == model.evaluate(X, Y)
    assert model.loss_and_gradients(file, Y)[0] == model.loss_and_gradients(X, Y)[0]


def test_rows_in_any_order_and_of_a_part(tmp_path, small_is_large):
    X = RNG.normal(size=(53, 2, 3))
    array = MappedArray(mapped(tmp_path, X), np.dtype("float64"))
    rows = RNG.integers(0, 53, 200)
    assert np.array_equal(array[rows], X[rows])
    assert np.array_equal(array[3:17], X[3:17])
    part = array.part(np.arange(1, 53, 3))
    assert part.shape == (18, 2, 3)
    assert np.array_equal(part.part(np.array([5, 2]))[np.array([1, 0, 1])], X[[7, 16, 7]])
    assert np.array_equal(part[2:5], X[1::3][2:5])
    assert np.array_equal(np.asarray(part), X[1::3])
    assert array[rows].flags.writeable


def test_bad_numbers_are_found_before_training(tmp_path, monkeypatch, small_is_large):
    X = RNG.normal(size=(113, 5))
    X[101, 3] = np.nan
    with pytest.raises(gl.DataError, match=r"x\[85:102\] holds NaN at row 16, column 3"):
        fitted(monkeypatch, mapped(tmp_path, X), RNG.normal(size=(113, 3)))
    with pytest.raises(gl.DataError, match=r"x has shape \(113, 4\)"):
        fitted(monkeypatch, mapped(tmp_path, X[:, :4]), RNG.normal(size=(113, 3)))


def test_an_error_in_the_thread_that_reads(tmp_path, monkeypatch, small_is_large):
    """It comes out of `fit`, and the thread ends."""

    def broken(self, rows):
        raise OSError("the disk is gone")

    file = mapped(tmp_path, RNG.normal(size=(113, 5)))
    monkeypatch.setattr(MappedArray, "__getitem__", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        fitted(monkeypatch, file, RNG.normal(size=(113, 3)))


LIMITED = """
    import resource, sys
    import numpy as np
    import gradloom as gl

    from gradloom.runtime import mapped_arrays

    mapped_arrays.LARGE = 2**26
    x = np.lib.format.open_memmap(sys.argv[1], "w+", np.float32, (300_000, 128))  # 154 MB, of zeros
    x[::1000, 0] = 1
    x = np.load(sys.argv[1], mmap_mode="r")
    net = gl.Sequential([gl.layers.Dense(61, gl.tanh), gl.layers.Dense(1)], 128, loss=gl.losses.SquaredError())
    model = gl.Model(net, target="numpy")
    used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 10**8, used + 10**8))  # 100 MB more
    print(model.fit(x, np.asarray(x[:, :1]), epochs=1, batch=1000, progress=False, validation=0.5)["val_loss"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is one of Linux")
def test_less_memory_than_the_array(tmp_path):
    """Under a limit on memory of its own that the array does not fit in; twice, so that the test can fail."""
    text = textwrap.dedent(LIMITED)
    for program, works in ((text, True), (text.replace('mmap_mode="r"', "mmap_mode=None"), False)):
        path = tmp_path / "x.npy"
        code = program if works else program.replace("model.fit(x,", "model.fit(x.copy(),")
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == works, done.stderr
        assert works or "MemoryError" in done.stderr


def laid_out(path, X):
    """The same numbers in files, as they may lie there: by column, with gaps, at an odd byte, in records."""
    order = np.memmap(path / "columns", X.dtype, "w+", shape=X.shape, order="F")
    order[:] = X
    gaps = np.memmap(path / "gaps", X.dtype, "w+", shape=(len(X), 2 * X.shape[1]))
    gaps[:, ::2] = X
    odd = np.memmap(path / "odd", X.dtype, "w+", 3, X.shape)
    odd[:] = X
    records = np.memmap(path / "records", [("x", X.dtype, X.shape[1:]), ("y", "i2")], "w+", shape=len(X))
    records["x"] = X
    return {"columns": order, "gaps": gaps[:, ::2], "odd": odd, "records": records["x"]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["columns", "gaps", "odd", "records"])
def test_rows_are_taken_without_a_copy_of_the_whole(tmp_path, monkeypatch, name, dtype):
    monkeypatch.setattr(mapped_arrays, "CHECKED", 10_000)
    X = RNG.normal(size=(50_021, 3)).astype("float32")
    array = MappedArray(laid_out(tmp_path, X)[name], np.dtype(dtype))
    rows = RNG.integers(0, len(X), 211)
    tracemalloc.start()
    found = array[rows]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(found, X[rows])
    assert peak < X.nbytes / 10
