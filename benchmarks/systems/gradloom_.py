"""gradloom: networks as its users declare them, trained by the generated epoch kernel.

"epoch" trains for any number of steps in one call; "step" calls the same kernel with one batch at a time.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numba  # noqa: F401  what gradloom imports when it first compiles: imports are timed apart
import numpy as np
from sympy import KroneckerDelta

import gradloom as gl

from ..workloads import Workload
from .base import Trainer

L = gl.layers


class Part(NamedTuple):
    """Which of the weights a parameter is."""

    of: str
    rows: object = ...
    turned: bool = False

    def __call__(self, weights: dict[str, np.ndarray]) -> np.ndarray:
        """A view of them."""
        part = weights[self.of][self.rows]
        return part.T if self.turned else part


Names = dict[str, Part]


def trainer(variant: str, workload: Workload, x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray]) -> Trainer:
    network, names = NETWORKS[workload.kind](workload)
    return Ours(variant, workload, network, names, x, y, weights)


def optimizer(workload: Workload) -> object:
    if workload.optimizer == "adam":
        return gl.optimizers.Adam(lr=workload.lr)
    return gl.optimizers.SGD(lr=workload.lr, momentum=0.9 if workload.optimizer == "momentum" else 0.0)


class Ours(Trainer):
    """Rows are gathered by `order` inside of the kernel, as a shuffled epoch needs it."""

    note = "takes its rows by number inside of the timed call, as shuffling needs; others get batches made before"

    def __init__(self, variant, workload, network, names, x, y, weights):
        self.program = network.compile(batch=workload.batch, dtype=workload.dtype, optimizer=optimizer(workload))
        self.module, self.batch, self.names = self.program.module, workload.batch, names
        self.data = self.program.check((x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:])), {}).arrays
        self.weights = weights
        self.rows, self.variant = x.shape[0] * x.shape[1], variant
        shapes = {name: shape for name, (_, shape) in self.module.PARAMETERS.items()}
        given = {name: part(weights).reshape(shapes[name]) for name, part in names.items()}
        self.initial = self.program.flat(given)
        self.params = self.initial.copy()
        self.grads = np.zeros_like(self.params)
        self.state = np.zeros((len(self.module.STATE), self.module.TRAINABLE), self.params.dtype)
        values = self.program.optimizer.values
        self.hyper = np.array([values[name] for name in self.module.HYPER], float)
        self.work = self.program.workspace(workload.batch)
        self.order, self.steps, self._teams = np.arange(self.rows), 0, {}

    def team(self, steps):
        if steps not in self._teams:
            self._teams[steps] = self.program.team(self.batch, steps)
        return self._teams[steps]

    def reset(self):
        self.params[:], self.state[:], self.steps = self.initial, 0, 0

    def settle(self, steps):
        """Train until the number of threads is settled, as in the first second of a long training."""
        while self.variant == "epoch" and not self.team(steps).is_settled:
            self.reset()
            self._train(steps)

    def run(self, steps):
        if self.variant == "epoch":
            return self._train(steps)
        return float(np.mean([self._train(1) for _ in range(steps)]))

    def _train(self, steps):
        first = self.steps * self.batch % self.rows
        wanted = first + steps * self.batch
        if wanted > len(self.order):  # several passes in one call
            self.order = np.tile(np.arange(self.rows), -(-wanted // self.rows))
        order = self.order[first:wanted]
        team, begun = self.team(steps), time.perf_counter()
        total, done = self.module.epoch(
            self.params,
            self.grads,
            self.state,
            *self.data,
            order,
            self.batch,
            self.hyper,
            self.steps,
            self.work,
            team.count,
        )
        team.took(time.perf_counter() - begun, done)
        self.steps += steps
        return total / len(order) if done == steps else float("nan")

    def losses(self, steps):
        self.reset()
        return [self._train(1) for _ in range(steps)]

    def gradients(self):
        """Those of the first batch, by a step of the epoch kernel that is timed; of what is frozen by a call."""
        _, found = self.program.loss_and_gradients(self.initial, *(part[: self.batch] for part in self.data))
        self.reset()
        self._train(1)
        flat = self.grads
        if hasattr(self.module, "epoch_by_row"):  # it stores no gradients
            flat = (self.initial - self.params) / self.program.optimizer.values["lr"]
        for name, (at, shape) in self.module.GRADIENTS.items():
            if at < self.module.TRAINABLE:
                found[name] = flat[at : at + int(np.prod(shape))]
        made = {part.of: np.zeros(self.weights[part.of].shape) for part in self.names.values()}
        for name, part in self.names.items():
            part(made)[...] = found[name].reshape(part(made).shape)
        return made


# ---- networks: the declaration, and where each parameter finds its initial weights -----------------------------------


def dense_names(count: int, first: int = 1) -> Names:
    return {f"{kind.upper() if kind == 'w' else kind}{place}": Part(f"{kind}{place}")
            for place in range(first, first + count) for kind in "wb"}  # fmt: skip


def mlp(workload: Workload) -> tuple[gl.Network, Names]:
    sizes, hidden, loss = (workload.settings[name] for name in ("sizes", "hidden", "loss"))
    inner = {"sigmoid": gl.sigmoid, "relu": gl.relu}.get(hidden)
    last, objective = {
        "sigmoid_squared": ((gl.sigmoid,), gl.losses.SquaredError()),
        "linear_squared": ((), gl.losses.SquaredError()),
        "softmax": ((), gl.losses.CrossEntropy(targets="labels")),
        "logistic": ((), gl.losses.BinaryCrossEntropy()),
    }[loss]
    learned = {"trainable_bias": not workload.settings.get("frozen_biases", False)}
    layers = [L.Dense(size, inner, **learned) for size in sizes[1:-1]] + [L.Dense(sizes[-1], *last, **learned)]
    return gl.Sequential(layers, input_shape=sizes[0], loss=objective, name=workload.name), dense_names(len(layers))


def conv(workload: Workload) -> tuple[gl.Network, Names]:
    images = [L.Conv2D(6, 5, padding=2, activation=gl.relu), L.MaxPool2D(2)]
    images += [L.Conv2D(16, 5, activation=gl.relu), L.MaxPool2D(2), L.Flatten()]
    dense = [L.Dense(120, gl.relu), L.Dense(84, gl.relu), L.Dense(10)]
    objective = gl.losses.CrossEntropy(targets="labels")
    network = gl.Sequential([*images, *dense], input_shape=(1, 28, 28), loss=objective, name=workload.name)
    weights = [parameter.name for parameter in network.parameters]
    kept = [name for layer in ("c1", "c2", "w1", "w2", "w3") for name in (layer, "b" + layer)]
    return network, {name: Part(of) for name, of in zip(weights, kept, strict=True)}


def recurrent(workload: Workload) -> tuple[gl.Network, Names]:
    """Equations, as the input is a row of the weights for each symbol: nothing is multiplied by one-hot vectors."""
    m, symbols, length = (workload.settings[name] for name in ("hidden", "symbols", "length"))
    B = gl.dims("B")
    i, t, j, k = gl.indices("i t j k")
    network = gl.Network(workload.name)
    x = network.input("x", (B, length), classes=symbols)
    h = network.sequence("h", (B, length, m))
    names: Names = {}

    def pre(gate: str, place: int) -> object:
        shapes = {"W": (symbols, m), "U": (m, m), "b": (m,)}
        W, U, b = (network.parameter(kind + gate, shape) for kind, shape in shapes.items())
        rows = slice(place * m, (place + 1) * m)
        names.update({W.name: Part("wx", rows, turned=True), U.name: Part("wh", rows), b.name: Part("b", rows)})
        body = W[x[i, t], j] + gl.Sum(U[j, k] * gl.padded(h[i, t - 1, k]), k) + b[j]
        return network.define(f"z{gate}", (i, t, j), body)[i, t, j]

    if workload.settings["cell"] == "rnn":
        network.define("h", (i, t, j), gl.tanh(pre("", 0)))
    else:
        c = network.sequence("c", (B, length, m))
        gates = {}
        for place, (gate, act) in enumerate({"i": gl.sigmoid, "f": gl.sigmoid, "g": gl.tanh, "o": gl.sigmoid}.items()):
            gates[gate] = network.define(f"a{gate}", (i, t, j), act(pre(gate, place)))[i, t, j]
        network.define("c", (i, t, j), gates["f"] * gl.padded(c[i, t - 1, j]) + gates["i"] * gates["g"])
        network.define("h", (i, t, j), gates["o"] * gl.tanh(c[i, t, j]))
    V, d = network.parameter("V", (symbols, m)), network.parameter("d", symbols)
    names |= {"V": Part("wo"), "d": Part("bo")}
    s = network.define("s", (i, t, j), gl.Sum(V[j, k] * h[i, t, k], k) + d[j])
    network.minimize(gl.losses.CrossEntropy(targets="labels").term(network, s))
    return network, names


def transformer(workload: Workload) -> tuple[gl.Network, Names]:
    n, heads, length, hidden = (workload.settings[name] for name in ("width", "heads", "length", "hidden"))
    block = L.TransformerBlock(n, heads, hidden, causal=True)
    network = gl.Sequential([block], input_shape=(length, n), loss=gl.losses.SquaredError("mean"), name=workload.name)
    rows = {"q": slice(0, n), "k": slice(n, 2 * n), "v": slice(2 * n, 3 * n)}
    names: Names = {f"W{part}1_1_2": Part("wqkv", where) for part, where in rows.items()}
    names |= {f"b{part}1_1_2": Part("bqkv", rows[part]) for part in "qv"} | {
        "Wo1_1_2": Part("wo"),
        "bo1_1_2": Part("bo"),
    }
    names |= {"gamma1_1_1": Part("g1"), "beta1_1_1": Part("h1"), "gamma1_2_1": Part("g2"), "beta1_2_1": Part("h2")}
    names |= {"W1_2_2": Part("w1"), "b1_2_2": Part("b1"), "W1_2_3": Part("w2"), "b1_2_3": Part("b2")}
    return network, names


def physics(workload: Workload) -> tuple[gl.Network, Names]:
    """u(t, p, q), with its derivatives declared as tangents of the network's own equations."""
    i = gl.indices("i")
    sizes = workload.settings["sizes"]
    layers = [*(L.Dense(size, gl.tanh) for size in sizes[1:-1]), L.Dense(1)]
    network = gl.Sequential(layers, input_shape=sizes[0], name=workload.name)
    u = network.output

    def along(of: object, axis: int, label: str) -> object:
        return gl.tangent(network, of, {"x": lambda _, k: KroneckerDelta(k, axis)}, label=label)

    u_t, *second = along(u, 0, "t"), *(along(along(u, axis, name), axis, name) for axis, name in ((1, "p"), (2, "q")))
    y = network.target("y", u.shape)
    residual = u_t[i, 0] - second[0][i, 0] - second[1][i, 0]
    network.minimize(gl.Sum(residual**2 + (u[i, 0] - y[i, 0]) ** 2, i) / u.shape[0])
    return network, dense_names(len(layers))


NETWORKS = {"mlp": mlp, "conv": conv, "recurrent": recurrent, "transformer": transformer, "physics": physics}
