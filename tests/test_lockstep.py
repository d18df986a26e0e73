"""The lock-step simulator: right results against NumPy, and every fault that it is there for, caught."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lockstep
import numba
import numpy as np
import pytest
from lockstep import Divergence, Failure, LockstepError, Misaligned, OutOfBounds, Promotion, Race

HEAD = """
from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, int32

"""
ORDERS = ["forward", "reverse", 5, 11]


def module(source, **options):
    return lockstep.load(
        HEAD + source, kernels=["kernel"], devices=["device"], collectives={"grid_barrier": "grid"}, **options
    )


def drawn(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def blank(*shape):
    return np.full(shape, np.nan, np.float32)


# Right results.

MATMUL = """
TILE = 8

@device
def inside(i, j, rows, columns):
    return i < rows and j < columns

@kernel
def matmul(a, b, c, n, k, m):
    left = cuda.shared.array((TILE, TILE), float32); right = cuda.shared.array((TILE, TILE), float32)
    x = cuda.threadIdx.x
    y = cuda.threadIdx.y
    j, i = cuda.grid(2)
    total = float32(0.0)
    for first in range(0, k, TILE):
        left[y, x] = a[i * k + first + x] if inside(i, first + x, n, k) else float32(0.0)
        right[y, x] = b[(first + y) * m + j] if inside(first + y, j, k, m) else float32(0.0)
        cuda.syncthreads()  # filled
        for q in range(TILE):
            total += left[y, q] * right[q, x]
        cuda.syncthreads()  # read
    if inside(i, j, n, m):
        c[i * m + j] = total
"""


def matmul(source, n, k, m, order="forward"):
    a, b, c = drawn(1, n, k), drawn(2, k, m), blank(n, m)
    grid = (-(-m // 8), -(-n // 8))
    module(source).launch("matmul", grid, (8, 8), (a.ravel(), b.ravel(), c.ravel(), n, k, m), order=order)
    return a.astype(np.float64) @ b, c


@pytest.mark.parametrize(("n", "k", "m"), [(1, 31, 7), (13, 33, 1), (9, 1, 11)])
def test_tiled_matmul(n, k, m):
    # Both shared arrays are declared on one line.
    expected, c = matmul(MATMUL, n, k, m)
    np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-5)


def test_matmul_has_the_same_bits_in_every_order():
    bits = {matmul(MATMUL, 11, 13, 9, order)[1].tobytes() for order in ORDERS}
    assert len(bits) == 1


REDUCTION = """
@device
def warp_sum(value):
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_down_sync(0xFFFFFFFF, value, distance)
    return value

