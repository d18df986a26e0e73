"""Arrays that other libraries hold on a GPU: taken where they are, or refused with what to mend."""

from __future__ import annotations

import ctypes
import gc
import weakref

import numpy as np
import pytest
import torch
from everyday import daily
from fake_driver import CONTEXT, FakeDriver
from small_models import LABELS, X, Y, classifier, network

import gradloom as gl
from gradloom.runtime import cuda_device

ROWS = 11


@pytest.fixture
def driver(monkeypatch, one_warp):
    made = FakeDriver()
    monkeypatch.setattr(cuda_device, "require_driver_interface", lambda: None)
    monkeypatch.setattr(cuda_device, "import_module", lambda name: made)
    made.install(monkeypatch)
    device = cuda_device.Device()
    made.context = CONTEXT  # of the libraries whose arrays these are
    monkeypatch.setattr(cuda_device, "default_device", lambda: device)
    return made


def placed(driver, array, offset=0):
    """A copy of an array in memory of the device, `offset` bytes behind a multiple of 256."""
    pointer = driver.cuMemAlloc(array.nbytes + offset)[1] + offset
    ctypes.memmove(pointer, np.ascontiguousarray(array).ctypes.data, array.nbytes)
    return np.ctypeslib.as_array((ctypes.c_uint8 * array.nbytes).from_address(pointer)).view(array.dtype)


class ByInterface:
    """As CuPy, Numba and PyTorch offer their arrays."""

    def __init__(self, driver, array, offset=0, **changes):
        self.held = placed(driver, array, offset).reshape(array.shape)
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (self.held.ctypes.data, False),
            "strides": None,
            "stream": 1,
            "version": 3,
        } | changes


class ByDLPack:
    """As JAX offers its arrays: a capsule that PyTorch made, of memory that the driver knows."""

    def __init__(self, driver, array, transposed=False):
        self.held = torch.from_numpy(placed(driver, array).reshape(array.shape))
        self.held = self.held.T if transposed else self.held
        self.streams = []

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream):
        self.streams.append(stream)
        return self.held.__dlpack__()


WAYS = pytest.mark.parametrize("way", [ByInterface, ByDLPack], ids=["interface", "dlpack"])


@WAYS
def test_a_model_trains_on_arrays_of_a_gpu(driver, way):
    x, labels = X[:ROWS], LABELS[:ROWS].astype(np.int32)
    given = way(driver, x), way(driver, labels)
    found, known = (gl.Model(classifier(), seed=3, target=target, dtype="float64") for target in ("cuda", "numpy"))
    driver.calls.clear()
    for model, data in ((found, given), (known, (x, labels))):
        model.fit(*data, epochs=2, batch=4, optimizer=gl.optimizers.SGD(lr=0.1), validation=0.3)
    np.testing.assert_allclose(found.params.flat, known.params.flat, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.predict(way(driver, X[:7])), known.predict(X[:7]), rtol=1e-8)
    assert found.evaluate(*given)["loss"] == pytest.approx(known.evaluate(x, labels)["loss"], rel=1e-8)
    # The kernels read them there.
    pointers = {value for _, values in driver.launched for value in values}
    held = [one.held.ctypes.data if way is ByInterface else one.held.data_ptr() for one in given]
    assert set(held) <= pointers


@WAYS
@pytest.mark.slow
@pytest.mark.parametrize("y", [Y[:ROWS], np.eye(3)[LABELS[:ROWS]]], ids=["real", "one-hot"])
def test_real_targets_on_a_gpu(driver, way, y):
    """Accuracy is reported where they are one-hot rows, as of arrays of the host."""
    found, known = (gl.Model(network(), seed=3, target=target, dtype="float64") for target in ("cuda", "numpy"))
    given = way(driver, X[:ROWS]), way(driver, y)
    for model, data in ((found, given), (known, (X[:ROWS], y))):
        model.fit(*data, epochs=2, batch=4, optimizer=gl.optimizers.SGD(lr=0.1))
    assert found.history.columns == known.history.columns
    assert ("accuracy" in found.history.columns) == (y.max() == 1)
    for name in known.history.columns:
        np.testing.assert_allclose(found.history[name], known.history[name], rtol=1e-8)
    assert found.evaluate(*given) == pytest.approx(known.evaluate(X[:ROWS], y), rel=1e-8)


def test_they_are_waited_for(driver):
    program = network().compile(target="cuda", dtype="float64")
    y = Y[:3]
    for changes, expected in (
        ({"stream": 1}, [("cuStreamSynchronize", (1,))]),
        ({"stream": 4711}, [("cuStreamSynchronize", (4711,))]),
        ({"stream": None}, []),
    ):
        x = ByInterface(driver, X[:3], **changes)
        driver.calls.clear()
        program.check((x, y), {})
        assert [call for call in driver.calls if "Synchronize" in call[0]] == expected
    del x.__cuda_array_interface__["stream"]  # version 2
    driver.calls.clear()
    program.check((x, y), {})
    assert len(driver.named("cuCtxSynchronize")) == 1
    other = ByDLPack(driver, X[:3])
    program.check((other, y), {})
    assert other.streams == [77]


