"""Rows of the batch that a block takes through several phases by itself, on a simulated device."""

from __future__ import annotations

import numpy as np
import pytest
from everyday import daily
from lockstep import Race
from simulated import assert_as_reference, device_module, drawn, start, trained

import gradloom as gl
from gradloom.codegen.generate import generate

L = gl.layers
pytestmark = pytest.mark.usefixtures("one_warp")
WAIT = "        cuda.syncthreads()\n"


def perceptron():
    layers = [L.Dense(7, gl.sigmoid), L.Dense(5, gl.tanh), L.Dense(3)]
    return gl.Sequential(layers, (11,), loss=gl.losses.CrossEntropy("labels"))


def recurrent():
    return gl.Sequential([L.LSTM(5, return_sequences=False), L.Dense(3)], (3, 2), loss=gl.losses.SquaredError())


def image():
    layers = [L.Conv2D(2, 3, activation=gl.tanh), L.AveragePool2D(2), L.Flatten(), L.Dense(3)]
    return gl.Sequential(layers, (1, 9, 7), loss=gl.losses.SquaredError())


NETWORKS = {"perceptron": perceptron, "recurrent": recurrent, "image": image}


def body(source, name="loss_and_gradients"):
    return source[source.index(f"def {name}(") :].split("\n@")[0]


@pytest.mark.parametrize(
    ("rows", "name"), daily([(rows, name) for rows in (1, 33) for name in NETWORKS], (1, "image"), (33, "perceptron"))
)
def test_loss_and_gradients(name, rows):
    """One row; and more than a group of them, so that the last one is shorter."""
    net = NETWORKS[name]()
    assert "first_of_rows = group" in body(generate(net, target="cuda", dtype="float64").source)
    assert_as_reference(net, rows=rows)


def test_no_block_waits_for_others_between_the_phases():
    found = body(generate(perceptron(), target="cuda").source)
    assert found.count("grid_barrier(gate)") == 1  # before the gradients of the weights
    assert found.index(WAIT) < found.index("grid_barrier(gate)")
    forward = body(generate(recurrent(), target="cuda").source, "forward")
    steps = forward[forward.index("in range(3):") :].splitlines()[1:]
    depth = forward[: forward.index("for u in range(3):")].splitlines()[-1]
    inside = "\n".join(line for line in steps if not line or line.startswith(depth + " "))
    assert "cuda.syncthreads()" in inside
    assert "grid_barrier" not in inside


def test_the_same_bits_on_any_grid():
    net, rule = perceptron(), gl.optimizers.Adam(lr=0.01, clip_norm=0.5)
    source = generate(net, target="cuda", optimizer=rule).source
    found = [
        trained(device_module(source, "float32", races=False, **options), net, rule, np.float32, rows=50, batch=33)
        for options in ({"blocks": 1}, {"blocks": 3, "order": "reverse"}, {"blocks": 7, "order": 5})
    ]
    for params, state, losses, _ in found[1:]:
        np.testing.assert_array_equal(params, found[0][0])
        np.testing.assert_array_equal(state, found[0][1])
        assert losses == found[0][2]


@pytest.mark.parametrize("which", range(3))
def test_a_wait_that_is_missing_is_found(which):
    net = perceptron()
    source = generate(net, target="cuda").source
    own = body(source)
    parts = own.split(WAIT)
    assert len(parts) > 4
    broken = WAIT.join(parts[: which + 1]) + WAIT.join(parts[which + 1 :])
    assert broken.count(WAIT) == own.count(WAIT) - 1
    module = device_module(source.replace(own, broken), "float32")
    x, labels = drawn(net, 9)
    with pytest.raises(Race):
        module.loss_and_gradients(start(module, np.float32), x, labels, module.workspace(9), None)


def test_what_reads_other_rows_is_not_in_them():
    """The statistics of a batch, and products of all pairs of rows."""
    norm = gl.Sequential([L.Dense(5), L.BatchNorm(), L.Dense(3)], (7,), loss=gl.losses.SquaredError())
    assert_as_reference(norm, rows=9)
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network("pairs")
    x, w = net.input("x", (B, 5)), net.parameter("w", (5,))
    z = net.define("z", (i, k), gl.tanh(x[i, k] * w[k]))
    s = net.define("s", (i, j), gl.tanh(gl.Sum(z[i, k] * z[j, k], k)), shape=(B, B))
    net.minimize(gl.Sum(s[i, j] ** 2, i, j) / B)
    assert_as_reference(net, rows=9)


def test_larger_networks_are_done_by_all_blocks():
    """A block would take longer for its rows than all take to wait for each other."""
    layers = [L.Dense(512, gl.relu), L.Dense(512, gl.relu), L.Dense(10)]
    step = body(generate(gl.Sequential(layers, (784,), loss=gl.losses.SquaredError()), target="cuda").source)
    for group in step.split("    while group <")[1:]:
        assert "int32(512)" not in group.split("\n    grid_barrier")[0]
