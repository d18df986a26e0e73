"""Training that people watch: pages that grow, event files, notebooks, and what Ctrl-C keeps."""

from __future__ import annotations

import contextlib
import re
import signal
import struct
import subprocess
import sys
import types
import xml.dom.minidom

import numpy as np
import pytest
from small_models import MODEL, X, Y, model_of, network

import gradloom as gl
from gradloom.runtime import progress, watchers

SGD = gl.optimizers.SGD


@pytest.fixture(scope="module", name="net")
def small_network():
    return network()


def fit(net, *callbacks, epochs=3, **options):
    model = model_of(net)
    return model, model.fit(X, Y, epochs=epochs, batch=10, optimizer=SGD(lr=0.05), callbacks=callbacks, **options)


# ---- pages -----------------------------------------------------------------------------------------------------------


def test_a_page_grows_and_loads_itself_again(net, tmp_path):
    path, pages = tmp_path / "curves.html", []
    curves = gl.LiveCurves(path, seconds=1e-6)
    fit(net, curves, lambda *_: pages.append(path.read_text()), validation=0.2)
    assert len(pages) == 3
    for number, page in enumerate(pages, start=1):
        assert '<meta http-equiv="refresh" content="1">' in page
        assert f"{number} epochs; training goes on." in page
        assert "<title>Training of small</title>" in page
        assert page.count("<svg") == 1
    end = path.read_text()
    assert "3 epochs; training has ended." in end
    assert "refresh" not in end
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"|"http://www.w3.org/[^"]*"', "", end), (
        "it needs nothing else"
    )
    xml.dom.minidom.parseString(re.search(r"<svg.*</svg>", end, re.DOTALL)[0])


def test_a_page_is_drawn_only_so_often(net, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        gl.History, "picture", lambda history: drawn.append(len(history["epoch"])) or gl_picture(history)
    )
    gl_picture = gl.training_curves
    fit(net, gl.LiveCurves(tmp_path / "curves.html", seconds=1e6), epochs=5)
    assert drawn == [1, 5]


def test_a_page_that_cannot_be_written(net, tmp_path):
    with pytest.raises(gl.SavedFileError, match=r"cannot write .*none.curves\.html"):
        fit(net, gl.LiveCurves(tmp_path / "none" / "curves.html"))
    for seconds in (0, -1, float("inf"), True, "1"):
        with pytest.raises(gl.DataError, match="seconds between pictures"):
            gl.LiveCurves(seconds=seconds)


# ---- notebooks -------------------------------------------------------------------------------------------------------


@pytest.fixture(name="notebook")
def fake_notebook(monkeypatch):
    """IPython as a kernel has it, which notes what is shown."""
    shown = []

    class Handle:
        def update(self, thing):
            shown.append(("update", thing))

    def display(thing, display_id):
        shown.append(("display", thing))
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=None)
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    return shown


def test_curves_in_a_notebook(net, notebook):
    fit(net, gl.LiveCurves(seconds=1e-6))
    assert [what for what, _ in notebook] == ["display", "update", "update", "update"]
    assert all(picture._repr_svg_().startswith("<") for _, picture in notebook)


def test_a_bar_in_a_notebook(net, notebook, capsys):
    """Standard error is no terminal there; without ipywidgets the bar is text."""
    assert watchers.is_notebook()
    fit(net)
    assert "epoch 3/3" in capsys.readouterr().err


def test_no_notebook(net):
    assert not watchers.is_notebook()
    with pytest.raises(gl.MissingExtraError, match="there is no notebook to draw curves in; give a file"):
        fit(net, gl.LiveCurves())
    assert progress._bar(False).__module__.startswith("tqdm")


# ---- TensorBoard -----------------------------------------------------------------------------------------------------


