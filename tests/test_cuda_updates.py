"""Updates that are done where gradients are made, in the training kernel, on a simulated device."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from everyday import daily
from lockstep import Race
from simulated import assert_trained_alike, device_module, drawn, start, trained
from test_cuda_networks import NETWORKS, labels, sequential

import gradloom as gl
from benchmarks.gpu.estimate import waits_of
from gradloom.codegen.cuda import write
from gradloom.codegen.generate import generate

L = gl.layers
O = gl.optimizers
pytestmark = pytest.mark.usefixtures("one_warp")


@pytest.fixture(autouse=True)
def _blocks_share_all_work(monkeypatch):
    """Small networks would be trained by blocks that do everything small for themselves."""
    monkeypatch.setattr(write, "training_by_block", lambda *_: None)


def classifier():
    return sequential([L.Dense(7, gl.tanh), L.Dense(5, gl.relu), L.Dense(3)], (11,), labels())


def penalised():
    penalties = [gl.losses.L2(0.01), gl.losses.L1(0.02)]
    return sequential([L.Dense(7, gl.sigmoid), L.Dense(3)], (5,), penalties=penalties)


def tied():
    first = L.Dense(5, gl.tanh)
    return sequential([first, L.Dense(3, gl.tanh), L.Dense(5, gl.tanh), L.TiedDense(first)], (7,))


def frozen():
    net = classifier()
    net.freeze("W2", "b1")
    return net


def odd():
    """A number and a vector of one as parameters; gradients that read other parameters, and others' elements."""
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network("odd")
    x, y = net.input("x", (B, 5)), net.target("y", (B, 5))
    w, u, v = net.parameter("w", (5, 5)), net.parameter("u", (5,)), net.parameter("v", (5,))
    s, one = net.parameter("s"), net.parameter("one", (1,))
    a = net.define("a", (i, j), gl.Sum(w[j, k] * x[i, k], k) * u[j] + s * one[0] + v[j] * x[i, j])
    # Of one parameter the gradient reads what lies across, of others each other.
    penalty = gl.Sum(w[j, k] * w[k, j] ** 2, j, k) + gl.Sum(u[j] * v[j] ** 2, j) + s**2 * one[0]
    net.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j) / B + penalty / 7)
    return net


def states():
    """States that read each other, and parameters as they are before the update."""
    B, (i, j) = gl.dims("B"), gl.indices("i j")
    net = gl.Network("states")
    x, y, w = net.input("x", (B, 5)), net.target("y", (B, 5)), net.parameter("w", (5,))
    p, q, steps = net.state("p", (5,)), net.state("q", (5,)), net.state("steps")
    a = net.define("a", (i, j), w[j] * x[i, j] + p[j])
    net.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j) / B)
    net.after_step("p", j, q[j] / 2 + w[j])
    net.after_step("q", j, p[j] - gl.Sum(a[i, j], i) / B)
    net.after_step("steps", (), steps + 1 + w[0])
    return net


