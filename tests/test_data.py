"""Data handed over: what is taken, and what is refused with which mend."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest

import gradloom as gl
from gradloom.runtime.array_checks import one_hot_rows
from gradloom.runtime.data import check_data, name_data
from gradloom.runtime.datasets import data_for, load_arrays, load_digits, load_file


@pytest.fixture(scope="module")
def regression():
    B, n = gl.dims("B n")
    i, k = gl.indices("i k")
    net = gl.Network("regression")
    x, y = net.input("x", (B, n)), net.target("y", (B,))
    w = net.parameter("w", (n,))
    a = net.define("a", i, gl.Sum(w[k] * x[i, k], k))
    net.minimize(gl.Sum((a[i] - y[i]) ** 2, i) / B)
    return net


@pytest.fixture(scope="module")
def classifier():
    loss = gl.losses.CrossEntropy(targets="labels")
    return gl.Sequential([gl.layers.Dense(4)], input_shape=3, loss=loss, name="classifier")


@pytest.fixture(scope="module")
def one_hot_classifier():
    return gl.Sequential([gl.layers.Dense(4)], input_shape=3, loss=gl.losses.CrossEntropy(), name="one_hot_classifier")


X = np.arange(15, dtype=np.float64).reshape(5, 3) / 7
LABELS = np.array([0, 3, 1, 2, 0])


def refused(network, x, y, *words, dtype="float64", sizes=None):
    """The message with which the data are refused; it must hold these words."""
    with pytest.raises(gl.DataError) as caught:
        check_data(network, {"x": x, "y": y}, dtype, {} if sizes is None else sizes)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    return str(caught.value)


def test_good_data_are_converted(classifier):
    data = check_data(classifier, {"x": X.astype(np.int32).T.copy().T, "y": LABELS.astype(np.uint8)}, "float32", {})
    x, y = data.arrays
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert y.dtype == np.int64
    assert data.rows == 5
    assert [tensor.name for tensor in data.tensors] == ["x", "y"]
    assert data.take(slice(3, 9)).rows == 2
    assert data.of_role("target").arrays[0] is y


def test_lists_are_taken(regression):
    sizes = {}
    data = check_data(regression, {"x": [[1, 2.5], [3, 4]], "y": [True, False]}, "float64", sizes)
    assert sizes == {"n": 2}
    np.testing.assert_array_equal(data.arrays[1], [1.0, 0.0])


def test_one_hot_target_takes_labels(one_hot_classifier):
    data = check_data(one_hot_classifier, {"x": X, "y": LABELS}, "float64", {})
    np.testing.assert_array_equal(data.arrays[1], np.eye(4)[LABELS])
    refused(one_hot_classifier, X, LABELS + 1, "y holds label 4", "expected 0…3", "subtract 1")


def test_nan_names_the_tensor_and_the_place(classifier):
    bad = X.copy()
    bad[2, 1] = np.nan
    refused(classifier, bad, LABELS, "x holds NaN at row 2, column 1", "1 bad of 15", "drop those rows")
    bad[1, 0] = np.inf
    refused(classifier, bad, LABELS, "x holds infinity at row 1, column 0", "2 bad")


def test_numbers_too_large_for_float32(classifier):
    refused(classifier, X * 1e39, LABELS, "x holds", "too large for float32", "float64", dtype="float32")


def test_wrong_width_names_both(classifier, regression):
    refused(classifier, X[:, :2], LABELS, "x has shape (5, 2)", "axis 1 is 2 wide", "expected 3", "(B, 3)")
    refused(regression, X, LABELS, "axis 1 is 3 wide", "expected 7 (n = 7)", sizes={"n": 7})


def test_wrong_number_of_axes_says_what_to_do(classifier, regression, one_hot_classifier):
    refused(classifier, np.ones((5, 3, 1)), LABELS, "expected 2 axes (B, 3)", "x.reshape(len(x), -1)")
    refused(classifier, X, np.eye(4)[LABELS], "expected 1 axes (B,)", "y.argmax(axis=1)")
    refused(regression, X, LABELS[:, None], "y[:, 0]")
    refused(one_hot_classifier, X, LABELS.astype(float), "expected 2 axes (B, 4)")
    refused(classifier, 1.0, LABELS, "x has shape ()")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (X.astype(complex), ("complex128", "real part")),
        (X.astype(str), ("x holds <U", "expected real numbers", "dtype=float")),
        (X.astype(object), ("object", "dtype=float")),
        ([[1, 2, 3], [4, 5]], ("rows have different lengths",)),
        (np.ma.masked_array(X, X > 1), ("masked array", "filled")),
        (np.zeros((5, 3), dtype="datetime64[s]"), ("datetime64",)),
    ],
)
def test_wrong_types(classifier, bad, words):
    refused(classifier, bad, LABELS, *words)


def test_labels_must_be_integers_in_range(classifier):
    refused(classifier, X, LABELS + 0.5, "y holds float64", "expected integer labels 0…3", "whole numbers")
    refused(classifier, X, LABELS.astype(float), "y.astype(int)")
    refused(classifier, X, np.array(["cat"] * 5), "y holds <U3", "expected integers")
    refused(classifier, X, np.array([0, 1, 2, -1, 0]), "y holds label -1 at row 3", "expected 0…3 for 4 classes")
    refused(classifier, X, LABELS + 1, "y holds label 4 at row 1", "subtract 1")


def test_zero_rows(classifier):
    refused(classifier, X[:0], LABELS[:0], "x has no rows", "at least one")


def test_different_numbers_of_rows(classifier):
    refused(classifier, X, LABELS[:4], "y has 4 rows and x has 5", "same number")


def test_names(regression):
    assert name_data(regression.inputs, {"x": X}, "input") == {"x": X}
    with pytest.raises(gl.DataError, match="there is no input 'z'"):
        name_data(regression.inputs, {"x": X, "z": X}, "input")
    with pytest.raises(gl.DataError, match=r"target y .* has no data"):
        name_data(regression.targets, None, "target")
    with pytest.raises(gl.DataError, match="this network has none"):
        name_data([], X, "target")
    with pytest.raises(gl.DataError, match=r"has 2: give \{name: array\}"):
        name_data(regression.inputs + regression.targets, X, "input")


def test_one_hot_rows():
    np.testing.assert_array_equal(gl.one_hot_rows([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(gl.DataError, match="one label per row"):
        one_hot_rows([[1]], 3)


# ---- files -----------------------------------------------------------------------------------------------------------


def test_digits_are_the_default(one_hot_classifier):
    digits = load_digits()
    assert digits.x.shape == (1797, 64)
    assert digits.x.min() == 0
    assert digits.x.max() == 1
    assert digits.classes == 10
    net = gl.Sequential([gl.layers.Dense(10, gl.sigmoid)], input_shape=64, loss=gl.losses.SquaredError())
    x, y = data_for(net)
    assert x.shape == (1797, 64)
    np.testing.assert_array_equal(y.argmax(axis=1), digits.y)


def test_digits_without_scikit_learn_names_the_extra(monkeypatch):
    real_import = builtins.__import__

    def no_sklearn(name, *rest, **more):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real_import(name, *rest, **more)

    for name in [name for name in sys.modules if name.startswith("sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", no_sklearn)
    with pytest.raises(gl.DataError, match=r"pip install 'gradloom\[demo\]'"):
        load_digits()


def test_image_file_is_scaled_and_flattened(tmp_path):
    path = tmp_path / "images.npz"
    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2) * 10
    np.savez(path, images=images, labels=np.array([0, 1, 2, 0, 1, 2]))
    assert load_file(path).classes == 3
    net = gl.Sequential([gl.layers.Dense(3, gl.sigmoid)], input_shape=4, loss=gl.losses.SquaredError())
    x, y = data_for(net, path)
    np.testing.assert_allclose(x, images.reshape(6, 4) / 255)
    np.testing.assert_array_equal(y, np.eye(3)[[0, 1, 2, 0, 1, 2]])


def test_plain_and_named_files(tmp_path, regression, classifier):
    path = tmp_path / "plain.npz"
    np.savez(path, X=X, y=X[:, 0])
    x, y = data_for(regression, path)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, X[:, 0])
    np.savez(path, x=X, y=LABELS, more=np.ones(3))
    x, y = data_for(classifier, path)
    assert list(x) == ["x"]
    np.testing.assert_array_equal(y["y"], LABELS)


def test_bad_files(tmp_path, classifier):
    with pytest.raises(gl.DataError, match="there is no data file"):
        load_file(tmp_path / "absent.npz")
    path = tmp_path / "bad.npz"
    path.write_text("hello")
    with pytest.raises(gl.DataError, match=r"not an \.npz file"):
        load_arrays(path)
    np.savez(path, a=X)
    with pytest.raises(gl.DataError, match="holds a; expected images and labels"):
        load_file(path)
    np.savez(path, X=X, y=LABELS[:2])
    with pytest.raises(gl.DataError, match="as many rows each"):
        load_file(path)
    np.savez(path, X=np.array([{}]), y=LABELS)
    with pytest.raises(gl.DataError, match="plain arrays"):
        load_file(path)
    np.savez(path, X=X, y=LABELS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(gl.DataError, match="damaged"):
        load_file(path)
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(gl.DataError, match=r"holds no pair of arrays; expected images\.npy and labels\.npy"):
        load_file(tmp_path / "one.npy")


# ---- declared sums ---------------------------------------------------------------------------------------------------


def test_rows_of_a_one_hot_target_must_sum_to_one(one_hot_classifier):
    y = np.eye(4)[[0, 1, 2, 3, 0]]
    for rows in (y, np.full((5, 4), 0.25, dtype=np.float32), np.full((5, 4), 0.25 + 1e-6)):
        check_data(one_hot_classifier, {"x": X, "y": rows}, "float32", {})
    y[2] = [3, 1, 0, 0]
    with pytest.raises(gl.DataError) as caught:
        gl.Model(one_hot_classifier, target="numpy").fit(X, y)
    for words in ("row 2 of y", "y[2, :].sum() is 4", "(1 of 5 sums are off)", "expected 1 (declared: one-hot)"):
        assert words in str(caught.value)
    assert 'CrossEntropy(targets="probabilities")' in str(caught.value)
    program = one_hot_classifier.compile(target="numpy")
    with pytest.raises(gl.DataError, match="row 2 of y"):
        program.loss_and_gradients(np.zeros(16, np.float32), X, y)
    anything = gl.Sequential(
        [gl.layers.Dense(4)], input_shape=3, loss=gl.losses.CrossEntropy(targets="probabilities"), name="anything"
    )
    check_data(anything, {"x": X, "y": y}, "float32", {})


def test_assumed_sums_are_checked():
    B, n = gl.dims("B n")
    i, k = gl.indices("i k")
    net = gl.Network("centred")
    x, w = net.input("x", (B, n)), net.parameter("w", (n,))
    net.assume(gl.Sum(x[i, k], k), 0)
    net.minimize(gl.Sum((w[k] * x[i, k]) ** 2, i, k) / B)
    centred = X - X.mean(axis=1, keepdims=True)
    check_data(net, {"x": centred}, "float32", {})
    centred[1, 0] += 0.5
    with pytest.raises(
        gl.DataError, match=r"row 1 of x .*: x\[1, :\].sum\(\) is 0.5 .*expected 0 \(declared\).*assume"
    ):
        check_data(net, {"x": centred}, "float32", {})
