"""`NetworkClassifier` and `NetworkRegressor`: any network as an estimator."""

from __future__ import annotations

from typing import Any

from ...symbolic.network import Network
from .base import TrainedEstimator
from .classification import ClassifyingEstimator
from .regression import RegressingEstimator


class AnyNetwork(TrainedEstimator):
    """What both have: the parameters of a training, and a network."""

    def __init__(
        self,
        network: Any,
        *,
        solver: Any = "adam",
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

    def _declared(self) -> Network:
        if isinstance(self.network, Network) or not callable(self.network):
            return self.network  # `Model` says what is wrong with what is none
        return self.network(self.n_features_in_, self.n_outputs_)

    def _choices(self) -> dict[str, Any]:
        return {"network": self.network, **super()._choices()}


class NetworkClassifier(ClassifyingEstimator, AnyNetwork):
    """A classifier that trains a network of yours.

    Parameters
    ----------
    network : a `gradloom.Network` with a loss, or a function ``build(n_features, n_classes)`` that returns one. It has
        one input, of which the columns of X are samples of any shape (a row of 64 is an image of 1 × 8 × 8), and one
        target: labels, one-hot rows, or a column of 0 and 1. Its output has a column for each class, or is a sigmoid.
        `sample_weight` is data of a target of that name: ``CrossEntropy(targets="labels", mask="sample_weight")``.
        A function is pickled as its name, so to be pickled it stands in a module; a declaration is pickled whole.
    solver, batch_size, … : all others are those of `MLPClassifier`.

    Attributes
    ----------
    classes_, n_features_in_, n_iter_, loss_curve_, model_, network_, … : as of `MLPClassifier`.

    Examples
    --------
    >>> import gradloom as gl
    >>> from gradloom.sklearn import NetworkClassifier
    >>> from sklearn.datasets import load_iris
    >>> def build(n_features, n_classes):
    ...     loss = gl.losses.CrossEntropy(targets="labels", mask="sample_weight")
    ...     return gl.Sequential([gl.layers.Dense(7, gl.tanh), gl.layers.Dense(n_classes)], n_features, loss=loss)
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NetworkClassifier(build, learning_rate_init=0.05, tol=1e-3, random_state=0, target="numpy")
    >>> bool(model.fit(X, y).score(X, y) > 0.95)
    True
    """

    def __init__(
        self,
        network: Any,
        *,
        solver: Any = "adam",
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


class NetworkRegressor(RegressingEstimator, AnyNetwork):
    """A regressor that trains a network of yours.

    Parameters
    ----------
    network : a `gradloom.Network` with a loss, or a function ``build(n_features, n_outputs)`` that returns one; with
        one input and one target, besides `sample_weight`, as of `NetworkClassifier`.
    solver, batch_size, … : all others are those of `MLPClassifier`.

    Attributes
    ----------
    n_outputs_, n_features_in_, n_iter_, loss_curve_, model_, network_, … : as of `MLPClassifier`.
    """
