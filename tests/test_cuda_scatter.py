"""Sums into places that only data know, in order and by atomic additions, on a simulated device."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from everyday import daily
from lockstep import Race
from simulated import assert_as_reference, assert_trained_alike, device_module, drawn, start, trained
from test_cuda_compiler import compiled
from test_cuda_gates import train_kernel

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime import cuda_compiler

L = gl.layers
WAYS = (None, "fast")


def embedding(symbols=263, width=3, tokens=17):
    """More rows than blocks have, fewer numbers in each than a block has threads."""
    layers = [L.Embedding(symbols, width), L.Flatten(), L.Dense(2)]
    return gl.Sequential(layers, (tokens,), loss=gl.losses.SquaredError(), input_classes=symbols)


def gathered(name, shape, read, squared):
    """A network whose parameter ``E`` is read where the data ``x`` and ``y`` say."""
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network(name)
    x, y = net.input("x", (B, 5), classes=7), net.input("y", (B,), classes=7)
    w, table = net.input("w", (B, 5, 2)), net.parameter("E", shape)
    a = net.define("a", (i, j, k), sympy.tanh(read(table, x[i, j], y[i], k)) * w[i, j, k])
    net.minimize(gl.Sum(squared(a[i, j, k]), i, j, k) / B)
    return net


def one_hot(table, x, y, k):
    m = gl.indices("m")
    return gl.Sum(sympy.KroneckerDelta(m, x) * table[m, k], m)


NETWORKS = {
    "an embedding": embedding,
    "one number of each": lambda: gathered("numbers", (7,), lambda table, x, y, k: table[x], lambda a: a**2),
    "two say where": lambda: gathered("pairs", (7, 2, 7), lambda table, x, y, k: table[y, k, x], lambda a: a**3 + a),
    "the same twice": lambda: gathered("twice", (7, 2), lambda table, x, y, k: table[x, k] * table[y, k], lambda a: a),
    "a one-hot sum": lambda: gathered("one_hot", (7, 2), one_hot, lambda a: a**2),
}


def bits(module, net, rows, dtype="float32"):
    params, data = start(module, dtype), drawn(net, rows)
    found = np.full_like(params, np.nan)
    module.loss_and_gradients(params, *data, module.workspace(rows), found)
    return found


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("way", WAYS, ids=["ordered", "fast"])
@pytest.mark.parametrize("name", NETWORKS)
def test_as_the_reference_target(name, way):
    assert_as_reference(NETWORKS[name](), rows=7, schedule=way and {"scatter": way})


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("name", daily(NETWORKS, "the same twice"))
def test_in_order_the_bits_are_the_same_on_any_grid(name):
    """And those of a sum in the order of the data, in the type itself."""
    net = NETWORKS[name]()
    source = generate(net, target="cuda").source
    assert "add_atomic" not in source
    first = bits(device_module(source, "float32"), net, 7)
    for options in ({"order": "reverse", "blocks": 1}, {"order": 5, "blocks": 3}):
        found = bits(device_module(source, "float32", races=False, **options), net, 7)
        np.testing.assert_array_equal(found, first)


def sums():
    """The gradient is a sum of the data themselves."""
    B, (i, k) = gl.dims("B"), gl.indices("i k")
    net = gl.Network("sums")
    x, w, table = net.input("x", (B,), classes=5), net.input("w", (B, 3)), net.parameter("E", (5, 3))
    net.minimize(gl.Sum(table[x[i], k] * w[i, k], i, k))
    return net


@pytest.mark.usefixtures("one_warp")
def test_rows_are_summed_up_in_the_order_of_the_data():
    """Of numbers so different that every other order gives another sum."""
    module = device_module(generate(sums(), target="cuda").source, "float32")
    rng, rows = np.random.default_rng(2), 101
    numbers = (rng.standard_normal((rows, 3)) * 10.0 ** rng.integers(-4, 5, (rows, 3))).astype(np.float32)
    labels = rng.integers(0, 5, rows)
    known = np.zeros((5, 3), np.float32)
    for label, row in zip(labels, numbers, strict=True):
        known[label] += row
    found = np.full(15, np.nan, np.float32)
    module.loss_and_gradients(np.ones(15, np.float32), labels, numbers, module.workspace(rows), found)
    np.testing.assert_array_equal(found.reshape(5, 3), known)
    assert (np.add.reduce(numbers[labels == 2][::-1], 0) != known[2]).any()


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("way", WAYS, ids=["ordered", "fast"])
def test_several_steps_of_training(way):
    """What one step has left in the gradient is not added to by the next."""
    net = NETWORKS["an embedding"]()
    rule = gl.optimizers.SGD(lr=0.05, momentum=0.9)
    if way is None:
        assert_trained_alike(net, rule)
        return
    source = generate(net, target="cuda", dtype="float64", optimizer=rule, schedule={"scatter": way}).source
    params = trained(device_module(source, "float64"), net, rule, float)[0]
    known = trained(net.compile(target="numpy", dtype="float64", optimizer=rule).module, net, rule, float)[0]
    np.testing.assert_allclose(params, known, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("one_warp")
def test_atomic_additions_come_in_any_order():
    net = embedding(5, 3, 17)
    source = generate(net, target="cuda", schedule={"scatter": "fast"}).source
    found = [bits(device_module(source, "float32", order=order, races=False), net, 7) for order in (1, 2, 3)]
    assert any(one.tobytes() != found[0].tobytes() for one in found)
    for one in found:
        np.testing.assert_allclose(one, found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("one_warp")
def test_atomic_additions_wait_for_zeros():
    source = generate(sums(), target="cuda", schedule={"scatter": "fast"}).source
    step = source.index("def loss_and_gradients(")
    zeros, wait = source.index("    # ∂L/∂E", step), source.index("    grid_barrier(gate)\n", step)
    assert step < zeros < wait
    after = wait + len("    grid_barrier(gate)\n")
    early = source[:zeros] + source[wait:after] + source[zeros:wait] + source[after:]
    early = early.replace("BLOCKS = 1 ", "BLOCKS = 3 ")  # the threads of one block wait for each other anyway
    with pytest.raises(Race, match=r'changes element .* "grads"'):
        bits(device_module(early, "float32"), sums(), 23)  # more points than a block has threads


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("after", ["    before = found", "    return found"])
def test_a_missing_wait_of_a_block_is_found(after):
    net = embedding(5, 3, 17)
    source, line = generate(net, target="cuda").source, f"    cuda.syncthreads()\n{after}"
    assert source.count(line) == 1
    with pytest.raises(Race):
        bits(device_module(source.replace(line, after), "float32", blocks=1), net, 7)


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_the_fast_kernel_adds_atomically(dtype):
    found = {}
    for way in ("ordered", "fast"):
        device = train_kernel(embedding(), dtype, (9, 0), schedule={"scatter": way})
        found[way] = cuda_compiler.counts(device.ptx)["atomic_adds"]
        assert (device.cubin.resources.local, device.cubin.resources.spills) == (0, 0)
    assert found["ordered"] == 0 < found["fast"]
