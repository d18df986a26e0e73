"""Loops whose steps are lanes of vectors, against the same in NumPy; `where`, against a branch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import compiled as compiled_module
from kernels import plain, run
from numba import njit

import gradloom as gl
from gradloom.codegen.carried.choices import where
from gradloom.codegen.carried.lanes import LANES32, LANES64, in_lanes
from gradloom.codegen.generate import generate
from gradloom.symbolic import layers as L

compiled = njit(error_model="numpy", fastmath={"contract", "nsz"})
FEW = settings(max_examples=40, deadline=None)


@compiled
def window_32(x, y, count):
    for start in range(0, count, LANES32):
        q = in_lanes(start, count)
        largest = max(max(x[2, 3 * q], x[2, 3 * q + 1]), x[2, 3 * q + 2])
        place = where(x[2, 3 * q + 1] > x[2, 3 * q], np.int32(1), np.int32(0))
        y[1, 2 * q] = where((place == 1) & (largest > np.float32(0)), -largest, x[2, 3 * q] - np.float32(2))
        y[1, 2 * q + 1] = x[2, 3 * q] * largest / np.float32(4) + x[2, 3 * q + 2]


@compiled
def window_64(x, y, count):
    for start in range(0, count, LANES64):
        q = in_lanes(start, count)
        largest = max(max(x[2, 3 * q], x[2, 3 * q + 1]), x[2, 3 * q + 2])
        place = where(x[2, 3 * q + 1] > x[2, 3 * q], np.int64(1), np.int64(0))
        y[1, 2 * q] = where((place == 1) & (largest > 0.0), -largest, x[2, 3 * q] - 2.0)
        y[1, 2 * q + 1] = x[2, 3 * q] * largest / 4.0 + x[2, 3 * q + 2]


@pytest.mark.parametrize(("kernel", "dtype"), [(window_32, np.float32), (window_64, np.float64)])
@FEW
@given(count=st.integers(1, 70), beyond=st.integers(0, 5), seed=st.integers(0, 999))
def test_rows_are_what_single_numbers_are(kernel, dtype, count, beyond, seed):
    """At every size; what stands before and behind is as it was."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-2.5, -1.0, 0.0, 0.5, 3.0, np.nan, np.inf], (3, 3 * count + beyond)).astype(dtype)
    y = rng.standard_normal((3, 2 * count + beyond)).astype(dtype)
    expected = y.copy()
    a, b, c = (x[2, place : 3 * count : 3] for place in range(3))
    with np.errstate(invalid="ignore"):
        largest = np.where(b > a, b, a)
        largest = np.where(c > largest, c, largest)
        expected[1, 0 : 2 * count : 2] = np.where((b > a) & (largest > 0), -largest, a - 2)
        expected[1, 1 : 2 * count : 2] = a * largest / 4 + c
    kernel(x, y, count)
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(y[[0, 2]], expected[[0, 2]])
    np.testing.assert_array_equal(y[1, 2 * count :], expected[1, 2 * count :])


def network_of(layers, shape):
    return gl.Sequential([*layers, L.Flatten(), L.Dense(3)], input_shape=shape, loss=gl.losses.SquaredError())


@pytest.mark.parametrize(
    ("layers", "shape", "dtype"),
    [
        ([L.Conv2D(2, 3, activation=gl.relu), L.MaxPool2D(2)], (3, 9, 41), "float64"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ([L.Conv2D(2, 3, padding=1, activation=gl.relu), L.MaxPool2D(2)], (1, 10, 14), "float32"),
                ([L.Conv2D(2, 3, padding=2), L.MaxPool2D(3, stride=2)], (1, 11, 13), "float32"),
                ([L.Conv2D(3, 2), L.AveragePool2D(2)], (2, 11, 15), "float64"),
                ([L.Conv1D(2, 3, padding=1, activation=gl.relu), L.MaxPool1D(3)], (2, 57), "float32"),
            ]
        ),
    ],
)
def test_pooling_in_lanes_is_pooling(layers, shape, dtype, tmp_path):
    """The compiled kernels and those of NumPy, with many equal numbers, which windows must route alike."""
    network = network_of(layers, shape)
    rng = np.random.default_rng(7)
    values = {tensor.name: rng.integers(-2, 3, tensor.shape) / 4 for tensor in network.parameters}
    values |= {
        network.inputs[0].name: rng.integers(-1, 2, (5, *shape)),
        network.targets[0].name: rng.integers(-3, 4, (5, 3)),
    }
    source = generate(network, target="cpu", dtype=dtype).source
    assert "in_lanes(start" in source
    _, loss, gradients = run(compiled_module(source, tmp_path, f"lanes_{dtype}"), network, values, dtype)
    _, expected_loss, expected = run(plain(generate(network, target="numpy").source), network, values)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=2e-4, atol=2e-5, err_msg=name)


def test_not_a_number_is_routed_as_by_single_steps(tmp_path):
    """Windows with NaN in them: no NaN is lost, and all is as where Python runs the same source."""
    network = network_of([L.MaxPool2D(2)], (1, 10, 14))
    rng = np.random.default_rng(5)
    x = rng.choice([-1.0, 0.0, 2.0, np.nan], (5, 1, 5, 7, 4))
    x[..., 3] = rng.choice([-1.0, 2.0], x.shape[:-1])  # a number in every window
    x = x.reshape(5, 1, 5, 7, 2, 2).swapaxes(3, 4).reshape(5, 1, 10, 14)
    values = {tensor.name: rng.standard_normal(tensor.shape) for tensor in network.parameters}
    values |= {network.inputs[0].name: x, network.targets[0].name: rng.integers(-3, 4, (5, 3))}
    source = generate(network, target="cpu", dtype="float64", wrt=(network.inputs[0].name,)).source
    _, loss, gradients = run(compiled_module(source, tmp_path, "lanes_nan"), network, values)
    _, expected_loss, expected = run(plain(source), network, values)
    assert np.isnan(loss)
    assert np.isnan(expected_loss)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], err_msg=name)
        assert np.isnan(gradient).any()


@pytest.mark.slow
def test_without_masks_the_same_loop_goes_step_by_step(tmp_path):
    """On a processor without AVX-512: what vectors give."""
    layers = [L.Conv2D(2, 3, padding=1, activation=gl.relu), L.MaxPool2D(2)]
    network = network_of(layers, (1, 10, 14))
    rng = np.random.default_rng(11)
    values = {tensor.name: rng.standard_normal(tensor.shape) for tensor in network.parameters}
    values |= {network.inputs[0].name: rng.standard_normal((5, 1, 10, 14)), network.targets[0].name: np.ones((5, 3))}
    source = generate(network, target="cpu").source
    asked = 'bool(get_host_cpu_features().get("avx512f"))'
    assert asked in source
    _, loss, gradients = run(compiled_module(source, tmp_path, "lanes_any"), network, values, "float32")
    alone = run(compiled_module(source.replace(asked, "False"), tmp_path, "lanes_none"), network, values, "float32")
    assert loss == pytest.approx(alone[1], rel=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, alone[2][name], rtol=1e-5, atol=1e-6, err_msg=name)
