"""What numbers say of a mistake: the ratio of what is right to what is claimed, if that is a number."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction as Ratio
from typing import Any

import numpy as np

from ...indices import Dim
from ..latex.syntax import Sum
from ..meaning.reading import Manner
from .edits import Candidate, Change, Style, inside, written
from .edits_remove import numbers
from .screen import Screen

TOLERANCE = 1e-7
ONE, HALF = Ratio(1), Ratio(1, 2)


def constant_ratio(
    screen: Screen, whole: str, manner: Manner, without: str | None = None
) -> tuple[Ratio, Any, Ratio] | None:
    """The number q s^e by which what `without` lacks is to be multiplied for the formula to be right; s is a size.

    With `without` None the ratio is that of the whole side.
    """
    found = []
    sizes = []
    for number in (0, 1, 2):
        ratio = ratio_at(screen, whole, manner, without, number)
        if ratio is None or not _is_flat(ratio):
            return None
        found.append(float(ratio.flat[0]))
        sizes.append(screen.point(number, manner.single))
    dims = _dims(screen)
    for size, by in [(None, Ratio(0)), *((dim, by) for by in (-ONE, ONE, -HALF, HALF) for dim in dims)]:
        parts = [
            value / (float(point.size(size)) ** float(by) if size is not None else 1)
            for value, point in zip(found, sizes, strict=True)
        ]
        q = Ratio(parts[0]).limit_denominator(60)
        if q != 0 and all(abs(part - q) <= TOLERANCE * abs(q) for part in parts):
            return q, size, by
    return None


def _dims(screen: Screen) -> list[Any]:
    network = screen.frame.lexicon.derivation.network
    found = {s for t in network.tensors.values() for z in t.shape for s in z.free_symbols if isinstance(s, Dim)}
    return sorted(found, key=lambda s: (s != network.batch, s.name))


def ratio_at(screen: Screen, whole: str, manner: Manner, without: str | None, number: int = 0) -> Any:
    """An array of the ratio, or None where it is none."""
    seen = screen.look(whole, manner, number)
    if not seen:
        return None
    right, left = seen[0].right, seen[0].left
    if without is not None:
        other = screen.look(without, manner, number)
        if not other or other[0].right.shape != right.shape:
            return None
        right, left = right - other[0].right, left - other[0].right
    right, left = np.broadcast_arrays(right, left)
    scale = np.max(np.abs(right), initial=0.0)
    usable = np.abs(right) > 1e-9 * scale
    if scale == 0 or not usable.any() or np.max(np.abs(left[~usable]), initial=0.0) > 1e-9 * scale:
        return None
    return np.where(usable, left / np.where(usable, right, 1), np.nan)


def _is_flat(ratio: Any) -> bool:
    known = ratio[~np.isnan(ratio)]
    return bool(np.max(np.abs(known - known[0])) <= TOLERANCE * abs(known[0]) and known[0] != 0)


def constants(
    screen: Screen, part: Any, style: Style, manner: Manner, target: Any, without: str | None
) -> Iterator[Candidate]:
    """`target`, a term or the whole side, times a number."""
    found = constant_ratio(screen, style.text, manner, without)
    if found is None:
        return
    q, size, by = found
    batch = screen.frame.lexicon.derivation.network.batch
    text = style.text
    shown = written(text, target)
    level = 0 if without is None else 2
    if q == 1 and by == 0:
        return
    if size is None and q == -1:
        yield from turned(part, target, style, level)
        return
    if size is None:
        kind, words = "factor", f"{shown} is to be multiplied by {_ratio_text(q)}."
        for one in numbers(target, style, q):
            yield Candidate("factor", one.words, one.changes, level)
    else:
        name = style.size_name(size)
        shown_size = name
        if size == batch and q == 1 and abs(by) == 1 and (by < 0 or without is None):
            kind = "missing 1/B" if by < 0 else "extra 1/B"
            words = (
                f"The factor 1/{name} is missing: the loss is a mean over the {name} examples."
                if by < 0
                else f"The factor 1/{name} is too many: {shown} is a mean over the examples already."
            )
        else:
            kind = "missing factor" if abs(by) < 1 else "factor"
            root = "root of the " if abs(by) < 1 else ""
            words = f"{shown} is to be {'divided' if by < 0 else 'multiplied'} by the {root}size {shown_size}."
    factor = coefficient(q, None if size is None else style.size_name(size), by)
    yield Candidate(kind, words, prefixed(target, factor, text), level + 1)


def turned(part: Any, target: Any, style: Style, level: int) -> Iterator[Candidate]:
    """The sign of a whole side, or of one of its terms, turned."""
    text = style.text
    shown = written(text, target)
    if isinstance(target, Sum) and len(target.terms) > 1:
        span = inside(text, target.span)
        words = "The sign of the whole side is wrong."
        yield Candidate("sign", words, (Change(span.start, span.start, "-("), Change(span.end, span.end, ")")), level)
        return
    words = f"The sign of {shown} is wrong."
    if isinstance(target, Sum):
        start = target.span.start
        head = text[start : target.terms[0][1].span.start]
        at = start + next((n for n, c in enumerate(head) if c in "-−"), 0)
        yield Candidate("sign", words, (Change(at, at + 1, ""),), level)
    else:
        yield Candidate("sign", words, (Change(target.span.start, target.span.start, "-"),), level)


def _ratio_text(q: Ratio) -> str:
    return str(q.numerator) if q.denominator == 1 else f"{q.numerator}/{q.denominator}"


def coefficient(q: Ratio, size: str | None, by: Ratio) -> str:
    top, bottom = [str(abs(q.numerator))] * (abs(q.numerator) != 1), [str(q.denominator)] * (q.denominator != 1)
    if size is not None:
        (top if by > 0 else bottom).append(size if abs(by) == 1 else rf"\sqrt{{{size}}}")
    sign = "-" if q < 0 else ""
    above = " ".join(top)
    return f"{sign}\\frac{{{above or '1'}}}{{{' '.join(bottom)}}} " if bottom else f"{sign}{above} "


def prefixed(target: Any, factor: str, text: str) -> tuple[Change, ...]:
    """A factor in front of a part, in brackets if need be."""
    span = inside(text, target.span)
    if isinstance(target, Sum):
        if len(target.terms) == 1:
            term = target.terms[0][1]
            return (Change(term.span.start, term.span.start, factor),)
        return (Change(span.start, span.start, factor + "("), Change(span.end, span.end, ")"))
    return (Change(span.start, span.start, factor),)
