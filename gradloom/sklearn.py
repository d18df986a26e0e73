"""Networks as scikit-learn's estimators: pipelines, grid searches, cross-validation.

>>> from gradloom.sklearn import MLPClassifier
>>> model = MLPClassifier(hidden_layer_sizes=(32,), learning_rate_init=0.01, random_state=0)

`MLPClassifier` and `MLPRegressor` take scikit-learn's parameters; `NetworkClassifier` and `NetworkRegressor` train any
network of yours.

With ``dtype="float64"`` they pass all of scikit-learn's ``check_estimator``. With float32, which has 7 digits, three
checks may fail that compare what is computed in another order to 1e-7: check_sample_weight_equivalence_on_dense_data,
check_methods_sample_order_invariance and check_methods_subset_invariance.
"""

from __future__ import annotations

from .symbolic.errors import MissingExtraError

try:
    from sklearn.utils.validation import validate_data  # noqa: F401 - new in scikit-learn 1.6
except ImportError as error:
    raise MissingExtraError(
        f"gradloom.sklearn needs scikit-learn 1.6 or newer ({error}); pip install 'gradloom[sklearn]'"
    ) from error

from .runtime.estimators.networks import NetworkClassifier, NetworkRegressor
from .runtime.estimators.perceptrons import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NetworkClassifier", "NetworkRegressor"]
