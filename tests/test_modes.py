"""Training and inference as equations: held values, second bodies, states, noise, and what a model makes of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy
import torch
from oracles import relative_error

import gradloom as gl

B, n, m = gl.dims("B n m")
i, j, k = gl.indices("i j k")
TARGETS = ("cpu", "numpy")
RNG = np.random.default_rng(5)
both_targets = pytest.mark.parametrize("target", TARGETS)


def double(network, target, **options):
    return network.compile(target=target, dtype="float64", **options)


# ---- held --------------------------------------------------------------------------------------------------------


def centred():
    """A layer that is compared with what it makes on average, as if that were given."""
    net = gl.Network("centred")
    x, W = net.input("x", (B, 5)), net.parameter("W", (3, 5))
    z = net.define("z", (i, j), gl.tanh(gl.Sum(W[j, k] * x[i, k], k)))
    net.minimize(gl.Sum((z[i, j] - gl.held(gl.Sum(z[k, j], k) / B)) ** 2 * gl.held(z[i, j]), i, j))
    return net


@pytest.mark.usefixtures("without_compiler")
@both_targets
def test_held_is_a_constant_to_the_gradient(target):
    net = centred()
    x, W = RNG.normal(size=(11, 5)), RNG.normal(size=(3, 5))
    loss, gradients = double(net, target).loss_and_gradients({"W": W}, x)
    w = torch.tensor(W, requires_grad=True)
    z = torch.tanh(torch.from_numpy(x) @ w.T)
    wanted = ((z - z.mean(0).detach()) ** 2 * z.detach()).sum()
    wanted.backward()
    assert relative_error(loss, wanted.item()) < 1e-12
    assert relative_error(gradients["W"], w.grad.numpy()) < 1e-10
    assert relative_error(gl.evaluate(net.equations, {"x": x, "W": W})["L"], loss) < 1e-12


def test_held_prints_and_simplifies():
    net = gl.Network()
    w = net.parameter("w")
    net.minimize(gl.held(w) ** 2 * w)
    assert str(net.derive()["w"]) == "∂L/∂w = held(w)²"
    assert r"\operatorname{held}\left(w\right)" in net.derive().latex()
    assert gl.held(gl.held(w)) == gl.held(w)
    assert gl.held(0.5) == sympy.Rational(1, 2)


def test_a_loss_through_held_alone_has_no_gradient():
    net = gl.Network()
    w, v = net.parameter("w"), net.parameter("v")
    net.minimize(gl.held(gl.sigmoid(w)) * v)
    with pytest.raises(gl.UnusedParameterError, match=r"does not depend on parameter w: it is read by L"):
        net.derive()


# ---- inference -----------------------------------------------------------------------------------------------------


def noisy(scale=0.5):
    """Two layers with noise between them in training; softmax and cross-entropy, so that a logarithm is inlined."""
    net = gl.Network("noisy")
    x, y = net.input("x", (B, 5)), net.target("y", (B, 3))
    u, v = net.noise("u", (B, 7)), net.noise("v", (7,))
    W, V = net.parameter("W", (7, 5)), net.parameter("V", (3, 7))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k))
    h = net.define(
        "h", (i, j), gl.tanh(z[i, j]) * (1 + scale * gl.normal(u[i, j], v[j])), inference=gl.tanh(z[i, j]) + 1
    )
    q = net.define("q", (i, j), gl.Sum(V[j, k] * h[i, k], k))
    p = net.define("p", (i, j), gl.softmax(q[i, j], j))
    net.minimize(-gl.Sum(y[i, j] * sympy.log(p[i, j]), i, j) / B)
    return net


def noisy_data(rows=11):
    values = {name: RNG.normal(size=shape) for name, shape in {"x": (rows, 5), "W": (7, 5), "V": (3, 7)}.items()}
    return values | {
        "y": np.eye(3)[RNG.integers(0, 3, rows)],
        "u": RNG.uniform(size=(rows, 7)),
        "v": RNG.uniform(size=7),
    }


@pytest.mark.usefixtures("without_compiler")
@both_targets
def test_training_and_inference_compute_their_own_bodies(target):
    net, values = noisy(), noisy_data()
    program = double(net, target)
    params = {name: values[name] for name in "WV"}
    x, y, u, v = (values[name] for name in "xyuv")
    w, c = (torch.tensor(values[name], requires_grad=True) for name in "WV")
    normal = torch.from_numpy(np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v))
    h = torch.tanh(torch.from_numpy(x) @ w.T) * (1 + 0.5 * normal)
    wanted = -(torch.from_numpy(y) * torch.log_softmax(h @ c.T, -1)).sum() / len(x)
    wanted.backward()
    for _ in range(2):  # the two modes share one workspace
        loss, gradients = program.loss_and_gradients(params, x, y, u=u, v=v)
        assert relative_error(loss, wanted.item()) < 1e-12
        assert relative_error(gradients["W"], w.grad.numpy()) < 1e-10
        assert relative_error(gradients["V"], c.grad.numpy()) < 1e-10
        found = gl.evaluate(net.for_inference(), {**params, "x": x, "y": y})
        assert relative_error(program.predict(params, x), found["p"]) < 1e-12
        assert relative_error(program.loss(params, x, y), found["L"]) < 1e-12


def test_the_second_body_is_printed_and_checked():
    net = gl.Network()
    x = net.input("x", (B, 5))
    u = net.noise("u", (B, 5))
    a = net.define("a", (i, j), x[i, j] * u[i, j], inference=x[i, j] / 2)
    assert "in inference: a[i, j] = 1/2 x[i, j]" in str(net)
    assert r"\frac{1}{2} \, x_{i j} \quad \text{in inference}" in net._repr_latex_()
    with pytest.raises(gl.ShapeError, match=r"b: i runs over axis 1 of x .B, 5.*b\[i, j\] = x\[j, i\]"):
        net.define("b", (i, j), a[i, j], inference=x[j, i])
    with pytest.raises(gl.UndefinedError, match="g is used before it is defined"):
        net.define("b", (i, j), a[i, j], inference=gl.Tensor("g"))
    assert "b" not in net.tensors


def test_inference_that_reads_noise_is_refused():
    net = gl.Network()
    x, u, w = net.input("x", (B, 5)), net.noise("u", (B, 5)), net.parameter("w", (5,))
    a = net.define("a", (i, j), x[i, j] * u[i, j] * w[j])
    net.minimize(gl.Sum(a[i, j] ** 2, i, j))
    net.derive()
    with pytest.raises(gl.UndefinedError, match=r"a reads noise u.*define\('a', …, inference=…\)"):
        net.compile(target="numpy")


def test_noise_of_another_rank_and_batch_axis_is_refused():
    net = gl.Network()
    x, u, w = net.input("x", (B, 5)), net.noise("u", (5, B)), net.parameter("w", (5,))
    net.minimize(gl.Sum(x[i, j] * w[j] * u[j, i], i, j), inference=gl.Sum(x[i, j] * w[j], i, j))
    with pytest.raises(gl.UnsupportedError, match=r"noise u has shape \(5, B\)"):
        net.compile(target="numpy")


def test_given_noise_is_checked():
    net, values = noisy(), noisy_data()
    program = double(net, "numpy")
    params, x, y = {name: values[name] for name in "WV"}, values["x"], values["y"]
    with pytest.raises(gl.DataError, match="noise u has 10 rows and the data have 11"):
        program.loss_and_gradients(params, x, y, u=values["u"][:-1])
    with pytest.raises(gl.DataError, match=r"v has shape \(5,\)"):
        program.loss_and_gradients(params, x, y, v=np.ones(5))
    with pytest.raises(gl.DataError, match="u is not data of this network"):
        program.predict(params, x, u=values["u"])


@pytest.mark.usefixtures("without_compiler")
@both_targets
def test_gradients_by_data_and_noise(target):
    net = gl.Network()
    x, u = net.input("x", (B, 5)), net.noise("u", (B, 5))
    net.minimize(gl.Sum(x[i, j] ** 2 * u[i, j], i, j), inference=gl.Sum(x[i, j] ** 2, i, j) / 2)
    program, x = double(net, target, wrt=["x", "u"]), RNG.normal(size=(7, 5))
    loss, gradients = program.loss_and_gradients({}, x)
    (u,) = program.noise(7)
    assert relative_error(loss, (x**2 * u).sum()) < 1e-13
    assert relative_error(gradients["x"], 2 * x * u) < 1e-13
    assert relative_error(gradients["u"], x**2) < 1e-13
    assert relative_error(program.loss({}, x), (x**2).sum() / 2) < 1e-13


def test_an_output_may_need_targets_in_training_alone():
    net = gl.Network()
    x, y, w = net.input("x", (B, 5)), net.target("y", (B, 5)), net.parameter("w", (5,))
    a = net.define("a", (i, j), w[j] * (x[i, j] + y[i, j]), inference=w[j] * x[i, j])
    net.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j))
    assert net.output == a
    x, w = RNG.normal(size=(7, 5)), RNG.normal(size=5)
    np.testing.assert_allclose(double(net, "numpy").predict({"w": w}, x), x * w)


def test_the_scores_of_a_loss_that_is_a_sum_do_not_depend_on_batch_norm():
    from gradloom.runtime.scoring import averages_over_batch

    for reduction in ("mean", "sum"):
        loss = gl.losses.SquaredError(reduction)
        net = gl.Sequential([gl.layers.BatchNorm()], input_shape=5, loss=loss)
        assert averages_over_batch(net) == (reduction == "mean")


@pytest.mark.usefixtures("without_compiler")
@both_targets
def test_gradcheck_holds_the_noise(target):
    result = gl.gradcheck(noisy(), target=target)
    assert result.ok, str(result)
    values = noisy_data()
    given = gl.gradcheck(
        noisy(), target=target, data={n: values[n] for n in "xyuv"}, params={n: values[n] for n in "WV"}
    )
    assert given.ok, str(given)
    loss, _ = double(noisy(), target).loss_and_gradients({n: values[n] for n in "WV"}, **{n: values[n] for n in "xyuv"})
    assert given.loss == loss


# ---- states ------------------------------------------------------------------------------------------------------


def stateful():
    """States that read each other, a value that the loss does not need, data, noise, a parameter."""
    net = gl.Network("stateful")
    x, y, u = net.input("x", (B, 5)), net.target("y", (B, 3)), net.noise("u", (B,))
    W = net.parameter("W", (3, 5))
    R = net.state("R", (3, 3), init=gl.initializers.Normal(std=0.5))
    s, t = net.state("s", (3,), init=1), net.state("t", (3,), init=2)
    c, _ = net.state("c"), net.state("copied", (3, 5))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + s[j])
    top = net.define("top", j, gl.Max(z[i, j], i))
    net.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2, i, j) / B)
    net.after_step("R", (i, j), R[j, i] + u[0] / 8)
    net.after_step("s", j, t[j])
    net.after_step("t", j, gl.Sum(R[j, k] * s[k], k) / 4 + top[j] / 8)
    net.after_step("c", (), c + 1)
    net.after_step("copied", (j, k), W[j, k])
    return net


@both_targets
def test_states_change_after_each_step_as_stated(target):
    net, rate, batch = stateful(), 0.03, 4
    x, y = RNG.normal(size=(11, 5)), RNG.normal(size=(11, 3))
    model = gl.Model(net, seed=3, target=target, dtype="float64")
    now = {name: array.copy() for name, array in model.params.items()}
    states = [tensor.name for tensor in net.states]
    before = model.params.flat.copy()
    model.loss_and_gradients(x, y)
    np.testing.assert_array_equal(model.params.flat, before)
    model.fit(x, y, epochs=2, batch=batch, optimizer=gl.optimizers.SGD(lr=rate), shuffle=False)
    assert model.params["c"] == 6

    program, step = model.program, 0
    for _, first in itertools.product(range(2), range(0, 11, batch)):
        rows, step = slice(first, first + batch), step + 1
        (u,) = program.noise(len(x[rows]), seed=model._trainer.seed, step=step)
        values = {**now, "x": x[rows], "y": y[rows], "u": u}
        passed = gl.evaluate(net.equations, values)
        residual = 2 / len(x[rows]) * (passed["z"] - y[rows])
        # Every right side with the old states: one at a time.
        new = {
            e.target.name: gl.evaluate([e], {**values, **passed}, {"B": len(u)})[e.target.name] for e in net.assignments
        }
        now = {**now, **new, "W": now["W"] - rate * residual.T @ x[rows]}
    for name in ["W", *states]:
        assert relative_error(model.params[name], now[name]) < 1e-12, name
    assert (
        relative_error(model.evaluate(x, y)["loss"], gl.evaluate(net.equations, {**now, "x": x, "y": y})["L"]) < 1e-12
    )


def test_swapped_states_without_a_batch_axis():
    net = gl.Network("swap")
    p, a, b, noise = net.parameter("p", init=1), net.state("a", init=2), net.state("b", init=3), net.noise("u")
    net.minimize((p - a) ** 2 * (1 + noise), inference=(p - a) ** 2)
    net.after_step("a", (), b)
    net.after_step("b", (), a)
    for target in TARGETS:
        model = gl.Model(net, target=target, dtype="float64")
        model.fit({}, {}, epochs=3, optimizer=gl.optimizers.SGD(lr=0.1))
        assert (model.params["a"], model.params["b"]) == (3, 2)
        p_now, value = 1.0, 2.0
        for step in range(1, 4):
            (u,) = model.program.noise(1, seed=model._trainer.seed, step=step)
            p_now -= 0.2 * (p_now - value) * (1 + float(u))
            value = 5 - value
        assert float(model.params["p"]) == pytest.approx(p_now, rel=1e-12)


def test_wrong_states_are_refused():
    net = gl.Network()
    x, w, s = net.input("x", (B, 5)), net.parameter("w", (5,)), net.state("s", (5,))
    z = net.define("z", i, gl.Sum(x[i, j] * w[j], j))
    with pytest.raises(gl.UndefinedError, match="w is a parameter: declare it with state"):
        net.after_step("w", j, s[j])
    with pytest.raises(gl.ShapeError, match="s: 2 indices"):
        net.after_step("s", (i, j), s[j])
    with pytest.raises(gl.IndexingError, match="index i is neither"):
        net.after_step("s", j, s[j] + z[i])
    net.after_step("s", j, s[j] + 1)
    with pytest.raises(gl.NameTakenError, match="s is assigned to already"):
        net.after_step("s", j, s[j])
    net.state("r", (B,))
    net.minimize(gl.Sum(z[i], i))
    with pytest.raises(gl.UnsupportedError, match="state r has the batch size B"):
        net.compile(target="numpy")


def test_a_state_has_no_gradient_by_default():
    net = stateful()
    assert list(net.derive().gradients) == ["W"]
    assert "after each step: s[j] = t[j]" in str(net)
    assert "after each step: s = t" in net.derive().text()
