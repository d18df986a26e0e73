"""Parameters in one buffer, and how they are filled at first."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradloom as gl
from gradloom.runtime.initializers import fans, initial_values

LAYOUT = {"W": (0, (7, 5)), "b": (35, (7,)), "c": (42, ())}


def test_views_share_one_aligned_buffer():
    params = gl.Parameters(LAYOUT, "float32")
    assert params.flat.shape == (43,)
    assert params.flat.ctypes.data % 64 == 0
    params["W"][2, 3] = 5
    assert params.flat[13] == 5
    params["c"] = 4.0
    assert params.flat[42] == 4
    assert params["c"].shape == ()
    assert params.count == 43
    assert list(params) == ["W", "b", "c"]
    other = params.copy()
    other["W"][:] = 0
    assert params.flat[13] == 5


def test_wrong_names_and_shapes():
    params = gl.Parameters(LAYOUT, "float32")
    with pytest.raises(KeyError, match="no parameter 'w'"):
        params["w"]
    with pytest.raises(gl.ShapeError, match=r"b has shape \(7,\), found an array of shape \(3,\)"):
        params["b"] = np.zeros(3)


def test_fans():
    assert fans((7, 5)) == (5, 7)
    assert fans((7, 5, 3, 2)) == (30, 42)
    assert fans(()) == (1, 1)


# The variance that each source gives for a weight with 300 inputs and 200 outputs; uniform in ±r has variance r²/3.
VARIANCES = [
    (gl.initializers.GlorotUniform(), 2 / 500),
    (gl.initializers.GlorotUniform(gain=3), 9 * 2 / 500),
    (gl.initializers.GlorotNormal(), 2 / 500),
    (gl.initializers.HeUniform(), 2 / 300),
    (gl.initializers.HeNormal(), 2 / 300),
    (gl.initializers.LeCunUniform(), 1 / 300),
    (gl.initializers.LeCunNormal(), 1 / 300),
    (gl.initializers.Normal(std=0.3), 0.09),
    (gl.initializers.Uniform(-0.6, 0.6), 0.12),
]


@pytest.mark.parametrize(("initializer", "variance"), VARIANCES, ids=[repr(row[0]) for row in VARIANCES])
def test_variance_and_bounds(initializer, variance):
    values = initializer(np.random.default_rng(3), (200, 300))
    # The variance of 60,000 samples is within 3 % but for one seed in thousands; the seed is fixed.
    assert values.var() == pytest.approx(variance, rel=0.03)
    assert abs(values.mean()) < 4 * math.sqrt(variance / values.size)
    if "Uniform" in repr(initializer):
        assert np.abs(values).max() <= math.sqrt(3 * variance) + 1e-12


def test_constants():
    rng = np.random.default_rng(0)
    assert (gl.initializers.Zeros()(rng, (3, 2)) == 0).all()
    assert (gl.initializers.Constant(0.5)(rng, (3,)) == 0.5).all()


def choose(choice, shape=(2, 3), seed=0):
    return initial_values("W", choice, np.random.default_rng(seed), shape)


def test_choices():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(choose(None), gl.initializers.GlorotUniform()(rng, (2, 3)))
    assert (choose(None, (3,)) == 0).all()
    assert (choose(0.25) == 0.25).all()
    np.testing.assert_array_equal(choose([[1, 2, 3], [4, 5, 6]]), [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(choose(gl.initializers.HeNormal), choose(gl.initializers.HeNormal()))
    np.testing.assert_array_equal(choose(lambda rng, shape: np.full(shape, 2)), np.full((2, 3), 2.0))


def test_bad_choices():
    with pytest.raises(gl.ShapeError, match=r"initial value of W has shape \(2,\), but W has shape \(2, 3\)"):
        choose([1, 2])
    with pytest.raises(gl.ShapeError, match="expected an initialiser"):
        choose("glorot")
    with pytest.raises(gl.ShapeError, match="NaN or infinite"):
        choose(float("nan"))
