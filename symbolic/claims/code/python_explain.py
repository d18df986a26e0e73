"""What else is said of a function's wrong results: which follow from others, the likely mistake, a counterexample."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import GradloomError
from ...tensors import Adjoint, Tensor
from ..deciding.draw import draw_sizes
from ..deciding.numbers import NoValueError
from ..deciding.point import Point
from ..deciding.survey import Place
from ..follows import instead
from ..verdict import Judged
from .python_call import call
from .python_judge import Runs, compare, places_for, question_of
from .python_layout import ArrayLayout
from .python_mistakes import likely_mistake

WRONG = ("not equal", "batch 1")


def explained(
    runs: Runs, layout: ArrayLayout, labels: Sequence[str], tensors: Sequence[Tensor | None], lines: list[Judged]
) -> list[Judged]:
    """The lines of one function with all that can be said of the wrong ones.

    Parameters
    ----------
    labels, tensors : the names of the results, and what they are
    """
    wrong = [at for at, line in enumerate(lines) if line.kind in WRONG and tensors[at] is not None]
    made = list(lines)
    for at in wrong:
        tensor = tensors[at]
        assert tensor is not None
        after = _after(runs, layout, labels, tensors, at, [other for other in wrong if other != at])
        if after is not None:
            made[at] = replace(made[at], kind="follows", after=lines[after].number)
    for at, line in enumerate(made):
        tensor = tensors[at]
        if line.kind not in WRONG or tensor is None:
            continue
        mistake = likely_mistake(runs, layout, labels[at], tensor, line.kind)
        shown = _counterexample(runs, layout, labels[at], tensor) if line.kind == "not equal" else None
        made[at] = replace(line, mistake=mistake, counterexample=shown)
    return made


def _after(
    runs: Runs,
    layout: ArrayLayout,
    labels: Sequence[str],
    tensors: Sequence[Tensor | None],
    at: int,
    others: Sequence[int],
) -> int | None:
    """The wrong result that this one follows from: the nearest one that explains it, or None.

    The derived equations are evaluated with the claimed array in the place of the correct one.
    """
    derivation = runs.names.derivation
    tensor = tensors[at]
    assert tensor is not None
    question = question_of(runs.judge, runs.names, tensor)
    try:
        open_chain = instead(derivation, [])
        asked = question.of(open_chain)
        sources = [other for other in others if tensors[other] in asked.needs]
        _, places = places_for(runs.judge, question, None)
        if not sources or not places:
            return None
        # What is nearest needs most of the others: a source among whose needs the others are.
        depth = {o: len(question_of(runs.judge, runs.names, _of(tensors, o)).of(open_chain).needs) for o in sources}
        for source in sorted(sources, key=lambda other: -depth[other]):
            if all(_follows(runs, layout, labels, tensors, at, source, open_chain, place) for place in places):
                return source
    except (GradloomError, NoValueError):
        return None
    return None


def _of(tensors: Sequence[Tensor | None], at: int) -> Tensor:
    tensor = tensors[at]
    assert tensor is not None
    return tensor


def _follows(
    runs: Runs,
    layout: ArrayLayout,
    labels: Sequence[str],
    tensors: Sequence[Tensor | None],
    at: int,
    source: int,
    open_chain: Any,
    place: Place,
) -> bool:
    given = runs.compare(labels[source], place, layout)
    mine = runs.compare(labels[at], place, layout)
    if given.reason or mine.reason or not (given.fits and mine.fits):
        return False
    network = runs.names.network
    like = runs.point(place)
    point = Point(open_chain, like.sizes, like.given)
    point.put(_of(tensors, source), layout.back(_of(tensors, source), given.claimed, network))
    changed = np.asarray(layout.show(_of(tensors, at), point.read(_of(tensors, at)), network), dtype=np.float64)
    scale = max(float(np.max(np.abs(changed), initial=0.0)), mine.scale)
    return bool(np.max(np.abs(changed - mine.claimed), initial=0.0) <= mine.tolerance * scale)


def _counterexample(runs: Runs, layout: ArrayLayout, label: str, tensor: Tensor) -> Any:
    """Small whole numbers at which the function is wrong, or None; left is the correct array, right the claimed one."""
    try:
        from ..deciding.counterexample import Counterexample, _given
    except ImportError:
        return None
    network = runs.names.network
    for unit, number, rows in itertools.product((1, 2, 10), range(6), (1, 2) if network.batch is not None else (None,)):
        try:
            sizes = draw_sizes(network, 0, rows, small=True)
            point = Point(runs.names.derivation, sizes, _given(runs.judge, sizes, number, unit))
            called = call(runs.function, point, layout, runs.names)
            result = next(result for result in called.results if result.label == label)
            correct = np.asarray(layout.show(tensor, point.read(tensor), network), dtype=np.float64)
        except (GradloomError, NoValueError, StopIteration):
            continue
        compared = compare(result.array, correct) if result.array is not None else None
        if compared is None or compared.reason or not compared.fits:
            continue
        gap = np.abs(compared.claimed - correct)
        scale = max(float(np.max(np.abs(compared.claimed), initial=0.0)), compared.scale)
        if scale < 1e-3 or float(np.max(gap, initial=0.0)) < max(0.05 * scale, 1e-3):
            continue
        given = {t: a for t, a in point.known.items() if t in called.read or t.role not in ("value", "adjoint")}
        shown = {t: layout.plainly(t, layout.show(t, a, network), network) for t, a in given.items()}
        one, other = (layout.plainly(tensor, side, network) for side in (correct, compared.claimed))
        return Counterexample(
            dict(sizes),
            {t.name: a for t, a in shown.items() if not isinstance(t, Adjoint)},
            {t.of.name: a for t, a in shown.items() if isinstance(t, Adjoint)},
            one,
            other,
            tuple(int(at) for at in np.unravel_index(int(np.argmax(np.abs(one - other))), one.shape)),
        )
    return None


__all__ = ["explained"]
