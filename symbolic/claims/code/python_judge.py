"""Whether a function's results are the derived ones: it is called at random points, and each array is compared.

Nothing is proved here: a verdict says at how many points, and how near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import DataError, GradloomError
from ...tensors import Adjoint, Tensor, element_of, shape_text
from ..deciding.draw import Style
from ..deciding.exact import sizes_text
from ..deciding.numbers import NoValueError
from ..deciding.point import Point
from ..deciding.question import Question
from ..deciding.survey import Judge, Place
from .python_call import Called, Result, call
from .python_layout import ArrayLayout, layouts
from .python_names import Names
from .python_source import UserCodeError, UserFunction

SAME = 1e-9  # relative error of what is equal, in float64
NEAR = 1e-4  # below this, but above `SAME`, four digits agree
NOISE = 1e-13  # relative to the largest of what is read: what is 0 but for rounding
_SMALL = Style(scale=0.01, spread=0.01)  # where what was left out, as the ε of a normalisation, is large


@dataclass(frozen=True)
class Compared:
    """One result at one point.

    Attributes
    ----------
    claimed, correct : arrays, the claimed one in the shape of the correct one if it `fits`
    error : the largest difference, relative to the largest entry
    fits : whether the shapes agree
    turned : whether it is the transpose that is equal
    note : how the shape differs from the derived one, if that is of no account
    reason : why it is wrong, in words, where there is more to say than that numbers differ
    tolerance : the relative error up to which it is equal
    """

    claimed: Any
    correct: Any
    error: float = np.inf
    fits: bool = False
    turned: bool = False
    note: str = ""
    reason: str = ""
    tolerance: float = SAME
    scale: float = 0.0

    @property
    def equal(self) -> bool:
        return self.fits and not self.turned and not self.reason and self.error <= self.tolerance


@dataclass
class Runs:
    """A function, called at points of one derivation; each call is made once.

    Attributes
    ----------
    judge : of the derivation; gives the points
    """

    function: UserFunction
    names: Names
    judge: Judge
    _calls: dict[Any, Called | GradloomError] = field(default_factory=dict)

    def at(self, place: Place, layout: ArrayLayout) -> Called:
        """
        Raises
        ------
        GradloomError
            If the call failed.
        """
        key = (place, layout)
        if key not in self._calls:
            try:
                self._calls[key] = call(self.function, self.point(place), layout, self.names)
            except GradloomError as error:
                self._calls[key] = error
        found = self._calls[key]
        if isinstance(found, GradloomError):
            raise found
        return found

    def point(self, place: Place) -> Point:
        return self.judge.point(place)

    def is_fickle(self, place: Place, layout: ArrayLayout) -> bool:
        """Whether a second call with the same arguments returns something else."""
        again = call(self.function, self.point(place), layout, self.names).results
        first = self.at(place, layout).results
        return len(again) != len(first) or not all(
            one.label == other.label
            and (one.array is None or np.array_equal(one.array, other.array, equal_nan=one.array.dtype.kind == "f"))
            for one, other in zip(again, first, strict=True)
        )

    def result(self, label: str, place: Place, layout: ArrayLayout) -> Result:
        """
        Raises
        ------
        UserCodeError
            If it is not returned here, though it is elsewhere.
        """
        for result in self.at(place, layout).results:
            if result.label == label:
                return result
        raise UserCodeError(f"{self.function.signature()} does not always return {label}")

    def compare(self, label: str, place: Place, layout: ArrayLayout) -> Compared:
        """One result beside the derived one."""
        result, point = self.result(label, place, layout), self.point(place)
        assert result.tensor is not None
        network = self.names.network
        correct = np.asarray(layout.show(result.tensor, point.read(result.tensor), network), dtype=np.float64)
        if result.array is None:
            return Compared(None, correct, reason=result.problem)
        sizes = [np.max(np.abs(known), initial=0.0) for known in self.at(place, layout).read.values()]
        return compare(result.array, correct, max(map(float, sizes), default=0.0))


def compare(claimed: Any, correct: Any, magnitude: float = 0.0) -> Compared:
    """Two arrays; `magnitude` is that of what the claimed one was made of.

    A shape that lacks axes of length 1, or has more of them, fits.
    """
    if claimed.dtype.kind == "f" and claimed.dtype.itemsize < 4:
        raise DataError(f"it returns {claimed.dtype}, whose few digits hide errors: return float32 or float64")
    tolerance = SAME if claimed.dtype.itemsize >= 8 or claimed.dtype.kind != "f" else 100 * np.finfo(claimed.dtype).eps
    note, turned = "", False
    if claimed.dtype.kind == "f" and claimed.dtype.itemsize < 8:
        note = f"it is of {claimed.dtype}, so it is compared to {-int(np.ceil(np.log10(tolerance)))} digits only"
    shape = claimed.shape
    if shape != correct.shape:
        if claimed.ndim != correct.ndim and _long(shape) == _long(correct.shape):
            note = "; ".join(filter(None, [note, f"its shape is {shape_text(shape)}, for {shape_text(correct.shape)}"]))
            claimed = claimed.reshape(correct.shape)
        elif claimed.ndim == correct.ndim == 2 and shape == correct.shape[::-1]:
            claimed, turned = claimed.T, True
        else:
            reason = f"it has the shape {shape_text(shape)}, the correct one {shape_text(correct.shape)}"
            return Compared(claimed, correct, reason=reason)
    claimed = claimed.astype(np.float64)
    if not np.all(np.isfinite(claimed)):
        what = "NaN" if np.any(np.isnan(claimed)) else "infinite"
        return Compared(claimed, correct, fits=not turned, reason=f"entries of it are {what}", note=note)
    scale = float(np.max(np.abs(correct), initial=0.0))
    gap = float(np.max(np.abs(claimed - correct), initial=0.0))
    noise = NOISE * magnitude
    error = 0.0 if gap == 0 else np.inf
    if gap and scale > noise:
        error = gap / scale
    elif gap and noise:  # 0 but for rounding: equal if it is 0 likewise
        error = gap / noise * tolerance
    made = Compared(claimed, correct, error, not turned, turned, note, tolerance=tolerance, scale=scale)
    if not turned and error > tolerance and correct.ndim == 2 and correct.shape[0] == correct.shape[1] > 1:
        other = float(np.max(np.abs(claimed.T - correct))) / max(scale, noise, 1e-300)
        if other <= tolerance:
            return replace(made, claimed=claimed.T, error=other, fits=False, turned=True)
    return made


def _long(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def question_of(judge: Judge, names: Names, tensor: Tensor, single: bool = False) -> Question:
    """The question whose points are those to try a function at that claims to know `tensor`."""
    home = names.network.home(tensor.of if isinstance(tensor, Adjoint) else tensor)
    element = element_of(tensor, home)
    return Question(judge.derivation, element, element, tuple(zip(home, tensor.shape, strict=True)), False, single)


def places_for(judge: Judge, question: Question, rows: int | None, tried: Sequence[Style] | None = None) -> Any:
    """The points to try, and what is doubtful of them: their survey."""
    survey = judge.survey(question, rows, tried)
    places = [place for place, kinked in zip(survey.places, survey.kinked, strict=True) if not kinked]
    if tried is None and places:
        small = Place(len(places) + 100, _SMALL, rows)
        try:
            for tensor in question.needs:
                judge.point(small).read(tensor)
            places.append(small)
        except (NoValueError, GradloomError):
            pass
    return survey, places


def choose(runs: Runs, rows: int | None) -> tuple[ArrayLayout | None, GradloomError | None]:
    """The layout in which the function's results fit, the declared one first; else the one that gets furthest.

    Returns
    -------
    The layout, and the error where every one of them raises one.
    """
    best: tuple[float, ArrayLayout] | None = None
    failure: tuple[float, GradloomError] | None = None
    tried: set[Any] = set()
    for layout in layouts(runs.names.network, rows):
        fits = right = count = 0
        try:
            for place in [Place(seed, Style(), rows) for seed in (0, 1)]:
                called = runs.at(place, layout)
                for result in called.results:
                    if result.tensor is None or result.array is None:
                        continue
                    compared = runs.compare(result.label, place, layout)
                    count += 1
                    fits += compared.fits
                    right += compared.equal
        except NoValueError:
            continue
        except GradloomError as error:
            reached = getattr(error, "line", None)
            line = float("inf") if reached is None else float(reached)  # without a line, it ran to its end
            if failure is None or line > failure[0]:
                failure = line, error
            if not isinstance(error, UserCodeError):
                break
            continue
        # Layouts that give the function the same arrays are one and the same to it.
        given = tuple(sorted((t.name, layout.change(t, runs.names.network)) for t in called.read))
        if given in tried:
            continue
        tried.add(given)
        if fits == count:
            return layout, None
        score = fits + 2 * right
        if best is None or score > best[0]:
            best = score, layout
    if best is not None:
        return best[1], None
    return None, failure[1] if failure is not None else None


def where_text(runs: Runs, places: Sequence[Place], error: float) -> str:
    """How it was decided, in words."""
    points = "1 random point" if len(places) == 1 else f"{len(places)} random points"
    return f"at {points} in float64 with {sizes_text(runs.point(places[0]))}, error {error:.0e}"


__all__ = ["Compared", "Runs", "choose", "compare", "places_for", "question_of", "where_text"]
