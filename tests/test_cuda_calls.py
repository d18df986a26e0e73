"""`DeviceModule`: arguments that do not fit are refused; threads take turns; what a small call asks of the driver."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_driver import FakeDriver
from simulated import SimulatedDevice, host_part
from small_models import LABELS, X, Y, classifier, network

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime.cuda_module import DeviceModule


@pytest.fixture
def driver(monkeypatch, one_warp):
    made = FakeDriver()
    made.device = made.first_device(monkeypatch)
    return made


@pytest.fixture
def module(one_warp):
    source = generate(network(), target="cuda", dtype="float64", optimizer=gl.optimizers.SGD(lr=0.5)).source
    return DeviceModule(host_part(source), SimulatedDevice(), "float64")


# ---- arguments ---------------------------------------------------------------------------------------------------


def test_numbers_of_another_type_are_refused(module):
    params, work = np.arange(66.0) / 66, module.workspace(3)
    with pytest.raises(gl.DataError, match="x lies on the device and holds float32; kernels read float64 there"):
        module.predict(params, module.room((3, 5), np.float32), work)
    with pytest.raises(gl.DataError, match="order lies on the device and holds float64; kernels read int32 there"):
        module._put("order", module.room((3,)))
    with pytest.raises(gl.DataError, match="grads lies on the device and holds int32"):
        module.loss_and_gradients(params, X[:3], Y[:3], work, module.room((66,), np.int32))


def test_arrays_of_another_device_are_refused(module):
    other = DeviceModule(module._module, SimulatedDevice(), "float64")
    with pytest.raises(gl.DataError, match=r"params lies on another device .* give numpy.asarray\(params\)"):
        module.predict(other.hold(np.zeros(66)), X[:3], module.workspace(3))


def test_models_refuse_arrays_of_another_device(driver):
    other = DeviceModule(host_part(network().compile(target="cuda").source), SimulatedDevice(), "float32")
    model = gl.Model(network(), target="cuda")
    with pytest.raises(gl.DataError, match=r"x lies on another device than the model computes on; give numpy.asarray"):
        model.predict(other.hold(X[:3].astype(np.float32)))


@pytest.mark.parametrize("start", [1, 2])
def test_results_come_to_where_wide_stores_may_not_go(module, start):
    """Parts that begin anywhere: of 8 bytes behind a multiple of 16, and at one."""
    rng = np.random.default_rng(2)
    params, known = rng.standard_normal(66), np.zeros(66)
    module.loss_and_gradients(params, X[:3], Y[:3], module.workspace(3), known)
    room = module.room((2 * 66 + start,))
    module.device.clear(room.buffer)
    grads, held = room[start : start + 66], module.room((66 + start,))[start:]
    held.fill(params)
    module.loss_and_gradients(held, X[:3], Y[:3], module.workspace(3), grads)
    np.testing.assert_array_equal(grads, known)
    module.update(held, grads, module.room((0, 66)), np.array([0.5]), 1)
    np.testing.assert_allclose(held, params - 0.5 * known, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(room)[:start], 0)
    np.testing.assert_array_equal(np.asarray(room)[start + 66 :], 0)


def test_more_than_kernels_count_with_is_refused(module):
    with pytest.raises(gl.SizeError, match=r"a batch of 1,000,000,000 rows needs .* kernels count to 2,147,483,647"):
        module.workspace(10**9)
    with pytest.raises(gl.SizeError, match="count is 2,147,483,648, and kernels count to 2,147,483,647"):
        module._launch("run_finite", {"count": 2**31})
    rows = type("Rows", (), {"__len__": lambda self: 2**31})()
    given = (np.zeros(66), np.zeros(66), np.zeros((0, 66)), rows, rows)
    with pytest.raises(gl.SizeError, match="the number of rows is 2,147,483,648, and kernels count to"):
        module.epoch(*given, np.array([2**31 - 1]), 1, np.array([0.5]), 0, None)


# ---- threads -----------------------------------------------------------------------------------------------------


def slowly(monkeypatch):
    """Let other threads in between a launch and what is read of it."""
    plain = SimulatedDevice.launch

    def launch(self, *arguments):
        time.sleep(0.002)
        plain(self, *arguments)
        time.sleep(0.002)

    monkeypatch.setattr(SimulatedDevice, "launch", launch)


def at_once(works, times=3):
    """What each of some functions gives, called in a thread of its own, all at once; the last time of a few."""
    gate = threading.Barrier(len(works))

    def call(work):
        try:
            for _ in range(times):
                gate.wait(60)
                found = work()
            return found
        except BaseException:
            gate.abort()
            raise

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(call, works))


def test_threads_share_a_module(module, monkeypatch):
    params, work = np.arange(66.0) / 66, module.workspace(5)
    rows = [slice(2, 7), slice(11, 14), slice(20, 21)]
    known = [module.predict(params, X[part], work) for part in rows]
    losses = [module.loss(params, X[part], Y[part], work) for part in rows]
    slowly(monkeypatch)
    found = at_once([lambda part=part: module.predict(params, X[part], work) for part in rows])
    for one, expected in zip(found, known, strict=True):
        np.testing.assert_array_equal(one, expected)
    assert at_once([lambda part=part: module.loss(params, X[part], Y[part], work) for part in rows]) == losses


@pytest.mark.parametrize("target", ["cuda", "numpy", "cpu"])
def test_threads_share_a_model(driver, target):
    """Batches of several sizes, so that the workspace grows in between."""
    model = gl.Model(network(), seed=3, target=target, dtype="float64")
    model.program._capacity = 1
    rows = [slice(2, 7), slice(11, 28), slice(20, 21)]
    reference = gl.Model(network(), seed=3, target="numpy", dtype="float64")
    known = [reference.predict(X[part]) for part in rows]
    found = at_once([lambda part=part: model.predict(X[part]) for part in rows])
    for one, expected in zip(found, known, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cuda", "numpy", "cpu"])
def test_a_thread_looks_while_another_trains(driver, target):
    """What it sees is of some step; what the training gives is what it would give alone."""
    trained = {"epochs": 3, "batch": 4, "optimizer": gl.optimizers.Adam(lr=0.05)}
    alone = gl.Model(classifier(), seed=5, target=target, dtype="float64")
    alone.fit(X[:11], LABELS[:11], **trained)
    model = gl.Model(classifier(), seed=5, target=target, dtype="float64")
    model.predict(X[:3])
    ending = threading.Event()

    def look():
        while not ending.is_set():
            assert np.isfinite(model.predict(X[11:18])).all()
            assert np.isfinite(model.params.flat).all()

    def train():
        try:
            model.fit(X[:11], LABELS[:11], **trained)
        finally:
            ending.set()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(look), pool.submit(train)]:
            done.result()
    np.testing.assert_array_equal(model.params.flat, alone.params.flat)


def test_two_models_on_one_device(driver):
    known = [gl.Model(network(), seed=seed, target="numpy", dtype="float64") for seed in (1, 2)]
    models = [gl.Model(network(), seed=seed, target="cuda", dtype="float64") for seed in (1, 2)]
    fits = [lambda model=model: model.fit(X[:11], Y[:11], epochs=1, batch=4) for model in models]
    for fit in fits:
        fit()
    at_once(fits, times=1)
    for model, expected in zip(models, known, strict=True):
        for _ in range(2):
            expected.fit(X[:11], Y[:11], epochs=1, batch=4)
        np.testing.assert_allclose(model.params.flat, expected.params.flat, rtol=1e-9, atol=1e-11)


# ---- what a small call costs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["predict", "evaluate"])
def test_a_small_call_allocates_nothing_and_waits_once(driver, call):
    model = gl.Model(network(), target="cuda", dtype="float64")
    given = (X[:3],) if call == "predict" else (X[:3], Y[:3])
    use = getattr(model, call)
    use(*given)
    use(*given)
    driver.calls.clear()
    use(*given)
    names = [name for name, _ in driver.calls]
    assert not [name for name in names if "Alloc" in name or "Free" in name or "Create" in name]
    assert [name for name in names if "Synchronize" in name] == ["cuEventSynchronize"]
    assert names.count("cuLaunchCooperativeKernel") == 1
    assert names.count("cuMemcpyHtoDAsync") == 1 + len(given)
    assert names.count("cuMemcpyDtoHAsync") == 1


def test_arguments_are_handed_over_in_one_place(driver):
    """Of each kernel; what changes from launch to launch is what lies in it."""
    model = gl.Model(network(), target="cuda", dtype="float64")
    for rows in (3, 5, 4):
        model.predict(X[:rows])
    places = {call[-1] for call in driver.named("cuLaunchCooperativeKernel")}
    assert len(places) == 1
    assert [values[-2] for _, values in driver.launched] == [3, 5, 4]
