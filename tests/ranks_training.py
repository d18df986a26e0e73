"""What several processes train: ``mpiexec -n N python ranks_training.py FOLDER CASE …``; rank 0 writes files."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import gradloom as gl
from gradloom.runtime import ranks
from gradloom.runtime.overlap import parts_of

COMM = MPI.COMM_WORLD
LEAST = 3
ranks.least_of = lambda processes, itemsize: LEAST  # or gradients as few as these would be added up in one call
DENSE, SGD, ADAM = gl.layers.Dense, gl.optimizers.SGD, gl.optimizers.Adam


def network(layers, loss=None, shape=5, **options):
    return gl.Sequential(layers, shape, loss=loss or gl.losses.SquaredError(), name="ranks", **options)


def total(layers):
    """A loss that is a sum over the rows, not a mean."""
    net = gl.Sequential(layers, 5, name="ranks")
    b, j = gl.indices("b j")
    y, out = net.target("y", net.output.shape), net.output
    net.minimize(gl.Sum((out[b, j] - y[b, j]) ** 2, b, j))
    return net


NETWORKS = {
    "penalised": lambda: network([DENSE(7, gl.tanh), DENSE(3)], penalties=[gl.losses.L2(0.01)]),
    "noisy": lambda: network([DENSE(7, gl.tanh), gl.layers.Dropout(0.3), DENSE(3)]),
    "sum": lambda: total([DENSE(7, gl.tanh), DENSE(3)]),
    "labels": lambda: network([DENSE(7, gl.relu), DENSE(3)], gl.losses.CrossEntropy(targets="labels")),
    "recurrent": lambda: network([gl.layers.LSTM(4, return_sequences=False), DENSE(3)], shape=(6, 2)),
}


def data_for(name, rows=43):
    rng = np.random.default_rng(23)
    x = rng.normal(size=(rows, 6, 2) if name == "recurrent" else (rows, 5))
    return x, rng.integers(0, 3, rows) if name == "labels" else rng.normal(size=(rows, 3))


def train(name, target="numpy", seed=4, epochs=3, **options):
    """A model after a few epochs, of which the last mini-batch has fewer rows than there may be processes."""
    optimizer = ADAM(lr=0.01, clip_norm=0.7) if name == "penalised" else SGD(lr=0.02, momentum=0.9)
    model = gl.Model(NETWORKS[name](), seed=seed, target=target, dtype="float64")
    settings = {
        "batch": 10,
        "validation": 0.07,
        "optimizer": optimizer,
        "comm": COMM,
        "overlap": target == "cpu",
        **options,
    }
    history = model.fit(*data_for(name), epochs=epochs, **settings)
    return model, history


def trajectories(folder):
    """Every network, the numbers of each epoch; all processes must have the same parameters at the end."""
    for name in NETWORKS:
        seen = []
        target = "cpu" if name == "noisy" else "numpy"

        def see(model, epoch, logs, seen=seen):
            seen.append(model.params.flat.copy())
            if epoch == 2:
                model.params.flat *= 0.5  # what a callback changes all have

        model, history = train(name, target, callbacks=see, early_stopping=5)
        others = COMM.gather((model.params.flat.tobytes(), model._trainer.state.tobytes(), repr(history.columns)))
        assert COMM.rank or all(other == others[0] for other in others), name
        assert bool(seen) == (COMM.rank == 0), "rank 0 alone has callbacks"
        parts = parts_of(model.program.module, LEAST)
        assert (len(parts) > 1) == (target == "cpu" and COMM.size > 1), "the last layer is added up first"
        if COMM.rank == 0:
            columns = {f"history {key}": np.array(values) for key, values in history.columns.items()}
            np.savez(folder / f"{name}-{COMM.size}.npz", parameters=seen, end=model.params.flat, **columns)


def unseeded(folder):
    """Without a seed each process begins elsewhere; they train what rank 0 has."""
    model, _ = train("noisy", seed=None)
    assert len(set(COMM.allgather(model.params.flat.tobytes()))) == 1


def refused(folder):
    """Errors that all processes raise together; afterwards they can go on."""
    cases = {
        "mixed": (gl.UnsupportedError, train_mixed),
        "data": (gl.DataError, lambda: train_on(COMM.rank)),
        "diverged": (gl.DivergenceError, lambda: train("sum", optimizer=SGD(lr=1e6), epochs=50)),
        "folder": (gl.SavedFileError, lambda: train("sum", checkpoints=__file__)),
        "callback": (ZeroDivisionError, lambda: train("sum", callbacks=lambda *_: 1 / 0)),
        "overlap": (gl.UnsupportedError, lambda: train("sum", overlap=True)),
        "choice": (gl.DataError, lambda: train("sum", overlap=bool(COMM.rank))),
    }
    lines = []
    for name, (kind, function) in cases.items():
        try:
            function()
        except kind as error:
            lines.append(f"{name}: {error}")
        COMM.Barrier()
    train("sum")
    found = COMM.gather(lines)
    if COMM.rank == 0:
        assert all(other == found[0] for other in found), found
        (folder / f"refused-{COMM.size}.txt").write_text("\n".join(found[0]))


def train_mixed():
    net = network([DENSE(7), gl.layers.BatchNorm(), DENSE(3)])
    gl.Model(net, target="numpy").fit(*data_for("sum"), comm=COMM)


def train_on(rank):
    x, y = data_for("sum")
    gl.Model(NETWORKS["sum"](), target="numpy").fit(x + rank, y, comm=COMM)


def checkpointed(folder):
    """Half of a training; then, where there is a checkpoint, the rest."""
    has = COMM.bcast(bool(list((folder / "run").glob("*.npz"))))
    model, history = train("noisy", epochs=8 if has else 3, checkpoints=folder / "run", resume=has)
    if has and COMM.rank == 0:
        np.savez(folder / "resumed.npz", end=model.params.flat, loss=history["loss"])


def dying(folder):
    """The last process dies in the midst of a training."""
    step, steps = ranks.Ranks._step, []

    def counted(self, *arguments):
        if len(steps) == 30 and COMM.rank == COMM.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(step(self, *arguments))
        return steps[-1]

    ranks.Ranks._step = counted
    train("noisy", epochs=8, checkpoints=gl.Checkpoints(folder / "run", seconds=0))


def failing(folder):
    """One process comes upon an error that no other has."""
    if COMM.rank == 1:
        ranks.Ranks._noise = lambda *_: 1 / 0
    train("noisy")


if __name__ == "__main__":
    for case in sys.argv[2:]:
        globals()[case](Path(sys.argv[1]))
