"""Where a question is decided: random points of the network, looked at in floats first.

A point at which an error could hide is refused: one at a kink, one where a tensor is all 0 or all alike, one where the
network has no finite value. Points are added until every condition was met on both sides, or no more are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from ...binders import Sum
from ...derivation import Derivation
from ...equations import Equation
from ...rewriting import Rewriting
from ...tensors import Adjoint, Tensor
from .draw import Style, styles
from .everything import everything, without_facts
from .grid import Watch
from .numbers import FLOATS, NoValueError, Numbers
from .point import Point, blocks_of, draw_point
from .question import Question

POINTS = 3
KINK = 1e-7  # nearer than this to a kink, relative to what is compared, a point is refused
APART, ALIKE = 1e-6, 1e-9  # relative differences of floats that say something


@dataclass(frozen=True)
class Place:
    """Which point: what it was drawn with."""

    seed: int
    style: Style
    batch: int | None


@dataclass
class Survey:
    """What floats say of a question.

    Attributes
    ----------
    places : the points that were not refused
    apart : for each, the largest difference of the two sides, relative to their largest entry
    scales : for each, that largest entry
    undefined : at how many points one of the sides has no real value, though the network has
    uncovered : conditions of which only one side was met
    dead : tensors in the two sides that are 0 everywhere, or have no two entries that differ, at every point
    kinked : for each, whether it is at a kink of one of the two sides
    zero : whether both sides are 0 at all points
    problem : why there is no point, or ""
    """

    places: list[Place] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    undefined: int = 0
    uncovered: list[Any] = field(default_factory=list)
    dead: list[Tensor] = field(default_factory=list)
    kinked: list[bool] = field(default_factory=list)
    zero: bool = False
    problem: str = ""

    @property
    def looks_equal(self) -> bool:
        return all(apart < APART for apart in self.apart)

    @property
    def is_apart(self) -> bool:
        """Whether there is a difference that is none of rounding."""
        return any(apart > 1e-3 and scale > 1e-6 for apart, scale in zip(self.apart, self.scales, strict=True))


class Judge:
    """What is known of one derivation, shared by all questions about it."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.rewrite = Rewriting(derivation.network)
        self._points: dict[Any, Point] = {}
        self._others: dict[Any, Judge] = {}

    def point(self, place: Place, numbers: Numbers = FLOATS) -> Point:
        key = (place, id(numbers))
        if key not in self._points:
            while len(self._points) > 40:
                self._points.pop(next(iter(self._points)))
            self._points[key] = draw_point(
                self.derivation, place.seed, numbers, batch=place.batch, style=place.style, watch=Watch()
            )
        return self._points[key]

    def without(self, facts: Any) -> Judge:
        """The judge of the same network without some of the declared facts."""
        key = tuple(facts)
        if key not in self._others:
            self._others[key] = Judge(everything(without_facts(self.derivation.network, facts)))
        return self._others[key]

    def survey(
        self, question: Question, batch: int | None, tried: Sequence[Style] | None = None, least: int = POINTS
    ) -> Survey:
        """Choose the points for a question, `least` or more; with `batch` all with that many rows."""
        looks = [_Look(self, question, Place(seed, style, batch)) for seed, style in enumerate(tried or styles())]
        found = Survey()
        chosen: list[_Look] = []
        met: dict[Any, set[bool]] = {}
        alive: set[Tensor] = set()
        clean = (look for look in looks if look.take() and not look.tied)
        # Ties that every point has, as of a relu of a relu, are no accident: what stands there is met as it is.
        for look in chain(clean, _tied(looks)):
            new = any(not sides <= met.get(key, set()) for key, sides in look.seen.items())
            if len(chosen) < least or new or not look.alive <= alive:
                chosen.append(look)
                alive |= look.alive
                for key, sides in look.seen.items():
                    met.setdefault(key, set()).update(sides)
            covered = all(len(sides) == 2 for sides in met.values()) and alive >= set(question.reads)
            if len(chosen) >= least and covered and any(look.scale for look in chosen):
                break
        found.places = [look.place for look in chosen]
        found.apart = [look.apart for look in chosen]
        found.scales = [look.scale for look in chosen]
        found.kinked = [look.tied_itself for look in chosen]
        found.undefined = sum(look.undefined for look in looks if _is_plain(look.place.style))
        found.uncovered = [key for key, sides in met.items() if len(sides) < 2]
        found.dead = [tensor for tensor in question.reads if tensor not in alive]
        found.zero = not any(look.scale for look in chosen)
        problems = [look.problem for look in looks if look.problem]
        if not chosen:
            found.problem = problems[0] if problems else "at every random point a value is too near to a kink"
        return found


def _tied(looks: list[_Look]) -> Iterator[_Look]:
    """Of points that have been looked at, those with ties: last the ones with ties in the two sides themselves."""
    yield from sorted((look for look in looks if look.good and look.tied), key=lambda look: look.tied_itself)


class _Look:
    """A question at one point, in floats."""

    def __init__(self, judge: Judge, question: Question, place: Place) -> None:
        self.judge, self.question, self.place = judge, question, place
        self.good = self.tied = self.tied_itself = self.undefined = False
        self.apart = self.scale = 0.0
        self.seen: dict[Any, set[bool]] = {}
        self.alive: set[Tensor] = set()
        self.problem = ""

    def take(self) -> bool:
        """Evaluate; whether the point may be used."""
        question, point = self.question, self.judge.point(self.place)
        assert point.watch is not None
        try:
            for tensor in question.needs:
                point.read(tensor)
        except NoValueError:
            self.problem = "no random point was found at which the network has finite real values"
            return False
        watch = Watch()
        try:
            left, right = (point.array(side, question.indices, watch=watch) for side in (question.left, question.right))
        except NoValueError:
            self.undefined = True
            return False
        if not (np.all(np.isfinite(left)) and np.all(np.isfinite(right))):
            return False
        names = {tensor.name for tensor in question.needs}
        self.seen = {key: met for key, met in point.watch.seen.items() if key[0] in names} | watch.seen
        margins = [margin for key, margin in point.watch.margin.items() if key[0] in names]
        self.tied_itself = 0.0 in watch.margin.values()
        self.tied = self.tied_itself or 0.0 in margins
        self.good = all(margin == 0 or margin > KINK for margin in (*margins, *watch.margin.values()))
        self.scale = float(max(np.max(np.abs(left)), np.max(np.abs(right))))
        self.apart = float(np.max(np.abs(left - right))) / self.scale if self.scale else 0.0
        self.alive = {tensor for tensor in question.reads if self._is_alive(point, tensor)}
        return self.good

    def _is_alive(self, point: Point, tensor: Tensor) -> bool:
        """Whether entries differ from 0 and from each other, or those do that an adjoint is made of, and cancel."""
        if _is_alive(point.read(tensor)):
            return True
        block = blocks_of(self.judge.derivation).get(tensor)
        if not (isinstance(tensor, Adjoint) and isinstance(block, Equation) and block.body.has(Sum)):
            return False
        return bool(block.reads) and all(_is_alive(point.read(read)) for read in block.reads)


def _is_plain(style: Style) -> bool:
    """Whether floats have the digits for what is drawn: far out, 1 - σ(z) is 0 in floats though it is not in truth."""
    return style.scale <= 1 and style.spread <= 1 and abs(style.shift) <= 1


def _is_alive(array: Any) -> bool:
    """Whether an array has entries that are not 0 and, if there are more than one, not all alike."""
    return bool(np.any(array != 0)) and (array.size == 1 or bool(np.any(array != array.flat[0])))


__all__ = ["Judge", "Place", "Survey"]
