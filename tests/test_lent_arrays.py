"""Arrays that stay on the GPU: results, gradients, parameters and noise, and how other libraries take them there."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest
import torch
from fake_driver import CONTEXT, FakeDriver
from small_models import X, Y, network
from test_foreign_arrays import ByDLPack, ByInterface

import gradloom as gl
from gradloom.runtime.device_arrays import DeviceArray

ROWS = 11


@pytest.fixture
def driver(monkeypatch, one_warp):
    made = FakeDriver()
    made.device = made.first_device(monkeypatch)
    made.context = CONTEXT  # of the libraries that take the arrays
    return made


class Head(ctypes.Structure):
    """DLManagedTensor of dlpack.h, as far as its device; the deleter lies behind."""

    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


def head_of(capsule):
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return Head.from_address(get(capsule, b"dltensor"))


def taken(array, stream=None, **options):
    """What PyTorch makes of an array's capsule, if it is told that the fake GPU's memory is the host's, as it is."""
    capsule = array.__dlpack__(stream=stream, **options)
    head = head_of(capsule)
    assert (head.device_type, head.device_id) == (2, 0) == array.__dlpack_device__()
    head.device_type = 1
    return torch.from_dlpack(capsule)


def models(**options):
    return [gl.Model(network(), seed=3, target=target, dtype="float64", **options) for target in ("cuda", "numpy")]


# ---- results -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [ByInterface, ByDLPack, lambda driver, array: array], ids=["CAI", "DLPack", "host"])
@pytest.mark.parametrize("batch", [3, 512])
def test_predictions_stay_on_the_gpu(driver, way, batch):
    found, known = models()
    given = way(driver, X[:ROWS])
    driver.calls.clear()
    made = found.predict(given, batch, on_device=True)
    assert not driver.named("cuMemcpyDtoHAsync")  # nothing comes to the host
    assert isinstance(made, DeviceArray)
    assert (made.shape, made.dtype) == ((ROWS, 3), np.float64)
    expected = known.predict(X[:ROWS])
    tensor = taken(made)
    assert tensor.data_ptr() == made.buffer.pointer
    assert tensor.shape == (ROWS, 3)
    driver.cuCtxSynchronize()
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-10)
    found.predict(X[ROWS : 2 * ROWS])  # which does not write over it
    np.testing.assert_allclose(made, expected, rtol=1e-10)


def test_a_program_leaves_results_there(driver):
    net = network()
    program, known = (net.compile(target=target, dtype="float64") for target in ("cuda", "numpy"))
    params = gl.Model(net, target="numpy", dtype="float64").params
    held = program.on_device(params)
    driver.calls.clear()
    loss, gradients = program.loss_and_gradients(held, X[:5], Y[:5], on_device=True)
    assert sum(size for *_, size, _ in driver.named("cuMemcpyDtoHAsync")) == 8  # the loss
    output = program.predict(held, X[:5], on_device=True)
    known_loss, wanted = known.loss_and_gradients(params, X[:5], Y[:5])
    assert loss == pytest.approx(known_loss, rel=1e-10)
    assert gradients.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert isinstance(gradients[name], DeviceArray)
        np.testing.assert_allclose(taken(gradients[name]).numpy(), gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(output, known.predict(params, X[:5]), rtol=1e-10)


def test_an_output_that_is_no_batch(driver):
    j = gl.indices("j")
    net = gl.Network("line")
    x, y, w = net.input("x", (5,)), net.target("y", (5,)), net.parameter("w", (2,))
    z = net.define("z", (j,), w[0] * x[j] + w[1])
    net.minimize(gl.Sum((z[j] - y[j]) ** 2, j) / 5)
    model = gl.Model(net, target="cuda", dtype="float64")
    model.params["w"] = [2, -1]
    np.testing.assert_allclose(model.predict(np.arange(5), on_device=True), 2 * np.arange(5) - 1)


def test_gradients_of_a_model_stay_there(driver):
    found, known = models()
    loss, gradients = found.loss_and_gradients(X[:7], Y[:7], on_device=True)
    wanted_loss, wanted = known.loss_and_gradients(X[:7], Y[:7])
    assert loss == pytest.approx(wanted_loss, rel=1e-10)
    for name, gradient in wanted.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-9, atol=1e-12)


def test_noise_stays_there(driver):
    """Also where nobody looks: it is drawn where it is read."""
    net = gl.Sequential([gl.layers.Dropout(0.4), gl.layers.Dense(3)], (5,), loss=gl.losses.SquaredError())
    program, known = (net.compile(target=target, dtype="float64") for target in ("cuda", "numpy"))
    params = gl.Model(net, target="numpy", dtype="float64").params
    driver.calls.clear()
    found, _ = program.loss_and_gradients(params, X[:7], Y[:7], on_device=True)
    assert sum(size for *_, size, _ in driver.named("cuMemcpyDtoHAsync")) == 8
    assert found == pytest.approx(known.loss_and_gradients(params, X[:7], Y[:7])[0], rel=1e-10)
    (noise,) = program.noise(7, on_device=True)
    assert isinstance(noise, DeviceArray)
    np.testing.assert_array_equal(noise, known.noise(7)[0])
    (name,) = (tensor.name for tensor in net.noises)
    again, _ = program.loss_and_gradients(params, X[:7], Y[:7], **{name: noise})
    assert again == found


