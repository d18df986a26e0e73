"""Where a question is decided: random points of the network, looked at in floats first.

A point at which an error could hide is refused: one at a kink, one where a tensor is all 0 or all alike, one where the
network has no finite value. Points are added until every condition was met on both sides, or no more are tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..derivation import Derivation
from ..errors import SizeError
from ..rewriting import Rewriting
from ..tensors import Tensor
from .draw import Style, styles
from .everything import everything, without_facts
from .grid import Watch
from .numbers import FLOATS, NoValueError, Numbers
from .point import Point, draw_point
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
    undefined : at how many points one of the sides has no real value, though the network has
    uncovered : conditions of which only one side was met
    dead : tensors in the two sides that are 0 everywhere, or have no two entries that differ, at every point
    kinked : whether only points near a kink were found
    zero : whether both sides are 0 at all points
    problem : why there is no point, or ""
    """

    places: list[Place] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    undefined: int = 0
    uncovered: list[Any] = field(default_factory=list)
    dead: list[Tensor] = field(default_factory=list)
    kinked: bool = False
    zero: bool = False
    problem: str = ""

    @property
    def looks_equal(self) -> bool:
        return all(apart < APART for apart in self.apart)


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
            while len(self._points) > 60:
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

    def survey(self, question: Question, batch: int | None, tried: Any = None) -> Survey:
        """Choose the points for a question; with `batch` all with that many rows."""
        found = Survey()
        needs = [tensor for tensor in question.needs]
        names = {tensor.name for tensor in needs}
        seen: dict[Any, set[bool]] = {}
        alive: set[Tensor] = set()
        spare: list[tuple[Place, float, bool]] = []
        sides: list[float] = []
        for seed, style in enumerate(tried or styles()):
            place = Place(seed, style, batch)
            try:
                point = self.point(place)
            except SizeError as error:
                found.problem = str(error)
                break
            try:
                for tensor in needs:
                    point.read(tensor)
            except NoValueError:
                continue
            watch = Watch()
            try:
                left, right = (
                    point.array(side, question.indices, watch=watch) for side in (question.left, question.right)
                )
            except NoValueError:
                found.undefined += 1
                continue
            if not (np.all(np.isfinite(left)) and np.all(np.isfinite(right))):
                continue
            assert point.watch is not None
            about = {key: sides_met for key, sides_met in point.watch.seen.items() if key[0] in names}
            margins = [m for key, m in point.watch.margin.items() if key[0] in names] + list(watch.margin.values())
            scale = float(max(np.max(np.abs(left)), np.max(np.abs(right))))
            apart = float(np.max(np.abs(left - right))) / scale if scale else 0.0
            if min(margins, default=1.0) < KINK:
                spare.append((place, apart, scale == 0))
                continue
            before = {key: set(met) for key, met in seen.items()}
            for key, met in [*about.items(), *watch.seen.items()]:
                seen.setdefault(key, set()).update(met)
            living = {tensor for tensor in question.reads if _is_alive(point.read(tensor))}
            useful = seen != before or not living <= alive
            alive |= living
            if len(found.places) < POINTS or useful:
                found.places.append(place)
                found.apart.append(apart)
                sides.append(scale)
            enough = len(found.places) >= POINTS and alive >= set(question.reads) and any(sides)
            if enough and all(len(met) == 2 for met in seen.values()):
                break
        if not found.places and spare:
            found.kinked = True
            for place, apart, _ in spare[:POINTS]:
                found.places.append(place)
                found.apart.append(apart)
            sides = [float(not zero) for _, _, zero in spare[:POINTS]]
        found.uncovered = [key for key, met in seen.items() if len(met) < 2]
        found.dead = [tensor for tensor in question.reads if tensor not in alive]
        found.zero = not any(sides)
        if not found.places and not found.problem and not found.undefined:
            found.problem = "no random point was found at which the network has finite real values"
        return found


def _is_alive(array: Any) -> bool:
    """Whether an array has entries that are not 0 and, if there are more than one, not all alike."""
    return bool(np.any(array != 0)) and (array.size == 1 or bool(np.any(array != array.flat[0])))


__all__ = ["Judge", "Place", "Survey"]
