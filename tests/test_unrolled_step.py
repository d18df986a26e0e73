"""`epoch` of tiny networks as straight-line code: the same as loss, gradients and update called step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import compiled, plain

import gradloom as gl
from gradloom.codegen import unrolled_step
from gradloom.codegen.generate import generate

ACTIVATIONS = [gl.sigmoid, gl.tanh, gl.relu, gl.silu, gl.softplus, gl.gelu]
LOSSES = {
    "squared": gl.losses.SquaredError(),
    "huber": gl.losses.Huber(),
    "binary": gl.losses.BinaryCrossEntropy(),
    "one_hot": gl.losses.CrossEntropy(),
    "labels": gl.losses.CrossEntropy(targets="labels"),
}
OPTIMIZERS = [
    lambda: gl.optimizers.SGD(0.3),
    lambda: gl.optimizers.SGD(gl.schedules.Cosine(0.2, 9), momentum=0.8, nesterov=True, weight_decay=0.1),
    lambda: gl.optimizers.SGD(0.3, clip_norm=0.2),
    lambda: gl.optimizers.SGD(0.3, momentum=0.5, clip_value=0.05),
    lambda: gl.optimizers.Adam(0.05),
    lambda: gl.optimizers.AdamW(gl.schedules.StepDecay(0.05, 2, 0.5), weight_decay=0.2, clip_norm=0.3),
    lambda: gl.optimizers.RMSProp(0.02, momentum=0.6, centered=True),
    lambda: gl.optimizers.AdaGrad(0.1),
]


class Training:
    """A module's buffers, and data for it, all of them functions of the seed."""

    def __init__(self, network, module, optimizer, dtype, rows, seed):
        self.module, self.dtype = module, dtype
        rng = np.random.default_rng(seed)
        size = max(offset + int(np.prod(shape)) for offset, shape in module.PARAMETERS.values())
        self.params = rng.normal(size=size).astype(dtype)
        self.state = rng.uniform(0.1, 0.2, size=(len(module.STATE), module.TRAINABLE)).astype(dtype)
        self.hyper = np.array([optimizer.values[name] for name in module.HYPER])
        self.data = [self._data(tensor, rows, rng) for tensor in [*network.inputs, *network.targets]]
        self.batched = [tensor.shape[0] == network.batch for tensor in [*network.inputs, *network.targets]]
        self.order = rng.integers(0, rows, size=rows + 2)

    def _data(self, tensor, rows, rng):
        shape = tuple(int(size) if size.is_number else rows for size in tensor.shape)
        if tensor.classes is not None:
            return rng.integers(0, int(tensor.classes), size=shape)
        if tensor.role == "target" and len(shape) == 2:
            return rng.dirichlet(np.ones(shape[-1] + 1), size=rows)[:, :-1].astype(self.dtype)
        return rng.normal(size=shape).astype(self.dtype)

    def epoch(self, batch, step=3):
        """Parameters, state, total and number of steps after `epoch`."""
        params, state, grads = self.params.copy(), self.state.copy(), np.zeros_like(self.params)
        work = self.module.workspace(batch)
        with np.errstate(all="ignore"):
            total, done = self.module.epoch(params, grads, state, *self.data, self.order, batch, self.hyper, step, work)
        return params, state, total, done

    def step_by_step(self, batch, step=3):
        """The same by the other functions of the module."""
        params, state, grads = self.params.copy(), self.state.copy(), np.zeros_like(self.params)
        total, done = 0.0, 0
        for first in range(0, len(self.order), batch):
            rows = self.order[first : first + batch]
            arrays = [array[rows] if batched else array for array, batched in zip(self.data, self.batched, strict=True)]
            with np.errstate(all="ignore"):
                value = self.module.loss_and_gradients(params, *arrays, self.module.workspace(len(rows)), grads)
            if not np.isfinite(value):
                return params, state, value, done
            done += 1
            with np.errstate(all="ignore"):
                self.module.update(params, grads, state, self.hyper, step + done)
            total += float(value) * len(rows)
        return params, state, total, done


def agree(training, batch, tolerance):
    found, expected = training.epoch(batch), training.step_by_step(batch)
    assert found[3] == expected[3]
    for one, other in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    assert found[0].dtype == training.dtype


@pytest.fixture
def unrolls_everything(monkeypatch):
    monkeypatch.setattr(unrolled_step, "LIMIT", 10**6)