@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_the_host_has_no_device(target):
    model = gl.Model(network(), target=target, dtype="float64")
    said = f"target '{target}' computes on the host, and its arrays lie there; leave on_device out, or choose target"
    for call in (
        lambda: model.predict(X[:3], on_device=True),
        lambda: model.loss_and_gradients(X[:3], Y[:3], on_device=True),
        lambda: model.program.predict(model.params, X[:3], on_device=True),
        lambda: model.program.noise(3, on_device=True),
        lambda: model.program.on_device(model.params),
    ):
        with pytest.raises(gl.UnsupportedError, match=said):
            call()


# ---- parameters --------------------------------------------------------------------------------------------------


def test_parameters_are_got_and_set_there(driver):
    found, known = models()
    program = found.program
    held = program.on_device(found.params)
    assert {name: array.shape for name, array in held.items()} == {n: a.shape for n, a in found.params.items()}
    weights = taken(held["W1"])
    driver.reach(1)
    np.testing.assert_array_equal(weights.numpy(), found.params["W1"])
    new = np.random.default_rng(8).standard_normal(held["W1"].shape)
    other = program.on_device({**found.params, "W1": new})
    for value in (new, ByDLPack(driver, new), ByInterface(driver, new), other["W1"]):
        held["W1"] = np.zeros_like(new)
        held["W1"] = value
        np.testing.assert_array_equal(held["W1"], new)
    known.params["W1"] = new
    np.testing.assert_allclose(program.predict(held, X[:3]), known.predict(X[:3]), rtol=1e-10)
    assert np.abs(found.params["W1"] - new).max() > 0.1  # the model has its own
    found.params.fill(held)
    np.testing.assert_array_equal(found.params.flat, known.params.flat)
    copied = held.copy()
    held["W1"] = np.zeros_like(new)
    np.testing.assert_array_equal(copied["W1"], new)


def test_parameters_of_other_libraries(driver):
    found, known = models()
    mixed = {name: ByDLPack(driver, array) if "W" in name else array for name, array in found.params.items()}
    flat = ByInterface(driver, found.params.flat)
    for params in (mixed, flat):
        np.testing.assert_allclose(found.program.predict(params, X[:3]), known.predict(X[:3]), rtol=1e-10)
    with pytest.raises(gl.ShapeError, match=r"params has shape \(65,\); its flat buffer is 66 numbers"):
        found.program.predict(ByInterface(driver, found.params.flat[:65]), X[:3])
    with pytest.raises(gl.DataError, match="W1 lies on a GPU and holds float32; kernels read float64 there"):
        found.program.predict({**mixed, "W1": ByDLPack(driver, found.params["W1"].astype("float32"))}, X[:3])
    held = found.program.on_device(mixed)
    with pytest.raises(gl.ShapeError, match="W1 has shape"):
        held["W1"] = ByDLPack(driver, np.zeros((2, 2)))


# ---- who waits for whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "theirs"), [(None, 1), (1, 1), (2, 2), (4711, 4711)])
def test_a_consumer_waits_by_its_own_stream(driver, given, theirs):
    """And not the host; what it asked of that stream before has seen nothing yet."""
    model = gl.Model(network(), seed=3, target="cuda", dtype="float64")
    made = model.predict(X[:5], on_device=True)
    driver.calls.clear()
    tensor = taken(made, given)
    assert not [name for name, _ in driver.calls if name.endswith("Synchronize")]
    assert driver.queue
    assert torch.isnan(tensor).all()
    driver.reach(theirs)
    np.testing.assert_allclose(tensor.numpy(), model.predict(X[:5]), rtol=1e-12)


def test_a_consumer_that_waits_by_itself(driver):
    made = gl.Model(network(), target="cuda", dtype="float64").predict(X[:5], on_device=True)
    driver.calls.clear()
    taken(made, -1)
    assert not driver.named("cuEventRecord")
    assert not [name for name, _ in driver.calls if name.endswith("Synchronize")]


def test_the_interface_is_of_what_is_done(driver):
    model = gl.Model(network(), seed=3, target="cuda", dtype="float64")
    made = model.predict(X[:5], on_device=True)
    assert driver.queue
    interface = made.__cuda_array_interface__
    assert not driver.queue
    held = (ctypes.c_double * 15).from_address(interface["data"][0])
    np.testing.assert_allclose(np.reshape(held, (5, 3)), model.predict(X[:5]), rtol=1e-12)
    assert interface == {
        "shape": (5, 3),
        "typestr": "<f8",
        "data": (made.buffer.pointer, False),
        "strides": None,
        "stream": None,
        "version": 3,
    }
    assert made[5:].__cuda_array_interface__["data"] == (0, False)


