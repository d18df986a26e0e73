"""The vectorisable functions of compiled modules: errors in ulps, special values, vectors, and how they are carried."""

from __future__ import annotations

import ast
import json
import math
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from elementary_cases import BOUNDS, FLAGS, FORMATS, every, exact_float64, loop, some_float64, worst
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

import gradloom as gl
from gradloom.codegen.carried import ELEMENTARY, NOTHING, carry, elementary
from gradloom.codegen.generate import generate

INF, NAN = math.inf, math.nan
BOTH = pytest.mark.parametrize("dtype", FORMATS)
# Arguments, and what C's functions give for them.
SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e30, INF), (-1e30, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (NAN, NAN), (1e30, INF), (-1e30, -1.0)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN), (1e30, 1.0), (-1e30, -1.0)],
    "logistic": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (1e30, 1.0), (-1e30, 0.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (NAN, NAN), (1.0, 0.0), (-1.0, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, NAN), (NAN, NAN), (-1.0, -INF), (-2.0, NAN)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN), (1e30, 1.0), (-1e30, -1.0)],
    "erfc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (NAN, NAN), (1e30, 0.0), (-1e30, 2.0)],
}


@BOTH
@pytest.mark.parametrize("name", BOUNDS)
def test_errors(name, dtype):
    assert worst(name, dtype) <= BOUNDS[name]


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("name", BOUNDS)
def test_errors_over_many_more_arguments(name, dtype):
    assert worst(name, dtype, density=40) <= BOUNDS[name]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 processors")
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3"])
def test_errors_without_fused_products_and_with_narrower_vectors(processor):
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "+sse2"}
    program = Path(__file__).with_name("elementary_cases.py")
    made = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(made.stdout)
    assert len(found) == len(BOUNDS) * len(FORMATS)
    assert not {key: error for key, error in found.items() if error > BOUNDS[key.split()[0]]}


@BOTH
@pytest.mark.parametrize("name", BOUNDS)
def test_special_values(name, dtype):
    arguments, expected = np.array(SPECIAL[name], dtype).T
    found = loop(name)(np.ascontiguousarray(arguments))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[:4]), np.signbit(expected[:4]))


@BOTH
@pytest.mark.parametrize("name", ["expm1", "tanh", "log1p", "erf"])
def test_small_arguments_keep_their_digits(name, dtype):
    smallest, tiny = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny
    x = np.array([smallest, -smallest, 3 * smallest, tiny / 8, -tiny, 5 * tiny], dtype)
    slope = 2 / math.sqrt(math.pi) if name == "erf" else 1.0
    np.testing.assert_allclose(loop(name)(x), slope * x, rtol=2e-7 if dtype == "float32" else 4e-16, atol=smallest)


@BOTH
def test_results_underflow_gradually(dtype):
    lowest = {"float32": -103.9, "float64": -745.1}[dtype]
    x = np.linspace(lowest, lowest + 40, 997).astype(dtype)
    exact = np.array([float(mpmath.exp(mpmath.mpf(float(value)))) for value in x])
    tolerance = {"rtol": 2 * float(np.finfo(dtype).eps), "atol": float(np.finfo(dtype).smallest_subnormal)}
    for name in ("exp", "logistic"):
        found = loop(name)(x)
        assert 0 < found[0] < np.finfo(dtype).tiny < found[-1]
        np.testing.assert_allclose(found.astype(float), exact, **tolerance)


@BOTH
def test_log_takes_subnormal_arguments(dtype):
    x = np.finfo(dtype).smallest_subnormal * np.arange(1, 100, dtype=dtype)
    np.testing.assert_allclose(loop("log")(x), np.log(x.astype(np.longdouble)).astype(dtype), rtol=3e-7)


@BOTH
def test_logaddexp(dtype):
    @njit(error_model="numpy", fastmath=FLAGS)
    def apply(x, y, out):
        for i in range(len(x)):
            out[i] = elementary.logaddexp(x[i], y[i])

    def call(x, y):
        out = np.empty_like(x)
        apply(x, y, out)
        return out

    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=5003) * 10 ** rng.uniform(-3, 3, 5003)).astype(dtype), rng.normal(size=5003).astype(dtype)
    wide = [values.astype(np.longdouble) for values in (x, y)]
    eps = float(np.finfo(dtype).eps)
    exact = np.logaddexp(*wide).astype(float)
    # Near 0, where the two parts of the result cancel, the error is that of the parts.
    assert np.all(np.abs(call(x, y) - exact) <= 2 * eps * np.maximum(np.abs(exact), np.maximum(x, y).clip(0.35)))
    softplus = call(np.zeros_like(x), -np.abs(x))
    np.testing.assert_allclose(softplus, np.log1p(np.exp(-np.abs(wide[0]))).astype(float), rtol=2 * eps, atol=1e-44)
    ends = np.array([[INF, INF, INF], [-INF, -INF, -INF], [INF, -INF, INF], [-INF, 2, 2], [NAN, 1, NAN], [1, NAN, NAN]])
    left, right, expected = (np.ascontiguousarray(column) for column in ends.T.astype(dtype))
    np.testing.assert_array_equal(call(left, right), expected)


