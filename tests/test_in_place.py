"""Fewer numbers kept: signs asked of outputs, sums without what guards cut off, results in the place of what dies."""

from __future__ import annotations

import kernels
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.guards import Guard

L = gl.layers
B = gl.dims("B")
b, i, j, k, t = gl.indices("b i j k t")
NAMES = [1.7, -0.3, 0.0, -0.0, np.inf, -np.inf, np.nan]


def by_python(network, values, **options):
    """Loss and gradients of the "cpu" module, run without the compiler, and the module's source."""
    source = generate(network, dtype="float64", **options).source
    with np.errstate(all="ignore"):
        return (*kernels.run(kernels.plain(source), network, values)[1:], source)


def agrees(network, values, **options):
    _, gradients, source = by_python(network, values, **options)
    known, derivation = kernels.expected(network, values), network.derive()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, known[derivation.gradients[name].target.name], rtol=1e-10, atol=1e-13)
    return source


# ---- signs ---------------------------------------------------------------------------------------------------------


def rectified(function, *, also_reads=False):
    net = gl.Network("rectified")
    x, W, V = net.input("x", (B, 5)), net.parameter("W", (7, 5)), net.parameter("V", (3, 7))
    z = net.define("z", (b, j), gl.Sum(W[j, k] * x[b, k], k))
    a = net.define("a", (b, j), function(z[b, j]))
    s = net.define("s", (b, i), gl.Sum(V[i, j] * a[b, j], j))
    net.minimize(gl.Sum(s[b, i] ** 2, b, i) + (gl.Sum(z[b, j] ** 3, b, j) if also_reads else 0))
    return net


def draw(shapes, seed=5):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("function", [gl.relu, gl.leaky_relu], ids=["relu", "leaky"])
@pytest.mark.parametrize("also_reads", [False, True])
def test_the_sign_of_what_went_in_is_asked_of_what_came_out(function, also_reads):
    net = rectified(function, also_reads=also_reads)
    agrees(net, draw({"x": (11, 5), "W": (7, 5), "V": (3, 7)}))
    assert ("z" in generate(net).stored) == also_reads


def test_a_parameter_may_be_negative_so_its_rectifier_is_asked_itself():
    net = gl.Network("parametric")
    x, W, V = net.input("x", (B, 5)), net.parameter("W", (7, 5)), net.parameter("V", (3, 7))
    slope = net.parameter("slope")
    z = net.define("z", (b, j), gl.Sum(W[j, k] * x[b, k], k))
    a = net.define("a", (b, j), gl.leaky_relu(z[b, j], slope))
    s = net.define("s", (b, i), gl.Sum(V[i, j] * a[b, j], j))
    net.minimize(gl.Sum(s[b, i] ** 2, b, i))
    values = draw({"x": (11, 5), "W": (7, 5), "V": (3, 7)}) | {"slope": np.array(-0.4)}
    agrees(net, values)
    assert "z" in generate(net).stored


@pytest.mark.parametrize("function", [gl.relu, gl.leaky_relu], ids=["relu", "leaky"])
@pytest.mark.parametrize("value", NAMES, ids=str)
def test_signs_at_the_edges(function, value, monkeypatch):
    """Where what went in is not finite or 0, bit for bit the gradient that asking itself gives."""
    net = gl.Network("edges")
    x, W = net.input("x", (B,)), net.parameter("W", (2,))
    a = net.define("a", (b,), function(x[b]))
    net.minimize(gl.Sum(W[0] * a[b] ** 2, b))
    values = {"x": np.array([value, 0.7]), "W": np.ones(2)}
    made, _ = by_python(net, values, wrt=["x"])[1:]
    monkeypatch.setattr("gradloom.codegen.schedule.signs_of_outputs", lambda forward, backward: tuple(backward))
    known, source = by_python(net, values, wrt=["x"])[1:]
    assert "x[" in source
    np.testing.assert_array_equal(made["x"], known["x"])


