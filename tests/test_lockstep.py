"""The lock-step simulator of CUDA kernels: its results against NumPy, its types against Numba's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lockstep
import numba
import numpy as np
import pytest
from lockstep import LockstepError, Race
from lockstep_kernels import MATMUL, ORDERS, REDUCTION, blank, drawn, matmul, module, tf32_rounded


@pytest.mark.parametrize(("n", "k", "m"), [(1, 31, 7), (13, 33, 1), (9, 1, 11)])
def test_tiled_matmul(n, k, m):
    # Both shared arrays are declared on one line.
    expected, c = matmul(MATMUL, n, k, m)
    np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-5)


def test_matmul_has_the_same_bits_in_every_order():
    bits = {matmul(MATMUL, 11, 13, 9, order)[1].tobytes() for order in ORDERS}
    assert len(bits) == 1


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
    cp_async16(staged, lane * 4, a, lane * 4, True)
    if lane < int32(16):
        cp_async16(staged, 128 + lane * 4, b, lane * 4, True)
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
    cuda.atomic.max(counts, 3, i)
    pool = cuda.shared.array(0, float32)
    upper = pool[cuda.blockDim.x:]
    upper[cuda.threadIdx.x] = y[4 * i]
    rows[1][i] = upper[cuda.threadIdx.x]
    rows[0, i] = len(upper)
    column = rows[:2, i]
    rows[2, i] = column[1] + rows[:2][0, i]
"""
    x, y = drawn(7, 4 * 14), blank(4 * 14)
    counts, rows = np.zeros(4, np.int32), blank(3, 14)
    module(source).launch("mixed", 2, 7, (x, y, counts, rows), shared_bytes=4 * 14)
    expected = (x.reshape(14, 4) * np.float32([0.5, 2, 0.5, 2]))[:, ::-1]
    np.testing.assert_array_equal(y.reshape(14, 4), expected)
    np.testing.assert_array_equal(counts, [5, 5, 4, 13])
    np.testing.assert_array_equal(rows, [np.full(14, 7), expected[:, 0], expected[:, 0] + np.float32(7)])


def test_arguments_in_one_buffer_share_their_memory():
    source = """
@kernel
def moved(x, y):
    i = cuda.grid(1)
    y[i] = x[i]
"""
    buffer = drawn(8, 13)
    before = buffer.copy()
    module(source).launch("moved", 1, 6, (buffer[:6], buffer[7:]))
    np.testing.assert_array_equal(buffer[7:], before[:6])
    with pytest.raises(Race, match=r'element 1 of global array "x"|element 0 of global array "y"'):
        module(source).launch("moved", 1, 6, (buffer[:6], buffer[1:7]))


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


def test_constants_of_the_module():
    source = """
SIZE = 3
real = np.float32
WEIGHTS = np.arange(1, 2 * SIZE, 2, dtype=np.float32) / np.float32(4)
HALF: float = math.sqrt(0.25)
UNUSED = some_compiler(SIZE)

@kernel
def k(x, y):
    UNUSED = cuda.grid(1)
    held = cuda.local.array(1, real)
    held[0] = real(0.25) + real(HALF) - real(0.25)
    y[UNUSED] = x[UNUSED] * WEIGHTS[UNUSED % SIZE] + held[0] * cuda.const.array_like(WEIGHTS)[0]
"""
    x, y = drawn(11, 5), blank(5)
    module(source).launch("k", 5, 1, (x, y))
    np.testing.assert_array_equal(y, x * np.float32([0.25, 0.75, 1.25, 0.25, 0.75]) + np.float32(0.125))
    with pytest.raises(LockstepError, match="the constants UNUSED that kernels need cannot be computed: NameError"):
        module("UNUSED = some_compiler(3)\n\n@kernel\ndef k(y):\n    y[0] = UNUSED\n")


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
    code = (
        "import sys, lockstep, doctest; assert 'numba' not in sys.modules; sys.exit(doctest.testmod(lockstep).failed)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