def vector_instructions(function, kind):
    """Products and quotients of vectors of that kind in the machine-independent code of a compiled function."""
    (code,) = function.inspect_llvm().values()
    return len(re.findall(rf"= f(?:mul|div) .*<\d+ x {kind}>", code))


@BOTH
@pytest.mark.parametrize("name", BOUNDS)
def test_loops_are_vectorised(name, dtype):
    call = loop(name)
    call(np.ones(3, dtype))
    assert vector_instructions(call.compiled, {"float32": "float", "float64": "double"}[dtype]) > 5


def test_a_loop_of_a_library_call_is_not():
    @njit(error_model="numpy", fastmath=FLAGS)
    def apply(x):
        for i in range(len(x)):
            x[i] = math.erfc(x[i])

    apply(np.ones(3))
    assert vector_instructions(apply, "double") == 0


@BOTH
@pytest.mark.parametrize("name", BOUNDS)
def test_an_element_has_the_same_bits_wherever_it_stands(name, dtype):
    """In the vectors of a loop, and among what is left over."""
    call = loop(name)
    x = np.abs(some_float64(20, 5)).clip(0, 1e9).astype(dtype)
    whole = call(x)
    for start in range(0, len(x), 7):
        for length in (1, 2, 3, 5, 13, 37):
            np.testing.assert_array_equal(call(x[start : start + length]), whole[start : start + length])


def test_types_of_arguments():
    @njit
    def apply(integer, single, double):
        return (
            elementary.exp(integer),
            elementary.exp(single),
            elementary.logaddexp(single, double),
            elementary.logaddexp(single, single),
        )

    found = apply(2, np.float32(0.5), 0.25)
    assert found[0] == pytest.approx(math.exp(2), rel=1e-15)
    assert found[1] == pytest.approx(math.exp(0.5), rel=1e-7)
    assert found[2] == pytest.approx(np.logaddexp(0.5, 0.25), rel=1e-15)
    assert [str(kind) for kind in apply.nopython_signatures[0].return_type] == [
        "float64", "float32", "float64", "float32",
    ]  # fmt: skip


def test_formulas_apply_to_vectors():
    """For intrinsics that hold vectors themselves: four lanes, and lane 2 taken out."""

    @intrinsic
    def lane_2(typing_context, x, y):
        def generate(context, builder, signature, arguments):
            vector = ir.Constant(ir.VectorType(ir.FloatType(), 4), [0.0] * 4)
            for lane, value in ((1, arguments[1]), (2, arguments[0])):
                vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
            found = elementary.tanh.emit(elementary.Number(builder, vector)).value
            return builder.extract_element(found, ir.Constant(ir.IntType(32), 2))

        return x(x, y), generate

    @njit
    def apply(x, y):
        return lane_2(x, y)

    x = np.linspace(-3, 3, 41).astype(np.float32)
    expected = loop("tanh")(x)
    np.testing.assert_array_equal([apply(value, np.float32(7)) for value in x], expected)


def test_every_function_that_generated_code_may_call_is_carried():
    public = {name for name in vars(elementary) if hasattr(getattr(elementary, name), "emit")}
    assert public == ELEMENTARY == {*BOUNDS, "logaddexp"}


@pytest.mark.parametrize("name", sorted(ELEMENTARY))
def test_what_is_carried_stands_alone(name):
    carried = carry([name])
    source = "\n".join((*carried.standard, *carried.installed, *carried.lines))
    module: dict = {}
    exec(compile(source, "<carried>", "exec"), module)
    assert module[name].emit.__doc__ == getattr(elementary, name).emit.__doc__
    whole = Path(elementary.__file__).read_text(encoding="utf-8")
    assert set(carried.lines) <= set(whole.splitlines())
    # Nothing is there that is not used.
    defined = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert all(len(re.findall(rf"\b{found}\b", source)) > 1 for found in defined - {name})


def test_carrying_nothing_and_what_is_not_there():
    assert carry([]) == NOTHING
    with pytest.raises(KeyError, match="gamma"):
        carry(["gamma"])


def test_a_module_carries_what_it_calls_and_no_more():
    def source(activation, target="cpu"):
        net = gl.Sequential([gl.layers.Dense(3, activation)], input_shape=(5,), loss=gl.losses.SquaredError())
        return generate(net, target=target).source

    assert "def tanh(" in source(gl.tanh)
    assert "def log(" not in source(gl.tanh)
    assert "class Number" not in source(gl.relu)
    assert "class Number" not in source(gl.tanh, "numpy")


def test_arguments_of_the_tests_reach_everywhere():
    x = every(3989)
    assert np.isnan(x).any()
    assert (x == 0).any() or np.abs(x[np.isfinite(x)]).min() < 1e-42
    assert np.isfinite(exact_float64("exp", x[np.abs(x) < 1])).all()
