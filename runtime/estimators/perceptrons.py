"""`MLPClassifier` and `MLPRegressor`: perceptrons with the parameters that scikit-learn's have."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add

from ...symbolic import activations
from ...symbolic.binders import Sum
from ...symbolic.errors import DataError, UndefinedError
from ...symbolic.functions import Elementwise
from ...symbolic.layers import Dense
from ...symbolic.losses import CrossEntropy, Loss, SquaredError
from ...symbolic.network import Network
from ...symbolic.sequential import Sequential
from ..fit_options import check_count
from .arrays import WEIGHT
from .base import TrainedEstimator
from .classification import ClassifyingEstimator
from .regression import RegressingEstimator

Array = NDArray[Any]
OTHER_NAMES = {"logistic": "sigmoid"}  # scikit-learn's


class Perceptron(TrainedEstimator):
    """What both have: the parameters, and the network that they declare."""

    hidden_layer_sizes: Any
    activation: Any
    alpha: float

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: Any = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        target: str = "cpu",
        dtype: Any = "float32",
    ) -> None:
        self._keep(locals())

    def _loss(self) -> Loss:
        raise NotImplementedError

    def _declared(self) -> Network:
        """The network. The strength of the penalty is data, so that no other one is compiled for another strength."""
        made_by = self._choices()
        for size in made_by["hidden_layer_sizes"]:
            check_count("hidden_layer_sizes", size)
        function = made_by["activation"]
        layers = [*(Dense(int(size), function) for size in made_by["hidden_layer_sizes"]), Dense(self.n_outputs_)]
        net = Sequential(layers, self.n_features_in_, name="perceptron")
        loss = self._loss().term(net, net.output)
        alpha = net.target("alpha", latex=r"\alpha")
        weights = [parameter for parameter in net.parameters if parameter.rank == 2]
        squares = [Sum(w[net.home(w)] ** 2, *zip(net.home(w), w.shape, strict=True)) for w in weights]
        net.set_output(net.output.name)  # named, it need not be found in every prediction
        net.minimize(loss + alpha * Add(*squares) / (2 * net.tensors[f"n_{WEIGHT}"]))
        return net

    def _choices(self) -> dict[str, Any]:
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        return {"hidden_layer_sizes": hidden, "activation": _activation(self.activation), **super()._choices()}

    def _constants(self) -> dict[str, Any]:
        alpha = self.alpha
        if isinstance(alpha, bool) or not isinstance(alpha, numbers.Real) or not 0 <= float(alpha) < np.inf:
            raise DataError(f"alpha is {alpha!r}; expected one number of at least 0")
        return {"alpha": alpha}

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, (inputs, units): views of the model's parameters."""
        return [self.model_.params[f"W{place}"].T for place in range(1, self.n_layers_)]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer: views of the model's parameters."""
        return [self.model_.params[f"b{place}"] for place in range(1, self.n_layers_)]

    @property
    def n_layers_(self) -> int:
        """How many layers there are, that of the input too."""
        return sum(parameter.rank == 2 for parameter in self.network_.parameters) + 1


def _activation(chosen: Any) -> Any:
    """
    Raises
    ------
    UndefinedError
        If it is not the name of an activation, nor a function.
    """
    found = getattr(activations, OTHER_NAMES.get(chosen, chosen), None) if isinstance(chosen, str) else chosen
    is_named = found is activations.identity or found is activations.tanh or isinstance(found, type(Elementwise))
    if found is None or (isinstance(chosen, str) and not is_named):
        raise UndefinedError(
            f"activation is {chosen!r}; choose 'identity', 'logistic', 'tanh', 'relu' or another of gl.activations, "
            "or give a function such as gl.silu"
        )
    return found


