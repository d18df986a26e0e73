"""scikit-learn, where it has the model: `partial_fit` over a whole pass, with batches of the workload's size."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..workloads import Workload
from .base import NotOffered, Trainer


def trainer(variant: str, workload: Workload, x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray]) -> Trainer:
    loss = workload.settings["loss"]
    if loss == "sigmoid_squared":
        raise NotOffered("squared error of sigmoids is not offered")
    return (Logistic if loss == "logistic" else Perceptron)(workload, x, y, weights)


class Passes(Trainer):
    """`step` trains on rows; a pass over all of them is one call."""

    def __init__(self, x, y):
        self.x, self.y, self.unit = x, y, len(x)
        self.rows = x.reshape(-1, x.shape[-1]), y.reshape(-1, *y.shape[2:])

    def run(self, steps):
        return float(np.mean([self.step(*self.rows) for _ in range(steps // self.unit)]))

    def losses(self, steps):
        self.reset()
        return [self.step(x, y) for x, y in zip(self.x[:steps], self.y[:steps], strict=True)]


class Perceptron(Passes):
    def __init__(self, workload, x, y, weights):
        super().__init__(x, y)
        sizes, regression = workload.settings["sizes"], workload.settings["loss"] == "linear_squared"
        self.model = (MLPRegressor if regression else MLPClassifier)(
            hidden_layer_sizes=sizes[1:-1],
            activation={"relu": "relu", "sigmoid": "logistic"}[workload.settings["hidden"]],
            solver="adam" if workload.optimizer == "adam" else "sgd",
            learning_rate_init=workload.lr,
            momentum=0.0,
            nesterovs_momentum=False,
            alpha=0.0,
            batch_size=workload.batch,
            shuffle=False,
        )
        self.initial, self.depth = weights, len(sizes) - 1
        self.classes = {} if regression else {"classes": np.arange(sizes[-1])}
        self.scale = sizes[-1] if regression else 1  # its squared error is a mean over outputs, its gradient is not
        self.model.partial_fit(x[0], y[0], **self.classes)
        self.reset()

    def reset(self):
        for place in range(self.depth):
            self.model.coefs_[place][...] = self.initial[f"w{place + 1}"].T
            self.model.intercepts_[place][...] = self.initial[f"b{place + 1}"]
        if hasattr(self.model, "_optimizer"):
            del self.model._optimizer  # with its moments; the next step makes another
        self.model.loss_curve_ = []

    def step(self, x, y):
        self.model.partial_fit(x, y, **self.classes)
        return float(self.model.loss_) * self.scale


class Logistic(Passes):
    """Its loss is not kept while it trains, so it is computed before each step where it is compared, and not timed."""

    def __init__(self, workload, x, y, weights):
        super().__init__(x, y[..., 0])
        self.model = SGDClassifier(
            loss="log_loss", penalty=None, learning_rate="constant", eta0=workload.lr, shuffle=False
        )
        self.classes, self.initial = np.arange(2), weights
        self.model.partial_fit(self.x[0], self.y[0], classes=self.classes)
        self.reset()

    def reset(self):
        self.model.coef_[...] = self.initial["w1"]
        self.model.intercept_[...] = self.initial["b1"]

    def step(self, x, y):
        self.model.partial_fit(x, y, classes=self.classes)
        return 0.0

    def losses(self, steps):
        self.reset()
        found = []
        for x, y in zip(self.x[:steps], self.y[:steps], strict=True):
            z = self.model.decision_function(x)
            found.append(float(np.mean(np.logaddexp(0, z) - y * z)))
            self.step(x, y)
        return found

    def mean_loss(self, steps):
        return float(np.mean(self.losses(steps)))
