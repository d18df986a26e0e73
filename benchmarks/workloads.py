"""The workloads: sizes, data, initial weights, and how many operations a step takes.

Everything here is NumPy alone, so that every system's process can read it, whatever else is installed there. Weights
lie as PyTorch keeps them, (outputs, inputs); each system brings them into the order that suits it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """One training task.

    Attributes
    ----------
    kind : "mlp", "conv", "recurrent", "transformer" or "physics"; each system has one function for each that it knows.
    batch, batches : rows of a step, and how many batches make a pass over the data.
    optimizer : "sgd", "momentum" (of 0.9) or "adam", with the learning rate `lr`.
    goal : the goal as a ratio to the best peer, None where there is none.
    settings : what the kind needs besides.
    """

    name: str
    title: str
    kind: str
    batch: int
    batches: int
    optimizer: str
    lr: float
    goal: float | None
    dtype: str = "float32"
    settings: dict[str, Any] = field(default_factory=dict)


def _mlp(sizes: tuple[int, ...], hidden: str, loss: str, **more: Any) -> dict[str, Any]:
    return {"sizes": sizes, "hidden": hidden, "loss": loss, **more}


_LSTM = {"hidden": 128, "symbols": 65, "length": 32}
_ALL = (
    Workload("W1", "2-2-2 sigmoid, squared error, batch 1, float64", "mlp", 1, 10_000, "sgd", 0.5, 1.7, "float64",
             _mlp((2, 2, 2), "sigmoid", "sigmoid_squared", frozen_biases=True)),
    Workload("W2", "784-16-16-10 sigmoid, squared error, batch 100, SGD", "mlp", 100, 50, "sgd", 0.1, 3.5,
             settings=_mlp((784, 16, 16, 10), "sigmoid", "sigmoid_squared")),
    Workload("W2b", "784-16-16-10 sigmoid, squared error, batch 10, SGD", "mlp", 10, 500, "sgd", 0.1, 5.0,
             settings=_mlp((784, 16, 16, 10), "sigmoid", "sigmoid_squared")),
    Workload("W3", "784-256-128-10 ReLU, softmax cross-entropy, batch 128, Adam", "mlp", 128, 40, "adam", 1e-4, 1.6,
             settings=_mlp((784, 256, 128, 10), "relu", "softmax")),
    Workload("W4", "2048-2048-2048-10 ReLU, softmax cross-entropy, batch 256, SGD", "mlp", 256, 8, "sgd", 1e-3, 1.15,
             settings=_mlp((2048, 2048, 2048, 10), "relu", "softmax")),
    Workload("W5", "LeNet-5 on 28×28, batch 64, momentum", "conv", 64, 20, "momentum", 0.01, 6.0),
    Workload("W6", "RNN, hidden 128, 65 symbols, T 32, batch 32, SGD", "recurrent", 32, 20, "sgd", 0.01, 2.0,
             settings={"cell": "rnn", **_LSTM}),
    Workload("W6l", "LSTM, hidden 128, 65 symbols, T 32, batch 32, SGD", "recurrent", 32, 20, "sgd", 0.01, 2.0,
             settings={"cell": "lstm", **_LSTM}),
    Workload("W7", "autoencoder 64-32-8-32-64 ReLU on digits, batch 32, Adam", "mlp", 32, 56, "adam", 1e-3, 2.0,
             settings=_mlp((64, 32, 8, 32, 64), "relu", "linear_squared")),
    Workload("W8", "logistic regression, 30 features, batch 1, SGD", "mlp", 1, 569, "sgd", 0.01, 2.0,
             settings=_mlp((30, 1), "none", "logistic")),
    Workload("W9", "pre-norm transformer block, width 64, 4 heads, T 64, batch 16, SGD", "transformer", 16, 20, "sgd",
             0.01, 1.5, settings={"width": 64, "heads": 4, "length": 64, "hidden": 256}),
    Workload("W10", "3-32-32-1 tanh, batch 64, loss (u_t - u_xx - u_yy)² + (u - y)², SGD", "physics", 64, 100,
             "sgd", 1e-3, 3.0, settings={"sizes": (3, 32, 32, 1)}),
)  # fmt: skip
WORKLOADS = {workload.name: workload for workload in _ALL}
LENET = {"c1": (6, 1, 5, 5), "c2": (16, 6, 5, 5), "w1": (120, 400), "w2": (84, 120), "w3": (10, 84)}


def arrays(workload: Workload, images: str | None = None) -> dict[str, np.ndarray]:
    """The data ``x`` and ``y`` of shape (batches, batch, …), and the initial weights under ``w:`` and their names.

    Parameters
    ----------
    images : path of an ``.npz`` with ``images`` (n, 28, 28) of 0 … 255 and ``labels``, for the workloads of 784 inputs
        and for LeNet; random numbers where it is None.
    """
    rng = np.random.default_rng(0)
    made = {"mlp": _mlp_arrays, "conv": _conv_arrays, "recurrent": _recurrent_arrays}
    x, y, weights = {**made, "transformer": _transformer_arrays, "physics": _physics_arrays}[workload.kind](
        workload, rng, images
    )
    real = np.dtype(workload.dtype)
    x, y = (part if part.dtype.kind == "i" else part.astype(real) for part in (x, y))
    return {"x": x, "y": y, **{f"w:{name}": np.ascontiguousarray(w, real) for name, w in weights.items()}}


def _mlp_arrays(workload: Workload, rng: np.random.Generator, images: str | None):
    sizes, hidden, loss = (workload.settings[name] for name in ("sizes", "hidden", "loss"))
    lead = (workload.batches, workload.batch)
    if workload.name == "W1":  # Mazur's worked example: one sample, biases that stay
        x, y = (np.tile(np.array(row), (*lead, 1)) for row in ([0.05, 0.10], [0.01, 0.99]))
        weights = {"w1": [[0.15, 0.20], [0.25, 0.30]], "b1": [0.35] * 2, "w2": [[0.40, 0.45], [0.50, 0.55]]}
        return x, y, {**weights, "b2": [0.60] * 2}
    if loss == "linear_squared":
        from sklearn.datasets import load_digits

        x = y = (load_digits().data[: lead[0] * lead[1]] / 16).reshape(*lead, -1)
    elif loss == "logistic":
        from sklearn.datasets import load_breast_cancer

        found = load_breast_cancer()
        x = ((found.data - found.data.mean(0)) / found.data.std(0)).reshape(*lead, -1)
        y = found.target.reshape(*lead, 1).astype(float)
    else:
        x, labels = _images(images, lead, rng) if sizes[0] == 784 else _noise(lead, sizes[0], sizes[-1], rng)
        y = labels if loss == "softmax" else np.eye(sizes[-1])[labels]
    weights = {}
    gain = 2.0 if hidden == "relu" else 1.0
    for place, (n, m) in enumerate(itertools.pairwise(sizes), 1):
        weights[f"w{place}"] = rng.standard_normal((m, n)) * np.sqrt(gain / n)
        weights[f"b{place}"] = np.zeros(m)
    return x, y, weights


def _noise(lead: tuple[int, ...], size: int, classes: int, rng: np.random.Generator):
    return rng.random((*lead, size), dtype=np.float32), rng.integers(0, classes, lead)


def _images(path: str | None, lead: tuple[int, ...], rng: np.random.Generator):
    if path is None:
        return _noise(lead, 784, 10, rng)
    with np.load(path) as found:
        rows = np.arange(lead[0] * lead[1]) % len(found["images"])
        x = found["images"][rows].reshape(*lead, 784).astype(np.float32) / 255
        return x, found["labels"][rows].astype(np.int64).reshape(lead)


def _conv_arrays(workload: Workload, rng: np.random.Generator, images: str | None):
    lead = (workload.batches, workload.batch)
    x, y = _images(images, lead, rng)
    weights = {}
    for name, shape in LENET.items():
        bound = 1 / np.sqrt(np.prod(shape[1:]))
        weights[name] = rng.uniform(-bound, bound, shape)
        weights["b" + name] = rng.uniform(-bound, bound, shape[0])
    return x.reshape(*lead, 1, 28, 28), y, weights


def _recurrent_arrays(workload: Workload, rng: np.random.Generator, _: str | None):
    hidden, symbols, length = (workload.settings[name] for name in ("hidden", "symbols", "length"))
    lead = (workload.batches, workload.batch, length)
    gates = (4 if workload.settings["cell"] == "lstm" else 1) * hidden  # in PyTorch's order: i, f, g, o
    shapes = {"wx": (gates, symbols), "wh": (gates, hidden), "b": (gates,), "wo": (symbols, hidden), "bo": (symbols,)}
    bound = 1 / np.sqrt(hidden)
    weights = {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}
    return rng.integers(0, symbols, lead), rng.integers(0, symbols, lead), weights


def _transformer_arrays(workload: Workload, rng: np.random.Generator, _: str | None):
    n, length, hidden = (workload.settings[name] for name in ("width", "length", "hidden"))
    lead = (workload.batches, workload.batch, length, n)
    shapes = {"wqkv": (3 * n, n), "wo": (n, n), "w1": (hidden, n), "w2": (n, hidden)}
    weights = {name: rng.standard_normal(shape) / np.sqrt(shape[1]) for name, shape in shapes.items()}
    weights |= {name: np.zeros(size) for name, size in (("bqkv", 3 * n), ("bo", n), ("b1", hidden), ("b2", n))}
    weights |= {"g1": np.ones(n), "h1": np.zeros(n), "g2": np.ones(n), "h2": np.zeros(n)}
    return rng.standard_normal(lead), rng.standard_normal(lead), weights


def _physics_arrays(workload: Workload, rng: np.random.Generator, _: str | None):
    lead, sizes = (workload.batches, workload.batch), workload.settings["sizes"]
    weights = {}
    for place, (n, m) in enumerate(itertools.pairwise(sizes), 1):
        weights[f"w{place}"] = rng.standard_normal((m, n)) / np.sqrt(n)
        weights[f"b{place}"] = rng.standard_normal(m) / 10
    return rng.uniform(-1, 1, (*lead, 3)), rng.standard_normal((*lead, 1)), weights
