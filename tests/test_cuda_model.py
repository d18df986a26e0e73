"""`Model` and `Program` with target "cuda" on a simulated device; what is said without a compiler or a GPU."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from simulated import SimulatedDevice, host_part
from small_models import LABELS, MODEL, X, Y, classifier, network, run
from test_cuda_compiler import compiled

import gradloom as gl
from gradloom.runtime import cuda_device, cuda_host, cuda_toolkit

EXAMPLE = Path(__file__).parent.parent / "examples" / "classifier.py"


@pytest.fixture
def device(monkeypatch, one_warp):
    """A simulated GPU in the place of the first one; modules are loaded without the compiler."""
    made = SimulatedDevice(races=False)
    monkeypatch.setattr(cuda_device, "default_device", lambda: made)
    monkeypatch.setattr(cuda_host, "device_part", lambda source, options: host_part(source))
    return made


def models(net, **options):
    """The same model with the reference target and on the device."""
    return [gl.Model(net, seed=3, target=target, dtype="float64", **options) for target in ("numpy", "cuda")]


def alike(found, known):
    np.testing.assert_allclose(found, known, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("device")
def test_a_model_is_fitted_evaluated_saved_and_loaded(tmp_path):
    net, rows = classifier(), slice(17)
    known, found = models(net)
    for model in (known, found):
        model.fit(X[rows], LABELS[rows], epochs=2, batch=5, optimizer=gl.optimizers.Adam(lr=0.05), validation=0.2)
        model.save(tmp_path / f"{model.target}.npz")
    alike(found.params.flat, known.params.flat)
    assert list(found.history.columns) == list(known.history.columns)
    for name in known.history.columns:
        alike(found.history[name], known.history[name])
    alike(found.predict(X[:7]), known.predict(X[:7]))
    scores, expected = (model.evaluate(X[:7], LABELS[:7]) for model in (found, known))
    assert scores == pytest.approx(expected, rel=1e-10)
    loss, gradients = found.loss_and_gradients(X[:7], LABELS[:7])
    wanted_loss, wanted = known.loss_and_gradients(X[:7], LABELS[:7])
    assert loss == pytest.approx(wanted_loss, rel=1e-10)
    for name in wanted:
        alike(gradients[name], wanted[name])

    # What was saved of one goes on with the other, with the optimizer's state.
    again = gl.Model.load(tmp_path / "cuda.npz", net)
    assert again.target == "cuda"
    other = gl.Model.load(tmp_path / "cuda.npz", net, target="numpy")
    for model in (known, again, other):
        model.fit(X[rows], LABELS[rows], epochs=1, batch=5, optimizer=gl.optimizers.Adam(lr=0.05), validation=0.2)
    alike(again.params.flat, known.params.flat)
    alike(other.params.flat, known.params.flat)


@pytest.mark.usefixtures("device")
def test_noise_and_states():
    net = gl.Sequential(
        [gl.layers.Dense(4), gl.layers.BatchNorm(), gl.layers.Dropout(0.3)], (5,), loss=gl.losses.SquaredError()
    )
    known, found = models(net)
    for model in (known, found):
        model.fit(X[:11], Y[:11, [0, 1, 2, 0]], epochs=2, batch=4, optimizer=gl.optimizers.SGD(lr=0.1, momentum=0.9))
    alike(found.params.flat, known.params.flat)
    np.testing.assert_array_equal(found.program.noise(3)[0], known.program.noise(3)[0])
    alike(found.predict(X[:5]), known.predict(X[:5]))


@pytest.mark.usefixtures("device")
def test_a_network_without_a_batch_axis_is_trained():
    net = gl.Network("line")
    (j,) = (gl.indices("j"),)
    x, y, w = net.input("x", (5,)), net.target("y", (5,)), net.parameter("w", (2,))
    net.minimize(gl.Sum((w[0] * x[j] + w[1] - y[j]) ** 2, j) / 5)
    x = np.arange(5.0)
    known, found = models(net)
    for model in (known, found):
        model.fit(x, 3 * x - 1, epochs=4, optimizer=gl.optimizers.Adam(lr=0.1, clip_norm=0.5))
    alike(found.params.flat, known.params.flat)
    assert np.abs(found.params["w"]).max() > 0.1


@pytest.mark.usefixtures("device")
def test_diverging_is_said_and_the_last_good_parameters_are_kept():
    model = gl.Model(network(), target="cuda", dtype="float64")
    with pytest.raises(gl.DivergenceError, match="training diverged in epoch"):
        model.fit(X[:17], 1e200 * Y[:17], epochs=5, batch=5, optimizer=gl.optimizers.SGD(lr=1e100))
    assert np.isfinite(model.params.flat).all()


@pytest.mark.usefixtures("device")
def test_gradcheck_and_hessian():
    net = gl.Sequential([gl.layers.Dense(2, gl.tanh), gl.layers.Dense(1)], (3,), loss=gl.losses.SquaredError())
    assert gl.gradcheck(net, target="cuda", entries=3, batch=2).ok
    values = gl.Model(net, target="numpy", dtype="float64").params
    data = X[:3, :3], Y[:3, :1]
    found, known = (net.compile(target=t, dtype="float64").hessian(values, *data) for t in ("cuda", "numpy"))
    for pair in known:
        alike(found[pair], known[pair])


# ---- what is not offered, and what is missing --------------------------------------------------------------------


@pytest.mark.usefixtures("device")
def test_checkpoints_and_schedules_are_refused():
    net = gl.Sequential([gl.layers.RNN(3)], (5, 2), loss=gl.losses.SquaredError())
    with pytest.raises(gl.UnsupportedError, match="'cuda' stores every step of a recurrence; checkpoint needs target"):
        gl.Model(net, target="cuda", checkpoint=2)
    with pytest.raises(gl.UnsupportedError, match="'cuda' stores every step"):
        net.compile(target="cuda", checkpoint=True)
    with pytest.raises(gl.UnsupportedError, match="'loops'}, and target 'cuda' has no products to choose"):
        net.compile(target="cuda", schedule={"products": {"z1": "loops"}})


def absent_driver(*_):
    raise RuntimeError("Failed to dlopen libcuda.so.1")


def driver(devices, status=0):
    """A driver that finds so many devices, or fails."""
    return types.SimpleNamespace(
        cuInit=lambda flags: (status,),
        cuGetErrorString=lambda status: (0, b"no CUDA-capable device is detected"),
        cuDeviceGetCount=lambda: (0, devices),
    )


DRIVERS = {
    "none": (types.SimpleNamespace(cuInit=absent_driver), "none was found"),
    "without a GPU": (driver(0, 100), "no CUDA-capable device is detected"),
    "of no GPUs": (driver(0), "the driver found 0"),
}


@pytest.fixture
def digits(tmp_path):
    """Images and labels, so that nothing but the target is missing."""
    path = tmp_path / "digits.npz"
    np.savez(path, images=np.random.default_rng(0).uniform(size=(20, 64)), labels=np.arange(20) % 10)
    return path


@pytest.mark.parametrize("name", DRIVERS)
def test_training_says_that_there_is_no_gpu(capsys, monkeypatch, digits, name):
    made, words = DRIVERS[name]
    monkeypatch.setattr(cuda_device, "require_driver_interface", lambda: None)
    monkeypatch.setattr(cuda_device, "import_module", lambda name: made)
    cuda_device._first_device.cache_clear()
    status, out, err = run(capsys, "train", EXAMPLE, "--data", digits, "--target", "cuda")
    assert (status, out) == (2, "")
    assert err.startswith("gradloom: error: target 'cuda' needs an NVIDIA GPU")
    assert words in err
    assert "choose target 'cpu', or write the kernels for another machine: gradloom generate --target cuda" in err
    assert len(err.splitlines()) == 1


def test_training_says_that_there_is_no_compiler(capsys, monkeypatch, digits):
    monkeypatch.setattr(cuda_toolkit, "find_spec", lambda name: None)
    cuda_device._first_device.cache_clear()
    status, out, err = run(capsys, "train", EXAMPLE, "--data", digits, "--target", "cuda")
    assert (status, out) == (2, "")
    assert err == (
        'gradloom: error: CUDA kernels need a compiler, which is not installed: pip install "gradloom[cuda]"\n'
    )


@compiled
def test_training_with_a_compiler_and_no_gpu(capsys, digits):
    """As it is on this machine, unless that has one."""
    cuda_device._first_device.cache_clear()
    try:
        cuda_device.default_device()
    except gl.DeviceError as error:
        said = str(error)
    else:
        pytest.skip("this machine has a GPU")
    assert run(capsys, "train", EXAMPLE, "--data", digits, "--target", "cuda") == (2, "", f"gradloom: error: {said}\n")
    assert said.startswith("target 'cuda' needs an NVIDIA GPU")


def test_modules_are_generated_without_compiler_or_gpu(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    model, out = tmp_path / "small.py", tmp_path / "kernels.py"
    model.write_text(MODEL)
    assert run(capsys, "generate", model, "--target", "cuda", "-o", out) == (0, "", "")
    source = out.read_text()
    assert compile(source, str(out), "exec")
    assert "def train(params, grads, state, x, y, order, count, batch, scalars, losses, room, gate)" in source
    status, _, err = run(capsys, "generate", model, "--target", "cuda", "--checkpoint", "2")
    assert status == 2
    assert "checkpoint needs target 'cpu'" in err
