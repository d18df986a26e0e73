"""Derived gradients, evaluated straight off the equations, against PyTorch's autograd in float64.

No code is generated here: what fails here is a wrong derivation.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import ACTIVATIONS, LOSSES, random_case, relative_error, torch_gradients

from gradloom.symbolic.activations import relu, sigmoid, softmax, tanh
from gradloom.symbolic.binders import Max, Sum
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.indices import dims, indices
from gradloom.symbolic.layers import Dense, Layer
from gradloom.symbolic.losses import L1, L2, CrossEntropy, SquaredError
from gradloom.symbolic.network import Network
from gradloom.symbolic.sequential import Sequential

TOLERANCE = 1e-9
B, n, m = dims("B n m")
i, j, k = indices("i j k")


def check(case):
    compare(case.network, case.values, *torch_gradients(case))


def compare(network, values, loss, expected):
    """Compare the loss and the derived gradients with those expected, at `values`."""
    derivation = network.derive(wrt=expected)
    found = evaluate([*network.equations, *derivation.adjoints], values | network.values)
    assert found[network.loss.name] == pytest.approx(loss, rel=TOLERANCE)
    errors = {
        name: relative_error(found[derivation.gradients[name].target.name], gradient)
        for name, gradient in expected.items()
    }
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_activation_with_every_loss(activation, loss):
    check(random_case(activation, loss, np.random.default_rng(17), depth=2, largest=11))


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    loss=st.sampled_from(sorted(LOSSES)),
    depth=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_random_networks(activation, loss, depth, seed):
    check(random_case(activation, loss, np.random.default_rng(seed), depth, largest=17))


def autograd(values, forward, targets=()):
    """PyTorch's loss and gradients of everything in `values` but `targets`; `forward` takes the values by name."""
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    for name in tensors.keys() - set(targets):
        tensors[name].requires_grad_()
    loss = forward(**tensors)
    loss.backward()
    return float(loss.detach()), {name: tensors[name].grad.numpy() for name in tensors if name not in targets}


def drawn(rng, **shapes):
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


@pytest.fixture
def rng():
    return np.random.default_rng(19)


def test_shared_weights(rng):
    shared = Dense(5, tanh)
    net = Sequential([Dense(5), shared, shared, shared], (3,), loss=SquaredError())
    values = drawn(rng, x=(7, 3), y=(7, 5), W1=(5, 3), b1=(5,), W2=(5, 5), b2=(5,))

    def forward(x, y, W1, b1, W2, b2):
        a = x @ W1.T + b1
        for _ in range(3):
            a = torch.tanh(a @ W2.T + b2)
        return ((a - y) ** 2).sum() / (2 * len(x))

    compare(net, values, *autograd(values, forward))


def test_a_value_used_twice(rng):
    class Residual(Layer):
        def build(self, network, x, place):
            inside = Dense(x.shape[-1], relu).build(network, x, place)
            return network.define(f"r{place}", (i, j), inside[i, j] * x[i, j] + x[i, j])

    net = Sequential([Residual(), Residual()], (5,), loss=SquaredError())
    values = drawn(rng, x=(3, 5), y=(3, 5), W1=(5, 5), b1=(5,), W2=(5, 5), b2=(5,))

    def forward(x, y, W1, b1, W2, b2):
        for W, b in ((W1, b1), (W2, b2)):
            x = torch.relu(x @ W.T + b) * x + x
        return ((x - y) ** 2).sum() / (2 * len(x))

    compare(net, values, *autograd(values, forward))


def test_tied_weights_transposed(rng):
    """An autoencoder whose decoder is the encoder's transpose."""
    net = Network()
    x, W = net.input("x", (B, n)), net.parameter("W", (m, n))
    h = net.define("h", (i, j), sigmoid(Sum(W[j, k] * x[i, k], k)))
    r = net.define("r", (i, k), Sum(W[j, k] * h[i, j], j))
    net.minimize(Sum((r[i, k] - x[i, k]) ** 2, i, k) / B)
    values = drawn(rng, x=(7, 5), W=(3, 5))
    compare(net, values, *autograd(values, lambda x, W: ((torch.sigmoid(x @ W.T) @ W - x) ** 2).sum() / len(x)))


def test_penalties(rng):
    penalties = [L2(0.03), L1(0.02, ["W1", "b2"])]
    net = Sequential([Dense(5, tanh), Dense(2)], (3,), loss=SquaredError("sum"), penalties=penalties)
    values = drawn(rng, x=(7, 3), y=(7, 2), W1=(5, 3), b1=(5,), W2=(2, 5), b2=(2,))

    def forward(x, y, W1, b1, W2, b2):
        a = torch.tanh(x @ W1.T + b1) @ W2.T + b2
        decay = 0.015 * ((W1**2).sum() + (W2**2).sum()) + 0.02 * (W1.abs().sum() + b2.abs().sum())
        return ((a - y) ** 2).sum() + decay

    compare(net, values, *autograd(values, forward))


def test_axes_between_batch_and_features(rng):
    net = Sequential([Dense(5, softmax), Dense(2)], (3, 7), loss=CrossEntropy("labels"))
    labels = {"y": rng.integers(0, 2, size=(11, 3))}
    values = drawn(rng, x=(11, 3, 7), W1=(5, 7), b1=(5,), W2=(2, 5), b2=(2,)) | labels

    def forward(x, W1, b1, W2, b2, y):
        z = (x @ W1.T + b1).softmax(-1) @ W2.T + b2
        return torch.nn.functional.cross_entropy(z.reshape(-1, 2), y.reshape(-1))

    compare(net, values, *autograd(values, forward, targets=["y"]))


def test_the_first_maximum_takes_the_gradient(rng):
    net = Network()
    x = net.input("x", (B, n))
    top = net.define("top", (i,), Max(x[i, k], k))
    net.minimize(Sum(top[i] ** 2, i))
    x = np.array([[1.0, 3.0, 3.0], [2.0, -1.0, 0.5]])
    compare(net, {"x": x}, 13.0, {"x": np.array([[0.0, 6.0, 0.0], [4.0, 0.0, 0.0]])})


def test_kinks_have_the_stated_subgradients():
    net = Network()
    x = net.input("x", (n,))
    net.minimize(Sum(relu(x[i]) + 3 * abs(x[i]), i))
    compare(net, {"x": np.array([0.0, 2.0, -2.0])}, 14.0, {"x": np.array([0.0, 4.0, -3.0])})
