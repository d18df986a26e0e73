"""Recurrences on a simulated device: their values, and how often all blocks wait for each other in a step of time."""

from __future__ import annotations

import re

import numpy as np
import pytest
from everyday import daily
from lockstep import Race
from simulated import assert_as_reference, device_module, drawn, start, trained

import gradloom as gl
from gradloom.codegen.cuda import steps, write
from gradloom.codegen.generate import generate

L = gl.layers
WAIT = "grid_barrier(gate)"


@pytest.fixture
def large(monkeypatch):
    """Networks as if they were large: no block takes rows by itself, as is quicker where all is small."""
    monkeypatch.setattr(write, "in_rows", lambda phases, sizes: list(phases))


def layers(*made, units=3):
    return lambda steps: gl.Sequential(list(made), (steps, units), loss=gl.losses.SquaredError())


def own_cell(steps):
    """A cell with a state of its own kind, declared as equations: what it keeps decays by what is learned."""
    B, (i, t, j, k) = gl.dims("B"), gl.indices("i t j k")
    net = gl.Network("own_cell")
    x, y = net.input("x", (B, steps, 7)), net.target("y", (B, steps, 7))
    U, V, d = net.parameter("U", (7, 7)), net.parameter("V", (7, 7)), net.parameter("d", (7,))
    m, h = net.sequence("m", (B, steps, 7)), net.sequence("h", (B, steps, 7))
    before = gl.padded(h[i, t - 1, k])
    a = net.define("a", (i, t, j), gl.tanh(gl.Sum(U[j, k] * before, k) + x[i, t, j]))
    b = net.define("b", (i, t, j), gl.sigmoid(gl.Sum(V[j, k] * before, k)), shape=(B, steps, 7))
    net.define("m", (i, t, j), d[j] * gl.padded(m[i, t - 1, j]) + a[i, t, j] * b[i, t, j])
    net.define("h", (i, t, j), gl.tanh(m[i, t, j]) + a[i, t, j])
    net.minimize(gl.Sum((h[i, t, j] - y[i, t, j]) ** 2, i, t, j) / B)
    return net


CELLS = {
    "LSTM": layers(L.LSTM(7)),
    "GRU": layers(L.GRU(7)),
    "RNN": layers(L.RNN(7)),
    "peepholes": layers(L.LSTM(7, peepholes=True)),
    "own cell": own_cell,
}
OTHERS = {
    "stacked": layers(L.LSTM(7), L.GRU(5)),
    "bidirectional": layers(L.Bidirectional(L.GRU(5))),
    "masked": layers(L.LSTM(7, mask="seen", reverse=True)),
    "initial": layers(L.GRU(7, initial="parameter")),
    "truncated": layers(L.RNN(7, truncate=2)),
    "longer than a warp": layers(L.RNN(37)),
}


def waits_in_loops(source, name="loss_and_gradients", length=7):
    """How often all wait in each loop over time of a function."""
    lines = source[source.index(f"def {name}(") :].split("\n@")[0].splitlines()
    found = []
    for place, line in enumerate(lines):
        if re.fullmatch(rf" *for \w+ in range\(({length}|{length - 1}, -1, -1)\):", line):
            depth = len(line) - len(line.lstrip())
            inside = []
            for other in lines[place + 1 :]:
                if other.strip() and len(other) - len(other.lstrip()) <= depth:
                    break
                inside.append(other)
            found.append("\n".join(inside).count(WAIT))
    return found


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("name", CELLS)
def test_a_step_waits_once(name):
    """h[t] needs all of h[t - 1]; and a step back needs all deltas of the one before it."""
    assert waits_in_loops(generate(CELLS[name](7), target="cuda").source) == [1, 1]


@pytest.mark.slow
def test_the_lstm_of_the_goal_waits_once_for_each_step():
    """128 units: too much for a block by itself, and little enough for warps."""
    net = gl.Sequential([L.LSTM(128), L.Dense(65)], (100, 65), loss=gl.losses.SquaredError())
    for batch in (1, 32, 64):
        source = generate(net, target="cuda", batch=batch).source
        assert list(filter(None, waits_in_loops(source, length=100))) == [1, 1]


