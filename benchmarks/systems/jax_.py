"""JAX: "step" calls one jitted step after another, "scan" a jitted `lax.scan` over all batches of a pass."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..workloads import Workload
from .base import Stepwise, Trainer

Tree = dict[str, jax.Array]


def trainer(variant: str, workload: Workload, x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray]) -> Trainer:
    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    loss, brought, laid = KINDS[workload.kind](workload)
    x, y = laid(x), y if workload.kind != "recurrent" else laid(y)
    frozen = {"b1", "b2"} if workload.settings.get("frozen_biases") else set()
    return {"step": Step, "scan": Scan}[variant](workload, loss, brought(weights), frozen, x, y)


def stepper(workload: Workload, loss: Callable, still: Tree) -> Callable:
    """(parameters and state, x, y) → the same a step later, and the loss; the updates as Optax has them."""

    def step(carry, x, y):
        p, m, v, t = carry
        value, g = jax.value_and_grad(lambda p: loss({**p, **still}, x, y))(p)
        tree, t = jax.tree.map, t + 1
        if workload.optimizer == "adam":
            m = tree(lambda m, g: 0.9 * m + (1 - 0.9) * g, m, g)
            v = tree(lambda v, g: 0.999 * v + (1 - 0.999) * g * g, v, g)
            first, second = 1 - 0.9**t, 1 - 0.999**t
            g = tree(lambda m, v: (m / first) / (jnp.sqrt(v / second) + 1e-8), m, v)
        elif workload.optimizer == "momentum":
            g = m = tree(lambda m, g: 0.9 * m + g, m, g)
        return (tree(lambda p, g: p - workload.lr * g, p, g), m, v, t), value

    return step


class _Jax(Trainer):
    def __init__(self, workload, loss, weights, frozen, x, y):
        self.initial = {name: w for name, w in weights.items() if name not in frozen}
        self.step = stepper(workload, loss, {name: weights[name] for name in frozen})
        self.workload = workload
        self.prepare(x, y)
        self.reset()

    def start(self):
        """Fresh buffers, as those of the last run were given away."""
        needs = {"sgd": (), "momentum": ("m",), "adam": ("m", "v")}[self.workload.optimizer]
        zeros = {name: jax.tree.map(np.zeros_like, self.initial) if name in needs else {} for name in "mv"}
        t = np.zeros((), self.workload.dtype)
        return jax.tree.map(jnp.array, (self.initial, zeros["m"], zeros["v"], t))


class Step(Stepwise, _Jax):
    __init__ = _Jax.__init__

    def prepare(self, x, y):
        compiled = jax.jit(self.step, donate_argnums=0)

        def step(x, y):
            self.carry, loss = compiled(self.carry, x, y)
            return loss

        batches = [(jnp.asarray(a), jnp.asarray(b)) for a, b in zip(x, y, strict=True)]
        Stepwise.__init__(self, batches, self.restart, step)

    def restart(self):
        self.carry = self.start()


class Scan(_Jax):
    def prepare(self, x, y):
        self.data, self.unit = (jnp.asarray(x), jnp.asarray(y)), len(x)
        self.whole = jax.jit(
            lambda carry, data: lax.scan(lambda c, batch: self.step(c, *batch), carry, data), donate_argnums=0
        )

    def reset(self):
        self.carry = self.start()

    def run(self, steps):
        means = []
        for _ in range(steps // self.unit):
            self.carry, losses = self.whole(self.carry, self.data)
            means.append(losses)
        return float(np.mean([np.asarray(losses, float).mean() for losses in means]))

    def losses(self, steps):
        self.reset()
        self.carry, losses = self.whole(self.carry, self.data)
        return [float(loss) for loss in losses[:steps]]


# ---- one function for each kind: the loss, how the weights lie, and how the data do ---------------------------------


def transposed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(w.T) if w.ndim == 2 else w for name, w in weights.items()}


def same(x: np.ndarray) -> np.ndarray:
    return x


def cross_entropy(z: jax.Array, labels: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), labels[..., None], -1))


def mlp(workload: Workload) -> tuple[Callable, Callable, Callable]:
    sizes, hidden, kind = (workload.settings[name] for name in ("sizes", "hidden", "loss"))
    inner = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}.get(hidden)
    depth = len(sizes) - 1

    def loss(p: Tree, x, y):
        for place in range(1, depth):
            x = inner(x @ p[f"w{place}"] + p[f"b{place}"])
        z = x @ p[f"w{depth}"] + p[f"b{depth}"]
        if kind == "softmax":
            return cross_entropy(z, y)
        if kind == "logistic":
            return jnp.mean(jax.nn.softplus(z) - y * z)
        a = jax.nn.sigmoid(z) if kind == "sigmoid_squared" else z
        return ((a - y) ** 2).sum() / (2 * len(y))

    return loss, transposed, same


def conv(workload: Workload) -> tuple[Callable, Callable, Callable]:
    """Channels last, which XLA is faster with on CPUs; the first dense layer's weights are put in that order once."""

    def brought(weights):
        moved = {name: w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for name, w in weights.items()}
        moved["w1"] = weights["w1"].reshape(120, 16, 5, 5).transpose(0, 2, 3, 1).reshape(120, 400)
        return transposed({name: np.ascontiguousarray(w) for name, w in moved.items()})

    def pooled(a):
        n, h, w, c = a.shape
        return a.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))

    def layer(a, w, b, padding):
        return pooled(jax.nn.relu(
            lax.conv_general_dilated(a, w, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
        ))  # fmt: skip

    def loss(p: Tree, x, y):
        a = layer(layer(x, p["c1"], p["bc1"], "SAME"), p["c2"], p["bc2"], "VALID").reshape(len(x), -1)
        a = jax.nn.relu(a @ p["w1"] + p["bw1"])
        a = jax.nn.relu(a @ p["w2"] + p["bw2"])
        return cross_entropy(a @ p["w3"] + p["bw3"], y)

    return loss, brought, lambda x: np.ascontiguousarray(np.moveaxis(x, -3, -1))


def recurrent(workload: Workload) -> tuple[Callable, Callable, Callable]:
    """Time first; the rows of all inputs are looked up before the recurrence."""
    m, is_lstm = workload.settings["hidden"], workload.settings["cell"] == "lstm"

    def loss(p: Tree, x, y):
        def lstm(state, seen):
            h, c = state
            i, f, g, o = jnp.split(seen + h @ p["wh"], 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def rnn(h, seen):
            h = jnp.tanh(seen + h @ p["wh"])
            return h, h

        zero = jnp.zeros((x.shape[1], m), p["wh"].dtype)
        _, states = lax.scan(lstm if is_lstm else rnn, (zero, zero) if is_lstm else zero, p["wx"][x] + p["b"])
        return cross_entropy(states @ p["wo"] + p["bo"], y)

    return loss, transposed, lambda x: np.ascontiguousarray(np.swapaxes(x, 1, 2))


def transformer(workload: Workload) -> tuple[Callable, Callable, Callable]:
    heads, length = workload.settings["heads"], workload.settings["length"]
    seen = np.tril(np.ones((length, length), bool))

    def normed(x, g, b):
        x = x - x.mean(-1, keepdims=True)
        return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * g + b

    def loss(p: Tree, x, y):
        n, t, w = x.shape
        a = normed(x, p["g1"], p["h1"]) @ p["wqkv"] + p["bqkv"]
        q, k, v = jnp.moveaxis(a.reshape(n, t, 3, heads, w // heads), (2, 3), (0, 2))
        s = jnp.where(seen, q @ jnp.swapaxes(k, -1, -2) / np.float32(np.sqrt(w // heads)), -jnp.inf)
        o = jnp.swapaxes(jax.nn.softmax(s) @ v, 1, 2).reshape(n, t, w)
        x = x + o @ p["wo"] + p["bo"]
        a = jax.nn.gelu(normed(x, p["g2"], p["h2"]) @ p["w1"] + p["b1"], approximate=False)
        return ((x + a @ p["w2"] + p["b2"] - y) ** 2).mean()

    return loss, transposed, same


def physics(workload: Workload) -> tuple[Callable, Callable, Callable]:
    """Forward mode over forward mode along each axis, all examples at once."""
    depth = len(workload.settings["sizes"]) - 1

    def loss(p: Tree, x, y):
        def of(x):
            for place in range(1, depth):
                x = jnp.tanh(x @ p[f"w{place}"] + p[f"b{place}"])
            return x @ p[f"w{depth}"] + p[f"b{depth}"]

        def along(f, k):
            return lambda x: jax.jvp(f, (x,), (jnp.zeros_like(x).at[:, k].set(1),))[1]

        residual = along(of, 0)(x) - along(along(of, 1), 1)(x) - along(along(of, 2), 2)(x)
        return (residual**2 + (of(x) - y) ** 2).mean()

    return loss, transposed, same


KINDS = {"mlp": mlp, "conv": conv, "recurrent": recurrent, "transformer": transformer, "physics": physics}
