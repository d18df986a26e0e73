"""`Fit`: the epochs of a training, from checked data to a history."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..symbolic.errors import DataError, DivergenceError
from .callbacks import as_callbacks
from .checkpoint_files import as_checkpoints, digest_of
from .data import Data
from .fit_options import check_count, check_flag, split
from .history import History
from .interrupts import ended_in_order, held_back, not_lost
from .keeper import Keeper, Parts, Position
from .mapped_arrays import streamed
from .metrics import choose_metrics
from .progress import Progress
from .ranks import Ranks, ranks_of
from .scoring import score

if TYPE_CHECKING:
    from .model import Model

BETWEEN = -1  # steps of a `Position` while an epoch is counted and callbacks hear of it: nowhere to go on from


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
        comm: Any,
        overlap: bool,
    ) -> None:
        check_count("epochs", epochs, least=0)
        check_count("batch", batch)
        check_flag("shuffle", shuffle)
        check_flag("resume", resume)
        check_flag("overlap", overlap)
        if progress not in (True, False, "auto"):
            raise DataError(f"progress is {progress!r}; expected True, False or 'auto'")
        options = as_checkpoints(checkpoints)
        if resume and options is None:
            raise DataError("resume is True, but there are no checkpoints; give their directory: checkpoints='run'")
        self.model, self.data, self.epochs, self.batch, self.shuffle = model, data, epochs, batch, shuffle
        self.ranks = ranks_of(comm, model.network, model.target, bool(overlap))
        model.seed = self.ranks.first(lambda: model.seed)
        self.watchers = as_callbacks(callbacks, early_stopping)
        self.rows, self.held_out = split(model, data, validation, shuffle)
        self.metrics = choose_metrics(metrics, data.of_role("target"))
        announced = self.ranks.overlaps(model.sizes, model.dtype)
        self.trainer = model.trainer(optimizer, -(-min(batch, len(self.rows)) // self.ranks.size), announced)
        self.history = model.history = History()
        self.block = self.trainer.rows_per_call(batch)
        self.trainer.choose_threads(batch, min(self.block, len(self.rows)))
        self.place = Position(model.epochs, self.trainer.steps, model.order.bit_generator.state)
        self.options, self.resume = options, bool(resume)
        self.keeper: Keeper | None = None  # rank 0 has it
        self.bar = Progress(epochs * self._steps(len(self.rows)), progress if self.ranks.rank == 0 else False)

    def run(self) -> History:
        """Train, from the newest checkpoint on if there is one."""
        with contextlib.nullcontext() if self.options is None else ended_in_order():
            self._train()
        self._first(self._end)
        self._follow()
        return self.history

    def _train(self) -> None:
        try:
            self._begin()
            held = self.trainer.hold(self.data)
            scored = held if self.held_out is None else self.trainer.hold(self.held_out)
            last = self.place.started + self.epochs
            for epoch in range(self.model.epochs + 1, last + 1):
                if self.place.stopped:
                    break
                self.bar.epoch(epoch, last)
                with not_lost():
                    row = {"epoch": epoch, "loss": self._epoch(held, epoch), **self._scores(scored)}
                self._first(self._tell, epoch, row)
                self._follow()
                self._first(self._offer)
            self._first(self._write)
        except KeyboardInterrupt as stop:
            # Where a call of the kernel was stopped the trainer has gone back to its beginning.
            if self.place.steps == self.trainer.steps:
                self._write()
            self.ranks.abort(stop)
        except Exception as error:
            if self.ranks.agreed is not error and not isinstance(error, DivergenceError):
                self.ranks.abort(error)
            raise
        finally:
            self.bar.close()
            self.trainer.end()
            self.trainer.ranks = None
            self.ranks.close()
            if self.keeper is not None:
                self.keeper.close()

    def _begin(self) -> None:
        model, trainer, ranks = self.model, self.trainer, self.ranks
        if isinstance(ranks, Ranks):
            trainer.ranks = ranks
            ranks.same("the data", digest_of(self.data))
            ranks.same("the program", trainer.program.source)

        def begin() -> None:
            if self.options is not None:
                told: dict[str, Any] = {"batch": int(self.batch), "block": self.block, "rows": len(self.rows)}
                told |= {"shuffle": bool(self.shuffle), "data": digest_of(self.data)}
                told |= {"validation": None if self.held_out is None else digest_of(self.held_out)}
                told |= {"metrics": list(self.metrics)}
                parts = Parts(model, trainer, self.history, self.watchers, told)
                self.keeper = Keeper(self.options, resume=self.resume, parts=parts)
            for watcher in self.watchers:
                watcher.on_data(self.data, self.rows)
                watcher.on_train_begin(model)
            if self.keeper is not None:
                self.place = self.keeper.restore(self.place)

        self._first(begin)
        self._follow()
        self.bar.advance((model.epochs - self.place.started) * self._steps(len(self.rows)))
        trainer.begin()

    def _first(self, function: Callable[..., None], *arguments: Any) -> None:
        """Do what one process does for all."""
        self.ranks.first(lambda: function(*arguments))

    def _follow(self) -> None:
        """Have what rank 0 has, whose callbacks may have changed it."""
        if self.ranks.size == 1:
            return
        model, trainer = self.model, self.trainer
        columns, order, values = self.history.columns, model.order.bit_generator, trainer.program.optimizer.values
        found = self.ranks.first(
            lambda: (self.place, dict(columns), order.state, dict(values), model.epochs, model.trainings, trainer.seed)
        )
        if self.ranks.rank:
            self.place, new, order.state, hyper, model.epochs, model.trainings, trainer.seed = found
            columns.update(new)
            trainer.program.optimizer.set(**hyper)
            trainer.steps = self.place.steps
        self.ranks.send(model.params.flat, trainer.state)

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
            if self.options is not None and place.blocks < len(blocks):
                self._first(self._offer)
        return place.total / rows

    def _scores(self, data: Data) -> dict[str, float]:
        """What is measured after an epoch, of the data that are held out or, of metrics, of all."""
        model, flat, chosen = self.model, self.trainer.flat, self.metrics
        if self.held_out is not None:
            scores = score(model.program, flat, data, self.batch, chosen, self.held_out, self.ranks)
            return {f"val_{name}": value for name, value in scores.items()}
        if not chosen:
            return {}
        scores = score(model.program, flat, data, self.batch, chosen, self.data, self.ranks)
        return {name: value for name, value in scores.items() if name in chosen}

    def _tell(self, epoch: int, row: dict[str, float]) -> None:
        """Count an epoch, and let the callbacks hear of it."""
        # A checkpoint has an epoch with all that the callbacks make of it, or without it.
        with contextlib.nullcontext() if self.keeper is None else held_back():
            self._count(epoch, row)

    def _count(self, epoch: int, row: dict[str, float]) -> None:
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

    def _offer(self) -> None:
        if self.keeper is not None:
            self.keeper.offer(self.place)

    def _write(self) -> None:
        if self.keeper is not None:
            self.keeper.write(self.place)

    def _end(self) -> None:
        for watcher in self.watchers:
            watcher.on_train_end(self.model, self.history)

    def _steps(self, rows: int) -> int:
        return -(-rows // self.batch)
