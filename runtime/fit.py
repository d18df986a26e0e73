"""`fit`: the epochs of a training, from checked data to a history."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, DivergenceError, LossError, UndefinedError
from ..symbolic.network import Network
from .callbacks import as_callbacks
from .data import Data
from .history import History
from .metrics import choose_metrics
from .progress import Progress
from .scoring import score
from .training import Trainer

if TYPE_CHECKING:
    from .model import Model

Array = NDArray[Any]
SPLIT_SEED = 20_240_229  # with the model's seed: the same model splits the same data the same way in every fit


def fit(
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
) -> History:
    """Train `model` on checked `data`; see `Model.fit`."""
    check_count("epochs", epochs, least=0)
    check_count("batch", batch)
    if not isinstance(shuffle, bool | np.bool_):
        raise DataError(f"shuffle is {shuffle!r}; expected True or False")
    watchers = as_callbacks(callbacks, early_stopping)
    rows, held_out = split(model, data, validation, shuffle)
    chosen = choose_metrics(metrics, data.of_role("target"))
    trainer = model.trainer(optimizer, min(batch, len(rows)))
    history = model.history = History()
    block = trainer.rows_per_call(batch)
    trainer.choose_threads(batch, min(block, len(rows)))
    bar = Progress(epochs * -(-len(rows) // batch), progress)
    for watcher in watchers:
        watcher.on_data(data, rows)
        watcher.on_train_begin(model)
    try:
        trainer.begin()
        held = trainer.hold(data)
        scored = held if held_out is None else trainer.hold(held_out)
        first, last = model.epochs + 1, model.epochs + epochs
        for epoch in range(first, last + 1):
            bar.epoch(epoch, last)
            order = model.order.permutation(rows) if shuffle else rows
            blocks = [order[start : start + block] for start in range(0, len(order), block)]
            loss = _epoch(trainer, held, blocks, batch, epoch, bar)
            model.epochs = epoch
            row = {"epoch": epoch, "loss": loss}
            if held_out is not None:
                scores = score(model.program, trainer.flat, scored, batch, chosen, held_out)
                row |= {f"val_{name}": value for name, value in scores.items()}
            elif chosen:
                scores = score(model.program, trainer.flat, scored, batch, chosen, data)
                row |= {name: value for name, value in scores.items() if name in chosen}
            if watchers:
                trainer.fetch()
            for watcher in watchers:
                row |= watcher.measure(model, epoch)
            history.append(row)
            bar.finish_epoch(row)
            # Every callback hears of every epoch, whichever of them ends the training.
            answers = [watcher.on_epoch_end(model, epoch, row) for watcher in watchers]
            if True in answers:
                break
            if watchers:
                trainer.begin()  # they may have changed parameters
    finally:
        bar.close()
        trainer.end()
    for watcher in watchers:
        watcher.on_train_end(model, history)
    return history


def _epoch(trainer: Trainer, data: Data, blocks: list[Array], batch: int, epoch: int, bar: Progress) -> float:
    """One pass over the rows in `blocks`; returns the mean loss."""
    total, rows = 0.0, 0
    for block in blocks:
        before = trainer.steps
        try:
            total += trainer.run(data, block, batch)
        except DivergenceError as error:
            raise DivergenceError(
                f"training diverged in epoch {epoch}: {error}. The last good parameters are kept; "
                "try a smaller learning rate, or scale the data"
            ) from None
        rows += len(block)
        bar.advance(trainer.steps - before, total / rows)
    return total / rows


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
    return np.sort(everything[:-count]), data.take(np.sort(everything[-count:]))


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


def check_count(name: str, value: Any, least: int = 1) -> None:
    """
    Raises
    ------
    DataError
        If `value` is not a whole number of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{name} is {value!r}; expected a whole number of at least {least}")
