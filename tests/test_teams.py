"""Training by several threads: the same bits as by one, whatever the network is made of."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace

import numpy as np
import pytest

import gradloom as gl
from gradloom.codegen import teams
from gradloom.codegen.generate import generate
from gradloom.runtime.threads import SURE, WORTH, Team, set_threads, team_for, threads_for
from gradloom.symbolic.errors import DataError

L = gl.layers

NETWORKS = {
    "dense": ([L.Dense(17, gl.gelu), L.Dense(13, gl.tanh), L.Dense(5)], (11,)),
    "wide": ([L.Dense(257, gl.tanh), L.Dense(5)], (301,)),  # threads share columns of the first product
    "normalised": ([L.Dense(17), L.BatchNorm(), L.Activation(gl.relu), L.Dropout(0.3), L.Dense(5)], (11,)),
    "convolutions": (
        [L.Conv2D(3, 3, activation=gl.relu, padding=1), L.MaxPool2D(2), L.Flatten(), L.Dense(5)],
        (2, 6, 8),
    ),
    "recurrent": ([L.LSTM(7), L.Flatten(), L.Dense(5)], (9, 3)),
    "attention": ([L.TransformerBlock(4, 2, 11), L.Flatten(), L.Dense(5)], (7, 4)),
    "row_normalised": ([L.Dense(17, gl.silu), L.LayerNorm(), L.Dense(5)], (11,)),
}


@pytest.fixture
def threads():
    yield set_threads
    set_threads(None)


OPTIMIZERS = {"apart": gl.optimizers.Adam(clip_norm=0.1), "shared": gl.optimizers.SGD(lr=0.1, momentum=0.9)}


@pytest.mark.slow  # test_team_orders looks for races every day, in plain Python
@pytest.mark.parametrize(
    ("name", "workspace"), [(name, ("apart", "shared")[at % 2]) for at, name in enumerate(NETWORKS)]
)
def test_the_bits_do_not_depend_on_the_number_of_threads(name, workspace, threads):
    layers, shape = NETWORKS[name]
    network = gl.Sequential(
        layers, shape, loss=gl.losses.CrossEntropy(targets="labels"), penalties=[gl.losses.L2(0.01)]
    )
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((41, *shape)), rng.integers(0, 5, 41)
    found = []
    for count in (1, 2, 5, 64):
        threads(count)
        model = gl.Model(network, seed=2, schedule={"workspace": workspace})
        history = model.fit(x, y, epochs=2, batch=13, optimizer=OPTIMIZERS[workspace], progress=False)
        found.append((history["loss"][-1], model.params.flat.copy()))
    for loss, params in found[1:]:
        assert loss == found[0][0]
        np.testing.assert_array_equal(params, found[0][1])


def test_columns_are_shared_where_they_lie_side_by_side_alone():
    """Of a convolution's map the channels do not, and vectors along them are stored number by number."""
    layers = [L.Conv2D(64, 3), L.Flatten(), L.Dense(257, gl.tanh), L.Dense(5)]
    network = gl.Sequential(layers, (32, 9, 9), loss=gl.losses.SquaredError())
    source = generate(network, optimizer=gl.optimizers.SGD(lr=0.1)).source
    declared = re.findall(r'= contraction\("outer", ".*?", "(.*?)", (\{.*?\}).*shared="(.*?)"', source)
    found = [ast.literal_eval(indices)[shared] for vector, indices, shared in declared if shared == vector]
    assert found
    assert all(target == 1 for _, _, _, target in found)


def test_steps_over_time_are_shared_by_rows_however_large_their_products(monkeypatch):
    monkeypatch.setattr(teams, "COPYING", 0)
    monkeypatch.setattr(teams, "STRIPS", 1)
    network = gl.Sequential([L.RNN(67)], (5, 3), loss=gl.losses.SquaredError())
    source = generate(network, schedule={"products": {"z1": "outer packed"}}).source
    of_steps = [line for line in source.splitlines() if "product_" in line and "(h1, " in line]
    assert of_steps
    assert all(line.endswith("B, first, last)") for line in of_steps)


