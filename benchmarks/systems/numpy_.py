"""NumPy with gradients written by hand, as textbooks have them: one array expression for each line of algebra."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..workloads import Workload
from .base import Stepwise

Arrays = dict[str, np.ndarray]


def trainer(variant: str, workload: Workload, x: np.ndarray, y: np.ndarray, weights: Arrays) -> Stepwise:
    return Hand(workload, x, y, weights)


class Hand(Stepwise):
    def __init__(self, workload, x, y, weights):
        self.workload, self.initial = workload, weights
        self.loss_and_gradients = KINDS[workload.kind](workload)
        self.frozen = {"b1", "b2"} if workload.settings.get("frozen_biases") else set()
        self.restart()
        super().__init__(list(zip(x, y, strict=True)), self.restart, self.train)

    def restart(self):
        self.params = {name: w.copy() for name, w in self.initial.items()}
        self.m = {name: np.zeros_like(w) for name, w in self.initial.items()}
        self.v = {name: np.zeros_like(w) for name, w in self.initial.items()}
        self.t = 0

    def train(self, x, y):
        loss, grads = self.loss_and_gradients(self.params, x, y)
        lr, kind = self.workload.lr, self.workload.optimizer
        self.t += 1
        for name, g in grads.items():
            if name in self.frozen:
                continue
            if kind == "momentum":
                g = self.m[name] = 0.9 * self.m[name] + g
            elif kind == "adam":
                m = self.m[name] = 0.9 * self.m[name] + (1 - 0.9) * g
                v = self.v[name] = 0.999 * self.v[name] + (1 - 0.999) * g * g
                g = m / (1 - 0.9**self.t) / (np.sqrt(v / (1 - 0.999**self.t)) + 1e-8)
            self.params[name] -= lr * g
        return loss


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax_loss(z: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean cross-entropy over all rows, and its gradient in z."""
    flat, rows = z.reshape(-1, z.shape[-1]), np.arange(labels.size)
    p = np.exp(flat - flat.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[rows, labels.ravel()]).mean()
    p[rows, labels.ravel()] -= 1
    return loss, (p / len(rows)).reshape(z.shape)


def mlp(workload: Workload) -> Callable:
    hidden, kind = workload.settings["hidden"], workload.settings["loss"]
    depth = len(workload.settings["sizes"]) - 1

    def loss_and_gradients(p: Arrays, x, y):
        a = [x]
        for place in range(1, depth):
            z = a[-1] @ p[f"w{place}"].T + p[f"b{place}"]
            a.append(np.maximum(z, 0) if hidden == "relu" else sigmoid(z))
        z = a[-1] @ p[f"w{depth}"].T + p[f"b{depth}"]
        if kind == "softmax":
            loss, d = softmax_loss(z, y)
        elif kind == "logistic":
            loss, d = (np.logaddexp(0, z) - y * z).mean(), (sigmoid(z) - y) / y.size
        else:
            out = sigmoid(z) if kind == "sigmoid_squared" else z
            loss, d = ((out - y) ** 2).sum() / (2 * len(y)), (out - y) / len(y)
            d = d * out * (1 - out) if kind == "sigmoid_squared" else d
        grads = {}
        for place in range(depth, 0, -1):
            grads[f"w{place}"], grads[f"b{place}"] = d.T @ a[place - 1], d.sum(0)
            if place > 1:
                h = a[place - 1]
                d = (d @ p[f"w{place}"]) * ((h > 0) if hidden == "relu" else h * (1 - h))
        return loss, grads

    return loss_and_gradients


def windows(x: np.ndarray, size: int) -> np.ndarray:
    """The patches of (B, C, H, W) as a matrix: (B, H', W', C · size²)."""
    seen = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    b, c, h, w = seen.shape[:4]
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(b, h, w, c * size * size)


