"""The kernel cache: what is written, when it is written anew, what is dropped, and what is compiled."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import time

import pytest

import gradloom as gl
from gradloom.runtime import cache
from gradloom.runtime.cache_space import CacheSpace

SOURCE = "VALUE = {}\n"


@pytest.fixture
def own_directory(tmp_path, monkeypatch):
    """A cache directory of this test's own, chosen through the environment."""
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


@pytest.fixture
def forgotten():
    """Forget the modules loaded in a test, so that a second load reads the disk as a new process would."""
    before = set(sys.modules)

    def forget():
        for name in [name for name in sys.modules if name.startswith(cache.MODULE_PREFIX) and name not in before]:
            del sys.modules[name]

    yield forget
    forget()


def test_module_is_written_and_loaded(own_directory, forgotten):
    module = cache.load_module(SOURCE.format(1), {"target": "numpy"})
    assert module.VALUE == 1
    assert sys.modules[module.__name__] is module
    path = own_directory / f"{module.__name__.removeprefix(cache.MODULE_PREFIX)}.py"
    assert path.read_text() == SOURCE.format(1)
    assert module.__file__ == str(path)
    assert stat.S_IMODE(own_directory.stat().st_mode) == 0o700
    assert cache.load_module(SOURCE.format(1), {"target": "numpy"}) is module


def test_digest_depends_on_source_options_and_versions(monkeypatch):
    options = {"target": "cpu", "sizes": {"n": 3}}
    first = cache.digest_of("a = 1", options)
    assert first == cache.digest_of("a = 1", {"sizes": {"n": 3}, "target": "cpu"})
    assert first != cache.digest_of("a = 2", options)
    assert first != cache.digest_of("a = 1", {"target": "cpu", "sizes": {"n": 5}})
    monkeypatch.setattr(gl, "__version__", "9.9.9")
    assert first != cache.digest_of("a = 1", options)


def test_tampered_file_is_never_run(own_directory, forgotten):
    first = cache.load_module(SOURCE.format(2), {})
    path = own_directory / os.path.basename(first.__file__)
    forgotten()
    path.write_text("raise RuntimeError('tampered')\n")
    compiled = own_directory / "__pycache__"
    compiled.mkdir(exist_ok=True)
    (compiled / f"{path.stem}.loss-1.py311.1.nbc").write_bytes(b"tampered")
    assert cache.load_module(SOURCE.format(2), {}).VALUE == 2
    assert path.read_text() == SOURCE.format(2)
    assert not list(compiled.iterdir())


def test_unchanged_file_is_not_written_again(own_directory, forgotten):
    """Numba takes a newer file for another source: its time of modification must stay."""
    path = own_directory / os.path.basename(cache.load_module(SOURCE.format(3), {}).__file__)
    os.utime(path, (1, 1))
    forgotten()
    cache.load_module(SOURCE.format(3), {})
    assert path.stat().st_mtime == 1
    assert path.stat().st_atime > 1


def test_failing_module_leaves_nothing_loaded(own_directory, forgotten):
    with pytest.raises(ZeroDivisionError):
        cache.load_module("1 / 0", {})
    assert not [name for name in sys.modules if name == cache.MODULE_PREFIX + cache.digest_of("1 / 0", {})]


def entries(directory):
    return sorted(path.stem for path in directory.glob("*.py"))


def fill(space, names, age=1000.0):
    """Put entries, the first used longest ago."""
    for place, name in enumerate(names):
        path = space.put(name, SOURCE.format(place))
        used = time.time() - age + place
        os.utime(path, (used, used))


def test_least_recently_used_entries_go_first(tmp_path):
    fill(CacheSpace(tmp_path, max_entries=10), ["aa", "bb", "cc"])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "aa.loss-1.nbi").write_bytes(b"compiled")
    # The process that put the first three ends: its notes lose their lock.
    for notes in (tmp_path / "in-use").iterdir():
        notes.unlink()
    later = CacheSpace(tmp_path, max_entries=3)
    later.put("dd", "")
    assert entries(tmp_path) == ["bb", "cc", "dd"]
    assert not list((tmp_path / "__pycache__").iterdir())
    later.put("bb", SOURCE.format(1))
    later.put("ee", "")
    assert entries(tmp_path) == ["bb", "dd", "ee"]


def test_bytes_are_bounded(tmp_path):
    fill(CacheSpace(tmp_path), ["aa", "bb", "cc"])
    for notes in (tmp_path / "in-use").iterdir():
        notes.unlink()
    CacheSpace(tmp_path, max_bytes=1000).put("dd", "#" * 985)
    assert entries(tmp_path) == ["cc", "dd"]


