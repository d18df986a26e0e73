"""Networks written out as scalars: loss, values and gradients against the tensor network and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
import torch.nn.functional as F
from kernels import case, expected

import gradloom as gl
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.tensors import Entry

L = gl.layers


def values_of(network, sizes, seed):
    """Random data and parameters at `sizes`, labels where they are declared."""
    rng = np.random.default_rng(seed)
    made = {}
    for tensor in [*network.inputs, *network.targets, *network.parameters]:
        shape = tuple(sizes[s.name] if isinstance(s, gl.Dim) else int(s) for s in tensor.shape)
        made[tensor.name] = (
            rng.integers(0, int(tensor.classes), shape) if tensor.classes is not None else rng.normal(size=shape)
        )
    return made


def written_out(network, sizes, values, **options):
    """Every value and gradient by the unrolled network, as arrays of the tensors that were unrolled."""
    made = gl.unrolled(network, sizes, **options)
    assert all(tensor.rank == 0 for tensor in made.tensors.values())
    derivation = made.derive()
    known = {**made.split(values), **{name: float(value) for name, value in made.values.items()}}
    found = evaluate([*made.equations, *derivation.adjoints], known)
    # What nothing reads is asked for no gradient: it is 0.
    gradients = {made.places[name][0]: None for name in derivation.gradients}
    entries = {name: found[equation.target.name] for name, equation in derivation.gradients.items()}
    arrays = made.joined({**dict.fromkeys(made.places, 0.0), **entries})
    return made, made.joined(found), {name: arrays[name] for name in gradients}


def check(network, sizes, values, **options):
    """The unrolled network against the tensor network, by the reference interpreter."""
    made, found, gradients = written_out(network, sizes, values, **options)
    known = expected(network, values)
    for equation in network.equations:
        name = equation.target.name
        np.testing.assert_allclose(found[name], known[name].astype(float), rtol=1e-10, atol=1e-12, err_msg=name)
    assert set(gradients) == set(network.derive().gradients)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, known[name].astype(float), rtol=1e-9, atol=1e-12, err_msg=name)
    return made, float(found["L"]) if "L" in found else None, gradients


def check_torch(values, loss, gradients, reference):
    w = {k: torch.tensor(v, dtype=torch.int64 if v.dtype.kind == "i" else torch.float64) for k, v in values.items()}
    for name in gradients:
        w[name].requires_grad_()
    total = reference(w)
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, w[name].grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def test_dense_layers():
    net = gl.Sequential([L.Dense(3, gl.sigmoid), L.Dense(2, gl.tanh)], input_shape=5, loss=gl.losses.SquaredError())
    values = values_of(net, {"B": 3}, 1)
    made, loss, gradients = check(net, {"B": 3}, values)

    def reference(w):
        a = torch.sigmoid(F.linear(w["x"], w["W1"], w["b1"]))
        return ((torch.tanh(F.linear(a, w["W2"], w["b2"])) - w["y"]) ** 2).sum() / 6

    check_torch(values, loss, gradients, reference)
    assert made.places["W1_2_4"] == ("W1", (2, 4))
    assert made.entry("z1", (2, 1)).name == "z1_2_1"
    assert {made.tensors[n].role for n in ("x_0_0", "y_2_1", "W1_0_0", "z1_0_0")} == {
        "input", "target", "parameter", "value",
    }  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
def test_convolution_pooling_and_labels(known):
    layers = [L.Conv2D(2, (3, 2), padding=1, activation=gl.relu), L.MaxPool2D(2), L.Flatten(), L.Dense(3)]
    net = gl.Sequential(layers, input_shape=(1, 3, 2), loss=gl.losses.CrossEntropy(targets="labels"))
    values = values_of(net, {"B": 2}, 2)
    options = {"labels": {"y": values["y"]}} if known else {}
    made, loss, gradients = check(net, {"B": 2}, values, **options)

    def reference(w):
        a = F.max_pool2d(torch.relu(F.conv2d(w["x"], w["W1"], w["b1"], padding=1)), 2)
        return F.cross_entropy(F.linear(a.flatten(1), w["W4"], w["b4"]), w["y"])

    check_torch(values, loss, gradients, reference)
    assert (made.tensors["y_1"] in made.equation("L").reads) is not known


def test_softmax_cross_entropy_of_one_row():
    net = gl.Sequential([L.Dense(3)], input_shape=5, loss=gl.losses.CrossEntropy(targets="probabilities"))
    values = values_of(net, {"B": 1}, 3)
    made, loss, gradients = check(net, {"B": 1}, values)

    def reference(w):
        return -(w["y"] * F.log_softmax(F.linear(w["x"], w["W1"], w["b1"]), 1)).sum()

    check_torch(values, loss, gradients, reference)
    # The place in a batch of one row is left out.
    assert "z1_2" in made.tensors
    assert "z1_0_2" not in made.tensors
    assert str(made.equation("z1_2")).startswith("z1[2] = W1[2, 0] x[0]")


@pytest.mark.parametrize("reverse", [False, True])
def test_recurrent_network(reverse):
    net = gl.Sequential(
        [L.RNN(2, return_sequences=False, reverse=reverse)], input_shape=(3, 2), loss=gl.losses.SquaredError()
    )
    values = values_of(net, {"B": 1}, 4)
    _, loss, gradients = check(net, {"B": 1}, values)

    def reference(w):
        h = torch.zeros(1, 2, dtype=torch.float64)
        for t in reversed(range(3)) if reverse else range(3):
            h = torch.tanh(F.linear(w["x"][:, t], w["W1"], w["b1"]) + h @ w["U1"].T)
        return ((h - w["y"]) ** 2).sum() / 2

    check_torch(values, loss, gradients, reference)


@pytest.mark.parametrize("name", ["product_circuit", "neuron_circuit", "max_circuit", "arithmetic"])
def test_kernel_cases(name):
    network, sizes, values = case(name)
    check(network, sizes, values)


def test_positions_read_from_data():
    B, w, e = gl.dims("B w e")
    i, k = gl.indices("i k")
    net = gl.Network("embedding")
    word, E = net.input("word", (B,), classes=w), net.parameter("E", (w, e))
    net.minimize(gl.Sum(sympy.sin(E[word[i], k]) * E[word[i], 0], i, k))
    values = {"word": np.array([2, 0, 2]), "E": np.random.default_rng(5).normal(size=(5, 2))}
    sizes = {"B": 3, "w": 5, "e": 2}
    check(net, sizes, values)
    made, _, _ = check(net, sizes, values, labels={"word": values["word"]})
    assert "E_1_0" not in {tensor.name for tensor in made.equation("L").reads}


def test_reshapes_strides_and_quotients():
    net = gl.Sequential(
        [L.Conv1D(2, 2, stride=2), L.Flatten(), L.Dense(1)], input_shape=(1, 5), loss=gl.losses.SquaredError()
    )
    check(net, {"B": 2}, values_of(net, {"B": 2}, 6))


def test_names_that_are_taken_stay_apart():
    net = gl.Network("names")
    (i,) = (gl.indices("i"),)
    w, other = net.parameter("w", (2,)), net.parameter("w_1")
    net.minimize(gl.Sum(w[i] ** 2, i) * other)
    made = gl.unrolled(net, {})
    assert sorted(made.tensors) == ["L", "w_0", "w_1", "w_1_"]
    assert made.places["w_1"] == ("w_1", ())
    assert made.places["w_1_"] == ("w", (1,))
    check(net, {}, {"w": np.array([0.3, -0.7]), "w_1": 1.7})


def test_modes_are_kept():
    net = gl.Sequential([L.Dense(2), L.Dropout(0.5), L.BatchNorm()], input_shape=2, loss=gl.losses.SquaredError())
    made = gl.unrolled(net, {"B": 2})
    assert len(made.noises) == 4
    assert len(made.states) == 4
    assert len(made.assignments) == 4
    rng = np.random.default_rng(7)
    values = {t.name: rng.uniform(0.1, 0.9, [2 if s.free_symbols else int(s) for s in t.shape])
              for t in net.tensors.values() if t.role not in ("value", "constant")}  # fmt: skip
    numbers = {name: float(value) for name, value in net.values.items()}
    for mine, theirs in (
        (made.equations, net.equations),
        (made.for_inference(), net.for_inference()),
        ([*made.equations, *made.assignments], [*net.equations, *net.assignments]),
    ):
        found = made.joined(evaluate(mine, {**made.split(values), **numbers}))
        known = evaluate(theirs, {**values, **numbers})
        for name in known:
            np.testing.assert_allclose(found[name], known[name].astype(float), rtol=1e-12, err_msg=name)


def test_symbols_of_entries():
    net = gl.Network("symbols")
    B, n = gl.dims("B n")
    i, j = gl.indices("i j")
    x, w = net.input("x", (B, n), latex=r"\hat x"), net.parameter("W1", (n,))
    z = net.define("z1", (i,), gl.Sum(w[j] * x[i, j], j))
    net.minimize(gl.Sum(z[i] ** 2, i))
    made = gl.unrolled(net, {"B": 1, "n": 2})
    assert isinstance(made.tensors["x_1"], Entry)
    assert str(made) == "z1 = W1[0] x[0] + W1[1] x[1]\nL = z1²"
    assert r"z^{(1)} &= W^{(1)}_{0} \, \hat x_{0} + W^{(1)}_{1} \, \hat x_{1}" in made._repr_latex_()
    assert str(made.derive()["W1_1"]) == "∂L/∂W1[1] = δ1 x[1]"
    wide = gl.unrolled(net, {"B": 2, "n": 2}).derive(["x_0_1"])
    assert str(wide["x_0_1"]) == "∂L/∂x[0, 1] = 2 W1[1] z1[0]"
    assert r"\frac{\partial L}{\partial \hat x_{0 1}}" in wide["x_0_1"]._repr_latex_()


def test_compiled():
    """The scalars are a network like any other: kernels are made of it."""
    net = gl.Sequential([L.Dense(2, gl.sigmoid)], input_shape=3, loss=gl.losses.SquaredError())
    values = values_of(net, {"B": 2}, 8)
    made = gl.unrolled(net, {"B": 2})
    numbers = made.split(values)
    program = made.compile(target="numpy", dtype="float64")
    params = {t.name: numbers[t.name] for t in made.parameters}
    loss, gradients = program.loss_and_gradients(params, *(numbers[t.name] for t in [*made.inputs, *made.targets]))
    known = expected(net, values)
    assert loss == pytest.approx(float(known["L"]), rel=1e-13)
    np.testing.assert_allclose(made.joined(gradients)["W1"], known["W1"], rtol=1e-12)


def test_refusals():
    net = gl.Sequential([L.Dense(16)], input_shape=784, loss=gl.losses.SquaredError(), name="large")
    with pytest.raises(gl.SizeError, match=r"size B has no number; give it, as in unrolled\(network, {'B': 3}\)"):
        gl.unrolled(net)
    with pytest.raises(gl.SizeError, match=r"large has 25,920 terms .* 12,544 .* W1 \(16, 784\); at most 4,000"):
        gl.unrolled(net, {"B": 1})
    with pytest.raises(gl.UndefinedError, match="labels: y holds no class labels"):
        gl.unrolled(net, {"B": 1}, labels={"y": [1]})
    small = gl.unrolled(gl.Sequential([L.Dense(2)], input_shape=3, loss=gl.losses.SquaredError()), {"B": 1})
    with pytest.raises(gl.UndefinedError, match=r"W1 has no entry at \(2, 0\); positions go to \(1, 2\)"):
        small.entry("W1", (2, 0))
    with pytest.raises(gl.UndefinedError, match="has no tensor 'W9'"):
        small.entry("W9")
