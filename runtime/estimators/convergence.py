"""`Convergence`: when a training is over, as scikit-learn's perceptrons have it; it notes what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..callbacks import Callback

if TYPE_CHECKING:
    from ..model import Model

LEAST_RATE = 1e-6  # an adaptive rate that is no larger is not divided any more


class Convergence(Callback):
    """Ends a training whose loss, or score on rows held out, has not become better for some epochs.

    Parameters
    ----------
    estimator : whose attributes are set.
    held : rows, targets and weights held out, or None.

    Attributes
    ----------
    is_over : whether it ended the training
    """

    def __init__(self, estimator: Any, held: Any) -> None:
        self.estimator = estimator
        self.held = held
        self.is_over = False
        self._stalled = 0
        self._best: Any = None

    def on_train_begin(self, model: Model) -> None:
        self.estimator.n_iter_ = 0
        self.estimator.best_validation_score_ = None if self.held is None else -np.inf

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool | None:
        made = self.estimator
        made.n_iter_ += 1
        made.loss_ = logs["loss"]
        made.loss_curve_.append(made.loss_)
        if made.verbose:
            print(f"Iteration {made.n_iter_}, loss = {made.loss_:.8f}")
        is_better = self._loss_is_better() if self.held is None else self._score_is_better(model)
        self._stalled = 0 if is_better else self._stalled + 1
        if self._stalled > made.n_iter_no_change:
            self.is_over = not self._slower(model)
            self._stalled = 0
        return self.is_over

    def _loss_is_better(self) -> bool:
        made = self.estimator
        found, best = made.loss_, np.inf if made.best_loss_ is None else made.best_loss_
        made.best_loss_ = min(found, best)
        return bool(found <= best - made.tol)

    def _score_is_better(self, model: Model) -> bool:
        made, (X, y, weights) = self.estimator, self.held
        found, best = made._score(made._output_of(X), y, weights), made.best_validation_score_
        made.validation_scores_.append(found)
        if made.verbose:
            print(f"Validation score: {found:f}")
        if found > best:
            made.best_validation_score_ = found
            self._best = model.params.flat.copy()
        return bool(found >= best + made.tol)

    def _slower(self, model: Model) -> bool:
        """Go on with a fifth of the learning rate, where that is asked for."""
        if self.estimator.learning_rate != "adaptive":
            return False
        rate = model.optimizer.values.get("lr", 0.0)  # that of somebody's own schedule has no name
        if rate <= LEAST_RATE:
            return False
        model.optimizer.set(lr=rate / 5)
        if self.estimator.verbose:
            print(f"Learning rate set to {rate / 5:f}")
        return True

    def on_train_end(self, model: Model, history: Any) -> None:
        if self._best is not None:
            model.params.flat[:] = self._best
