"""`Device` over a driver that notes what it is asked: memory, copies, launches, errors; and whole models on it."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from fake_driver import ATTRIBUTES, FakeDriver
from small_models import LABELS, X, Y, classifier, network
from test_cuda_compiler import HAS_COMPILER

import gradloom as gl
from gradloom.codegen import cuda_tiles
from gradloom.runtime import cuda_device, cuda_staging, kept_sources


@pytest.fixture
def driver(monkeypatch):
    made = FakeDriver()
    monkeypatch.setattr(cuda_device, "require_driver_interface", lambda: None)
    monkeypatch.setattr(cuda_device, "import_module", lambda name: made)
    monkeypatch.setattr(cuda_staging, "HALF", 64)
    made.install(monkeypatch)
    return made


@pytest.fixture
def device(driver):
    return cuda_device.Device()


def test_a_device_says_what_it_is(device, driver):
    assert device.cc == (9, 0)
    assert device.multiprocessors == ATTRIBUTES["MULTIPROCESSOR_COUNT"]
    names = [name for name, _ in driver.calls]
    assert names[:3] == ["cuInit", "cuDeviceGetCount", "cuDeviceGet"]
    assert names.index("cuDevicePrimaryCtxRetain") < names.index("cuStreamCreate")


def test_its_name_ends_where_the_driver_ends_it(driver, monkeypatch):
    """Whatever is in the memory behind it."""
    monkeypatch.setattr(FakeDriver, "cuDeviceGetName", lambda self, length, device: (b"Fake GPU\0\xfe\0of before\0",))
    assert cuda_device.Device().name == "Fake GPU"


def test_threads_that_ask_at_once_get_the_same_device(driver, monkeypatch):
    cuda_device._first_device.cache_clear()
    both = threading.Barrier(2)
    wait = lambda self, number: time.sleep(0.05) or (number,)  # noqa: E731
    monkeypatch.setattr(FakeDriver, "cuDeviceGet", wait)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: (both.wait(), cuda_device.default_device())[1], range(2)))
    cuda_device._first_device.cache_clear()
    assert found[0] is found[1]
    assert len(driver.named("cuDevicePrimaryCtxRetain")) == 1


@pytest.mark.parametrize("count", [1, 15, 16, 17, 32, 33, 101])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_copies_through_pinned_halves(device, count, dtype):
    """Through two halves of 64 bytes; the source may change as soon as `write` has returned."""
    rng = np.random.default_rng(count)
    first, second = (rng.integers(0, 1000, count).astype(dtype) for _ in range(2))
    one, other = device.buffer(count, dtype), device.buffer(count + 3, dtype)
    known = first.copy()
    device.write(one, first)
    first[:] = 0
    device.write(other, second)
    found = np.empty(count, dtype)
    device.read(one, 0, found)
    np.testing.assert_array_equal(found, known)
    device.read(other, 0, found)
    np.testing.assert_array_equal(found, second)
    part = np.empty((count + 1) // 2, dtype)
    device.read(one, count // 2, part)
    np.testing.assert_array_equal(part, known[count // 2 :])


def test_reads_into_what_is_not_contiguous(device):
    buffer = device.buffer(6, "float32")
    device.write(buffer, np.arange(6))
    found = np.zeros((2, 6), np.float32)
    device.read(buffer, 0, found[:, ::2])
    np.testing.assert_array_equal(found[:, ::2], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found[:, 1::2], 0)


def test_reads_into_arrays_of_other_types(device):
    """Numbers, not bytes: of a float32 buffer, of which float64 would be twice as many."""
    buffer = device.buffer(5, "float32")
    device.write(buffer, np.arange(5.0))
    for dtype in (np.float64, np.float16, np.int64):
        found = np.full(5, 9, dtype)
        device.read(buffer, 0, found)
        np.testing.assert_array_equal(found, np.arange(5))


def test_parts_clears_and_copies(device):
    buffer = device.buffer(40, "float32")
    device.clear(buffer)
    device.write(device.part(buffer, 8, 4), np.full(4, 7.0))
    device.copy(device.part(buffer, 20, 4), device.part(buffer, 8, 4))
    found = np.empty(40, np.float32)
    device.read(buffer, 0, found)
    assert found.nonzero()[0].tolist() == [8, 9, 10, 11, 20, 21, 22, 23]


def test_memory_is_given_back_with_the_last_part_of_it(device, driver):
    before = driver.taken
    buffer = device.buffer(100, "float64")
    part = device.part(buffer, 10, 3)
    del buffer
    gc.collect()
    assert driver.taken == before + 800
    del part
    gc.collect()
    assert driver.taken == before
    assert len(driver.named("cuMemFree")) == 1


def test_too_much_memory_is_said(device):
    with pytest.raises(gl.DeviceError, match=r"error 2 \(cuMemAlloc\): 512 MiB were asked for, and 64 of 64 are free"):
        device.buffer(2**27, "float32")
    device.buffer(5, "float32")  # and it goes on


@pytest.mark.parametrize("name", ["cuMemcpyHtoDAsync", "cuEventRecord", "cuEventSynchronize", "cuMemHostAlloc"])
def test_what_the_driver_refuses_is_raised(device, driver, name):
    buffer = device.buffer(30, "float32")
    driver.fail[name] = 201

    def use():
        device.write(buffer, np.ones(30))  # more than a half
        device.read(buffer, 0, np.empty(30, np.float32))

    with pytest.raises(gl.DeviceError, match=rf"^the driver says: error 201 \({name}\)$"):
        use()
    found = np.empty(30, np.float32)
    device.write(buffer, np.arange(30))
    device.read(buffer, 0, found)
    np.testing.assert_array_equal(found, np.arange(30))  # and it goes on


def test_what_is_sent_after_an_interrupted_read_arrives(device, monkeypatch):
    """Its half is written to again only when the GPU has taken it from there."""
    rng = np.random.default_rng(6)
    first, second = (rng.integers(0, 100, count).astype("float32") for count in (20, 30))
    one, other = (device.buffer(array.size, "float32") for array in (first, second))

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cuda_staging.Staging, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            device.read(one, 0, np.empty(8, np.float32))
    device.write(one, first)
    device.write(other, second)
    for buffer, known in ((one, first), (other, second)):
        found = np.empty_like(known)
        device.read(buffer, 0, found)
        np.testing.assert_array_equal(found, known)


def test_small_copies_wait_for_nothing(device, driver):
    """But the one that fills an array of the host waits, once, for all."""
    rng = np.random.default_rng(4)
    given = [rng.integers(0, 100, count).astype(dtype) for count, dtype in ((2, "float64"), (5, "int32"), (1, "int32"))]
    buffers = [device.buffer(one.size, one.dtype) for one in given]
    driver.calls.clear()
    for buffer, one in zip(buffers, given, strict=True):
        device.write(buffer, one.copy())
    assert len(driver.queue) == 3
    found = np.empty(5, np.int32)
    device.read(buffers[1], 0, found)
    waits = [name for name, _ in driver.calls if name.endswith("Synchronize")]
    assert waits == ["cuEventSynchronize"]
    np.testing.assert_array_equal(found, given[1])
    for buffer, one in zip(buffers, given, strict=True):
        found = np.empty_like(one)
        device.read(buffer, 0, found)
        np.testing.assert_array_equal(found, one)


def test_every_thread_may_use_a_device(device, driver):
    found = np.empty(3, np.float32)

    def use():
        buffer = device.buffer(3, "float32")
        device.write(buffer, np.arange(3))
        device.read(buffer, 0, found)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found, [0, 1, 2])


def test_the_context_of_a_thread_is_what_it_was(driver):
    """As a library left it that computes on another GPU; also after an error, and when memory is given back."""
    driver.context = "context of another"
    device = cuda_device.Device()
    assert driver.context == "context of another"
    buffer = device.buffer(3, "float32")
    device.write(buffer, np.arange(3))
    device.seconds(partial(device.clear, buffer))
    device.number_of(buffer.pointer)
    device.wait_for_all()
    with pytest.raises(gl.DeviceError):
        device.buffer(2**27, "float32")
    before = driver.taken
    del buffer
    gc.collect()
    assert driver.taken < before
    assert (driver.context, driver.contexts) == ("context of another", [])


# ---- models ------------------------------------------------------------------------------------------------------


@pytest.fixture
def first_device(device, monkeypatch, one_warp):
    monkeypatch.setattr(cuda_device, "default_device", lambda: device)
    monkeypatch.setattr(cuda_staging, "HALF", 4096)
    return device


@pytest.mark.usefixtures("first_device")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_trains_on_it(driver, dtype):
    rows, settings = slice(17), {"epochs": 2, "batch": 5, "validation": 0.2}
    found, known = (gl.Model(classifier(), seed=3, target=target, dtype=dtype) for target in ("cuda", "numpy"))
    for model in (found, known):
        model.fit(X[rows], LABELS[rows], **settings, optimizer=gl.optimizers.Adam(lr=0.05))
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-8, "atol": 1e-10}
    np.testing.assert_allclose(found.params.flat, known.params.flat, **close)
    for name in known.history.columns:
        np.testing.assert_allclose(found.history[name], known.history[name], **close)
    np.testing.assert_allclose(found.predict(X[:7]), known.predict(X[:7]), **close)
    # As many blocks as run at once, of the threads that the module says.
    launches = driver.named("cuLaunchCooperativeKernel")
    assert {arguments[1] for arguments in launches} <= {1, 2, 3}
    assert {arguments[4] for arguments in launches} == {32}


@pytest.mark.usefixtures("first_device")
def test_more_numbers_than_kernels_count_are_refused():
    program = network().compile(target="cuda", batch=5)
    assert program.module._module.points(2**27) == 5 * 2**27  # the rows of the inputs
    with pytest.raises(gl.SizeError, match=r"a batch of 1,073,741,824 rows needs [\d,]+ numbers"):
        program.module.workspace(2**30)
    B, (i, j) = gl.dims("B"), gl.indices("i j")
    net = gl.Network("large")
    x, w = net.input("x", (B,)), net.parameter("w", (2**16, 2**15 + 1))
    net.minimize(gl.Sum(gl.tanh(w[i, j]), i, j) * gl.Sum(x[i], i))
    with pytest.raises(gl.UnsupportedError, match="numbers are computed at once"):
        net.compile(target="cuda")


@pytest.fixture
def asking(monkeypatch):
    """Every stage is asked for at the launch, as the largest tiles' are."""
    monkeypatch.setattr(kept_sources, "generator_digest", lambda: None)  # what is kept asks for nothing
    monkeypatch.setattr(cuda_tiles, "SHARED", 0)


