"""The lock-step simulator on what generated modules carry: functions made by functions, pointers, tables, copies."""

from __future__ import annotations

import lockstep
import numpy as np
import pytest
from lockstep import Divergence, Failure, LockstepError, Misaligned, OutOfBounds, Race
from lockstep_kernels import ORDERS, blank, drawn, module, without

FACTORY = """
SCALE = np.float32(0.5)

def doubled(count):
    return 2 * count

def turning(real, count, apply, waits):
    COUNT = doubled(count)

    @device
    def through(held, at):
        cuda.syncthreads()
        return held[COUNT - 1 - at]

    @device
    def past(held, at):
        return held[at]

    take = through if waits else past

    @device
    def turn(x, y):
        held = cuda.shared.array(COUNT, real)
        t = cuda.threadIdx.x
        if t < COUNT:
            held[t] = x[t] * SCALE
            y[t] = real(0)
        else:
            y[t] = real(1)
        value = take(held, min(t, COUNT - 1))
        if t < COUNT:
            y[t] += apply(value, real(3))

    return turn, past

@device
def added(value, more):
    return value + more

@device
def multiplied(value, factor):
    return value * factor

turn_three, unused = turning(float32, 3, added, True)
turn_two, _ = turning(float32, 2, multiplied, waits=True)
stay, _ = turning(float32, 4, multiplied, waits=False)

@kernel
def both(x, y, z, w):
    turn_three(x, y)
    turn_two(x, z)
    stay(x, w)
"""


@pytest.mark.parametrize("order", ORDERS)
def test_functions_made_by_functions(order):
    """Three from one source, each with what it captures and with shared memory of its own."""
    x, y, z, w = drawn(1, 7), blank(7), blank(7), blank(7)
    module(FACTORY).launch("both", 1, 7, (x, y, z, w), order=order)
    half = x * np.float32(0.5)
    np.testing.assert_array_equal(y, [*(half[5::-1] + np.float32(3)), 1])
    np.testing.assert_array_equal(z, [*(half[3::-1] * np.float32(3)), 1, 1, 1])
    np.testing.assert_array_equal(w, half * np.float32(3))


def test_a_barrier_in_a_captured_function_is_missed():
    with pytest.raises(Race, match='shared array "held"'):
        module(without(FACTORY, "        cuda.syncthreads()\n")).launch("both", 1, 7, (drawn(1, 7), *[blank(7)] * 3))


def test_numbers_that_functions_capture_have_64_bits():
    source = """
def making(factor):
    @device
    def times(x):
        return x * factor

    return times

times = making(3)

@kernel
def k(x, y):
    y[0] = times(x[0])
"""
    with pytest.raises(lockstep.Promotion):
        module(source).launch("k", 1, 1, (drawn(1, 1), blank(1)))
    module(source.replace("making(3)", "making(np.float32(3))")).launch("k", 1, 1, (drawn(1, 1), blank(1)))


HANDED = """
@device
def meeting(x):
    cuda.syncthreads()
    return x

@device
def turned(x):
    return -x

@device
def applied(function, x):
    return function(x)

@kernel
def k(x, y):
    t = cuda.threadIdx.x
    chosen = turned if len(x) == 5 else meeting
    held = cuda.shared.array(5, float32)
    held[t] = x[t]
    y[t] = applied(HAND, chosen(held[OTHER]))
"""


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_functions_handed_on_as_arguments(order):
    x, y = drawn(2, 5), blank(5)
    module(HANDED.replace("HAND", "meeting").replace("OTHER", "t")).launch("k", 1, 5, (x, y), order=order)
    np.testing.assert_array_equal(y, -x)
    with pytest.raises(Race):
        module(HANDED.replace("HAND", "turned").replace("OTHER", "4 - t")).launch("k", 1, 5, (x, y), order=order)
    diverging = HANDED.replace("HAND, ", "meeting if t else turned, ").replace("OTHER", "t")
    with pytest.raises(Divergence):
        module(diverging).launch("k", 1, 5, (x, y), order=order)


UNDECORATED = """
def helper(x):
    return x

def making():
    def inner(x):
        return x

    @device
    def f(x):
        return inner(x)

    return f

f = making()

@kernel
def k(y):
    y[0] = CALLED(y[1])
"""


def test_only_functions_of_kernels_are_called_in_them():
    with pytest.raises(LockstepError, match='"inner" is a function without a decorator'):
        module(UNDECORATED.replace("CALLED", "f"))
    with pytest.raises(Failure, match="NameError: name 'helper'"):
        module(UNDECORATED.replace("CALLED", "helper")).launch("k", 1, 1, (blank(2),))
    with pytest.raises(LockstepError, match='"f" at line 10 calls itself'):
        module("@device\ndef f(x):\n    return f(x)\n\n@kernel\ndef k(y):\n    y[0] = f(y[0])\n")
    with pytest.raises(LockstepError, match="the constants f that kernels need cannot be computed: ZeroDivision"):
        module("def making(n):\n    return 1 // n\n\nf = making(0)\n\n@kernel\ndef k(y):\n    y[0] = f\n")


