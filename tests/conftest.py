"""Fixtures for the whole suite: one kernel cache for the session, so that equal kernels are compiled once."""

from __future__ import annotations

import gc
import os
import sys

import hypothesis
import numba
import numpy as np
import pytest

# Before SymPy is imported: a suite asks for more different things than one program does, by default for 1000 of a kind.
os.environ.setdefault("SYMPY_CACHE_SIZE", "20000")

# SymPy and Numba make many small objects that live long: a tenth of the suite's time went into looking through them.
gc.set_threshold(50_000, 20, 20)
# Nothing is timed in tests.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption("--update", action="store_true", help="write the golden files anew")


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory):
    """A cache directory of the session's own, also for the processes that tests start; parallel workers share it.

    Set GRADLOOM_CACHE_DIR to keep the kernels from one run of the suite to the next.
    """
    if "GRADLOOM_CACHE_DIR" in os.environ:
        yield
        return
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    directory = base / "kernels"
    directory.mkdir(mode=0o700, exist_ok=True)
    os.environ["GRADLOOM_CACHE_DIR"] = str(directory)
    yield
    del os.environ["GRADLOOM_CACHE_DIR"]


@pytest.fixture
def one_warp(monkeypatch):
    """CUDA kernels are generated for blocks of one warp, of which a simulated device has more than enough."""
    from simulated import small_tiles

    small_tiles(monkeypatch)


@pytest.fixture
def without_compiler(monkeypatch):
    """What is compiled in a test runs as plain Python: the same sources and arithmetic, without waiting for Numba.

    For tests of what is computed, at small sizes; that compiled code computes the same is proved by others.
    """
    from gradloom.runtime.cache import MODULE_PREFIX

    def kernels():
        return [name for name in sys.modules if name.startswith(MODULE_PREFIX)]

    for name in kernels():  # compiled earlier: of this test they are none
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    with np.errstate(all="ignore"):  # compiled code sets no warnings either
        yield
    for name in kernels():
        del sys.modules[name]