class ByBoth(ByDLPack):
    """As PyTorch and JAX offer their arrays: an interface that names no stream, and DLPack, on some GPU."""

    def __init__(self, driver, array, number=0):
        super().__init__(driver, array)
        self.number = number
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (self.held.data_ptr(), False),
            "strides": None,
            "version": 2,
        }

    def __dlpack_device__(self):
        return (2, self.number)


def test_where_the_interface_names_no_stream_dlpack_is_handed_ours(driver, monkeypatch):
    program = network().compile(target="cuda", dtype="float64")
    x = ByBoth(driver, X[:3])
    driver.calls.clear()
    np.testing.assert_array_equal(program.check((x, Y[:3]), {}).arrays[0], X[:3])
    assert x.streams == [77]
    assert not driver.named("cuCtxSynchronize")
    # Of another GPU no library gives a capsule to our stream.
    monkeypatch.setattr(FakeDriver, "cuPointerGetAttribute", lambda self, attribute, pointer: (3,))
    with pytest.raises(gl.DataError, match="x lies on GPU 3"):
        program.check((other := ByBoth(driver, X[:3], number=3), Y[:3]), {})
    assert not other.streams


def test_who_names_no_stream_is_asked_to_be_ready(driver):
    """As JAX may be asked; before all that the GPU was asked for is waited for."""
    program = network().compile(target="cuda", dtype="float64")
    x = ByInterface(driver, X[:3])
    del x.__cuda_array_interface__["stream"]
    x.block_until_ready = lambda: driver.calls.append(("ready", ()))
    driver.calls.clear()
    program.check((x, Y[:3]), {})
    names = [name for name, _ in driver.calls]
    assert "ready" in names[: names.index("cuCtxSynchronize")]


def test_their_memory_is_held_as_long_as_it_is_used(driver):
    program = network().compile(target="cuda", dtype="float64")
    x = ByDLPack(driver, X[:3])
    left = weakref.ref(x)
    checked = program.check((x, Y[:3]), {})
    del x
    gc.collect()
    assert left() is not None
    np.testing.assert_array_equal(checked.arrays[0], X[:3])
    del checked
    gc.collect()
    assert left() is None


@WAYS
@pytest.mark.parametrize("call", daily(["predict", "evaluate", "loss_and_gradients", "fails"], "predict", "fails"))
def test_their_memory_is_let_go_of_after_a_call(driver, way, call):
    model = gl.Model(network(), target="cuda", dtype="float64")
    x, y = way(driver, X[:3]), way(driver, Y[:3])
    left = [weakref.ref(x), weakref.ref(y)]
    if call == "fails":
        driver.fail["cuLaunchCooperativeKernel"] = 701
        with pytest.raises(gl.DeviceError):
            model.evaluate(x, y)
    else:
        getattr(model, call)(*((x,) if call == "predict" else (x, y)))
    del x, y
    gc.collect()
    assert [one() for one in left] == [None, None]
    assert model.predict(X[:3]).shape == (3, 3)  # and it goes on


@WAYS
def test_gradients_of_data_on_a_gpu(driver, way):
    net = network()
    program = net.compile(target="cuda", dtype="float64")
    params = gl.Model(net, target="numpy", dtype="float64").params
    loss, gradients = program.loss_and_gradients(params, way(driver, X[:5]), y=way(driver, Y[:5]))
    known_loss, known = net.compile(target="numpy", dtype="float64").loss_and_gradients(params, X[:5], Y[:5])
    assert loss == pytest.approx(known_loss, rel=1e-10)
    for name in known:
        np.testing.assert_allclose(gradients[name], known[name], rtol=1e-9, atol=1e-12)


@WAYS
def test_noise_that_lies_on_a_gpu(driver, way):
    net = gl.Sequential([gl.layers.Dropout(0.4), gl.layers.Dense(3)], (5,), loss=gl.losses.SquaredError())
    (name,) = (tensor.name for tensor in net.noises)
    program, noise = net.compile(target="cuda", dtype="float64"), np.random.default_rng(3).uniform(size=(7, 5))
    params = gl.Model(net, target="numpy", dtype="float64").params
    known = net.compile(target="numpy", dtype="float64")
    known_loss, gradients = known.loss_and_gradients(params, X[:7], Y[:7], **{name: noise})
    loss, found = program.loss_and_gradients(params, X[:7], Y[:7], **{name: way(driver, noise)})
    assert loss == pytest.approx(known_loss, rel=1e-10)
    for weight in gradients:
        np.testing.assert_allclose(found[weight], gradients[weight], rtol=1e-9, atol=1e-12)
    with pytest.raises(gl.DataError, match="has 5 rows and the data have 7; give as many"):
        program.loss_and_gradients(params, X[:7], Y[:7], **{name: way(driver, noise[:5])})
    with pytest.raises(gl.DataError, match="target 'numpy' computes on the host"):
        known.loss_and_gradients(params, X[:7], Y[:7], **{name: way(driver, noise)})


