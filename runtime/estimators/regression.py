"""`RegressingEstimator`: targets that are numbers, one or several for each row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import validate_data
from sympy import Integer

from ...symbolic.errors import DataError
from .arrays import target_of
from .base import TrainedEstimator

Array = NDArray[Any]


class RegressingEstimator(RegressorMixin, TrainedEstimator):
    """Base of the regressors."""

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch, going on where the training is; arguments and errors as in `fit`."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """(rows,) numbers of float64, or (rows, outputs) if the targets had two axes."""
        found = self._output(X).astype(np.float64)
        return found.reshape(len(found)) if self._is_flat else found.reshape(len(found), -1)

    # ---- what is trained -------------------------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, begins: bool, incremental: bool) -> tuple[Array, Array]:
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True, reset=begins
        )
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if begins:
            self.n_outputs_ = outputs
            self._is_flat = y.ndim == 1
        if outputs != self.n_outputs_:
            raise DataError(
                f"y has {outputs} columns, but the training goes on with {self.n_outputs_}; give as many, or call fit "
                "without warm_start"
            )
        return X, y

    def _target(self, y: Array) -> Array:
        sample = target_of(self.network_).shape[1:]
        if all(isinstance(size, Integer) for size in sample) and math.prod(sample) == self.n_outputs_:
            return y.reshape(len(y), *map(int, sample))
        return y.reshape(len(y), -1) if len(sample) == 1 else y

    def _score(self, output: Array, y: Array, weights: Array | None) -> float:
        return float(r2_score(y.reshape(len(y), -1), output.reshape(len(y), -1), sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