@pytest.mark.parametrize("stream", [None, 4711, -1])
def test_what_a_consumer_writes_is_waited_for(driver, stream):
    """On its stream, of which nobody here knows: before a kernel reads it, or a copy."""
    found, known = models()
    held = found.program.on_device(found.params)
    weights = taken(held["W1"], stream)
    driver.cuCtxSynchronize()
    for use in (
        lambda: found.program.predict(held, X[:3]),
        lambda: np.asarray(held["b2"]),
        lambda: held.copy(),
        lambda: held["b2"].fill(np.zeros(3)),
    ):
        driver.calls.clear()
        use()
        names = [name for name, _ in driver.calls]
        last = max(at for at, name in enumerate(names) if name.startswith(("cuMemcpy", "cuLaunch")))
        assert "cuCtxSynchronize" in names[:last]
    weights[:] = 0.25
    known.params["W1"] = np.full_like(known.params["W1"], 0.25)
    known.params["b2"] = np.zeros(3)
    np.testing.assert_allclose(found.program.predict(held, X[:3]), known.predict(X[:3]), rtol=1e-10)


def test_what_nobody_was_handed_is_not_waited_for(driver):
    found, _ = models()
    held = found.program.on_device(found.params)
    found.program.predict(held, X[:3])
    driver.calls.clear()
    found.program.predict(held, X[:3])
    assert not driver.named("cuCtxSynchronize")


@pytest.mark.parametrize("way", [ByInterface, ByDLPack])
def test_a_call_returns_when_it_has_read_what_is_not_its_own(driver, way):
    """Who owns it may write it then, on a stream of its own."""
    found, known = models()
    x = way(driver, X[:5])
    made = found.predict(x, on_device=True)
    x.held[:] = 0
    np.testing.assert_allclose(made, known.predict(X[:5]), rtol=1e-10)


@pytest.mark.parametrize("way", [ByInterface, ByDLPack])
def test_a_call_that_is_interrupted_lets_go_when_nothing_reads_any_more(driver, monkeypatch, way):
    model = gl.Model(network(), target="cuda", dtype="float64")
    model.predict(X[:5])

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(driver.device), "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.predict(way(driver, X[:5]))
    assert not driver.queue


# ---- how long memory is held -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_consumer_keeps_the_memory(driver):
    model = gl.Model(network(), target="cuda", dtype="float64")
    model.predict(X[:5])
    before = driver.taken
    made = model.predict(X[:5], on_device=True)
    expected = np.asarray(made)
    tensor = taken(made)
    del made
    gc.collect()
    assert driver.taken == before + 5 * 3 * 8
    np.testing.assert_array_equal(tensor.numpy(), expected)
    part = tensor[2:]
    del tensor
    gc.collect()
    assert driver.taken > before
    del part
    gc.collect()
    assert driver.taken == before


def test_a_capsule_that_nobody_takes_is_let_go_of(driver):
    """Also while an error is raised of it, which stays what it is."""
    before = driver.taken
    made = driver.device.buffer(5, "float64")
    array = DeviceArray(driver.device, made, (5,))
    array.__dlpack__()
    with pytest.raises(TypeError, match="int"):
        int(array.__dlpack__())
    del made, array
    gc.collect()
    assert driver.taken == before


def test_what_does_not_fit_is_not_copied(driver):
    """Behind an array there are others."""
    held = DeviceArray(driver.device, driver.device.buffer(6, "float32"), (2, 3))
    held.fill(np.arange(6))
    longer = DeviceArray(driver.device, driver.device.buffer(7, "float32"), (7,))
    for wrong in (np.zeros(5), np.zeros(7), longer, held[:1]):
        with pytest.raises(gl.ShapeError, match=r"numbers cannot be copied to an array of 6, of shape \(2, 3\)"):
            held.fill(wrong)
    doubles = DeviceArray(driver.device, driver.device.buffer(6, "float64"), (6,))
    doubles.fill(np.arange(6) + 0.5)
    held.fill(doubles)
    np.testing.assert_array_equal(np.asarray(held).ravel(), np.arange(6) + 0.5)


def test_a_copy_is_its_own(driver):
    held = gl.Model(network(), target="cuda", dtype="float64").predict(X[:5], on_device=True)
    tensor = taken(held, copy=True)
    assert tensor.data_ptr() != held.buffer.pointer
    np.testing.assert_array_equal(tensor.numpy(), held)


def test_it_is_not_given_elsewhere(driver):
    held = gl.Model(network(), target="cuda", dtype="float64").predict(X[:5], on_device=True)
    held.__dlpack__(dl_device=(2, 0), max_version=(1, 1))
    for place in ((1, 0), (2, 1)):
        with pytest.raises(BufferError, match=r"cannot be had elsewhere by DLPack; numpy.asarray copies it"):
            held.__dlpack__(dl_device=place)
    with pytest.raises((BufferError, RuntimeError), match="device"):
        np.from_dlpack(held)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5, 2), (0, 3)])
def test_shapes_and_types(driver, dtype, shape):
    known = np.random.default_rng(1).integers(0, 99, shape).astype(dtype)
    held = DeviceArray(driver.device, driver.device.buffer(known.size, dtype), shape)
    held.fill(known)
    tensor = taken(held)
    driver.reach(1)
    assert tuple(tensor.shape) == shape
    assert tensor.numpy().dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), known)
