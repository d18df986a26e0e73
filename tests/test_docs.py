"""What the documents say runs: the Python blocks of README and docs, the examples in docstrings, the commands named."""

import doctest
import importlib.util
import pkgutil
import re
import shlex
import sys
from pathlib import Path

import pytest

import gradloom as gl
from gradloom.cli import main

ROOT = Path(__file__).parent.parent
# Pages that are one program each, from its first block to the last; below a block stands what it prints.
PROGRAMS = [
    ROOT / "docs" / "tutorial.md",
    ROOT / "docs" / "first_steps.md",
    *sorted((ROOT / "docs" / "how_to").glob("*.md")),
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    if page not in PROGRAMS
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
]
MODULES = [
    f"gradloom.{folder}.{module.name}"
    for folder in ("symbolic", "symbolic.claims", "codegen", "runtime", "runtime.estimators", "runtime.formats")
    for module in pkgutil.iter_modules([str(ROOT / folder.replace(".", "/"))])
] + ["gradloom.sklearn"]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "block", "exec"), {"__name__": "block"})


@pytest.mark.slow
@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)
def test_pages_print_what_stands_in_them(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for beside in Path(__file__).parent.glob("*.py"):  # a page may write a module of the same name
        monkeypatch.delitem(sys.modules, beside.stem, raising=False)
    space = {"__name__": "page"}
    for source, shown in re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", page.read_text(), re.S):
        exec(compile(source, page.name, "exec"), space)
        printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines())
        assert printed == shown.strip(), source


def test_everything_public_is_in_the_reference():
    found = [page for page in (ROOT / "docs" / "reference").glob("*.md") if page.stem != "wrong_input"]
    pages = "\n".join(page.read_text() for page in found)
    named = set(re.findall(r"^::: gradloom\.([\w.]+)$", pages, re.M)) | set(re.findall(r"`(?:gl\.)?(\w+)`", pages))
    modules = {"activations", "datasets", "errors", "initializers", "layers", "losses", "optimizers", "schedules"}
    skipped = () if importlib.util.find_spec("jax") else ("jax.",)
    assert set(gl.__all__) - modules <= named
    assert {f"layers.{name}" for name in gl.layers.__all__ if name[0].isupper()} - {"layers.Place"} <= named
    for name in (name for name in named if not name.startswith(skipped)):
        thing = gl
        for part in name.split("."):
            assert hasattr(thing, part), name
            thing = getattr(thing, part)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_readme_shows_what_is_printed(capsys):
    net = gl.Sequential(
        [gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10)], input_shape=(64,), loss=gl.losses.CrossEntropy()
    )
    d, readme = net.derive(), (ROOT / "README.md").read_text()
    assert f"# {d['W1']}" in readme
    assert f"# {d.delta('z2')}" in readme
    C, H, W, T, n, m = gl.dims("C H W T n m")
    conv = gl.Sequential([gl.layers.Conv2D(8, 3)], (C, H, W), loss=gl.losses.SquaredError())
    lstm = gl.Sequential([gl.layers.LSTM(m, return_sequences=False)], (T, n), loss=gl.losses.SquaredError())
    for line in (conv.derive(["W1"])["W1"], lstm.equation("c1"), lstm.derive()["Uf1"]):
        assert f"# {line}" in readme


def test_commands_of_the_readme_parse(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    commands = re.findall(r"^gradloom (derive|explain|generate)\s+([^#\n]*)", (ROOT / "README.md").read_text(), re.M)
    assert {name for name, _ in commands} >= {"derive", "explain", "generate"}
    for name, options in commands:
        written = ("kernels.py", "page.html")
        arguments = [str(tmp_path / part) if part in written else part for part in options.split()]
        assert main([name, *arguments]) == 0


def test_commands_about_claims_print_what_the_guide_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    guide = (ROOT / "docs" / "check.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", guide, re.S)
    seen = []
    for block in blocks:
        for command, shown in re.findall(r"^\$ (gradloom [^\n]*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            arguments = [
                str(tmp_path / "page.html") if part == "page.html" else part for part in shlex.split(command)[1:]
            ]
            status = main(arguments)
            told = capsys.readouterr()
            seen.append((arguments[0], status))
            assert status in (0, 1, 2), command
            printed = (told.out + told.err).rstrip()
            assert printed.startswith(shown.rstrip().removesuffix("…").rstrip()), command
    assert {status for _, status in seen} == {0, 1, 2}
    assert {name for name, _ in seen} == {"check"}


def test_every_public_name_is_documented():
    missing = [name for name in dir(gl) if not name.startswith("_") and not getattr(gl, name).__doc__]
    assert not missing
