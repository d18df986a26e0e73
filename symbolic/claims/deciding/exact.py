"""Equality by numbers: in fractions, in fractions with what the sides read left free, and to many digits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...equations import Equation
from ...errors import IndexingError
from .canonical import opened
from .draw import UNIT
from .grid import Watch
from .numbers import FLOATS, FRACTIONS, LONG_FLOATS, IrrationalError, NoValueError, Numbers, with_digits
from .point import Point, blocks_of
from .question import Question
from .survey import APART, Judge, Place

DIGITS, MORE = 60, 120
SAME, OTHER = 1e-40, 1e-25  # relative differences, at `DIGITS` digits
ENTRIES = 600  # of the two sides, of which more are not compared one by one


@dataclass(frozen=True)
class Found:
    """What numbers say: `equal` is None where they do not say.

    Attributes
    ----------
    free : whether it holds for any values of what the sides read, so that no branch was missed
    """

    equal: bool | None
    method: str = ""
    free: bool = False
    note: str = ""


def in_fractions(judge: Judge, question: Question, places: list[Place]) -> Found | None:
    """Both sides exactly, or None where they hold a function that is not rational."""
    for place in places:
        point = judge.point(place, FRACTIONS)
        try:
            left, right = sides(question, point, place.seed)
        except (IrrationalError, NoValueError):
            return None
        if not np.all(np.equal(left, right)):
            return Found(False, f"exactly, at a random rational point with {sizes_text(point)}")
    return Found(True, f"exactly, at {len(places)} random rational points, {_first(judge, places)}")


def with_free_tensors(
    judge: Judge, question: Question, places: list[Place], numbers: Numbers = FRACTIONS
) -> Found | None:
    """Whether both sides are equal whatever the tensors that they read are; None if not, or not in these numbers.

    ``δ aᵀ`` is what it is whatever δ and a are, so this needs no more of the network than what stands in the two sides.
    What is defined by others that stand there keeps its equation.
    """
    for left, right in opened(question):
        asked = replace(question, left=left, right=right)
        if all(_agree_freely(judge, asked, place, numbers) for place in places):
            where = f"at {len(places)} random points, {_first(judge, places)}"
            how = "exactly" if numbers is FRACTIONS else f"to {DIGITS} digits"
            return Found(True, f"{how}, for any values of {_names(asked)}, {where}", free=True)
    return None


def _agree_freely(judge: Judge, question: Question, place: Place, numbers: Numbers) -> bool:
    like = judge.point(place)
    watch = Watch()
    point = Point(judge.derivation, like.sizes, like.given, numbers, watch)
    blocks = blocks_of(judge.derivation)
    for number, tensor in enumerate(question.reads):
        block = blocks.get(tensor)
        defined = isinstance(block, Equation) and set(block.reads) <= set(question.reads)
        if tensor.classes is None and tensor.role != "constant" and not defined:
            rng = np.random.default_rng([place.seed, number, 77])
            shape = tuple(point.size(size) for size in tensor.shape)
            top = rng.integers(UNIT // 20, 2 * UNIT, shape) * rng.choice([-1, 1], shape)
            point.put(tensor, np.asarray(numbers.ratio(top, UNIT), dtype=numbers.dtype))
    try:
        left, right = sides(question, point, place.seed, watch=watch)
    except (IrrationalError, NoValueError, IndexingError):
        return False
    scale = max(np.max(np.abs(left)), np.max(np.abs(right)))
    near = 0 if numbers is FRACTIONS else scale * SAME
    covered = all(len(met) == 2 for met in watch.seen.values()) and 0.0 not in watch.margin.values()
    return bool(scale != 0 and np.max(np.abs(left - right)) <= near and covered)


def _names(question: Question) -> str:
    return ", ".join(sorted(tensor.name for tensor in question.reads if tensor.role != "constant"))


def to_many_digits(judge: Judge, question: Question, places: list[Place]) -> Found:
    """Both sides to `DIGITS` digits; undecided where a power is beyond what numbers of any length hold."""
    try:
        return _to_many_digits(judge, question, places)
    except NoValueError:
        return Found(None, note="a side has no finite value at a random point, though floats have one there")


def _to_many_digits(judge: Judge, question: Question, places: list[Place]) -> Found:
    """Both sides to `DIGITS` digits; where they differ, and floats do not show it, to `MORE`."""
    for place in places:
        apart, scale = _apart(judge, question, place, with_digits(DIGITS))
        if scale == 0 or apart <= SAME:
            continue
        where = f"at a random point with {sizes_text(judge.point(place))}"
        rough, rough_scale = _apart(judge, question, place, FLOATS)
        if apart > APART and abs(rough / apart - 1) < 1e-3 and abs(rough_scale / scale - 1) < 1e-3:
            return Found(False, f"to {DIGITS} digits, {where}")
        finer, fine_scale = _apart(judge, question, place, with_digits(MORE))
        # What is 0 in truth shrinks with the error of rounding; a difference that is there stays what it is.
        if fine_scale < 1e-30 * scale or finer <= SAME * SAME:
            continue
        if finer > OTHER and abs(finer / apart - 1) < 1e-6:
            return Found(False, f"to {DIGITS} digits, {where}")
        return Found(None, note=f"the two sides agree to about {-np.log10(finer):.0f} digits, which is neither")
    return Found(True, f"to {DIGITS} digits, at {len(places)} random points, {_first(judge, places)}")


def in_long_floats(judge: Judge, question: Question, places: list[Place]) -> Found:
    """The same, of what is too large for many digits."""
    try:
        return _in_long_floats(judge, question, places)
    except NoValueError:
        return Found(None, note="a side has no finite value at a random point, though floats of 64 bits have one there")


def _in_long_floats(judge: Judge, question: Question, places: list[Place]) -> Found:
    """For sizes at which many digits take too long: a difference that two precisions agree on is none of rounding."""
    for place in places:
        apart, scale = _apart(judge, question, place, FLOATS)
        finer, fine_scale = _apart(judge, question, place, LONG_FLOATS)
        sure = np.finfo(np.longdouble).eps < 1e-18 and apart > APART and abs(finer / apart - 1) < 1e-6
        if sure and abs(fine_scale / scale - 1) < 1e-6:
            return Found(
                False, f"in floats of 64 and of 80 bits, at a random point with {sizes_text(judge.point(place))}"
            )
    sizes = sizes_text(judge.point(places[0]))
    return Found(None, note=f"too large for an evaluation to {DIGITS} digits at {sizes}; declare the network smaller")


def _apart(judge: Judge, question: Question, place: Place, numbers: Numbers) -> tuple[float, float]:
    left, right = sides(question, judge.point(place, numbers), place.seed)
    scale = max(np.max(np.abs(left)), np.max(np.abs(right)))
    apart = np.max(np.abs(left - right))
    return (float(apart / scale) if scale else 0.0), float(scale)


def sides(
    question: Question, point: Point, seed: int, most: int = ENTRIES, watch: Watch | None = None
) -> tuple[Any, Any]:
    """Both sides; of more than `most` entries, those at some positions of each index, the first and the last too."""
    extents = {index: point.size(size) for index, size in question.indices}
    kept = dict(extents)
    while np.prod(list(kept.values()), dtype=float) > most:
        largest = max(kept, key=lambda index: kept[index])
        if kept[largest] <= 3:
            break
        kept[largest] = max(3, kept[largest] // 2)
    places = {}
    rng = np.random.default_rng([seed, 5])
    for index, extent in extents.items():
        if kept[index] < extent:
            inner = rng.choice(np.arange(1, extent - 1), kept[index] - 2, replace=False)
            places[index] = np.array(sorted({0, extent - 1, *map(int, inner)}))
    left, right = (point.array(side, question.indices, places, watch) for side in (question.left, question.right))
    return left, right


def sizes_text(point: Point) -> str:
    return ", ".join(f"{name}={size}" for name, size in sorted(point.sizes.items())) or "the sizes of the network"


def _first(judge: Judge, places: list[Place]) -> str:
    points = [judge.point(place) for place in places]
    others = any(point.sizes != points[0].sizes for point in points)
    return f"with {sizes_text(points[0])}" + (" and others" if others else "")
