"""The micro-kernels, in every form and way of blocking, against sums in float64; sizes 1 to 70 in every dimension."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sympy import Integer, Symbol

from gradloom.codegen.blocks import all_blocks, choose_blocks, number_text
from gradloom.codegen.carried import operands, panels, vectors
from gradloom.codegen.carried.contraction import contraction
from gradloom.codegen.strides import Axis, merged

COUNT = Symbol("count", integer=True, positive=True)
compiled = numba.njit(error_model="numpy", fastmath={"contract", "arcp", "nsz"})
LIMIT = 60_000  # numbers in an operand


@st.composite
def contractions(draw):
    """Axes with the operands they stand in, sizes, and the order in which each operand holds them."""
    kinds = draw(st.lists(st.sampled_from(["left", "right", "both", "bound"]), min_size=1, max_size=5))
    kinds = [*dict.fromkeys(["bound", *kinds])] if draw(st.booleans()) else ["bound", *kinds]
    if not {"left", "right", "both"} & set(kinds):
        kinds.append("left")
    sizes, left = [], LIMIT
    for _ in kinds:
        size = draw(st.integers(1, max(1, min(70, left))))
        left //= size
        sizes.append(size)
    growing = draw(st.integers(-1, len(kinds) - 1))  # which extent is only known at run time; -1 for none
    window = draw(st.booleans()) and {"right", "bound"} <= set(kinds)
    orders = [draw(st.permutations(range(len(kinds)))) for _ in range(3)]
    return kinds, sizes, growing, window, orders


HELD = {
    "left": (True, False, True),
    "right": (False, True, True),
    "both": (True, True, True),
    "bound": (True, True, False),
}


def lay_out(case, sizes):
    """The strides of every axis in left, right and target, and how long each operand is; `sizes` may be symbols."""
    kinds, _, _, window, orders = case
    strides = [[Integer(0)] * 3 for _ in kinds]
    lengths = []
    free, bound = kinds.index("right") if window else None, kinds.index("bound")
    for side, order in enumerate(orders):
        step = Integer(1)
        for axis in order:
            if not HELD[kinds[axis]][side]:
                continue
            extent = sizes[axis]
            if window and side == 1 and axis == bound:
                continue  # lies along the free one's axis
            if window and side == 1 and axis == free:
                strides[bound][1] = step
                extent = sizes[free] + sizes[bound] - 1
            strides[axis][side] = step
            step = (step * extent).expand()
        lengths.append(step)
    return strides, lengths


def run(case, real, way, axes, values, lengths, shared=""):
    """The target of one contraction, computed in one way, in parts if an index is `shared`; NaN where nothing is."""
    specification = {a.name: tuple(eval(number_text(v, COUNT)) for v in (a.extent, *a.steps)) for a in way.axes}
    product = contraction(way.form, way.rows, way.vector, specification, way.columns, way.pack, shared)
    _, numbers, growing, *_ = case
    count = numbers[growing] if growing >= 0 else 0
    target = np.full(lengths[2] + 3, np.nan, real)
    sides = values[::-1] if way.swapped else values
    if shared:

        @compiled
        def part(left, right, target, count, first, last):
            product(left, (right, 0), (target, 3), count, first, last)

        extent = next(int(axis.extent.subs(COUNT, count)) for axis in way.axes if axis.name == shared)
        for first, last in ((0, extent // 3), (extent // 3, extent // 3), (extent // 3, extent)):
            part(*sides, target, count, first, last)
    else:

        @compiled
        def call(left, right, target, count):
            product(left, (right, 0), (target, 3), count)

        call(*sides, target, count)
    assert np.isnan(target[:3]).all()
    return target[3:]


def check(case, real, pick):
    kinds, numbers, growing, *_ = case
    sizes = [COUNT if axis == growing else Integer(size) for axis, size in enumerate(numbers)]
    strides, _ = lay_out(case, sizes)
    plain, lengths = lay_out(case, list(map(Integer, numbers)))
    lengths = list(map(int, lengths))
    rng = np.random.default_rng(sum(numbers))
    values = [rng.standard_normal(length).astype(real) for length in lengths[:2]]
    places = [np.zeros([1] * len(kinds), int) for _ in range(3)]
    for axis, size in enumerate(numbers):
        shape = [size if other == axis else 1 for other in range(len(kinds))]
        places = [p + np.arange(size).reshape(shape) * int(plain[axis][side]) for side, p in enumerate(places)]
    terms = values[0].astype(float)[places[0]] * values[1].astype(float)[places[1]]
    summed = tuple(axis for axis, kind in enumerate(kinds) if kind == "bound")
    wanted = np.zeros(lengths[2])
    where = places[2][tuple(slice(0, 1) if axis in summed else slice(None) for axis in range(len(kinds)))]
    wanted[where] = terms.sum(summed, keepdims=True)
    scale = np.abs(terms).sum(summed, keepdims=True)
    slack = np.zeros(lengths[2])
    slack[where] = scale * np.prod([numbers[axis] for axis in summed]) * np.finfo(real).eps

    axes = [Axis(f"i{at}", size, *strides[at]) for at, size in enumerate(sizes)]
    joined = merged(axes)
    ways = [(way, joined) for way in all_blocks(joined, real, COUNT)]
    for way, used in pick(ways):
        found = run(case, real, way, used, values, lengths)
        assert not np.isnan(found).any(), way
        assert np.all(np.abs(found - wanted) <= slack + 1e-300), way
        free = [axis for axis in way.axes if not axis.is_bound]
        free = [axis.name for axis in free if axis.name != way.vector or axis.target == 1]
        if free:
            name = free[sum(numbers) % len(free)]
            assert np.array_equal(run(case, real, way, used, values, lengths, name), found), (way, name)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(contractions(), st.sampled_from(["float32", "float64"]), st.data())
def test_a_way_of_blocking_gives_the_sum(case, real, data):
    check(case, real, lambda ways: [data.draw(st.sampled_from(ways))] if ways else [])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    contractions(), st.sampled_from([(16, 16), (32, 16), (16, 32)]), st.sampled_from(["float32", "float64"]), st.data()
)
def test_so_it_does_in_shorter_vectors_and_fewer_registers(case, machine, real, data):
    """As on machines without AVX-512, without AVX, or with NEON."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "VECTOR_BYTES", machine[0])
        patch.setattr(vectors, "REGISTERS", machine[1])
        check(case, real, lambda ways: [data.draw(st.sampled_from(ways))] if ways else [])


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(contractions(), st.sampled_from(["float32", "float64"]))
def test_every_way_of_blocking_gives_the_sum(case, real):
    check(case, real, lambda ways: ways)


