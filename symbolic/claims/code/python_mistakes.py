"""What was probably meant by a function whose array is wrong: the simple change that makes it the correct one.

A mistake is only named if it gives the correct array at every point that was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Integer

from ...adjoint import contributions
from ...equations import Equation
from ...errors import GradloomError
from ...tensors import Adjoint, Tensor, element_of
from ...text import equation_text
from ..deciding.numbers import NoValueError
from ..deciding.point import Point
from ..meaning.lexicon import is_applied
from .python_judge import Compared, Runs, places_for, question_of
from .python_layout import ArrayLayout

_CLOSE = 1e-8


@dataclass(frozen=True)
class _Seen:
    """A result at one point: what is claimed, what is correct, and the point."""

    compared: Compared
    point: Point

    @property
    def claimed(self) -> Any:
        return self.compared.claimed

    @property
    def correct(self) -> Any:
        return self.compared.correct

    def matches(self, array: Any, other: Any = None) -> bool:
        """Whether `array` is the correct one, or `other`."""
        known = self.correct if other is None else other
        if np.shape(array) != known.shape or not np.all(np.isfinite(array)):
            return False
        scale = float(np.max(np.abs(known), initial=0.0))
        return scale > 0 and float(np.max(np.abs(array - known), initial=0.0)) <= _CLOSE * scale


def likely_mistake(runs: Runs, layout: ArrayLayout, label: str, tensor: Tensor, kind: str) -> Any:
    """A `Mistake`, or None if no simple change makes the array right."""
    try:
        from ..mistakes.search import Mistake
    except ImportError:
        return None
    found = diagnosis(runs, layout, label, tensor, 1 if kind != "batch 1" and layout.alone else None)
    if found is None:
        return None
    return Mistake(found[0], found[1], correct_text(runs, tensor))


def correct_text(runs: Runs, tensor: Tensor) -> str:
    """The correct equation, in plain text."""
    derivation = runs.names.derivation
    if isinstance(tensor, Adjoint):
        return equation_text(derivation.delta(tensor.of.name)) if tensor.of.name in derivation.steps else ""
    return equation_text(derivation.network.equation(tensor.name)) if tensor.role == "value" else ""


def diagnosis(
    runs: Runs, layout: ArrayLayout, label: str, tensor: Tensor, rows: int | None = None
) -> tuple[str, str] | None:
    """The kind of the mistake and what it is in words, or None."""
    question = question_of(runs.judge, runs.names, tensor)
    try:
        _, places = places_for(runs.judge, question, rows)
        seen = [_Seen(runs.compare(label, place, layout), runs.point(place)) for place in places]
    except (GradloomError, NoValueError):
        return None
    seen = [one for one in seen if one.claimed is not None and np.all(np.isfinite(one.claimed))]
    if not seen:
        return None
    shown = _Shown(runs, layout, tensor)
    if not all(one.claimed.shape == one.correct.shape for one in seen):
        return _by_shape(seen, shown)
    for kind, words, change in _changes(shown):
        try:
            with np.errstate(all="ignore"):
                if all(one.matches(change(one)) for one in seen):
                    return kind, words
        except (GradloomError, NoValueError, ValueError):
            continue
    return _by_factor(seen)


@dataclass(frozen=True)
class _Shown:
    """How tensors are laid out for the function."""

    runs: Runs
    layout: ArrayLayout
    tensor: Tensor

    def array(self, tensor: Tensor, point: Point) -> Any:
        return self.of(tensor, point.read(tensor))

    def of(self, tensor: Tensor, array: Any) -> Any:
        known = self.layout.show(tensor, array, self.runs.names.network)
        return np.asarray(known, dtype=np.float64)


_Change = tuple[str, str, Callable[[_Seen], Any]]


def _changes(shown: _Shown) -> Iterator[_Change]:
    """Changes to try, the likeliest first: each makes the correct array of the claimed one."""
    network = shown.runs.names.network
    yield "sign", "the sign is wrong: yours is minus the correct one", lambda s: -s.claimed
    if network.batch is not None:
        name = network.batch.name
        batch = network.batch
        yield "missing 1/B", f"1/{name} is missing", lambda s: s.claimed / s.point.size(batch)
        yield "extra 1/B", f"1/{name} is too much", lambda s: s.claimed * s.point.size(batch)
        yield (
            "missing 1/B",
            f"the sign is wrong, and 1/{name} is missing",
            lambda s: -s.claimed / s.point.size(batch),
        )
    yield from _branches(shown)
    yield from _derivatives(shown)
    yield from _factors(shown)


def _branches(shown: _Shown) -> Iterator[_Change]:
    """One of several ways from the tensor to the loss is left out."""
    tensor = shown.tensor
    if not isinstance(tensor, Adjoint):
        return
    network = shown.runs.names.network
    parts: dict[str, list[Any]] = {}
    for equation in network.equations:
        if tensor.of in equation.reads:
            target = equation.target
            cotangent = (
                Integer(1) if target == tensor.loss else element_of(Adjoint(target, tensor.loss), equation.indices)
            )
            for part in contributions(equation, cotangent, {tensor.of: None}, network.home):
                parts.setdefault(target.name, []).append((part.where, part.term))
    for through, terms in parts.items():
        if len(parts) < 2:
            return

        def complete(seen: _Seen, terms: list[Any] = terms) -> Any:
            total = sum(
                seen.point.array(term, tuple(zip(where, tensor.of.shape, strict=True))) for where, term in terms
            )
            return seen.claimed + shown.of(tensor, total)

        yield "missing term", f"what comes back through {through} is missing", complete


def _derivatives(shown: _Shown) -> Iterator[_Change]:
    """The derivative of an activation: left out, too much, of another layer, or taken at a in the place of z."""
    network = shown.runs.names.network
    applied = [e for e in network.equations if len(e.reads) == 1 and is_applied(e, e.reads[0])]
    made = [_Slope(shown, equation) for equation in applied]
    for one in made:
        words = f"the derivative of {one.name} is missing"
        yield "missing activation derivative", words, _scaled(up=one.at)
        words = f"the derivative of {one.name} is too much"
        yield "extra activation derivative", words, _scaled(down=one.at)
        words = f"the derivative of {one.name} is taken at {one.made}, not at {one.of}"
        yield "derivative at a instead of z", words, _scaled(up=one.at, down=one.at_value)
    for one in made:
        for other in made:
            if one is not other:
                words = f"the derivative of {one.name} is taken, where that of {other.name} belongs"
                yield "wrong layer", words, _scaled(up=other.at, down=one.at)


def _scaled(up: Callable[[_Seen], Any] | None = None, down: Callable[[_Seen], Any] | None = None) -> Any:
    """The claimed array times one and by another, entry by entry."""

    def change(seen: _Seen) -> Any:
        made = seen.claimed if up is None else seen.claimed * up(seen)
        return made if down is None else made / down(seen)

    return change


class _Slope:
    """The derivative of an activation, as an array."""

    def __init__(self, shown: _Shown, equation: Equation) -> None:
        self.shown, self.equation = shown, equation
        self.of, self.made = equation.reads[0], equation.target
        self.name = f"{self.made} by {self.of}"
        home = shown.runs.names.network.home
        self.parts = [(p.where, p.term) for p in contributions(equation, Integer(1), {self.of: None}, home)]

    def at(self, seen: _Seen) -> Any:
        return self._array(seen.point)

    def at_value(self, seen: _Seen) -> Any:
        """The derivative at the value of the activation itself."""
        like = seen.point
        point = Point(like.derivation, like.sizes, like.given)
        point.put(self.of, like.read(self.made))
        return self._array(point)

    def _array(self, point: Point) -> Any:
        made = sum(point.array(term, tuple(zip(where, self.of.shape, strict=True))) for where, term in self.parts)
        return self.shown.of(self.of, made)


def _factors(shown: _Shown) -> Iterator[_Change]:
    """A tensor that is a factor, entry by entry, and was left out or put in."""
    for tensor in shown.runs.names.network.tensors.values():
        if tensor.rank == 0 and tensor == shown.runs.names.loss:
            continue

        def values(seen: _Seen, tensor: Tensor = tensor) -> Any:
            return shown.array(tensor, seen.point)

        yield "missing factor", f"the factor {tensor} is missing", _scaled(up=values)
        yield "extra factor", f"the factor {tensor} is too much", _scaled(down=values)


def _by_shape(seen: list[_Seen], shown: _Shown) -> tuple[str, str] | None:
    """A sum that is missing, or one too many."""
    network = shown.runs.names.network
    for axis in range(max(one.claimed.ndim for one in seen)):
        summed = [np.sum(one.claimed, axis=axis) if axis < one.claimed.ndim else one.claimed for one in seen]
        if all(
            one.matches(np.reshape(a, one.correct.shape)) for one, a in zip(seen, summed, strict=True) if _sizes(a, one)
        ):
            if not all(_sizes(a, one) for one, a in zip(seen, summed, strict=True)):
                continue
            over = (
                all(one.claimed.shape[axis] == one.point.size(network.batch) for one in seen)
                if network.batch
                else False
            )
            return (
                "missing sum",
                "the sum over the batch is missing" if over else f"the sum over axis {axis} is missing",
            )
    for axis in range(max(one.correct.ndim for one in seen)):
        if all(
            axis < one.correct.ndim and one.matches(np.squeeze(one.claimed), np.squeeze(np.sum(one.correct, axis=axis)))
            for one in seen
        ):
            return "extra sum", f"the correct array is not summed over its axis {axis}"
    return None


def _sizes(array: Any, one: _Seen) -> bool:
    return int(np.size(array)) == int(np.size(one.correct)) and [n for n in np.shape(array) if n != 1] == [
        n for n in one.correct.shape if n != 1
    ]


def _by_factor(seen: list[_Seen]) -> tuple[str, str] | None:
    """One number, or one size, by which all entries are too large."""
    ratios = []
    for one in seen:
        at = np.unravel_index(int(np.argmax(np.abs(one.correct))), one.correct.shape)
        if one.correct[at] == 0 or one.claimed[at] == 0:
            return None
        ratio = float(one.claimed[at] / one.correct[at])
        if not one.matches(one.claimed / ratio):
            return None
        ratios.append(ratio)
    if max(ratios) - min(ratios) <= _CLOSE * abs(ratios[0]):
        plain = Fraction(ratios[0]).limit_denominator(1000)
        exact = abs(float(plain) - ratios[0]) <= _CLOSE * abs(ratios[0]) and plain.denominator < 100
        return "factor", f"yours is {plain if exact else f'{ratios[0]:.6g}'} times the correct one"
    for name in seen[0].point.sizes:
        for power, text in ((1, name), (-1, f"1/{name}"), (2, f"{name}²"), (-2, f"1/{name}²")):
            if all(abs(r / one.point.sizes[name] ** power - 1) <= _CLOSE for r, one in zip(ratios, seen, strict=True)):
                return "factor", f"yours is {text} times the correct one"
    return None


__all__ = ["correct_text", "diagnosis", "likely_mistake"]
