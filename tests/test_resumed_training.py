"""Checkpoints of a training: it goes on as if nothing had happened, whatever ended it; faults are said clearly."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl
from gradloom.cli import main
from gradloom.runtime import files, training

NET = gl.Sequential(
    [gl.layers.Dense(5, gl.tanh), gl.layers.Dropout(0.25), gl.layers.Dense(2)],
    input_shape=3,
    loss=gl.losses.SquaredError(),
    name="resumed",
)

RNG = np.random.default_rng(17)
X, Y = RNG.normal(size=(41, 3)), RNG.normal(size=(41, 2))
SCRIPT = Path(__file__).with_name("killed_training.py")


def three_steps(network, sizes, batch):
    return 3 * batch


@pytest.fixture(autouse=True)
def _calls_of_few_steps(monkeypatch):
    monkeypatch.setattr(training, "rows_per_block", three_steps)


def model_of(net=NET, seed=7, dtype="float64"):
    return gl.Model(net, seed=seed, target="numpy", dtype=dtype)


def fit(model, epochs=6, stop=None, data=(X, Y), **options):
    """Train; with `stop`, end after so many calls of the kernel as a Ctrl-C does in the midst of one."""
    settings = {"batch": 3, "optimizer": gl.optimizers.Adam(lr=0.01), "validation": 0.1, **options}
    run, calls = training.Trainer._run, 0

    def stopped(trainer, *arguments):
        nonlocal calls
        found, calls = run(trainer, *arguments), calls + 1
        if calls == stop:
            raise KeyboardInterrupt
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Trainer, "_run", stopped)
        if stop is None:
            return model.fit(*data, epochs=epochs, **settings)
        with pytest.raises(KeyboardInterrupt):
            model.fit(*data, epochs=epochs, **settings)
    return model.history


def bits_of(model, history):
    trainer = model._trainer
    return (
        model.params.flat.tobytes(),
        trainer.state.tobytes(),
        trainer.steps,
        model.epochs,
        repr(history.columns),
        repr(model.order.bit_generator.state),
    )


@pytest.fixture(scope="module", name="whole")
def whole_training():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "rows_per_block", three_steps)
        model = model_of()
        return bits_of(model, fit(model))


def steps_of(folder):
    return [int(path.stem.rpartition("-")[2]) for path in gl.Checkpoints(folder).files()]


# ---- the same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [(1,), (2,), (5,), (9, 1, 4, 6), (12, 13)])
def test_the_bits_of_an_uninterrupted_training(whole, tmp_path, stops):
    """Stopped in the midst of epochs, in each by a Ctrl-C in a call whose steps are then taken again."""
    for number, stop in enumerate(stops):
        fit(model_of(), stop=stop, checkpoints=tmp_path, resume=number > 0)
    model = model_of()
    assert bits_of(model, fit(model, checkpoints=tmp_path, resume=True)) == whole


def test_there_are_several_calls_in_an_epoch(whole):
    model = model_of()
    fit(model, stop=3)
    assert (model.epochs, model._trainer.steps) == (0, 6)


def kills(count, epochs, folder, seed):
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, (count, epochs, folder, seed))], capture_output=True, text=True, timeout=600
    )
    assert done.stdout.endswith("differ: none\n"), done.stdout + done.stderr
    killed, resumed = (int(word) for word in done.stdout.split() if word.isdecimal())
    assert killed == count
    assert resumed > count // 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="attempts are forked")
def test_killed_again_and_again(tmp_path):
    kills(3, 12, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="attempts are forked")
def test_killed_a_hundred_times(tmp_path):
    kills(100, 60, tmp_path, 2)


def test_a_finished_training_is_not_repeated_but_can_be_longer(whole, tmp_path):
    first = model_of()
    assert bits_of(first, fit(first, checkpoints=tmp_path)) == whole
    again = model_of()
    history = fit(again, stop=None, checkpoints=tmp_path, resume=True)
    assert bits_of(again, history) == whole
    longer, at_once = model_of(), model_of()
    assert bits_of(longer, fit(longer, 8, checkpoints=tmp_path, resume=True)) == bits_of(at_once, fit(at_once, 8))


def test_early_stopping_remembers(tmp_path):
    """The best epoch may lie before the interruption, and a training that was stopped does not go on."""
    stopping = gl.EarlyStopping(patience=3)
    options = {"optimizer": gl.optimizers.SGD(lr=0.3), "validation": 0.3}
    whole = model_of()
    history = fit(whole, 400, early_stopping=stopping, **options)
    assert 3 < stopping.best_epoch == len(history.epoch) - 3
    for stop in (4 * len(history.epoch) - 2, None, None):
        model, again = model_of(), gl.EarlyStopping(patience=3)
        fit(model, 400, stop, early_stopping=again, checkpoints=tmp_path, resume=True, **options)
    assert bits_of(model, model.history) == bits_of(whole, history)
    assert (again.best_epoch, again.best) == (stopping.best_epoch, stopping.best)


def test_gradient_norms_remember(tmp_path):
    whole, norms = model_of(), gl.GradientNorms(every=2)
    fit(whole, callbacks=norms)
    fit(model_of(), stop=15, callbacks=gl.GradientNorms(every=2), checkpoints=tmp_path)
    again = gl.GradientNorms(every=2)
    fit(model_of(), callbacks=again, checkpoints=tmp_path, resume=True)
    assert (again.epochs, again.norms) == (norms.epochs, norms.norms)


def test_a_second_fit_has_checkpoints_of_its_own(tmp_path):
    """A script of two trainings, run again: the first is not repeated, the second goes on."""

    def script(stop):
        model = model_of()
        fit(model, 2, checkpoints=tmp_path / "first", resume=True)
        sgd = gl.optimizers.SGD(lr=0.02, momentum=0.9)
        history = fit(model, 3, stop, optimizer=sgd, checkpoints=tmp_path / "second", resume=True)
        return bits_of(model, history)

    script(6)
    found = script(None)
    model = model_of()
    fit(model, 2)
    assert bits_of(model, fit(model, 3, optimizer=gl.optimizers.SGD(lr=0.02, momentum=0.9))) == found


def test_a_rate_that_a_callback_lowered(tmp_path):
    def lower(model, epoch, logs):
        model._trainer.program.optimizer.set(lr=0.02 / epoch)

    def trained(stop=None, **options):
        model = model_of()
        history = fit(model, stop=stop, optimizer=gl.optimizers.SGD(lr=0.02), callbacks=lower, **options)
        return bits_of(model, history)

    trained(stop=14, checkpoints=tmp_path)
    assert trained(checkpoints=tmp_path, resume=True) == trained()


def test_a_network_without_rows(tmp_path):
    net = gl.Network("circuit")
    w, x, t = net.parameter("w"), net.input("x"), net.target("t")
    net.minimize((w * x - t) ** 2)

    def trained(stop=None, **options):
        model = model_of(net)
        return bits_of(model, fit(model, 9, stop, ({"x": 2.0}, {"t": 1.0}), validation=None, **options))

    trained(4, checkpoints=tmp_path)
    assert trained(checkpoints=tmp_path, resume=True) == trained()


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_a_saved_model(tmp_path):
    model = model_of()
    fit(model, stop=7, checkpoints=tmp_path)
    loaded = gl.Model.load(gl.Checkpoints(tmp_path).files()[-1], NET)
    np.testing.assert_array_equal(loaded.params.flat, model.params.flat)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_how_many_and_how_often(tmp_path):
    fit(model_of(), checkpoints=tmp_path / "end")
    assert steps_of(tmp_path / "end") == [78]
    fit(model_of(), checkpoints=gl.Checkpoints(tmp_path / "all", seconds=0, keep=1000))
    assert steps_of(tmp_path / "all") == sorted({78} | {13 * e + s for e in range(6) for s in (3, 6, 9, 12, 13)})
    fit(model_of(), checkpoints=gl.Checkpoints(tmp_path / "last", seconds=0, keep=3))
    assert steps_of(tmp_path / "last") == [74, 77, 78]


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"", None])
def test_a_damaged_checkpoint_is_passed_over(whole, tmp_path, damage):
    fit(model_of(), stop=9, checkpoints=gl.Checkpoints(tmp_path, seconds=0))
    before, newest = gl.Checkpoints(tmp_path).files()
    content = newest.read_bytes()
    if damage is None:
        place = content.index(b"NUMPY") + 200
        newest.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    else:
        newest.write_bytes(damage(content))
    model = model_of()
    with pytest.warns(
        UserWarning, match=rf"{newest.name} is not a saved model, or is truncated.*{before.name}, the one"
    ):
        history = fit(model, checkpoints=tmp_path, resume=True)
    assert bits_of(model, history) == whole


def test_no_checkpoint_is_whole(tmp_path):
    fit(model_of(), stop=9, checkpoints=tmp_path)
    for path in gl.Checkpoints(tmp_path).files():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(gl.SavedFileError, match=r"no checkpoint in .* can be read: .*checkpoint-.* truncated"):
        fit(model_of(), checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_full_disk_leaves_the_last_checkpoint(whole, tmp_path, monkeypatch, code):
    fit(model_of(), stop=9, checkpoints=tmp_path)
    last = gl.Checkpoints(tmp_path).files()[-1]
    with monkeypatch.context() as patch:

        def full(descriptor):
            raise OSError(code, os.strerror(code))

        patch.setattr(files.os, "fsync", full)
        with pytest.raises(gl.SavedFileError) as error:
            fit(model_of(), checkpoints=gl.Checkpoints(tmp_path, seconds=0), resume=True)
    assert os.strerror(code) in str(error.value)
    assert f"{last.name}, is as it was" in str(error.value)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == [last.name]
    model = model_of()
    assert bits_of(model, fit(model, checkpoints=tmp_path, resume=True)) == whole


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".checkpoint-000001-000000000003.npz.123-abc"
    left.write_bytes(b"half")
    fit(model_of(), 1, checkpoints=tmp_path)
    assert not left.exists()


def test_nothing_is_overwritten_without_resume(tmp_path):
    fit(model_of(), 1, checkpoints=tmp_path)
    content = gl.Checkpoints(tmp_path).files()[-1].read_bytes()
    with pytest.raises(gl.SavedFileError, match=r"has checkpoints of an earlier training, up to checkpoint-000001"):
        fit(model_of(), 1, checkpoints=tmp_path)
    assert gl.Checkpoints(tmp_path).files()[-1].read_bytes() == content


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks")
def test_two_trainings_at_once(tmp_path):
    def second(model, epoch, logs):
        with pytest.raises(gl.SavedFileError, match="another training is writing checkpoints to"):
            fit(model_of(), 1, checkpoints=tmp_path, resume=True)

    fit(model_of(), 1, checkpoints=tmp_path, callbacks=second)
    fit(model_of(), 1, checkpoints=tmp_path, resume=True, callbacks=lambda *_: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 4}, r"with batch 3, this one 4"),
        ({"shuffle": False}, "with shuffle True, this one False"),
        ({"validation": 0.2}, "with rows 37, this one 33"),
        ({"data": (X + 1, Y)}, "with another data"),
        ({"optimizer": gl.optimizers.SGD(lr=0.1)}, "with another optimizer"),
        ({"callbacks": lambda *_: None}, "with callbacks \\[\\], this one \\[.FunctionCallback"),
        ({"model": model_of(seed=8)}, "with seed 7, this one 8"),
        ({"model": model_of(dtype="float32")}, "with dtype 'float64', this one 'float32'"),
    ],
)
def test_another_training(tmp_path, change, message):
    fit(model_of(), stop=9, checkpoints=tmp_path)
    model = change.get("model") or model_of()
    options = {name: value for name, value in change.items() if name != "model"}
    with pytest.raises(gl.SavedFileError, match=message):
        fit(model, checkpoints=tmp_path, resume=True, **options)


def test_bad_options(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(gl.SavedFileError, match="name a directory that can be written to"):
        fit(model_of(), checkpoints=file)
    with pytest.raises(gl.DataError, match="resume is True, but there are no checkpoints"):
        fit(model_of(), resume=True)
    with pytest.raises(gl.DataError, match="resume is 1; expected True or False"):
        fit(model_of(), checkpoints=tmp_path, resume=1)
    with pytest.raises(gl.DataError, match="checkpoints is 3"):
        fit(model_of(), checkpoints=3)
    for options in ({"seconds": -1}, {"seconds": float("nan")}, {"seconds": "1"}, {"keep": 0}, {"keep": True}):
        with pytest.raises(gl.DataError, match=next(iter(options))):
            gl.Checkpoints(tmp_path, **options)


# ---- the command line ------------------------------------------------------------------------------------------------

MODEL = """
import numpy as np
import gradloom as gl

