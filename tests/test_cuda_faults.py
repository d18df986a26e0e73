"""What is said when a GPU, its driver or a kernel fails; and that nothing is asked of a GPU that is lost."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_driver import FakeDriver
from small_models import X, Y, network

import gradloom as gl
from gradloom.runtime import cuda_device
from gradloom.runtime.cuda_driver import Driver

LOST = "and this process cannot use the GPU any more; run the program again"


@pytest.fixture
def driver(monkeypatch, one_warp):
    made = FakeDriver()
    made.first_device(monkeypatch)
    return made


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (700, "if that fails, too, choose target 'cpu', and report the network"),
        (719, "if that fails, too, choose target 'cpu', and report the network"),
        (702, "serves a display; take smaller batches"),
        (214, "the hardware failed, of which nvidia-smi -q says more"),
    ],
)
@pytest.mark.parametrize("name", ["cuLaunchCooperativeKernel", "cuEventSynchronize"])
def test_after_a_fault_all_calls_say_the_same(driver, name, status, mend):
    """And the driver is asked nothing more: the fake one checks that."""
    model = gl.Model(network(), target="cuda", dtype="float64")
    model.predict(X[:3])
    driver.fail[name] = status
    said = []
    for call in (
        lambda: model.predict(X[:3]),
        lambda: model.predict(X[:3]),
        lambda: model.fit(X[:7], Y[:7], epochs=1, batch=4),
        lambda: gl.Model(network(), target="cuda").predict(X[:3]),
    ):
        with pytest.raises(gl.DeviceError) as caught:
            call()
        said.append(str(caught.value))
    assert said[0].startswith(f"the driver says: error {status} ({name}), {LOST}: ")
    assert said[0].endswith(mend) or mend in said[0]
    assert set(said) == {said[0]}


def test_a_training_that_loses_its_gpu_leaves_what_the_host_has(driver, tmp_path):
    """The numbers of the last epoch after which a callback looked; they can be saved."""
    model, seen = gl.Model(network(), seed=5, target="cuda", dtype="float64"), []

    def watch(model, epoch, logs):
        seen.append(model.params.flat.copy())
        if epoch == 2:
            driver.fail["cuLaunchCooperativeKernel"] = 700

    with pytest.raises(gl.DeviceError, match=LOST) as caught:
        model.fit(X[:11], Y[:11], epochs=5, batch=4, callbacks=watch)
    assert caught.value.__context__ is None  # said once, by what failed
    np.testing.assert_array_equal(model.params.flat, seen[-1])
    assert not np.array_equal(seen[0], seen[1])
    model.save(tmp_path / "model.npz")
    again = gl.Model.load(tmp_path / "model.npz", model.network, target="numpy")
    np.testing.assert_array_equal(again.params.flat, seen[-1])
    assert again._resume.steps == 6  # of two epochs


def test_nothing_is_given_back_to_a_gpu_that_is_lost(driver):
    model = gl.Model(network(), target="cuda", dtype="float64")
    model.predict(X[:3])
    driver.fail["cuLaunchCooperativeKernel"] = 700
    with pytest.raises(gl.DeviceError):
        model.predict(X[:3])
    count = len(driver.calls)
    del model
    gc.collect()
    assert len(driver.calls) == count


def test_what_the_driver_refuses_once_is_not_the_end(driver):
    device = cuda_device.default_device()
    driver.fail["cuMemsetD8Async"] = 1
    with pytest.raises(gl.DeviceError, match=r"^the driver says: error 1 \(cuMemsetD8Async\)$"):
        device.clear(device.buffer(3, "float32"))
    device.clear(device.buffer(3, "float32"))


def test_a_forked_process_says_that_it_is_one(driver, monkeypatch):
    device = cuda_device.default_device()
    buffer = device.buffer(3, "float32")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    driver.fail["cuCtxPushCurrent"] = 3
    with pytest.raises(gl.DeviceError, match=r"forked from one that uses the GPU.*get_context\('spawn'\)"):
        device.clear(buffer)
    count = len(driver.calls)
    with pytest.raises(gl.DeviceError, match="forked"):
        device.clear(buffer)
    assert len(driver.calls) == count


def test_a_forked_process_gives_nothing_back(driver, monkeypatch):
    """Its parent holds what it would free."""
    device = cuda_device.default_device()
    buffer, taken = device.buffer(3, "float32"), driver.taken
    monkeypatch.setattr(os, "getpid", lambda: -1)
    del buffer
    gc.collect()
    assert driver.taken == taken


@pytest.mark.parametrize("status", [200, 209, 222])
def test_machine_code_that_the_driver_refuses(driver, status):
    driver.fail["cuModuleLoadData"] = status
    said = (
        rf"the driver says: error {status} \(cuModuleLoadData\): it knows CUDA 13.1, and refuses the machine code of "
        "run_forward; install a driver of CUDA 13.0 or newer"
    )
    with pytest.raises(gl.DeviceError, match=said):
        gl.Model(network(), target="cuda").predict(X[:3])


def test_a_gpu_that_is_too_old(monkeypatch):
    made = FakeDriver()
    monkeypatch.setattr(FakeDriver, "cuDeviceGetAttribute", lambda self, name, device: (7 if "MAJOR" in name else 5,))
    with pytest.raises(gl.DeviceError, match=r"needs a GPU of compute capability 8.0 or newer, and Fake GPU has 7.5"):
        made.first_device(monkeypatch)


def test_a_driver_that_is_too_old_lacks_functions():
    class Old:
        def cuInit(self, flags):
            raise RuntimeError('Function "cuInit" not found')

    with pytest.raises(gl.DeviceError, match=r"the driver knows no cuInit: it is too old; install one of CUDA 13.0"):
        Driver(Old())("cuInit", 0)


ENDING = """
import sys
sys.path[:0] = [{tests!r}]
from unittest import mock
import fake_driver
from gradloom.runtime import cuda_device

class Patch:
    setattr = staticmethod(setattr)

driver = fake_driver.FakeDriver()
device = driver.first_device(Patch)
held = [device.buffer(5, "float32") for _ in range(3)]
cycle = [held.pop()]
cycle.append(cycle)
driver.fail[{name!r}] = {status}
try:
    device.clear(held[0])
except cuda_device.DeviceError:
    pass
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("name", "status"), [("cuMemsetD8Async", 700), ("cuCtxPushCurrent", 4), ("cuCtxPushCurrent", 1)]
)
def test_the_end_of_the_process_is_silent(name, status):
    """After a fault, and where the driver is gone by then."""
    program = ENDING.format(tests=str(Path(__file__).parent), name=name, status=status)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
