"""The command line: what it prints, where it writes, and its exit status."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from small_models import MODEL, run

import gradloom as gl
from gradloom.cli import main


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(MODEL)
    return path


# ---- derive ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["matrix", "index"])
@pytest.mark.parametrize("format", ["text", "latex", "markdown"])
def test_derive(capsys, model, form, format):
    status, out, err = run(capsys, "derive", model, "--form", form, "--format", format)
    assert (status, err) == (0, "")
    namespace = {}
    exec(model.read_text(), namespace)
    assert out.rstrip("\n") == getattr(namespace["network"].derive(), format)(form=form).rstrip("\n")


def test_derive_options(capsys, model, tmp_path):
    plain = run(capsys, "derive", model)[1]
    assert run(capsys, "derive", f"{model}:network")[1] == plain
    assert run(capsys, "derive", f"{model}:other")[1] != plain
    assert run(capsys, "derive", model, "--layout", "rows")[1] != plain
    assert len(run(capsys, "derive", model, "--steps")[1]) > len(plain)
    target = tmp_path / "out.tex"
    status, out, _ = run(capsys, "derive", model, "--format", "latex", "--standalone", "-o", target)
    assert (status, out) == (0, "")
    assert target.read_text().startswith("\\documentclass")
    status, _, err = run(capsys, "derive", model, "--standalone")
    assert status == 2
    assert "--standalone makes a LaTeX document" in err


def test_derive_is_the_same_for_every_hash_seed(model):
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "gradloom", command, model, *options],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
        for command, options in [("derive", ["--format", "latex", "--steps"])]
    }
    assert len(outputs) == 1


# ---- generate, gradcheck ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_generate_writes_a_module_that_runs_alone(capsys, model, tmp_path, target):
    path = tmp_path / "kernels.py"
    assert run(capsys, "generate", model, "--target", target, "--dtype", "float64", "-o", path) == (0, "", "")
    assert "gradloom" not in "".join(line for line in path.read_text().splitlines() if "import" in line)
    assert run(capsys, "generate", model, "--target", target, "--dtype", "float64")[1] == path.read_text()
    script = textwrap.dedent("""
        import numpy as np, kernels
        params = np.zeros(sum(int(np.prod(shape)) for _, shape in kernels.PARAMETERS.values()))
        x, y = np.ones((5, 3)), np.ones((5, 2))
        print(kernels.loss(params, x, y, kernels.workspace(5)), hasattr(kernels, "epoch"))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.stdout == "1.0 True\n", done.stderr


def test_gradcheck(capsys, model):
    status, out, err = run(capsys, "gradcheck", model, "--target", "numpy", "--entries", 5)
    assert (status, err) == (0, "")
    assert "5 of 12" in out
    assert "agree with central differences" in out


def test_failed_gradcheck_is_status_1(capsys, model, monkeypatch):
    from gradloom.runtime.program import Program

    right = Program.run_gradients

    def wrong(self, flat, data):
        loss, gradients = right(self, flat, data)
        return loss, {**gradients, "b2": 2 * gradients["b2"]}

    monkeypatch.setattr(Program, "run_gradients", wrong)
    status, out, _ = run(capsys, "gradcheck", model, "--target", "numpy")
    assert status == 1
    assert "The derived gradients of b2 do NOT agree" in out


# ---- train -----------------------------------------------------------------------------------------------------------


def test_train_with_the_files_settings(capsys, model, tmp_path):
    status, out, err = run(capsys, "train", model, "--save", tmp_path / "m.npz")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "small: 26 parameters, SGD(lr=0.1)"
    assert [line.split()[0] for line in lines[1:-1]] == ["epoch", "1", "2", "3"]
    namespace = {}
    exec(model.read_text(), namespace)
    assert gl.Model.load(tmp_path / "m.npz", namespace["network"], target="numpy").epochs == 3


def test_train_with_options(capsys, model, tmp_path):
    np.savez(tmp_path / "data.npz", X=np.ones((10, 3)), y=np.zeros((10, 2)))
    command = ["train", model, "--data", tmp_path / "data.npz", "--epochs", 2, "--batch", 4, "--validation", 0.2]
    status, out, _ = run(capsys, *command, "--optimizer", "momentum", "--lr", 0.05, "--seed", 3, "--dtype", "float64")
    assert status == 0
    assert "SGD(lr=0.05, momentum=0.9)" in out
    assert "val_loss" in out
    status, out, _ = run(capsys, *command, "--lr", 0.0, "--patience", 1)
    assert "SGD(lr=0)" in out


