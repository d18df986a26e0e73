"""Random losses that fit an output, each with what PyTorch makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy
import torch
import torch.nn.functional as F
from random_layers import Draw, Piece, Shape

import gradloom as gl
from gradloom.symbolic import layers as L


class LossPiece(NamedTuple):
    """A loss; values of its target; PyTorch's function of the output and tensors by name: what is predicted, the loss.

    `last` is a layer that the loss wants before itself, or None.
    """

    loss: Any
    target: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    torch: Callable[[Any, Mapping[str, Any]], tuple[Any, Any]]
    last: Piece | None = None


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def one_hot(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]


def shares(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.1, 1, shape)  # that sum to anything


def bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2, shape).astype(float)


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 2 * bits(rng, shape) - 1


def reduced(terms: Any, reduction: str, mask: Any, over: int) -> Any:
    """The sum of `terms`, or its mean over the places that count; `over` axes have one term per place."""
    if mask is not None:
        terms = terms * mask.reshape(*mask.shape, *[1] * (terms.ndim - mask.ndim))
    if reduction == "sum":
        return terms.sum()
    if mask is None:
        count = terms.shape[0] if reduction == "half" else np.prod(terms.shape[:over])
    else:
        count = mask.sum() * (1 if reduction == "half" else int(np.prod(terms.shape[mask.ndim : over])))
    return terms.sum() / (2 * count if reduction == "half" else count)


def draw_loss(draw: Draw, shape: Shape) -> LossPiece:
    """A loss of an output whose samples have this shape; a mask of the loss where there are steps of time."""
    rank = len(shape) + 1
    mask = draw.mask(shape[0]) if rank == 3 and draw.chance(0.3) else None
    classes = draw.number(shape[-1]) >= 2
    kind = draw.pick(
        ["squared", "absolute", "huber", "binary", "hinge", "log_cosh"] + ["cross", "cross", "multi"] * classes
    )
    reduction = draw.pick(["half", "mean", "sum"] if kind == "squared" else ["mean", "sum"])
    if kind == "cross":
        return _cross_entropy(draw, reduction, mask, rank)
    if kind == "multi":
        return _multi_class_hinge(draw, reduction, mask, rank)
    if kind == "binary":
        return _binary(draw, reduction, mask, rank)
    if kind == "log_cosh":
        return LossPiece(
            lambda a, y: sympy.log(sympy.cosh(a - y)),
            normal,
            lambda a, w: (a, torch.log(torch.cosh(a - w["y"])).mean()),
        )
    delta = draw.pick([0.5, 1])
    ours, target, entry = {
        "squared": (gl.losses.SquaredError, normal, lambda a, y: (a - y) ** 2),
        "absolute": (gl.losses.AbsoluteError, normal, lambda a, y: (a - y).abs()),
        "huber": (
            lambda *options, **more: gl.losses.Huber(delta, *options, **more),
            normal,
            lambda a, y: F.huber_loss(a, y, reduction="none", delta=delta),
        ),
        "hinge": (gl.losses.Hinge, signs, lambda a, y: torch.relu(1 - y * a)),
    }[kind]
    return LossPiece(
        ours(reduction, mask=mask),
        target,
        lambda a, w: (a, reduced(entry(a, w["y"]), reduction, w[mask] if mask else None, rank)),
    )


def _cross_entropy(draw: Draw, reduction: str, mask: str | None, rank: int) -> LossPiece:
    targets = draw.pick(["one_hot", "labels", "probabilities"])
    last = draw.pick([None, None, "softmax", "log_softmax"])

    def reference(a: Any, w: Any) -> tuple[Any, Any]:
        y = F.one_hot(w["y"], a.shape[-1]) if targets == "labels" else w["y"]
        log_p = {"softmax": torch.log, "log_softmax": lambda a: a}.get(last, lambda a: F.log_softmax(a, -1))(a)
        total = reduced(-(y * log_p).sum(-1), reduction, w[mask] if mask else None, rank - 1)
        return (a if last else torch.softmax(a, -1)), total

    before = {
        None: None,
        "softmax": Piece(L.Activation(gl.softmax), lambda x, w, at, _: F.softmax(x, -1)),
        "log_softmax": Piece(L.Activation(gl.log_softmax), lambda x, w, at, _: F.log_softmax(x, -1)),
    }[last]
    values = {"one_hot": one_hot, "probabilities": shares, "labels": lambda rng, shape: None}[targets]
    return LossPiece(gl.losses.CrossEntropy(targets, reduction, mask=mask), values, reference, before)


def _multi_class_hinge(draw: Draw, reduction: str, mask: str | None, rank: int) -> LossPiece:
    targets, margin = draw.pick(["one_hot", "labels"]), draw.pick([0.5, 1])

    def reference(a: Any, w: Any) -> tuple[Any, Any]:
        y = F.one_hot(w["y"], a.shape[-1]) if targets == "labels" else w["y"]
        score = (y * a).sum(-1, keepdim=True)
        terms = ((1 - y) * torch.relu(margin - score + a)).sum(-1) / a.shape[-1]
        return a, reduced(terms, reduction, w[mask] if mask else None, rank - 1)

    loss = gl.losses.MultiClassHinge(margin, targets, reduction, mask=mask)
    return LossPiece(loss, one_hot, reference)


def _binary(draw: Draw, reduction: str, mask: str | None, rank: int) -> LossPiece:
    last = Piece(L.Activation(gl.sigmoid), lambda x, w, at, _: torch.sigmoid(x)) if draw.chance() else None

    def reference(a: Any, w: Any) -> tuple[Any, Any]:
        p = a if last else torch.sigmoid(a)
        entry = F.binary_cross_entropy if last else F.binary_cross_entropy_with_logits
        return p, reduced(entry(a, w["y"], reduction="none"), reduction, w[mask] if mask else None, rank)

    return LossPiece(gl.losses.BinaryCrossEntropy(reduction, mask=mask), bits, reference, last)
