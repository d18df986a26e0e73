"""Networks inside of JAX: check_grads under jit, the same mathematics in jax.numpy, and what JAX may ask for.

Skipped where JAX is not installed; the extra "jax" brings it.
"""

import doctest
import importlib

import numpy as np
import pytest
import sympy

import gradloom as gl

jax = pytest.importorskip("jax")
jnp = jax.numpy
check_grads = importlib.import_module("jax.test_util").check_grads


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def focal():
    net = gl.Network("focal")
    B, c = gl.dims("B c")
    i, j = gl.indices("i j")
    z, y, w = net.input("z", (B, c)), net.target("y", (B, c)), net.parameter("w", (c,))
    p = net.define("p", (i, j), gl.softmax(z[i, j], j))
    net.minimize(gl.Sum(-w[j] * y[i, j] * (1 - p[i, j]) ** 2 * sympy.log(p[i, j]), i, j) / B)
    return net


def plain_focal(z, y, w):
    p = jax.nn.softmax(z)
    return -(w * y * (1 - p) ** 2 * jnp.log(p)).sum() / len(z)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def data(rows=7):
    return normal(rows, 5), abs(normal(rows, 5, seed=1)), normal(5)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("jit", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_a_loss(target, jit):
    loss = jit(gl.jax.function(focal(), target=target))
    check_grads(loss, data(), order=1, modes=["rev"])
    for rows in (1, 13):
        found = jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(*data(rows))
        expected = jax.value_and_grad(plain_focal, argnums=(0, 1, 2))(*data(rows))
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14), found, expected)


@pytest.mark.parametrize("layer", [gl.layers.LSTM(2), gl.layers.Conv1D(2, 3, activation=gl.tanh)], ids=["lstm", "conv"])
def test_a_layer(layer):
    network = gl.Sequential([layer], input_shape=(5, 3) if isinstance(layer, gl.layers.LSTM) else (3, 5))
    function = gl.jax.function(network, target="numpy")
    parameters = {t.name: normal(*map(int, t.shape)) for t in network.parameters}
    x = normal(3, *(int(size) for size in network.inputs[0].shape[1:]))
    check_grads(jax.jit(lambda x, parameters: function(x, **parameters)), (x, parameters), order=1, modes=["rev"])


def test_several_outputs_and_labels():
    network = gl.Sequential([gl.layers.Dense(5)], 3, loss=gl.losses.CrossEntropy(targets="labels"))
    function = gl.jax.function(network, ["z1", "L"], target="numpy")
    x, W, b, y = normal(7, 3), normal(5, 3), normal(5), jnp.asarray([0, 4, 2, 3, 1, 1, 0])

    def ours(x, W, b):
        z, loss = function(x, y, W, b)
        return (z**2).sum() + 3 * loss

    def plain(x, W, b):
        z = x @ W.T + b
        return (z**2).sum() - 3 * jax.nn.log_softmax(z)[jnp.arange(7), y].mean()

    found, expected = (jax.jit(jax.grad(one, argnums=(0, 1, 2)))(x, W, b) for one in (ours, plain))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-12), found, expected)
    loss_alone = jax.grad(lambda W: function(x, y, W, b)[1])(W)  # the other output's cotangent is zero
    np.testing.assert_allclose(
        loss_alone, jax.grad(lambda W: plain(x, W, b) - ((x @ W.T + b) ** 2).sum())(W) / 3, rtol=1e-9
    )
    with pytest.raises(Exception, match="label 5"):
        jax.block_until_ready(function(x, y + 1, W, b))


def test_vmap_calls_one_after_another():
    loss = gl.jax.function(focal(), target="numpy")
    z, y, w = normal(3, 7, 5), abs(normal(7, 5, seed=1)), normal(5)
    found = jax.vmap(jax.grad(loss), in_axes=(0, None, None))(z, y, w)
    expected = jax.vmap(jax.grad(plain_focal), in_axes=(0, None, None))(z, y, w)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_only_what_is_differentiated_is_computed(monkeypatch):
    from gradloom.runtime.pullback import Pullback

    asked = []
    plan = Pullback.plan
    monkeypatch.setattr(Pullback, "plan", lambda self, *given: asked.append(tuple(given[2])) or plan(self, *given))
    loss = gl.jax.function(focal(), target="numpy")
    jax.grad(loss, argnums=2)(*data())
    assert set(asked) == {(), (2,)}


