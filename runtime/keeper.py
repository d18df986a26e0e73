"""`Keeper`: writes the checkpoints of one fit, and goes back to the last of them.

A checkpoint is a saved model, which `Model.load` reads, and beside it what `fit` needs to go on: where in which epoch
it is, what the callbacks remember, and what it was told. The numbers are then the same, bit for bit, as if nothing had
happened.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..symbolic.errors import SavedFileError
from .callbacks import Callback
from .checkpoint_files import PATTERN, Checkpoints, lock
from .files import remove_unfinished
from .history import History
from .saved_files import Saved, read_file, write_file
from .training import Trainer, noise_seed

if TYPE_CHECKING:
    from pathlib import Path

    from .model import Model

SETTINGS = ("seed", "dtype", "precision", "sizes", "optimizer")  # of a saved model, which must be the same
KINDS: dict[str, Any] = {  # of the parts of `Saved.run`
    "started": int,
    "blocks": int,
    "total": int | float,
    "stopped": bool,
    "told": dict,
    "history": dict,
    "hyper": list,
    "callbacks": list,
    "watchers": list,
}


@dataclass
class Position:
    """Where a fit is.

    Attributes
    ----------
    started : how many epochs the model had been trained for when it began
    steps : how many the trainer had done when it was there
    order : the state of the random order when the epoch in progress began
    blocks : how many calls of that epoch are done
    total : the sum of the losses in them
    stopped : whether a callback has ended the training
    """

    started: int
    steps: int
    order: Any
    blocks: int = 0
    total: float = 0.0
    stopped: bool = False


@dataclass(frozen=True)
class Parts:
    """All that a fit consists of; `told` is what it was told, as numbers and texts."""

    model: Model
    trainer: Trainer
    history: History
    watchers: Sequence[Callback]
    told: Mapping[str, Any]


class Keeper:
    """Writes the checkpoints of one fit, and goes back to the last of them.

    Raises
    ------
    SavedFileError
        If the directory cannot be written to, is another process's, or has checkpoints though none is to be resumed.
    """

    def __init__(self, options: Checkpoints, *, resume: bool, parts: Parts) -> None:
        self.options, self.parts = options, parts
        self._hyper = dict(parts.trainer.program.optimizer.values)
        self._lock = lock(options.folder)
        try:
            remove_unfinished(options.folder, PATTERN)
            found = options.files()
            if found and not resume:
                raise SavedFileError(
                    f"{options.folder} has checkpoints of an earlier training, up to {found[-1].name}; go on from them "
                    "with resume (--resume on the command line), or name another directory"
                )
        except BaseException:
            self.close()
            raise
        self._written = time.monotonic()

    def close(self) -> None:
        """Leave the directory to others."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ---- writing ---------------------------------------------------------------------------------------------------

    def offer(self, position: Position) -> None:
        """Write a checkpoint if the last is old enough."""
        if time.monotonic() - self._written >= self.options.seconds:
            self.write(position)

    def write(self, position: Position) -> None:
        """Write a checkpoint, and remove those that are too old.

        Raises
        ------
        SavedFileError
            If it cannot be written; earlier ones are as they were.
        """
        model, trainer = self.parts.model, self.parts.trainer
        trainer.fetch()
        saved = model.saved()
        saved.order = position.order
        states = [watcher.state() for watcher in self.parts.watchers]
        saved.run = {
            "started": position.started,
            "blocks": position.blocks,
            "total": position.total,
            "stopped": position.stopped,
            "told": dict(self.parts.told),
            "history": self.parts.history.columns,
            "hyper": [self._hyper, dict(trainer.program.optimizer.values)],
            "callbacks": self._callbacks(),
            "watchers": [_plain(state) for state in states],
        }
        saved.run_arrays = {
            f"{place}.{name}": value
            for place, state in enumerate(states)
            for name, value in state.items()
            if isinstance(value, np.ndarray)
        }
        path = self.options.folder / f"checkpoint-{model.epochs:06d}-{position.steps:012d}.npz"
        try:
            write_file(path, model.network, saved)
        except SavedFileError as error:
            files = [other.name for other in self.options.files()]
            stands = f"the last one, {files[-1]}, is as it was" if files else "there is no earlier one"
            raise SavedFileError(f"{error}. No checkpoint was written; {stands}") from error
        self._written = time.monotonic()
        for old in self.options.files()[: -self.options.keep]:
            with contextlib.suppress(OSError):
                old.unlink()

    # ---- going on --------------------------------------------------------------------------------------------------

    def restore(self, position: Position) -> Position:
        """Go back to the newest checkpoint that is whole; without any, `position` is where to begin.

        Raises
        ------
        SavedFileError
            If no checkpoint is whole, or they are of another training.
        """
        reasons = []
        for path in reversed(self.options.files()):
            try:
                saved = read_file(path, self.parts.model.network)
                if saved.run is None:
                    raise SavedFileError(f"{path} is a saved model, but no checkpoint of a training; remove it")
                lacking = _lacking(saved.run)
                if lacking:
                    raise SavedFileError(f"{path} is no whole checkpoint: it has no {lacking} that can be read")
            except SavedFileError as error:
                reasons.append(str(error))
                continue
            for reason in reasons:
                warnings.warn(f"{reason}. Training goes on from {path.name}, the one before", stacklevel=4)
            self._compare(path, saved, position)
            return self._restored(saved)
        if reasons:
            raise SavedFileError(f"no checkpoint in {self.options.folder} can be read: {reasons[0]}")
        return position

    def _restored(self, saved: Saved) -> Position:
        model, trainer = self.parts.model, self.parts.trainer
        run: Any = saved.run
        model.params.fill(saved.params)
        assert saved.state is not None, "compared before"
        trainer.resume(saved.state, saved.steps)
        trainer.seed = noise_seed(model.seed, saved.trainings)
        model.epochs, model.trainings = saved.epochs, saved.trainings
        model.order.bit_generator.state = saved.order
        self.parts.history.columns.update({name: list(values) for name, values in run["history"].items()})
        first, last = run["hyper"]
        if first == self._hyper:  # else other numbers are wanted from here on
            trainer.program.optimizer.set(**last)
        for place, (watcher, state) in enumerate(zip(self.parts.watchers, run["watchers"], strict=True)):
            arrays = {
                name.partition(".")[2]: array
                for name, array in saved.run_arrays.items()
                if name.partition(".")[0] == str(place)
            }
            if state or arrays:
                try:
                    watcher.restore({**state, **arrays})
                except (KeyError, TypeError, ValueError) as error:
                    what = f"what {type(watcher).__name__} remembered cannot be read ({error})"
                    raise SavedFileError(f"the checkpoint is damaged: {what}; remove it, or take a copy") from error
        stopped = bool(run["stopped"])
        return Position(run["started"], saved.steps, saved.order, run["blocks"], run["total"], stopped)

    def _callbacks(self) -> list[str]:
        """Of which classes they are: one cannot remember what another gave."""
        return [type(watcher).__name__ for watcher in self.parts.watchers]

    def _compare(self, path: Path, saved: Saved, begun: Position) -> None:
        run: Any = saved.run
        here = self.parts.model.saved()
        there: dict[str, Any] = {name: getattr(saved, name) for name in SETTINGS} | dict(run["told"])
        there |= {"epochs before it": run["started"], "callbacks": run["callbacks"]}
        ours: dict[str, Any] = {name: getattr(here, name) for name in SETTINGS} | dict(self.parts.told)
        ours |= {"epochs before it": begun.started, "callbacks": self._callbacks()}
        if saved.state is None or saved.state.shape != self.parts.trainer.state.shape:
            there["optimizer"] = None
        for name, value in ours.items():
            if there.get(name) != value:
                is_shown = name not in ("optimizer", "data", "validation")
                what = f"{name} {there.get(name)!r}, this one {value!r}" if is_shown else f"another {name}"
                raise SavedFileError(
                    f"{path} is of a training with {what}; go on with the same, or name another directory"
                )


def _lacking(run: Any) -> str | None:
    """Which part of a checkpoint is missing, or of another type than `Keeper.write` gives it."""
    if not isinstance(run, dict):
        return "run"
    wrong = next((name for name, kind in KINDS.items() if not isinstance(run.get(name), kind)), None)
    if wrong is None and len(run["hyper"]) != 2:
        return "hyper"
    if wrong is None and not all(_is_column(values) for values in run["history"].values()):
        return "history"
    if wrong is None:
        wrong = next((name for name in ("started", "blocks", "total") if not _is_number(run[name])), None)
    return "watchers" if wrong is None and len(run["watchers"]) != len(run["callbacks"]) else wrong


def _is_column(values: Any) -> bool:
    return isinstance(values, list) and all(value is None or _is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float holds: JSON has whole numbers of any length."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= 2**53)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in state.items()
        if not isinstance(value, np.ndarray)
    }
