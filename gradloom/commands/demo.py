"""``gradloom demo``: the whole story on real handwritten digits, from equations to a trained network."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..symbolic.activations import sigmoid
from ..symbolic.errors import DataError, GradloomError, MissingExtraError
from ..symbolic.layers import Dense
from ..symbolic.losses import SquaredError
from ..symbolic.optimizers import SGD
from ..symbolic.sequential import Sequential
from .output import write_text

if TYPE_CHECKING:
    from ..runtime.datasets import Dataset
    from ..runtime.history import History
    from ..runtime.model import Model

HELP = "the whole story on real handwritten digits, in under a minute"
HIDDEN = 30
EPOCHS = 30
BATCH = 10
RATE = 3.0
HELD_OUT = 0.2
SEED = 0


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", metavar="FILE", help="images and labels instead of the bundled digits: .npz, IDX, …")
    command.add_argument("--out", metavar="DIR", default="gradloom-demo", help="where to write (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    return run_demo(options.data, Path(options.out))


def run_demo(data: str | None, folder: Path) -> int:
    """Tell the story; write what comes of it to `folder`.

    Parameters
    ----------
    data : an ``.npz`` file with images and labels, or None for scikit-learn's digits.

    Raises
    ------
    DataError
        If the data cannot be read, or are not classes.
    """
    from ..runtime.datasets import load_digits, load_file
    from ..runtime.gradcheck import gradcheck
    from ..runtime.model import Model

    started = time.perf_counter()
    dataset = load_digits() if data is None else load_file(data)
    x, y, classes = _rows(dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GradloomError(f"cannot write to {folder}: {error.strerror or error}") from error

    _title("1. The data")
    print(f"{dataset.title}, {classes} classes.")
    print(f"{1 - HELD_OUT:.0%} of the rows to train on, {HELD_OUT:.0%} to test on.")

    _title("2. The network, declared, and its gradients, derived")
    network = Sequential(
        [Dense(HIDDEN, sigmoid), Dense(classes, sigmoid)], input_shape=x.shape[1], loss=SquaredError(), name="demo"
    )
    derivation = network.derive()
    print(derivation.text())
    write_text(folder / "derivation.md", f"# Network and gradients\n\n{derivation.markdown(steps=True)}")
    write_text(folder / "derivation.tex", derivation.latex(steps=True, standalone=True))

    _title("3. The derived gradients against finite differences")
    print("Compiling (the first time takes some seconds; after that the kernels come from a cache) …", flush=True)
    result = gradcheck(network, entries=40)
    print(result)
    if not result.ok:
        print("They do NOT agree.")
        return 1
    print("They agree.")

    _title("4. Training")
    model = Model(network, seed=SEED)
    print(
        f"{model.params.count:,} parameters, {EPOCHS} epochs, batches of {BATCH}, SGD with rate {RATE:g} …", flush=True
    )
    clock = time.perf_counter()
    history = model.fit(x, y, epochs=EPOCHS, batch=BATCH, optimizer=SGD(lr=RATE), validation=HELD_OUT)
    trained = time.perf_counter() - clock
    for line in history.lines(8):
        print(line.replace("val_loss", "test_loss").replace("val_accuracy", "test_accuracy"))
    print(f"{EPOCHS} epochs in {trained:.1f} s, compiling included.")

    _title("5. What was written")
    written = _write(folder, model, history)
    for name, what in written.items():
        print(f"  {folder / name}  {what}")
    print()
    print(f"Test accuracy {history.val_accuracy[-1]:.2%}, {time.perf_counter() - started:.0f} s in all.")
    return 0


def _rows(dataset: Dataset) -> tuple[Any, Any, int]:
    from ..runtime.array_checks import one_hot_rows

    classes = dataset.classes
    if classes is None or classes < 2:
        raise DataError(f"{dataset.title}: the demo classifies, so the labels must be whole numbers 0, 1, …")
    if len(dataset.x) < 10:
        raise DataError(f"{dataset.title}: the demo needs at least 10 rows")
    x = dataset.x.reshape(len(dataset.x), -1)
    return x, one_hot_rows(dataset.y, classes), classes


def _write(folder: Path, model: Model, history: History) -> dict[str, str]:
    """Write the kernels, the model and the picture; name → what it is."""
    written = {
        "derivation.md": "the network and its gradients, step by step, for notebooks and sites",
        "derivation.tex": "the same as a LaTeX document",
        "kernels.py": "the generated kernels: readable, and they run without gradloom",
        "model.npz": "the trained parameters",
    }
    write_text(folder / "kernels.py", model.program.source)
    model.save(folder / "model.npz")
    try:
        history.picture().save(folder / "training.png")
        model.network.derive().picture().save(folder / "network.svg")
    except MissingExtraError as error:
        print(f"(no pictures: {error})")
    else:
        written["training.png"] = "the training curves"
        written["network.svg"] = "the network's dataflow, gradients beside it"
    return written


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)
