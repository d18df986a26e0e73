"""A counterexample that can be followed by hand: small sizes, whole numbers, and the entry that differs most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import GradloomError
from ...tensors import Adjoint
from .decide import judge_of
from .draw import Drawn, draw_sizes, number_of
from .numbers import FLOATS, NoValueError
from .point import Point
from .question import Question
from .survey import Judge

_VISIBLE, _LEAST = 0.05, 1e-11  # differences, relative to the largest entry
_TRIES = 12
_UNITS = (1, 2, 10, 100)  # values are whole, halves, or decimals


@dataclass(frozen=True)
class Counterexample:
    """Numbers at which the two sides of a question differ.

    Attributes
    ----------
    sizes : number of every symbolic size
    values : name → array, of all data and parameters that are needed, and of the tensors that the two sides read
    adjoints : name of a tensor → array of its gradient, for those that the two sides read
    left, right : arrays over the free indices
    entry : where in them the difference is largest
    """

    sizes: dict[str, int]
    values: dict[str, Any] = field(repr=False)
    adjoints: dict[str, Any] = field(repr=False)
    left: Any
    right: Any
    entry: tuple[int, ...]


def counterexample(question: Question) -> Counterexample | None:
    """Small numbers at which the two sides differ, visibly if such are found; None if they never do.

    Whole numbers are tried first, then halves and decimals; one row in the batch, then two.
    """
    judge = judge_of(question.derivation)
    best: Counterexample | None = None
    best_score = 0.0
    for unit in _UNITS:
        for number in range(_TRIES):
            for sizes in _sizes(question):
                found = _at(judge, question, sizes, number, unit)
                if found is not None and found[0] > best_score:
                    best_score, best = found
            if best_score >= 0.9:
                return best
        if best_score >= 0.4:
            return best
    return best


def _sizes(question: Question) -> Iterator[dict[str, int]]:
    """One row in the batch where that is enough, then two."""
    network = question.derivation.network
    for rows in (1,) if question.example else (1, 2) if network.batch is not None else (None,):
        try:
            yield draw_sizes(network, 0, rows, small=True)
        except GradloomError:
            continue


def _at(
    judge: Judge, question: Question, sizes: dict[str, int], number: int, unit: int
) -> tuple[float, Counterexample] | None:
    """The point `number`, and how good an example it is: visible differences, in values that are not too large."""
    given = _given(judge, sizes, number, unit)
    point = Point(judge.derivation, sizes, given, FLOATS)
    try:
        left, right = (point.array(side, question.indices) for side in (question.left, question.right))
        arrays = {tensor: point.read(tensor) for tensor in question.needs}
    except (NoValueError, GradloomError):
        return None
    scale = max(float(np.max(np.abs(left))), float(np.max(np.abs(right))))
    gap = np.abs(left - right)
    if not np.isfinite(scale) or scale < 1e-6 or float(np.max(gap)) < _LEAST * scale:
        return None
    shown = {t: a for t, a in arrays.items() if t in question.reads or t.role not in ("value", "adjoint")}
    entry = tuple(int(at) for at in np.unravel_index(int(np.argmax(gap)), gap.shape))
    example = Counterexample(
        dict(sizes),
        {t.name: a for t, a in shown.items() if not _is_gradient(t)},
        {t.of.name: a for t, a in shown.items() if _is_gradient(t)},
        left,
        right,
        entry,
    )
    whole = np.all(left == np.round(left)) and np.all(right == np.round(right))
    alive = sum(bool(np.any(a != 0)) for t, a in shown.items()) / max(1, len(shown))
    visible = min(1.0, float(np.max(gap)) / (_VISIBLE * scale))
    return visible * alive * (1.0 if whole and scale < 1000 else 0.9 if 0.01 < scale < 100 else 0.5), example


def _is_gradient(tensor: Any) -> bool:
    return isinstance(tensor, Adjoint) and tensor.role == "adjoint"


def _given(judge: Judge, sizes: dict[str, int], number: int, unit: int) -> dict[str, Drawn]:
    """Small whole multiples of 1/`unit`; a one-hot target has rows of 0 and 1, other sums are mended at the end."""
    network = judge.derivation.network
    made = {}
    for at, tensor in enumerate(network.tensors.values()):
        if tensor.role in ("value", "constant"):
            continue
        rng = np.random.default_rng([number, at, unit])
        shape = tuple(number_of(size, sizes) for size in tensor.shape)
        if tensor.classes is not None:
            made[tensor.name] = Drawn(
                rng.integers(0, number_of(tensor.classes, sizes), shape).astype(np.int64), 1, True
            )
            continue
        fact = next((fact for fact in network.facts if fact.tensor == tensor), None)
        if fact is not None and fact.source == "declared: one-hot":
            labels = rng.integers(0, shape[fact.axis], shape[: fact.axis] + shape[fact.axis + 1 :])
            rows = np.eye(shape[fact.axis], dtype=np.int64)[labels]
            made[tensor.name] = Drawn(np.moveaxis(rows, -1, fact.axis))
            continue
        if tensor.role == "noise":
            made[tensor.name] = Drawn(rng.integers(0, 4, shape), 4)
            continue
        top = rng.integers(-2, 4, shape) if unit == 1 else rng.integers(-unit, unit + 1, shape)
        if tensor.role == "state":
            top = np.abs(top) + 1
        if fact is not None:
            last = [slice(None)] * len(shape)
            last[fact.axis] = slice(-1, None)
            top[tuple(last)] += int(fact.value * unit) - top.sum(axis=fact.axis, keepdims=True)
        made[tensor.name] = Drawn(top, unit)
    return made
