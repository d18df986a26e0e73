"""Changes of indices: two exchanged, one replaced, a place one further or back, a sign turned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..latex.syntax import Group, Name, Number, Sum
from ..meaning.items import items_of
from .edits import Candidate, Change, Style, inside, spots_of, written
from .edits_names import _letters


def indices(part: Any, style: Style, subject: Any) -> Iterator[Candidate]:
    """Two indices exchanged, one replaced by another of the formula, a place one further or back, a sign turned."""
    text = style.text
    letters = sorted(_letters(subject) | _letters(part))
    for spot in spots_of(part):
        node = spot.node
        if not isinstance(node, Name | Group | Number) or spot.script:
            continue
        shown = written(text, node)
        nodes = [item.node for item in items_of(node.scripts) if item.node is not None]
        own = [
            inner
            for inner in nodes
            if isinstance(inner, Name) and not inner.scripts and inner.base not in (r"\top", "T")
        ]
        for one, other in _pairs(own):
            first, second = (text[n.span.start : n.span.end] for n in (one, other))
            changes = (Change(one.span.start, one.span.end, second), Change(other.span.start, other.span.end, first))
            words = f"The indices {one.base} and {other.base} of {shown} are exchanged."
            yield Candidate("wrong index", words, changes, 2)
        for inner in own:
            for letter in letters:
                if letter != inner.base and (len(inner.base) == 1 or inner.base.startswith("\\")):
                    span = inside(text, inner.span)
                    words = f"The index {inner.base} of {shown} is wrong: it is {letter}."
                    yield Candidate("wrong index", words, (Change(span.start, span.end, letter),), 3)
        yield from _shifts(node, shown, style)
    yield from _exchanged(part, style)


def _exchanged(part: Any, style: Style) -> Iterator[Candidate]:
    """Two indices exchanged wherever they stand: a_j δ_k for a_k δ_j."""
    places: dict[str, list[Any]] = {}
    for spot in spots_of(part):
        node = spot.node
        if spot.script and isinstance(node, Name) and len(node.base) == 1 and node.base.islower() and not node.scripts:
            places.setdefault(node.base, []).append(inside(style.text, node.span))
    letters = sorted(places)
    for at, one in enumerate(letters):
        for other in letters[at + 1 :]:
            changes = [Change(span.start, span.end, other) for span in places[one]]
            changes += [Change(span.start, span.end, one) for span in places[other]]
            yield Candidate("wrong index", f"The indices {one} and {other} are exchanged.", tuple(changes), 2)


def _shifts(node: Any, shown: str, style: Style) -> Iterator[Candidate]:
    text = style.text
    flipped = [change for item in items_of(node.scripts) for change in _signs(item.node, text)]
    if len(flipped) > 1:
        words = f"The signs in the indices of {shown} are turned: on the way back the kernel is flipped."
        yield Candidate("unflipped kernel", words, tuple(flipped), 1)
    for item in items_of(node.scripts):
        place = item.node
        if isinstance(place, Sum):
            end = place.terms[0][1].span.end
            for sign, term in place.terms[1:]:
                at = end + next((n for n, c in enumerate(text[end : term.span.start]) if c in "+-−"), 0)
                change = (Change(at, at + 1, "-" if sign > 0 else "+"),)
                end = term.span.end
                kernel = not isinstance(term, Number)
                if kernel:
                    words = f"The sign in the index of {shown} is turned: on the way back the kernel is flipped."
                    yield Candidate("unflipped kernel", words, change, 2)
                else:
                    yield Candidate("wrong index", f"The sign in the index of {shown} is turned.", change, 2)
            if len(place.terms) > 1 and isinstance(place.terms[-1][1], Number):
                first = text[place.span.start : place.terms[-2][1].span.end].removeprefix("{")
                span = inside(text, place.span)
                words = f"The place of {shown} is wrong: it is {first}."
                yield Candidate("wrong index", words, (Change(span.start, span.end, first),), 2)
            elif len(place.terms) > 1:
                for by in ("-1", "+1"):
                    span = inside(text, place.span)
                    words = f"The place of {shown} is wrong: it is {text[span.start : span.end]}{by}."
                    yield Candidate("wrong index", words, (Change(span.end, span.end, by),), 3)
        elif isinstance(place, Name) and not place.scripts and len(place.base) == 1 and place.base != "T":
            for new in (f"{place.base}-1", f"{place.base}+1"):
                span = inside(text, place.span)
                braced = new if text[span.end : span.end + 1] in ("}", ",", ")", "]", r"\ "[0]) else f"{{{new}}}"
                words = f"The place of {shown} is wrong: it is {new}."
                yield Candidate("wrong index", words, (Change(span.start, span.end, braced),), 2)


def _signs(place: Any, text: str) -> Iterator[Change]:
    """The sign in p + u turned, for each u that is no number."""
    if not isinstance(place, Sum):
        return
    end = place.terms[0][1].span.end
    for sign, term in place.terms[1:]:
        at = end + next((n for n, c in enumerate(text[end : term.span.start]) if c in "+-−"), 0)
        if not isinstance(term, Number):
            yield Change(at, at + 1, "-" if sign > 0 else "+")
        end = term.span.end


def _pairs(nodes: list[Any]) -> Iterator[tuple[Any, Any]]:
    for at, one in enumerate(nodes):
        for other in nodes[at + 1 :]:
            if one.base != other.base:
                yield (one, other) if one.span.start < other.span.start else (other, one)
