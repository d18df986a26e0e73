"""Every fault that the lock-step simulator of CUDA kernels is there for, caught."""

from __future__ import annotations

import lockstep
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lockstep import Divergence, Failure, LockstepError, Misaligned, OutOfBounds, Promotion, Race
from lockstep_kernels import MATMUL, ORDERS, REDUCTION, blank, drawn, matmul, module, without


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
def moved(x, y):
    i = cuda.grid(1)
    x[i] = float32(i)
    cuda.syncthreads()
    y[i] = x[i ^ 1]
"""
    y = blank(10)
    module(source).launch("moved", 5, 2, (blank(10), y))
    np.testing.assert_array_equal(y, np.arange(10) ^ 1)
    with pytest.raises(Race, match="two blocks"):
        module(source).launch("moved", 10, 1, (blank(10), y))


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
        with pytest.raises(Race, match=r"line 12 .*changes element 0 .* read, line 14"):
            module(source.replace("BARRIER", instead)).launch("counted", 3, 2, (x, y))
    source = "@kernel\ndef k(x):\n    cuda.atomic.add(x, 0, 1)\n    if cuda.threadIdx.x == 1:\n        x[0] = 7\n"
    with pytest.raises(Race, match=r"writes element 0 .* changed atomically, line 11"):
        module(source).launch("k", 1, 2, (x,))


# Random programs, with every pair of accesses looked at.

INTERPRETER = """
@kernel
def interpret(program, barriers, x):
    held = cuda.shared.array(2, int32)
    i = cuda.grid(1)
    for phase in range(len(barriers)):
        for step in range(program.shape[2]):
            what = program[phase, i, step, 0]
            at = program[phase, i, step, 1]
            if what == 1:
                seen = x[at] if at < 2 else held[at - 2]
            elif what == 2:
                if at < 2:
                    x[at] = 1
                else:
                    held[at - 2] = 1
            elif what == 3:
                if at < 2:
                    cuda.atomic.add(x, at, 1)
                else:
                    cuda.atomic.max(held, at - 2, 1)
        if barriers[phase] == 0:
            cuda.syncthreads()
        elif barriers[phase] == 1:
            cuda.syncwarp()
        else:
            grid_barrier()
"""
RANDOM = module(INTERPRETER)
THREADS = 33  # a warp and the first lane of another one
ACTIVE = (0, 1, 32, 33, 65)
SCOPES = (lambda i: i // THREADS, lambda i: (i // THREADS, i % THREADS // 32), lambda i: 0)


def any_race(accesses, barriers):
    """Whether two accesses (phase, thread, what, element) clash with no barrier between that holds both threads."""
    for p, i, first, at in accesses:
        for q, j, second, other in accesses:
            here = at if at < 2 else (at, i // THREADS)  # shared memory is another one in every block
            there = other if other < 2 else (other, j // THREADS)
            clash = 2 in (first, second) or {first, second} == {1, 3}
            if i < j and here == there and clash:
                between = barriers[min(p, q) : max(p, q)]
                if not any(SCOPES[barrier](i) == SCOPES[barrier](j) for barrier in between):
                    return True
    return False


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=4).flatmap(
        lambda barriers: st.tuples(
            st.just(barriers),
            st.lists(
                st.tuples(
                    st.integers(0, len(barriers) - 1), st.sampled_from(ACTIVE), st.integers(1, 3), st.integers(0, 3)
                ),
                max_size=7,
            ),
        )
    ),
    st.sampled_from(ORDERS),
)
# An atomic access must not hide the thread's own read before it.
@example(([0], [(0, 0, 3, 0), (0, 33, 1, 0), (0, 33, 3, 0)]), "reverse")
def test_races_are_found_in_random_programs_and_only_there(drawn_program, order):
    barriers, accesses = drawn_program
    program = np.zeros((len(barriers), 2 * THREADS, 7, 2), np.int32)
    for step, (phase, i, what, at) in enumerate(accesses):
        program[phase, i, step] = what, at
    found = False
    try:
        arguments = program, np.array(barriers), np.zeros(2, np.int32)
        RANDOM.launch("interpret", 2, THREADS, arguments, order=order)
    except Race:
        found = True
    assert found == any_race(accesses, barriers)


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
    source = "@device\ndef meet():\n    cuda.syncthreads()\n\n@kernel\ndef k(x):\n    t = cuda.threadIdx.x\n"
    source += DIVERGENT[what] + "\n"
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


UNALIGNED = [
    "ld4(x, 6)",
    "st4(y, 2, z, z, z, z)",
    "cp_async16(tile, 0, x, 1, True)",
    "ld4(x[3:], 0)",
    "ld4(shifted(x, 2), 0)",
]


@pytest.mark.parametrize("access", UNALIGNED)
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
    source = (
        "RATE = np.float32(0.3)\n@kernel\ndef k(x, y, rate):\n    y[0] = max(x[0], float32(0.0)) * rate - RATE * {}\n"
    )
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
    cp_async16(tile, 4 * t, x, 4 * t, True)
    cp_commit()
    for step in range(steps):
        if step + 1 < steps:
            cp_async16(tile, (step + 1) % 2 * 32 + 4 * t, x, (step + 1) * 32 + 4 * t, True)
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
    with pytest.raises(Race, match=r"an asynchronous copy of .* is under way"):
        piped(PIPELINE.replace("cp_wait1", "cp_wait2"), order)
    with pytest.raises(Race, match='shared array "tile"'):
        piped(PIPELINE.replace("        cuda.syncthreads()\n        for", "        for"), order)


def test_a_copy_under_way_hides_what_was_there_before():
    source = """
@kernel
def k(x, y):
    tile = cuda.shared.array(4, float32, alignment=16)
    st4(tile, 0, x[0], x[1], x[2], x[3])
    cp_async16(tile, 0, x, 4, True)
    cp_commit()
    y[0] = tile[0]
    cp_wait0()
    y[1] = tile[0]
"""
    x, y = drawn(13, 8), blank(2)
    module(source).launch("k", 1, 1, (x, y))
    np.testing.assert_array_equal(y, [np.nan, x[4]])


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
