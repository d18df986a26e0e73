"""Gradients that are added up while others are computed: announced when they are done with, and in which calls."""

from __future__ import annotations

import math
import os
import threading
from types import SimpleNamespace

import kernels
import numpy as np
import pytest

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime.gradient_sums import GradientSums
from gradloom.runtime.overlap import Part, count_trained, least_of, parts_of

L = gl.layers


def sequential(layers, shape):
    return gl.Sequential(layers, shape, loss=gl.losses.SquaredError())


def one_gradient_made_of_another():
    """∂L/∂p is 2 p ∂L/∂b, which is not computed twice."""
    net, B = gl.Network("shared"), gl.Dim("B")
    i, j, k = gl.indices("i j k")
    x, y = net.input("x", (B, 5)), net.target("y", (B, 7))
    W, b, p = net.parameter("W", (7, 5)), net.parameter("b", (7,)), net.parameter("p", (7,))
    z = net.define("z", (i, j), gl.tanh(gl.Sum(W[j, k] * x[i, k], k) + b[j] + p[j] ** 2))
    net.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2, i, j) / B)
    return net


NETWORKS = {
    "shared": (one_gradient_made_of_another, {}),
    "modes": (lambda: sequential([L.Dense(7), L.BatchNorm(), L.Dropout(0.3), L.Dense(3)], 5), {}),
    "halves": (
        lambda: sequential([L.Dense(7, gl.tanh), L.LayerNorm(), L.Dense(3)], 5),
        {"schedule": {"sums": "halves"}},
    ),
    "recurrent": (lambda: sequential([L.LSTM(3), L.GRU(2, return_sequences=False)], (5, 3)), {}),
    "segments": (lambda: sequential([L.LSTM(3), L.Dense(2)], (7, 3)), {"checkpoint": 3}),
}


def made(name):
    """A module that announces, run by Python, and what its kernels take."""
    rng = np.random.default_rng(5)
    if name in NETWORKS:
        make, options = NETWORKS[name]
        network = make()
        source = generate(network, dtype="float64", optimizer=gl.optimizers.SGD(), announced=True, **options).source
        tensors = [*network.inputs, *network.targets, *network.noises]
        arrays = [rng.random([int(size.subs(network.batch, 11)) for size in tensor.shape]) for tensor in tensors]
    else:
        network, source, values = kernels.made(name, "cpu", announced=True)
        arrays = kernels.data(network, values, "float64")
    module = kernels.plain(source)
    count = sum(math.prod(shape) for _, shape in module.PARAMETERS.values())
    params = rng.normal(size=count) if name in NETWORKS else kernels.flat(module, values, "float64")
    rows = max([len(array) for array in arrays if array.ndim], default=1)
    return module, params, arrays, rows


def gradients(module, params, arrays, rows, *pipe):
    places = module.gradient_places(rows)
    grads = np.zeros(max(offset + math.prod(shape) for offset, shape in places.values()))
    loss = module.loss_and_gradients(params, *arrays, module.workspace(rows), grads, *pipe)
    return loss, grads, {name: slice(at, at + math.prod(shape)) for name, (at, shape) in places.items()}


EVERYDAY = ("shared", "modes", "halves")


@pytest.mark.parametrize(
    "name",
    [name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.slow) for name in [*NETWORKS, *kernels.CASES]],
)
def test_nothing_touches_a_gradient_once_it_is_announced(name):
    """It is taken away and NaN put in its place, which must still be there at the end, and nowhere else."""
    module, params, arrays, rows = made(name)
    loss, wanted, places = gradients(module, params, arrays, rows)
    order, taken, buffer, places_told = iter(module.FINISHED), {}, [], []

    def announce(pipes, place):
        if pipes is None:
            return
        assert place == len(places_told)
        places_told.append(place)
        for gradient in next(order):
            taken[gradient] = buffer[0][places[gradient]].copy()
            buffer[0][places[gradient]] = np.nan

    backward = module.backward
    module.backward = lambda *arguments: (buffer.append(arguments[-5]), backward(*arguments))
    module.announce = announce
    found, grads, _ = gradients(module, params, arrays, rows, 0)
    assert found == loss
    assert sorted(taken) == sorted(places)
    assert np.isnan(grads).all()
    for gradient, values in taken.items():
        np.testing.assert_array_equal(values, wanted[places[gradient]], err_msg=gradient)


def test_announcing_changes_nothing_else():
    net = sequential([L.Dense(700, gl.relu), L.Dense(300)], 500)
    plain, announced = (generate(net, optimizer=gl.optimizers.SGD(), announced=some).source for some in (False, True))
    kept = [line for line in announced.splitlines() if "announce(" not in line]
    wanted = plain.splitlines()
    start, stop = (next(at for at, line in enumerate(wanted) if line.startswith(head)) for head in ("    B =", "# --"))
    assert "\n".join(wanted[start:stop]) in "\n".join(kept).replace(", pipes=None)", ")").replace(", pipes)", ")")


def test_the_last_layers_come_first():
    net = sequential([L.Dense(7, gl.tanh), L.Dense(6, gl.tanh), L.Dense(3)], 5)
    module = kernels.plain(generate(net, optimizer=gl.optimizers.SGD(), announced=True).source)
    weights = [name for names in module.FINISHED for name in names if name.startswith("W")]
    assert weights == ["W3", "W2", "W1"]


# ---- parts -----------------------------------------------------------------------------------------------------------