def conv_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray):
    """ReLU of a convolution, and maxima of 2 × 2, channels last; and what the way back needs."""
    patches = windows(x, w.shape[2])
    z = np.maximum(patches @ w.reshape(len(w), -1).T + b, 0)
    n, h, v, c = z.shape
    parts = z.reshape(n, h // 2, 2, v // 2, 2, c)
    top = parts.max((2, 4))
    where = parts.transpose(0, 1, 3, 5, 2, 4).reshape(*top.shape, 4).argmax(-1)  # the first, where several are largest
    return top, (patches, z, where)


def conv_backward(d: np.ndarray, kept, w: np.ndarray):
    """The gradients of the weights, the bias and the patches, from that of the maxima."""
    patches, z, where = kept
    n, h, v, c = z.shape
    spread = (where[..., None] == np.arange(4)) * d[..., None]
    dz = spread.reshape(n, h // 2, v // 2, c, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(z.shape) * (z > 0)
    flat = dz.reshape(-1, c)
    dw = (flat.T @ patches.reshape(len(flat), -1)).reshape(w.shape)
    return dw.astype(d.dtype), flat.sum(0), dz


def conv(workload: Workload) -> Callable:
    def loss_and_gradients(p: Arrays, x, y):
        padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        a1, kept1 = conv_forward(padded, p["c1"], p["bc1"])
        a2, kept2 = conv_forward(a1.transpose(0, 3, 1, 2), p["c2"], p["bc2"])
        a = [a2.transpose(0, 3, 1, 2).reshape(len(x), -1)]
        for name in ("w1", "w2"):
            a.append(np.maximum(a[-1] @ p[name].T + p["b" + name], 0))
        loss, d = softmax_loss(a[-1] @ p["w3"].T + p["bw3"], y)
        grads = {}
        for name, below in zip(("w3", "w2", "w1"), a[::-1], strict=True):
            grads[name], grads["b" + name] = d.T @ below, d.sum(0)
            d = d @ p[name]
            if name != "w1":
                d = d * (below > 0)
        d = d.reshape(len(x), 16, 5, 5).transpose(0, 2, 3, 1)
        grads["c2"], grads["bc2"], dz = conv_backward(d, kept2, p["c2"])
        back = windows(np.pad(dz.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (4, 4), (4, 4))), 5)
        turned = p["c2"][:, :, ::-1, ::-1].transpose(1, 0, 2, 3).reshape(6, -1)
        grads["c1"], grads["bc1"], _ = conv_backward(back @ turned.T, kept1, p["c1"])
        return loss, grads

    return loss_and_gradients


def recurrent(workload: Workload) -> Callable:
    m, length = workload.settings["hidden"], workload.settings["length"]
    step, back = (lstm_step, lstm_back) if workload.settings["cell"] == "lstm" else (rnn_step, rnn_back)

    def loss_and_gradients(p: Arrays, x, y):
        h = c = np.zeros((len(x), m), p["wh"].dtype)
        states, kept = [h], []
        seen = p["wx"].T[x.T] + p["b"]  # time first
        for t in range(length):
            h, c, saved = step(seen[t] + h @ p["wh"].T, c)
            states.append(h)
            kept.append(saved)
        after = np.stack(states[1:])
        loss, dz = softmax_loss(after @ p["wo"].T + p["bo"], y.T)
        flat = dz.reshape(-1, dz.shape[-1])
        grads = {"wo": flat.T @ after.reshape(-1, m), "bo": flat.sum(0)}
        from_output, dh, dc = dz @ p["wo"], np.zeros_like(h), np.zeros_like(h)
        pre = np.empty_like(seen)
        for t in range(length - 1, -1, -1):
            pre[t], dc = back(dh + from_output[t], dc, kept[t])
            dh = pre[t] @ p["wh"]
        flat = pre.reshape(-1, pre.shape[-1])
        grads["wh"], grads["b"] = flat.T @ np.stack(states[:-1]).reshape(-1, m), flat.sum(0)
        one_hot = np.eye(p["wx"].shape[1], dtype=flat.dtype)[x.T.ravel()]
        grads["wx"] = flat.T @ one_hot  # faster than np.add.at
        return loss, grads

    return loss_and_gradients


def rnn_step(z, c):
    h = np.tanh(z)
    return h, c, h


def rnn_back(dh, dc, h):
    return dh * (1 - h * h), dc


def lstm_step(z, c):
    i, f, g, o = np.split(z, 4, 1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    top = np.tanh(new)
    return o * top, new, (i, f, g, o, c, top)


def lstm_back(dh, dc, kept):
    i, f, g, o, c, top = kept
    dc = dc + dh * o * (1 - top * top)
    gates = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * top * o * (1 - o))
    return np.concatenate(gates, 1), dc * f


KINDS = {"mlp": mlp, "conv": conv, "recurrent": recurrent}
