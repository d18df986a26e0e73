"""The gradient check: it passes right gradients, and it catches wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.runtime import gradcheck as subject
from gradloom.runtime.program import Program


def network(**options):
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("checked")
    x, y = net.input("x", (B, n)), net.target("y", (B,), classes=m)
    W, b = net.parameter("W", (m, n)), net.parameter("b", (m,))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * gl.tanh(x[i, k]), k) + b[j])
    net.minimize(gl.losses.CrossEntropy(targets="labels").term(net, z, y))
    return net


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_right_gradients_pass(target):
    result = gl.gradcheck(network(), target=target)
    assert result.ok
    assert [row.name for row in result.rows] == ["W", "b"]
    for row in result.rows:
        assert row.checked == np.prod(row.shape)
        assert row.absolute < 1e-8


def test_table():
    lines = str(gl.gradcheck(network(), target="numpy")).splitlines()
    assert lines[0].split("  ")[0] == "tensor"
    assert len(lines) == 3
    assert lines[1].split()[0] == "W"
    assert lines[1].endswith("yes")


@pytest.mark.parametrize("error", [1.001, -1.0, 0.0])
def test_wrong_gradients_fail(monkeypatch, error):
    right = Program.run_gradients

    def wrong(self, flat, data):
        loss, gradients = right(self, flat, data)
        return loss, {**gradients, "W": error * gradients["W"]}

    monkeypatch.setattr(Program, "run_gradients", wrong)
    result = gl.gradcheck(network(), target="numpy")
    assert not result.ok
    assert [row.ok for row in result.rows] == [False, True]
    assert "NO" in str(result)


def test_one_wrong_entry_fails(monkeypatch):
    right = Program.run_gradients

    def wrong(self, flat, data):
        loss, gradients = right(self, flat, data)
        gradients["b"][1] += 1e-4
        return loss, gradients

    monkeypatch.setattr(Program, "run_gradients", wrong)
    assert not gl.gradcheck(network(), target="numpy").ok


def test_large_tensors_are_sampled_with_the_seed(monkeypatch):
    net = gl.Sequential([gl.layers.Dense(13, gl.sigmoid)], input_shape=17, loss=gl.losses.SquaredError())
    result = gl.gradcheck(net, target="numpy", entries=20)
    assert [row.checked for row in result.rows] == [20, 13]
    assert result == gl.gradcheck(net, target="numpy", entries=20)
    assert result != gl.gradcheck(net, target="numpy", entries=20, seed=1)


def test_inputs_of_a_network_without_parameters():
    net = gl.Network("neuron")
    names = ("w0", "x0", "w1", "x1", "w2")
    w0, x0, w1, x1, w2 = (net.input(name) for name in names)
    net.minimize(gl.sigmoid(w0 * x0 + w1 * x1 + w2))
    point = {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3}
    for options in ({}, {"data": point}):
        result = gl.gradcheck(net, target="numpy", **options)
        assert result.ok
        assert [row.name for row in result.rows] == list(names)
    assert result.loss == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_inputs_with_a_batch_axis():
    B = gl.dims("B")
    i, j = gl.indices("i j")
    net = gl.Network("norm")
    x = net.input("x", (B, 4))
    net.minimize(gl.Sum(gl.tanh(x[i, j]) ** 2, i, j) / B)
    result = gl.gradcheck(net, target="numpy", batch=3)
    assert result.ok
    assert result.rows[0].shape == (3, 4)


def test_given_data_and_parameters_are_untouched():
    rng = np.random.default_rng(1)
    data = {"x": rng.normal(size=(6, 4)), "y": rng.integers(0, 3, 6)}
    params = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=3)}
    before = {name: array.copy() for name, array in {**data, **params}.items()}
    for array in (*data.values(), *params.values()):
        array.flags.writeable = False
    result = gl.gradcheck(network(), data=data, params=params, sizes={"m": 3}, target="numpy")
    assert result.ok
    assert [row.shape for row in result.rows] == [(3, 4), (3,)]
    for name, array in {**data, **params}.items():
        np.testing.assert_array_equal(array, before[name])


def test_random_data_are_of_each_tensors_kind():
    rng = np.random.default_rng(0)
    net = gl.Sequential([gl.layers.Dense(4)], input_shape=3, loss=gl.losses.CrossEntropy())
    rows = subject.random_data(net, net.targets[0], {"B": 9}, rng)
    assert rows.shape == (9, 4)
    np.testing.assert_array_equal(rows.sum(axis=1), 1)
    labels = subject.random_data(network(), network().targets[0], {"B": 9, "m": 3}, rng)
    assert set(labels) <= {0, 1, 2}


def test_sizes_are_different_primes():
    assert subject.prime_sizes(network()) == {"m": 3, "n": 5}


def test_loss_that_is_not_finite():
    net = gl.Network("infinite")
    x = net.input("x")
    net.minimize(1 / x)
    with pytest.raises(gl.DataError, match="the loss at the point of the check is inf"):
        gl.gradcheck(net, data={"x": 0.0}, target="numpy")
