"""Bad input of every kind, as a person meets it on the command line: one clear message, status 2, nothing lost."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

import gradloom as gl
from gradloom.cli import main

HEAD = """
import sympy
import gradloom as gl
B, n, m = gl.dims("B n m")
i, j, k = gl.indices("i j k")
network = gl.Network("bad")
x = network.input("x", (B, n))
y = network.target("y", (B, m))
W = network.parameter("W", (m, n))
"""
GOOD = 'z = network.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k))\n'

DECLARATIONS = {
    "mismatched shapes": (
        'V = network.parameter("V", (m, 7))\nnetwork.define("z", (i, j), gl.Sum(V[j, k] * x[i, k], k))',
        ["ShapeError", "z[i, j] = Σ_k V[j, k] x[i, k]", "V (m, 7)", "x (B, n)"],
    ),
    "mismatched shapes in a sum of tensors": (
        GOOD + 'network.define("a", (i, j), z[i, j] + x[i, j])',
        ["ShapeError", "a[i, j] = x[i, j] + z[i, j]", "x (B, n)", "z (B, m)"],
    ),
    "wrong number of indices": (GOOD + 'network.define("a", i, z[i])', ["ShapeError", "z", "2 axes", "z[i]"]),
    "index used twice on the left": (
        'network.define("z", (i, i), x[i, i])',
        ["IndexingError", "z", "index i is used twice"],
    ),
    "unbound index": (
        'network.define("z", (i, j), W[j, k] * x[i, k])',
        ["IndexingError", "z", "index k", "neither on the left side nor summed"],
    ),
    "index with no range": (
        'network.define("z", (i, j), 2 * x[i, k])',
        ["IndexingError", "z", "index j"],
    ),
    "tensor used before it is defined": (
        'q = gl.Network("q").parameter("q", (m,))\nnetwork.define("z", j, q[j])',
        ["UndefinedError", "q is used before it is defined"],
    ),
    "tensor without indices": (
        GOOD + 'network.define("a", (i, j), z + y[i, j])',
        ["IndexingError", "z", "without indices"],
    ),
    "name that is taken": ('network.parameter("x", (m,))', ["NameTakenError", "'x' is taken", "input"]),
    "name of a size": ('network.parameter("m", (m,))', ["NameTakenError", "'m'", "taken"]),
    "reserved name": ('network.parameter("lambda", (m,))', ["NameTakenError", "'lambda'", "reserved"]),
    "name of the generated module's own": ('network.parameter("np", (m,))', ["NameTakenError", "'np'", "reserved"]),
    "name that is no identifier": ('network.parameter("W 1", (m,))', ["NameTakenError", "'W 1'", "identifier"]),
    "name that injects code": (
        'network.parameter("W; import os", (m,))',
        ["NameTakenError", "W; import os", "identifier"],
    ),
    "name that injects LaTeX": (r'network.parameter("W}\\input{x", (m,))', ["NameTakenError", "identifier"]),
    "function name that injects code": (
        'gl.elementwise("f(); import os", lambda z: z)',
        ["NameTakenError", "import os", "identifier"],
    ),
    "loss that is not a scalar": (GOOD + "network.minimize(z[i, j] - y[i, j])", ["LossError", "scalar", "i, j"]),
    "loss that is a tensor": (GOOD + "network.minimize(z)", ["LossError", "scalar", "z has shape"]),
    "two losses": (
        GOOD + "network.minimize(gl.Sum(z[i, j], i, j))\nnetwork.minimize(gl.Sum(z[i, j], i, j))",
        ["LossError", "already minimises L"],
    ),
    "no loss": (GOOD, ["bad has no loss", "minimize"]),
    "unused parameter": (
        'b = network.parameter("b", (m,))\n' + GOOD + "network.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2, i, j))",
        ["does not depend on parameter b", "no equation reads it"],
    ),
    "parameter without influence": (
        'b = network.parameter("b", (m,))\n'
        + GOOD
        + "network.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2 + sympy.Piecewise((1, b[j] > 0), (0, True)), i, j))",
        ["does not depend on parameter b", "gradient is 0"],
    ),
    "infinite number": ('network.define("z", (i, j), x[i, k] * sympy.oo)', ["IndexingError", "z", "not a finite"]),
    "shape that is no size": ('network.parameter("V", (2.5,))', ["ShapeError", "V", "2.5"]),
}


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


@pytest.mark.parametrize(("source", "words"), DECLARATIONS.values(), ids=DECLARATIONS.keys())
def test_bad_declarations(command, tmp_path, source, words):
    message = command("derive", textwrap.dedent(HEAD) + source + "\n", "-o", tmp_path / "out.txt")
    for word in words:
        assert word in message, message


TRAINED = """
import gradloom as gl
network = gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.CrossEntropy(targets="labels"))
training = {"target": "numpy"}
"""
X = np.arange(8.0).reshape(4, 2)
LABELS = np.array([0, 1, 2, 1])
DATA = {
    "NaN": (np.where(X == 5, np.nan, X), LABELS, ["x holds NaN at row 2, column 1", "drop those rows"]),
    "infinity": (np.where(X == 5, np.inf, X), LABELS, ["x holds infinity at row 2, column 1"]),
    "wrong width": (np.ones((4, 5)), LABELS, ["x", "5 wide, expected 2", "(B, 2)"]),
    "wrong dtype": (X.astype(str), LABELS, ["x holds <U", "expected real numbers"]),
    "complex": (X * 1j, LABELS, ["x holds complex128"]),
    "labels out of range": (X, LABELS + 1, ["y holds label 3 at row 2", "expected 0…2 for 3 classes", "subtract 1"]),
    "negative labels": (X, -LABELS, ["y holds label -1 at row 1"]),
    "labels that are no integers": (X, LABELS / 2, ["y holds float64", "expected integer labels"]),
    "labels that are words": (X, np.array(["a", "b", "c", "a"]), ["y holds <U1", "expected integers"]),
    "zero rows": (X[:0], LABELS[:0], ["x has no rows"]),
    "different numbers of rows": (X, LABELS[:3], ["3", "4", "rows"]),
}


@pytest.mark.parametrize(("x", "y", "words"), DATA.values(), ids=DATA.keys())
def test_bad_data(command, tmp_path, x, y, words):
    np.savez(tmp_path / "data.npz", X=x, y=y)
    message = command("train", TRAINED, "--data", tmp_path / "data.npz", "--save", tmp_path / "model.npz")
    for word in words:
        assert word in message, message


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
    declared = textwrap.dedent(HEAD)
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
