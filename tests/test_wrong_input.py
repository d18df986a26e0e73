"""The page of wrong inputs is what happens: each of its rows is done, and all that can be raised is on it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from wrong_inputs import AREAS
from wrong_inputs.case import Place, Proved, Refused
from wrong_inputs.page import PAGE, plain, rows

import gradloom as gl
from gradloom.symbolic.errors import GradloomError

TESTS, ROOT = Path(__file__).parent, Path(__file__).parent.parent
ROWS = rows()
ALL = [(area, wrong) for area, listed in ROWS.items() for wrong in listed]


@pytest.mark.parametrize(("area", "wrong"), ALL, ids=[f"{area}: {wrong}" for area, wrong in ALL])
def test_what_is_wrong_is_said_as_the_page_says_it(area, wrong, tmp_path, monkeypatch):
    assert wrong in AREAS[area], "this row of the page has no case in tests/wrong_inputs"
    case, row = AREAS[area][wrong], ROWS[area][wrong]
    if isinstance(case, Proved):
        proved_elsewhere(case.test, row)
        return
    with pytest.raises((GradloomError, Refused, gl.CacheWarning)) as caught:
        case(Place(tmp_path, monkeypatch))
    kind = "status 2" if caught.type is Refused else caught.type.__name__
    said = plain(str(caught.value).replace(f"{tmp_path}/", "").replace(str(tmp_path), "."))
    assert kind == row.error
    assert row.is_said(said), f"said: {said}\npage: {row.sentence}"


def proved_elsewhere(test, row):
    """The test is there, and what the page says stands in it, as what is to match."""
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    # What the test is made of: itself, with its parameters, and the constants that it names.
    parts = [node for node in tree.body if isinstance(node, ast.Assign) or getattr(node, "name", "") == name]
    assert any(isinstance(part, ast.FunctionDef) for part in parts)
    source = plain(" ".join(map(ast.unparse, parts))).replace("\\", "")
    said = [part.strip() for part in row.sentence.split("…") if part.strip()]
    assert max(map(len, said)) >= 15
    assert [part for part in said if part not in source] == []


def test_every_case_has_its_row():
    assert {area: list(cases) for area, cases in AREAS.items()} == {area: list(listed) for area, listed in ROWS.items()}


def raised_errors():
    """The classes of gradloom's own errors that its source raises: by their names, or made in a function."""
    known, classes = {"GradloomError"}, {}
    trees = [
        ast.parse(path.read_text())
        for pattern in ("symbolic/**/*.py", "codegen/**/*.py", "runtime/**/*.py", "gradloom/*.py")
        for path in ROOT.glob(pattern)
    ]
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    while more := {name for name, bases in classes.items() if bases & known} - known:
        known |= more
    called = {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return known & called


# Caught where they are raised, and told as another error or as a verdict.
INSIDE = {"MismatchError", "NotReadError", "NotSpelledOutError", "MissingNameError", "AmbiguousNameError"}


def test_every_error_is_on_the_page():
    errors = raised_errors()
    assert len(errors) > 20
    errors |= {name for name in gl.__all__ if name.endswith(("Error", "Warning"))}
    page = PAGE.read_text()
    assert sorted(name for name in errors - INSIDE if f"`{name}`" not in page) == []


def test_the_page_is_listed_and_linked():
    assert "reference/wrong_input.md" in (ROOT / "mkdocs.yml").read_text()
    assert "(wrong_input.md)" in (PAGE.parent / "errors.md").read_text()
    assert not re.search(r"/tmp/|/home/|0x[0-9a-f]{6}", PAGE.read_text())
