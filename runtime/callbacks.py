"""Callbacks: code of yours that `fit` calls, and `EarlyStopping`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..symbolic.errors import DataError
from .parameters import Parameters

if TYPE_CHECKING:
    from .data import Data
    from .history import History
    from .model import Model


class Callback:
    """Base of the callbacks; override what you need. A plain function is taken as `on_epoch_end`."""

    def on_data(self, data: Data, rows: NDArray[Any]) -> None:
        """Before all else: the checked data of `fit`, and the numbers of the rows that are trained on."""

    def on_train_begin(self, model: Model) -> None:
        """Before the first epoch."""

    def measure(self, model: Model, epoch: int) -> Mapping[str, float]:
        """After every epoch, before `on_epoch_end`: further columns of its row of the history, the same every time."""
        return {}

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool | None:
        """After every epoch, counted from 1, with its row of the history; returning True ends the training."""

    def on_train_end(self, model: Model, history: History) -> None:
        """After the last epoch; not called when an error or Ctrl-C ends the training."""

    def state(self) -> dict[str, Any]:
        """What it remembers of the epochs so far, for checkpoints: arrays, numbers, texts, and lists of these."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember what `state` gave when the checkpoint was written that training goes on from."""


class FunctionCallback(Callback):
    """A function ``f(model, epoch, logs)`` as a callback."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool | None:
        return self.function(model, epoch, logs) is True


class EarlyStopping(Callback):
    """End the training when a number has not become better for some epochs.

    Parameters
    ----------
    patience : how many epochs without improvement are borne.
    min_delta : an improvement is a change by more than this.
    monitor : a column of the history; by default ``val_loss``, or ``loss`` where there is no validation.
    restore_best : whether the parameters of the best epoch are kept, and put back at the end. After Ctrl-C the model
        has the last ones, and `best_params` the best.

    Attributes
    ----------
    best_epoch, best : the best epoch, and the number then, negated where larger is better
    """

    def __init__(
        self, patience: int = 5, min_delta: float = 0.0, monitor: str | None = None, restore_best: bool = True
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise DataError(f"patience of early stopping is {patience!r}; expected a whole number of at least 1")
        if isinstance(min_delta, bool) or not isinstance(min_delta, int | float):
            raise DataError(f"min_delta of early stopping is {min_delta!r}; expected a number")
        self.patience = patience
        self.min_delta = float(min_delta)
        self.monitor = monitor
        self.restore_best = restore_best
        self.best_epoch = 0
        self.best = float("inf")
        self._best_flat: Any = None

    def on_train_begin(self, model: Model) -> None:
        self.best_epoch, self.best, self._best_flat, self._waited = 0, float("inf"), None, 0

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool | None:
        monitor = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if monitor not in logs:
            raise DataError(f"early stopping monitors {monitor!r}, but the epoch has only {', '.join(logs)}")
        # A larger accuracy is better, of anything else a smaller value.
        value = -logs[monitor] if monitor.endswith("accuracy") else logs[monitor]
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self._waited = value, epoch, 0
            self._best_flat = model.params.flat.copy() if self.restore_best else None
            return False
        self._waited += 1
        return self._waited >= self.patience

    def best_params(self, model: Model) -> Parameters | None:
        """The parameters and states of the best epoch, of a training of `model` that was stopped; None without any."""
        return None if self._best_flat is None else Parameters(model.params.layout, model.dtype, self._best_flat.copy())

    def state(self) -> dict[str, Any]:
        kept = {} if self._best_flat is None else {"best_flat": self._best_flat}
        return {"best_epoch": self.best_epoch, "best": self.best, "waited": self._waited, **kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in ("best_epoch", "best", "waited"):
            if not isinstance(state[name], int | float | None):
                raise TypeError(f"{name} is {state[name]!r}")
        self.best_epoch, self.best, self._waited = state["best_epoch"], state["best"], state["waited"]
        self._best_flat = state.get("best_flat")

    def on_train_end(self, model: Model, history: History) -> None:
        if self._best_flat is not None:
            model.params.flat[:] = self._best_flat
            self._best_flat = None


def as_callbacks(callbacks: Any, early_stopping: Any) -> list[Callback]:
    """A list of `Callback` from what `fit` is given.

    Raises
    ------
    DataError
        If one is neither a callback nor a function.
    """
    given: Any = [callbacks] if callable(callbacks) or isinstance(callbacks, Callback) else callbacks
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise DataError(
            f"callbacks is {given!r}; expected a list of gl.Callback objects or functions f(model, epoch, logs)"
        )
    made: list[Callback] = []
    for callback in given:
        if isinstance(callback, Callback):
            made.append(callback)
        elif callable(callback) and not isinstance(callback, type):
            made.append(FunctionCallback(callback))
        else:
            raise DataError(f"callback {callback!r} is neither a gl.Callback nor a function f(model, epoch, logs)")
    if early_stopping is not None and early_stopping is not False:
        if isinstance(early_stopping, EarlyStopping):
            made.append(early_stopping)
        elif isinstance(early_stopping, Mapping):
            made.append(EarlyStopping(**early_stopping))
        else:
            made.append(EarlyStopping(5 if early_stopping is True else early_stopping))
    return made