@pytest.mark.usefixtures("first_device", "asking")
def test_a_launch_asks_for_the_shared_memory_that_the_module_says(driver, monkeypatch):
    """The update has none."""
    found, known = (gl.Model(classifier(), seed=3, target=target) for target in ("cuda", "numpy"))
    for model in (found, known):
        model.fit(X[:17], LABELS[:17], epochs=1, batch=5, optimizer=gl.optimizers.SGD(lr=0.05))
    found.program.loss_and_gradients(found.params, X[:5], LABELS[:5])
    np.testing.assert_allclose(found.params.flat, known.params.flat, rtol=1e-4, atol=1e-5)
    (most,) = {arguments[7] for arguments in driver.named("cuLaunchCooperativeKernel")} - {0}
    assert f"SHARED = {most} " in found.program.source
    assert f"STAGE = {most // 4} " in found.program.source
    assert {arguments[2] for arguments in driver.named("cuFuncSetAttribute")} == {most}
    monkeypatch.setattr(cuda_device.default_device(), "most_shared", most - 1)
    with pytest.raises(gl.DeviceError, match=rf"\w+ asks for {most} bytes .* has {most - 1}; leave out precision"):
        gl.Model(classifier(), target="cuda").fit(X[:17], LABELS[:17], epochs=1, batch=5)