def test_report_is_called_before_and_after_every_epoch(capsys, model):
    model.write_text(model.read_text() + "\n\ndef report(model, epoch):\n    print('epoch', epoch, model.epochs)\n")
    status, out, _ = run(capsys, "train", model)
    assert status == 0
    assert out.splitlines() == ["epoch 0 0", "epoch 1 1", "epoch 2 2", "epoch 3 3"]


def test_sizes_from_the_command_line(capsys, tmp_path):
    path = tmp_path / "sized.py"
    path.write_text(
        textwrap.dedent("""
            import gradloom as gl
            B, n = gl.dims("B n")
            i, k = gl.indices("i k")
            network = gl.Network("sized")
            x, w = network.input("x", (B, n)), network.parameter("w", (n,))
            a = network.define("a", i, gl.Sum(w[k] * x[i, k], k))
            network.minimize(gl.Sum(a[i] ** 2, i) / B)
        """)
    )
    assert run(capsys, "gradcheck", path, "--target", "numpy")[0] == 0
    status, out, _ = run(capsys, "generate", path, "--target", "numpy", "--size", "n=7")
    assert status == 0
    assert "7" in out
    for size, words in [("n", "expected NAME=N"), ("n=x", "expected NAME=N"), ("q=3", "q")]:
        status, _, err = run(capsys, "generate", path, "--size", size)
        assert status == 2
        assert words in err
    status, _, err = run(capsys, "generate", path)
    assert status == 2
    assert "n" in err


# ---- bad input and odd surroundings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["train"],
        ["derive", "x.py", "--form", "round"],
        ["train", "x.py", "--epochs", "-3"],
        ["train", "x.py", "--epochs", "many"],
        ["generate", "x.py", "--target", "abacus"],
    ],
)
def test_bad_arguments(capsys, arguments):
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "usage: gradloom" in err


def test_diverging_training_is_one_message(capsys, model):
    status, _, err = run(capsys, "train", model, "--lr", 1e30, "--epochs", 100)
    assert status == 2
    assert "training diverged in epoch" in err
    assert len(err.splitlines()) == 1


def test_bad_data_is_one_message(capsys, model, tmp_path):
    np.savez(tmp_path / "data.npz", X=np.full((10, 3), np.nan), y=np.zeros((10, 2)))
    status, _, err = run(capsys, "train", model, "--data", tmp_path / "data.npz")
    assert status == 2
    assert "x holds NaN at row 0, column 0" in err


def test_unwritable_output(capsys, model, tmp_path):
    status, _, err = run(capsys, "derive", model, "-o", tmp_path / "absent" / "out.txt")
    assert status == 2
    assert "cannot write" in err


def test_unexpected_errors_show_no_traceback(capsys, model, monkeypatch):
    def broken(*_):
        raise RuntimeError("something inside")

    monkeypatch.setattr(gl.Network, "derive", broken)
    status, _, err = run(capsys, "derive", model)
    assert status == 2
    assert err == "gradloom: unexpected RuntimeError: something inside (gradloom --debug … shows where)\n"
    with pytest.raises(RuntimeError):
        main(["--debug", "derive", str(model)])


def test_help_and_version(capsys):
    status, out, _ = run(capsys, "--version")
    assert (status, out) == (0, f"gradloom {gl.__version__}\n")
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for command in ("demo", "derive", "generate", "train", "gradcheck"):
        assert command in out


