"""What CUDA kernels carry, compiled for two kinds of GPU without one: no double precision, no spills, wide loads.

What they compute is tested elsewhere; here are the limits that speed depends on.
"""

from __future__ import annotations

import linecache
from functools import cache
from itertools import count
from typing import NamedTuple

import pytest

from gradloom.codegen.carried import carry_cuda
from gradloom.codegen.cuda_tiles import (
    BROAD_TF32,
    HUGE_TF32,
    LARGE,
    LARGE_TF32,
    MEDIUM,
    MEDIUM_TF32,
    SMALL,
    TF32_TILES,
    Tile,
    Way,
)
from gradloom.runtime import cuda_compiler, cuda_toolkit
from gradloom.symbolic.errors import MissingExtraError, UnsupportedError

try:
    cuda_compiler.require_compiler()
except MissingExtraError as missing:
    HAS_COMPILER, WHY_NOT = False, str(missing)
else:
    HAS_COMPILER, WHY_NOT = True, ""

compiled = pytest.mark.skipif(not HAS_COMPILER, reason=WHY_NOT)
on_each_gpu = pytest.mark.parametrize("cc", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
MODULES = count()
PRODUCT = "float32* float32* float32* int32 int32 int32".split()
STORE = """
@device
def store(target, row, column, value):
    to, stride = target
    to[row * stride + column] = value


@device
def store_four(target, row, column, a, b, c, d):
    to, stride = target
    st4(to, row * stride + column, a, b, c, d)
"""
WIDE, NARROW = (Way(True, True), Way(False, True)), (Way(True), Way(False))


class Made(NamedTuple):
    resources: cuda_compiler.Resources
    counts: dict[str, int]
    shared: int  # what CUDA keeps for itself not counted


def kernel(names, body):
    """A kernel of a module that carries what it uses, as a generated one does."""
    carried = carry_cuda([*names, "device"])
    numbers = "from numba import cuda, float32, float64, int32"
    source = "\n".join([*carried.standard, *carried.installed, numbers, *carried.lines, body])
    file = f"<kernels {next(MODULES)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    namespace = {"__name__": "kernels"}
    exec(compile(source, file, "exec"), namespace)
    return namespace["kernel"]


def made(names, body, signature, cc, bounds=256):
    ptx = cuda_compiler.compile_ptx(kernel(names, body), signature, cc, bounds)
    resources = cuda_compiler.cubin(ptx, cc).resources
    return Made(resources, cuda_compiler.counts(ptx), resources.shared - 1024 * (cc >= (9, 0)))


@cache
def product(tile: Tile, left: Way, right: Way, cc, wide_stores=False, real="float32", blocks=2):
    stage = tile.stage(left, right)
    lefts = "inner, int32(1)" if left.along_inner else "int32(1), rows"
    rights = "int32(1), inner" if right.along_inner else "columns, int32(1)"
    static = stage * (4 if real == "float32" else 8) <= 48 * 1024
    body = f"""{STORE}
tile = {tile.factory(real, left, right, "store", "store_four" if wide_stores else None)}


def kernel(left, right, to, rows, columns, inner):
    stage = cuda.shared.array({stage if static else 0}, {real}, alignment=16)
    across = (columns + int32({tile.columns - 1})) // int32({tile.columns})
    first_row = int32(cuda.blockIdx.x // across * int32({tile.rows}))
    first_column = int32(cuda.blockIdx.x % across * int32({tile.columns}))
    tile(stage, left, {lefts}, right, {rights}, rows, columns, int32(0), inner, first_row, first_column, (to, columns))
"""
    names = ["tf32_tile" if tile.tensor_cores else "simt_tile", "st4"]
    signature = [kind.replace("float32", real) for kind in PRODUCT]
    return made(names, body, signature, cc, (tile.threads, 1 if tile is HUGE_TF32 else blocks))


def assert_lean(found: Made):
    """No double precision, nothing in memory that belongs into registers, all inlined, and all memory known by kind."""
    assert (found.resources.local, found.resources.spills) == (0, 0)
    assert found.counts["float64"] == found.counts["calls"] == found.counts["generic"] == 0
    # Loads past the coherent caches would miss what another block wrote before a grid barrier.
    assert found.counts["read_only"] == 0


# Registers: what a multiprocessor has for two blocks of 256 threads is 128 for each thread; for three, 85.
@compiled
@on_each_gpu
@pytest.mark.parametrize("ways", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("tile", "registers", "shared"),
    [(SMALL, 80, 18_432), (MEDIUM, 85, 17_408), (LARGE, 128, 16_896)],
    ids=["small", "medium", "large"],
)
def test_products_of_registers_are_lean(tile, registers, shared, ways, cc):
    found = product(tile, *ways, cc)
    assert_lean(found)
    assert found.resources.registers <= registers
    assert found.shared == shared == 4 * tile.stage(*ways)
    assert found.counts["mma"] == 0


@compiled
@on_each_gpu
@pytest.mark.parametrize("ways", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("tile", "registers"),
    [(MEDIUM_TF32, 85), (BROAD_TF32, 128), (LARGE_TF32, 128), (HUGE_TF32, 224)],
    ids=["medium", "broad", "large", "huge"],
)
def test_products_of_tensor_cores_are_lean(tile, registers, ways, cc):
    found = product(tile, *ways, cc)
    assert_lean(found)
    assert found.resources.registers <= registers
    assert found.counts["mma"] >= tile.rows_each // 16 * (tile.columns_each // 8)
    assert found.counts["copies"] >= 6
    assert bool(found.counts["wide_loads"]) == ways[0].wide


@compiled
@pytest.mark.parametrize("tile", [SMALL, MEDIUM, LARGE], ids=["small", "medium", "large"])
def test_adjacent_numbers_are_moved_sixteen_bytes_at_a_time(tile):
    """Each operand is loaded at two places, before the loop and in it; results are stored by fours."""
    wide, narrow = (product(tile, *ways, (9, 0)).counts for ways in (WIDE, NARROW))
    staged = 4 * tile.depth * (tile.rows + tile.columns) // (16 * tile.threads)
    assert wide["global_loads_of_16"] == 2 * staged
    assert narrow["global_loads_of_16"] == 0
    if tile is not SMALL:
        stored = product(tile, *WIDE, (9, 0), wide_stores=True).counts
        runs = tile.rows_each * tile.columns_each // 4
        assert stored["wide_stores"] - wide["wide_stores"] == runs
        # What the registers compute with comes by fours from shared memory.
        assert wide["wide_loads"] >= 2 * staged + (tile.rows_each + tile.columns_each) // 4


@compiled
@pytest.mark.parametrize("left", [Way(True, True), Way(False, True)], ids=["rows", "turned"])
@pytest.mark.parametrize("right", [Way(True, True), Way(False, True)], ids=["turned", "rows"])
@pytest.mark.parametrize("tile", TF32_TILES, ids=lambda tile: f"{tile.rows}-{tile.tensor_cores}")
def test_operands_lie_either_way(tile, left, right):
    found = product(tile, left, right, (9, 0))
    assert_lean(found)
    assert found.resources.registers <= (224 if tile is HUGE_TF32 else 128)


@compiled
def test_double_precision_is_possible():
    found = product(MEDIUM, *WIDE, (9, 0), real="float64")
    assert found.counts["float64"] > 0
    assert (found.resources.local, found.resources.spills) == (0, 0)
    assert found.shared == 8 * MEDIUM.stage(*WIDE)


@compiled
@on_each_gpu
def test_places_by_tables_chosen_rows_and_parts_of_the_sum(cc):
    """The rows of the left operand are chosen ones, those of the right one lie as a table says; the sum is split."""
    tile, ways = MEDIUM, (Way(True, True), Way(False, True))
    body = f"""{STORE}
tile = {tile.factory("float32", *ways, "store")}


def kernel(left, order, right, table, parts, to, rows, columns, inner):
    stage = cuda.shared.array({tile.stage(*ways)}, float32, alignment=16)
    part, number = int32(cuda.blockIdx.x), int32(cuda.gridDim.x)
    begin = part_of_inner(inner, int32({tile.depth}), part, number)
    end = part_of_inner(inner, int32({tile.depth}), int32(part + 1), number)
    mine = shifted(parts, part * rows * columns)
    tile(
        stage, left, (order, inner), int32(1), right, table, int32(1), rows, columns, begin, end, int32(0), int32(0),
        (mine, columns),
    )
    to[cuda.threadIdx.x] = sum_of_parts(parts, number, rows * columns, cuda.threadIdx.x)
"""
    names = "simt_tile part_of_inner sum_of_parts shifted st4".split()
    signature = "float32* int32* float32* int32* float32* float32* int32 int32 int32".split()
    found = made(names, body, signature, cc, (tile.threads, 2))
    assert_lean(found)
    assert found.resources.registers <= 128


@compiled
@on_each_gpu
def test_a_persistent_kernel_of_two_products_is_lean(cc):
    """One stage for both; between them a wait for all blocks, and sums over the block."""
    ways = (Way(True, True), Way(False, True))
    body = f"""{STORE}
@device
def store_sigmoid(target, row, column, value):
    to, bias, stride = target
    to[row * stride + column] = float32(1) / (float32(1) + math.exp(-(value + bias[column])))


first = {MEDIUM.factory("float32", *ways, "store_sigmoid")}
second = {SMALL.factory("float32", Way(False, True), Way(False, True), "store")}


def kernel(x, weight, bias, a, gradient, loss, gate, rows, hidden, inputs, steps):
    stage = cuda.shared.array({max(MEDIUM.stage(*ways), SMALL.stage(*ways))}, float32, alignment=16)
    scratch = cuda.shared.array(32, float32)
    one = int32(1)
    for step in range(steps):
        across = (hidden + int32(63)) // int32(64)
        for number in range(cuda.blockIdx.x, (rows + int32(63)) // int32(64) * across, cuda.gridDim.x):
            first(
                stage, x, inputs, one, weight, hidden, one, rows, hidden, int32(0), inputs,
                int32(number // across * 64), int32(number % across * 64), (a, bias, hidden),
            )
        grid_barrier(gate)
        across = (hidden + int32(31)) // int32(32)
        for number in range(cuda.blockIdx.x, (inputs + int32(31)) // int32(32) * across, cuda.gridDim.x):
            second(
                stage, x, one, inputs, a, hidden, one, inputs, hidden, int32(0), rows,
                int32(number // across * 32), int32(number % across * 32), (gradient, hidden),
            )
        total = block_sum(a[cuda.threadIdx.x], scratch)
        if cuda.threadIdx.x == 0:
            loss[cuda.blockIdx.x] = total
        grid_barrier(gate)
"""
    names = "simt_tile grid_barrier block_sum st4".split()
    signature = [*["float32*"] * 6, "int32*", *["int32"] * 4]
    found = made(names, "import math\n" + body, signature, cc, (256, 2))
    assert_lean(found)
    assert found.resources.registers <= 128
    assert found.counts["barriers"] == 2
    assert found.shared <= 4 * SMALL.stage(*ways) + 128


@compiled
def test_registers_can_be_limited():
    few = kernel(["warp_sum"], "def kernel(x):\n    x[cuda.threadIdx.x] = warp_sum(x[cuda.threadIdx.x])")
    most = cuda_compiler.compile_ptx(few, ["float32*"], (9, 0), (512, 4), max_registers=32)
    assert ".maxnreg 32" in most.text
    assert ".minnctapersm 4" in most.text
    assert cuda_compiler.cubin(most, (9, 0)).resources.registers <= 32


@compiled
def test_what_the_gates_count_is_seen():
    """A bare literal is double precision; an array with an index that only data knows is no register."""
    bad = """
def kernel(x, k):
    held = cuda.local.array(37, float32)
    for i in range(37):
        held[i * k % 37] = 0.1 * x[i]
    x[0] = held[k]
"""
    found = made(["warp_sum"], bad, ["float32*", "int32"], (9, 0))
    assert found.counts["float64"] > 0
    assert found.resources.local >= 37 * 4


@compiled
def test_what_the_assembler_refuses_is_said():
    body = """
def kernel(x):
    held = cuda.shared.array(12289, int32)
    held[x[0]] = 1
    x[1] = held[0]
"""
    greedy = kernel(["warp_sum"], body)
    ptx = cuda_compiler.compile_ptx(greedy, ["int32*"], (9, 0), 32)
    with pytest.raises(UnsupportedError, match=r"the assembler for sm_90 refuses .*shared"):
        cuda_compiler.cubin(ptx, (9, 0))


@compiled
def test_an_unknown_kind_of_argument_is_named():
    with pytest.raises(UnsupportedError, match='"float16"'):
        cuda_compiler.compile_ptx(lambda x: None, ["float16"], (9, 0), 32)


def test_a_missing_compiler_is_named_with_the_mend(monkeypatch):
    monkeypatch.setattr(cuda_toolkit, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "gradloom\[cuda\]"'):
        cuda_compiler.compile_ptx(lambda: None, [], (9, 0), 32)


def test_carried_source_is_carried_with_what_it_uses():
    names = carry_cuda(["simt_tile"])
    text = "\n".join(names.lines)
    assert "def through_registers(" in text
    assert "def along(" in text
    assert "def mma_tf32(" not in text
    assert not any("njit" in line for line in names.installed)


@pytest.mark.parametrize("tile", TF32_TILES, ids=str)
def test_tiles_have_the_same_threads(tile):
    assert tile.threads == 256


def test_a_tile_that_does_not_divide_is_refused():
    with pytest.raises(AssertionError):
        Tile(32, 32, 16, 2, 2)