@pytest.mark.usefixtures("first_device")
def test_data_are_given_back_after_a_training(driver):
    """All 53 rows of 5 numbers, that is; of the rows to validate on too."""
    model = gl.Model(network(), target="cuda", dtype="float64")
    sizes = []
    watch = lambda *_: sizes.append({size for _, size in driver.blocks.values()}) or None  # noqa: E731
    model.fit(X, Y, epochs=1, batch=5, validation=(X[:41], Y[:41]), callbacks=watch)
    gc.collect()
    sizes.append({size for _, size in driver.blocks.values()})
    data = {8 * 5 * 53, 8 * 3 * 53, 8 * 5 * 41, 8 * 3 * 41}
    assert data <= sizes[0]
    assert not data & sizes[1]
    model.predict(X[:3])  # and it goes on


@pytest.mark.usefixtures("first_device")
def test_machine_code_is_unloaded_with_its_program(driver):
    """Once its kernels are done: an update is launched, and nobody waits for it."""
    program = network().compile(target="cuda", dtype="float64", optimizer=gl.optimizers.SGD(lr=0.1))
    module = program.module
    held = [module.hold(array) for array in (np.zeros(66), np.ones(66), np.zeros((0, 66)))]
    program.predict(np.ones(66), X[:3])
    module.update(*held, np.array([0.1]), 1)
    assert len(driver.loaded) == 2
    assert driver.queue
    del program, module
    gc.collect()
    assert not driver.loaded
    np.testing.assert_allclose(held[0], -0.1)