RULES = {
    "SGD": lambda: O.SGD(lr=0.1),
    "momentum": lambda: O.SGD(lr=0.05, momentum=0.9, weight_decay=0.1),
    "Nesterov": lambda: O.SGD(lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda: O.Adam(lr=0.01, weight_decay=0.1),
    "AdamW": lambda: O.AdamW(lr=gl.schedules.Cosine(0.01, 10)),
    "RMSProp": lambda: O.RMSProp(lr=0.01, momentum=0.5, centered=True),
    "AdaGrad": lambda: O.AdaGrad(lr=0.1, lr_decay=0.1),
    "clipped values": lambda: O.Adam(lr=0.01, clip_value=0.01),
}
OTHERS = {
    "penalised": penalised,
    "tied": tied,
    "frozen": frozen,
    "odd": odd,
    "states": states,
    **{name: NETWORKS[name] for name in ("convolution", "strides", "LSTM", "GRU", "symbols", "attention", "modes")},
}


def body(source, name="training_step"):
    return source[source.index(f"def {name}(") :].split("\n@")[0]


@pytest.mark.parametrize("name", daily(RULES, "Adam", "momentum", "SGD"))
def test_every_optimizer(name):
    net, rule = classifier(), RULES[name]()
    assert_trained_alike(net, rule)
    source = generate(net, target="cuda", optimizer=rule).source
    assert "update(" not in body(source, "train")
    # No gradient lies in memory.
    called = re.findall(r"finish_\d+", source.split("# ---- The network")[0])
    for name in dict.fromkeys(["training_step", *called]):
        assert not re.search(r"grads\[|shifted\(grads", body(source, name))


@pytest.mark.parametrize("name", daily(OTHERS, "penalised", "odd"))
def test_every_kind_of_network(name):
    net, rule = OTHERS[name](), RULES["AdamW" if name in ("odd", "modes", "LSTM") else "momentum"]()
    assert_trained_alike(net, rule)
    assert "def training_step(" in generate(net, target="cuda", optimizer=rule).source


def test_norms_need_all_gradients_first():
    net, rule = classifier(), O.Adam(lr=0.01, clip_norm=0.5, clip_value=0.1)
    source = generate(net, target="cuda", optimizer=rule).source
    assert "def training_step(" not in source
    assert "update(" in body(source, "train")
    assert_trained_alike(net, rule)


@pytest.mark.parametrize("name", daily(["classifier", "GRU", "modes"], "classifier"))
def test_the_same_bits_in_any_order_on_any_grid(name):
    net, rule = classifier() if name == "classifier" else NETWORKS[name](), RULES["Adam"]()
    source = generate(net, target="cuda", optimizer=rule).source
    known = trained(device_module(source, "float32"), net, rule, np.float32, rows=5, passes=1)
    for options in ({"order": "reverse", "blocks": 1}, {"order": 5, "blocks": 3}, {"order": 11, "blocks": 5}):
        others = trained(device_module(source, "float32", **options), net, rule, np.float32, rows=5, passes=1)
        np.testing.assert_array_equal(others[0], known[0])
        np.testing.assert_array_equal(others[1], known[1])
        assert others[2] == known[2]


@pytest.mark.parametrize("name", daily(["dense", "penalised", "states", "modes", "LSTM"], "penalised", "states"))
def test_nothing_changes_where_the_loss_is_not_finite(name):
    """As after the steps before it, to the bit."""
    made = {"states": states, "penalised": penalised} | NETWORKS
    net, rule = made[name](), RULES["Adam"]()
    source = generate(net, target="cuda", optimizer=rule).source
    data, hyper = drawn(net, 7), np.array(list(rule.values.values()))

    def after(rows, wrong=None):
        module = device_module(source, "float32")
        given = [array.copy() for array in data]
        if wrong is not None:
            given[0].reshape(7, -1)[wrong, 1] = np.nan
        params = start(module, np.float32)
        grads, state = np.zeros_like(params), np.zeros((len(module.STATE), module.TRAINABLE), np.float32)
        seed, work = ((7,) if net.noises else ()), module.workspace(2)
        total, done = module.epoch(params, grads, state, *given, np.arange(rows), 2, hyper, 0, *seed, work)
        return params, state, total, done

    unchanged = start(device_module(source, "float32"), np.float32)
    for wrong, steps in ((0, 0), (4, 2)):
        params, state, total, done = after(7, wrong)
        assert not np.isfinite(total)
        assert done == steps
        known = after(2 * steps) if steps else (unchanged, np.zeros_like(state))
        np.testing.assert_array_equal(params, known[0])
        np.testing.assert_array_equal(state, known[1])


WAITS = {  # of a step: with the update where the gradients are made, and with one that is a pass of its own
    "classifier": (2, 3),
    "convolution": (3, 4),
    "LSTM": (3, 4),
    "attention": (7, 8),
    "modes": (7, 10),
    "784-16-16-10": (3, 4),
}


@pytest.mark.parametrize("name", daily(WAITS, "classifier", "convolution", "modes", "784-16-16-10"))
def test_how_often_all_wait(name, monkeypatch):
    monkeypatch.undo()  # of tiles as they are
    monkeypatch.setattr(write, "training_by_block", lambda *_: None)
    digits = [L.Dense(16, gl.sigmoid), L.Dense(16, gl.sigmoid), L.Dense(10, gl.sigmoid)]
    net = sequential(digits, (784,)) if name == "784-16-16-10" else NETWORKS[name]()
    rules = O.Adam(lr=0.01), O.Adam(lr=0.01, clip_norm=1.0)
    found = [waits_of(generate(net, target="cuda", optimizer=rule).source, "train") for rule in rules]
    norm = 1  # what the sum for the norm adds: it is waited for, too
    assert (found[0], found[1] - norm) == WAITS[name]


def test_every_wait_is_needed_and_so_are_both_places_of_rows():
    net, rule = classifier(), RULES["SGD"]()
    source = generate(net, target="cuda", dtype="float64", optimizer=rule).source
    lines = source.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("def training_step"))
    last = next(at for at in itertools.count(first) if lines[at].startswith("@"))
    faults = [lines[:at] + lines[at + 1 :] for at in range(first, last) if "grid_barrier" in lines[at]]
    faults += [[line.replace("number % 2 *", "0 *") for line in lines]]
    assert len(faults) == 2
    for wrong in faults:
        with pytest.raises(Race):
            trained(device_module("\n".join(wrong), "float64"), net, rule, float)