@pytest.mark.usefixtures("one_warp", "large")
@pytest.mark.parametrize("length", daily([1, 2, 7], 1, 2))
@pytest.mark.parametrize("name", daily(CELLS, "LSTM", "own cell"))
def test_loss_and_gradients(name, length):
    net = CELLS[name](length)
    assert ("sums_of_lanes(" in generate(net, target="cuda", dtype="float64").source) == (length > 1)
    assert_as_reference(net, rows=5)


@pytest.mark.usefixtures("one_warp", "large")
@pytest.mark.parametrize("name", daily(OTHERS, "initial", "truncated"))
def test_other_recurrences(name):
    assert_as_reference(OTHERS[name](3), rows=3)


@pytest.mark.slow
@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("name", daily(["LSTM", "own cell"], "own cell"))
def test_rows_by_a_block_alone(name):
    net = CELLS[name](3)
    assert waits_in_loops(generate(net, target="cuda").source, length=3) == [0, 0]
    assert_as_reference(net, rows=3)


@pytest.mark.usefixtures("one_warp", "large")
@pytest.mark.parametrize("rows", daily([1, 31, 33], 1))
def test_batches_that_fill_no_tile(rows):
    assert_as_reference(CELLS["LSTM"](2), rows=rows)


@pytest.mark.slow
@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("name", ["LSTM", "RNN"])
def test_several_warps_of_a_block(name):
    """Blocks as they are on a GPU, whose warps make neighbouring points."""
    assert_as_reference(CELLS[name](2), rows=33)


@pytest.mark.usefixtures("one_warp", "large")
def test_the_same_bits_in_any_order_on_any_grid():
    net, rule, size = CELLS["GRU"](3), gl.optimizers.SGD(lr=0.1), {"rows": 5, "passes": 1}
    source = generate(net, target="cuda", optimizer=rule).source
    params, _, losses, _ = trained(device_module(source, "float32"), net, rule, np.float32, **size)
    for options in ({"order": "reverse", "blocks": 1}, {"order": 5, "blocks": 3}):
        others = trained(device_module(source, "float32", races=False, **options), net, rule, np.float32, **size)
        np.testing.assert_array_equal(others[0], params)
        assert others[2] == losses


@pytest.mark.usefixtures("one_warp", "large")
@pytest.mark.parametrize("which", [0, 1])
def test_a_wait_that_is_missing_is_found(which):
    net = CELLS["LSTM"](3)
    source = generate(net, target="cuda").source
    own = source[source.index("def loss_and_gradients(") :].split("\n@")[0]
    places = [found.start() for found in re.finditer(rf"(?<=:\n) +{re.escape(WAIT)}\n", own)]
    assert len(places) == 2
    line = own[places[which] :].split("\n")[0] + "\n"
    broken = own[: places[which]] + own[places[which] + len(line) :]
    module = device_module(source.replace(own, broken), "float32")
    with pytest.raises(Race):
        module.loss_and_gradients(start(module, np.float32), *drawn(net, 9), module.workspace(9), None)


@pytest.mark.slow
@pytest.mark.usefixtures("one_warp", "large")
def test_sums_that_are_read_by_themselves_stay_apart(monkeypatch):
    """One sum for several products is made only where they are needed added up."""
    source = generate(CELLS["LSTM"](3), target="cuda", dtype="float64").source
    monkeypatch.setattr(write, "with_fewer_sums", lambda functions, temporaries: [list(one) for one in functions])
    apart = generate(CELLS["LSTM"](3), target="cuda", dtype="float64").source
    assert source.count("cuda.fma") == apart.count("cuda.fma")
    assert source != apart
    assert_as_reference(CELLS["LSTM"](3), rows=3)


@pytest.mark.usefixtures("one_warp", "large")
def test_by_tiles_a_step_waits_once_too(monkeypatch):
    """Where products are large, tiles are quicker; what comes after one product alone is done in its tiles."""
    monkeypatch.setattr(steps, "as_sums", lambda phase: None)
    net = layers(L.RNN(11))(7)
    source = generate(net, target="cuda", dtype="float64").source
    assert "sums_of_lanes(" not in source
    assert waits_in_loops(source) == [1, 1]
    assert_as_reference(layers(L.RNN(11))(3), rows=3)