@st.composite
def cases(draw):
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
    activations = [draw(st.sampled_from(ACTIVATIONS)) for _ in sizes[1:]]
    loss = draw(st.sampled_from(sorted(LOSSES)))
    if loss == "binary":
        activations[-1] = gl.sigmoid
    elif loss in ("one_hot", "labels"):
        activations[-1] = None
    frozen = draw(st.booleans())
    layers = [
        gl.layers.Dense(size, *([activation] if activation else []), **({"trainable_bias": False} if frozen else {}))
        for size, activation in zip(sizes[1:], activations, strict=True)
    ]
    penalties = [gl.losses.L2(0.1)] if draw(st.booleans()) else []
    network = gl.Sequential(layers, input_shape=sizes[0], loss=LOSSES[loss], penalties=penalties, name="tiny")
    optimizer = draw(st.sampled_from(OPTIMIZERS))()
    return network, optimizer, draw(st.sampled_from(["float32", "float64"])), draw(st.integers(0, 2**31))


@settings(max_examples=15, deadline=None)
@given(case=cases(), batch=st.integers(1, 7), rows=st.integers(1, 11))
def test_an_epoch_is_its_steps(case, batch, rows):
    network, optimizer, dtype, seed = case
    limit, unrolled_step.LIMIT = unrolled_step.LIMIT, 10**6
    try:
        source = generate(network, dtype=dtype, optimizer=optimizer).source
    finally:
        unrolled_step.LIMIT = limit
    module = plain(source)
    assert hasattr(module, "epoch_by_row")
    training = Training(network, module, optimizer, dtype, rows, seed)
    agree(training, batch, {"float32": 2e-3, "float64": 1e-9}[dtype])


def torch_step(kind, theta, rate):
    return {"sgd": torch.optim.SGD(theta, rate), "adam": torch.optim.Adam(theta, rate)}[kind]


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("batch", [1, 3])
def test_agrees_with_torch(kind, batch, unrolls_everything):
    """Two layers, softmax and cross-entropy with labels; five rows, so that a batch of 3 is followed by one of 2."""
    layers = [gl.layers.Dense(3, gl.tanh), gl.layers.Dense(2)]
    network = gl.Sequential(layers, input_shape=4, loss=gl.losses.CrossEntropy(targets="labels"), name="classes")
    optimizer = {"sgd": gl.optimizers.SGD(0.1), "adam": gl.optimizers.Adam(0.1)}[kind]
    module = plain(generate(network, dtype="float64", optimizer=optimizer).source)
    training = Training(network, module, optimizer, "float64", 5, 7)
    training.state[:] = 0
    training.order = np.array([3, 0, 4, 1, 2])
    theta = {
        name: torch.nn.Parameter(torch.from_numpy(training.params[at : at + int(np.prod(shape))].reshape(shape).copy()))
        for name, (at, shape) in module.PARAMETERS.items()
    }
    stepping = torch_step(kind, list(theta.values()), 0.1)
    total = 0.0
    for first in range(0, 5, batch):
        rows = training.order[first : first + batch]
        x, y = (torch.from_numpy(array[rows]) for array in training.data)
        z = torch.tanh(x @ theta["W1"].T + theta["b1"]) @ theta["W2"].T + theta["b2"]
        loss = torch.nn.functional.cross_entropy(z, y)
        stepping.zero_grad()
        loss.backward()
        stepping.step()
        total += loss.item() * len(rows)
    params, _, found, done = training.epoch(batch, step=0)
    assert done == -(-5 // batch)
    assert found == pytest.approx(total, rel=1e-12)
    for name, (at, shape) in module.PARAMETERS.items():
        expected = theta[name].detach().numpy()
        np.testing.assert_allclose(
            params[at : at + int(np.prod(shape))].reshape(shape), expected, rtol=1e-9, atol=1e-12
        )


def two_two_two(trainable_bias=False):
    """M. Mazur, "A step by step backpropagation example" (2015)."""
    layers = [
        gl.layers.Dense(2, gl.sigmoid, trainable_bias=trainable_bias),
        gl.layers.Dense(2, gl.sigmoid, trainable_bias=trainable_bias),
    ]
    return gl.Sequential(layers, input_shape=2, loss=gl.losses.SquaredError(), name="two_two_two")


START = {"W1": [0.15, 0.20, 0.25, 0.30], "b1": [0.35, 0.35], "W2": [0.40, 0.45, 0.50, 0.55], "b2": [0.60, 0.60]}


def test_the_published_example(tmp_path):
    source = generate(two_two_two(), dtype="float64", optimizer=gl.optimizers.SGD(0.5)).source
    module = compiled(source, tmp_path, "two_two_two")
    places = module.PARAMETERS
    start = np.empty(12)
    for name, values in START.items():
        start[places[name][0] : places[name][0] + len(values)] = values
    x, y = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])

    def train(steps):
        params = start.copy()
        order = np.zeros(steps, np.int64)
        buffers = (np.zeros(12), np.zeros((0, 8)))
        total, done = module.epoch(params, *buffers, x, y, order, 1, np.array([0.5]), 0, module.workspace(1))
        assert done == steps
        return params, total

    params, error = train(1)
    assert error == pytest.approx(0.298371109, abs=5e-10)
    assert params[places["W2"][0]] == pytest.approx(0.35891648, abs=5e-9)
    params, total = train(10_000)
    assert params[places["b1"][0]] == 0.35
    assert total - train(9_999)[1] == pytest.approx(3.5e-5, rel=0.01)
    again, same = train(10_000)
    assert same == total
    assert again.tobytes() == params.tobytes()
    # What no epoch of single rows needs is not compiled.
    assert [name for name, f in vars(module).items() if getattr(f, "signatures", None)] == ["epoch_by_row"]


