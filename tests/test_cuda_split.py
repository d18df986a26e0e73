"""Sums that are divided among blocks, on a simulated device: ragged parts, empty ones, the same bits on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from everyday import daily
from simulated import assert_as_reference, assert_trained_alike, device_module, start
from test_cuda_networks import OPTIMIZERS

import gradloom as gl
from gradloom.codegen.cuda import split
from gradloom.codegen.generate import generate

L = gl.layers
pytestmark = pytest.mark.usefixtures("one_warp")


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    """Sums are divided that are short enough to be simulated."""
    monkeypatch.setattr(split, "IN_PRODUCT", 8)
    monkeypatch.setattr(split, "IN_SUM", 8)


def gradients(source, rows, dtype, blocks, order):
    """Of L = 1/(2 B) Σ (x Wᵀ + b - y)², and what they are in float64."""
    module = device_module(source, dtype, blocks=blocks, order=order, races=blocks > 1)
    rng = np.random.default_rng(rows)
    x, y = (rng.standard_normal((rows, size)).astype(dtype) for size in (13, 5))
    flat, found = start(module, dtype), np.full(13 * 5 + 5, np.nan, dtype)
    module.loss_and_gradients(flat, x, y, module.workspace(rows), found)
    parts = {}
    for name, (at, shape) in module.PARAMETERS.items():
        parts[name] = flat[at : at + int(np.prod(shape))].reshape(shape).astype(np.float64)
    error = (x.astype(np.float64) @ parts["W1"].T + parts["b1"] - y) / rows
    wanted = {"W1": error.T @ x, "b1": error.sum(0)}
    size = {"W1": abs(error).T @ abs(x), "b1": abs(error).sum(0)}
    places = module.gradient_places(rows)
    for name, (at, shape) in places.items():
        ours = found[at : at + int(np.prod(shape))].reshape(shape)
        # The error is a sum of 13 products, too.
        assert (abs(ours - wanted[name]) <= (rows + 40) * np.finfo(dtype).eps * (size[name] + 40 / rows)).all()
    return found


@pytest.mark.parametrize("dtype", daily(["float32", "float64"], "float64"))
@pytest.mark.parametrize("rows", [1, 31, 33, 100])
def test_a_weights_gradient_is_summed_up_in_parts(rows, dtype):
    """The batch is divided as 64 rows would be; of fewer some parts are empty."""
    net = gl.Sequential([L.Dense(5)], (13,), loss=gl.losses.SquaredError())
    source = generate(net, target="cuda", dtype=dtype).source
    assert "part_of_inner(int32(B), int32(16), int32(part), int32(8))" in source
    assert "b1_parts" in source
    found = [
        gradients(source, rows, dtype, blocks, order) for blocks, order in ((2, "forward"), (1, "reverse"), (7, 5))
    ]
    assert len({one.tobytes() for one in found}) == 1


@pytest.mark.parametrize("rows", daily([1, 3, 31], 3))
def test_a_convolutions_gradients_are_summed_up_in_parts(rows):
    """Of the batch, and of all pixels of a batch."""
    layers = [L.Conv2D(2, 3), L.AveragePool2D(2), L.Flatten(), L.Dense(3)]
    net = gl.Sequential(layers, (1, 9, 7), loss=gl.losses.SquaredError())
    source = generate(net, target="cuda", dtype="float64").source
    assert "W1_parts" in source
    assert "b1_parts" in source
    assert_as_reference(net, rows=rows)


def test_what_follows_a_product_is_done_where_its_parts_are_added_up():
    """Bias and activation of a long row; its sums are divided by stages of the tile."""
    net = gl.Sequential([L.Dense(5, gl.tanh), L.Dense(3)], (101,), loss=gl.losses.SquaredError())
    source = generate(net, target="cuda", dtype="float64").source
    forward = source[source.index("def forward(") : source.index("def loss(")]
    assert "part_of_inner(int32(101), int32(16), int32(part), int32(12))" in forward
    assert "a1 = math.tanh(" in forward.split("while point <")[1]
    assert_as_reference(net, rows=3)


def test_steps_of_time_and_what_is_short_are_not_divided(monkeypatch):
    monkeypatch.undo()
    short = gl.Sequential([L.Dense(5, gl.tanh), L.Dense(3)], (101,), loss=gl.losses.SquaredError())
    assert "_parts" not in generate(short, target="cuda").source
    assert "W1_parts" in generate(short, target="cuda", batch=512).source
    recurrent = gl.Sequential([L.RNN(1024)], (3, 512), loss=gl.losses.SquaredError())
    source = generate(recurrent, target="cuda", batch=1).source
    before, steps = source[source.index("def forward(") : source.index("def loss(")].split("in range(3):")
    assert "part_of_inner" in before
    assert "part_of_inner" not in steps


@pytest.mark.parametrize("name", daily(["Adam", "momentum"], "Adam"))
def test_norms_of_the_gradient_are_summed_up_in_parts(name):
    """What is clipped is read by all before it is written."""
    net, rule = gl.Sequential([L.Dense(5)], (13,), loss=gl.losses.SquaredError()), OPTIMIZERS[name]()
    source = generate(net, target="cuda", optimizer=rule).source
    update = source[source.index("def update(") :].split("\n@")[0]
    assert ("_parts_at = 0" in update) == (name == "Adam")
    assert_trained_alike(net, rule)
