"""Generated modules against the reference interpreter and against differences of their own loss."""

from __future__ import annotations

import os
import subprocess
import sys

import kernels
import numba
import numpy as np
import pytest
import sympy
from everyday import daily

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.errors import SizeError, UnsupportedError
from gradloom.symbolic.evaluate import evaluate

TARGETS = ("numpy", "cpu")


def close(found, wanted, tolerance):
    wanted = np.asarray(wanted, dtype=float)
    scale = max(1.0, np.abs(wanted).max(initial=0))
    assert np.asarray(found).shape == wanted.shape
    np.testing.assert_allclose(np.asarray(found, dtype=float), wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", kernels.CASES)
def test_values_and_gradients_are_those_of_the_equations(name, target):
    network, source, values = kernels.made(name, target)
    output, loss, grads = kernels.run(kernels.plain(source), network, values)
    wanted = kernels.expected(network, values, [*grads])
    close(loss, wanted[network.loss.name], 1e-12)
    if name not in ("product_circuit", "neuron_circuit"):
        close(output, wanted[network.output.name], 1e-12)
    for found in grads:
        close(grads[found], wanted[found], 1e-11)


@pytest.mark.parametrize("name", ["perceptron", "classifier", "many_axes"])
def test_gradients_are_the_slopes_of_the_loss(name):
    network, source, values = kernels.made(name, "numpy")
    module = kernels.plain(source)
    grads = kernels.run(module, network, values)[2]
    rng = np.random.default_rng(0)
    for found, gradient in grads.items():
        direction, step = rng.normal(size=gradient.shape), 1e-6
        moved = [{**values, found: np.asarray(values[found]) + sign * step * direction} for sign in (1, -1)]
        up, down = (kernels.run(module, network, at)[1] for at in moved)
        assert np.sum(gradient * direction) == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-8)


# Each compilation takes seconds: these networks have every kind of op between them.
@pytest.mark.parametrize(
    ("name", "dtype"),
    daily(
        [("perceptron", "float32"), ("classifier", "float32"), ("many_axes", "float32"), ("many_axes", "float64")],
        ("classifier", "float32"),
        ("many_axes", "float64"),
    ),
)
def test_compiled_kernels_agree(name, dtype, tmp_path):
    network, source, values = kernels.made(name, "cpu", dtype)
    module = kernels.compiled(source, tmp_path, f"{name}_{dtype}")
    output, loss, grads = kernels.run(module, network, values, dtype)
    tolerance = {"float32": 2e-5, "float64": 1e-11}[dtype]
    real = {name: np.asarray(v, dtype).astype(float) for name, v in values.items() if np.asarray(v).dtype.kind == "f"}
    rounded = {**values, **real}
    wanted = kernels.expected(network, rounded, [*grads])
    close(loss, wanted[network.loss.name], tolerance)
    close(output, wanted[network.output.name], tolerance)
    for found in grads:
        close(grads[found], wanted[found], tolerance)
        assert grads[found].dtype == dtype
    if dtype == "float32":
        for function in (module.forward, module.loss, module.backward):
            types = function.overloads[function.signatures[0]].type_annotation.typemap
            # Literals are float64 until real(…) has taken them: those are the only ones.
            wide = [variable for variable, found in types.items() if found == numba.float64]
            assert not [v for v in wide if not v.startswith(("$const", "$")) or "binary" in v or "call" in v]


@pytest.mark.parametrize("target", TARGETS)
def test_an_epoch_is_its_steps(target):
    _, source, values = kernels.made("perceptron", target, optimizer=gl.optimizers.Adam(lr=0.01))
    module = kernels.plain(source)
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(11, 11)), rng.normal(size=(11, 7))
    order = rng.permutation(11)[:10]
    start = kernels.flat(module, values, "float64")
    hyper = np.array([0.01, 0.9, 0.999, 1e-8])

    params, grads, state = start.copy(), np.empty_like(start), np.zeros((2, module.TRAINABLE))
    total, done = module.epoch(params, grads, state, x, y, order, 4, hyper, 0, module.workspace(4))

    one, slope, moments, summed = start.copy(), np.empty_like(start), np.zeros((2, module.TRAINABLE)), 0.0
    for step, rows in enumerate([order[:4], order[4:8], order[8:]], 1):
        loss = module.loss_and_gradients(one, x[rows], y[rows], module.workspace(len(rows)), slope)
        module.update(one, slope, moments, hyper, step)
        summed += loss * len(rows)
    assert done == 3
    assert total == pytest.approx(summed, rel=1e-14)
    np.testing.assert_allclose(params, one, rtol=1e-14)
    np.testing.assert_allclose(state, moments, rtol=1e-14)


