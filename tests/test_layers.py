"""Layers and Sequential: names, equations, sharing, layers of one's own, and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import relative_error

from gradloom.symbolic.activations import log_softmax, relu, sigmoid, softmax, tanh
from gradloom.symbolic.binders import Sum
from gradloom.symbolic.errors import GradloomError, LossError, NameTakenError, ShapeError, UndefinedError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.indices import dims, indices
from gradloom.symbolic.layers import Activation, Dense, Layer, letters
from gradloom.symbolic.losses import L2, SquaredError
from gradloom.symbolic.network import Network
from gradloom.symbolic.sequential import Sequential

B = dims("B")
i, j, k = indices("i j k")


def filled(network, rng, **sizes):
    """Random values of the inputs, targets and parameters, at these sizes."""
    wanted = network.by_role("input", "target", "parameter")
    return {t.name: rng.normal(size=[sizes[str(s)] if s.free_symbols else int(s) for s in t.shape]) for t in wanted}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_dense_states_the_textbook_equations():
    net = Sequential([Dense(5, sigmoid), Dense(3)], input_shape=(7,), loss=SquaredError())
    x, y, W1, b1, W2, b2, a1 = (net.tensors[name] for name in ("x", "y", "W1", "b1", "W2", "b2", "a1"))
    assert list(net.tensors) == ["x", "W1", "b1", "z1", "a1", "W2", "b2", "z2", "y", "L"]
    assert (x.shape, W1.shape, b1.shape, y.shape) == ((B, 7), (5, 7), (5,), (B, 3))
    assert net.equation("z1").indices == (i, j)
    assert net.equation("z1").body == Sum(W1[j, k] * x[i, k], k) + b1[j]
    assert net.equation("a1").body == sigmoid(net.tensors["z1"][i, j])
    z2 = net.tensors["z2"]
    assert net.equation("z2").body == Sum(W2[j, k] * a1[i, k], k) + b2[j]
    assert net.output == z2, "identity adds no equation"
    assert net.equation("L").body == Sum((z2[i, j] - y[i, j]) ** 2, i, j) / (2 * B)


def test_13002_parameters():
    net = Sequential([Dense(16, sigmoid), Dense(16, sigmoid), Dense(10, sigmoid)], 784, loss=SquaredError())
    assert sum(int(np.prod([int(s) for s in p.shape])) for p in net.parameters) == 13002


@pytest.mark.parametrize("bias", [True, False])
def test_forward_agrees_with_torch(rng, bias):
    net = Sequential([Dense(5, tanh, bias=bias), Dense(3, softmax), Dense(2, log_softmax)], (7,))
    values = filled(net, rng, B=11)
    found = evaluate(net.equations, values)[net.output.name]
    a, places = torch.from_numpy(values["x"]), (torch.tanh, lambda z: z.softmax(-1), lambda z: z.log_softmax(-1))
    for place, function in enumerate(places, start=1):
        b = values.get(f"b{place}")
        weight, offset = torch.from_numpy(values[f"W{place}"]), None if b is None else torch.from_numpy(b)
        a = function(torch.nn.functional.linear(a, weight, offset))
    assert relative_error(found, a.numpy()) < 1e-14
    assert ("b1" in values) is bias


def test_axes_between_batch_and_features_share_the_weights(rng):
    net = Sequential([Dense(5, softmax)], (3, 2))
    values = filled(net, rng, B=7)
    z = values["x"] @ values["W1"].T + values["b1"]
    expected = torch.from_numpy(z).softmax(-1).numpy()
    assert relative_error(evaluate(net.equations, values)["a1"], expected) < 1e-14


def test_symbolic_sizes(rng):
    n, m = dims("n m")
    net = Sequential([Dense(m, relu), Dense(n)], (n,))
    assert net.tensors["W1"].shape == (m, n)
    values = filled(net, rng, B=2, n=3, m=5)
    hidden = np.maximum(values["x"] @ values["W1"].T + values["b1"], 0)
    assert relative_error(evaluate(net.equations, values)["z2"], hidden @ values["W2"].T + values["b2"]) < 1e-14


def test_initial_values_and_fixed_biases():
    W = [[0.15, 0.20], [0.25, 0.30]]
    net = Sequential([Dense(2, sigmoid, weight_init=W, bias_init=0.35, trainable_bias=False), Dense(2)], (2,))
    assert net.initializers["W1"] == W
    assert net.initializers["b1"] == 0.35
    assert net.frozen == {"b1"}


def test_the_same_layer_twice_shares_its_parameters(rng):
    shared = Dense(5, tanh)
    net = Sequential([Dense(5), shared, shared], (3,))
    assert [p.name for p in net.parameters] == ["W1", "b1", "W2", "b2"]
    values = filled(net, rng, B=2)
    a = values["x"] @ values["W1"].T + values["b1"]
    for _ in range(2):
        a = np.tanh(a @ values["W2"].T + values["b2"])
    assert relative_error(evaluate(net.equations, values)["a3"], a) < 1e-14
    again = Sequential([shared], (2,))
    assert again.tensors["W1"].shape == (5, 2), "another network has parameters of its own"


def test_shared_parameters_must_fit():
    shared = Dense(5)
    with pytest.raises(ShapeError, match=r"Dense at place 2 shares W1 \(5, 3\).*shape \(5, 5\)"):
        Sequential([shared, shared], (3,))


def test_an_activation_as_a_layer(rng):
    net = Sequential([Dense(5), Activation(relu), Dense(2)], (3,))
    assert [e.target.name for e in net.equations] == ["z1", "a2", "z3"]


class Residual(Layer):
    """A layer of one's own: the incoming value is used twice."""

    def __init__(self, inner):
        self.inner = inner

    def build(self, network, x, place):
        i, j = letters(network, "ij")
        inside = self.inner.build(network, x, place)
        return network.define(f"r{place}", (i, j), inside[i, j] + x[i, j])


