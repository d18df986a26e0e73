"""Training on a device: what is copied to it and from it, and when; who may look, and change, in between."""

from __future__ import annotations

import numpy as np
import pytest
from fake_driver import FakeDriver
from simulated import SimulatedDevice, host_part
from small_models import LABELS, X, Y, classifier, network

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime import cuda_device, cuda_host, device_trainer
from gradloom.runtime.cuda_host import host_module
from gradloom.runtime.cuda_module import DeviceModule
from gradloom.runtime.device_arrays import DeviceArray
from gradloom.runtime.parameters import Parameters
from gradloom.runtime.threads import operations_per_row

ROWS = 11
SIDES = ("cuda", "numpy")


@pytest.fixture
def device(monkeypatch, one_warp):
    made = SimulatedDevice(races=False)
    monkeypatch.setattr(cuda_device, "default_device", lambda: made)
    monkeypatch.setattr(cuda_host, "device_part", lambda source, options: host_part(source))
    return made


def fitted(target, epochs=3, **options):
    model = gl.Model(network(), seed=5, target=target, dtype="float64")
    settings = {"batch": 4, "optimizer": gl.optimizers.Adam(lr=0.05)} | options
    model.fit(X[:ROWS], Y[:ROWS], epochs=epochs, **settings)
    return model


def alike(found, known):
    np.testing.assert_allclose(found, known, rtol=1e-8, atol=1e-10)


def test_data_and_parameters_are_copied_once(device):
    """Of each further epoch, only the order of the rows, the losses, and what tells whether all is finite."""
    counts = {}
    for epochs in (1, 2, 4):
        device.copied.update({"to": 0, "from": 0})
        model = fitted("cuda", epochs)
        counts[epochs] = dict(device.copied)
    steps = 3
    scalars = model.program.module._module.SCALARS
    per_epoch = {"to": ROWS + steps * (scalars + 1), "from": steps + 1024}
    for side in ("to", "from"):
        assert counts[2][side] - counts[1][side] == per_epoch[side]
        assert counts[4][side] - counts[2][side] == 2 * per_epoch[side]
    # Parameters, and Adam's two averages of each; data; the waits' gate and such are not copied at all.
    both = 3 * model.params.flat.size
    assert counts[1]["to"] == both + X[:ROWS].size + Y[:ROWS].size + per_epoch["to"]
    assert counts[1]["from"] == both + per_epoch["from"]


def test_scores_are_computed_where_the_parameters_are(device):
    options = {"validation": (X[20:27], Y[20:27])}
    counts = []
    for epochs in (1, 2):
        device.copied.update({"to": 0, "from": 0})
        counts.append((fitted("cuda", epochs, **options), dict(device.copied)))
    (_, first), (model, second) = counts
    assert second["to"] - first["to"] == ROWS + 3 * (model.program.module._module.SCALARS + 1)
    assert second["from"] - first["from"] == 3 + 1024 + 1
    known = fitted("numpy", 2, **options)
    alike(model.history["val_loss"], known.history["val_loss"])