@pytest.mark.usefixtures("first_device")
def test_a_kernel_that_fails_is_said(driver):
    model = gl.Model(network(), target="cuda")
    driver.fail["cuLaunchCooperativeKernel"] = 719
    with pytest.raises(gl.DeviceError, match=r"the driver says: error 719 \(cuLaunchCooperativeKernel\)"):
        model.fit(X[:7], Y[:7], epochs=1, batch=5)


@pytest.mark.skipif(not HAS_COMPILER, reason="the interface of the driver is not installed")
@pytest.mark.usefixtures("first_device", "asking")
def test_the_real_interface_takes_such_arguments(driver):
    """Every call that a training makes, made again of the real interface, gets as far as looking for a driver."""
    real = pytest.importorskip("cuda.bindings.driver")
    gl.Model(network(), target="cuda").fit(X[:7], Y[:7], epochs=1, batch=5, validation=0.3)
    handles = {
        "cuDevicePrimaryCtxRetain": [real.CUdevice],
        "cuCtxPushCurrent": [real.CUcontext],
        "cuDeviceGetAttribute": [lambda name: getattr(real.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}"), None],
        "cuEventRecord": [real.CUevent, real.CUstream],
        "cuEventSynchronize": [real.CUevent],
        "cuFuncSetAttribute": [real.CUfunction, lambda name: getattr(real.CUfunction_attribute, name), None],
        "cuModuleGetFunction": [real.CUmodule, None],
        "cuModuleUnload": [real.CUmodule],
        "cuOccupancyMaxActiveBlocksPerMultiprocessor": [real.CUfunction, None, None],
        "cuLaunchCooperativeKernel": [real.CUfunction, *[None] * 7, real.CUstream, None],
        "cuStreamSynchronize": [real.CUstream],
    } | {
        name: [*[None] * 3, real.CUstream]
        for name in ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemcpyDtoDAsync", "cuMemsetD8Async")
    }
    tried = set()
    for name, arguments in driver.calls:
        made = handles.get(name, [None] * len(arguments))
        given = [
            argument if make is None else make(argument if "Attribute" in name else 0)
            for make, argument in zip(made, arguments, strict=True)
        ]
        if name in tried:
            continue
        tried.add(name)
        try:
            getattr(real, name)(*given)
        except RuntimeError as error:
            assert "libcuda" in str(error) or "driver library" in str(error)  # noqa: PT017
        else:
            pytest.skip("this machine has a driver")
    kernels = {"cuLaunchCooperativeKernel", "cuModuleLoadData", "cuFuncSetAttribute"}
    assert kernels | {"cuMemHostAlloc", "cuMemcpyDtoDAsync"} <= tried