class MLPClassifier(ClassifyingEstimator, Perceptron):
    r"""A perceptron of dense layers under a softmax, which learns classes.

    Its loss in a step is Σ w ℓ / Σ w + α / (2 Σ w) Σ W², of the cross-entropies ℓ and weights w of its rows: what
    scikit-learn's has, but for two classes, where that has one output. Kernels are compiled once for each shape of
    network and about each size of batch, which takes seconds, and kept on disk.

    Parameters
    ----------
    hidden_layer_sizes : the number of units of each hidden layer.
    activation : of hidden layers: "identity", "logistic", "tanh", "relu", another name of ``gl.activations``, or a
        function such as ``gl.silu``.
    solver : "adam", "sgd", or one of ``gl.optimizers``; of that, its own numbers count.
    alpha : strength of the L2 penalty on weights.
    batch_size : rows of a step; "auto": 200, or all rows if there are fewer.
    learning_rate : "constant" (as `learning_rate_init` says), or "adaptive": divided by 5 where the training would end,
        as long as it is above 1e-6.
    learning_rate_init : the learning rate: a number, or one of ``gl.schedules``.
    max_iter : epochs at most.
    shuffle : train on the rows in a new random order in every epoch.
    random_state : a number, a `numpy.random.RandomState`, or None for another training each time. The same number gives
        the same bits on the same machine.
    tol, n_iter_no_change : the training ends when for more than `n_iter_no_change` epochs the loss (with
        `early_stopping` the score on the rows held out) has not become better by `tol`.
    verbose : print the loss of every epoch.
    warm_start : a second `fit` goes on where the first ended, with the optimizer's state; it refuses another network,
        target or dtype.
    momentum, nesterovs_momentum : of "sgd".
    early_stopping, validation_fraction : whether to hold out this fraction of the rows (of each class its share), end
        by their score, and keep the parameters that were best.
    beta_1, beta_2, epsilon : of "adam".
    class_weight : None, "balanced", or a dictionary from labels to numbers (1 for others): what the weights of rows are
        multiplied by in the loss, as scikit-learn's `compute_class_weight` has it. A class of weight 0 is left out. The
        score that early stopping goes by does not know it.
    target : "cpu" (Numba), "cuda" (an NVIDIA GPU) or "numpy" (no compilation).
    dtype : "float32" or "float64", of the kernels.

    Attributes
    ----------
    classes_, n_outputs_ : the labels, and how many there are
    n_features_in_, feature_names_in_ : of X; names if it had any
    n_iter_ : epochs of the last `fit`
    loss_, loss_curve_, best_loss_ : the loss of the last epoch, of all, the smallest
    validation_scores_, best_validation_score_ : with `early_stopping`
    coefs_, intercepts_, n_layers_ : weights (inputs, units) and biases
    model_ : the `gradloom.Model`; what is pickled of it is its state, never kernels
    network_ : the `gradloom.Network`: ``print(network_.derive())``

    Examples
    --------
    >>> from gradloom.sklearn import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((11,), learning_rate_init=0.05, tol=1e-3, random_state=0, target="numpy").fit(X, y)
    >>> bool(model.score(X, y) > 0.95), model.predict_proba(X).shape
    (True, (150, 3))
    >>> print(model.network_.derive().delta("z2"))
    δ2[i, j] = ((p[i, j] - [j = y[i]]) sample_weight[i])/n_sample_weight
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: Any = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        class_weight: Any = None,
        target: str = "cpu",
        dtype: Any = "float32",
    ) -> None:
        self._keep(locals())

    def _loss(self) -> Loss:
        return CrossEntropy(targets="labels", mask=WEIGHT)


class MLPRegressor(RegressingEstimator, Perceptron):
    """A perceptron of dense layers that learns numbers, one or several for each row.

    Its loss in a step is ½ Σ w ‖a − y‖² / Σ w + α / (2 Σ w) Σ W². Early stopping goes by R².

    Parameters
    ----------
    hidden_layer_sizes, … : as of `MLPClassifier`.

    Attributes
    ----------
    n_outputs_, … : as of `MLPClassifier`, but for `classes_`.
    """

    def _loss(self) -> Loss:
        return SquaredError(mask=WEIGHT)