def scalars(folder):
    """Every number in event files, by name and step; the records are length, checksum, message, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
            at += 16 + length
    return found


def test_event_files(net, tmp_path):
    pytest.importorskip("tensorboardX")
    _, history = fit(net, gl.TensorBoard(tmp_path), validation=0.2)
    found = scalars(tmp_path)
    assert set(found) == {(name, epoch) for name in ("loss", "val_loss") for epoch in (1, 2, 3)}
    for (name, epoch), value in found.items():
        assert value == np.float32(history[name][epoch - 1])


def test_event_files_need_a_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(gl.MissingExtraError, match=r"pip install 'gradloom\[tensorboard\]'"):
        gl.TensorBoard(tmp_path)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_the_command(tmp_path):
    from gradloom.cli import main

    pytest.importorskip("tensorboardX")
    model, page, events = tmp_path / "model.py", tmp_path / "live.html", tmp_path / "events"
    model.write_text(MODEL)
    assert main(["train", str(model), "--live", str(page), "--tensorboard", str(events)]) == 0
    assert "training has ended" in page.read_text()
    assert ("loss", 3) in scalars(events)


def test_ctrl_c_keeps_the_last_and_the_best(tmp_path):
    """Of a training that becomes worse, a while ago."""
    model, saved = tmp_path / "model.py", tmp_path / "saved.npz"
    model.write_text(
        MODEL.replace("SGD(lr=0.1)", "SGD(lr=0.05)")
        + "\nimport time\ndef report(model, epoch):\n    if epoch > 20:\n        model.params.flat[:] = 3\n"
        + "    print(epoch, model.evaluate(*data)['loss'], flush=True)\n    time.sleep(0.1 * (epoch > 40))\n"
    )
    command = ["train", str(model), "--epochs", "1000000", "--patience", "1000000", "--save", str(saved)]
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from gradloom.cli import main; "
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code} raise SystemExit(main({command}))"], stdout=subprocess.PIPE, text=True
    )
    for _ in range(40):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    epoch = int(re.search(r"those of epoch (\d+), the best, are saved to .*saved-best.npz", out)[1])
    with np.load(saved) as last, np.load(tmp_path / "saved-best.npz") as best:
        names = [name for name in last.files if name.startswith("parameter.")]
        assert epoch < 39
        assert any((last[name] != best[name]).any() for name in names)


@pytest.mark.parametrize("blocks", [0, 1])
def test_ctrl_c_in_the_first_epoch_keeps_the_steps_that_were_made(blocks, tmp_path, monkeypatch, capsys):
    """Before the first step there is nothing to keep, and a file that is there stays."""
    from gradloom.cli import main
    from gradloom.runtime.training import Trainer

    made, run = [], Trainer.run

    def stopped(trainer, data, order, batch):
        if len(made) == blocks:
            raise KeyboardInterrupt
        loss = run(trainer, data, order, batch)
        made.append(trainer.params.flat.copy())
        return loss

    monkeypatch.setattr(Trainer, "run", stopped)
    monkeypatch.setattr(Trainer, "rows_per_call", lambda *_: 10)
    model, saved = tmp_path / "model.py", tmp_path / "saved.npz"
    model.write_text(MODEL)
    saved.write_text("of before")
    assert main(["train", str(model), "--save", str(saved)]) == 130
    assert len(made) == blocks
    if not blocks:
        assert saved.read_text() == "of before"
        return
    with np.load(saved) as last:
        names = [name for name in last.files if name.startswith("parameter.")]
        np.testing.assert_array_equal(np.concatenate([last[name].ravel() for name in names]), made[-1])


@pytest.mark.parametrize("then", [None, RuntimeError("no compiled object yet")])
def test_ctrl_c_that_a_compiler_drops_still_stops(then, net, monkeypatch):
    """What is raised in a callback from LLVM is printed and forgotten; an error of the compiler may follow."""
    from gradloom.runtime.training import Trainer

    run = Trainer.run

    def dropping(*arguments):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        if then is not None:
            raise then
        return run(*arguments)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Trainer, "run", dropping)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(net)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