def test_entries_in_use_are_kept(tmp_path):
    """Those of this process, and those of another one that still lives; not those of one that has ended."""
    pytest.importorskip("fcntl")
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from gradloom.runtime.cache_space import CacheSpace
        CacheSpace(Path(sys.argv[1])).put(sys.argv[2], "")
        print("ready", flush=True)
        sys.stdin.read()
    """)
    command = [sys.executable, "-c", script, str(tmp_path)]
    living = subprocess.Popen([*command, "living"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert living.stdout.readline() == b"ready\n"
    subprocess.run([*command, "ended"], input=b"", check=True, capture_output=True)
    space = CacheSpace(tmp_path, max_entries=1)
    space.put("mine", "")
    space.put("last", "")
    assert entries(tmp_path) == ["last", "living", "mine"]
    living.communicate(timeout=30)
    space.put("more", "")
    assert entries(tmp_path) == ["last", "mine", "more"]


def test_many_processes_at_once(tmp_path):
    """Processes that put the same and different entries into one small cache all get what they asked for."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from gradloom.runtime.cache_space import CacheSpace
        space = CacheSpace(Path(sys.argv[1]), max_entries=4)
        for number in range(40):
            name = f"entry{(number * int(sys.argv[2])) % 11}"
            path = space.put(name, name * 100)
            assert path.read_text() == name * 100, path
    """)
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(step)], stderr=subprocess.PIPE)
        for step in (1, 3, 7)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert not list(tmp_path.glob(".entry*"))


def test_unusable_chosen_directory_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(gl.CacheError, match="cannot be used"):
        gl.set_cache_dir(tmp_path / "file" / "kernels")
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(gl.CacheError, match="GRADLOOM_CACHE_DIR"):
        gl.cache_dir()


def test_directory_that_everyone_can_write_is_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(gl.CacheError, match="every user"):
        gl.set_cache_dir(shared)


def test_unusable_default_directory_falls_back_with_a_warning(tmp_path, monkeypatch, forgotten):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.delenv("GRADLOOM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(cache, "_temporary", None)
    with pytest.warns(gl.CacheWarning, match="temporary directory"):
        module = cache.load_module(SOURCE.format(4), {})
    assert module.VALUE == 4
    assert not module.__file__.startswith(str(tmp_path))
    # Said once, not at every kernel.
    cache.load_module(SOURCE.format(5), {})


def test_set_cache_dir_comes_before_the_environment(tmp_path, own_directory):
    gl.set_cache_dir(tmp_path / "chosen")
    try:
        assert gl.cache_dir() == tmp_path / "chosen"
    finally:
        gl.set_cache_dir(None)
    assert gl.cache_dir() == own_directory


def test_second_process_compiles_nothing(tmp_path):
    """Numba's own counts: in the second process every kernel comes from the disk, in the first none does."""
    script = textwrap.dedent("""
        import gradloom as gl, numpy as np
        net = gl.Sequential([gl.layers.Dense(3, gl.sigmoid)], input_shape=2, loss=gl.losses.SquaredError())
        model = gl.Model(net)
        model.fit(np.ones((5, 2)), np.ones((5, 3)), epochs=2, batch=2, optimizer=gl.optimizers.SGD(lr=0.1))
        model.predict(np.ones((5, 2))); model.evaluate(np.ones((5, 2)), np.ones((5, 3)))
        hits = misses = 0
        for function in vars(model.program.module).values():
            stats = getattr(function, "stats", None)
            if stats is not None:
                hits += sum(stats.cache_hits.values()); misses += sum(stats.cache_misses.values())
        print(hits, misses)
    """)
    counts = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "GRADLOOM_CACHE_DIR": str(tmp_path / "kernels")},
            capture_output=True,
            text=True,
            check=True,
        )
        counts.append(tuple(map(int, done.stdout.split())))
    (first_hits, first_misses), (second_hits, second_misses) = counts
    assert first_hits == 0
    assert first_misses >= 3
    assert second_misses == 0
    assert second_hits >= 3


@pytest.mark.skipif(os.name == "nt", reason="rights are of another kind")
def test_directory_of_a_group_or_of_another_user_is_refused(tmp_path, monkeypatch):
    import grp
    import pwd

    place = tmp_path / "shared"
    place.mkdir(mode=0o700)
    own = pwd.getpwuid(os.geteuid())
    place.chmod(0o770)
    for members, refused in (([], False), ([own.pw_name], False), ([own.pw_name, "somebody"], True)):
        made = grp.struct_group(("shared", "x", place.stat().st_gid, members))
        monkeypatch.setattr(grp, "getgrgid", lambda group, made=made: made)
        monkeypatch.setattr(pwd, "getpwuid", lambda user: pwd.struct_passwd((*own[:3], place.stat().st_gid, *own[4:])))
        cache._spaces.pop(place, None)
        if refused:
            with pytest.raises(gl.CacheError, match="can be written by the group"):
                gl.set_cache_dir(place)
        else:
            gl.set_cache_dir(place)
    place.chmod(0o700)
    gl.set_cache_dir(None)
    cache._spaces.pop(place, None)
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1 if place.stat().st_uid else 1)
    foreign = os.stat_result((0o40700, 0, 0, 0, 4321, 0, 0, 0, 0, 0))
    assert cache._who_can_write(foreign) == "the user 4321, whose it is"
    assert cache._who_can_write(os.stat_result((0o40700, 0, 0, 0, 0, 0, 0, 0, 0, 0))) is None


def test_directory_with_a_null_byte_is_an_error():
    with pytest.raises(gl.CacheError, match="cannot be used"):
        gl.set_cache_dir("a\0b")
