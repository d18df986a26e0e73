"""What CUDA kernels carry for threads together, run in lock step: split sums, sums in one order, the wait for all."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_products import BY_INNER, BY_OUTER, TWOS, assert_product, drawn, each_tile, loaded, source_of
from lockstep import LockstepError, Race
from lockstep_kernels import without

SPLIT = """
@device
def store(target, row, column, value):
    to, stride = target
    to[row * stride + column] = value


tile = FACTORY


def kernel(left, right, partial, to, gate, rows, columns, inner, parts):
    stage = cuda.shared.array(STAGE, float32, alignment=16)
    one = int32(1)
    size = int32(rows * columns)
    for part in range(int32(cuda.blockIdx.x), parts, int32(cuda.gridDim.x)):
        begin = part_of_inner(inner, int32(DEPTH), part, parts)
        end = part_of_inner(inner, int32(DEPTH), int32(part + one), parts)
        tile(
            stage, left, inner, one, right, columns, one, rows, columns, begin, end, int32(0), int32(0),
            (shifted(partial, part * size), columns),
        )
    grid_barrier(gate)
    for place in range(cuda.grid(1), size, cuda.gridsize(1)):
        to[place] = sum_of_parts(partial, parts, size, place)
"""


def split(tile, body=SPLIT):
    body = body.replace("FACTORY", tile.factory("float32", BY_INNER, BY_OUTER, "store"))
    body = body.replace("STAGE", str(tile.stage(BY_INNER, BY_OUTER))).replace("DEPTH", str(tile.depth))
    names = "tf32_tile" if tile.tensor_cores else "simt_tile"
    return loaded(source_of(f"{names} part_of_inner sum_of_parts shifted grid_barrier", body))


def run_split(module, tile, parts, order, blocks=3):
    rows, columns, inner = tile.rows - 1, tile.columns - 3, 2 * tile.depth + 1
    a, b = drawn(1, rows, inner), drawn(2, inner, columns)
    partial, c = (np.full((n, rows, columns), np.nan, np.float32) for n in (parts, 1))
    arguments = a.ravel(), b.ravel(), partial.ravel(), c.ravel(), np.zeros(1, np.int32)
    module.launch("kernel", blocks, tile.threads, (*arguments, rows, columns, inner, parts), order=order)
    return c[0], a, b


@pytest.mark.parametrize("parts", [1, 2, 5])
@each_tile
def test_split_sums(tile, parts):
    """Of three stages, for 5 parts some are empty. The parts are added in one order, whoever has computed them."""
    results = [
        run_split(split(tile), tile, parts, order, blocks) for order, blocks in (("forward", 3), ("reverse", 2), (3, 5))
    ]
    assert len({c.tobytes() for c, _, _ in results}) == 1
    assert_product(*results[0], tile)


def test_split_sums_wait_for_all_blocks():
    with pytest.raises(Race, match='global array "partial"'):
        run_split(split(TWOS, without(SPLIT, "    grid_barrier(gate)\n")), TWOS, 3, "forward")


SUMS = """
def kernel(x, of_warps, of_blocks, again):
    i = cuda.grid(1)
    scratch = cuda.shared.array(32, REAL)
    value = x[i]
    of_warps[i] = warp_sum(value)
    of_blocks[i] = block_sum(value, scratch)
    again[i] = block_sum(value * value, scratch)
"""


@pytest.mark.parametrize("real", ["float32", "float64"])
def test_sums_over_warps_and_blocks(real):
    """The same bits in all threads, and the scratch memory free again at once."""
    x, bits = drawn(6, 2, 96, real), set()
    for order in ("forward", "reverse", 13):
        found = np.full((3, 2, 96), np.nan, x.dtype)
        loaded(source_of("warp_sum block_sum", SUMS.replace("REAL", real))).launch(
            "kernel", 2, 96, (x.ravel(), *(one.ravel() for one in found)), order=order
        )
        bits.add(found.tobytes())
    assert len(bits) == 1
    of_warps, of_blocks, again = found
    wide, tolerance = x.astype(np.float64), 100 * np.finfo(x.dtype).eps
    assert all(len(set(values)) == 1 for values in (*of_warps.reshape(6, 32), *of_blocks, *again))
    np.testing.assert_allclose(of_warps[:, ::32], wide.reshape(2, 3, 32).sum(2), atol=tolerance * 10)
    np.testing.assert_allclose(of_blocks[:, 0], wide.sum(1), atol=tolerance * 10)
    np.testing.assert_allclose(again[:, 0], (wide**2).sum(1), rtol=tolerance)


RING = """
def kernel(x, y, gate, steps):
    block, threads = int32(cuda.blockIdx.x), int32(cuda.blockDim.x)
    after = int32((block + int32(1)) % int32(cuda.gridDim.x))
    for step in range(steps):
        y[cuda.grid(1)] = x[after * threads + cuda.threadIdx.x] + float32(1)
        grid_barrier(gate)
        x[cuda.grid(1)] = y[cuda.grid(1)]
        grid_barrier(gate)  # again
"""


@pytest.mark.parametrize("order", ["forward", "reverse", 17])
def test_all_blocks_wait_for_each_other(order):
    x = drawn(7, 5, 3)
    y, gate, before = np.empty_like(x), np.zeros(1, np.int32), x.copy()
    loaded(source_of("grid_barrier", RING)).launch("kernel", 5, 3, (x.ravel(), y.ravel(), gate, 3), order=order)
    expected = before
    for _ in range(3):
        expected = np.roll(expected, -1, axis=0) + np.float32(1)
    np.testing.assert_array_equal(x, expected)
    for missing in ("        grid_barrier(gate)\n", "        grid_barrier(gate)  # again\n"):
        source = source_of("grid_barrier", without(RING, missing))
        with pytest.raises(Race, match="a grid barrier is missing"):
            loaded(source).launch("kernel", 5, 3, (x.ravel(), y.ravel(), gate, 3), order=order)


def test_whole_numbers_are_divided_as_python_divides():
    """Those of points, and whose turn it is among blocks of which others have taken some."""
    body = """
def kernel(numbers, by, quotients, remainders, turns):
    at = cuda.threadIdx.x
    quotients[at] = quotient(numbers[at], by[at])
    remainders[at] = remainder(numbers[at], by[at])
    turns[at] = turn_of(at, numbers[at], cuda.blockDim.x)
"""
    rng = np.random.default_rng(7)
    numbers = np.append(rng.integers(0, 2**31, 30), [0, 2**31 - 1])
    by = np.append(rng.integers(1, 2**31, 15), np.append(rng.integers(1, 97, 15), [1, 2**31 - 1]))
    found = np.zeros((3, 32), np.int64)
    module = loaded(source_of("quotient remainder turn_of", body))
    module.launch("kernel", 1, 32, (numbers, by, *found))
    np.testing.assert_array_equal(found[0], numbers // by)
    np.testing.assert_array_equal(found[1], numbers % by)
    np.testing.assert_array_equal(found[2], (np.arange(32) - numbers) % 32)
    with pytest.raises(LockstepError, match="-1 by 3 is no division of 31 bits"):
        module.launch("kernel", 1, 1, (np.array([-1]), np.array([3]), *found))
