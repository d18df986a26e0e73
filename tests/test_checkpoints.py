"""Checkpoints of recurrences: the same losses and gradients from less memory, however many steps and segments."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from everyday import daily
from kernels import data, flat, plain, run
from oracles import relative_error
from small_models import run as run_command
from test_recurrent_torch import by_torch

import gradloom as gl
from gradloom.codegen.along_time import good_length
from gradloom.codegen.generate import generate
from gradloom.runtime.threads import set_threads
from gradloom.symbolic.errors import SizeError, UnsupportedError

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.memory import workspace_of

L = gl.layers
LABELS = gl.losses.CrossEntropy(targets="labels")
LAYERS = {
    "RNN": lambda: [L.RNN(5), L.Dense(7)],
    "GRU, last state": lambda: [L.GRU(5, return_sequences=False), L.Dense(7)],
    "LSTM": lambda: [L.LSTM(5), L.Dense(7)],
    "stacked": lambda: [L.Dense(3, gl.tanh), L.RNN(5), L.LSTM(2, return_sequences=False), L.Dense(7)],
    "reverse": lambda: [L.GRU(5, reverse=True, return_sequences=False), L.Dense(7)],
    "reverse, all states": lambda: [L.RNN(5, reverse=True, initial="input"), L.Dense(7)],
    "initial, truncated": lambda: [L.LSTM(5, initial="parameter", truncate=4), L.Dense(7)],
    "mask, peepholes": lambda: [L.LSTM(5, mask="seen", peepholes=True, return_sequences=False), L.Dense(7)],
    "read out of order": lambda: [L.RNN(5), L.Flatten(), L.Dense(7)],
    "attention": lambda: [L.RNN(4), L.Attention(2), L.Dense(7)],
    "symbols": lambda: [L.Embedding(11, 3), L.RNN(5), L.Dense(7)],
}
BATCH, FEATURES = 3, 2


def network_of(name, length):
    shape = (length,) if name == "symbols" else (length, FEATURES)
    classes = {"input_classes": 11} if name == "symbols" else {}
    return gl.Sequential(LAYERS[name](), shape, loss=LABELS, **classes)


@functools.cache
def source_of(name, length, checkpoint):
    return generate(network_of(name, length), dtype="float64", checkpoint=checkpoint).source


def values_of(network, seed=0):
    rng = np.random.default_rng(seed)
    made = {}
    for tensor in [*network.parameters, *network.inputs, *network.targets]:
        shape = [BATCH if str(size) == "B" else int(size) for size in tensor.shape]
        made[tensor.name] = (
            rng.integers(0, int(tensor.classes), shape)
            if tensor.classes is not None
            else (rng.random(shape) < 0.7).astype(float)
            if tensor.name == "seen"
            else rng.standard_normal(shape) / 2
        )
    return made


def run_poisoned(source, network, values):
    """Run a module whose workspace holds NaN: what is read must have been written."""
    module = plain(source)
    workspace = module.workspace

    def poisoned(batch):
        space = workspace(batch)
        space[:] = np.nan
        return space

    module.workspace = poisoned
    return run(module, network, values)


# A last segment that is shorter; for some also segments that fit, one segment, and segments of one step.
CASES = daily([(name, 11, 3) for name in LAYERS], *((name, 11, 3) for name in list(LAYERS)[::2]))
CASES += [("RNN", *steps) for steps in [(6, 2), (7, 7), (5, 1)]]
CASES += [
    pytest.param(name, *steps, marks=pytest.mark.slow)
    for name in ("reverse", "GRU, last state")
    for steps in [(6, 2), (7, 7), (5, 1)]
]


@pytest.mark.parametrize(("name", "length", "every"), CASES)
def test_gradients_are_those_without(name, length, every):
    network = network_of(name, length)
    values = values_of(network)
    output, loss, gradients = run(plain(source_of(name, length, None)), network, values)
    found_output, found_loss, found = run_poisoned(source_of(name, length, every), network, values)
    np.testing.assert_allclose(found_output, output, rtol=1e-12, atol=1e-14)
    assert abs(found_loss - loss) <= 1e-12 * abs(loss)
    assert set(found) == set(gradients)
    for key, gradient in gradients.items():
        assert relative_error(found[key], gradient) < 1e-12, key


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("whole", [True, False])
def test_against_torch(kind, whole):
    length, every = 11, 4
    network = gl.Sequential(
        [getattr(L, kind)(5, return_sequences=whole)], (length, FEATURES), loss=gl.losses.SquaredError()
    )
    values = values_of(network, seed=1)
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    for parameter in network.parameters:
        tensors[parameter.name].requires_grad_()
    states = by_torch(kind, tensors)
    output = states if whole else states[:, -1]
    loss = ((output - tensors["y"]) ** 2).sum() / (2 * BATCH)
    loss.backward()
    source = generate(network, dtype="float64", checkpoint=every).source
    found_output, found_loss, found = run_poisoned(source, network, values)
    assert relative_error(found_output, output.detach().numpy()) < 1e-12
    assert abs(found_loss - float(loss.detach())) <= 1e-12 * abs(found_loss)
    for parameter in network.parameters:
        assert relative_error(found[parameter.name], tensors[parameter.name].grad.numpy()) < 1e-12, parameter.name


def test_noise_and_modes():
    """Dropout: what is computed again sees the same noise; inference runs in segments too."""
    length = 11
    network = gl.Sequential([L.LSTM(5), L.Dropout(0.3), L.RNN(3), L.Dense(7)], (length, FEATURES), loss=LABELS)
    values = values_of(network)
    rng = np.random.default_rng(2)
    noise = [rng.random([BATCH if str(size) == "B" else int(size) for size in t.shape]) for t in network.noises]
    found = []
    for checkpoint in (None, 3):
        module = plain(generate(network, dtype="float64", checkpoint=checkpoint).source)
        params, arrays = flat(module, values, "float64"), data(network, values, "float64")
        grads, work = np.full_like(params, np.nan), module.workspace(BATCH)
        loss = module.loss_and_gradients(params, *arrays, *noise, work, grads)
        found.append((loss, module.loss(params, *arrays, work), grads))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-12)
    assert relative_error(found[1][2], found[0][2]) < 1e-12
    assert found[0][0] != found[0][1]


@functools.cache
def of_any_length(kind, units=32):
    """A network of T steps, derived once for all numbers of them."""
    layers = [getattr(L, kind)(units, return_sequences=False), L.Dense(7)]
    network = gl.Sequential(layers, (gl.Dim("T"), 3), loss=LABELS)
    derive = functools.cache(network.derive)
    network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
    return network


def rows_of(kind, length, checkpoint):
    """Numbers of the workspace for each row of the batch."""
    source = generate(of_any_length(kind), sizes={"T": length}, checkpoint=checkpoint).source
    return workspace_of(source, 101) - workspace_of(source, 100)


@pytest.mark.parametrize(("kind", "states"), [("RNN", 1), pytest.param("LSTM", 2, marks=pytest.mark.slow)])
def test_memory_goes_as_segments_and_steps_of_one(kind, states):
    """What grows with T is the state that a segment begins with; what grows with k is the buffers of its steps."""
    units, line = 32, 16
    of_512 = rows_of(kind, 512, 23)
    assert rows_of(kind, 512, None) > 10 * of_512
    more = rows_of(kind, 512 + 23 * 100, 23) - of_512
    assert abs(more - 100 * states * units) <= line
    shorter, longer = rows_of(kind, 1024, 16), rows_of(kind, 1024, 32)
    buffers = (longer - shorter + states * units * 32) / 16  # 32 states fewer, 16 steps more
    assert abs(longer - (states * units * 32 + 32 * buffers)) < 4 * buffers
    assert rows_of(kind, 4096, True) < 2.3 * rows_of(kind, 1024, True)


def test_how_many_steps_are_chosen():
    assert [good_length(steps) for steps in (1, 2, 3, 512, 100, 97, 30)] == [1, 1, 1, 16, 10, 10, 5]


@pytest.mark.slow  # test_team_orders has segments of time in plain Python
def test_the_bits_do_not_depend_on_the_number_of_threads():
    network = gl.Sequential([L.RNN(7, return_sequences=False)], (7, 2), loss=gl.losses.SquaredError())
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((29, 7, 2)), rng.standard_normal((29, 7))
    found = []
    try:
        for count in (1, 2, 5):
            set_threads(count)
            model = gl.Model(network, seed=2, checkpoint=3)
            history = model.fit(x, y, epochs=2, batch=13, optimizer=gl.optimizers.SGD(lr=0.1), progress=False)
            found.append((history["loss"][-1], model.params.flat.copy()))
    finally:
        set_threads(None)
    for loss, params in found[1:]:
        assert loss == found[0][0]
        np.testing.assert_array_equal(params, found[0][1])


def test_what_has_no_checkpoints():
    dense = gl.Sequential([L.Dense(3)], (5,), loss=LABELS)
    with pytest.raises(UnsupportedError, match="has no recurrence"):
        generate(dense, checkpoint=True)
    both = gl.Sequential([L.Bidirectional(L.RNN(3)), L.Dense(3)], (5, 2), loss=LABELS)
    with pytest.raises(UnsupportedError, match="5 steps forward, 5 steps in reverse"):
        generate(both, checkpoint=2)
    recurrent = gl.Sequential([L.RNN(3), L.Dense(3)], (5, 2), loss=LABELS)
    with pytest.raises(UnsupportedError, match="target 'cpu'"):
        generate(recurrent, target="numpy", checkpoint=2)
    with pytest.raises(UnsupportedError, match="target 'cpu'"):
        gl.Model(recurrent, target="numpy", checkpoint=2)
    with pytest.raises(SizeError, match=r"checkpoint is 6, but .* has 5 steps; take fewer, such as 3"):
        generate(recurrent, checkpoint=6)
    for wrong in (0, -1, 2.5, "2"):
        with pytest.raises(SizeError, match="checkpoint is"):
            recurrent.compile(checkpoint=wrong)
    assert generate(recurrent, checkpoint=False).source == generate(recurrent).source


def test_the_command(tmp_path, capsys):
    model = tmp_path / "model.py"
    model.write_text(
        "import gradloom as gl\n"
        "layers = [gl.layers.RNN(3), gl.layers.Dense(2)]\n"
        "network = gl.Sequential(layers, (16, 2), loss=gl.losses.SquaredError())\n"
    )
    plainly = run_command(capsys, "generate", model)
    by_eight = run_command(capsys, "generate", model, "--checkpoint", "8")
    chosen = run_command(capsys, "generate", model, "--checkpoint", "auto")
    assert [status for status, _, _ in (plainly, by_eight, chosen)] == [0, 0, 0]
    assert "for s in range(2):" in by_eight[1]
    assert "for s in range(4):" in chosen[1]
    assert "h1_kept" not in plainly[1]
    model.write_text(model.read_text() + "training = {'checkpoint': 8}\n")
    assert run_command(capsys, "generate", model)[1] == by_eight[1]
    status, _, err = run_command(capsys, "generate", model, "--checkpoint", "99")
    assert (status, "checkpoint is 99" in err) == (2, True)