def test_an_epoch_on_compiled_kernels_stops_where_a_loss_is_not_finite(tmp_path):
    network, sizes, values = kernels.case("perceptron")
    source = generate(network, dtype="float32", sizes=sizes, optimizer=gl.optimizers.SGD(lr=1e-3)).source
    module, plain = kernels.compiled(source, tmp_path, "stopping"), kernels.plain(source)
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(9, 11)).astype("float32"), rng.normal(size=(9, 7)).astype("float32")
    start = kernels.flat(module, values, "float32")
    hyper, order = np.array([1e-3]), np.arange(9)
    ends = []
    for rows in (x, np.where(np.arange(9)[:, None] == 5, np.float32(np.nan), x)):
        for used in (module, plain):
            params = start.copy()
            state = np.zeros((0, module.TRAINABLE), "float32")
            done = used.epoch(params, np.empty_like(start), state, rows, y, order, 4, hyper, 0, used.workspace(4))
            ends.append((params, *done))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-4, atol=1e-6)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-5)
    assert [end[2] for end in ends] == [3, 3, 1, 1]
    assert np.isnan(ends[2][1])
    assert np.isfinite(ends[2][0]).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "optimizer",
    [
        gl.optimizers.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        gl.optimizers.Adam(lr=gl.schedules.WarmUp(3, gl.schedules.Cosine(0.1, 20))),
        gl.optimizers.AdamW(lr=gl.schedules.StepDecay(0.1, 2)),
        gl.optimizers.RMSProp(lr=lambda t: 1 / sympy.sqrt(t)),
        gl.optimizers.AdaGrad(lr=0.1),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_updates_are_the_optimizers_equations(optimizer, target):
    _, source, _ = kernels.made("awkward_names", target, optimizer=optimizer)
    module = kernels.plain(source)
    assert list(module.STATE) == [state.name for state in optimizer.states]
    assert list(module.HYPER) == list(optimizer.values)
    rng = np.random.default_rng(9)
    params, state = rng.normal(size=module.TRAINABLE), np.zeros((len(module.STATE), module.TRAINABLE))
    known = {"theta": params.copy(), **dict(zip(module.STATE, state.copy(), strict=True))}
    hyper = np.array(list(optimizer.values.values()))
    for step in range(1, 6):
        grads = rng.normal(size=module.TRAINABLE)
        module.update(params, grads, state, hyper, step)
        known |= evaluate(optimizer.equations, {**known, **optimizer.values, optimizer.gradient.name: grads, "t": step})
    np.testing.assert_allclose(params, known["theta"], rtol=1e-12)
    np.testing.assert_allclose(state, [known[name] for name in module.STATE] or state, rtol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_frozen_parameters_lie_behind_and_inputs_have_gradients_of_their_own(target):
    network, sizes, values = kernels.perceptron()
    network.freeze("V")
    source = generate(network, target=target, dtype="float64", sizes=sizes, wrt=["x", "W", "b"]).source
    module = kernels.plain(source)
    assert list(module.PARAMETERS) == ["W", "b", "scale", "V"]
    assert module.TRAINABLE == 49 + 7 + 1
    assert list(module.GRADIENTS) == ["W", "b"]
    assert module.gradient_places(3)["x"] == (56, (3, 11))
    grads = kernels.run(module, network, values)[2]
    wanted = kernels.expected(network, values, ["x", "W", "b"])
    for name in ("x", "W", "b"):
        close(grads[name], wanted[name], 1e-12)


def test_the_same_bytes_whatever_the_hash_seed():
    program = (
        "import kernels, gradloom as gl; "
        "print(*(kernels.made(name, target, optimizer=gl.optimizers.Adam())[1] "
        "for name in ('classifier', 'max_circuit') for target in ('cpu', 'cuda', 'numpy')))"
    )
    found = []
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        found.append(subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout)
    assert found[0] == found[1]
    assert len(found[0]) > 10_000


def test_missing_and_unknown_sizes_are_named():
    network, sizes, _ = kernels.case("perceptron")
    with pytest.raises(SizeError, match="'m' of perceptron has no number"):
        generate(network, sizes={"n": 3})
    with pytest.raises(SizeError, match="'width' is no size"):
        generate(network, sizes={**sizes, "width": 3})
    with pytest.raises(SizeError, match="whole number"):
        generate(network, sizes={"n": 3, "m": 0})


def test_unknown_functions_and_targets_are_refused():
    net = gl.Network("strange")
    x = net.parameter("x")
    net.minimize(sympy.gamma(x))
    with pytest.raises(UnsupportedError, match="gamma has no counterpart"):
        generate(net, target="cpu")
    with pytest.raises(UnsupportedError, match="'opencl'"):
        generate(net, target="opencl")
    with pytest.raises(UnsupportedError, match="'float16'"):
        generate(net, dtype="float16")
