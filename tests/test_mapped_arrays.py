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
from gradloom.runtime.mapped_arrays import MappedArray, Pixels
from gradloom.runtime.metrics import is_one_hot

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


@pytest.mark.parametrize("options", [{}, {"validation": 0.3}, {"metrics": ["mean_absolute_error"]}])
def test_targets_in_files_too(tmp_path, monkeypatch, small_is_large, options):
    """Of other types than the kernels'; the data to validate on, too."""
    X, Y = RNG.normal(size=(113, 5)), RNG.normal(size=(113, 3)).astype("float32")
    expected, params, model = fitted(monkeypatch, X, Y, **options)
    x, y = mapped(tmp_path, X), mapped(tmp_path, Y, "y")
    data = model.check(x, y)
    assert [type(array) for array in data.arrays] == [MappedArray, MappedArray]
    found, others, _ = fitted(monkeypatch, x, y, **options)
    assert np.array_equal(params, others)
    assert found == expected
    assert model.evaluate(x, y) == model.evaluate(X, Y)
    expected, params, _ = fitted(monkeypatch, X, Y, validation=(X[:31], Y[:31]))
    found, others, _ = fitted(monkeypatch, x, y, validation=(x[:31], y[:31]))
    assert np.array_equal(params, others)
    assert found == expected


def test_classes_in_files_are_found_part_by_part(tmp_path, small_is_large, monkeypatch):
    monkeypatch.setattr("gradloom.runtime.metrics.CHECKED", 30)
    labels = RNG.integers(0, 3, 113)
    rows = np.eye(3)[labels]
    array = MappedArray(mapped(tmp_path, rows), np.dtype("float64"))
    assert is_one_hot(array)
    rows[112] = [0.5, 0.5, 0]
    assert not is_one_hot(MappedArray(mapped(tmp_path, rows, "other"), np.dtype("float64")))


@pytest.mark.parametrize("options", [{}, {"shuffle": False, "validation": 0.3}])
def test_pixels_in_a_file_are_scaled_as_they_are_read(tmp_path, monkeypatch, small_is_large, options):
    images = RNG.integers(0, 256, (113, 1, 5), dtype=np.uint8)
    np.save(tmp_path / "X.npy", images)
    np.save(tmp_path / "y.npy", RNG.normal(size=(113, 3)))
    dataset = gl.datasets.load_file(tmp_path)
    assert isinstance(dataset.x, Pixels)
    assert np.array_equal(np.asarray(dataset.x), images / 255.0)
    assert np.array_equal(dataset.x[3:7], images[3:7] / 255.0)
    x, plain = dataset.x.reshape(len(dataset.x), -1), images.reshape(113, 5) / 255.0
    whole = []
    monkeypatch.setattr(Pixels, "__array__", lambda self, *_, **__: whole.append(self) or self.array / 255.0)
    expected, params, _ = fitted(monkeypatch, plain, dataset.y, **options)
    found, others, model = fitted(monkeypatch, x, dataset.y, **options)
    assert not whole
    assert np.array_equal(params, others)
    assert found == expected
    assert np.array_equal(model.predict(x), model.predict(plain))
    assert model.evaluate(x, dataset.y) == model.evaluate(plain, dataset.y)


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


PIXELS = """
    import resource, sys
    import numpy as np
    import gradloom as gl

    from gradloom.runtime import mapped_arrays

    mapped_arrays.LARGE = 2**24
    np.lib.format.open_memmap(sys.argv[1] + "/X.npy", "w+", np.uint8, (300_000, 127))[::1000, 0] = 1  # 38 MB
    np.lib.format.open_memmap(sys.argv[1] + "/y.npy", "w+", np.float64, (300_000, 61))[::100, 0] = 1  # 146 MB
    data = gl.datasets.load_file(sys.argv[1])
    net = gl.Sequential([gl.layers.Dense(61, gl.tanh)], 127, loss=gl.losses.SquaredError())
    model = gl.Model(net, target="numpy")
    used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 10**8, used + 10**8))  # 100 MB more
    print(model.fit(data.x, data.y, epochs=1, batch=1000, progress=False, validation=0.5)["val_loss"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is one of Linux")
@pytest.mark.parametrize(
    ("change", "works"),
    [
        (("", ""), True),
        (("fit(data.x", "fit(np.asarray(data.x)"), False),
        ((" data.y,", " np.array(data.y),"), False),
    ],
)
def test_pixels_and_targets_in_less_memory_than_they_take(tmp_path, change, works):
    code = textwrap.dedent(PIXELS).replace(*change)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == works, done.stderr
    assert works or "MemoryError" in done.stderr


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
