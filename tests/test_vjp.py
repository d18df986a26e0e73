"""Vector-Jacobian products as networks: printed, compiled, and those of PyTorch; several outputs of one network."""

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.vjp import as_function


def classifier():
    return gl.Sequential(
        [gl.layers.Dense(5, gl.tanh), gl.layers.Dense(3)], input_shape=2, loss=gl.losses.CrossEntropy()
    )


def numbers(network, rows=7):
    rng = np.random.default_rng(0)
    made = {}
    for tensor in (*network.inputs, *network.targets, *network.parameters):
        shape = [rows if str(size) == "B" else int(size) for size in tensor.shape]
        made[tensor.name] = np.eye(3)[rng.integers(3, size=rows)] if tensor.name == "y" else rng.normal(size=shape)
    return made


def test_it_is_printed():
    made = gl.vjp(gl.Sequential([gl.layers.Dense(3, gl.tanh)], input_shape=2), wrt=["x"])
    derivation = made.derive()
    assert str(made.equation("vjp")) == "vjp = Σ_i,j a1_bar[i, j] a1[i, j]"
    assert r"\bar{a}^{(1)} \odot \left(1 - \left(a^{(1)}\right)^{2}\right)" in derivation.latex()
    assert "z_bar is the cotangent of z" in derivation.text()
    assert "v_W" not in derivation.text()


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_it_is_that_of_pytorch(target):
    network = classifier()
    made = gl.vjp(network, ["a1", "L"], ["x", "W1", "y"])
    assert [tensor.name for tensor in made.targets] == ["a1_bar", "L_bar"]
    assert not made.facts  # y moves: it need not keep its sum
    given = numbers(made)
    program = made.compile(target=target, dtype="float64")
    params = {t.name: given.pop(t.name) for t in network.parameters}
    value, gradients = program.loss_and_gradients(params, **given)
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in {**params, **given}.items()}
    a = (leaves["x"] @ leaves["W1"].T + leaves["b1"]).tanh()
    z = a @ leaves["W2"].T + leaves["b2"]
    loss = -(leaves["y"] * z.log_softmax(1)).sum() / 7
    total = (leaves["a1_bar"] * a).sum() + leaves["L_bar"] * loss
    assert value == pytest.approx(total.item(), rel=1e-12)
    expected = torch.autograd.grad(total, [leaves[name] for name in ("x", "W1", "y")])
    for name, other in zip(("x", "W1", "y"), expected, strict=True):
        np.testing.assert_allclose(gradients[name], other.numpy(), rtol=1e-11, atol=1e-13)
    outputs = (
        as_function(network, ["a1", "L"])
        .compile(target=target, dtype="float64")
        .predict(params, given["x"], given["y"])
    )
    np.testing.assert_allclose(outputs[0], a.detach().numpy(), rtol=1e-12)
    assert float(outputs[1]) == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_what_a_state_becomes_is_an_output(target, request):
    if target == "cpu":
        request.getfixturevalue("without_compiler")
    network = gl.Sequential([gl.layers.BatchNorm(momentum=0.2)], input_shape=3)
    function = as_function(network, ["running_mean1", "a1"])
    assert not function.has_modes
    x = np.random.default_rng(1).normal(size=(7, 3))
    values = {
        "gamma1": np.full(3, 2.0),
        "beta1": np.arange(3.0),
        "running_mean1": np.ones(3),
        "running_var1": np.ones(3),
    }
    scaled, mean = function.compile(target=target, dtype="float64").predict(values, x)
    np.testing.assert_allclose(mean, 0.8 + 0.2 * x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scaled.mean(0), np.arange(3.0), atol=1e-12)


def test_what_cannot_be_is_said():
    network = classifier()
    with pytest.raises(gl.UnusedParameterError, match="a1 does not depend on W2"):
        gl.vjp(network, "a1", ["W2"])
    with pytest.raises(gl.UndefinedError, match="no tensor 'q'"):
        gl.vjp(network, ["a1", "q"])
    with pytest.raises(gl.UndefinedError, match="W1 is a parameter"):
        gl.vjp(network, "W1")
    noisy = gl.Network()
    u = noisy.noise("u", (gl.dims("B"), 3))
    i, j = gl.indices("i j")
    noisy.define("a", (i, j), noisy.input("x", (gl.dims("B"), 3))[i, j] * u[i, j])
    with pytest.raises(gl.UndefinedError, match="noise u is drawn in training alone"):
        as_function(noisy, "a", training=False)
    with pytest.raises(gl.UnsupportedError, match="one output"):
        generate(as_function(network, ["a1", "z2"]), target="cuda")
