"""`python -m benchmarks.gpu`: without a GPU, in small; its gradloom part also over the fake driver."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_driver import FakeDriver

import gradloom as gl
from gradloom.runtime import cuda_device

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import correctness, estimate, kernels, prepare, report, training
from benchmarks.gpu.ours import Ours
from benchmarks.gpu.tasks import TASKS, in_small
from benchmarks.workloads import arrays


@pytest.fixture
def driver(monkeypatch, one_warp):
    made = FakeDriver()
    monkeypatch.setattr(cuda_device, "require_driver_interface", lambda: None)
    monkeypatch.setattr(cuda_device, "import_module", lambda name: made)
    made.install(monkeypatch)
    device = cuda_device.Device()
    monkeypatch.setattr(cuda_device, "default_device", lambda: device)
    return made


@pytest.mark.slow
def test_a_dry_run_goes_through_all_of_it(tmp_path, capsys, monkeypatch):
    """PyTorch alone of the peers, which the tests have; every system's first losses agree."""
    real = training.importlib.util.find_spec
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None if name == "jax" else real(name))
    assert program.main(["--dry-run", "--tasks", "small,lstm_1", "--name", "dry", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "gpu-dry.json").read_text())
    assert [row["task"] for row in found["training"]] == ["small", "lstm_1"]
    for row in found["training"]:
        assert {"gradloom", "torch-eager", "torch-graph"} <= set(row["systems"])
        for one in row["systems"].values():
            assert one["apart"] < 1e-5
            assert one["us"]["median"] > 0
    cases = [row["case"] for row in found["kernels"]]
    assert [case.split()[0] for case in cases] == ["copy", "Adam", "product", "dense", "softmax"]
    for row in found["kernels"][1:]:
        assert {name: "us" in one for name, one in row["systems"].items()} == {"gradloom": True, "torch": True}
    assert all(row["right"] and row["same_bits"] for row in found["correctness"])
    written = (tmp_path / "gpu-dry.md").read_text()
    for part in ("## Correctness", "## Training", "## Kernels", found["training"][0]["title"]):
        assert part in written
    assert "WRONG" not in out


@pytest.mark.parametrize("name", ["small", "lstm_1"])
def test_a_training_on_a_device(driver, name):
    task = in_small(next(task for task in TASKS if task.name == name))
    data = arrays(task)
    ours, known = (Ours(task, data, target) for target in ("cuda", "numpy"))
    np.testing.assert_allclose(ours.losses(3), known.losses(3), rtol=1e-5)
    np.testing.assert_allclose(ours.losses(3), known.losses(3), rtol=1e-5)  # from the initial weights again
    assert ours.seconds(2) > 0
    # More steps than there are batches in a call.
    for one in (ours, known):
        one.reset()
    assert ours.run(5) == pytest.approx(known.run(5), rel=1e-5)


def test_what_is_checked_first_on_a_device(driver, monkeypatch):
    noisy = [gl.layers.Dense(3, gl.relu), gl.layers.BatchNorm(), gl.layers.Dropout(0.3), gl.layers.Dense(2)]
    modes = gl.Sequential(noisy, (4,), loss=gl.losses.SquaredError())
    small = {"small": correctness.networks()["small"], "modes": (modes, 3, 3)}
    monkeypatch.setattr(correctness, "networks", lambda: small)
    rows = correctness.checked("cuda", seed=1)
    assert [(row["network"], row["rows"]) for row in rows] == [("small", 3), ("modes", 3)]
    assert all(row["right"] and row["same_bits"] for row in rows), rows
    assert not report.what_is_wrong({"correctness": rows})
    # A wrong result is one.
    monkeypatch.setattr(FakeDriver, "cuMemcpyDtoHAsync", spoiled(FakeDriver.cuMemcpyDtoHAsync))
    rows = correctness.checked("cuda", seed=1)
    assert not any(row["right"] for row in rows)
    assert len(report.what_is_wrong({"correctness": rows})) == 2


