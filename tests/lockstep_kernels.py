"""Kernels that the tests of the lock-step simulator share."""

from __future__ import annotations

import lockstep
import numpy as np

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


def tf32_rounded(x):
    """To 10 bits of fraction, by scaling instead of by bits; ties, which none of the values here is, apart."""
    fraction, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(fraction * 2**11) / 2**11, exponent)


def without(source, text):
    assert source.count(text) == 1
    return source.replace(text, "")


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
    out[cuda.grid(1)] = value
"""
