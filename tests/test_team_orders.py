"""What threads do between two waits may happen in any order: here one after another, forwards and backwards.

The generated source runs as plain Python, with a workspace full of NaN. Each thread runs alone up to where all wait,
then the next; so a nest that reads what another has yet to write, or waits where others do not, shows every time.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import sympy
from everyday import daily
from kernels import plain

import gradloom as gl
from gradloom.codegen import cpu_ranges, teams
from gradloom.codegen.generate import generate

L = gl.layers
ROWS, BATCH = 12, 5  # the last mini-batch has fewer rows than some teams threads
B = gl.Dim("B")
b, c, i, j, k, t = gl.indices("b c i j k t")


def sequential(layers, shape):
    return gl.Sequential(layers, shape, loss=gl.losses.SquaredError())


def scalar_between_vectors():
    net = gl.Network("scalar")
    x, y = net.input("x", (B, 9)), net.target("y", (B,))
    W = net.parameter("W", (9,))
    z = net.define("z", (k,), gl.Sum(x[b, k] * y[b], b) / B)
    u = net.define("u", (k,), gl.tanh(W[k] * z[k]))
    v = net.define("v", (), gl.tanh(gl.Sum(u[k] ** 2, k)))
    net.minimize(v**2 + gl.Sum((gl.Sum(u[k] * x[b, k], k) * v - y[b]) ** 2, b) / 100)
    return net


def normalised_weights():
    net = gl.Network("weights")
    x, y, v, g = net.input("x", (B, 8)), net.target("y", (B,)), net.parameter("v", (8,)), net.parameter("g")
    w = net.define("w", (k,), g * v[k] / sympy.sqrt(gl.Sum(v[j] ** 2, j)))
    net.minimize(gl.Sum((gl.Sum(w[k] * x[b, k], k) - y[b]) ** 2, b) / B)
    return net


def steps_that_read_other_rows():
    net = gl.Network("other_rows")
    x, U = net.input("x", (B, 4, 5)), net.parameter("U", (5, 5))
    S = net.define("S", (b, c), gl.tanh(gl.Sum(x[b, 0, k] * x[c, 1, k], k)), shape=(B, B))
    h = net.sequence("h", (B, 4, 5))
    before = gl.Sum(S[b, c] * gl.padded(h[c, t - 1, i]), (c, B))
    h = net.define("h", (b, t, i), gl.tanh(gl.Sum(U[i, k] * x[b, t, k], k) + before))
    net.minimize(gl.Sum(h[b, t, i] ** 2, b, t, i) / B)
    return net


NETWORKS = {
    "dense": lambda: sequential([L.Dense(7, gl.gelu), L.Dense(3)], 5),
    "modes": lambda: sequential([L.Dense(7), L.BatchNorm(), L.Dropout(0.3), L.Dense(3)], 5),
    "pooling": lambda: sequential([L.Conv2D(2, 3, padding=1), L.MaxPool2D(2), L.Flatten(), L.Dense(3)], (2, 5, 6)),
    "attention": lambda: sequential([L.TransformerBlock(4, 2, 5)], (3, 4)),
    "recurrent": lambda: sequential([L.LSTM(3), L.GRU(2)], (5, 3)),
    "scalar": scalar_between_vectors,
    "weights": normalised_weights,
    "rows": steps_that_read_other_rows,
}


class Turns:
    """Lets threads run one at a time, each from wait to wait."""

    def __init__(self, order):
        self.order, self.place, self.left = order, 0, set(order)
        self.changed = threading.Condition()

    def begin(self, me):
        with self.changed:
            assert self.changed.wait_for(lambda: self.order[self.place] == me, 60)

    def next(self):
        self.place = (self.place + 1) % len(self.order)
        self.changed.notify_all()

    def wait(self, me):
        with self.changed:
            assert self.left == set(self.order), "a thread has returned while another one waits"
            self.next()
        self.begin(me)

    def end(self, me):
        with self.changed:
            self.left.discard(me)
            self.next()


def train(source, network, optimizer, order):
    """The parameters, the state and what each thread returns, after an epoch by threads in this order."""
    module, rng = plain(source), np.random.default_rng(3)
    size = max(offset + int(np.prod(shape)) for offset, shape in module.PARAMETERS.values())
    params, state = rng.standard_normal(size) * 0.3, np.zeros((len(module.STATE), module.TRAINABLE))
    data = [rng.standard_normal((ROWS, *map(int, one.shape[1:]))) for one in [*network.inputs, *network.targets]]
    work = module.workspace(BATCH)
    work[:] = np.nan
    hyper = np.array([optimizer.values[name] for name in module.HYPER])
    noise = (7,) if network.noises else ()
    steps, given, found = module.steps, [], {}
    module.steps = lambda *arguments: given.append(arguments)
    module.config = SimpleNamespace(DISABLE_JIT=True)
    module.epoch(params, np.full(size, np.nan), state, *data, np.arange(ROWS), BATCH, hyper, 0, *noise, work)
    turns, local = Turns(order), threading.local()
    module.wait = lambda gate, threads: turns.wait(local.me)

    def run(me):
        local.me = me
        turns.begin(me)
        try:
            with np.errstate(over="ignore"):  # what noise is drawn from turns over
                found[me] = steps(*given[0][:-3], me, len(order), None)
        finally:
            turns.end(me)

    threads = [threading.Thread(target=run, args=(me,), daemon=True) for me in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return params, state, found


@pytest.mark.parametrize(
    ("workspace", "sums"),
    daily([("apart", "whole"), ("shared", "whole"), ("shared", "halves")], ("apart", "whole"), ("shared", "halves")),
)
@pytest.mark.parametrize("name", NETWORKS)
def test_any_order_between_waits_gives_the_same(name, workspace, sums):
    network, optimizer = NETWORKS[name](), gl.optimizers.Adam(clip_norm=0.1)
    schedule = {"epoch": "calls", "workspace": workspace, "sums": sums}
    source = generate(network, dtype="float64", optimizer=optimizer, schedule=schedule).source
    params, state, found = train(source, network, optimizer, [0])
    assert np.isfinite(params).all()
    # The weights of the others are no plain sums over the batch.
    assert ("of_half(" in source) == (sums == "halves" and name not in ("scalar", "weights"))
    for order in ([0, 1, 2], [2, 1, 0], [6, 0, 5, 1, 4, 2, 3]):
        others = train(source, network, optimizer, order)
        np.testing.assert_array_equal(others[0], params)
        np.testing.assert_array_equal(others[1], state)
        assert others[2] == dict.fromkeys(order, found[0])


def test_threads_that_share_columns_copy_them_once(monkeypatch):
    monkeypatch.setattr(teams, "COPYING", 0)
    monkeypatch.setattr(teams, "STRIPS", 2)
    for module in (teams, cpu_ranges):
        monkeypatch.setattr(module, "STRIP", 2)
    network, optimizer = sequential([L.Dense(7, gl.gelu), L.Dense(4), L.Dense(3)], 5), gl.optimizers.Adam()
    schedule = {"epoch": "calls", "products": {"z1": "outer packed", "z2": "outer packed"}}
    source = generate(network, dtype="float64", optimizer=optimizer, schedule=schedule).source
    assert "2 * begin(4, thread, threads), min(2 * begin(4, thread + 1, threads), 7)" in source
    params, _, found = train(source, network, optimizer, [0])
    for order in ([1, 0], [2, 1, 0], [6, 0, 5, 1, 4, 2, 3]):
        others = train(source, network, optimizer, order)
        np.testing.assert_array_equal(others[0], params)
        assert others[2] == dict.fromkeys(order, found[0])


@pytest.mark.parametrize("layer", [L.RNN, L.LSTM])
def test_segments_of_time_too(layer):
    network, optimizer = sequential([layer(3)], (5, 3)), gl.optimizers.SGD(lr=0.1)
    source = generate(network, dtype="float64", optimizer=optimizer, checkpoint=2).source
    params, _, found = train(source, network, optimizer, [0])
    for order in ([0, 1, 2], [2, 1, 0]):
        others = train(source, network, optimizer, order)
        np.testing.assert_array_equal(others[0], params)
        assert others[2] == dict.fromkeys(order, found[0])
