"""Maxima in loops, which LLVM makes of vectors: NaN is not lost, wherever it stands, nor is the largest one."""

from __future__ import annotations

import kernels
import numba
import numpy as np
import pytest

import gradloom as gl
from gradloom.codegen.carried.sums import larger
from gradloom.codegen.generate import generate

compiled = numba.njit(error_model="numpy", fastmath={"contract", "arcp", "nsz"})


@compiled
def largest(rows, found):
    for i in range(rows.shape[0]):
        most = rows[i, 0]
        for j in range(rows.shape[1]):
            most = larger(most, rows[i, j])
        found[i] = most


@pytest.fixture(scope="module", autouse=True, params=["float32", "float64"])
def real(request):
    return request.param


@pytest.mark.parametrize("length", [1, 2, 7, 17, 61, 131])
def test_the_largest_of_a_row(real, length):
    rng = np.random.default_rng(length)
    rows = rng.integers(-5, 5, (length + 4, length)).astype(real)  # with ties
    rows[:length] += rng.standard_normal((length, length)).astype(real)
    rows[-1] = -np.inf
    rows[-2, length // 2] = np.inf
    found = np.empty(len(rows), real)
    largest(rows, found)
    np.testing.assert_array_equal(found, rows.max(1))


@pytest.mark.parametrize("length", [1, 2, 7, 17, 61, 131])
def test_no_number_is_larger_than_nan(real, length):
    rows = np.random.default_rng(length).standard_normal((length + 1, length)).astype(real)
    rows[np.arange(length), np.arange(length)] = np.nan  # at every place once
    found = np.empty(len(rows), real)
    largest(rows, found)
    assert np.isnan(found[:length]).all()
    assert found[-1] == rows[-1].max()


def test_a_network_of_maxima(real, tmp_path):
    b, k, q = gl.indices("b k q")
    B = gl.dims("B")
    net = gl.Network("maxima")
    x, W = net.input("x", (B, 19)), net.parameter("W", (23, 19))
    z = net.define("z", (b, q), W[q, 3] + gl.Max(x[b, k] * W[q, k], k))
    p = net.define("p", (b, q), gl.softmax(z[b, q], q))
    net.minimize(gl.Sum(p[b, q] ** 2, b, q) / B)
    source = generate(net, dtype=real).source
    assert "larger(" in source
    rng = np.random.default_rng(2)
    values = {"x": rng.standard_normal((5, 19)), "W": rng.standard_normal((23, 19))}
    module = kernels.compiled(source, tmp_path, f"maxima_{real}")
    output, loss, gradients = kernels.run(module, net, values, real)
    known = kernels.expected(net, values)
    close = 1e-5 if real == "float32" else 1e-12
    assert loss == pytest.approx(known["L"], rel=close)
    np.testing.assert_allclose(gradients["W"], known[net.derive().gradients["W"].target.name], rtol=0, atol=close)
    values["x"][3, 11] = np.nan
    broken, _, _ = kernels.run(module, net, values, real)
    assert np.isnan(broken[3]).all()
    np.testing.assert_array_equal(np.delete(broken, 3, 0), np.delete(output, 3, 0))