def test_reader_that_stops_reading(model):
    """``gradloom derive … | head -1`` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gradloom", "derive", model], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == b""


def test_terminal_without_unicode(model):
    done = subprocess.run(
        [sys.executable, "-m", "gradloom", "derive", model],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# ---- demo ------------------------------------------------------------------------------------------------------------


def test_demo(capsys, tmp_path):
    """On a small data set of two separable classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    images = (rng.integers(0, 60, (200, 3, 3)) + 190 * labels[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "two.npz", images=images, labels=labels)
    status, out, err = run(capsys, "demo", "--data", tmp_path / "two.npz", "--out", tmp_path / "demo")
    assert (status, err) == (0, "")
    assert "Test accuracy 100.00%" in out
    written = {path.name for path in (tmp_path / "demo").iterdir()}
    assert written == {"derivation.md", "derivation.tex", "kernels.py", "model.npz", "network.svg", "training.png"}
    assert (tmp_path / "demo" / "training.png").read_bytes().startswith(b"\x89PNG")
    compile((tmp_path / "demo" / "kernels.py").read_text(), "kernels.py", "exec")


def test_demo_with_bad_data(capsys, tmp_path):
    np.savez(tmp_path / "bad.npz", X=np.ones((20, 3)), y=np.linspace(0, 1, 20))
    status, _, err = run(capsys, "demo", "--data", tmp_path / "bad.npz", "--out", tmp_path / "demo")
    assert status == 2
    assert "the labels must be whole numbers" in err
    (tmp_path / "file").write_text("in the way")
    status, _, err = run(capsys, "demo", "--out", tmp_path / "file")
    assert status == 2
    assert "cannot write to" in err


@pytest.mark.slow
def test_demo_on_digits_from_a_cold_cache(tmp_path):
    """At least 96 % on scikit-learn's digits."""
    done = subprocess.run(
        [sys.executable, "-m", "gradloom", "demo", "--out", tmp_path / "demo"],
        env={**os.environ, "GRADLOOM_CACHE_DIR": str(tmp_path / "kernels")},
        capture_output=True,
        text=True,
        check=True,
    )
    accuracy = float(done.stdout.rsplit("Test accuracy ", 1)[1].split("%")[0])
    assert accuracy >= 96


# ---- check -----------------------------------------------------------------------------------------------------------


RIGHT = r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)} (a^{(1)})^\top"
WRONG = r"\frac{\partial L}{\partial W^{(2)}} = -\delta^{(2)} (a^{(1)})^\top"


def test_check_answers_with_its_status(capsys, model):
    status, out, err = run(capsys, "check", model, RIGHT)
    assert (status, err) == (0, "")
    assert out.startswith("✓ Equal.")
    status, out, err = run(capsys, "check", model, WRONG)
    assert (status, err) == (1, "")
    assert "The likely mistake" in out
    status, out, _ = run(capsys, "check", model, WRONG, "--no-explain")
    assert status == 1
    assert "The likely mistake" not in out
    status, out, err = run(capsys, "check", model, r"\frac{\partial L}{\partial V} = 3")
    assert (status, out) == (2, "")
    assert re.search(r"V is not known.*\n +\\frac.*\n +\^", err)
    status, out, err = run(capsys, "check", model, r"\delta^{(2)} = (a")
    assert (status, out) == (2, "")
    assert "^" in err.splitlines()[-1]


def test_check_options(capsys, model):
    mean = r"\delta^{(2)} = \frac{1}{m} (z^{(2)} - y)"
    assert run(capsys, "check", model, mean)[0] == 2
    assert run(capsys, "check", model, mean, "--alias", "m=B")[0] == 0
    alone = mean.replace(r"\frac{1}{m}", "")
    assert run(capsys, "check", model, alone)[0] == 1
    assert run(capsys, "check", model, alone, "--single")[0] == 0
    named = r"a^{(1)} = f(z^{(1)})"
    assert run(capsys, "check", model, named, "--function", "f=sigmoid")[0] == 0
    assert run(capsys, "check", model, named, "--function", "f=tanh")[0] == 1
    assert run(capsys, "check", model, named, "--function", "f=sin")[0] == 1
    assert run(capsys, "check", model, RIGHT, "--layout", "rows")[0] == 1
    spelled = r"\frac{\partial L}{\partial W^{(2)}} = \frac{1}{B} (\hat y - y) (a^{(1)})^\top"
    assert run(capsys, "check", model, spelled, "--symbol", r"z2=\hat{y}")[0] == 0
    for options in (["--alias", "m"], ["--function", "f=system"], ["--format", "pdf"], ["--symbol", "=x"]):
        status, out, err = run(capsys, "check", model, RIGHT, *options)
        assert (status, out) == (2, "")
        assert options[-1] in err


