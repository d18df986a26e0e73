"""Noise: the numbers that are drawn, what they depend on and what not, in both targets."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl

B = gl.dims("B")
i, j = gl.indices("i j")
both_targets = pytest.mark.parametrize("target", ["cpu", "numpy"])
DTYPES = ("float32", "float64")


def drawing():
    net = gl.Network("drawing")
    x, w = net.input("x", (B, 7)), net.parameter("w")
    u, v = net.noise("u", (B, 7)), net.noise("v", (7,))
    net.minimize(gl.Sum(w * x[i, j] * u[i, j] * v[j], i, j), inference=w)
    return net


MASK = 2**64 - 1


def mixed(z):
    """SplitMix64's finaliser in Python's integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def uniform(seed, step, number, place, bits):
    golden = 0x9E3779B97F4A7C15
    stream = mixed((mixed((mixed((seed + golden) & MASK) + step) & MASK) + number) & MASK)
    return (mixed((stream + (place + 1) * golden) & MASK) >> (64 - bits)) / 2**bits


@pytest.mark.parametrize("dtype", DTYPES)
@both_targets
def test_noise_is_a_function_of_seed_step_tensor_and_position(target, dtype):
    program = drawing().compile(target=target, dtype=dtype)
    bits = {"float32": 24, "float64": 53}[dtype]
    assert int(program.module.mixed(np.uint64(0x9E3779B97F4A7C15))) == 0xE220A8397B1DCDAF  # SplitMix64's first, seed 0
    for program.seed, program.step in ((0, 1), (2**63 - 1, 123_456_789)):
        u, v = program.noise(11)
        assert (u.dtype, u.shape, v.shape) == (np.dtype(dtype), (11, 7), (7,))
        for number, array in enumerate((u, v)):
            wanted = [uniform(program.seed, program.step, number, place, bits) for place in range(array.size)]
            np.testing.assert_array_equal(array.ravel(), np.array(wanted, dtype))


def test_a_smaller_batch_draws_the_same_first_rows():
    program = drawing().compile(target="numpy")
    np.testing.assert_array_equal(program.noise(3)[0], program.noise(11)[0][:3])


def test_noise_is_uniform_and_independent():
    program = drawing().compile(target="numpy", dtype="float64")
    draws = []
    for program.step in range(1, 101):
        u, v = program.noise(1000)
        draws.append(u.ravel())
        assert not np.isin(v, u).any()
    u = np.array(draws)  # 100 steps of 7000
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, 128, (0, 1))[0]
    chi = ((counts - u.size / 128) ** 2 / (u.size / 128)).sum()
    assert abs(chi - 127) < 5 * np.sqrt(2 * 127)
    one = 5 / np.sqrt(u.size)  # five standard errors of a correlation
    z = (u - 0.5) * np.sqrt(12)
    for power, moment, spread in ((1, 0, 1), (2, 1, 0.9), (3, 0, 27 / 7), (4, 9 / 5, 9 - 81 / 25)):
        assert abs((z**power).mean() - moment) < one * np.sqrt(spread)
    for pair in ((z[:, 1:], z[:, :-1]), (z[1:], z[:-1]), (z[:, 7:], z[:, :-7]), (z[:, ::2], z[:, 1::2])):
        assert abs((pair[0] * pair[1]).mean()) < one * 1.5
    program.step, program.seed = 1, 1
    other = (program.noise(1000)[0].ravel() - 0.5) * np.sqrt(12)
    assert abs((other * z[0]).mean()) < 5 / np.sqrt(other.size)


def test_normal_numbers_from_uniform_ones():
    net = gl.Network()
    a, b = net.input("a", (B,)), net.input("b", (B,))
    z = net.define("z", i, gl.normal(a[i], b[i]))
    net.minimize(gl.Sum(z[i], i))
    a, b = np.random.default_rng(1).uniform(size=(2, 200_000))
    a[0] = 0
    z = net.compile(target="numpy", dtype="float64", wrt=["a"]).predict({}, a, b)
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 5 * np.sqrt(spread / z.size)


@pytest.mark.parametrize("dtype", DTYPES)
@both_targets
def test_each_step_of_a_fit_draws_its_own_noise(target, dtype):
    """The loss is the noise itself, so that the history shows what was drawn; the last batch is smaller."""
    net = gl.Network("drawn")
    x, u, w = net.input("x", (B, 3)), net.noise("u", (B, 3)), net.parameter("w", init=1)
    net.minimize(gl.Sum(u[i, j] * w + 0 * x[i, j], i, j) / (3 * B), inference=w)
    model = gl.Model(net, target=target, dtype=dtype)
    history = model.fit(np.ones((11, 3)), epochs=2, batch=4, optimizer=gl.optimizers.SGD(lr=1e-30))
    steps = {1: (1, 2, 3), 2: (4, 5, 6)}
    for epoch, loss in zip((1, 2), history["loss"], strict=True):
        total = 0.0
        for step, rows in zip(steps[epoch], (4, 4, 3), strict=True):
            total += sum(uniform(model._trainer.seed, step, 0, place, 53) for place in range(3 * rows)) / 3
        assert loss == pytest.approx(total / 11, rel=1e-6)
