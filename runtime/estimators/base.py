"""`TrainedEstimator`: what the estimators share: a `Model` trained as scikit-learn trains its perceptrons."""

from __future__ import annotations

import copy
import numbers
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ...symbolic.arguments import check_network
from ...symbolic.errors import DataError, UndefinedError
from ...symbolic.network import Network
from ...symbolic.optimizers import SGD, Adam, Optimizer
from ..compilation import check_choices
from ..fit_options import check_count
from ..model import Model
from .arrays import checked_weights, model_data, model_inputs
from .convergence import Convergence

Array = NDArray[Any]
LARGEST = np.iinfo(np.int32).max  # of a seed


class TrainedEstimator(BaseEstimator):
    """Base of the estimators: training and its state. Subclasses say what is trained, and what targets are."""

    solver: Any
    batch_size: Any
    learning_rate: str
    learning_rate_init: Any
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int
    target: str
    dtype: Any
    n_features_in_: int
    n_outputs_: int
    model_: Model
    _made_by: dict[str, Any]

    def _keep(self, given: dict[str, Any]) -> None:
        """Note the parameters that `__init__` was called with, as they are; nothing else may happen there."""
        names = self._get_param_names()
        self.__dict__.update({name: given[name] for name in names})

    # ---- what subclasses say ---------------------------------------------------------------------------------------

    def _declared(self) -> Network:
        """The network for `n_features_in_` and `n_outputs_`."""
        raise NotImplementedError

    def _checked(self, X: Any, y: Any, begins: bool, incremental: bool) -> tuple[Array, Array]:
        """Features and targets as arrays; where the training begins, what there is of them is noted."""
        raise NotImplementedError

    def _target(self, y: Array) -> Array:
        """Targets as the network takes them."""
        raise NotImplementedError

    def _score(self, output: Array, y: Array, weights: Array | None) -> float:
        """What early stopping goes by, of a network's output; more is better."""
        raise NotImplementedError

    def _weighted(self, y: Array, weights: Array | None, incremental: bool) -> Array | None:
        """The weights of the rows in the loss."""
        return weights

    def _constants(self) -> dict[str, Any]:
        """Numbers that the network takes beside X, y and weights."""
        return {}

    def _choices(self) -> dict[str, Any]:
        """The parameters that a model is made by: one that goes on keeps them."""
        return {"target": self.target, "dtype": check_choices(self.target, self.dtype)}

    # ---- training --------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : (rows, features), real numbers.
        y : (rows,): labels, or numbers; a regressor also takes (rows, outputs).
        sample_weight : (rows,), at least 0; a row of weight 2 counts as two rows, one of weight 0 is left out. The loss
            of a step is Σ w ℓ / Σ w over its rows.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        ValueError
            If the data, or the parameters of the estimator, are not what they must be. gradloom's own errors, such as
            `DataError`, are ValueErrors.
        DivergenceError
            If the loss becomes NaN or infinite; the last good parameters are kept.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        for name in ("max_iter", "n_iter_no_change"):
            check_count(name, getattr(self, name))
        if isinstance(self.tol, bool) or not isinstance(self.tol, numbers.Real):
            raise DataError(f"tol is {self.tol!r}; expected a number")
        if self.learning_rate not in ("constant", "adaptive"):
            raise UndefinedError(
                f"learning_rate is {self.learning_rate!r}; choose 'constant' or 'adaptive', "
                "or give a schedule of gl.schedules as learning_rate_init"
            )
        if incremental and self.early_stopping:
            raise DataError("partial_fit does not support early_stopping=True; call fit, or stop by yourself")
        begins = not hasattr(self, "model_") or not (self.warm_start or incremental)
        if not begins:
            self._check_goes_on()
        X, y = self._checked(X, y, begins, incremental)
        if begins:  # what is noted of these data is nothing to a model of others, should one of the next lines fail
            vars(self).pop("model_", None)
        own = checked_weights(sample_weight, X, check_choices(self.target, self.dtype))
        if own is not None:
            counted = own > 0
            X, y, own = X[counted], y[counted], own[counted]
        weights = self._weighted(y, own, incremental)
        random = check_random_state(self.random_state)
        split = int(random.randint(LARGEST))  # drawn first: a training that goes on holds out the same rows
        if begins:
            self._begin(random)
        model = self.model_
        held = None
        if self.early_stopping:
            rows, others = train_test_split(
                np.arange(len(X)),
                test_size=self.validation_fraction,
                random_state=split,
                stratify=self._strata(y),
            )
            if len(others) < 2:
                raise DataError(
                    f"validation_fraction={self.validation_fraction} of {len(X)} rows leaves {len(others)} for "
                    "validation; expected at least 2"
                )
            held = X[others], y[others], None if own is None else own[others]
            X, y, weights = X[rows], y[rows], None if weights is None else weights[rows]
        if weights is not None:  # a batch of nothing but weights 0 would have no mean
            counted = weights > 0
            X, y, weights = X[counted], y[counted], weights[counted]
        inputs, targets = model_data(model.network, X, self._target(y), weights, self._constants())
        convergence = Convergence(self, held)
        model.fit(
            inputs,
            targets,
            epochs=1 if incremental else self.max_iter,
            batch=self._batch(len(X)),
            optimizer=None if incremental and model.epochs else self._optimizer(),
            shuffle=self.shuffle,
            callbacks=[convergence],
            progress=False,
            metrics=[],
        )
        if not incremental and not convergence.is_over:
            warnings.warn(
                f"the training has not converged in max_iter={self.max_iter} epochs", ConvergenceWarning, stacklevel=3
            )
        return self

    def _check_goes_on(self) -> None:
        """
        Raises
        ------
        DataError
            If the model that is there was made by other parameters than those now set.
        """
        for name, value in self._choices().items():
            if value != self._made_by[name]:
                raise DataError(
                    f"{name} is another than that of the model that the training goes on with; set it back, or call "
                    "fit without warm_start"
                )

    def _begin(self, random: Any) -> None:
        """A new model, and nothing measured of it."""
        network = check_network(self._declared())
        seed = int(random.randint(LARGEST))
        self.model_ = Model(network, seed, self.target, self.dtype, self._sizes(network))
        self._made_by = self._choices()
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None

    def _sizes(self, network: Network) -> dict[str, int]:
        """Sizes that the data do not show."""
        return {}

    def _strata(self, y: Array) -> Array | None:
        """Groups of which the rows held out are to have their share."""
        return None

    def _batch(self, rows: int) -> int:
        size = self.batch_size
        if isinstance(size, str) and size == "auto":
            return min(200, rows)
        check_count("batch_size", size)
        return min(int(size), rows)

    def _optimizer(self) -> Optimizer:
        if isinstance(self.solver, Optimizer):
            return copy.deepcopy(self.solver)  # an adaptive rate changes it
        rate = self.learning_rate_init
        if self.solver == "adam":
            return Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "sgd":
            return SGD(rate, self.momentum, bool(self.nesterovs_momentum and self.momentum))
        raise UndefinedError(f"solver is {self.solver!r}; choose 'adam' or 'sgd', or give one of gl.optimizers")

    # ---- using -----------------------------------------------------------------------------------------------------

    def _output(self, X: Any) -> Array:
        """The network's output for rows that are not checked yet."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return self._output_of(X)

    def _output_of(self, X: Array) -> Array:
        return self.model_.predict(model_inputs(self.model_.network, X))

    @property
    def network_(self) -> Network:
        """The network that was trained: print it, or derive from it."""
        return self.model_.network
