"""A few inputs of each target of `fuzzing`, the same ones each day, and that its oracle sees what must not happen."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from fuzzing.choices import Choices
from fuzzing.oracle import CANARY, Finding, Watch
from fuzzing.target import NAMES, load_target

import gradloom as gl

INPUTS = {"declarations": 20, "claims": 16, "saved": 30, "models": 30, "data": 200}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such timers")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """What a target writes and changes is taken back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_some_inputs_of_each_target(name, kept):
    target = load_target(name, kept)
    watch = Watch(target.call, kept, target.limit, target.may_run)
    drawn = random.Random(f"{name} 1")
    for number in range(INPUTS[name]):
        watch.run(target.seeds[number % len(target.seeds)] if number % 4 == 0 else drawn.randbytes(300))
    assert sum(watch.outcomes.values()) == INPUTS[name]
    assert watch.outcomes.keys() != {"done"}


class Unpickled:
    def __reduce__(self):
        return os.getcwd, ()


def unpickled(choices):
    import pickle

    pickle.loads(pickle.dumps(Unpickled()))


def endless(choices):
    while True:
        choices.below(3)


def swallowed(choices):
    try:
        os.system("true")
    except BaseException:
        raise gl.DataError("all is well") from None


def silent(choices):
    raise gl.DataError("")


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (lambda choices: int("x"), "ValueError"),
        (lambda choices: os.system("true"), "Forbidden: os.system"),
        (lambda choices: exec("1", {}), "Forbidden: exec"),
        (lambda choices: eval(CANARY), "Forbidden: exec"),
        (lambda choices: sys.audit("canary"), "Forbidden: canary"),
        (lambda choices: Path("~/canary").expanduser().write_text(""), "Forbidden: open"),
        (unpickled, "Forbidden: pickle.find_class"),
        (endless, "TooSlow"),
        (swallowed, "Forbidden: os.system"),
        (silent, "AssertionError"),
        (lambda choices: sys.exit(0), "SystemExit"),
    ],
)
def test_the_oracle_sees_planted_faults(fault, seen, tmp_path):
    watch = Watch(fault, tmp_path, 0.3)
    with pytest.raises(Finding, match=seen):
        watch.run(b"")
    assert not watch.outcomes


def test_what_the_oracle_lets_through(tmp_path):
    def target(choices):
        (tmp_path / "a").write_text("x")
        raise gl.DataError("a is no file of numbers")

    watch = Watch(target, tmp_path, 5.0)
    watch.run(b"")
    assert watch.outcomes == {"DataError": 1}


def test_the_same_bytes_make_the_same_choices():
    def made(data):
        choices = Choices(data)
        return choices.text(), choices.number(), choices.altered(b"some content"), choices.pick("abc"), choices.rest()

    data = random.Random(3).randbytes(90)
    assert made(data) == made(data)
    assert made(data) != made(data[::-1])
    assert made(b"")[1:] == (0, made(b"")[2], "a", b"")