@pytest.mark.parametrize("batch", [1, 2])
def test_it_stops_before_the_update_of_a_loss_that_is_not_finite(batch, unrolls_everything):
    optimizer = gl.optimizers.SGD(0.1, momentum=0.9)
    network = two_two_two(trainable_bias=True)
    training = Training(network, plain(generate(network, optimizer=optimizer).source), optimizer, "float32", 9, 3)
    training.order = np.arange(9)
    training.data[1][6, 1] = np.inf
    params, state, total, done = training.epoch(batch)
    assert not np.isfinite(total)
    assert done == 6 // batch
    training.order = training.order[:6]
    before = training.epoch(batch)
    assert before[3] == done
    assert params.tobytes() == before[0].tobytes()
    assert state.tobytes() == before[1].tobytes()


def lookup():
    """Rows of a table chosen by data, read and trained, a softmax, a maximum, and data without a batch axis."""
    B = gl.dims("B")
    i, j, k = gl.indices("i j k")
    net = gl.Network("lookup")
    word, y, u = net.input("word", (B,), classes=3), net.target("y", (B, 2)), net.input("u", (2,))
    E, s = net.parameter("E", (3, 2)), net.parameter("s")
    h = net.define("h", (i, j), E[word[i], j] * s + u[j])
    p = net.define("p", (i, j), gl.softmax(h[i, j], j))
    m = net.define("m", i, gl.Max(h[i, k], k))
    net.minimize(gl.Sum((p[i, j] - y[i, j]) ** 2, i, j) / B + gl.Sum(m[i] ** 2, i) / B + gl.Sum(E[j, k] ** 2, j, k))
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 4])
def test_rows_of_a_table_and_maxima(batch, dtype, unrolls_everything):
    network, optimizer = lookup(), gl.optimizers.Adam(0.1)
    source = generate(network, dtype=dtype, optimizer=optimizer).source
    assert "epoch_by_row" in source
    module = plain(source)
    training = Training(network, module, optimizer, dtype, 9, 5)
    agree(training, batch, {"float32": 2e-3, "float64": 1e-9}[dtype])


