"""Generated CUDA kernels on a simulated device against the reference target, in float64 but where float32 is said."""

from __future__ import annotations

import numpy as np
import pytest
from everyday import daily
from simulated import assert_as_reference, assert_trained_alike, device_module, drawn, start, trained

import gradloom as gl
from gradloom.codegen.generate import generate

L = gl.layers
pytestmark = pytest.mark.usefixtures("one_warp")


def sequential(layers, shape, loss=None, **options):
    return gl.Sequential(layers, shape, loss=loss or gl.losses.SquaredError(), **options)


def labels():
    return gl.losses.CrossEntropy(targets="labels")


NETWORKS = {
    "dense": lambda: sequential([L.Dense(7, gl.gelu), L.Dense(3)], (5,)),
    "classifier": lambda: sequential([L.Dense(7, gl.relu), L.Dense(3)], (5,), labels()),
    "convolution": lambda: sequential(
        [L.Conv2D(3, 3, padding=1, activation=gl.relu), L.MaxPool2D(2), L.Flatten(), L.Dense(5)], (2, 6, 4)
    ),
    "strides": lambda: sequential([L.Conv2D(2, 3, stride=2), L.AveragePool2D(2), L.Flatten(), L.Dense(3)], (1, 9, 7)),
    "LSTM": lambda: sequential([L.LSTM(5), L.Dense(3)], (3, 2)),
    "GRU": lambda: sequential([L.GRU(5)], (3, 2)),
    "symbols": lambda: sequential([L.Embedding(11, 4), L.RNN(5), L.Dense(11)], (3,), labels(), input_classes=11),
    "attention": lambda: sequential([L.TransformerBlock(4, 2, 7)], (3, 4)),
    "modes": lambda: sequential([L.Dense(7), L.BatchNorm(), L.Dropout(0.3), L.Dense(3)], (5,)),
}
OPTIMIZERS = {
    "Adam": lambda: gl.optimizers.Adam(lr=0.01, clip_norm=0.5),
    "momentum": lambda: gl.optimizers.SGD(lr=0.05, momentum=0.9),
}


@pytest.mark.parametrize("name", daily(NETWORKS, "dense", "classifier", "strides", "GRU", "modes"))
def test_loss_gradients_and_output(name):
    assert_as_reference(NETWORKS[name]())


TRAINED = [(name, rule) for name in ("classifier", "convolution", "symbols", "modes") for rule in OPTIMIZERS]


@pytest.mark.parametrize(("name", "optimizer"), daily(TRAINED, ("classifier", "momentum"), ("modes", "Adam")))
def test_several_steps_of_training(name, optimizer):
    assert_trained_alike(NETWORKS[name](), OPTIMIZERS[optimizer]())


@pytest.mark.parametrize("name", daily(["classifier", "GRU", "attention"], "classifier"))
def test_float32_and_the_same_bits_in_any_order_on_any_grid(name):
    net, rule, size = NETWORKS[name](), OPTIMIZERS["Adam"](), {"rows": 5, "passes": 1}
    source = generate(net, target="cuda", optimizer=rule).source
    params, state, losses, _ = trained(device_module(source, "float32"), net, rule, np.float32, **size)
    known = trained(net.compile(target="numpy", dtype="float64", optimizer=rule).module, net, rule, float, **size)
    np.testing.assert_allclose(losses, known[2], rtol=1e-4)
    np.testing.assert_allclose(params, known[0], rtol=5e-3, atol=5e-4)
    # Whether accesses race does not depend on the order.
    for options in ({"order": "reverse", "blocks": 1}, {"order": 5, "blocks": 3}):
        others = trained(device_module(source, "float32", races=False, **options), net, rule, np.float32, **size)
        np.testing.assert_array_equal(others[0], params)
        np.testing.assert_array_equal(others[1], state)
        assert others[2] == losses


def test_training_stops_before_the_update_where_a_loss_is_not_finite():
    net, rule = NETWORKS["dense"](), gl.optimizers.SGD(lr=0.1)
    module = device_module(generate(net, target="cuda", optimizer=rule).source, "float32")
    x, y = drawn(net, 7)
    x[4, 2] = np.inf
    params = start(module, np.float32)
    state, grads = np.zeros((0, module.TRAINABLE), np.float32), np.zeros_like(params)
    hyper = np.array([rule.values[name] for name in module.HYPER])
    total, done = module.epoch(params, grads, state, x, y, np.arange(7), 2, hyper, 0, module.workspace(2))
    assert not np.isfinite(total)
    assert done == 2  # rows 0 to 3
    assert np.isfinite(params).all()
