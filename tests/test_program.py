"""Programs: parameters and data as people hand them over, and the numbers that come back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from small_models import perceptron

import gradloom as gl


@pytest.fixture(scope="module")
def net():
    return perceptron()


@pytest.fixture(scope="module", params=["cpu", "numpy"])
def program(request, net):
    return net.compile(target=request.param, dtype="float64", batch=2, sizes={"n": 5, "m": 3})


@pytest.fixture
def point():
    rng = np.random.default_rng(7)
    params = {"W": rng.normal(size=(3, 5)), "b": rng.normal(size=3)}
    return params, rng.normal(size=(7, 5)), rng.uniform(size=(7, 3))


def by_hand(params, x, y):
    a = 1 / (1 + np.exp(-(x @ params["W"].T + params["b"])))
    delta = (a - y) * a * (1 - a) / len(x)
    return a, ((a - y) ** 2).sum() / (2 * len(x)), {"W": delta.T @ x, "b": delta.sum(axis=0)}


def test_loss_gradients_and_prediction(program, point):
    params, x, y = point
    outputs, loss, gradients = by_hand(params, x, y)
    found, grads = program.loss_and_gradients(params, x, y)
    assert found == pytest.approx(loss, rel=1e-12)
    assert program.loss(params, x, y) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(program.predict(params, x), outputs, rtol=1e-12)
    assert list(grads) == ["W", "b"]
    for name, gradient in gradients.items():
        assert grads[name].shape == gradient.shape
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-11, atol=1e-15)


def test_results_are_not_overwritten_by_the_next_call(program, point):
    params, x, y = point
    _, first = program.loss_and_gradients(params, x, y)
    kept = {name: gradient.copy() for name, gradient in first.items()}
    outputs = program.predict(params, x)
    before = outputs.copy()
    program.loss_and_gradients(params, x * 3, y)
    program.predict(params, x * 3)
    np.testing.assert_array_equal(outputs, before)
    for name, gradient in kept.items():
        np.testing.assert_array_equal(first[name], gradient)


def test_batches_of_any_size(program, point):
    """A larger batch than the workspace was made for, then a smaller one."""
    params, x, y = point
    for rows in (1, 7, 3, 7):
        _, loss, _ = by_hand(params, x[:rows], y[:rows])
        assert program.loss(params, x[:rows], y[:rows]) == pytest.approx(loss, rel=1e-12)


def test_params_as_mapping_or_flat_buffer(program, point):
    params, x, y = point
    loss = program.loss(params, x, y)
    made = gl.Parameters(program.module.PARAMETERS, "float64")
    made.fill(params)
    assert program.loss(made, x, y) == loss
    assert program.loss(made.flat, x, y) == loss
    assert program.loss({name: array.tolist() for name, array in params.items()}, x, y) == loss


def test_data_by_name(program, point):
    params, x, y = point
    assert program.loss(params, y=y, x=x) == program.loss(params, x, y)
    assert program.loss(params, x, y=y) == program.loss(params, x, y)


def test_wrong_parameters(program, point):
    params, x, y = point
    with pytest.raises(gl.UndefinedError, match="missing: b"):
        program.loss({"W": params["W"]}, x, y)
    with pytest.raises(gl.UndefinedError, match="unknown: c"):
        program.loss({**params, "c": 1}, x, y)
    with pytest.raises(gl.ShapeError, match=r"W has shape \(3, 5\), found an array of shape \(5, 3\)"):
        program.loss({**params, "W": params["W"].T}, x, y)
    with pytest.raises(gl.DataError, match="b must hold real numbers, found dtype complex128"):
        program.loss({**params, "b": params["b"] * 1j}, x, y)
    with pytest.raises(gl.ShapeError, match="flat buffer of 18 numbers"):
        program.loss(np.zeros(4), x, y)


def test_wrong_data(program, point):
    params, x, y = point
    with pytest.raises(gl.DataError, match="axis 1 is 4 wide, expected 5"):
        program.loss(params, x[:, :4], y)
    with pytest.raises(gl.DataError, match="y has no data"):
        program.loss(params, x)
    with pytest.raises(gl.DataError, match="3 arrays were given"):
        program.loss(params, x, y, y)
    with pytest.raises(gl.DataError, match="x was given twice"):
        program.loss(params, x, x=x, y=y)
    with pytest.raises(gl.DataError, match="q is not data of this network; it takes x, y"):
        program.loss(params, x, y, q=1)


def test_source_is_the_loaded_module(program):
    with open(program.module.__file__, encoding="utf-8") as file:
        assert file.read() == program.source
    compile(program.source, "kernels.py", "exec")


def test_equal_requests_share_a_module(net):
    options = {"target": "numpy", "dtype": "float64", "sizes": {"n": 5, "m": 3}}
    assert net.compile(**options).module is net.compile(batch=64, **options).module
    assert net.compile(**options).module is not net.compile(**{**options, "dtype": "float32"}).module


def test_bad_options(net):
    sizes = {"n": 5, "m": 3}
    with pytest.raises(gl.SizeError, match=r"'?m'? .*has no number"):
        net.compile(sizes={"n": 5})
    with pytest.raises(gl.SizeError, match="size n is 0; expected a whole number"):
        net.compile(sizes={"n": 0, "m": 3})
    with pytest.raises(gl.UnsupportedError, match="target 'tpu' is not offered; choose from cpu, cuda, numpy"):
        net.compile(target="tpu", sizes=sizes)
    with pytest.raises(gl.UnsupportedError, match="dtype int32 is not offered"):
        net.compile(dtype="int32", sizes=sizes)
    with pytest.raises(gl.SizeError, match="batch is 0"):
        net.compile(batch=0, sizes=sizes)
    with pytest.raises(gl.UndefinedError, match=r"SGD, a class; expected one of gl\.optimizers"):
        net.compile(optimizer=gl.optimizers.SGD, sizes=sizes)


def test_gradients_of_inputs(net, point):
    """With `wrt`, any input or parameter; for inputs with a batch axis as many rows as were given."""
    params, x, y = point
    program = net.compile(target="numpy", dtype="float64", sizes={"n": 5, "m": 3}, wrt=["x", "b"])
    for rows in (7, 2):
        a, _, gradients = by_hand(params, x[:rows], y[:rows])
        _, found = program.loss_and_gradients(params, x[:rows], y[:rows])
        assert set(found) == {"x", "b"}
        expected = ((a - y[:rows]) * a * (1 - a) / rows) @ params["W"]
        np.testing.assert_allclose(found["x"], expected, rtol=1e-11)
        np.testing.assert_allclose(found["b"], gradients["b"], rtol=1e-11)


@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_scalar_circuit(target):
    """f = (x + y) z at (-2, 5, -4): gradients -4, -4, 3."""
    net = gl.Network("product")
    x, y, z = (net.input(name) for name in "xyz")
    net.minimize((x + y) * z, name="f")
    program = net.compile(target=target, dtype="float64")
    value, gradients = program.loss_and_gradients({}, x=-2, y=5, z=-4)
    assert value == -12
    assert {name: float(gradient) for name, gradient in gradients.items()} == {"x": -4, "y": -4, "z": 3}


def test_import_is_light():
    """Deriving needs neither NumPy's nor Numba's weight."""
    script = (
        "import sys, gradloom as gl\n"
        "net = gl.Sequential([gl.layers.Dense(3, gl.sigmoid)], input_shape=2, loss=gl.losses.SquaredError())\n"
        "str(net.derive()); net.derive().latex()\n"
        "print([name for name in ('numba', 'matplotlib', 'torch', 'scipy', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_public_names():
    assert set(gl.__all__) <= set(dir(gl))
    for name in gl.__all__:
        assert getattr(gl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gl.nothing  # noqa: B018
    assert gl.__version__