class Scale(Layer):
    def build(self, network, x, place):
        s = self.parameter(network, "s", x.shape[1:], place, init=1)
        return network.define(f"r{place}", (i, j), s[j] * x[i, j])


def test_layers_of_ones_own(rng):
    scale = Scale()
    net = Sequential([Residual(Dense(5, tanh)), scale, scale], (5,), loss=SquaredError())
    values = filled(net, rng, B=3)
    x = values["x"]
    expected = (np.tanh(x @ values["W1"].T + values["b1"]) + x) * values["s2"] ** 2
    assert relative_error(evaluate(net.equations, values)["r3"], expected) < 1e-14
    assert net.initializers["s2"] == 1


def test_letters_avoid_names_of_tensors_and_sizes():
    net = Network()
    net.input("k", (dims("j"),))
    assert [str(letter) for letter in letters(net, "ijk")] == ["i", "l", "m"]


def test_penalties_are_terms_of_the_loss():
    net = Sequential([Dense(5, sigmoid), Dense(3)], (7,), loss=SquaredError(), penalties=[L2(0.01)])
    lam, W1, W2 = net.tensors["lam"], net.tensors["W1"], net.tensors["W2"]
    plain = Sequential([Dense(5, sigmoid), Dense(3)], (7,), loss=SquaredError()).equation("L").body
    extra = net.equation("L").body - lam / 2 * Sum(W1[j, k] ** 2, j, k) - lam / 2 * Sum(W2[j, k] ** 2, j, k)
    assert str(extra) == str(plain)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ShapeError, "units of Dense: a size must be positive, found 0"),
        (lambda: Dense(2.5), ShapeError, r"units of Dense: .*found 2\.5"),
        (lambda: Dense("10"), ShapeError, "units of Dense"),
        (lambda: Sequential([Dense(3)], ()), ShapeError, r"at least 2 axes, batch first, but x has shape \(B,\)"),
        (lambda: Sequential([Dense(3)], (B, 4)), ShapeError, "leave that axis out"),
        (lambda: Sequential([Dense(3)], (0,)), ShapeError, "input_shape axis 0"),
        (lambda: Sequential([tanh], (4,)), UndefinedError, r"layers\[0\] is tanh, not a layer"),
        (lambda: Sequential([Dense(3, "relu")], (4,)), UndefinedError, "'relu' is not an activation"),
        (lambda: Sequential([Dense(3)], (4,), loss="mse"), LossError, "'mse' is not a loss"),
        (lambda: Sequential([Dense(3)], (4,), penalties=[L2(1)]), UndefinedError, "there is none"),
        (lambda: Sequential([Dense(3)], (4,), name="not a name"), NameTakenError, "not a name"),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_mend(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert isinstance(caught.value, GradloomError)


def test_a_layer_must_return_a_tensor():
    class Forgetful(Layer):
        def build(self, network, x, place):
            network.define("r", (i, j), x[i, j] ** 2)

    with pytest.raises(UndefinedError, match="returned None; expected the outgoing tensor"):
        Sequential([Forgetful()], (3,))
