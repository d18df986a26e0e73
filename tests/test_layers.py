"""Layers and Sequential: names, equations, sharing, layers of one's own, and errors."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from oracles import relative_error

import gradloom as gl
from gradloom.symbolic.activations import log_softmax, relu, sigmoid, softmax, tanh
from gradloom.symbolic.binders import Sum
from gradloom.symbolic.errors import (
    DataError,
    GradloomError,
    IndexingError,
    LossError,
    NameTakenError,
    ShapeError,
    UndefinedError,
)
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.indices import dims, indices
from gradloom.symbolic.latex import equation_latex, tensor_latex
from gradloom.symbolic.layers import (
    Activation,
    Attention,
    Chain,
    Dense,
    Embedding,
    Layer,
    LayerNorm,
    Positions,
    Residual,
    RMSNorm,
    TiedDense,
    TransformerBlock,
    letters,
)
from gradloom.symbolic.losses import L2, ActivityL1, SquaredError
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


class Beside(Layer):
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
    net = Sequential([Beside(Dense(5, tanh)), scale, scale], (5,), loss=SquaredError())
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


def test_layers_inside_of_layers_have_places_of_their_own():
    inner = Chain([Dense(3), Residual([LayerNorm(), Dense(3, tanh)])])
    net = Sequential([Dense(3), inner, Dense(3)], (3,), loss=SquaredError())
    assert [e.target.name for e in net.equations[:-1]] == [
        "z1", "z2_1", "mu2_2_1", "r2_2_1", "xh2_2_1", "a2_2_1", "z2_2_2", "a2_2_2", "a2_2", "z3",
    ]  # fmt: skip
    assert [p.name for p in net.parameters[2:7]] == ["W2_1", "b2_1", "gamma2_2_1", "beta2_2_1", "W2_2_2"]
    assert tensor_latex(net.tensors["W2_2_2"]) == "W^{(2.2.2)}"
    assert tensor_latex(net.tensors["xh2_2_1"]) == r"\hat{x}^{(2.2.1)}"
    assert tensor_latex(net.tensors["gamma2_2_1"]) == r"\gamma^{(2.2.1)}"
    found = net.derive().delta("z2_1")
    assert str(found).startswith("δ2_1[i, j] = ")
    assert equation_latex(found).startswith(r"\delta^{(2.1)}_{i j} = ")
    assert equation_latex(net.derive()["W2_1"]).endswith(r"\delta^{(2.1)}_{i j} \, z^{(1)}_{i k}")


def test_a_layer_shared_between_a_chain_and_a_place():
    shared = Dense(3, tanh)
    net = Sequential([Residual(shared), shared], (3,))
    assert [p.name for p in net.parameters] == ["W1_1", "b1_1"]
    assert [e.target.name for e in net.equations] == ["z1_1", "a1_1", "a1", "z2", "a2"]


def test_attention_states_its_equations():
    T, n = dims("T n")
    net = Sequential([Attention(2, 3, causal=True, mask="seen")], (T, n))
    i, h, t, u, d, j, k, m = indices("i h t u d j k m")
    Wq, bq, x, q, key, s, c, p = (net.tensors[name] for name in ("Wq1", "bq1", "x", "q1", "k1", "s1", "c1", "p1"))
    v, o, Wo, bo, seen = (net.tensors[name] for name in ("v1", "o1", "Wo1", "bo1", "seen"))
    assert (Wq.shape, Wo.shape, q.shape, s.shape) == ((2, 3, n), (n, 2, 3), (B, 2, T, 3), (B, 2, T, T))
    assert (seen.role, seen.shape) == ("input", (B, T))
    assert "bk1" not in net.tensors
    assert net.equation("q1").body == Sum(Wq[h, d, k] * x[i, t, k], k) + bq[h, d]
    assert net.equation("s1").body == Sum(q[i, h, t, d] * key[i, h, u, d], d) / sympy.sqrt(3)
    may = sympy.And(u <= t, seen[i, u] > 0)
    assert net.equation("c1").body == sympy.Piecewise((s[i, h, t, u], may), (-(10**9), True))
    assert net.equation("p1").body == softmax(c[i, h, t, u], u)
    assert net.equation("o1").body == Sum(p[i, h, t, u] * v[i, h, u, d], u)
    assert net.equation("z1").body == Sum(Wo[j, k, m] * o[i, k, t, m], k, m) + bo[j]
    assert tensor_latex(Wq) == "W^{(1)}_{Q}"
    assert r"W^{(1)}_{Q;\,h d j}" in equation_latex(net.equation("q1"))


def test_weights_of_heads_start_as_those_of_one_matrix():
    params = gl.Model(Sequential([Attention(5, 7)], (3, 11), loss=SquaredError()), target="numpy").params
    bound = np.sqrt(6 / (5 * 7 + 11))  # Glorot uniform: 11 in, 35 out, or the other way round
    for name in ("Wq1", "Wk1", "Wv1", "Wo1"):
        assert 0.95 * bound < np.abs(params[name]).max() <= bound
    assert not params["bq1"].any()


def test_activities_are_penalised_per_sample(rng):
    penalties = [ActivityL1(0.1, "a1")]
    net = Sequential([Dense(5, tanh), Dense(3)], (7,), loss=SquaredError(), penalties=penalties)
    plain = Sequential([Dense(5, tanh), Dense(3)], (7,), loss=SquaredError())
    values = filled(net, rng, B=11)
    found = evaluate(net.equations, {**values, "lam": 0.1})
    extra = 0.1 * np.abs(found["a1"]).sum() / 11
    assert float(found["L"]) == pytest.approx(float(evaluate(plain.equations, values)["L"]) + extra, rel=1e-14)
    assert net.derive().delta("a1").body.has(sympy.sign)


def tied(units, later):
    encoder = Dense(units)
    return Sequential([encoder, *later(encoder)], (7,))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential([LayerNorm()], ()), ShapeError, "LayerNorm at place 1 takes .* at least 2 axes"),
        (lambda: LayerNorm(-1), DataError, "eps of LayerNorm must be a number of at least 0, found -1"),
        (lambda: RMSNorm("1e-5"), DataError, "eps of RMSNorm"),
        (lambda: Sequential([Embedding(7, 3)], 5), ShapeError,
         r"labels of 7 classes, but x holds real.*input_classes=7"),
        (lambda: Sequential([Embedding(7, 3)], 5, input_classes=5), ShapeError, "x holds labels of 5 classes"),
        (lambda: Sequential([Positions()], 5), ShapeError, "Positions at place 1 takes a tensor of 3 axes"),
        (lambda: Sequential([Positions()], (5, 3), input_classes=5), ShapeError, "put an Embedding before it"),
        (lambda: Sequential([Dense(3)], 5, input_classes=5), IndexingError, "holds class labels"),
        (lambda: Sequential([Residual(Dense(3))], 5), ShapeError,
         r"Residual at place 1 adds z1_1 \(B, 3\) to x \(B, 5\)"),
        (lambda: Sequential([Chain([Dense(3), tanh])], 5), UndefinedError,
         r"layers\[1\] of Chain at place 1 is tanh, not a layer"),
        (lambda: Sequential([Attention(2)], 5), ShapeError, "Attention at place 1 takes a tensor of 3 axes"),
        (lambda: Sequential([Attention(2)], (5, 7)), ShapeError, "size 7 among 2 heads.*give head_units"),
        (lambda: Sequential([Attention(2)], (5, dims("n"))), ShapeError, "size n among 2 heads"),
        (lambda: Attention(0), ShapeError, "heads of Attention: a size must be positive"),
        (lambda: Sequential([Attention(1, mask="x")], (5, 7)), ShapeError,
         r"mask of shape \(B, 5\), .* but x is an input of shape \(B, 5, 7\)"),
        (lambda: Sequential([TransformerBlock(5, 1, 3)], (5, 7)), ShapeError, "Residual at place 1_2 adds"),
        (lambda: TiedDense(tanh), UndefinedError, "expected the Dense layer"),
        (lambda: Sequential([TiedDense(Dense(3))], 5), UndefinedError, "declared no parameter 'W'.*must stand before"),
        (lambda: tied(5, lambda e: [Dense(3), TiedDense(e)]), ShapeError,
         r"TiedDense at place 3 reads W1 \(5, 7\) transposed, .* of size 5, but z2 has shape \(B, 3\)"),
        (lambda: Sequential([Dense(3)], 5, loss=SquaredError(), penalties=[ActivityL1(1, "a7")]), UndefinedError,
         "defines no activations 'a7'.*it defines z1"),
    ],
)  # fmt: skip
def test_bad_layers_say_what_to_mend(make, error, message):
    with pytest.raises(error, match=message):
        make()


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


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Attention(1, causal=np.zeros(3)), DataError, r"causal of Attention is array.*expected True or False"),
        (lambda: Dense(3, bias="no"), DataError, "bias of Dense is 'no'; expected True or False"),
        (lambda: LayerNorm(affine=None), DataError, "affine of LayerNorm is None"),
        (lambda: gl.layers.LSTM(3, peepholes=[]), DataError, r"peepholes of LSTM is \[\]"),
        (lambda: gl.losses.Entrywise("square"), LossError, "entry is 'square'; expected a function"),
        (
            lambda: Sequential([Dense(3)], 4, loss=SquaredError(), penalties=3),
            UndefinedError,
            "penalties is 3; expected",
        ),
        (
            lambda: Sequential([Dense(3)], 4, loss=SquaredError(), penalties=np.array(3)),
            UndefinedError,
            "penalties is array",
        ),
        (
            lambda: Sequential([Dense(3)], 4, loss=SquaredError(), penalties=["L2"]),
            UndefinedError,
            r"penalties\[0\] is 'L2'; expected a penalty",
        ),
        (lambda: L2(1, [3]), UndefinedError, "L2: 3 is no name of a parameter"),
        (lambda: gl.optimizers.SGD(clip_norm=int), DataError, "clip_norm must be one finite number"),
        (lambda: gl.optimizers.Adam(lr=10**400), DataError, "lr must be one finite number"),
    ],
)
def test_arguments_of_another_kind_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_parameters_that_no_memory_holds():
    net = Sequential([Dense(2**62)], 3, loss=SquaredError())
    with pytest.raises(gl.SizeError, match="do not fit into memory"):
        _ = gl.Model(net, target="numpy").params


def test_a_size_that_stands_in_an_equation_alone():
    net = Network("net")
    x = net.input("x", (3,))
    n, k = dims("n"), indices("k")
    w = net.parameter("w")
    net.minimize(w * Sum(gl.inside(k, n) * x[k], (k, 3)) / n)
    with pytest.raises(gl.SizeError, match="size 'n' of net has no number"):
        net.compile(target="numpy")
    program = net.compile(target="numpy", dtype="float64", sizes={"n": 2})
    assert program.loss({"w": 3.0}, np.array([1.0, 2.0, 4.0])) == pytest.approx(3 * (1 + 2) / 2)


def test_an_equation_of_sizes_alone():
    net = Network("net")
    x, w, n = net.input("x", dims("n")), net.parameter("w"), dims("n")
    t = net.define("t", (), sympy.exp(-n))
    net.minimize(w * t * Sum(x[indices("k")], indices("k")))
    program = net.compile(target="numpy", dtype="float64")
    _, gradients = program.loss_and_gradients({"w": 3.0}, np.array([1.0, 2.0]))
    assert gradients["w"] == pytest.approx(3 * np.exp(-2))