def test_kernels_and_decorators_as_generated_modules_have_them():
    source = """
from numba import cuda
device = cuda.jit(device=True, forceinline=True)

@device
def twice(x):
    return x + x

def run(x, y):
    y[cuda.grid(1)] = twice(x[cuda.grid(1)])
"""
    x, y = drawn(3, 5), blank(5)
    lockstep.load(source, plain=["run"]).launch("run", 5, 1, (x, y))
    np.testing.assert_array_equal(y, x + x)


POINTERS = """
TABLE = np.array([4, 0, 2], np.int32)

@kernel
def k(x, y, table, wide):
    i = cuda.grid(1)
    inner = shifted(shifted(x, 7), -3)
    y[i] = inner[along(TABLE, i)]
    y[3 + i] = inner[along(table, i) - 4]
    y[6 + i] = x[along((table, 2), i)]
    y[9 + i] = inner[along(-1, i)]
    flat = pointer_to(wide)
    y[12 + i] = flat[along(int32(3), i)]
    if i == 0:
        y[15], y[16] = ld2(x, 4)
        y[17], y[18] = ld2(shifted(x, 1), 1)
    ACCESS
"""


def pointers(access, **options):
    x, y, wide = drawn(4, 11), blank(19), drawn(5, 3, 3)
    module(POINTERS.replace("ACCESS", access)).launch("k", 3, 1, (x, y, np.array([1, 5, 0], np.int32), wide), **options)
    return x, y, wide


def test_pointers_and_tables():
    x, y, wide = pointers("pass")
    at = [8, 4, 6, 1, 5, 0, 2, 10, 0, 4, 3, 2]
    np.testing.assert_array_equal(y, [*x[at], *wide[:, 0], x[4], x[5], x[2], x[3]])


@pytest.mark.parametrize(
    ("access", "error", "named"),
    [
        ("y[i] = inner[7]", OutOfBounds, r'index 7 from element 4 on of global array "x" of shape \(11,\)'),
        ("y[i] = inner[-5]", OutOfBounds, "index -5 from element 4 on"),
        ("y[i] = flat[9]", OutOfBounds, 'index 9 of global array "wide"'),
        ("y[i] = inner[along(TABLE, 3)]", OutOfBounds, 'index 3 of constant array "const"'),
        ("a, b, c, d = ld4(inner, 4)", OutOfBounds, "elements 4 to 7 from element 4 on"),
        ("a, b = ld2(x, 5)", Misaligned, "8-byte access .* starts 4 bytes after a multiple of 8"),
        ("inner[0] = float32(i)", Race, 'reads element 4 of global array "x"'),
    ],
)
def test_pointers_reach_as_far_as_their_array(access, error, named):
    with pytest.raises(error, match=named):
        pointers(access)


def test_wide_accesses_of_double_precision():
    source = """
@kernel
def k(x, y):
    a, b, c, d = ld4(x, AT)
    st4(y, 2, d, c, b, a)
"""
    x, y = drawn(6, 7).astype(np.float64), np.zeros(7)
    module(source.replace("AT", "2")).launch("k", 1, 1, (x, y))
    np.testing.assert_array_equal(y, [0, 0, x[5], x[4], x[3], x[2], 0])
    with pytest.raises(Misaligned, match="starts 8 bytes after"):
        module(source.replace("AT", "3")).launch("k", 1, 1, (x, y))


COPIES = """
@kernel
def k(x, y, n):
    held = cuda.shared.array(12, float32, alignment=16)
    t = cuda.threadIdx.x
    cp_async4(held, t, x, t + 1, t < n)
    cp_async16(held, 4 * t + 4, x, 4 * t, t < n)
    cp_commit()
    WAIT
    for at in range(t, t + 1):
        y[at] = held[at]
    for lane in range(4):
        y[2 + 4 * t + lane] = held[4 * t + 4 + lane]
"""


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_copies_put_zeros_where_nothing_is_inside(order):
    x, y = drawn(7, 5), blank(10)
    module(COPIES.replace("WAIT", "cp_wait0()")).launch("k", 1, 2, (x, y, 1), order=order)
    np.testing.assert_array_equal(y, [x[1], 0, *x[:4], 0, 0, 0, 0])
    module(COPIES.replace("WAIT", "cp_wait1()")).launch("k", 1, 2, (x, y, 1), order=order)
    assert np.isnan(y).all()
    with pytest.raises(OutOfBounds, match='elements 4 to 7 of global array "x"'):
        module(COPIES.replace("WAIT", "cp_wait0()")).launch("k", 1, 2, (x, y, 2), order=order)
