"""MODEL files: how they are read, and every kind that is refused."""

from __future__ import annotations

import sys

import pytest
from small_models import MODEL, run


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(MODEL)
    return path


BAD_FILES = [
    ("x = 1\n", "defines no network named 'network'; define one"),
    ("import gradloom as gl\nnet = gl.Network()\n", "it defines net: give"),
    ("network = 3\n", "network is 3, not a network"),
    ("def f(:\n", "line 1: SyntaxError"),
    ("x = 1\nraise RuntimeError('oh no')\n", "line 2: RuntimeError: oh no"),
    ("def f():\n    return 1 / 0\n\nf()\n", "line 2: ZeroDivisionError: division by zero"),
    ("import sys\nsys.exit('enough')\n", "line 2: SystemExit: enough"),
    ("import absent_module\n", "line 1: ModuleNotFoundError"),
    ("import gradloom as gl\nnetwork = gl.Network('a b')\n", "line 2: NameTakenError: 'a b' cannot name"),
    (MODEL + "training = {'lr': 3}\n", "training has no setting 'lr'; there are seed"),
    (MODEL + "training = 3\n", "training is 3; expected a dict"),
    (MODEL + "data = 3\n", "data must be a pair (X, Y)"),
    (MODEL + "def data():\n    raise OSError('no disk')\n", "OSError: no disk"),
    (MODEL + "report = 3\n", "report is 3; expected a function"),
]


@pytest.mark.parametrize(("source", "words"), BAD_FILES, ids=[words for _, words in BAD_FILES])
@pytest.mark.parametrize("command", ["train", "derive"])
def test_bad_model_files(capsys, tmp_path, command, source, words):
    path = tmp_path / "bad.py"
    path.write_text(source)
    status, out, err = run(capsys, command, path)
    assert (status, out) == (2, "")
    assert err.startswith("gradloom: error: ")
    assert str(path) in err
    assert words in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_undecodable_model_file(capsys, tmp_path):
    path = tmp_path / "bad.py"
    path.write_bytes(b"x = '\xff'\n")
    status, _, err = run(capsys, "derive", path)
    assert status == 2
    assert "SyntaxError" in err


def test_missing_model_file(capsys, tmp_path):
    for argument in (tmp_path / "absent.py", f"{tmp_path / 'absent.py'}:net"):
        status, _, err = run(capsys, "derive", argument)
        assert status == 2
        assert "does not exist; expected a Python file" in err
    status, _, err = run(capsys, "derive", tmp_path)
    assert status == 2
    assert "is a directory" in err


def test_model_file_may_import_its_neighbours(capsys, model):
    (model.parent / "units_for_test.py").write_text("UNITS = 5\n")
    model.write_text("from units_for_test import UNITS\n" + model.read_text().replace("Dense(4", "Dense(UNITS"))
    before = list(sys.path)
    try:
        assert run(capsys, "derive", model)[0] == 0
    finally:
        sys.modules.pop("units_for_test", None)
    assert sys.path == before
    assert not (model.parent / "__pycache__" / f"small.{sys.implementation.cache_tag}.pyc").exists()


@pytest.mark.parametrize("name", ["x" * 300 + ".py", "/".join(["folder"] * 999) + ".py:network", "a\0b.py"])
def test_names_that_no_file_can_have(capsys, model, name):
    status, _, err = run(capsys, "derive", name)
    assert (status, err.count("\n")) == (2, 1)
    assert "does not exist; expected a Python file" in err
    status, _, err = run(capsys, "check", model, name.partition(":")[0])
    assert (status, err.count("\n")) == (2, 1)
    assert "does not exist; expected a file of formulas" in err


def test_no_other_file_is_run(capsys, tmp_path, monkeypatch):
    """Neither a module of that name nor a part of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()
    for name in ("model.py", "package/__init__.py", "package/model.py", "network.py"):
        (tmp_path / name).write_text("raise RuntimeError('it was run')\n")
    for name in ("package.model:network", "package.model", "model", "model:network", "package", "$(model.py)",
                 "`model.py`",
                 "model.py;network.py", "file://model.py"):  # fmt: skip
        status, _, err = run(capsys, "derive", name)
        assert status == 2
        assert "expected a Python file" in err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{'optimizer': []}", "optimizer is []; expected one of gl.optimizers"),
        ("{'batch': 'x'}", "batch is 'x'; expected a whole number"),
        ("{'dtype': {'a': 1}}", "dtype {'a': 1} is not offered"),
        ("{'sizes': {'n': 0.5}}", "size n is 0.5; expected a whole number"),
    ],
)
def test_settings_are_checked_before_code_is_generated(capsys, model, settings, words):
    model.write_text(model.read_text() + f"\ntraining = {settings}\n")
    status, out, err = run(capsys, "generate", model)
    assert (status, out) == (2, "")
    assert words in err
