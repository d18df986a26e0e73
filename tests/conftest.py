"""Fixtures for the whole suite: one kernel cache for the session, so that equal kernels are compiled once."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory):
    """A cache directory of the session's own, also for the processes that tests start; shared by parallel workers."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    directory = base / "kernels"
    directory.mkdir(mode=0o700, exist_ok=True)
    before = os.environ.get("GRADLOOM_CACHE_DIR")
    os.environ["GRADLOOM_CACHE_DIR"] = str(directory)
    yield directory
    if before is None:
        del os.environ["GRADLOOM_CACHE_DIR"]
    else:
        os.environ["GRADLOOM_CACHE_DIR"] = before