def test_check_files(capsys, model, tmp_path):
    (tmp_path / "mine.tex").write_text(f"\\begin{{align}}\n{RIGHT} \\\\\n{WRONG}\n\\end{{align}}\n")
    status, out, _ = run(capsys, "check", model, tmp_path / "mine.tex")
    assert status == 1
    assert out.startswith("✗ 1 of 2 lines is right. The first wrong one is line 3.")
    page = tmp_path / "page.html"
    assert run(capsys, "check", model, tmp_path / "mine.tex", "--format", "html", "-o", page)[:2] == (1, "")
    assert "<h1>Verdict on mine.tex</h1>" in page.read_text()
    (tmp_path / "mine.py").write_text("def dW2(delta2, a1):\n    return delta2.T @ a1\n")
    assert run(capsys, "check", model, tmp_path / "mine.py")[0] == 0
    for name in ("none.tex", "none.md", "none.txt", "none.py"):
        status, _, err = run(capsys, "check", model, tmp_path / name)
        assert status == 2
        assert f"{name} does not exist" in err


def test_check_takes_the_settings_of_the_model_file(capsys, model):
    claim = r"G = \delta^{(2)}"
    assert run(capsys, "check", model, claim)[0] == 2
    before = model.read_text()
    model.write_text(before + 'claims = {"aliases": {"G": r"\\delta^{(2)}"}}\n')
    assert run(capsys, "check", model, claim)[0] == 0
    for settings, words in (
        ("3", "claims is 3"),
        ('{"alias": {}}', "no setting 'alias'"),
        ('{"aliases": 1}', "aliases 1"),
    ):
        model.write_text(before + f"claims = {settings}\n")
        status, _, err = run(capsys, "check", model, claim)
        assert status == 2
        assert words in err


# ---- kernels that a MODEL file or an option chooses ------------------------------------------------------------------

RECURRENT = """
import numpy as np
import gradloom as gl

rng = np.random.default_rng(3)
data = rng.standard_normal((20, 7, 3)), rng.standard_normal((20, 7, 2))
network = gl.Sequential([gl.layers.RNN(5), gl.layers.Dense(2)], (7, 3), loss=gl.losses.SquaredError())
training = {"epochs": 1, "batch": 10, "seed": 1, "dtype": "float64", "optimizer": gl.optimizers.SGD(lr=0.1)}
"""
LOOPS = RECURRENT.replace('"seed": 1', '"seed": 1, "schedule": {"products": {"*": "loops"}}')


@pytest.mark.usefixtures("without_compiler")
def test_checkpoints_and_schedules_reach_the_kernels(capsys, tmp_path):
    path = tmp_path / "recurrent.py"
    path.write_text(RECURRENT)
    plain = run(capsys, "generate", path)[1]
    assert "A segment of time" not in plain
    assert "A segment of time" in run(capsys, "generate", path, "--checkpoint", "3")[1]
    found = []
    for option in ([], ["--checkpoint", "3"]):
        saved = tmp_path / f"model{len(found)}.npz"
        status, _, err = run(capsys, "train", path, "--save", saved, *option)
        assert (status, err) == (0, "")
        found.append(np.load(saved))
    for name in found[0].files:
        if found[0][name].dtype == np.float64:
            np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-12, atol=0)
    path.write_text(LOOPS)
    assert "contraction(" in plain
    assert "contraction(" not in run(capsys, "generate", path)[1]


@pytest.mark.slow  # the same of other kernels every day: test_bench
def test_a_schedule_reaches_the_kernels_that_are_timed(capsys, tmp_path):
    path = tmp_path / "recurrent.py"
    path.write_text(LOOPS)
    status, out, err = run(capsys, "bench", path, "--seconds", "0.01")
    assert (status, err) == (0, "")
    assert "a step of 10 rows" in out


def test_generated_kernels_are_chosen_for_the_batch(capsys, tmp_path):
    path = tmp_path / "dense.py"
    path.write_text(
        "import gradloom as gl\n"
        "layers = [gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10)]\n"
        "network = gl.Sequential(layers, (784,), loss=gl.losses.SquaredError())\n"
        "training = {'batch': 10}\n"
    )
    few = run(capsys, "generate", path)[1]
    assert run(capsys, "generate", path, "--batch", "10")[1] == few
    many = run(capsys, "generate", path, "--batch", "100")[1]
    assert 'product_1 = contraction("dot"' in few
    assert 'product_1 = contraction("outer"' in many
