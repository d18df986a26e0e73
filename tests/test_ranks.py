"""Training in several processes: the trajectory of one, together in errors, and nothing lost where one dies.

Those that are compiled, "noisy" in all cases, add up the gradients of the last layer while others are computed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl

HERE = Path(__file__).parent
START = Path(sys.executable).with_name("mpiexec")
pytest.importorskip("mpi4py", reason="mpi4py is not installed")
pytestmark = pytest.mark.skipif(not START.exists(), reason="the package mpich is not installed")

NAMES = ("penalised", "noisy", "sum", "labels", "recurrent")


def together(count, *command):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "GRADLOOM_NUM_THREADS": "1"}
    return subprocess.run(
        [START, "-n", str(count), *map(str, command)], capture_output=True, text=True, timeout=300, env=environment
    )


def run(count, folder, *cases):
    done = together(count, sys.executable, HERE / "ranks_training.py", folder, *cases)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", name="runs")
def trajectories_of_one_and_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run(1, folder, "trajectories")
    run(2, folder, "trajectories", "refused", "unseeded")  # processes take long to start
    return folder


def compare(folder, name, count):
    """Parameters after every epoch, losses and metrics, as of one process, whose kernel trains a whole epoch."""
    with np.load(folder / f"{name}-1.npz") as one, np.load(folder / f"{name}-{count}.npz") as several:
        assert one["parameters"].shape[0] == 3
        assert set(several.files) == set(one.files)
        for key in one.files:
            np.testing.assert_allclose(several[key], one[key], rtol=1e-11, atol=1e-13, err_msg=f"{key} {count}")


@pytest.mark.parametrize("name", NAMES)
def test_the_trajectory_of_one_process(runs, name):
    compare(runs, name, 2)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4])
def test_the_trajectory_of_more(runs, count):
    """The last mini-batch has fewer rows than there are processes."""
    run(count, runs, "trajectories", "refused")
    for name in NAMES:
        compare(runs, name, count)


def test_errors_are_raised_by_all(runs):
    lines = (runs / "refused-2.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "mixed",
        "data",
        "diverged",
        "folder",
        "callback",
        "overlap",
        "choice",
    ]
    assert "a row needs mu2, which is made of all rows" in lines[0]
    assert "the data of rank 1 is not that of rank 0; give the same to all 2 processes" in lines[1]
    assert "overlap is True, but target 'numpy' cannot do that; it is for target 'cpu': give overlap=False" in lines[5]
    assert "overlap of rank 1 is not that of rank 0" in lines[6]


def uninterrupted(folder):
    folder.mkdir()
    run(1, folder, "checkpointed", "checkpointed")
    with np.load(folder / "resumed.npz") as whole:
        return dict(whole)


@pytest.mark.slow
def test_a_checkpoint_of_four_is_resumed_by_three(tmp_path):
    run(4, tmp_path, "checkpointed")
    run(3, tmp_path, "checkpointed")
    whole = uninterrupted(tmp_path / "whole")
    with np.load(tmp_path / "resumed.npz") as found:
        np.testing.assert_allclose(found["end"], whole["end"], rtol=1e-11)
        np.testing.assert_allclose(found["loss"], whole["loss"], rtol=1e-11)


@pytest.mark.slow
def test_one_that_dies_ends_all_and_its_checkpoint_stands(tmp_path):
    done = together(4, sys.executable, HERE / "ranks_training.py", tmp_path, "dying")
    assert done.returncode == 9, done.stderr
    assert "BAD TERMINATION" in done.stdout + done.stderr
    assert gl.Checkpoints(tmp_path / "run").files()
    run(2, tmp_path, "checkpointed")
    whole = uninterrupted(tmp_path / "whole")
    with np.load(tmp_path / "resumed.npz") as found:
        np.testing.assert_allclose(found["end"], whole["end"], rtol=1e-11)


def test_one_that_fails_ends_all_and_says_why(tmp_path):
    done = together(2, sys.executable, HERE / "ranks_training.py", tmp_path, "failing")
    assert done.returncode == 2
    assert "gradloom: rank 1 of 2 ends all processes: Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


MODEL = """
import numpy as np
import gradloom as gl

network = gl.Sequential([gl.layers.Dense(2)], 3, loss=gl.losses.SquaredError(), name="many")
rng = np.random.default_rng(0)
data = rng.normal(size=(29, 3)), rng.normal(size=(29, 2))
training = {"target": "numpy", "dtype": "float64", "batch": 5, "epochs": 4}
"""


@pytest.mark.slow
def test_the_command_line(tmp_path):
    model = tmp_path / "model.py"
    model.write_text(MODEL)
    texts = []
    for count in (1, 2):
        done = together(count, sys.executable, "-m", "gradloom", "train", model, "--save", tmp_path / f"{count}.npz")
        assert done.returncode == 0, done.stderr
        texts.append(re.sub(r"saved to .*", "", done.stdout))
    assert texts[0] == texts[1]
    assert texts[0].count("epoch") == 1
    with np.load(tmp_path / "1.npz") as one, np.load(tmp_path / "2.npz") as two:
        np.testing.assert_allclose(two["parameter.W1"], one["parameter.W1"], rtol=1e-12)


@pytest.mark.slow
def test_errors_of_the_command_line(tmp_path):
    done = together(2, sys.executable, "-m", "gradloom", "train", tmp_path / "none.py")
    assert done.returncode == 2
    assert re.search(r"rank 0 of 2 ends all processes: error: MODEL file .* does not exist", done.stderr)
    assert "Traceback" not in done.stderr
