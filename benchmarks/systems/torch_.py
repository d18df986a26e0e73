"""PyTorch: "eager" and "channels_last" as its users write it, "compile" with the whole step as one compiled graph."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from ..workloads import Workload
from .base import Stepwise

Tensors = dict[str, torch.Tensor]


def trainer(variant: str, workload: Workload, x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray]) -> Stepwise:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    if workload.kind == "recurrent" and variant == "compile":  # rows are looked up
        weights = {**weights, "wx": np.ascontiguousarray(weights["wx"].T)}
    return Torch(variant, workload, x, y, weights)


class Torch(Stepwise):
    def __init__(self, variant, workload, x, y, weights):
        self.loss, adapt = KINDS[workload.kind](workload, variant)
        layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format

        def brought(part: np.ndarray) -> torch.Tensor:
            made = torch.tensor(part)
            return made.to(memory_format=layout) if made.ndim == 4 and workload.kind == "conv" else made

        frozen = ("b1", "b2") if workload.settings.get("frozen_biases") else ()
        self.initial = {name: brought(w) for name, w in weights.items()}
        self.params = {name: w.clone().requires_grad_(name not in frozen) for name, w in self.initial.items()}
        self.learned = {name: w for name, w in self.params.items() if name not in frozen}
        self.workload, self.adapt = workload, adapt
        batches = [(brought(a), brought(b)) for a, b in zip(x, y, strict=True)]
        super().__init__(batches, self.restart, self.compiled() if variant == "compile" else self.eager)
        self.restart()

    def restart(self):
        with torch.no_grad():
            for name, w in self.initial.items():
                self.params[name].copy_(w)
        self.held = self.adapt(self.params)
        # Fused updates take one call for all parameters: the fastest of PyTorch's three forms.
        learned, w = list(self.learned.values()), self.workload
        if w.optimizer == "adam":
            self.optimizer = torch.optim.Adam(learned, lr=w.lr, fused=True)
        else:
            self.optimizer = torch.optim.SGD(learned, lr=w.lr, momentum=0.9 * (w.optimizer == "momentum"), fused=True)
        self.moments = [[torch.zeros_like(p) for p in learned] for _ in range(2)]
        self.count = torch.zeros(())

    def eager(self, x, y):
        loss = self.loss(self.held, x, y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def compiled(self):
        """Forward, loss, backward and update in one graph, so that Inductor can fuse all of them."""
        names, workload, loss_of = list(self.learned), self.workload, self.loss

        def whole(params: Tensors, moments, count, x, y):
            def of(values):
                return loss_of(self.adapt({**params, **dict(zip(names, values, strict=True))}), x, y)

            values = [params[name].detach() for name in names]
            grads, loss = torch.func.grad_and_value(of)(values)
            if workload.optimizer == "adam":
                torch._foreach_lerp_(moments[0], grads, 1 - 0.9)
                torch._foreach_mul_(moments[1], 0.999)
                torch._foreach_addcmul_(moments[1], grads, grads, 1 - 0.999)
                count += 1
                first, second = 1 - 0.9**count, torch.sqrt(1 - 0.999**count)
                for value, m, v in zip(values, *moments, strict=True):
                    value.sub_(workload.lr / first * m / (v.sqrt() / second + 1e-8))
            else:
                if workload.optimizer == "momentum":
                    torch._foreach_mul_(moments[0], 0.9)
                    torch._foreach_add_(moments[0], grads)
                    grads = moments[0]
                torch._foreach_add_(values, grads, alpha=-workload.lr)
            return loss

        graph = torch.compile(whole, dynamic=False, fullgraph=True)

        def step(x, y):
            with torch.no_grad():
                return graph({n: p.detach() for n, p in self.params.items()}, self.moments, self.count, x, y).item()

        return step

    def gradients(self):
        self.restart()
        self.loss(self.held, *self.batches[0]).backward()
        return {name: p.grad.numpy().copy() for name, p in self.learned.items()}


# ---- one function for each kind: the loss of (parameters, x, y), and what is made of the parameters once ------------


def mlp(workload: Workload, variant: str) -> tuple[Callable, Callable]:
    sizes, hidden, kind = (workload.settings[name] for name in ("sizes", "hidden", "loss"))
    inner = {"sigmoid": torch.sigmoid, "relu": torch.relu}.get(hidden)
    depth = len(sizes) - 1

    def loss(p: Tensors, x, y):
        for place in range(1, depth):
            x = inner(F.linear(x, p[f"w{place}"], p[f"b{place}"]))
        z = F.linear(x, p[f"w{depth}"], p[f"b{depth}"])
        if kind == "softmax":
            return F.cross_entropy(z, y)
        if kind == "logistic":
            return F.binary_cross_entropy_with_logits(z, y)
        a = torch.sigmoid(z) if kind == "sigmoid_squared" else z
        return F.mse_loss(a, y, reduction="sum") / (2 * len(y))

    return loss, dict


def conv(workload: Workload, variant: str) -> tuple[Callable, Callable]:
    def loss(p: Tensors, x, y):
        a = F.max_pool2d(torch.relu(F.conv2d(x, p["c1"], p["bc1"], padding=2)), 2)
        a = F.max_pool2d(torch.relu(F.conv2d(a, p["c2"], p["bc2"])), 2).flatten(1)
        a = torch.relu(F.linear(a, p["w1"], p["bw1"]))
        a = torch.relu(F.linear(a, p["w2"], p["bw2"]))
        return F.cross_entropy(F.linear(a, p["w3"], p["bw3"]), y)

    return loss, dict


def recurrent(workload: Workload, variant: str) -> tuple[Callable, Callable]:
    """Eager: ``torch.nn.LSTM`` and ``RNN`` on one-hot vectors; compiled: the steps written out, rows looked up."""
    m, symbols, length = (workload.settings[name] for name in ("hidden", "symbols", "length"))
    is_lstm = workload.settings["cell"] == "lstm"
    objective = lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten())  # noqa: E731

    def held(p: Tensors):
        layer = (torch.nn.LSTM if is_lstm else torch.nn.RNN)(symbols, m, batch_first=True)
        layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0 = (
            p[name] if isinstance(p[name], torch.nn.Parameter) else _as_parameter(p, name) for name in ("wx", "wh", "b")
        )
        zero = torch.zeros_like(p["b"]).detach()  # PyTorch has two biases that do the same: one stays 0
        layer.bias_hh_l0 = torch.nn.Parameter(zero, requires_grad=False)
        layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]
        return {"layer": layer, **p}

    def eager(p, x, y):
        states, _ = p["layer"](F.one_hot(x, symbols).to(p["wo"].dtype))
        return objective(F.linear(states, p["wo"], p["bo"]), y)

    def written_out(p: Tensors, x, y):
        seen = F.embedding(x, p["wx"]) + p["b"]
        h = c = torch.zeros(len(x), m, dtype=seen.dtype)
        states = []
        for t in range(length):
            z = seen[:, t] + h @ p["wh"].T
            if is_lstm:
                i, f, g, o = z.chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            else:
                h = torch.tanh(z)
            states.append(h)
        return objective(F.linear(torch.stack(states, 1), p["wo"], p["bo"]), y)

    return (written_out, dict) if variant == "compile" else (eager, held)


def _as_parameter(p: Tensors, name: str) -> torch.nn.Parameter:
    """The same memory and the same object for the optimizer: modules take nothing but `Parameter`s."""
    p[name].__class__ = torch.nn.Parameter
    return p[name]


def transformer(workload: Workload, variant: str) -> tuple[Callable, Callable]:
    n, heads = workload.settings["width"], workload.settings["heads"]

    def loss(p: Tensors, x, y):
        a = F.layer_norm(x, (n,), p["g1"], p["h1"])
        parts = F.linear(a, p["wqkv"], p["bqkv"]).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        x = x + F.linear(o.transpose(1, 2).flatten(2), p["wo"], p["bo"])
        a = F.gelu(F.linear(F.layer_norm(x, (n,), p["g2"], p["h2"]), p["w1"], p["b1"]))
        return F.mse_loss(x + F.linear(a, p["w2"], p["b2"]), y)

    return loss, dict


def physics(workload: Workload, variant: str) -> tuple[Callable, Callable]:
    """Derivatives by ``autograd.grad`` with ``create_graph``, as the field writes them; compiled: ``func.grad`` of ``func.grad``."""
    depth = len(workload.settings["sizes"]) - 1

    def network(p: Tensors, x):
        for place in range(1, depth):
            x = torch.tanh(F.linear(x, p[f"w{place}"], p[f"b{place}"]))
        return F.linear(x, p[f"w{depth}"], p[f"b{depth}"])

    def objective(u, u_t, u_pp, u_qq, y):
        return ((u_t - u_pp - u_qq) ** 2 + (u - y) ** 2).mean()

    def eager(p: Tensors, x, y):
        x = x.detach().requires_grad_()
        u = network(p, x)
        (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        second = [torch.autograd.grad(first[:, k].sum(), x, create_graph=True)[0][:, k : k + 1] for k in (1, 2)]
        return objective(u, first[:, :1], *second, y)

    def compiled(p: Tensors, x, y):
        def along(f, k):
            return lambda x: torch.func.grad(lambda x: f(x).sum())(x)[:, k : k + 1]

        u = functools.partial(network, p)
        return objective(u(x), along(u, 0)(x), along(along(u, 1), 1)(x), along(along(u, 2), 2)(x), y)

    return (compiled if variant == "compile" else eager), dict


KINDS = {"mlp": mlp, "conv": conv, "recurrent": recurrent, "transformer": transformer, "physics": physics}