network = gl.Sequential([gl.layers.Dense(2)], input_shape=3, loss=gl.losses.SquaredError(), name="command")
rng = np.random.default_rng(0)
data = rng.normal(size=(29, 3)), rng.normal(size=(29, 2))
training = {"target": "numpy", "batch": 5, "epochs": 4}
"""


def test_the_command_goes_on(tmp_path, capsys):
    model, run, saved = tmp_path / "model.py", str(tmp_path / "run"), tmp_path / "model.npz"
    model.write_text(MODEL)
    assert main(["train", str(model), "--checkpoints", run, "--resume", "--epochs", "2"]) == 0
    assert main(["train", str(model), "--checkpoints", run]) == 2
    assert "go on from them with resume (--resume on the command line)" in capsys.readouterr().err
    assert main(["train", str(model), "--checkpoints", run, "--resume", "--save", str(saved)]) == 0
    assert main(["train", str(model), "--save", str(tmp_path / "whole.npz")]) == 0
    with np.load(saved) as found, np.load(tmp_path / "whole.npz") as whole:
        for name in whole.files:
            np.testing.assert_array_equal(found[name], whole[name])
    assert main(["train", str(model), "--resume"]) == 2
    assert "add --checkpoints DIR" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_a_checkpoint(tmp_path, number):
    """So does the signal by which a scheduler says that it is going to kill the process."""
    model, run = tmp_path / "model.py", tmp_path / "run"
    model.write_text(MODEL + "\n\ndef report(model, epoch):\n    print(epoch, flush=True)\n")
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from gradloom.cli import main; "
    command = ["train", str(model), "--epochs", "1000000", "--checkpoints", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code} raise SystemExit(main({command}))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = gl.Checkpoints(run).files()[-1]
    assert int(last.stem.split("-")[1]) >= 19


class Remembers(gl.Callback):
    """A callback that has something else to remember."""

    def state(self):
        return {"something": 1}


def test_other_callbacks(tmp_path):
    fit(model_of(), epochs=2, checkpoints=tmp_path, early_stopping=5)
    with pytest.raises(gl.SavedFileError, match=r"callbacks .*EarlyStopping.*, this one .*Remembers"):
        fit(model_of(), epochs=4, checkpoints=tmp_path, resume=True, callbacks=[Remembers()])


PARTS = ("started", "blocks", "total", "stopped", "told", "history", "hyper", "callbacks", "watchers")


@pytest.mark.parametrize("part", PARTS)
def test_a_checkpoint_that_lacks_a_part(tmp_path, part):
    fit(model_of(), epochs=2, checkpoints=tmp_path)
    for path in tmp_path.glob("checkpoint-*.npz"):
        arrays = files.read_archive(path)
        about = json.loads(bytes(arrays["about"]))
        del about["run"][part]
        files.write_archive(path, {**arrays, "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)})
    model = model_of()
    before = model.params.flat.copy()
    with pytest.raises(gl.SavedFileError, match=f"it has no {part} that can be read"):
        fit(model, checkpoints=tmp_path, resume=True)
    assert (model.params.flat == before).all()


@pytest.mark.parametrize("part", ["started", "blocks", "total"])
def test_numbers_that_no_float_holds(tmp_path, part):
    fit(model_of(), epochs=2, checkpoints=tmp_path)
    for path in tmp_path.glob("checkpoint-*.npz"):
        arrays = files.read_archive(path)
        about = json.loads(bytes(arrays["about"]))
        about["run"][part] = 10**400
        files.write_archive(path, {**arrays, "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)})
    with pytest.raises(gl.SavedFileError, match=f"it has no {part} that can be read"):
        fit(model_of(), checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize("values", [3, ["much"], {"1": 2}, [10**400]])
def test_a_history_that_is_none(tmp_path, values):
    fit(model_of(), epochs=2, checkpoints=tmp_path)
    for path in tmp_path.glob("checkpoint-*.npz"):
        arrays = files.read_archive(path)
        about = json.loads(bytes(arrays["about"]))
        about["run"]["history"]["loss"] = values
        files.write_archive(path, {**arrays, "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)})
    with pytest.raises(gl.SavedFileError, match="it has no history that can be read"):
        fit(model_of(), checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize("part", ["best_epoch", "best", "waited"])
@pytest.mark.parametrize("value", [[3], "3", {}])
def test_what_a_callback_remembered_is_damaged(tmp_path, part, value):
    fit(model_of(), epochs=2, checkpoints=tmp_path, early_stopping=2)
    for path in tmp_path.glob("checkpoint-*.npz"):
        arrays = files.read_archive(path)
        about = json.loads(bytes(arrays["about"]))
        about["run"]["watchers"][0][part] = value
        files.write_archive(path, {**arrays, "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)})
    with pytest.raises(gl.SavedFileError, match=rf"what EarlyStopping remembered cannot be read \({part} is"):
        fit(model_of(), checkpoints=tmp_path, resume=True, early_stopping=2)


@pytest.mark.parametrize(("first", "second"), [((slice(5), slice(5)), (slice(5, 10),) * 2), (None, (slice(5),) * 2)])
def test_other_rows_to_validate_on(tmp_path, first, second):
    held = [at and (X[at[0]], Y[at[1]]) for at in (first, second)]
    fit(model_of(), epochs=2, checkpoints=tmp_path, validation=held[0])
    with pytest.raises(gl.SavedFileError, match="another validation"):
        fit(model_of(), epochs=4, checkpoints=tmp_path, resume=True, validation=held[1])


class Counts(gl.Callback):
    """A callback that remembers numbers of NumPy."""

    def state(self):
        return {"rows": np.int64(7), "scale": np.float32(0.5)}

    def restore(self, state):
        self.found = state


def test_numbers_of_numpy(tmp_path):
    fit(model_of(), epochs=1, checkpoints=tmp_path, callbacks=[Counts()])
    again = Counts()
    fit(model_of(), epochs=2, checkpoints=tmp_path, resume=True, callbacks=[again])
    assert again.found == {"rows": 7, "scale": 0.5}