# Of the right operand what is summed over lies side by side, as in x Wᵀ; the left one has two axes of its own.
ACROSS = ["left", "left", "right", "bound", "bound"], [3, 7, 37, 5, 29], [[0, 1, 2, 3, 4], [4, 3, 2], [2, 0, 1]]


GROWING = {"fixed": -1, "first": 0, "second": 1, "bound": 4}
EVERY_DAY = {(16, "first"), (32, "bound"), (64, "fixed"), (64, "second")}


@pytest.mark.parametrize(
    ("size", "growing"),
    [
        pytest.param(size, growing, marks=[pytest.mark.slow] * ((size, growing) not in EVERY_DAY))
        for size in (16, 32, 64)
        for growing in GROWING
    ],
)
def test_panels_are_transposed_in_vectors_of_any_size(size, growing, monkeypatch):
    monkeypatch.setattr(vectors, "VECTOR_BYTES", size)
    monkeypatch.setattr(panels, "PANEL_BYTES", 4096)  # in several parts
    kinds, sizes, (left, right, target) = ACROSS
    orders = [left, [*right, 0, 1], [*target, 3, 4]]

    def packed(ways):
        chosen = [way for way in ways if way[0].pack and not way[0].swapped and way[0].rows]
        assert chosen
        return chosen[:2]

    check((kinds, sizes, GROWING[growing], False, orders), "float32", packed)


@pytest.mark.parametrize("growing", [-1, 0, 1, 2])
@pytest.mark.parametrize("orders", [[[0, 2], [1, 2], [0, 1]], [[2, 0], [2, 1], [1, 0]]])
@pytest.mark.parametrize(("size", "real"), [(64, "float32"), pytest.param(32, "float64", marks=pytest.mark.slow)])
def test_both_operands_are_copied_part_by_part(size, real, orders, growing, monkeypatch):
    """Lines and columns are cut several times, and the last parts are shorter."""
    monkeypatch.setattr(vectors, "VECTOR_BYTES", size)
    monkeypatch.setattr(panels, "DEEP", 11)
    monkeypatch.setattr(panels, "WIDE_BYTES", 6000)

    def packed(ways):
        chosen = [way for way in ways if way[0].pack == "both"]
        assert chosen
        return chosen

    check((["left", "right", "bound"], [41, 151, 53], growing, False, orders), real, packed)


def test_a_panel_is_copied_once_for_all_that_reads_it():
    """The cost model's choice for queries of heads, q[i, h, t, d] = Σ_j W[h, d, j] x[i, t, j], is not far off x Wᵀ."""
    i, t, h, d, j = COUNT, Integer(61), Integer(4), Integer(16), Integer(67)
    steps = {
        "i": Axis("i", i, t * j, Integer(0), h * t * d),
        "t": Axis("t", t, j, Integer(0), d),
        "h": Axis("h", h, Integer(0), d * j, t * d),
        "d": Axis("d", d, Integer(0), j, Integer(1)),
        "j": Axis("j", j, Integer(1), Integer(1), Integer(0)),
    }
    way = choose_blocks(list(steps.values()), "float32", COUNT)
    assert way is not None
    assert (way.form, way.vector, way.pack) == ("outer", "d", "right")
    assert way.rows == "t"  # examples lie further apart
    assert way.cost < 1.3 * (64 * 61 * 4 * 67 / 2)


def test_parts_of_a_product_without_the_compiler():
    rng = np.random.default_rng(1)
    left, right, target = rng.standard_normal((11, 7)), rng.standard_normal((7, 5)), np.full((11, 5), np.nan)
    indices = {"i": ((0, 1), 7, 0, 5), "j": (5, 0, 1, 1), "k": (7, 1, 5, 0)}
    product = operands.without_compiler(indices, "i")
    product(left, right, target, 11, 0, 3)
    np.testing.assert_allclose(target[:3], (left @ right)[:3], rtol=1e-14)
    assert np.isnan(target[3:]).all()
    product(left, right, target, 11, 3, 11)
    np.testing.assert_allclose(target, left @ right, rtol=1e-14)
