"""The tiles of products that CUDA kernels carry, run in lock step without a GPU.

Most tiles are small, so that few threads do what those of `codegen/cuda_tiles.py` do. The simulator looks for races,
indices outside, misaligned accesses and promotions by itself; every result must have the same bits in all orders.
"""

from __future__ import annotations

import numpy as np
import pytest
from cuda_products import (
    BY_INNER,
    BY_OUTER,
    EIGHTS,
    FOURS,
    TWOS,
    WARP,
    WARPS,
    WIDE_BY_INNER,
    WIDE_BY_OUTER,
    assert_product,
    check,
    drawn,
    each_tile,
    product,
    run,
)  # fmt: skip
from lockstep import Misaligned, OutOfBounds, Race

from gradloom.codegen.cuda_tiles import HUGE_TF32, LARGE_TF32, SMALL


@pytest.mark.parametrize("right", [BY_INNER, BY_OUTER], ids=["turned", "rows"])
@pytest.mark.parametrize("left", [BY_INNER, BY_OUTER], ids=["rows", "turned"])
@each_tile
def test_operands_lie_either_way(tile, left, right):
    check(tile, left, right, (31, 33, 13))


@pytest.mark.parametrize("right", [WIDE_BY_INNER, WIDE_BY_OUTER], ids=["turned", "rows"])
@pytest.mark.parametrize("left", [WIDE_BY_INNER, WIDE_BY_OUTER], ids=["rows", "turned"])
@each_tile
def test_operands_come_sixteen_bytes_at_a_time(tile, left, right):
    """What is not along the wide index is ragged."""
    rows, columns = 20 if left is WIDE_BY_OUTER else 31, 28 if right is WIDE_BY_OUTER else 33
    inner = 12 if WIDE_BY_INNER in (left, right) else 13
    check(tile, left, right, (rows, columns, inner))


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (1, 33, 31), (33, 1, 100), (31, 100, 1), (9, 7, 33), (16, 8, 16), (5, 3, 0)], ids=str
)
@each_tile
def test_ragged_sizes(tile, sizes):
    check(tile, BY_INNER, BY_OUTER, sizes)


def test_tensor_cores_round_the_factors():
    c, a, b = check(WARP, BY_INNER, BY_OUTER, (17, 11, 31))
    exact = a.astype(np.float64) @ b
    assert abs(c - exact).max() > 1e-4
    assert (abs(c - exact) <= 2**-10 * 1.01 * (abs(a.astype(np.float64)) @ abs(b))).all()


@pytest.mark.parametrize("sizes", [(33, 36, 12), (5, 100, 8)], ids=str)
def test_results_are_stored_by_fours(sizes):
    check(FOURS, WIDE_BY_INNER, WIDE_BY_OUTER, sizes, fours=True)


@pytest.mark.parametrize("left", [WIDE_BY_INNER, BY_OUTER], ids=["wide", "narrow"])
@pytest.mark.parametrize("tile", [TWOS, FOURS], ids=["twos", "fours"])
def test_double_precision(tile, left):
    check(tile, left, BY_OUTER, (13, 31, 20), real="float64")


@pytest.mark.parametrize(
    ("tile", "sizes"),
    [
        (SMALL, (33, 37, 31)),
        (EIGHTS, (61, 67, 5)),
        (WARPS, (41, 33, 11)),
        (LARGE_TF32, (131, 7, 17)),
        (HUGE_TF32, (67, 131, 13)),
    ],
    ids=["small", "eights", "warps", "large-tf32", "huge-tf32"],
)
def test_larger_tiles(tile, sizes):
    check(tile, BY_INNER, BY_OUTER, sizes, orders=(7,))


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
@pytest.mark.parametrize("constant", [False, True], ids=["given", "constant"])
@each_tile
def test_chosen_rows_and_places_by_a_table(tile, constant, wide):
    """The left operand has chosen rows, one of them twice; a table says where the right one's rows lie."""
    left, right = (WIDE_BY_INNER, WIDE_BY_OUTER) if wide else (BY_INNER, BY_OUTER)
    rng = np.random.default_rng(5)
    a, b = drawn(3, 23, 20), drawn(4, 29, 12)
    chosen = np.append(rng.permutation(23)[:18], 7)
    taken = rng.permutation(29)[:20]
    places = taken * (12 + (4 if wide else 3))
    options = {"constant": places, "inners": "pointer_to(ORDER)"} if constant else {"inners": "places"}
    source, dynamic = product(tile, left, right, rows="(chosen, left_stride)", **options)
    results = [
        run((source, dynamic), tile, left, right, a, b, 19, order=order, chosen=chosen, places=places)
        for order in ("forward", 11)
    ]
    assert results[0].tobytes() == results[1].tobytes()
    assert_product(results[0], a[chosen], b[taken], tile)


@pytest.mark.parametrize(
    ("tile", "line", "instead", "error"),
    [
        (TWOS, "        cuda.syncthreads()\n        start", "        start", Race),
        (TWOS, "            cuda.syncthreads()\n            inner", "            inner", Race),
        (WARPS, "        cuda.syncthreads()\n        for ahead", "        for ahead", Race),
        (WARPS, "            cuda.syncthreads()\n            to", "            to", Race),
        (
            WARPS,
            "            cp_wait1()\n",
            "",
            Race,
        ),  # the stage after the next is copied to where copies are under way
        (WARPS, "        cp_wait0()", "        pass", Race),  # the next tile writes to where copies are under way
        (FOURS, ", float32, alignment=16", ", float32", Misaligned),
        (FOURS, "WIDTH = size + 4", "WIDTH = size + 5", Misaligned),
        (FOURS, "outer < limit and inner < end", "inner < end", OutOfBounds),
    ],
    ids=[
        "a barrier before the tile", "a barrier in the loop", "a barrier before the tile, tf32",
        "a barrier in the loop, tf32", "a wait", "the last wait", "alignment", "padding", "the limit",
    ],
)  # fmt: skip
def test_faults_of_the_tiles_are_found(tile, line, instead, error):
    """A block computes two tiles, of an odd number of stages, so that the second begins in the half just read."""
    sizes = 2 * tile.rows - 1, tile.columns, 5 * tile.depth
    check(tile, WIDE_BY_INNER, WIDE_BY_OUTER, sizes, orders=("forward",), blocks=1)
    with pytest.raises(error):
        check(tile, WIDE_BY_INNER, WIDE_BY_OUTER, sizes, orders=("forward",), blocks=1, change=(line, instead))
