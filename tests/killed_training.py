"""A training that is killed again and again: ``python killed_training.py KILLS EPOCHS FOLDER SEED``.

Each attempt is a process of its own, forked from one that has all kernels loaded, and goes on from the last checkpoint
until a SIGKILL comes, at a random instant. Prints how many were killed, how many checkpoints those found, and whether
what came out is, bit for bit, what an uninterrupted training gives.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np

import gradloom as gl
from gradloom.runtime import training

training.BLOCK = 3e5  # calls of a few steps: several in an epoch
EPOCHS = int(sys.argv[2])


def train(folder: Path | None) -> dict[str, np.ndarray]:
    """All that a training ends with."""
    net = gl.Sequential(
        [gl.layers.Dense(13, gl.tanh), gl.layers.Dropout(0.2), gl.layers.Dense(3, gl.softmax)],
        input_shape=7,
        loss=gl.losses.CrossEntropy(),
        name="killed",
    )
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(997, 7)), rng.integers(0, 3, 997)
    model, norms = gl.Model(net, seed=5), gl.GradientNorms(rows=11)
    stopping = gl.EarlyStopping(patience=EPOCHS, restore_best=True)
    history = model.fit(
        x,
        labels,
        epochs=EPOCHS,
        batch=17,
        optimizer=gl.optimizers.Adam(lr=0.003),
        validation=0.2,
        callbacks=norms,
        early_stopping=stopping,
        checkpoints=None if folder is None else gl.Checkpoints(folder, seconds=0),
        resume=folder is not None,
    )
    columns = {f"history {name}": np.array(values) for name, values in history.columns.items()}
    found = {f"norm of {name}": np.array(values) for name, values in norms.norms.items()}
    return {
        "parameters": model.params.flat,
        "state": model._trainer.state,
        "steps": np.array([model._trainer.steps, model.epochs, stopping.best_epoch]),
        "order": np.array(str(model.order.bit_generator.state)),
        **columns,
        **found,
    }


def main(kills: int, folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    whole = train(None)
    begun = time.perf_counter()
    train(folder / "alone")  # how long one takes that is not killed
    seconds = time.perf_counter() - begun
    killed = resumed = number = 0
    differ: set[str] = set()
    while killed < kills:
        number += 1
        run, end = folder / f"run{number}", folder / f"end{number}.npz"
        while not end.exists():
            resumed += bool(list(run.glob("checkpoint-*")))
            child = os.fork()
            if not child:
                attempt(run, end)
            if killed < kills:
                time.sleep(chance.uniform(0, 2 * seconds / min(kills, 20)))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            killed += os.WIFSIGNALED(status)
            assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "an attempt failed"
        with np.load(end) as found:
            assert set(found.files) == set(whole)
            differ |= {name for name in whole if whole[name].tobytes() != found[name].tobytes()}
    print(f"{killed} killed, {resumed} went on from a checkpoint; differ: {', '.join(sorted(differ)) or 'none'}")


def attempt(run: Path, end: Path) -> NoReturn:
    """Train to the end, which is written whole or not at all, and leave the process."""
    try:
        found = train(run)
        np.savez(end.with_suffix(".tmp.npz"), **found)
        os.replace(end.with_suffix(".tmp.npz"), end)
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[3]), int(sys.argv[4]))
