"""Generated code against PyTorch: every activation with every loss, at distinct prime sizes, in both precisions.

Three random networks per pair, of depth 1 to 4. Every day the first of them runs in full on the "numpy" target, and the
"cpu" module runs as plain Python, which is the same source and the same arithmetic without the compiler; a choice in
which every activation and every loss stands is compiled. Marked slow: all three, compiled.
"""

from __future__ import annotations

import functools
import itertools
import types

import numba
import numpy as np
import pytest
from oracles import ACTIVATIONS, LOSSES, Case, random_case, relative_error, torch_gradients

import gradloom as gl
from gradloom.codegen.generate import generate

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
PAIRS = list(itertools.product(ACTIVATIONS, LOSSES))
# Walks both lists at once, so every activation and every loss is met.
CHOSEN = [(name, list(LOSSES)[place % len(LOSSES)]) for place, name in enumerate(ACTIVATIONS)]


def made(activation, loss, number):
    """Network `number` of this pair; its derivation is made once, however often code is generated from it."""
    place = PAIRS.index((activation, loss))
    depth = 1 + (place + place // 4 + number) % 4
    case = random_case(activation, loss, np.random.default_rng([place, number]), depth)
    network = case.network
    derive = functools.cache(network.derive)
    network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
    return case


def rounded(case, dtype):
    """The case at values that `dtype` holds exactly, so that only the computation differs."""
    values = {name: v.astype(dtype).astype(float) if v.dtype == float else v for name, v in case.values.items()}
    return Case(case.network, values, case.activation, case.loss, case.depth)


def check(case, program, dtype):
    names = [parameter.name for parameter in case.network.parameters]
    case = rounded(case, dtype)
    expected_loss, expected = torch_gradients(case, tuple(names))
    params = {name: case.values[name] for name in names}
    loss, gradients = program(params, case.values["x"], case.values["y"])
    assert loss == pytest.approx(expected_loss, rel=TOLERANCE[dtype])
    errors = {name: relative_error(gradients[name], expected[name]) for name in names}
    assert max(errors.values()) < TOLERANCE[dtype], errors


def compiled(case, target, dtype):
    return case.network.compile(target=target, dtype=dtype, batch=len(case.values["x"])).loss_and_gradients


def as_plain_python(case, dtype):
    """The "cpu" module without Numba's compiler."""
    source = generate(case.network, target="cpu", dtype=dtype).source
    module = types.ModuleType("plain")
    before, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, True
    try:
        exec(compile(source, "<cpu module>", "exec"), module.__dict__)
    finally:
        numba.config.DISABLE_JIT = before

    def run(params, x, y):
        flat = np.concatenate([params[name].ravel() for name in module.PARAMETERS]).astype(dtype)
        grads = np.full_like(flat, np.nan)
        data = [x.astype(dtype), y if y.dtype.kind == "i" else y.astype(dtype)]
        loss = module.loss_and_gradients(flat, *data, module.workspace(len(x)), grads)
        return loss, {
            name: grads[offset : offset + int(np.prod(shape))].reshape(shape)
            for name, (offset, shape) in module.GRADIENTS.items()
        }

    return run


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_numpy_target_and_cpu_source(activation, loss):
    case = made(activation, loss, 0)
    for dtype in TOLERANCE:
        check(case, compiled(case, "numpy", dtype), dtype)
        check(case, as_plain_python(case, dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "loss"), CHOSEN)
def test_cpu_target(activation, loss, dtype):
    case = made(activation, loss, 1)
    check(case, compiled(case, "cpu", dtype), dtype)


@pytest.mark.parametrize(("activation", "loss"), CHOSEN)
def test_central_differences(activation, loss):
    check_differences(made(activation, loss, 2))


def check_differences(case):
    names = [parameter.name for parameter in case.network.parameters]
    data = {name: case.values[name] for name in ("x", "y")}
    params = {name: case.values[name] for name in names}
    result = gl.gradcheck(case.network, data=data, params=params, target="numpy", entries=12)
    assert result.ok, str(result)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_all_compiled(activation, loss, number):
    case = made(activation, loss, number)
    for dtype in TOLERANCE:
        check(case, compiled(case, "numpy", dtype), dtype)
        check(case, compiled(case, "cpu", dtype), dtype)
    check_differences(case)
