"""``gradloom train``: train the network of a MODEL file, show how it went, and save it."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import Any

from ..model_file import ModelFile, load_model_file
from ..symbolic.errors import DivergenceError, UnsupportedError
from .options import (
    add_checkpoint,
    add_model,
    add_optimizer,
    add_precision,
    add_sizes,
    chosen_checkpoint,
    chosen_optimizer,
    chosen_precision,
    chosen_sizes,
    positive,
)

HELP = "train a network and show how it went"
DATA = ".npz, .npy, .csv[:COLUMN], .parquet or IDX (default: the MODEL file's data, or scikit-learn's digits)"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
    command.add_argument("--data", metavar="FILE", help=DATA)
    command.add_argument("--epochs", type=positive, metavar="N")
    command.add_argument("--batch", type=positive, metavar="N", help="rows per step")
    add_checkpoint(command)
    add_precision(command)
    add_optimizer(command)
    command.add_argument("--seed", type=int, metavar="N")
    command.add_argument("--validation", type=float, metavar="FRACTION", help="of the rows, held out")
    command.add_argument("--patience", type=positive, metavar="N", help="stop early after N epochs without improvement")
    command.add_argument("--target", choices=("cpu", "cuda", "numpy"))
    command.add_argument("--dtype", choices=("float32", "float64"))
    add_sizes(command)
    command.add_argument("--save", metavar="FILE", help="write the trained model to FILE (.npz)")
    command.add_argument("--checkpoints", metavar="DIR", help="keep the training in DIR while it goes on")
    command.add_argument("--every", type=float, metavar="SECONDS", help="from one checkpoint to the next (default: 30)")
    command.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in DIR, or begin where there is none"
    )

    command.add_argument("--live", metavar="FILE.html", help="draw the training curves while it goes on")
    command.add_argument("--tensorboard", metavar="DIR", help="write event files for TensorBoard")


def run(options: argparse.Namespace) -> int:
    from ..runtime.ranks import end_all, started_together

    comm = started_together()
    if comm is None:
        return _train(options, None)
    try:
        if comm.Get_rank() == 0:
            return _train(options, comm)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return _train(options, comm)
    except (Exception, KeyboardInterrupt) as error:
        end_all(comm, error)


def _train(options: argparse.Namespace, comm: Any) -> int:
    """Train; of several processes, `comm`, one writes files and reports."""
    from ..runtime.callbacks import as_callbacks
    from ..runtime.datasets import data_for
    from ..runtime.fit_options import check_trainable
    from ..runtime.model import Model
    from ..runtime.saved_files import check_destination
    from ..runtime.watchers import LiveCurves, TensorBoard

    if options.save is not None:
        check_destination(options.save)
    file = load_model_file(options.model)
    network, settings = file.network, dict(file.training)
    # What is wrong with the network is said before anything about data, which may be the bundled digits.
    check_trainable(network)
    network.derive()
    data = file.data if file.data is not None and options.data is None else data_for(network, options.data)
    for name in ("seed", "target", "dtype", "epochs", "batch", "validation"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    settings |= _checkpoints(options)
    watchers: list[Any] = [] if options.live is None else [LiveCurves(options.live)]
    watchers += [] if options.tensorboard is None else [TensorBoard(options.tensorboard)]
    if options.patience is not None:
        settings["early_stopping"] = options.patience
    model = Model(
        network,
        settings.pop("seed", 0),
        settings.pop("target", "cpu"),
        settings.pop("dtype", "float32"),
        chosen_sizes(options, file),
        schedule=settings.pop("schedule", None),
        checkpoint=chosen_checkpoint(options, file),
        precision=chosen_precision(options, file),
    )
    for name in ("sizes", "checkpoint", "precision"):
        settings.pop(name, None)
    settings["optimizer"] = chosen_optimizer(options, file)
    settings["comm"] = comm
    is_first = comm is None or comm.Get_rank() == 0
    model.check(*data)
    if file.report is not None and is_first:
        report = file.report
        report(model, 0)
        watchers.append(lambda model, epoch, logs: report(model, epoch) and None)
    stopping = next(iter(as_callbacks((), settings.pop("early_stopping", None))), None)
    try:
        model.fit(*data, callbacks=watchers, early_stopping=stopping, **settings)
    except KeyboardInterrupt:
        if model.steps and is_first:
            _finish_training(model, settings["optimizer"], file, options.save)
            _save_best(model, stopping, options.save)
        raise
    except DivergenceError as error:
        if options.save is None or not is_first:
            raise
        raise DivergenceError(f"{error}; {_save_last_good(model, Path(options.save))}") from error
    if is_first:
        _finish_training(model, settings["optimizer"], file, options.save)
    return 0


def _checkpoints(options: argparse.Namespace) -> dict[str, Any]:
    from ..runtime.checkpoint_files import Checkpoints

    if options.checkpoints is None:
        for name, given in (("resume", options.resume), ("every", options.every is not None)):
            if given:
                raise UnsupportedError(f"--{name} is about checkpoints, and there are none: add --checkpoints DIR")
        return {}
    every = {} if options.every is None else {"seconds": options.every}
    return {"checkpoints": Checkpoints(options.checkpoints, **every), "resume": options.resume}


def _finish_training(model: Any, optimizer: Any, file: ModelFile, save: str | None) -> None:
    """Show and save what was trained, after Ctrl-C what was trained until then."""
    if file.report is None:
        print(f"{file.network.name}: {model.count:,} parameters, {optimizer!r}")
        print(model.history)
    if save is not None:
        model.save(save)
        print(f"saved to {save}")


def _save_best(model: Any, stopping: Any, save: str | None) -> None:
    """Save the best parameters of a training that was stopped, beside the last ones."""
    best = None if stopping is None or save is None else stopping.best_params(model)
    if best is not None:
        path = Path(str(save))
        beside = path.with_name(f"{path.stem}-best{path.suffix}")
        model.params.fill(best)
        model.save(beside)
        print(f"those of epoch {stopping.best_epoch}, the best, are saved to {beside}")


def _save_last_good(model: Any, path: Path) -> str:
    """Save what a training had before it diverged; beside a file that is there already, which may hold a better one."""
    if not path.exists():
        model.save(path)
        return f"they are saved to {path}"
    beside = path.with_name(f"{path.stem}-last-good{path.suffix}")
    model.save(beside)
    return f"they are saved to {beside}, and {path} is left as it was"
