"""The planned memory of a training step: within a bound of what is needed, and what is planned is what is allocated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernels import plain

import gradloom as gl
from gradloom.codegen.generate import generate

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import BOUND, memory_of, network_of  # noqa: E402

L = gl.layers


def planned(name):
    network, batch, options = network_of(name)
    return memory_of(network, batch, **options)


@pytest.mark.parametrize("name", ["W2", "W9"])
def test_within_the_bound(name):
    """A perceptron, a transformer block; the gradients are not among what is needed."""
    assert planned(name).ratio <= BOUND


def test_deep_perceptrons_keep_their_activations_and_two_deltas():
    layers = [L.Dense(64, gl.tanh) for _ in range(20)]
    found = memory_of(gl.Sequential([*layers, L.Dense(5)], 64, loss=gl.losses.SquaredError()), 1024)
    assert found.workspace <= 1.2 * found.stored
    assert found.ratio <= BOUND


@pytest.mark.parametrize(
    ("name", "most"),
    [("W3", 1.05), ("W4", 1.05), ("W5", 1.4), ("W7", 1.3), ("W6", 1.65), ("W6l", 1.4), ("long√", 0.13)],
)
def test_what_is_beyond_the_bound_stays_where_it_is(name, most):
    """With the gradients counted as needed. In a small network (W7) tensors lie apart, so that threads seldom wait; the
    deltas of all steps of time are there at once. Checkpoints need a fraction of what would be stored."""
    assert planned(name).ratio_with_gradients <= most


def test_recurrences_keep_no_step_that_nothing_reads():
    """Per step and row: six states of an LSTM, and of the backward pass four deltas, the cell's, and two that are made
    for all steps at once; neither sums before an activation, nor the products that they are made of."""
    units = 32
    rows = []
    for length in (64, 128):
        layers = [L.LSTM(units, return_sequences=False), L.Dense(5)]
        network = gl.Sequential(layers, (length, 3), loss=gl.losses.SquaredError())
        rows.append(memory_of(network, 101).workspace - memory_of(network, 100).workspace)
    assert (rows[1] - rows[0]) / (64 * 4 * units) <= 12


def test_the_plan_is_what_is_allocated():
    network = gl.Sequential([L.Dense(17, gl.tanh), L.Dense(5)], (11,), loss=gl.losses.CrossEntropy(targets="labels"))
    optimizer = gl.optimizers.Adam()
    found = memory_of(network, 13, optimizer=optimizer)
    module = plain(generate(network, optimizer=optimizer).source)
    size = sum(int(np.prod(shape)) for _, shape in module.PARAMETERS.values())
    assert found.parameters == found.gradients == 4 * size
    assert found.state == 4 * size * len(module.STATE)
    assert found.workspace == module.workspace(13).nbytes
    assert found.batch == 13 * (4 * 11 + 8)
    assert found.stored == 4 * 13 * (17 + 5)  # the activation of the first layer and the softmax
    assert found.planned == found.parameters + found.state + found.gradients + found.workspace + found.batch
    assert found.need == found.parameters + found.state + found.stored + found.batch


def test_the_command(tmp_path):
    command = [sys.executable, "-m", "benchmarks.memory", "--networks", "W9", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "W9" in done.stdout
    (entry,) = json.loads((tmp_path / "memory.json").read_text()).values()
    assert 1 < entry["ratio"] <= BOUND
