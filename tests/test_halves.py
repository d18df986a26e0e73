"""Gradients that are summed up by halves of the batch: the same sums, and the same bits by any number of threads."""

from __future__ import annotations

import kernels
import numpy as np
import pytest
from test_teams import NETWORKS

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime.threads import set_threads

L = gl.layers


def source_of(network, **options):
    return generate(network, optimizer=gl.optimizers.SGD(lr=0.1), **options).source


@pytest.mark.parametrize("name", kernels.CASES)
def test_gradients_of_every_kind_of_equation(name):
    network, source, values = kernels.made(name, "cpu", schedule={"sums": "halves"})
    _, loss, found = kernels.run(kernels.plain(source), network, values)
    wanted = kernels.expected(network, values)
    assert loss == pytest.approx(float(wanted[network.loss.name]), rel=1e-12)
    for parameter in network.parameters:
        expected = np.asarray(wanted[f"d_{parameter.name}"], float)
        np.testing.assert_allclose(found[parameter.name], expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    # Weights in two places, and with penalties, have gradients that are sums of sums.
    assert ("of_half(" in source) == (name in ("classifier", "one_hot", "many_axes"))


@pytest.fixture
def threads():
    yield set_threads
    set_threads(None)


@pytest.mark.slow  # test_team_orders looks for races every day, in plain Python
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_bits_by_any_number_of_threads_of_any_number_of_rows(name, threads):
    """A batch of 13 rows, then one of 4; and batches of one row, of which one half has none."""
    layers, shape = NETWORKS[name]
    network = gl.Sequential(layers, shape, loss=gl.losses.SquaredError())
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((17, *shape)), rng.standard_normal((17, 5))

    def trained(count, sums):
        threads(count)
        model = gl.Model(network, seed=2, dtype="float64", schedule={"sums": sums, "epoch": "calls"})
        for batch in (13, 1):
            model.fit(x, y, epochs=1, batch=batch, optimizer=gl.optimizers.SGD(lr=0.01), progress=False)
        return model.params.flat

    alone = trained(1, "halves")
    for count in (2, 3, 4, 7):
        np.testing.assert_array_equal(trained(count, "halves"), alone)
    np.testing.assert_allclose(alone, trained(1, "whole"), rtol=0, atol=1e-12)


def test_the_model_takes_halves_where_much_comes_from_other_cores():
    squared = gl.losses.SquaredError()
    # Of x (64, 32, 16) and h (64, 32, 64) the sums of the recurrence read 260,000 numbers, for 4,096 of a weight.
    recurrent = gl.Sequential([L.RNN(64), L.Dense(3)], (32, 16), loss=squared)
    assert "d_U1_halves" in source_of(recurrent, batch=64)
    assert "of_half(" not in source_of(recurrent, batch=2)
    # The weight is as large as what is summed over; data come from no core.
    assert "of_half(" not in source_of(gl.Sequential([L.Dense(256), L.Dense(256)], (784,), loss=squared), batch=128)
    assert "of_half(" not in source_of(gl.Sequential([L.Dense(3)], (5_000,), loss=squared), batch=128)


def pairs_of_rows():
    """A loss over pairs of rows, as contrastive ones are: its gradient is a sum over two indices of the batch."""
    B = gl.Dim("B")
    b, c, k = gl.indices("b c k")
    net = gl.Network("pairs")
    x, w, v = net.input("x", (B, 3)), net.parameter("w", (3,)), net.parameter("v", (3,))
    s = net.define("s", (b, c), gl.tanh(gl.Sum(w[k] * (x[b, k] - x[c, k]) ** 2, k)), shape=(B, B))
    h = net.define("h", (b,), gl.tanh(gl.Sum(v[k] * x[b, k], k)))
    net.minimize((gl.Sum(s[b, c], b, c) + gl.Sum(h[b] * h[c] * s[b, c], b, c)) / B**2)
    return net


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_sum_over_pairs_of_rows_has_all_pairs(rows):
    net, rng = pairs_of_rows(), np.random.default_rng(6)
    values = {"x": rng.standard_normal((rows, 3)), "w": rng.standard_normal(3), "v": rng.standard_normal(3)}
    wanted = kernels.expected(net, values)
    for schedule in ({"sums": "halves"}, {"sums": "halves", "products": {"*": "loops"}}):
        source = generate(net, dtype="float64", schedule=schedule).source
        _, _, found = kernels.run(kernels.plain(source), net, values)
        for name in ("w", "v"):
            np.testing.assert_allclose(found[name], wanted[f"d_{name}"], rtol=1e-11, atol=1e-14)


def test_what_another_gradient_is_made_of_is_summed_up_whole():
    """The gradient of w = g v / |v| goes on to those of g and v, and is handed out, too."""
    B = gl.Dim("B")
    b, j, k = gl.indices("b j k")
    net = gl.Network("weights")
    x, v, g = net.input("x", (B, 8)), net.parameter("v", (8,)), net.parameter("g")
    w = net.define("w", (k,), g * v[k] / gl.Sum(v[j] ** 2, j))
    net.minimize(gl.Sum(gl.tanh(gl.Sum(w[k] * x[b, k], k)), b) / B)
    source = generate(net, dtype="float64", wrt=("v", "w"), schedule={"sums": "halves"}).source
    assert "d_w_halves" not in source
    rng = np.random.default_rng(4)
    values = {"x": rng.standard_normal((7, 8)), "v": rng.standard_normal(8), "g": 0.7}
    _, _, found = kernels.run(kernels.plain(source), net, values)
    wanted = kernels.expected(net, values, ("v", "w"))
    for name in ("v", "w"):
        np.testing.assert_allclose(found[name], wanted[f"d_{name}"], rtol=1e-12)
