"""How a training goes and ends: progress, callbacks, early stopping, divergence, Ctrl-C."""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from small_models import LABELS, X, Y, classifier, model_of, network

import gradloom as gl

SGD = gl.optimizers.SGD


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module", name="classifier")
def classifier_network():
    return classifier()


# ---- early stopping, callbacks ---------------------------------------------------------------------------------------


def test_early_stopping_restores_the_best(net):
    model = model_of(net)
    kept = []
    stopping = gl.EarlyStopping(patience=3)
    history = model.fit(
        X[:15],
        Y[:15],
        epochs=400,
        batch=5,
        validation=(X[15:], Y[15:]),
        optimizer=SGD(lr=0.3),
        callbacks=lambda model, epoch, logs: kept.append(model.params.flat.copy()),
        early_stopping=stopping,
    )
    best = int(np.argmin(history.val_loss)) + 1
    assert stopping.best_epoch == best
    assert len(history.epoch) == best + 3 < 400
    np.testing.assert_array_equal(model.params.flat, kept[best - 1])


def test_early_stopping_options(net):
    model = model_of(net)
    assert len(model.fit(X, Y, epochs=50, optimizer=SGD(lr=0.0), early_stopping=2).epoch) == 3
    stopping = gl.EarlyStopping(patience=1, min_delta=1e9, monitor="loss", restore_best=False)
    assert len(model.fit(X, Y, epochs=50, optimizer=SGD(lr=0.1), early_stopping=stopping).epoch) == 2
    with pytest.raises(gl.DataError, match="monitors 'val_accuracy', but the epoch has only epoch, loss"):
        model.fit(X, Y, epochs=2, early_stopping=gl.EarlyStopping(monitor="val_accuracy"))
    with pytest.raises(gl.DataError, match="patience of early stopping is 0"):
        model.fit(X, Y, early_stopping=0)


def test_callbacks(net):
    calls = []

    class Watcher(gl.Callback):
        def on_train_begin(self, model):
            calls.append("begin")

        def on_epoch_end(self, model, epoch, logs):
            calls.append((epoch, sorted(logs)))
            return epoch == 2

        def on_train_end(self, model, history):
            calls.append(("end", len(history.epoch)))

    model_of(net).fit(X, Y, epochs=9, callbacks=[Watcher()], optimizer=SGD(lr=0.1))
    assert calls == ["begin", (1, ["epoch", "loss"]), (2, ["epoch", "loss"]), ("end", 2)]
    with pytest.raises(gl.DataError, match=r"neither a gl\.Callback nor a function"):
        model_of(net).fit(X, Y, callbacks=["print"])


# ---- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_divergence_names_the_epoch_and_keeps_good_parameters(net, target):
    model = gl.Model(net, target=target)
    model.fit(X, Y, epochs=2, batch=10, optimizer=SGD(lr=0.1))
    with pytest.raises(gl.DivergenceError, match=r"diverged in epoch \d+: .* step \d+\. The last good parameters"):
        model.fit(X, Y, epochs=200, batch=10, optimizer=SGD(lr=1e4))
    assert np.isfinite(model.params.flat).all()
    assert math.isfinite(model.evaluate(X, Y)["loss"])
    # It can go on from there.
    loss = model.fit(X, Y, epochs=1, batch=10, optimizer=SGD(lr=1e-3)).loss[0]
    assert math.isfinite(loss)


def test_divergence_in_the_very_first_step(net):
    model = gl.Model(net, target="numpy")
    model.params["W1"][:] = np.float32(3e38)
    model.params["W2"][:] = np.float32(3e38)
    before = model.params.flat.copy()
    with pytest.raises(gl.DivergenceError, match=r"epoch 1: the loss became .* at step 1"):
        model.fit(X, Y, epochs=2, optimizer=SGD(lr=0.1))
    np.testing.assert_array_equal(model.params.flat, before)


def test_ctrl_c_stops_and_leaves_the_model_usable():
    """An interrupt in a long training arrives within a second or so, and the model is intact."""
    script = textwrap.dedent("""
        import signal, numpy as np, gradloom as gl
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite run in the background ignores Ctrl-C
        net = gl.Sequential([gl.layers.Dense(7, gl.tanh), gl.layers.Dense(3)], input_shape=5,
                            loss=gl.losses.SquaredError(), name="small")
        sgd = gl.optimizers.SGD(lr=0.01)
        model = gl.Model(net)
        x, y = np.random.default_rng(0).normal(size=(20000, 5)), np.zeros((20000, 3))
        model.fit(x, y, epochs=1, batch=10, optimizer=sgd)
        print("ready", flush=True)
        try:
            model.fit(x, y, epochs=10**9, batch=10, optimizer=sgd)
        except KeyboardInterrupt:
            print(np.isfinite(model.params.flat).all(), len(model.history.epoch) > 0, model.evaluate(x, y)["loss"] < 1)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out == "True True True\n"


# ---- progress --------------------------------------------------------------------------------------------------------


def test_progress_bar_shows_epoch_loss_and_metric(classifier, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    model_of(classifier).fit(X, LABELS, epochs=2, batch=10, validation=0.2, progress=True)
    shown = sys.stderr.getvalue()
    for words in ("epoch 2/2", "100%", "loss=", "val_accuracy="):
        assert words in shown


def test_no_bar_where_nobody_looks_or_without_tqdm(classifier, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    model_of(classifier).fit(X, LABELS, epochs=1, batch=10)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model_of(classifier).fit(X, LABELS, epochs=1, batch=10)
    assert sys.stderr.getvalue() == ""


def test_subnormal_numbers_count_as_0_in_an_epoch_and_nowhere_else():
    """A decaying average of 1e-38 ends in 0 at once, and not some 150 steps later; outside arithmetic is as it was."""
    net = gl.Sequential([gl.layers.Dense(3), gl.layers.Dense(2)], (200,), loss=gl.losses.SquaredError())
    optimizer = gl.optimizers.SGD(lr=0.0, momentum=0.9)
    program = net.compile(optimizer=optimizer, batch=64)
    module = program.module
    size = module.TRAINABLE
    params, grads = np.zeros(size, np.float32), np.zeros(size, np.float32)
    state = np.full((len(module.STATE), size), 2e-38, np.float32)
    x, y = np.zeros((256, 200), np.float32), np.zeros((256, 2), np.float32)
    hyper = np.array([optimizer.values[name] for name in module.HYPER])
    for threads in (1, 2):
        state[:] = 2e-38
        module.epoch(
            params, grads, state, x, y, np.tile(np.arange(256), 8), 64, hyper, 0, module.workspace(64), threads
        )
        assert (state == 0).all()
        assert np.float32(2e-38) * np.float32(0.1) > 0