def test_compiled_code_gives_the_same_bits_every_time_and_what_python_gives(tmp_path, unrolls_everything):
    network, optimizer = lookup(), gl.optimizers.AdamW(0.1, weight_decay=0.1, clip_norm=0.5)
    source = generate(network, optimizer=optimizer).source
    fast = Training(network, compiled(source, tmp_path, "lookup_unrolled"), optimizer, "float32", 9, 5)
    slow = Training(network, plain(source), optimizer, "float32", 9, 5)
    for batch in (1, 4):
        found, again, expected = fast.epoch(batch), fast.epoch(batch), slow.epoch(batch)
        assert [array.tobytes() for array in found[:2]] == [array.tobytes() for array in again[:2]]
        assert found[2:] == again[2:]
        assert found[3] == expected[3]
        for one, other in zip(found[:3], expected[:3], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


LAYERS = {
    "rnn": ([gl.layers.RNN(2), gl.layers.Dense(1)], (3, 2)),
    "lstm_backwards": ([gl.layers.LSTM(2, reverse=True), gl.layers.Dense(2)], (2, 3)),
    "gru_of_all_steps": ([gl.layers.GRU(2, return_sequences=True), gl.layers.Flatten(), gl.layers.Dense(1)], (3, 1)),
    "convolution": (
        [gl.layers.Conv1D(2, 3, padding=1, activation=gl.tanh), gl.layers.Flatten(), gl.layers.Dense(1)],
        (1, 5),
    ),
    "maxima": ([gl.layers.Conv1D(2, 2), gl.layers.MaxPool1D(2), gl.layers.Flatten(), gl.layers.Dense(2)], (1, 5)),
    "normalised": ([gl.layers.Dense(3), gl.layers.LayerNorm(), gl.layers.Dense(2, gl.sigmoid)], (2,)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_other_layers(name, unrolls_everything):
    layers, shape = LAYERS[name]
    network = gl.Sequential(layers, input_shape=shape, loss=gl.losses.SquaredError("mean"), name=name)
    optimizer = gl.optimizers.SGD(0.1, momentum=0.5)
    module = plain(generate(network, dtype="float64", optimizer=optimizer).source)
    assert hasattr(module, "epoch_by_row")
    for batch in (1, 2):
        agree(Training(network, module, optimizer, "float64", 3, 17), batch, 1e-9)


def product_of_parameters():
    """Gradients that are products of other parameters: none may be that of changed ones."""
    B = gl.dims("B")
    (i,) = (gl.indices("i"),)
    net = gl.Network("product_of_parameters")
    x, y = net.input("x", (B,)), net.target("y", (B,))
    u, v, w = (net.parameter(name) for name in "uvw")
    net.minimize(gl.Sum(u * v * w * x[i] - y[i], i) / B)
    return net


@pytest.mark.parametrize("batch", [1, 3])
def test_all_gradients_are_those_before_the_update(batch):
    network, optimizer = product_of_parameters(), gl.optimizers.SGD(0.1)
    module = plain(generate(network, dtype="float64", optimizer=optimizer).source)
    assert hasattr(module, "epoch_by_row")
    agree(Training(network, module, optimizer, "float64", 7, 11), batch, 1e-12)


def statistics():
    """Rows that need the mean over the batch."""
    B = gl.dims("B")
    i, j = gl.indices("i j")
    net = gl.Network("statistics")
    x, y, w = net.input("x", (B, 2)), net.target("y", (B,)), net.parameter("w", (2,))
    z = net.define("z", i, gl.Sum(w[j] * x[i, j], j))
    mean = net.define("mean", (), gl.Sum(z[i], i) / B)
    net.minimize(gl.Sum((gl.tanh(z[i] - mean) - y[i]) ** 2, i) / B)
    return net


def wide():
    return gl.Sequential([gl.layers.Dense(64, gl.tanh)], input_shape=32, loss=gl.losses.SquaredError(), name="wide")


@pytest.mark.parametrize("make", [statistics, wide])
def test_what_does_not_fit_is_left_to_the_ordinary_schedule(make):
    source = generate(make(), optimizer=gl.optimizers.SGD(0.1)).source
    assert "epoch_by_row" not in source
    assert "\n@compiled\ndef steps(" in source


def test_the_limit_is_a_number_of_operations(monkeypatch):
    """A feature more: a product and a sum forward, the same backward, and two operations of the update."""
    count, counted = unrolled_step.operations, []

    def counting(*arguments):
        counted.append(count(*arguments))
        return counted[-1]

    monkeypatch.setattr(unrolled_step, "operations", counting)

    def source(features):
        layers = [gl.layers.Dense(1, gl.sigmoid)]
        network = gl.Sequential(layers, input_shape=features, loss=gl.losses.SquaredError(), name="logistic")
        return generate(network, optimizer=gl.optimizers.SGD(0.1)).source

    assert "epoch_by_row" in source(30)
    assert "epoch_by_row" in source(31)
    assert counted[1] - counted[0] == 6
    monkeypatch.setattr(unrolled_step, "LIMIT", counted[1])
    assert "epoch_by_row" in source(31)
    monkeypatch.setattr(unrolled_step, "LIMIT", counted[1] - 1)
    assert "epoch_by_row" not in source(31)