@device
def block_sum(value):
    parts = cuda.shared.array(2, float32)
    value = warp_sum(value)
    if cuda.laneid == 0:
        parts[cuda.threadIdx.x // 32] = value
    cuda.syncthreads()
    return parts[0] + parts[1]

@kernel
def total(x, partial, out, n, barrier):
    value = float32(0.0)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        value += x[i]
    value = block_sum(value)
    if cuda.threadIdx.x == 0:
        partial[cuda.blockIdx.x] = value
    BARRIER
    value = float32(0.0)
    for block in range(cuda.gridDim.x):
        value += partial[block]
    out[cuda.grid(1)] = value / n if False else value
"""
BARRIERS = {
    "named": "grid_barrier(barrier, cuda.gridDim.x)",
    "cooperative": "cuda.cg.this_grid().sync()",
    "kept": "grid = cuda.cg.this_grid()\n    grid.sync()",
}


@pytest.mark.parametrize("barrier", BARRIERS)
def test_two_phase_reduction_over_blocks(barrier):
    reduction = module(REDUCTION.replace("BARRIER", BARRIERS[barrier]))
    x, bits = drawn(3, 997), set()
    for order in ORDERS:
        out = blank(5 * 64)
        reduction.launch("total", 5, 64, (x, blank(5), out, 997, np.zeros(1, np.int32)), order=order)
        bits.add(out.tobytes())
    assert len(bits) == 1
    np.testing.assert_allclose(out, np.full(5 * 64, x.sum(dtype=np.float64)), rtol=1e-5)


def test_shuffles_and_votes():
    source = """
@kernel
def lanes(x, out):
    i = cuda.grid(1)
    v = x[i]
    out[0, i] = cuda.shfl_up_sync(0xFFFFFFFF, v, 3)
    out[1, i] = cuda.shfl_xor_sync(0xFFFFFFFF, v, 5)
    out[2, i] = cuda.shfl_sync(0xFFFFFFFF, v, 37)
    out[3, i] = cuda.popc(cuda.ballot_sync(0xFFFFFFFF, v > float32(0.0)))
    out[4, i] = cuda.all_sync(0xFFFFFFFF, v > float32(-9.0))
    out[5, i] = cuda.any_sync(0xFFFFFFFF, v > float32(9.0))
    out[6, i] = cuda.syncthreads_count(v > float32(0.0))
    if cuda.laneid < 8:
        out[7, i] = cuda.shfl_down_sync(0xFF, v, 1)
"""
    x, out = drawn(4, 64), blank(8, 64)
    module(source).launch("lanes", 1, 64, (x, out))
    lanes, warps = np.arange(32), x.reshape(2, 32)
    got = out.reshape(8, 2, 32)
    np.testing.assert_array_equal(got[0], warps[:, np.where(lanes >= 3, lanes - 3, lanes)])
    np.testing.assert_array_equal(got[1], warps[:, lanes ^ 5])
    np.testing.assert_array_equal(got[2], np.repeat(warps[:, 5:6], 32, axis=1))
    np.testing.assert_array_equal(got[3], np.repeat((warps > 0).sum(axis=1, keepdims=True), 32, axis=1))
    assert (got[4] == 1).all()
    assert (got[5] == 0).all()
    assert (got[6] == (x > 0).sum()).all()
    np.testing.assert_array_equal(got[7][:, :7], warps[:, 1:8])
    assert np.isnan(got[7][:, 7:]).all()  # lane 7 reads lane 8, which the mask leaves out


MMA = """
@kernel
def tile(a, b, c):
    staged = cuda.shared.array(16 * 8 + 8 * 8, float32, alignment=16)
    lane = int32(cuda.threadIdx.x)
    g = lane // int32(4)
    q = lane % int32(4)
    cp_async16(staged, lane * 4, a, lane * 4)
    if lane < int32(16):
        cp_async16(staged, 128 + lane * 4, b, lane * 4)
    cp_commit()
    cp_wait0()
    cuda.syncthreads()
    a0 = tf32(staged[g * 8 + q]); a1 = tf32(staged[(g + 8) * 8 + q])
    a2 = tf32(staged[g * 8 + q + 4]); a3 = tf32(staged[(g + 8) * 8 + q + 4])
    b0 = tf32(staged[128 + q * 8 + g]); b1 = tf32(staged[128 + (q + 4) * 8 + g])
    z = float32(0.0)
    c0, c1, c2, c3 = mma_tf32(z, z, z, z, a0, a1, a2, a3, b0, b1)
    c[g * 8 + 2 * q], c[g * 8 + 2 * q + 1] = c0, c1
    c[(g + 8) * 8 + 2 * q] = c2
    c[(g + 8) * 8 + 2 * q + 1] = c3
"""


def tf32_rounded(x):
    """To 10 bits of fraction, by scaling instead of by bits; ties, which none of the values here is, apart."""
    fraction, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(fraction * 2**11) / 2**11, exponent)


def test_tensor_core_tile():
    a, b, c = drawn(5, 16, 8), drawn(6, 8, 8), blank(16, 8)
    module(MMA).launch("tile", 1, 32, (a.ravel(), b.ravel(), c.ravel()))
    np.testing.assert_allclose(c, tf32_rounded(a) @ tf32_rounded(b), rtol=1e-6, atol=1e-6)
    assert abs(c - a @ b).max() > 1e-5  # the inputs were rounded


def test_vector_accesses_atomics_local_arrays_and_slices():
    source = """
SCALES = (0.5, 2.0)

@kernel
def mixed(x, y, counts, rows):
    i = cuda.grid(1)
    held = cuda.local.array(4, float32)
    held[0], held[1], held[2], held[3] = ld4(x, 4 * i)
    for k in range(4):
        held[k] *= float32(SCALES[k % 2])
    st4(y, 4 * i, held[3], held[2], held[1], held[0])
    cuda.atomic.add(counts, i % 3, 1)
    old = cuda.atomic.max(counts, 3, i)
    pool = cuda.shared.array(0, float32)
    upper = pool[cuda.blockDim.x:]
    upper[cuda.threadIdx.x] = y[4 * i]
    rows[1][i] = upper[cuda.threadIdx.x]
    rows[0, i] = len(upper)
"""
    x, y = drawn(7, 4 * 14), blank(4 * 14)
    counts, rows = np.zeros(4, np.int32), blank(2, 14)
    module(source).launch("mixed", 2, 7, (x, y, counts, rows), shared_bytes=4 * 14)
    expected = (x.reshape(14, 4) * np.float32([0.5, 2, 0.5, 2]))[:, ::-1]
    np.testing.assert_array_equal(y.reshape(14, 4), expected)
    np.testing.assert_array_equal(counts, [5, 5, 4, 13])
    np.testing.assert_array_equal(rows, [np.full(14, 7), expected[:, 0]])


def test_arguments_in_one_buffer_share_their_memory():
    source = """
@kernel
def shifted(x, y):
    i = cuda.grid(1)
    y[i] = x[i]
"""
    buffer = drawn(8, 13)
    before = buffer.copy()
    module(source).launch("shifted", 1, 6, (buffer[:6], buffer[7:]))
    np.testing.assert_array_equal(buffer[7:], before[:6])
    with pytest.raises(Race, match=r'element 1 of global array "x"|element 0 of global array "y"'):
        module(source).launch("shifted", 1, 6, (buffer[:6], buffer[1:7]))


# Numba's types, as its own compiler has them.

EXPRESSIONS = """a * 2; a + 1; a * n; 0.1 * a; a / 3; a ** 2; a ** 0.5; max(a, 0); min(a, a); max(n, 2); n / n; n // 3;
-a; abs(a); n * n; -7 % n; a > 0; (a > 0) * a; math.exp(a); math.exp(n); math.floor(a); math.pow(a, 2); math.erf(a);
math.atan2(a, a); float32(0.1) * a; float32(n) * a; np.float32(3) + a; int(a * float32(9)); float(a); a if n else 0.5;
math.sqrt(a) / float32(3); n << 2; n >> 1; n & 5; bool(n); math.isnan(a); a // 2; np.uint64(n) * np.uint64(2**63 + 5);
round(a); math.copysign(a, -a); a - True; math.log1p(a)""".replace("\n", " ").split("; ")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_types_and_values_are_numbas(expression):
    seen = []
    space = {"math": __import__("math"), "np": np, "float32": np.float32}
    exec(f"def f(a, n):\n    return {expression}", space)
    compiled = numba.njit((numba.float32, numba.int32))(space["f"])
    (overload,) = compiled.overloads.values()
    source = f"@kernel\ndef k(a, n):\n    see({expression})\n"
    module(source, hooks={"see": seen.append}).launch("k", 1, 1, (np.float32(0.7), 5))
    if expression != "a if n else 0.5":  # one type for both branches in Numba; here that of the branch taken
        assert np.asarray(seen[0]).dtype.name == str(overload.signature.return_type)
    np.testing.assert_allclose(seen[0], compiled(np.float32(0.7), np.int32(5)), rtol=1e-6)


# Faults.


def without(source, text):
    assert source.count(text) == 1
    return source.replace(text, "")


@pytest.mark.parametrize("barrier", ["  cuda.syncthreads()  # filled", "  cuda.syncthreads()  # read"])
def test_a_missing_barrier_is_a_race(barrier):
    for order in ORDERS:
        with pytest.raises(Race, match=r'element \d+ of shared array "(left|right)".* syncthreads is missing between'):
            matmul(without(MATMUL, barrier), 9, 13, 11, order)


def test_a_race_names_both_threads_and_lines():
    source = """
@kernel
def turned(x, y):
    tile = cuda.shared.array(33, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    y[t] = tile[32 - t]
"""
    with pytest.raises(Race) as caught:
        module(source).launch("turned", 1, 33, (drawn(9, 33), blank(33)))
    assert str(caught.value) == (
        'kernel "turned", block (0, 0, 0), thread (17, 0, 0), line 14 (`tile[t] = x[t]`) writes element 17 of '
        'shared array "tile", which block (0, 0, 0), thread (15, 0, 0) read, line 15 (`y[t] = tile[32 - t]`): two '
        "threads of a block, and syncthreads is missing between"
    )


def test_equal_values_race_too_and_the_check_can_be_left_out():
    source = "@kernel\ndef same(x):\n    x[0] = float32(1.0)\n"
    x = blank(1)
    with pytest.raises(Race, match="writes element 0"):
        module(source).launch("same", 1, 2, (x,))
    module(source).launch("same", 1, 2, (x,), races=False)
    assert x == 1


def test_blocks_without_a_grid_barrier_race():
    reduction = module(REDUCTION.replace("BARRIER", "cuda.syncthreads()"))
    for order in ORDERS:
        with pytest.raises(Race, match=r'element \d of global array "partial".*two blocks, and a grid barrier'):
            reduction.launch("total", 3, 64, (drawn(3, 97), blank(3), blank(3 * 64), 97, None), order=order)


def test_syncthreads_orders_global_memory_within_a_block():
    source = """
@kernel
def shifted(x, y):
    i = cuda.grid(1)
    x[i] = float32(i)
    cuda.syncthreads()
    y[i] = x[i ^ 1]
"""
    y = blank(10)
    module(source).launch("shifted", 5, 2, (blank(10), y))
    np.testing.assert_array_equal(y, np.arange(10) ^ 1)
    with pytest.raises(Race, match="two blocks"):
        module(source).launch("shifted", 10, 1, (blank(10), y))


WARP = """
@kernel
def pairs(y):
    held = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    held[t] = float32(t)
    cuda.syncwarp()
    y[t] = held[t ^ DISTANCE]
"""


def test_syncwarp_orders_the_lanes_of_a_warp_only():
    y = blank(64)
    module(WARP.replace("DISTANCE", "31")).launch("pairs", 1, 64, (y,))
    np.testing.assert_array_equal(y, np.arange(64) ^ 31)
    with pytest.raises(Race):
        module(WARP.replace("DISTANCE", "32")).launch("pairs", 1, 64, (y,))
    with pytest.raises(Race):
        module(without(WARP, "    cuda.syncwarp()\n").replace("DISTANCE", "1")).launch("pairs", 1, 64, (y,))


@pytest.mark.parametrize("order", ORDERS)
def test_a_write_races_with_any_of_many_readers(order):
    # The lanes of the writer's warp read first, ordered by syncwarp; one reader of the other warp is not.
    source = """
@kernel
def broadcast(y):
    held = cuda.shared.array(1, float32)
    t = cuda.threadIdx.x
    if t == 0:
        held[0] = float32(1.0)
    cuda.syncthreads()
    if t <= READERS:
        y[t] = held[0]
    cuda.syncwarp()
    if t == 0:
        held[0] = float32(2.0)
"""
    y = blank(64)
    module(source.replace("READERS", "31")).launch("broadcast", 1, 64, (y,), order=order)
    with pytest.raises(Race):
        module(source.replace("READERS", "32")).launch("broadcast", 1, 64, (y,), order=order)


def test_atomics_race_with_plain_accesses():
    source = """
@kernel
def counted(x, y):
    cuda.atomic.add(x, 0, 1)
    BARRIER
    y[cuda.grid(1)] = x[0]
"""
    x, y = np.zeros(1, np.int64), np.zeros(6, np.int64)
    module(source.replace("BARRIER", "grid_barrier()")).launch("counted", 3, 2, (x, y))
    np.testing.assert_array_equal(y, 6)
    for instead in ("cuda.syncthreads()", "pass"):
        with pytest.raises(Race, match="line 12 .*changes element 0 .* read, line 14"):
            module(source.replace("BARRIER", instead)).launch("counted", 3, 2, (x, y))
    source = "@kernel\ndef k(x):\n    cuda.atomic.add(x, 0, 1)\n    if cuda.threadIdx.x == 1:\n        x[0] = 7\n"
    with pytest.raises(Race, match="writes element 0 .* changed atomically, line 11"):
        module(source).launch("k", 1, 2, (x,))


DIVERGENT = {
    "a branch": """    if t < 3:
        cuda.syncthreads()""",
    "two barriers": """    if t < 3:
        cuda.syncthreads()
    else:
        cuda.syncthreads()""",
    "a return": """    if t == 0:
        return
    cuda.syncthreads()""",
    "a loop": """    for k in range(t // 3):
        cuda.syncthreads()""",
    "inside a function": """    if t > 1:
        meet()""",
    "a shuffle": """    if t > 1:
        cuda.shfl_sync(0xFFFFFFFF, t, 0)""",
    "a shuffle and a barrier": """    if t > 1:
        cuda.shfl_sync(0xFFFFFFFF, t, 0)
    else:
        cuda.syncthreads()""",
    "outside the mask": "    cuda.shfl_sync(0x7, t, 0)",
    "the grid": """    if cuda.blockIdx.x == 1:
        grid_barrier()""",
    "part of a block at the grid": """    if t < 3:
        grid_barrier()""",
    "two grid barriers": """    if cuda.blockIdx.x == 1:
        grid_barrier()
    else:
        grid_barrier()""",
}


@pytest.mark.parametrize("order", ["forward", "reverse"])
@pytest.mark.parametrize("what", DIVERGENT)
def test_divergent_barriers(what, order):
    source = f"@device\ndef meet():\n    cuda.syncthreads()\n\n@kernel\ndef k(x):\n    t = cuda.threadIdx.x\n{DIVERGENT[what]}\n"
    with pytest.raises(Divergence, match=r'kernel "k".*thread \(\d, 0, 0\).*(line \d+|has ended)'):
        module(source).launch("k", 2, 5, (blank(1),), order=order)


@pytest.mark.parametrize(
    ("access", "named"),
    [
        ("y[i] = x[i + 1]", r'index 7 of global array "x" of shape \(7,\)'),
        ("y[i] = x[i - 1]", 'index -1 of global array "x"'),
        ("y[2 * i] = x[i]", 'index 8 of global array "y"'),
        ("tile[i] = x[i]", 'index 5 of shared array "tile"'),
        ("wide[i // 6, 1 - i // 5] = x[i]", r'index 1 on axis 0 of local array "wide" of shape \(1, 2\)'),
        ("cuda.atomic.add(y, i + 3, x[i])", 'index 7 of global array "y"'),
        ("st4(tile, 4 * (i // 4), x[i], x[i], x[i], x[i])", 'elements 4 to 7 of shared array "tile"'),
        ("y[i] = tile[2:][i + 1 - i // 3 * 3]", 'index 3 of shared array "tile"'),
    ],
)
def test_out_of_bounds(access, named):
    source = f"""
@kernel
def k(x, y):
    i = cuda.grid(1)
    tile = cuda.shared.array(5, float32)
    wide = cuda.local.array((1, 2), float32)
    {access}
"""
    with pytest.raises(OutOfBounds, match=rf'kernel "k", block \(\d, 0, 0\), thread \(\d, 0, 0\), line 15 .*{named}'):
        module(source).launch("k", 7, 1, (drawn(1, 7), blank(7)))


@pytest.mark.parametrize("access", ["ld4(x, 6)", "st4(y, 2, z, z, z, z)", "cp_async16(tile, 0, x, 1)", "ld4(x[3:], 0)"])
def test_unaligned_vector_accesses(access):
    source = f"""
@kernel
def k(x, y):
    tile = cuda.shared.array(8, float32, alignment=16)
    z = float32(0.0)
    {access}
"""
    with pytest.raises(Misaligned, match=r"line 14 .*bytes after a multiple of 16"):
        module(source).launch("k", 1, 1, (drawn(1, 11), blank(11)))


def test_alignment_can_be_asked_to_be_declared():
    source = "@kernel\ndef k():\n    tile = cuda.shared.array(8, float32{})\n    ld4(tile, 4)\n"
    module(source.format(", alignment=16")).launch("k", 1, 1, (), declared_alignment=True)
    module(source.format("")).launch("k", 1, 1, ())
    with pytest.raises(Misaligned, match="declared without alignment=16"):
        module(source.format("")).launch("k", 1, 1, (), declared_alignment=True)


PROMOTED = [
    "y[i] = 0.1 * x[i]", "y[i] = x[i] * 2", "y[i] = max(x[i], 0)", "y[i] = x[i] * RATE", "y[i] += 1.0",
    "y[i] = x[i] / i", "held[0] = math.sqrt(2.0)", "cuda.atomic.add(y, i, 0.5)", "y[i] = rate * x[i]",
]  # fmt: skip


@pytest.mark.parametrize("statement", PROMOTED)
def test_float64_promotion(statement):
    source = (
        f"RATE = 0.3\n@kernel\ndef k(x, y, rate):\n    i = cuda.grid(1)\n    held = cuda.local.array(1, float32)\n"
        f"    {statement}\n"
    )
    x = drawn(2, 3)
    with pytest.raises(Promotion, match="a float64 value goes into"):
        module(source).launch("k", 1, 3, (x, blank(3), 0.5))
    module(source).launch("k", 1, 3, (x, blank(3), 0.5), float64="allow")


def test_float32_code_is_not_promoted_and_casts_can_be_reported():
    source = "RATE = np.float32(0.3)\n@kernel\ndef k(x, y, rate):\n    y[0] = max(x[0], float32(0.0)) * rate - RATE * {}\n"
    arguments = drawn(3, 1), blank(1), np.float32(0.5)
    module(source.format("float32(0.1)")).launch("k", 1, 1, arguments, float64="casts")
    module(source.format("float32(0.1 * x[0])")).launch("k", 1, 1, arguments)
    with pytest.raises(Promotion, match="computed in float64"):
        module(source.format("float32(0.1 * x[0])")).launch("k", 1, 1, arguments, float64="casts")


PIPELINE = """
@kernel
def piped(x, y, steps):
    tile = cuda.shared.array(2 * 32, float32, alignment=16)
    t = cuda.threadIdx.x
    cp_async16(tile, 4 * t, x, 4 * t)
    cp_commit()
    for step in range(steps):
        if step + 1 < steps:
            cp_async16(tile, (step + 1) % 2 * 32 + 4 * t, x, (step + 1) * 32 + 4 * t)
        cp_commit()
        cp_wait1()
        cuda.syncthreads()
        for k in range(4):
            y[step * 32 + 4 * t + k] = tile[step % 2 * 32 + 31 - 4 * t - k]
        cuda.syncthreads()
"""


def piped(source, order, steps=5):
    x, y = drawn(10, steps * 32), blank(steps * 32)
    module(source).launch("piped", 1, 8, (x, y, steps), order=order)
    return x.reshape(steps, 32)[:, ::-1], y.reshape(steps, 32)


@pytest.mark.parametrize("order", ORDERS)
def test_asynchronous_copies(order):
    expected, y = piped(PIPELINE, order)
    np.testing.assert_array_equal(y, expected)
    _, y = piped(without(PIPELINE, "        cp_wait1()\n"), order, steps=2)
    assert np.isnan(y).all()
    with pytest.raises(Race, match="an asynchronous copy of .* is under way"):
        piped(PIPELINE.replace("cp_wait1", "cp_wait2"), order)
    with pytest.raises(Race, match='shared array "tile"'):
        piped(PIPELINE.replace("        cuda.syncthreads()\n        for", "        for"), order)


def test_what_was_never_written_is_nan():
    source = """
@kernel
def k(y):
    tile = cuda.shared.array(3, float32)
    held = cuda.local.array(1, float32)
    index = cuda.shared.array(1, int32)
    tile[0] = float32(1.0)
    y[0] = tile[0] + tile[1]
    y[1] = held[0]
    y[2] = tile[0]
    if LOOK:
        y[index[0]] = tile[0]
"""
    y = np.zeros(3, np.float32)
    module("LOOK = False\n" + source).launch("k", 1, 1, (y,))
    np.testing.assert_array_equal(y, [np.nan, np.nan, 1])
    with pytest.raises(OutOfBounds, match=str(lockstep.BAD_INTEGER)):
        module("LOOK = True\n" + source).launch("k", 1, 1, (y,))


def test_other_failures_say_where():
    with pytest.raises(Failure, match=r"line 12 \(`y\[missing\] = float32\(1\.0\)`\): NameError.*missing"):
        module("\n@kernel\ndef k(y):\n    y[missing] = float32(1.0)\n").launch("k", 1, 1, (blank(1),))
    with pytest.raises(Failure, match="OverflowError"):
        module("@kernel\ndef k(n):\n    m = int32(n * n)\n").launch("k", 1, 1, (1 << 20,))
    with pytest.raises(LockstepError, match="ListComp at line 11"):
        module("@kernel\ndef k(n):\n    m = [i for i in range(n)]\n")
    with pytest.raises(LockstepError, match="bytes of static shared memory"):
        module("@kernel\ndef k():\n    a = cuda.shared.array(13000, float32)\n").launch("k", 1, 1, ())


def test_decorators_of_numba():
    source = """
from numba import cuda, float32

@cuda.jit("float32(float32)", device=True, inline=True)
def twice(x):
    return x + x

@cuda.jit(fastmath=True)
def k(x: "array", y):
    y[cuda.grid(1)] = twice(x[cuda.grid(1)])

def host(x):
    return k[1, 1](x)
"""
    x, y = drawn(12, 3), blank(3)
    lockstep.load(source).launch("k", 3, 1, (x, y))
    np.testing.assert_array_equal(y, x + x)


def test_neither_numba_nor_a_gpu_is_needed():
    code = "import sys, lockstep, doctest; assert 'numba' not in sys.modules; sys.exit(doctest.testmod(lockstep).failed)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
