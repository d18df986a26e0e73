"""`Fit`: the epochs of a training, from checked data to a history."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, DivergenceError, LossError, UndefinedError
from ..symbolic.network import Network
from .callbacks import as_callbacks
from .checkpoint_files import as_checkpoints, digest_of
from .data import Data
from .history import History
from .interrupts import held_back
from .keeper import Keeper, Parts, Position
from .mapped_arrays import streamed
from .metrics import choose_metrics
from .progress import Progress
from .scoring import score
from .training import rows_per_block

if TYPE_CHECKING:
    from .model import Model

Array = NDArray[Any]
BETWEEN = -1  # steps of a `Position` while an epoch is counted and callbacks hear of it: nowhere to go on from
SPLIT_SEED = 20_240_229  # with the model's seed: the same model splits the same data the same way in every fit


class Fit:
    """One fit of a model to checked data; see `Model.fit` for what it takes.

    Attributes
    ----------
    rows, held_out : the rows that are trained on, and the data that are not
    trainer, history, watchers : what trains, what was measured, and the callbacks
    place : where it is
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        *,
        epochs: int,
        batch: int,
        optimizer: Any,
        validation: Any,
        shuffle: bool,
        callbacks: Any,
        early_stopping: Any,
        progress: bool | Literal["auto"],
        metrics: Any,
        checkpoints: Any,
        resume: bool,
    ) -> None:
        check_count("epochs", epochs, least=0)
        check_count("batch", batch)
        check_flag("shuffle", shuffle)
        check_flag("resume", resume)
        options = as_checkpoints(checkpoints)
        if resume and options is None:
            raise DataError("resume is True, but there are no checkpoints; give their directory: checkpoints='run'")
        self.model, self.data, self.epochs, self.batch, self.shuffle = model, data, epochs, batch, shuffle
        self.watchers = as_callbacks(callbacks, early_stopping)
        self.rows, self.held_out = split(model, data, validation, shuffle)
        self.metrics = choose_metrics(metrics, data.of_role("target"))
        self.trainer = model.trainer(optimizer, min(batch, len(self.rows)))
        self.history = model.history = History()
        self.block = rows_per_block(model.network, model.sizes, batch, model.target)
        self.trainer.choose_threads(batch, min(self.block, len(self.rows)))
        self.place = Position(model.epochs, self.trainer.steps, model.order.bit_generator.state)
        self.keeper: Keeper | None = None
        if options is not None:
            told = {"batch": int(batch), "block": self.block, "rows": len(self.rows), "shuffle": bool(shuffle)}
            parts = Parts(model, self.trainer, self.history, self.watchers, {**told, "data": digest_of(data)})
            self.keeper = Keeper(options, resume=bool(resume), parts=parts)
        self.bar = Progress(epochs * self._steps(len(self.rows)), progress)

    def run(self) -> History:
        """Train, from the newest checkpoint on if there is one."""
        model, place = self.model, self.place
        try:
            for watcher in self.watchers:
                watcher.on_data(self.data, self.rows)
                watcher.on_train_begin(model)
            if self.keeper is not None:
                place = self.place = self.keeper.restore(place)
            first, last = model.epochs + 1, place.started + self.epochs
            self.bar.advance((model.epochs - place.started) * self._steps(len(self.rows)))
            self.trainer.begin()
            held = self.trainer.hold(self.data)
            scored = held if self.held_out is None else self.trainer.hold(self.held_out)
            for epoch in range(first, last + 1):
                if place.stopped:
                    break
                self.bar.epoch(epoch, last)
                row = {"epoch": epoch, "loss": self._epoch(held, epoch), **self._scores(scored)}
                # A checkpoint has an epoch with all that the callbacks make of it, or without it.
                with contextlib.nullcontext() if self.keeper is None else held_back():
                    self._tell(epoch, row)
                if self.keeper is not None:
                    self.keeper.offer(place)
            if self.keeper is not None:
                self.keeper.write(place)
        except KeyboardInterrupt:
            # Where a call of the kernel was stopped the trainer has gone back to its beginning.
            if self.keeper is not None and place.steps == self.trainer.steps:
                self.keeper.write(place)
            raise
        finally:
            self.bar.close()
            self.trainer.end()
            if self.keeper is not None:
                self.keeper.close()
        for watcher in self.watchers:
            watcher.on_train_end(model, self.history)
        return self.history

    def _epoch(self, data: Data, epoch: int) -> float:
        """One pass over the rows, from `place` on; returns the mean loss."""
        place = self.place
        place.order = self.model.order.bit_generator.state
        order = self.model.order.permutation(self.rows) if self.shuffle else self.rows
        blocks = [order[start : start + self.block] for start in range(0, len(order), self.block)]
        rows = sum(map(len, blocks[: place.blocks]))
        self.bar.advance(self._steps(rows))
        for part, at, block in streamed(data, blocks[place.blocks :]):
            try:
                loss = self.trainer.run(part, at, self.batch)
            except DivergenceError as error:
                raise DivergenceError(
                    f"training diverged in epoch {epoch}: {error}. The last good parameters are kept; "
                    "try a smaller learning rate, or scale the data"
                ) from None
            done = self.trainer.steps - place.steps
            # The steps last: a Ctrl-C in between finds no place to go on from.
            place.blocks, place.total, place.steps = place.blocks + 1, place.total + loss, self.trainer.steps
            rows += len(block)
            self.bar.advance(done, place.total / rows)
            if self.keeper is not None and place.blocks < len(blocks):
                self.keeper.offer(place)
        return place.total / rows

    def _scores(self, data: Data) -> dict[str, float]:
        """What is measured after an epoch, of the data that are held out or, of metrics, of all."""
        model, flat, chosen = self.model, self.trainer.flat, self.metrics
        if self.held_out is not None:
            scores = score(model.program, flat, data, self.batch, chosen, self.held_out)
            return {f"val_{name}": value for name, value in scores.items()}
        if not chosen:
            return {}
        scores = score(model.program, flat, data, self.batch, chosen, self.data)
        return {name: value for name, value in scores.items() if name in chosen}

    def _tell(self, epoch: int, row: dict[str, float]) -> None:
        """Count an epoch, and let the callbacks hear of it."""
        place, model, trainer = self.place, self.model, self.trainer
        place.steps, model.epochs = BETWEEN, epoch
        if self.watchers:
            trainer.fetch()
        for watcher in self.watchers:
            row |= watcher.measure(model, epoch)
        self.history.append(row)
        self.bar.finish_epoch(row)
        # Every callback hears of every epoch, whichever of them ends the training.
        place.stopped = True in [watcher.on_epoch_end(model, epoch, row) for watcher in self.watchers]
        if self.watchers:
            trainer.begin()  # they may have changed parameters
        place.blocks, place.total, place.order = 0, 0.0, model.order.bit_generator.state
        place.steps = trainer.steps

    def _steps(self, rows: int) -> int:
        return -(-rows // self.batch)


def split(model: Model, data: Data, validation: Any, shuffle: bool) -> tuple[Any, Data | None]:
    """The rows to train on, and the data to validate on.

    Raises
    ------
    DataError
        If `validation` is neither a fraction, nor a pair of data, nor None, or leaves no row for one of the two.
    """
    everything = np.arange(data.rows, dtype=np.int64)
    if validation is None or (isinstance(validation, int | float) and validation == 0):
        return everything, None
    if isinstance(validation, tuple | list) and len(validation) == 2:
        held = model.check(validation[0], validation[1])
        return everything, held
    if isinstance(validation, bool) or not isinstance(validation, int | float) or not 0 < validation < 1:
        raise DataError(f"validation is {validation!r}; expected a fraction between 0 and 1, a pair (X, Y), or None")
    if not any(data.batched):
        raise DataError("this network has no batch axis, so no rows can be held out; leave validation away")
    count = math.floor(data.rows * validation + 0.5)
    if not 0 < count < data.rows:
        raise DataError(
            f"validation={validation} of {data.rows} rows leaves {count} rows for validation and {data.rows - count} "
            "for training; both need at least one"
        )
    if shuffle:
        everything = np.random.default_rng([SPLIT_SEED, model.seed]).permutation(everything)
    return np.sort(everything[:-count]), data.part(np.sort(everything[-count:]))


def check_trainable(network: Network) -> None:
    """
    Raises
    ------
    LossError, UndefinedError
        If there is no loss to lower, or no parameter to lower it with.
    """
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    if not network.parameters:
        raise UndefinedError(f"{network.name} has no parameters, so there is nothing to train")


def check_flag(name: str, value: Any) -> None:
    """
    Raises
    ------
    DataError
        If `value` is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{name} is {value!r}; expected True or False")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """
    Raises
    ------
    DataError
        If `value` is not a whole number of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{name} is {value!r}; expected a whole number of at least {least}")
