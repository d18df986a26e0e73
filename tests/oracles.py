"""PyTorch's word on every activation and loss, and random data to ask it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from gradloom.symbolic import activations, losses
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.layers import Dense
from gradloom.symbolic.network import Network
from gradloom.symbolic.sequential import Sequential

PRIMES = (3, 5, 7, 11, 13, 17, 19)  # without 2, which hides 2 + B in the place of 2 B

# name → (gradloom's, PyTorch's)
ACTIVATIONS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "identity": (activations.identity, lambda z: z),
    "sigmoid": (activations.sigmoid, torch.sigmoid),
    "tanh": (activations.tanh, torch.tanh),
    "relu": (activations.relu, F.relu),
    "leaky_relu": (activations.leaky_relu, F.leaky_relu),
    "elu": (activations.elu, F.elu),
    "softplus": (activations.softplus, F.softplus),
    "silu": (activations.silu, F.silu),
    "gelu": (activations.gelu, F.gelu),
    "gelu_tanh": (activations.gelu_tanh, lambda z: F.gelu(z, approximate="tanh")),
    "softmax": (activations.softmax, lambda z: F.softmax(z, -1)),
    "log_softmax": (activations.log_softmax, lambda z: F.log_softmax(z, -1)),
}


class LossCase(NamedTuple):
    loss: Any
    target: Callable[[np.random.Generator, int, int], np.ndarray]
    torch: Callable[[Any, Any, str], Any]  # of the output, the target, and the name of the last activation


def real(rng: np.random.Generator, batch: int, width: int) -> np.ndarray:
    return rng.normal(size=(batch, width))


def signs(rng: np.random.Generator, batch: int, width: int) -> np.ndarray:
    return rng.choice([-1.0, 1.0], size=(batch, width))


def bits(rng: np.random.Generator, batch: int, width: int) -> np.ndarray:
    return rng.integers(0, 2, size=(batch, width)).astype(float)


def labels(rng: np.random.Generator, batch: int, width: int) -> np.ndarray:
    return rng.integers(0, width, size=batch)


def one_hot(rng: np.random.Generator, batch: int, width: int) -> np.ndarray:
    return np.eye(width)[labels(rng, batch, width)]


def probabilities(rng: np.random.Generator, batch: int, width: int) -> np.ndarray:
    # They sum to something else than 1 on purpose: nothing may assume that they do.
    return rng.dirichlet(np.ones(width), size=batch) * rng.uniform(0.5, 1.5, size=(batch, 1))


def log_probabilities(output: Any, last: str) -> Any:
    return {"log_softmax": lambda: output, "softmax": lambda: torch.log(output)}.get(
        last, lambda: F.log_softmax(output, -1)
    )()


def binary_cross_entropy(output: Any, y: Any, last: str) -> Any:
    return F.binary_cross_entropy(output, y) if last == "sigmoid" else F.binary_cross_entropy_with_logits(output, y)


def soft_cross_entropy(output: Any, y: Any, last: str) -> Any:
    return -(y * log_probabilities(output, last)).sum(-1).mean()


LOSSES: dict[str, LossCase] = {
    "squared": LossCase(losses.SquaredError(), real, lambda a, y, _: ((a - y) ** 2).sum(-1).mean() / 2),
    "absolute": LossCase(losses.AbsoluteError(), real, lambda a, y, _: F.l1_loss(a, y)),
    "huber": LossCase(losses.Huber(0.7), real, lambda a, y, _: F.huber_loss(a, y, delta=0.7)),
    "hinge": LossCase(losses.Hinge(), signs, lambda a, y, _: torch.clamp(1 - y * a, min=0).mean()),
    "multi_class_hinge": LossCase(
        losses.MultiClassHinge(targets="labels"), labels, lambda a, y, _: F.multi_margin_loss(a, y)
    ),
    "multi_class_hinge_one_hot": LossCase(
        losses.MultiClassHinge(0.5), one_hot, lambda a, y, _: F.multi_margin_loss(a, y.argmax(-1), margin=0.5)
    ),
    "cross_entropy": LossCase(losses.CrossEntropy(), one_hot, soft_cross_entropy),
    "cross_entropy_probabilities": LossCase(losses.CrossEntropy("probabilities"), probabilities, soft_cross_entropy),
    "cross_entropy_labels": LossCase(
        losses.CrossEntropy("labels"), labels, lambda a, y, last: F.nll_loss(log_probabilities(a, last), y)
    ),
    "binary_cross_entropy": LossCase(losses.BinaryCrossEntropy(), bits, binary_cross_entropy),
}


class Case(NamedTuple):
    network: Network
    values: dict[str, np.ndarray]  # of the parameters, x and y
    activation: str
    loss: str
    depth: int


def random_case(activation: str, loss: str, rng: np.random.Generator, depth: int, largest: int = 19) -> Case:
    """A network of `depth` dense layers, all with `activation`; batch and widths are distinct primes."""
    primes = [p for p in PRIMES if p <= largest]
    batch, inputs, *units = (int(p) for p in rng.choice(primes, size=depth + 2, replace=False))
    network = Sequential([Dense(n, ACTIVATIONS[activation][0]) for n in units], (inputs,), loss=LOSSES[loss].loss)
    values = {"x": rng.normal(size=(batch, inputs)), "y": LOSSES[loss].target(rng, batch, units[-1])}
    for parameter in network.parameters:
        shape = tuple(int(size) for size in parameter.shape)
        values[parameter.name] = rng.normal(size=shape) / np.sqrt(shape[-1] if len(shape) > 1 else 1)
    return Case(network, values, activation, loss, depth)


def torch_gradients(case: Case, wrt: tuple[str, ...] | None = None) -> tuple[float, dict[str, np.ndarray]]:
    """PyTorch's loss and gradients in float64, of the parameters and the input ``x`` unless `wrt` says which."""
    tensors = {name: torch.from_numpy(value) for name, value in case.values.items()}
    names = wrt or tuple(name for name in tensors if name != "y")
    for name in names:
        tensors[name].requires_grad_()
    a = tensors["x"]
    for place in range(1, case.depth + 1):
        a = ACTIVATIONS[case.activation][1](F.linear(a, tensors[f"W{place}"], tensors[f"b{place}"]))
    loss = LOSSES[case.loss].torch(a, tensors["y"], case.activation)
    loss.backward()
    return float(loss.detach()), {name: tensors[name].grad.numpy() for name in names}


def relative_error(found: Any, expected: Any) -> float:
    """The largest difference, relative to the largest entry expected; inf where shapes differ or entries are NaN."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    scale = np.abs(expected).max()
    return float(np.abs(found - expected).max() / (scale if scale else 1.0))


def numeric_gradient(network, given, name, sizes, step=1e-6):
    """Central differences of the loss, evaluated straight off the forward equations."""
    base = np.array(given[name], float)
    out = np.zeros_like(base)
    for at in np.ndindex(base.shape):
        for sign in (1, -1):
            moved = base.copy()
            moved[at] += sign * step
            loss = evaluate(network.equations, {**given, name: moved}, sizes)[network.loss.name]
            out[at] += sign * float(loss) / (2 * step)
    return out