def test_a_loss_that_is_not_finite_stops_all_threads(threads):
    threads(3)
    network = gl.Sequential([L.Dense(17, gl.relu), L.Dense(5)], (11,), loss=gl.losses.SquaredError())
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((41, 11)), rng.standard_normal((41, 5))
    model = gl.Model(network, seed=2)
    with pytest.raises(gl.DivergenceError):
        model.fit(x, y, epochs=50, batch=13, optimizer=gl.optimizers.SGD(lr=1e9), progress=False)
    assert np.isfinite(model.params.flat).all()


@pytest.mark.parametrize(
    ("speed", "settled", "tried"),
    [
        ({8: 1.0, 4: 2.0, 2: 0.1, 1: 0.1}, 8, [8, 4]),  # fewer are slower: nothing else is tried
        ({8: 4.0, 4: 3.0, 2: 2.0, 1: 1.0}, 1, [8, 4, 2, 1]),
        ({8: 4.0, 4: 3.0, 2: 3.5, 1: 1.0}, 4, [8, 4, 2]),
    ],
)
def test_a_team_settles_on_what_the_clock_says(speed, settled, tried):
    team, counts = Team(8, [4, 2, 1]), []
    for _ in range(100):
        counts.append(team.count)
        if team.is_settled:
            break
        compiling = 50.0 if team.count not in counts[:-1] else 0.0
        team.took(compiling + 7 * speed[team.count], 7)
    assert team.is_settled
    assert team.count == settled
    assert list(dict.fromkeys(counts)) == tried


def test_a_team_tries_nothing_before_compiling_has_paid():
    team = Team(2, [1])
    team.took(100.0, 5)
    for _ in range(9):
        team.took(10.0, 5)
        assert team.count == 2
    team.took(10.0, 5)
    assert team.count == 1


def test_a_training_that_tries_teams_gives_the_same_bits(threads, monkeypatch):
    """Every call of the kernel takes a second by this clock: four by two threads, four by one, and then two again."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((23, 11)), rng.standard_normal((23, 5))

    def trained():
        model = gl.Model(gl.Sequential([L.Dense(7, gl.tanh), L.Dense(5)], (11,), loss=gl.losses.SquaredError()), seed=3)
        model.fit(x, y, epochs=11, batch=5, optimizer=gl.optimizers.SGD(lr=0.1), progress=False)
        return model.params.flat, model.trainer(None, 5).team

    threads(1)
    alone, _ = trained()
    threads(None)
    team, counts = Team(2, [1]), []
    monkeypatch.setattr("gradloom.runtime.program.team_for", lambda *_: team)
    clock = SimpleNamespace(perf_counter=lambda: counts.append(team.count) or len(counts))
    monkeypatch.setattr("gradloom.runtime.training.time", clock)
    found, used = trained()
    assert used is team
    assert team.is_settled
    assert set(counts[:8:2]) == {2}
    assert set(counts[8:16:2]) == {1}
    assert np.array_equal(found, alone)


def test_calls_that_did_no_step_say_nothing_of_speed():
    team = Team(2, [1])
    for _ in range(50):
        team.took(10.0, 0)
    assert team.count == 2


def test_what_a_team_may_try(threads, monkeypatch):
    monkeypatch.setattr("gradloom.runtime.threads.os.sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert team_for(WORTH).is_settled  # one thread
    team = team_for(6 * WORTH)
    assert (team.count, team.is_settled) == (6, False)
    assert team_for(2 * SURE).is_settled
    threads(3)
    assert team_for(6 * WORTH).count == 3
    assert team_for(6 * WORTH).is_settled


def test_how_many_threads(threads, monkeypatch):
    assert threads_for(1) == 1
    threads(7)
    assert threads_for(1) == 7
    threads(None)
    monkeypatch.setenv("GRADLOOM_NUM_THREADS", "3")
    assert threads_for(1) == 3
    monkeypatch.setenv("GRADLOOM_NUM_THREADS", "many")
    with pytest.raises(DataError, match="GRADLOOM_NUM_THREADS is 'many'"):
        threads_for(1)
    for wrong in (0, 1.5, True, "2"):
        with pytest.raises(DataError, match="count is"):
            set_threads(wrong)
