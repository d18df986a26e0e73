"""PyTensor: symbolic gradients, one compiled function a step, with updates of shared variables, in Numba mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..workloads import Workload
from .base import Stepwise


def trainer(variant: str, workload: Workload, x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray]) -> Stepwise:
    pytensor.config.floatX = workload.dtype
    return PyTensor(workload, x, y, weights)


class PyTensor(Stepwise):
    def __init__(self, workload, x, y, weights):
        self.initial = weights
        self.params = {name: pytensor.shared(w.copy(), name) for name, w in weights.items()}
        given = [pt.tensor(name, dtype=part.dtype, shape=part.shape[1:]) for name, part in (("x", x), ("y", y))]
        loss = KINDS[workload.kind](workload)(self.params, *given)
        frozen = ("b1", "b2") if workload.settings.get("frozen_biases") else ()
        updates = self.updates(workload, loss, [p for name, p in self.params.items() if name not in frozen])
        compiled = pytensor.function([pytensor.In(part, borrow=True) for part in given], loss, updates=updates,
                                     mode="NUMBA", trust_input=True)  # fmt: skip
        super().__init__(list(zip(x, y, strict=True)), self.restart, compiled)

    def updates(self, workload, loss, params):
        self.state = []

        def state(value):
            self.state.append(pytensor.shared(np.zeros_like(value)))
            return self.state[-1]

        real = np.dtype(workload.dtype).type
        t, found = state(np.zeros((), workload.dtype)), []
        for p, g in zip(params, pytensor.grad(loss, params), strict=True):
            if workload.optimizer == "momentum":
                m = state(p.get_value())
                g = real(0.9) * m + g
                found.append((m, g))
            elif workload.optimizer == "adam":
                m, v = state(p.get_value()), state(p.get_value())
                first, second = real(0.9) * m + real(1 - 0.9) * g, real(0.999) * v + real(1 - 0.999) * g * g
                found += [(m, first), (v, second)]
                root = pt.sqrt(second / (1 - real(0.999) ** (t + 1))) + real(1e-8)
                g = first / (1 - real(0.9) ** (t + 1)) / root
            found.append((p, p - real(workload.lr) * g))
        return [*found, (t, t + 1)]

    def restart(self):
        for name, w in self.initial.items():
            self.params[name].set_value(w.copy())
        for shared in self.state:
            shared.set_value(np.zeros_like(shared.get_value()))


def mlp(workload: Workload) -> Callable:
    hidden, kind = workload.settings["hidden"], workload.settings["loss"]
    depth = len(workload.settings["sizes"]) - 1

    def loss(p, x, y):
        for place in range(1, depth):
            x = x @ p[f"w{place}"].T + p[f"b{place}"]
            x = pt.maximum(x, 0) if hidden == "relu" else pt.sigmoid(x)
        z = x @ p[f"w{depth}"].T + p[f"b{depth}"]
        if kind == "softmax":
            return -pt.special.log_softmax(z, axis=-1)[pt.arange(workload.batch), y].mean()
        if kind == "logistic":
            return (pt.softplus(z) - y * z).mean()
        a = pt.sigmoid(z) if kind == "sigmoid_squared" else z
        return ((a - y) ** 2).sum() / np.dtype(workload.dtype).type(2 * workload.batch)

    return loss


def transformer(workload: Workload) -> Callable:
    n, heads, length = (workload.settings[name] for name in ("width", "heads", "length"))
    real = np.dtype(workload.dtype).type
    hidden = np.where(np.tril(np.ones((length, length))), 0, -1e9).astype(real)

    def normed(x, g, b):
        x = x - x.mean(-1, keepdims=True)
        return x / pt.sqrt((x * x).mean(-1, keepdims=True) + real(1e-5)) * g + b

    def loss(p, x, y):
        a = normed(x, p["g1"], p["h1"]) @ p["wqkv"].T + p["bqkv"]
        parts = a.reshape((workload.batch, length, 3, heads, n // heads)).transpose(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        s = pt.special.softmax(q @ k.transpose(0, 1, 3, 2) * real((n // heads) ** -0.5) + hidden, axis=-1)
        o = (s @ v).transpose(0, 2, 1, 3).reshape((workload.batch, length, n))
        x = x + o @ p["wo"].T + p["bo"]
        z = normed(x, p["g2"], p["h2"]) @ p["w1"].T + p["b1"]
        a = real(0.5) * z * (1 + pt.erf(z * real(2**-0.5)))
        return ((x + a @ p["w2"].T + p["b2"] - y) ** 2).mean()

    return loss


def physics(workload: Workload) -> Callable:
    """Gradients of gradients."""
    depth = len(workload.settings["sizes"]) - 1

    def loss(p, x, y):
        a = x
        for place in range(1, depth):
            a = pt.tanh(a @ p[f"w{place}"].T + p[f"b{place}"])
        u = a @ p[f"w{depth}"].T + p[f"b{depth}"]
        first = pytensor.grad(u.sum(), x)
        second = [pytensor.grad(first[:, k].sum(), x)[:, k] for k in (1, 2)]
        residual = first[:, 0] - second[0] - second[1]
        return (residual**2 + (u - y)[:, 0] ** 2).mean()

    return loss


KINDS = {"mlp": mlp, "transformer": transformer, "physics": physics}
