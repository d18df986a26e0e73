"""Random networks composed of everything, against PyTorch: loss, output, every gradient, on both targets."""

from __future__ import annotations

import pytest
from everyday import daily
from kernels import compiled, plain
from random_compare import check
from random_networks import random_network

from gradloom.codegen.generate import generate


def sources(case, wrt, dtype):
    """Both targets; the compiled one's source is run by Python."""
    for target in ("numpy", "cpu"):
        source = generate(case.network, target=target, dtype=dtype, sizes=case.sizes, wrt=wrt).source
        yield target, plain(source)


@pytest.mark.parametrize("seed", daily(range(12), *range(6)))
def test_random_network(seed):
    check(random_network(seed, most=3), sources)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(12, 24), *range(100, 160)])
def test_many_random_networks(seed):
    check(random_network(seed), sources)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160, 6))
def test_single_precision(seed):
    check(random_network(seed), sources, "float32", 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("seed", range(300, 306))
def test_compiled(seed, dtype, tolerance, tmp_path):
    def modules(case, wrt, dtype):
        source = generate(case.network, target="cpu", dtype=dtype, sizes=case.sizes, wrt=wrt).source
        yield "compiled", compiled(source, tmp_path, f"random_{seed}_{dtype}")

    check(random_network(seed, most=2), modules, dtype, tolerance)