def module_of(finished, sizes, trained=None):
    """What `parts_of` asks a module."""
    starts = np.cumsum([0, *sizes.values()])
    places = {name: (int(start), (size,)) for (name, size), start in zip(sizes.items(), starts, strict=False)}
    found = SimpleNamespace(GRADIENTS=places, TRAINABLE=trained or int(starts[-1]))
    if finished is not None:
        found.FINISHED = finished
    return found


@pytest.mark.parametrize(
    ("finished", "least", "wanted"),
    [
        ((("c",), ("b",), ("a",)), 1, [(17, 22, 1), (7, 17, 2), (0, 7, math.inf)]),
        ((("c",), ("b",), ("a",)), 6, [(7, 22, 2), (0, 7, math.inf)]),
        ((("c",), ("b",), ("a",)), 16, [(0, 22, math.inf)]),
        ((("b",), ("c",), ("a",)), 1, [(7, 17, 1), (17, 22, 2), (0, 7, math.inf)]),
        ((("b", "c"), ("a",)), 1, [(7, 22, 1), (0, 7, math.inf)]),
        ((("c",), ("a", "b")), 1, [(17, 22, 1), (0, 17, math.inf)]),
        ((("c",), ("a",)), 1, [(17, 22, 1), (0, 17, math.inf)]),  # b is not announced
        ((("a",), ("b",), ("c",)), 1, [(7, 17, 2), (17, 22, math.inf), (0, 7, math.inf)]),
        (None, 1, [(0, 22, math.inf)]),
    ],
)
def test_parts(finished, least, wanted):
    assert parts_of(module_of(finished, {"a": 7, "b": 10, "c": 5}), least) == tuple(Part(*part) for part in wanted)


def test_parts_of_what_is_trained_alone():
    module = module_of((("frozen",), ("b",), ("a",)), {"a": 7, "b": 10, "frozen": 5}, trained=17)
    assert parts_of(module, 3) == (Part(7, 17, 2), Part(0, 7))


def test_a_call_of_its_own_takes_longer_than_its_latency():
    """The model is written out for 5 processes: 3 rounds each way, of 2 µs, and 4/5 of the bytes both ways at 80 ps."""
    assert least_of(5, 8) == math.ceil(4 * (2 * 3 * 2e-6) / (2 * 4 / 5 * 8 * 8e-11))
    assert least_of(1024, 4) > 2 * least_of(16, 4) > 4 * least_of(2, 4)


def test_what_is_trained_is_counted():
    net = sequential([L.Dense(7), L.Dense(3)], 5)
    net.freeze("b1")
    assert count_trained(net, {}) == 5 * 7 + 7 * 3 + 3


# ---- calls -----------------------------------------------------------------------------------------------------------


class Pair:
    """A communicator of two processes, of which the other one has the same numbers."""

    def __init__(self):
        self.calls, self.has_begun = [], threading.Event()

    def Allreduce(self, in_place, numbers):
        self.calls.append(numbers.copy())
        self.has_begun.set()
        numbers *= 2


PARTS = Part(6, 9, 1), Part(4, 5, 1), Part(3, 4, 3), Part(5, 6), Part(0, 3)  # two are announced together


@pytest.fixture(name="pair")
def sums_of_two():
    pair = Pair()
    sums = GradientSums(pair, "in place", 11, "float64", PARTS, 4)
    yield pair, sums
    sums.close()


def test_a_part_is_added_up_while_the_next_is_computed(pair):
    pair, sums = pair
    rng = np.random.default_rng(7)
    for _ in range(3):
        values = rng.normal(size=11)
        pair.calls.clear()
        pair.has_begun.clear()

        def compute(grads, pipes, values=values):
            grads[4:5], grads[6:] = values[4:5], values[6:]
            announce(pipes, 0)
            assert pair.has_begun.wait(10), "nothing was added up before the rest was computed"
            announce(pipes, 1)  # of a gradient in the next part, which is not all done
            grads[3] = values[3]
            announce(pipes, 2)
            grads[:3], grads[5] = values[:3], values[5]
            return 23.0

        assert sums.add_up(compute, 0.25) == 2 * 0.25 * 23
        np.testing.assert_array_equal(sums.gradients[:9], values[:9] / 2)
        np.testing.assert_array_equal(sums.gradients[9:], values[9:])  # of what is not trained
        wanted = [values[6:9], values[4:5], values[3:4], values[5:6], [23, *values[:3]]]
        assert all(np.array_equal(call, want / np.float64(4)) for call, want in zip(pair.calls, wanted, strict=True))
        assert sums.gradients.ctypes.data % 64 == 0


def announce(pipes, place):
    """As kernels do."""
    if pipes[place] >= 0:
        os.write(pipes[place], b"\0")


def test_who_has_no_rows_makes_the_same_calls(pair):
    pair, sums = pair
    sums.gradients[:] = 3
    assert sums.add_up(None, 1.0) == 0
    assert [len(call) for call in pair.calls] == [3, 1, 1, 1, 4]
    assert not any(call.any() for call in pair.calls)


@pytest.mark.parametrize("announced", [0, 1, 2, 4])
def test_an_error_beside_ends_the_step(pair, announced):
    pair, sums = pair

    def compute(grads, pipes):
        for place in range(announced):
            announce(pipes, place)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sums.add_up(compute, 1.0)
    assert len(pair.calls) <= [0, 2, 2, 3, 3][announced]
