"""`ClassifyingEstimator`: labels of any kind, and what a network's output says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import validate_data
from sympy import Integer

from ...symbolic.activations import log_softmax, softmax
from ...symbolic.errors import DataError
from ...symbolic.indices import Dim
from ...symbolic.losses import is_along_axis, is_sigmoid
from ...symbolic.network import Network
from ..compilation import check_choices
from .arrays import checked_weights, target_of
from .base import TrainedEstimator

Array = NDArray[Any]


def _gives_probabilities(estimator: Any) -> bool:
    """Whether there may be probabilities; of a network that is not known yet, there may."""
    if hasattr(estimator, "model_") and estimator._kind is None:
        raise AttributeError(
            f"the output {estimator.network_.output.name} of {estimator.network_.name} is no probability: let it end "
            "in a softmax, a log_softmax or a sigmoid, or take a cross-entropy as its loss"
        )
    return True


def _kind_of(network: Network) -> str | None:
    """What the output is, by its equation: probabilities, their logarithms, that of the second class; or None."""
    output = network.output
    if is_sigmoid(network, output):
        return "sigmoid" if output.rank == 1 or output.shape[-1] == 1 else None
    found = {"softmax": softmax, "log_softmax": log_softmax}
    return next((name for name, function in found.items() if is_along_axis(network, output, function)), None)


def class_weights(chosen: Any, classes: Array, y: Array, weights: Array | None, incremental: bool = False) -> Array:
    """What the weights of rows are multiplied by, for each class; `y` holds places in `classes`.

    Parameters
    ----------
    chosen : "balanced": Σ w over k times that of the class, of the k classes that y has, as scikit-learn's; or a
        dictionary from labels to numbers, 1 for those that it has not.

    Raises
    ------
    DataError
        If it is neither, a number is not one of at least 0, or it is "balanced" of a part of the data.
    """
    if isinstance(chosen, str) and chosen == "balanced":
        if incremental:
            raise DataError(
                "class_weight='balanced' asks for all of y, and partial_fit has a part; give a dictionary, as "
                "sklearn.utils.class_weight.compute_class_weight makes one of all of y"
            )
        sums = np.bincount(y, weights, len(classes)).astype(np.float64)
        return np.divide(sums.sum() / np.count_nonzero(sums), sums, out=np.zeros_like(sums), where=sums > 0)
    if not isinstance(chosen, Mapping):
        raise DataError(f"class_weight is {chosen!r}; choose None, 'balanced' or a dictionary, label → number")
    found = compute_class_weight(dict(chosen), classes=classes, y=classes)
    if not np.isfinite(found).all() or (found < 0).any() or not found[y].any():
        raise DataError(f"class_weight is {chosen!r}; expected finite numbers of at least 0, one of them above 0")
    return np.asarray(found, np.float64)


class ClassifyingEstimator(ClassifierMixin, TrainedEstimator):
    """Base of the classifiers."""

    class_weight: Any
    classes_: Array
    _kind: str | None

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Train for one epoch, going on where the training is.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`.
        classes : all labels that there will be; needed in the first call alone.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        ValueError
            As in `fit`; if the first call has no `classes`, or a later one others.
        """
        _check_partial_fit_first_call(self, classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The likeliest label of each row."""
        output = self._output(X)
        return self.classes_[self._places(output)]

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """(rows, classes): the probability of each class, in the order of `classes_`; float64, rows sum to 1."""
        found = self._output(X).astype(np.float64).reshape(len(X), -1)
        if self._kind == "sigmoid":
            return np.hstack([1 - found, found])
        if self._kind == "log_softmax":
            found = np.exp(found)
        return found / found.sum(axis=1, keepdims=True)

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    # ---- what is trained -------------------------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, begins: bool, incremental: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), reset=begins)
        check_classification_targets(y)
        if begins and not incremental:
            self.classes_ = np.unique(y)
        strange = np.setdiff1d(y, self.classes_)
        if strange.size:
            raise DataError(
                f"y has the label {strange.tolist()[0]!r}, but the classes are {self.classes_.tolist()}, which a "
                "training that goes on keeps; call fit without warm_start, or name all in the first partial_fit"
            )
        self.n_outputs_ = len(self.classes_)
        return X, np.searchsorted(self.classes_, y)

    def _weighted(self, y: Array, weights: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weights
        dtype = check_choices(self.target, self.dtype)
        factors = class_weights(self.class_weight, self.classes_, y, weights, incremental)
        return checked_weights(factors[y] if weights is None else factors[y] * weights, y, dtype)

    def _begin(self, random: Any) -> None:
        super()._begin(random)
        self._kind = _kind_of(self.network_)

    def _target(self, y: Array) -> Array:
        network = self.network_
        tensor, output = target_of(network), network.output
        width = output.shape[-1] if output.rank > 1 else Integer(1)
        is_column = width == 1 and self.n_outputs_ == 2 and self._kind == "sigmoid"
        if self.n_outputs_ == 1 and self._kind == "sigmoid":
            raise DataError(
                f"y has 1 class, {self.classes_.tolist()[0]!r}, but the output {output.name} of {network.name} is a "
                "sigmoid, which tells one class from another; give rows of two classes"
            )
        if isinstance(width, Integer) and width != self.n_outputs_ and not is_column:
            raise DataError(
                f"y has {self.n_outputs_} classes, but the output {output.name} of {network.name} has {width} "
                f"column{'s'[: width != 1]}; expected one for each class, or, of two classes, a sigmoid alone"
            )
        if tensor.classes is not None:
            return y
        if is_column:
            return y.reshape(len(y), *[1] * (tensor.rank - 1))
        return np.eye(self.n_outputs_)[y]

    def _sizes(self, network: Network) -> dict[str, int]:
        classes = target_of(network).classes
        return {classes.name: self.n_outputs_} if isinstance(classes, Dim) else {}

    def _strata(self, y: Array) -> Array:
        return y

    def _places(self, output: Array) -> Array:
        """The place in `classes_` that each row of the output speaks for."""
        if self._kind == "sigmoid":
            return (output.reshape(len(output)) > 0.5).astype(np.int64)
        return output.argmax(axis=1)

    def _score(self, output: Array, y: Array, weights: Array | None) -> float:
        return float(np.average(self._places(output) == y, weights=weights))