def test_a_call_is_as_many_steps_as_take_a_tenth_of_a_second(device):
    """Here of a device so slow that it is one, and two; the training is the same."""
    launches, launch = [], device.launch
    device.launch = lambda kernel, *rest: launches.append(kernel.name) or launch(kernel, *rest)
    net = network()
    operations = 3 * operations_per_row(net, {}) * 4
    trained = []
    for steps in (1, 2, 3):
        device.speed = (steps + 0.5) * operations / (device_trainer.SECONDS - 3.5 * device_trainer.STEP)
        launches.clear()
        trained.append(fitted("cuda", 2).params.flat)
        assert launches.count("train") == 2 * -(-3 // steps)
    for found in trained[1:]:
        np.testing.assert_array_equal(found, trained[0])


@pytest.mark.slow
def test_steps_along_time_are_reckoned_with(device):
    """A thousand small steps of time take long, however few operations they are."""
    rows = {}
    for length in (10, 1000):
        net = gl.Sequential([gl.layers.RNN(3)], (length, 2), loss=gl.losses.SquaredError())
        program = net.compile(target="cuda", optimizer=gl.optimizers.SGD(lr=0.1))
        trainer = device_trainer.DeviceTrainer(program, Parameters(program.module.PARAMETERS, "float32"))
        rows[length] = trainer.rows_per_call(4)
    # A wait of all blocks takes more than a microsecond, and there is one in each step, forwards and backwards.
    for length, count in rows.items():
        assert 2e-6 * length * count / 4 < 0.1
        assert count >= 4
    assert rows[10] > 400


def test_slow_gpus_and_double_precision_are_reckoned_with(monkeypatch):
    driver = FakeDriver()
    device = driver.first_device(monkeypatch)
    assert device.operations("float32") == 32 * device.operations("float64") == 3 * 4e10


@pytest.mark.usefixtures("device")
def test_callbacks_see_and_change_the_parameters():
    """Also by arrays that they took before the training."""
    seen = {"cuda": [], "numpy": []}
    for target, log in seen.items():
        model = gl.Model(network(), seed=5, target=target, dtype="float64")
        weights = model.params["W1"]

        def clamp(model, epoch, logs, weights=weights, log=log):
            log.append(weights.copy())
            np.clip(weights, -0.3, 0.3, out=weights)

        model.fit(X[:ROWS], Y[:ROWS], epochs=3, batch=4, optimizer=gl.optimizers.SGD(lr=0.1), callbacks=clamp)
        log.append(model.params.flat.copy())
    assert len(seen["cuda"]) == 4
    assert not np.array_equal(seen["cuda"][0], seen["cuda"][1])
    assert np.abs(seen["cuda"][0]).max() > 0.3
    for found, known in zip(seen["cuda"], seen["numpy"], strict=True):
        alike(found, known)


@pytest.mark.usefixtures("device")
def test_metrics_may_look_at_the_parameters():
    seen = {"cuda": [], "numpy": []}
    for target, log in seen.items():
        model = gl.Model(network(), seed=5, target=target, dtype="float64")

        def size(outputs, targets, model=model):
            return float(np.abs(model.params["W1"]).sum())

        model.fit(X[:ROWS], Y[:ROWS], epochs=2, batch=4, metrics=size)
        log += model.history["size"]
    assert seen["cuda"][0] != seen["cuda"][1]
    alike(seen["cuda"], seen["numpy"])


@pytest.mark.usefixtures("device")
def test_the_best_epoch_is_restored():
    found, known = (
        fitted(target, 6, validation=0.3, early_stopping=2, optimizer=gl.optimizers.SGD(lr=0.9)) for target in SIDES
    )
    assert len(found.history) == len(known.history)
    alike(found.params.flat, known.params.flat)


@pytest.mark.usefixtures("device")
def test_what_changes_between_two_trainings_counts():
    models = [fitted(target) for target in SIDES]
    for model in models:
        model.params["W1"][:] *= 0.5
        model.fit(X[:ROWS], Y[:ROWS], epochs=2, batch=4)
        model.params["b2"] = [1, 2, 3]
    found, known = models
    alike(found.predict(X[:3]), known.predict(X[:3]))
    alike(found.params.flat, known.params.flat)


@pytest.mark.usefixtures("device")
def test_after_diverging_the_last_good_parameters_are_on_the_host():
    """The loss of the third block of steps is not finite: both go back to what the second began with."""
    for rate in (1e3, 1e120):
        models = [gl.Model(network(), seed=5, target=target, dtype="float64") for target in SIDES]
        said = []
        for model in models:
            with pytest.raises(gl.DivergenceError) as caught:
                model.fit(X[:ROWS], 1e30 * Y[:ROWS], epochs=40, batch=4, optimizer=gl.optimizers.SGD(lr=rate))
            said.append(str(caught.value))
        assert said[0] == said[1]
        alike(models[0].params.flat, models[1].params.flat)
        assert np.isfinite(models[0].params.flat).all()


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("fails_between", [False, True])
def test_a_first_step_that_fails_goes_back_to_an_earlier_training(fails_between):
    """To the last parameters that gave a finite loss, which are kept from one fit to the next."""
    models = [fitted(target) for target in SIDES]
    reached = models[1].params.flat.copy()
    large = 1e200 * Y[:ROWS]
    for model in models:
        if fails_between:  # in the last of three steps, so back to what it began with
            last = np.where(np.arange(ROWS)[:, None] < 8, Y[:ROWS], large)
            with pytest.raises(gl.DivergenceError, match="at step 12"):
                model.fit(X[:ROWS], last, epochs=1, batch=4, shuffle=False)
        model.params["W1"][:] *= 0.5
        with pytest.raises(gl.DivergenceError, match="at step 10"):
            model.fit(X[:ROWS], large, epochs=1, batch=4)
    alike(models[0].params.flat, models[1].params.flat)
    assert np.abs(models[1].params.flat - reached).max() > 1e-3
    for model in models:
        model.fit(X[:ROWS], Y[:ROWS], epochs=2, batch=4)
    alike(models[0].params.flat, models[1].params.flat)


@pytest.mark.usefixtures("device")
def test_parts_that_begin_anywhere_are_brought_to_where_wide_loads_may_be():
    """A loss that is not a mean is scored by the rows of a batch: 5 rows of 5 numbers are no multiple of 16 bytes."""
    B, _ = gl.dims("B n")
    i, j = gl.indices("i j")
    net = gl.Network("sums")
    x, y, w = net.input("x", (B, 5)), net.target("y", (B,)), net.parameter("w", (5,))
    z = net.define("z", (i,), gl.Sum(w[j] * x[i, j], j))
    net.minimize(gl.Sum((z[i] - y[i]) ** 2, i))
    found, known = (gl.Model(net, seed=2, target=target, dtype="float64") for target in SIDES)
    for model in (found, known):
        held = {"validation": (X[:13], Y[:13, 0])}
        model.fit(X[:ROWS], Y[:ROWS, 0], epochs=2, batch=5, optimizer=gl.optimizers.SGD(lr=1e-3), **held)
    alike(found.history["val_loss"], known.history["val_loss"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 31, 500, 998])
def test_what_is_not_finite_is_found(bad, place, one_warp):
    source = generate(classifier(), target="cuda", dtype="float64", optimizer=gl.optimizers.SGD(lr=0.1)).source
    device = SimulatedDevice(blocks=3)
    module = DeviceModule(host_part(source), device, "float64")
    numbers = np.random.default_rng(1).standard_normal(1001)
    numbers[-2:] = np.nan  # behind those that are asked about
    held = module.hold(numbers)
    assert module.is_finite(held[:999])
    assert not module.is_finite(held)
    numbers[place] = bad
    held.fill(numbers)
    assert not module.is_finite(held[:999])


def test_a_kernel_is_launched_again(one_warp):
    """With what it was launched with: an update that is made twice, and then a third time."""
    rule = gl.optimizers.SGD(lr=0.5)
    source = generate(network(), target="cuda", dtype="float64", optimizer=rule).source
    module = DeviceModule(host_part(source), SimulatedDevice(), "float64")
    params, grads = np.arange(66.0), np.full(66, 2.0)
    held = [module.hold(array) for array in (params, grads, np.zeros((0, 66)))]
    module.update(*held, np.array([0.5]), 1)
    again = module.again("run_update")
    again()
    again()
    np.testing.assert_allclose(held[0], params - 3)


S = gl.schedules
RATES = [0.1, S.StepDecay(0.1, 3, 0.5), S.Exponential(0.1, 0.9), S.Cosine(0.1, 5), S.WarmUp(3, S.Cosine(0.1, 4, 0.01))]


@pytest.mark.parametrize("rate", RATES, ids=repr)
@pytest.mark.parametrize("rule", [gl.optimizers.SGD, gl.optimizers.Adam], ids=["SGD", "Adam"])
def test_what_updates_need_of_many_steps_is_that_of_each(rule, rate):
    made = rule(lr=rate)
    host = host_module(generate(network(), target="cuda", dtype="float64", optimizer=made).source)
    module = DeviceModule(host, SimulatedDevice(), "float64")
    hyper = np.array([made.values[name] for name in host.HYPER])
    for steps in (range(1, 10), range(7, 8), range(4, 6)):
        found = module._scalars(hyper, steps)
        np.testing.assert_allclose(found, [host.scalars(hyper, step) for step in steps], rtol=1e-12)


def test_an_array_of_a_device():
    device = SimulatedDevice()
    array = np.random.default_rng(0).standard_normal((7, 3, 2))
    held = DeviceArray(device, device.buffer(array.size, "float64"), array.shape)
    held.fill(array)
    assert (held.shape, held.ndim, held.size, held.nbytes, len(held)) == ((7, 3, 2), 3, 42, 336, 7)
    np.testing.assert_array_equal(held, array)
    for rows in (slice(None), slice(2, 5), slice(-2, None), slice(5, 2)):
        part = held[rows]
        assert isinstance(part, DeviceArray)
        np.testing.assert_array_equal(part, array[rows])
    np.testing.assert_array_equal(held[[4, 1]], array[[4, 1]])
    np.testing.assert_array_equal(held[::2], array[::2])
    np.testing.assert_array_equal(np.asarray(held.reshape(7, -1), np.float32), array.reshape(7, 6).astype(np.float32))
    with pytest.raises(ValueError, match="without a copy"):
        np.array(held, copy=False)


@pytest.mark.usefixtures("device")
def test_labels_lie_there_as_kernels_read_them():
    model = gl.Model(classifier(), target="cuda")
    data = model.check(X[:5], LABELS[:5])
    held = model.program.hold(data)
    assert [array.dtype for array in held.arrays] == [np.float32, np.int32]
    np.testing.assert_array_equal(held.arrays[1], LABELS[:5])
    assert model.program.hold(held).arrays == held.arrays  # what lies there is not copied again