# ---- sums ----------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(-9, 6), st.integers(0, 9), st.integers(0, 1000))
def test_sums_that_guards_cut_at_both_ends(low, high, seed):
    high = max(low, high)  # else nothing is left
    net = gl.Network("cut")
    x, W = net.input("x", (B, 7)), net.parameter("W", (5, 7))
    y = net.define("y", (b, j), gl.Sum(Guard(k - low) * Guard(high - k) * W[j, k] * x[b, k], (k, 7)))
    net.minimize(gl.Sum((y[b, j] - 1) ** 2, b, j))
    agrees(net, draw({"x": (3, 7), "W": (5, 7)}, seed))


def test_the_gradient_of_a_recurrent_weight_copies_nothing():
    net = gl.Sequential([L.RNN(7)], (5, 3), loss=gl.losses.SquaredError())
    x, y = np.random.default_rng(1).standard_normal((2, 11, 5, 7))
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in net.tensors.items() if tensor.role == "parameter"}
    source = agrees(net, {"x": x[..., :3], "y": y, **draw(shapes)})
    assert "padded" not in source


# ---- in place ------------------------------------------------------------------------------------------------------


def numbers_of(source):
    line = next(line for line in source.splitlines() if "numbers = " in line)
    return int(line.split("=")[1].split("*")[0])


FAMILIES = {
    "pooling": ([L.Conv2D(3, 3, padding=1, activation=gl.relu), L.MaxPool2D(2), L.Flatten(), L.Dense(5)], (2, 6, 4)),
    "LSTM": ([L.LSTM(5), L.Dense(3)], (7, 2)),
    "attention": ([L.TransformerBlock(4, 2, 7)], (3, 4)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_numbers_in_less_memory(family, monkeypatch):
    layers, shape = FAMILIES[family]
    net = gl.Sequential(layers, shape, loss=gl.losses.SquaredError())
    rng, schedule = np.random.default_rng(2), {"workspace": "shared"}
    tensors = [*net.inputs, *net.targets, *net.parameters]
    sizes = {
        tensor: tuple(11 if size == net.inputs[0].shape[0] else int(size) for size in tensor.shape)
        for tensor in tensors
    }
    values = {tensor.name: rng.standard_normal(shape) for tensor, shape in sizes.items()}
    loss, made, source = by_python(net, values, schedule=schedule)
    monkeypatch.setattr("gradloom.codegen.storage.heirs", lambda *given: {})
    other, known, larger = by_python(net, values, schedule=schedule)
    assert loss == other
    for name in known:
        np.testing.assert_array_equal(made[name], known[name])
    assert numbers_of(source) < numbers_of(larger)


def test_what_is_read_again_keeps_its_place():
    """a is read at other places than where its delta is made: it must not lie there."""
    net = gl.Network("again")
    x, W = net.input("x", (B, 7)), net.parameter("W", (7, 7))
    a = net.define("a", (b, j), gl.tanh(gl.Sum(W[j, k] * x[b, k], k)))
    c = net.define("c", (b, j), a[b, j] * a[b, 6 - j])
    net.minimize(gl.Sum(c[b, j] ** 3, b, j))
    agrees(net, draw({"x": (11, 7), "W": (7, 7)}), schedule={"workspace": "shared"})


@pytest.mark.parametrize("every", [2, 3])
def test_a_sum_over_segments_is_stored_before_what_lies_in_its_place(every):
    """The last segment adds to the sum and takes its tanh in one loop; where the sum is, the tanh comes to lie."""
    net = gl.Network("summed")
    x, W, U = net.input("x", (B, 7, 3)), net.parameter("W", (5, 3)), net.parameter("U", (5, 5))
    h = net.sequence("h", (B, 7, 5))
    before = gl.Sum(U[j, i] * gl.padded(h[b, t - 1, i]), i)
    h = net.define("h", (b, t, j), gl.tanh(gl.Sum(W[j, k] * x[b, t, k], k) + before))
    s = net.define("s", (b, j), gl.tanh(gl.Sum(h[b, t, j], t)))
    net.minimize(gl.Sum((s[b, j] - 1) ** 2, b, j))
    agrees(net, draw({"x": (11, 7, 3), "W": (5, 3), "U": (5, 5)}), checkpoint=every)
