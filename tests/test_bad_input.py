"""Bad input of every kind, as a person meets it on the command line: one clear message, status 2, nothing lost."""

from __future__ import annotations

import re

import numpy as np
import pytest
from wrong_inputs.data import CLASSES
from wrong_inputs.declarations import DECLARED, GOOD, HEAD, WHOLE
from wrong_inputs.page import plain, rows

import gradloom as gl
from gradloom.cli import main


@pytest.fixture
def command(capsys, tmp_path):
    """Run a command on a MODEL file with this source; return its message."""

    def run(name, source, *arguments):
        path = tmp_path / "model.py"
        path.write_text(source)
        before = sorted(entry.name for entry in tmp_path.iterdir())
        status = main([name, str(path), *map(str, arguments)])
        captured = capsys.readouterr()
        assert status == 2, captured
        assert captured.out == ""
        assert captured.err.startswith("gradloom: error: ")
        assert len(captured.err.splitlines()) <= 2  # a second line may list shapes
        assert "Traceback" not in captured.err
        assert sorted(entry.name for entry in tmp_path.iterdir()) == before
        return captured.err

    return run


def says(message, area, wrong, error=""):
    """The command line says what the page of wrong inputs says, behind the place in the MODEL file."""
    row = rows()[area][wrong]
    return re.search(error + row.pattern, plain(message)) is not None


@pytest.mark.parametrize("wrong", DECLARED)
def test_bad_declarations(command, tmp_path, wrong):
    message = command("derive", HEAD + DECLARED[wrong] + "\n", "-o", tmp_path / "out.txt")
    error = rows()["Declarations"][wrong].error
    assert says(message, "Declarations", wrong, rf"model\.py, line \d+: {error}: "), message


@pytest.mark.parametrize("wrong", WHOLE)
def test_networks_that_cannot_be_derived(command, tmp_path, wrong):
    message = command("derive", HEAD + WHOLE[wrong] + "\n", "-o", tmp_path / "out.txt")
    assert says(message, "Declarations", wrong, "^gradloom: error: "), message


TRAINED = """
import gradloom as gl
network = gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.CrossEntropy(targets="labels"))
training = {"target": "numpy"}
"""


# Seen when the file is read, before the network is asked.
IN_A_FILE = {"Different numbers of rows": ("Files of data", "Arrays of different numbers of rows")}


@pytest.mark.parametrize("wrong", CLASSES)
def test_bad_data(command, tmp_path, wrong):
    x, y = CLASSES[wrong]
    np.savez(tmp_path / "data.npz", X=x, y=y)
    message = command("train", TRAINED, "--data", tmp_path / "data.npz", "--save", tmp_path / "model.npz")
    area, row = IN_A_FILE.get(wrong, ("Arrays", wrong))
    assert says(message, area, row, f"^gradloom: error: ({tmp_path}/)?"), message


def test_bad_settings(command):
    for settings, words in [
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; expected one of gl.optimizers"),
        ({"epochs": 0.5}, "epochs is 0.5"),
        ({"dtype": "float16"}, "dtype float16 is not offered"),
        ({"validation": 2}, "validation is 2"),
        ({"metrics": ["f1"]}, "metric 'f1' is unknown"),
    ]:
        source = TRAINED + "import numpy as np\ndata = (np.ones((4, 2)), np.zeros(4, int))\n"
        assert words in command("train", f"{source}training = {settings!r}\n")


def test_a_failed_training_leaves_the_saved_file(tmp_path, capsys):
    """The model of an earlier run is still there, whole, when a later one diverges or its data are bad."""
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.SquaredError())
    model = gl.Model(net, target="numpy")
    path = tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()
    source = tmp_path / "model.py"
    source.write_text(
        "import gradloom as gl\nimport numpy as np\n"
        "network = gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.SquaredError())\n"
        "data = (np.ones((9, 2)), np.ones((9, 3)))\n"
        "training = {'target': 'numpy', 'optimizer': gl.optimizers.SGD(lr=1e9), 'epochs': 50}\n"
    )
    assert main(["train", str(source), "--save", str(path)]) == 2
    assert "diverged in epoch" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert np.isfinite(gl.Model.load(tmp_path / "model-last-good.npz", net).params.flat).all()
    path.unlink()
    assert main(["train", str(source), "--save", str(path)]) == 2
    assert f"they are saved to {path}" in capsys.readouterr().err
    assert np.isfinite(gl.Model.load(path, net).params.flat).all()


@pytest.mark.parametrize("place", ["", ".", "nodir/x.npz"])
def test_nowhere_to_save_is_said_before_the_training(command, place):
    source = TRAINED + "raise RuntimeError('the file was run')\n"
    assert "cannot write" in command("train", source, "--save", place)
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.SquaredError())
    with pytest.raises(gl.SavedFileError, match="cannot write"):
        gl.Model(net, target="numpy").save(place)


def test_the_network_is_checked_before_the_data(command):
    declared = HEAD
    for source, words in [
        (GOOD, "bad has no loss"),
        (
            'b = network.parameter("b", (m,))\n' + GOOD + "network.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2, i, j))\n",
            "does not depend on parameter b",
        ),
        ('network = gl.Network("none")\nx = network.input("x")\nnetwork.minimize(x**2)\n', "none has no parameters"),
    ]:
        assert words in command("train", declared + source)


def test_bad_sizes_and_counts(command, capsys):
    for settings, words in [
        ({"sizes": ["a"]}, "training has sizes ['a']; expected a dict"),
        ({"shuffle": "no"}, "shuffle is 'no'; expected True or False"),
    ]:
        source = TRAINED + "import numpy as np\ndata = (np.ones((4, 2)), np.zeros(4, int))\n"
        assert words in command("train", f"{source}training = {settings!r}\n")
    assert "--size n=²: expected NAME=N" in command("train", TRAINED, "--size", "n=²")
    assert main(["train", "x.py", "--epochs", "x"]) == 2
    assert "'x': expected a whole number of at least 1" in capsys.readouterr().err
