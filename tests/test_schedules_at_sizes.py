"""Whole networks of sizes 1 to 70 in every dimension, in every schedule, against the target "numpy" in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from kernels import compiled, plain
from scheduled_networks import cases, differences, reference, source_of, train

# Compiled cases are not made smaller: each try would be a compilation.
FREE = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None, "derandomize": True}
SMALL, ANY = {"largest": 7, "limit": 200}, {"largest": 70, "limit": 30_000}


def check(case, load, *threads, calls=True):
    """Losses, gradients and parameters; with `calls` also of a call with all rows, which is compiled once more."""
    source = source_of(case)
    calls = calls or "epoch_by_row" in source  # which leaves no gradients behind
    with np.errstate(all="ignore"):
        found = train(case, load(source), case.dtype, threads, calls)
    wanted = reference(case, calls)
    assert all(np.isfinite(value).all() for value in wanted.values()), case
    wrong = differences(case, found, wanted)
    assert not wrong, f"{case}\n{wrong}"


@settings(max_examples=3, **FREE)
@given(cases(**SMALL, families=["dense", "convolutions", "attention"]))
def test_any_schedule_of_a_small_network_in_plain_python(case):
    check(case, plain)


@pytest.mark.slow
@settings(max_examples=2, phases=[Phase.generate], **FREE)
@given(case=cases(**ANY, families=["dense", "convolutions"]))
def test_any_schedule_of_a_network_of_any_size(case, tmp_path_factory):
    directory = tmp_path_factory.mktemp("kernels")
    check(case, lambda source: compiled(source, directory, directory.name), case.threads, calls=False)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_many_schedules_of_small_networks_in_plain_python(number):
    @seed(number)
    @settings(max_examples=15, **FREE)
    @given(cases(**SMALL))
    def checked(case):
        check(case, plain)

    checked()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_many_schedules_of_networks_of_any_size(number, tmp_path_factory):
    @seed(number)
    @settings(max_examples=3, phases=[Phase.generate], **FREE)
    @given(cases(**ANY))
    def checked(case):
        directory = tmp_path_factory.mktemp("kernels")
        check(case, lambda source: compiled(source, directory, directory.name), case.threads)

    checked()