def test_large_arrays_are_read_in_place_and_do_not_wait_for_each_other():
    from gradloom.jax import _in_place

    array = np.arange(12.0).reshape(3, 4)
    array.flags.writeable = False
    seen = _in_place(array, array.dtype)
    assert seen.__array_interface__["data"][0] == array.__array_interface__["data"][0]
    assert seen.flags.writeable
    assert np.array_equal(seen, array)
    assert np.array_equal(_in_place(array.T, array.dtype), array.T)
    loss = jax.jit(jax.grad(gl.jax.function(focal(), target="numpy")))
    z, y, w = normal(100_003, 5), abs(normal(100_003, 5, seed=1)), normal(5)
    np.testing.assert_allclose(loss(2 * z, y, w), jax.grad(plain_focal)(2 * z, y, w), rtol=1e-9, atol=1e-18)


def smoothed():
    """A loss that reads a state, and moves it."""
    net = gl.Network("smoothed")
    B, i = gl.dims("B"), gl.indices("i")
    x, w, h = net.input("x", (B,)), net.parameter("w", ()), net.state("h", ())
    L = net.minimize(gl.Sum((w[()] * x[i] - h[()]) ** 2, i) / B)
    net.after_step("h", (), h[()] / 2 + L[()] * w[()])
    return net


def test_states_are_constants():
    step = gl.jax.function(smoothed(), ["L", "h"], target="numpy")
    x, w, h = normal(7), jnp.asarray(0.3), jnp.asarray(0.7)

    def plain(w, h):
        total = 0.0
        for _ in range(3):
            loss = ((w * x - h) ** 2).mean()
            h, total = jax.lax.stop_gradient(h / 2 + loss * w), total + loss
        return total

    def total(w, h):
        def one(h, _):
            loss, h = step(x, w, h)
            return h, loss

        return jax.lax.scan(one, h, None, length=3)[1].sum()

    np.testing.assert_allclose(total(w, h), plain(w, h), rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(w, h), jax.grad(plain)(w, h), rtol=1e-12)
    with pytest.raises(gl.UnsupportedError, match=r"h is a state of smoothed.*jax.lax.stop_gradient\(h\)"):
        jax.grad(total, argnums=1)(w, h)
    assert jax.grad(total)(w, jax.lax.stop_gradient(h)) == jax.grad(total)(w, h)


def test_what_cannot_be_is_said():
    loss = gl.jax.function(focal(), target="numpy")
    z, y, w = data()
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(loss, (z, y, w), (z, y, w))
    with pytest.raises((TypeError, ValueError), match=r"JVP|forward-mode"):
        jax.hessian(loss)(z, y, w)
    for arguments, message in [
        ((z.astype("float32"), y, w), "z holds float32 and y float64"),
        ((z.astype("bfloat16"), y.astype("bfloat16"), w.astype("bfloat16")), "bfloat16"),
        ((z[:, :3], y, w), r"y has shape \(7, 5\): axis 1"),
        ((z, y), "w is not given"),
    ]:
        with pytest.raises(gl.DataError, match=message):
            loss(*arguments)
    single = [value.astype("float32") for value in (z, y, w)]
    np.testing.assert_allclose(loss(*single), plain_focal(z, y, w), rtol=1e-5)
    np.testing.assert_allclose(loss(z, jnp.ones((7, 5), int), w), plain_focal(z, 1.0, w), rtol=1e-12)


def test_docstring_examples():
    with jax.enable_x64(False):
        assert doctest.testmod(importlib.import_module("gradloom.jax")).failed == 0
