"""Generated code against PyTorch: every activation with every loss, at distinct prime sizes, in both precisions.

Random networks of depth 1 to 4. Every day, for every other pair of an activation or a loss, one of them runs on the
"numpy" target, and its "cpu" module runs as plain Python: the same source and the same arithmetic without the compiler,
the two precisions in turn. A choice in which every activation and every loss stands is compiled. Marked slow: every
pair in both precisions, so, with central differences; and every third compiled, the two precisions in turn.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from everyday import daily
from kernels import plain, run
from oracles import ACTIVATIONS, LOSSES, Case, random_case, relative_error, torch_gradients

import gradloom as gl
from gradloom.codegen.generate import generate

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
PAIRS = list(itertools.product(ACTIVATIONS, LOSSES))
# Walks both lists at once, so every activation and every loss is met.
CHOSEN = [(name, list(LOSSES)[place % len(LOSSES)]) for place, name in enumerate(ACTIVATIONS)]
# The black squares of a chessboard: every activation with half of the losses, every loss with half of the activations.
DAILY = [pair for place, pair in enumerate(PAIRS) if sum(divmod(place, len(LOSSES))) % 2 == 0]
DTYPES = list(TOLERANCE)


def made(activation, loss, number, depth=None):
    """Network `number` of this pair; its derivation is made once, however often code is generated from it."""
    place = PAIRS.index((activation, loss))
    depth = depth or 1 + (place + place // 4 + number) % 4
    case = random_case(activation, loss, np.random.default_rng([place, number]), depth)
    network = case.network
    derive = functools.cache(network.derive)
    network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
    return case


def rounded(case, dtype):
    """The case at values that `dtype` holds exactly, so that only the computation differs."""
    values = {name: v.astype(dtype).astype(float) if v.dtype == float else v for name, v in case.values.items()}
    return Case(case.network, values, case.activation, case.loss, case.depth)


def numpy_target(case, dtype):
    module = plain(generate(case.network, target="numpy", dtype=dtype).source)
    return run(module, case.network, case.values, dtype)[1:]


def cpu_source(case, dtype):
    """The "cpu" module without Numba's compiler."""
    module = plain(generate(case.network, target="cpu", dtype=dtype).source)
    with np.errstate(all="ignore"):  # compiled code sets no warnings either
        return run(module, case.network, case.values, dtype)[1:]


def cpu_target(case, dtype):
    program = case.network.compile(target="cpu", dtype=dtype, batch=len(case.values["x"]))
    params = {parameter.name: case.values[parameter.name] for parameter in case.network.parameters}
    return program.loss_and_gradients(params, case.values["x"], case.values["y"])


def check(case, dtype, *targets):
    case = rounded(case, dtype)
    expected_loss, expected = torch_gradients(case, tuple(parameter.name for parameter in case.network.parameters))
    for target in targets:
        loss, gradients = target(case, dtype)
        assert loss == pytest.approx(expected_loss, rel=TOLERANCE[dtype])
        errors = {name: relative_error(gradients[name], expected[name]) for name in expected}
        assert max(errors.values()) < TOLERANCE[dtype], (target, errors)


def check_differences(case):
    data = {name: case.values[name] for name in ("x", "y")}
    params = {parameter.name: case.values[parameter.name] for parameter in case.network.parameters}
    result = gl.gradcheck(case.network, data=data, params=params, target="numpy", entries=12)
    assert result.ok, str(result)


@pytest.mark.parametrize(("activation", "loss"), DAILY)
def test_numpy_target_and_cpu_source(activation, loss):
    # Over each row and each column of these pairs the precisions alternate.
    row, column = divmod(PAIRS.index((activation, loss)), len(LOSSES))
    check(made(activation, loss, 0), DTYPES[(row // 2 + column // 2) % 2], numpy_target, cpu_source)


@pytest.mark.parametrize(("activation", "loss"), daily(CHOSEN, *CHOSEN[::2]))
def test_cpu_target(activation, loss):
    # In two layers is each way in which layers follow on one another; what is deeper takes longer to compile.
    place = CHOSEN.index((activation, loss))
    check(made(activation, loss, 1, depth=1 + (place % 6 == 0)), DTYPES[place % 2], cpu_target)


@pytest.mark.parametrize(("activation", "loss"), CHOSEN)
def test_central_differences(activation, loss):
    check_differences(made(activation, loss, 2))


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_everything(activation, loss):
    place = PAIRS.index((activation, loss))
    case = made(activation, loss, place % 3)
    for dtype in DTYPES:
        check(case, dtype, numpy_target, cpu_source)
    if place % 3 == 0:
        check(case, DTYPES[place % 2], cpu_target)
    check_differences(case)