def test_where_wide_loads_may_not_begin_they_are_copied_on_the_gpu(driver):
    net = network()
    program, flat = net.compile(target="cuda", dtype="float64"), gl.Model(net, dtype="float64", target="numpy").params
    driver.calls.clear()
    found = program.predict(flat, ByInterface(driver, X[:5], offset=8))
    np.testing.assert_allclose(found, net.compile(target="numpy", dtype="float64").predict(flat, X[:5]), rtol=1e-10)
    assert len(driver.named("cuMemcpyDtoDAsync")) == 1


class Refusing:
    """As a tensor of PyTorch that needs a gradient."""

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad. Or so.\nMore.")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda driver: ByInterface(driver, X[:3].astype(np.float32)),
            r"x lies on a GPU and holds float32; kernels read float64 there; convert it: x.to\(torch.float64\) of",
        ),
        (lambda driver: ByDLPack(driver, X[:3].astype(np.int64)), "x lies on a GPU and holds int64"),
        (
            lambda driver: ByInterface(driver, X[:5, :3], strides=(8, 24), shape=(3, 5)),
            r"x is not C-contiguous \(shape \(3, 5\), strides \(1, 3\)\); give x.contiguous",
        ),
        (lambda driver: ByDLPack(driver, X[:5, :3], transposed=True), "x is not C-contiguous"),
        # Numbers of 8 bytes in items of 12: rounded down they would look as if they lay side by side.
        (lambda driver: ByInterface(driver, X[:3], strides=(44, 12)), "x is not C-contiguous"),
        (lambda driver: ByInterface(driver, X[:3], mask=object()), "x is a masked array of a GPU; fill or drop"),
        (lambda driver: ByInterface(driver, X[:3, :4]), r"x has shape \(3, 4\): axis 1 is 4 wide, expected 5"),
        (lambda driver: ByInterface(driver, X[:4]), "y has 3 rows and x has 4"),
        (lambda driver: ByInterface(driver, X[:0]), "x has no rows"),
        (
            lambda driver: ByInterface(driver, X[:3], data=(X.ctypes.data, False)),
            "x lies in no memory of a GPU; the model computes on GPU 0",
        ),
        (lambda driver: Refusing(), r"x: Can't get .* requires grad. Or so.; give x.detach\(\)"),
    ],
)
def test_what_does_not_fit_is_refused(driver, make, said):
    program = network().compile(target="cuda", dtype="float64")
    with pytest.raises(gl.DataError, match=said):
        program.check((make(driver), Y[:3]), {})


def test_another_gpu_is_named(driver, monkeypatch):
    program = network().compile(target="cuda", dtype="float64")
    monkeypatch.setattr(FakeDriver, "cuPointerGetAttribute", lambda self, attribute, pointer: (3,))
    with pytest.raises(gl.DataError, match="x lies on GPU 3; the model computes on GPU 0; bring it there"):
        program.check((ByInterface(driver, X[:3]), Y[:3]), {})


def test_labels_are_checked_there_too(driver):
    program = classifier().compile(target="cuda", dtype="float64")
    for labels in ([0, 3, 1], [0, -1, 1]):
        with pytest.raises(gl.DataError, match=rf"y holds label {labels[1]} at row 1; expected 0…2"):
            program.check((X[:3], ByInterface(driver, np.array(labels, np.int32))), {})
    with pytest.raises(gl.DataError, match=r"y lies on a GPU and holds int64; kernels read int32 there"):
        program.check((X[:3], ByInterface(driver, np.array([0, 1, 2]))), {})


def test_declared_sums_are_checked_there_too(driver):
    net = network(gl.losses.CrossEntropy())
    program = net.compile(target="cuda", dtype="float64")
    program.check((X[:3], ByInterface(driver, np.eye(3))), {})
    with pytest.raises(gl.DataError, match="y has a wrong sum along axis 1"):
        program.check((X[:3], ByInterface(driver, np.ones((3, 3)))), {})


@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_the_host_takes_none(driver, target):
    model = gl.Model(network(), target=target, dtype="float64")
    with pytest.raises(gl.DataError, match=rf"x lies on a GPU, and target '{target}' computes on the host; bring it"):
        model.fit(ByInterface(driver, X[:3]), Y[:3], epochs=1)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
def test_arrays_of_the_host_are_what_they_were(library):
    """Of libraries that offer DLPack, too."""
    made = pytest.importorskip(library).asarray(X[:3])
    model = gl.Model(network(), target="numpy", dtype="float64")
    np.testing.assert_allclose(model.predict(made), model.predict(X[:3]), rtol=1e-6)
