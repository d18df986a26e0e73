"""Rows of a batch that are read where they are: the same bits as of copied rows, and only where nothing else reads."""

from __future__ import annotations

import kernels
import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.codegen.carried.contraction import contraction
from gradloom.codegen.carried.operands import without_compiler
from gradloom.codegen.generate import generate

compiled = numba.njit(error_model="numpy", fastmath={"contract", "arcp", "nsz"})


def products(count, inner, width):
    """Forms of x Wᵀ for rows x (i, k), and of δᵀ x: operands' shapes, what is chosen, indices, options."""
    forward = {"i": ((0, 1), inner, 0, width), "o": (width, 0, inner, 1), "k": (inner, 1, 1, 0)}
    weights = {"o": (width, 1, 0, inner), "k": (inner, 0, 1, 1), "i": ((0, 1), width, inner, 0)}
    turned = {"k": (inner, 1, 0, width), "o": (width, 0, 1, 1), "i": ((0, 1), inner, width, 0)}
    x, w, d = (count, inner), (width, inner), (count, width)
    yield (x, w), 0, d, ("dot", "i", "k", forward), {"columns": "o"}
    yield (d, x), 1, w, ("outer", "o", "k", weights), {}
    yield (x, d), 0, (inner, width), ("outer", "k", "o", turned), {}
    for pack in ("right", "both"):
        yield (x, w), 0, d, ("outer", "i", "o", forward), {"pack": pack}
        yield (d, x), 1, w, ("outer", "o", "k", weights), {"pack": pack}
        yield (x, d), 0, (inner, width), ("outer", "k", "o", turned), {"pack": pack}


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 40),
    st.integers(0, 8),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([np.int64, np.int32]),
    st.randoms(use_true_random=False),
)
def test_a_product_of_chosen_rows_is_that_of_copied_ones(count, inner, width, which, real, kind, random):
    shapes, side, goal, (form, rows, vector, indices), options = list(products(count, inner, width))[which]
    product = contraction(form, rows, vector, indices, **options)
    rng = np.random.default_rng(random.randrange(2**32))
    operands = [rng.standard_normal(shape).astype(real) for shape in shapes]
    everything = rng.standard_normal((3 * count, inner)).astype(real)
    chosen = rng.integers(0, 3 * count, count).astype(kind)
    operands[side] = np.ascontiguousarray(everything[chosen])

    @compiled
    def call(left, right, target, count):
        product(left, right, target, count)

    copied = np.full(goal, np.nan, real)
    call(*operands, copied, count)
    found = np.full(goal, np.nan, real)
    call(*(((everything, chosen), operands[1]) if side == 0 else (operands[0], (everything, chosen))), found, count)
    assert np.array_equal(found, copied)
    plainly = np.full(goal, np.nan)
    wide = [operand.astype(float) for operand in operands]
    wide[side] = (everything.astype(float), chosen)
    without_compiler(indices, "")(*wide, plainly, count)
    np.testing.assert_allclose(found, plainly, rtol=0, atol=1e-12 if real == "float64" else 1e-3)


def in_place(network, **options):
    """The names of the data that a step reads where they are."""
    source = generate(network, optimizer=gl.optimizers.SGD(lr=0.1), schedule={"epoch": "calls"}, **options).source
    return [t.name for t in [*network.inputs, *network.targets] if f"({t.name}, rows)" in source]


def test_what_products_alone_read_is_read_in_place():
    L = gl.layers
    squared, entropy = gl.losses.SquaredError(), gl.losses.CrossEntropy()
    assert in_place(gl.Sequential([L.Dense(7, gl.tanh), L.Dense(3)], (13,), loss=squared)) == ["x"]
    assert in_place(gl.Sequential([L.Dense(7, gl.tanh), L.Dense(3)], (13,), loss=entropy)) == ["x"]
    # Also read by an activation; padded first; by a product whose rows are those of all sequences.
    assert in_place(gl.Sequential([L.Activation(gl.tanh), L.Dense(3)], (13,), loss=squared)) == []
    assert in_place(gl.Sequential([L.Conv2D(3, 5, padding=2)], (2, 11, 7), loss=squared)) == []
    assert in_place(gl.Sequential([L.Dense(7, gl.tanh), L.Dense(3)], (5, 13), loss=squared)) == []
    # Rows of one number lie side by side, and so may be vectors.
    assert in_place(gl.Sequential([L.Dense(7, gl.tanh), L.Dense(3)], (1,), loss=squared)) == []


def test_a_kernel_that_computes_the_target_by_a_product_reads_it_in_place_too():
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("projected")
    x, y = net.input("x", (B, n)), net.target("y", (B, n))
    W, V = net.parameter("W", (m, n)), net.parameter("V", (m, n))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) - gl.Sum(V[j, k] * y[i, k], k) + 1)
    net.minimize(gl.Sum(z[i, j] ** 2, i, j) / B)
    assert in_place(net, sizes={"n": 37, "m": 11}) == ["x", "y"]


@pytest.mark.slow
def test_an_epoch_in_any_order_is_that_of_single_steps(tmp_path):
    layers = [gl.layers.Dense(17, gl.tanh), gl.layers.Dense(5)]
    net = gl.Sequential(layers, (29,), loss=gl.losses.SquaredError())
    source = generate(net, optimizer=gl.optimizers.SGD(lr=0.1, momentum=0.9), dtype="float64").source
    assert "(x, rows)" in source
    module = kernels.compiled(source, tmp_path, "chosen")
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((43, 29)), rng.standard_normal((43, 5))
    start = rng.standard_normal(module.TRAINABLE) / 5
    order = rng.permutation(43)[:37]
    work = module.workspace(11)
    hyper = np.array([{"lr": 0.1, "momentum": 0.9}[name] for name in module.HYPER])

    again, other, grads, expected = start.copy(), np.zeros((len(module.STATE), start.size)), np.empty_like(start), 0.0
    for step, begin in enumerate(range(0, 37, 11)):
        rows = order[begin : begin + 11]
        expected += module.loss_and_gradients(again, x[rows], y[rows], work, grads) * len(rows)
        module.update(again, grads, other, hyper, step + 1)

    for threads in (1, 3):
        params, state = start.copy(), np.zeros_like(other)
        total, steps = module.epoch(params, np.empty_like(params), state, x, y, order, 11, hyper, 0, work, threads)
        assert steps == 4
        assert np.array_equal(params, again)
        assert total == pytest.approx(expected, rel=1e-12)