def test_what_kernels_write_is_poisoned(driver):
    """All that they wrote in a training, and nothing that was written once for all."""
    network, _, _ = correctness.networks()["small"]
    program = network.compile(target="cuda", batch=3, optimizer=gl.optimizers.SGD(lr=0.01, clip_norm=1.0))
    rng = np.random.default_rng()
    flat = gl.Model(network, 1, target="numpy").params.flat
    given = flat, rng.standard_normal((3, 7)), rng.standard_normal((3, 3)), 3
    known = correctness._results(program, *given)
    module, device = program.module, program.module.device
    rooms = {name: room for name, room in module._rooms.items() if room.dtype.kind == "f" and name != "tables"}
    assert rooms.keys() >= {"grads", "losses", "sums", "x_rows", "y_rows"}
    work = program.workspace(3)
    for buffer in (work, *rooms.values()):
        device.write(buffer, np.zeros(buffer.count, buffer.dtype))
    correctness.poison(program, 3)
    for name, buffer in {"work": work, **rooms}.items():
        held = np.empty(buffer.count, buffer.dtype)
        device.read(buffer, 0, held)
        assert np.isnan(held).all(), name
    again = correctness._results(program, *given)
    assert all(np.array_equal(again[name], value) for name, value in known.items())


def spoiled(copy):
    def wrong(self, to, of, size, stream):
        copy(self, to, of, size, stream)

        def change():
            numbers = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_float * (size // 4)).from_address(to))
            numbers *= 1.01

        self._later(stream, change)

    return wrong


def test_kernels_on_a_device(driver):
    for case in kernels.cases(small=True):
        once, device = case.ours("cuda", None)
        once()
        assert device.seconds(once) > 0
    names = [case.name for case in kernels.cases(small=False)]
    assert len(names) == len(set(names)) == 11
    for n in (512, 1024, 2048, 4096, 8192):
        assert f"product {n} × {n} over {n}" in names


def test_kernels_are_compiled_ahead(driver, monkeypatch):
    """What a training asks a GPU for, asked of a device that runs nothing."""
    monkeypatch.setattr(cuda_device, "default_device", None)  # which is replaced, and put back after this
    jobs = prepare.jobs()
    assert len(jobs) == len(set(jobs))
    assert {name for of, name, _ in jobs if of == "training"} == {task.name for task in TASKS}
    job, seconds, said = prepare.prepare(("training", "small", None), (9, 0))
    assert (job, said) == (("training", "small", None), "")
    assert seconds > 0
    assert {kernel for _, kernel in driver.programs.values()} == {"train", "run_finite"}
    assert not driver.named("cuLaunchCooperativeKernel")
    _, _, said = prepare.prepare(("training", "no such task", None), (9, 0))
    assert said.startswith("StopIteration")


def test_a_system_that_fails_is_a_result(monkeypatch):
    def broken(*_):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(training, "builders", lambda device, tf32: {"gradloom": broken})
    row = training.measured(in_small(TASKS[0]), "cpu", 0.0, 1, float("inf"))
    assert row["left_out"] == {"gradloom": "RuntimeError: no such thing"}
    assert report.what_is_wrong({"training": [row]}) == ["small: RuntimeError: no such thing"]
    assert "no such thing" in report.training_row(row)


def test_a_check_that_fails_is_a_result(monkeypatch):
    small = correctness.networks()["small"]
    monkeypatch.setattr(correctness, "networks", lambda: {"broken": (None, 2, 2), "small": small})
    rows = correctness.checked("numpy")
    assert [correctness.passed(row) for row in rows] == [False, True]
    assert rows[0]["failed"].startswith("AttributeError")
    assert "AttributeError" in report.correctness_table(rows)
    assert len(report.what_is_wrong({"correctness": rows})) == 1


@pytest.mark.parametrize("where", ["_torch", "_clock", "enough"])
def test_a_kernel_that_fails_is_a_result(monkeypatch, where):
    """Whether it fails as it is made or as it is timed; the copy that others are compared with, too."""
    real = getattr(kernels, where)

    def second_fails(*given):
        calls.append(given)
        if len(calls) == 2:
            raise RuntimeError("no such thing")
        return real(*given)

    def first_fails(*given):
        raise RuntimeError("no such thing")

    calls = []
    for fails, expected in ((second_fails, 1), (first_fails, 5 + 4 * (where != "_torch"))):
        with monkeypatch.context() as patched:
            patched.setattr(kernels, where, fails)
            rows = list(kernels.measured("cpu", 0.0, 2, float("inf")))
        assert [row["case"].split()[0] for row in rows] == ["copy", "Adam", "product", "dense", "softmax"]
        said = report.what_is_wrong({"kernels": rows})
        assert len(said) == expected
        assert all("RuntimeError: no such thing" in line for line in said)
        assert sum("us" in one for row in rows for one in row["systems"].values()) == 9 - expected
        assert "no such thing" in report.kernels_table(rows)


def test_a_process_that_dies_is_said_and_the_rest_goes_on():
    class Deadly(str):
        def __reduce__(self):
            return os._exit, (3,)  # of the process that reads it

    job = ("training", Deadly("small"), None)
    ((found, _, said),) = prepare.prepared((9, 0), 1, 60, [job])
    assert found is job
    assert said.startswith("not compiled: A process in the process pool was terminated abruptly")


def test_after_the_deadline_nothing_is_begun():
    row = training.measured(in_small(TASKS[0]), "cpu", 0.0, 1, 0.0)
    assert set(row["left_out"].values()) == {"no time was left"}
    assert report.training_row(row)
    rows = list(kernels.measured("cpu", 0.0, 1, 0.0))
    assert [row["left_out"] for row in rows] == 5 * ["no time was left"]
    assert report.kernels_table(rows).count("no time was left") == 10
    checks = correctness.checked("numpy", deadline=0.0)
    assert {row["left_out"] for row in checks} == {"no time was left"}
    assert report.correctness_table(checks).count("no time was left") == len(checks) > 6
    assert not report.what_is_wrong({"correctness": checks, "kernels": rows})


def test_the_deadline_ends_the_rounds(monkeypatch):
    """Of a clock that is past it from some question on: what has begun has one sample of each system."""

    def late_after(questions):
        asked = iter([0.0] * questions)
        return SimpleNamespace(monotonic=lambda: next(asked, 9.0), perf_counter=time.perf_counter)

    def built(device, tf32):
        return {"gradloom": lambda task, data: Ours(task, data, "numpy", None)}

    monkeypatch.setattr(training, "builders", built)
    for rounds, questions in ((1, 1), (3, 3), (7, 9)):
        monkeypatch.setattr(training, "time", late_after(questions))
        row = training.measured(in_small(TASKS[0]), "cpu", 0.0, 7, 1.0)
        assert len(row["systems"]["gradloom"]["samples"]) == rounds
    for rounds, questions in ((1, 1), (3, 3), (7, 9)):
        monkeypatch.setattr(kernels, "time", late_after(questions))
        copied = next(kernels.measured("cpu", 0.0, 7, 1.0))
        assert len(copied["systems"]["torch"]["samples"]) == rounds


def test_waits_are_counted_as_often_as_all_wait():
    source = """
def forward():
    grid_barrier(gate)
    for t in range(100):
        grid_barrier(gate)
        for point in range(thread, 7, threads):
            other(point)
        if t >= 1:
            grid_barrier(gate)


def backward():
    for u in range(96, -1, -1):
        grid_barrier(gate)
    for v in range(3, 19, 5):
        grid_barrier(gate)
    for w in range(7, 7):
        grid_barrier(gate)


def train():
    for start in range(0, count, batch):
        forward()
        backward()
        grid_barrier(gate)
"""
    assert estimate.waits_of(source, "train") == (1 + 200) + (97 + 4) + 1


def test_estimates_grow_with_the_work():
    small, large = (next(task for task in TASKS if task.name == name) for name in ("small", "medium_128"))
    found = {task.name: estimate.estimate(task) for task in (small, large, replace(large, batch=512))}
    assert found["medium_128"].products > found["small"].products
    assert found["medium_128"].memory > found["small"].memory > 0
    assert estimate.estimate(replace(large, batch=1024)).products > found["medium_128"].products
    for one in found.values():
        assert one.total == pytest.approx(one.waiting + one.products + one.memory)
    assert found["small"].waits == 1  # a block does all but its part of the first layer for itself
    assert found["medium_128"].waits >= 3


def test_tensor_cores_are_asked_for_where_they_are_measured(driver):
    case = next(case for case in kernels.cases(small=True) if case.name.startswith("product"))
    with pytest.raises(gl.UnsupportedError):
        case.ours("numpy", "tf32")
    case.ours("cuda", "tf32")
