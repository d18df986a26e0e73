"""What products in blocks must not trip over: letters that mean something in Python, guards, labels, the stack."""

from __future__ import annotations

import os
import subprocess
import sys

import kernels
import numba
import numpy as np
import pytest

import gradloom as gl
from gradloom.codegen.carried.contraction import contraction
from gradloom.codegen.generate import generate

B = gl.dims("B")
b, e, h, k, o, u = gl.indices("b e h k o u")


def agree(network, shapes, tmp_path, name, batch=3):
    """The compiled module against the reference interpreter, with values drawn for `shapes`."""
    rng = np.random.default_rng(7)
    values = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    module = kernels.compiled(generate(network, dtype="float64").source, tmp_path, name)
    _, loss, gradients = kernels.run(module, network, values)
    known = kernels.expected(network, values)
    assert loss == pytest.approx(known["L"], rel=1e-12)
    derivation = network.derive()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, known[derivation.gradients[name].target.name], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_indices_may_have_any_letters(tmp_path):
    net = gl.Network("letters")
    x, total, shapes = net.input("x", (B, 11)), 0, {"x": (3, 11)}
    for place, letters in enumerate(["o r", "a s", "v1 form", "pa ck", "columns n1", "vec tor"]):
        first, second = gl.indices(letters)
        W = net.parameter(f"W{place}", (7, 5, 11))
        y = net.define(f"y{place}", (b, first, second), gl.Sum(W[first, second, k] * x[b, k], k))
        total += gl.Sum(y[b, first, second] ** 2, b, first, second) / B
        shapes[W.name] = (7, 5, 11)
    net.minimize(total)
    agree(net, shapes, tmp_path, "letters")


def test_a_guard_on_one_operand_keeps_the_other_inside(tmp_path):
    net = gl.Network("guarded")
    x = net.input("x", (B, 13))
    W = net.parameter("W", (11, 7))
    y = net.define("y", (b, o), gl.Sum(gl.inside(k, 7) * W[o, k] * x[b, k], (k, 13)))
    net.minimize(gl.Sum(y[b, o] ** 2, b, o) / B)
    module = kernels.compiled(generate(net, dtype="float64").source, tmp_path, "guarded")
    rng = np.random.default_rng(3)
    values = {"x": rng.standard_normal((3, 13)), "W": rng.standard_normal((11, 7))}
    # Whatever lies behind the parameters must not matter, not even as 0 times NaN.
    space = np.full(77 + 64, np.nan)
    space[:77] = values["W"].ravel()
    loss = module.loss(space[:77], values["x"], module.workspace(3))
    expected = ((values["x"][:, :7] @ values["W"].T) ** 2).sum() / 3
    assert loss == pytest.approx(expected, rel=1e-12)


def test_what_clears_around_a_product_does_not_clear_the_product(tmp_path):
    """The deltas before a slice are a product inside of a guard, which a weight's and a bias's gradients read."""
    layers = [gl.layers.Dense(13), gl.layers.Slice(1, 0, 11), gl.layers.Dense(7, gl.tanh)]
    net = gl.Sequential(layers, (5,), loss=gl.losses.SquaredError())
    shapes = {"x": (3, 5), "y": (3, 7), "W1": (13, 5), "b1": (13,), "W3": (7, 11), "b3": (7,)}
    agree(net, shapes, tmp_path, "sliced")


def test_windows_beside_a_factor_with_an_index_of_its_own(tmp_path):
    c = gl.indices("c")
    net = gl.Network("three")
    x, y = net.input("x", (B, 7, 13)), net.input("y", (B, 5, 7))
    W = net.parameter("W", (11, 7, 5))
    body = gl.Sum(x[b, c, h + u] * y[b, e, c] * W[o, c, u], c, u)
    z = net.define("z", (b, e, o, h), body, shape=(B, 5, 11, 9))
    net.minimize(gl.Sum(z[b, e, o, h] ** 2, b, e, o, h) / B)
    agree(net, {"x": (3, 7, 13), "y": (3, 5, 7), "W": (11, 7, 5)}, tmp_path, "three")


@pytest.mark.parametrize("batch", [1, 3])
def test_an_unrolled_epoch_reads_a_table_by_two_labels(batch, tmp_path):
    net = gl.Network("two_labels")
    l1, l2 = net.input("l1", B, classes=2), net.input("l2", B, classes=3)
    T = net.parameter("T", (2, 3))
    z = net.define("z", b, gl.tanh(T[l1[b], l2[b]]))
    net.minimize(gl.Sum((z[b] - 1) ** 2, b) / B)
    module = kernels.compiled(
        generate(net, dtype="float64", optimizer=gl.optimizers.SGD(lr=0.5)).source, tmp_path, f"two_labels_{batch}"
    )
    assert hasattr(module, "epoch_by_row")
    rng = np.random.default_rng(5)
    table, rows = rng.standard_normal((2, 3)), (rng.integers(0, 2, 7), rng.integers(0, 3, 7))
    params, grads = table.ravel().copy(), np.empty(6)
    module.epoch(params, grads, np.empty((0, 6)), *rows, np.arange(7), batch, np.array([0.5]), 0, module.workspace(7))
    for start in range(0, 7, batch):
        chosen = tuple(part[start : start + batch] for part in rows)
        value = np.tanh(table[chosen])
        step = np.zeros_like(table)
        np.add.at(step, chosen, 2 * (value - 1) * (1 - value**2) / len(value))
        table -= 0.5 * step
    np.testing.assert_allclose(params, table.ravel(), rtol=1e-12)


def test_modules_run_without_the_compiler():
    program = (
        "import numpy as np, gradloom as gl\n"
        "net = gl.Sequential([gl.layers.Dense(7, gl.gelu), gl.layers.Dense(5, gl.tanh), gl.layers.Dense(3)], (11,),"
        " loss=gl.losses.CrossEntropy())\n"
        "rng = np.random.default_rng(0)\n"
        "x, y = rng.standard_normal((5, 11)), np.eye(3)[rng.integers(0, 3, 5)]\n"
        "models = [gl.Model(net, seed=1, target=target, dtype='float64') for target in ('cpu', 'numpy')]\n"
        "found = [model.evaluate(x, y)['loss'] for model in models]\n"
        "assert np.isclose(*found, rtol=1e-12), found\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_many_panels_do_not_add_up_on_the_stack():
    axes = {"i": ((0, 1), 1000, 0, 1000), "j": (1000, 0, 1000, 1), "k": (1000, 1, 1, 0)}
    product = contraction("outer", "i", "j", axes, pack="right")
    calls = "\n".join("    product(a, b, c, 3)" for _ in range(60))
    space = {"product": product}
    exec(f"def many(a, b, c):\n{calls}\n", space)
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((3, 1000)), rng.standard_normal((1000, 1000))
    target = np.empty((3, 1000))
    numba.njit(space["many"])(left, right, target)
    np.testing.assert_allclose(target, left @ right.T, rtol=1e-9, atol=1e-9)
