"""Brackets put around terms, powers changed, bars taken away."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction as Ratio
from typing import Any

from ..latex.syntax import BigOperator, Fraction, Group, Name, Number, Product, Root, Sum
from .edits import Candidate, Change, Style, factors_of, inside, spots_of, written
from .edits_add import is_update


def brackets(part: Any, style: Style) -> Iterator[Candidate]:
    """Brackets around consecutive terms, from a factor of the first to one of the last."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script or not isinstance(node, Sum) or len(node.terms) > 6:
            continue
        for first in range(len(node.terms) - 1):
            for last in range(first + 1, len(node.terms)):
                for start in _starts(node.terms[first][1], text):
                    for end in _ends(node.terms[last][1], text):
                        if (start, end) == (node.terms[0][1].span.start, node.span.end) and node.terms[0][0] > 0:
                            continue
                        inner = text[start:end]
                        words = f"Brackets are missing around {inner}."
                        changes = (Change(start, start, "("), Change(end, end, ")"))
                        yield Candidate("missing bracket", words, changes, 2)


def _starts(node: Any, text: str) -> Iterator[int]:
    """Where something inside of a term begins that may go on behind it."""
    yield node.span.start
    if isinstance(node, Product):
        for factor in node.factors[1:]:
            yield factor.span.start
        yield from (at for at in _starts(node.factors[-1], text) if at != node.factors[-1].span.start)
    elif isinstance(node, BigOperator):
        yield from _starts(node.body, text)
    elif isinstance(node, Fraction) and node.slash:
        yield node.bottom.span.start


def _ends(node: Any, text: str) -> Iterator[int]:
    """Where something inside of a term ends that may have begun before it."""
    yield node.span.end
    if isinstance(node, Product):
        for factor in node.factors[:-1]:
            yield factor.span.end
    elif isinstance(node, Fraction) and node.slash:
        yield node.top.span.end


def powers(part: Any, style: Style) -> Iterator[Candidate]:
    """A square put on, a power taken off."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if (
            spot.script
            or not isinstance(node, Name | Group)
            or getattr(node, "opening", "(") not in ("(", "[", "|", "‖", "")
        ):
            continue
        shown = written(text, node)
        numbers = [
            (script, inner)
            for script in node.scripts
            if script.kind == "sup"
            for inner in script.content
            if isinstance(inner, Number) and len(script.content) == 1
        ]
        for script, inner in numbers:
            words = f"The power in {shown} is too many."
            yield Candidate("wrong power", words, (Change(script.span.start, script.span.end, ""),), 2)
            for by in {"2": ("3",), "3": ("2",)}.get(inner.text, ()):
                span = inside(text, inner.span)
                words = f"The power in {shown} is {by}."
                yield Candidate("wrong power", words, (Change(span.start, span.end, by),), 2)
        yield from _other_powers(node, style)
        if not numbers and not (isinstance(node, Name) and (node.base == "1" or _is_differential(node, spot.above))):
            raised = any(script.kind != "sub" for script in node.scripts)
            end = node.span.end
            words = f"A square of {shown} is missing."
            if raised:
                yield Candidate(
                    "wrong power", words, (Change(node.span.start, end, f"({text[node.span.start : end]})^2"),), 2
                )
            else:
                yield Candidate("wrong power", words, (Change(end, end, "^2"),), 2)


def roots(part: Any, style: Style) -> Iterator[Candidate]:
    """The root of what a fraction is divided by, or that without its root."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script or not isinstance(node, Fraction):
            continue
        for below in factors_of(node.bottom):
            shown = written(text, below)
            if isinstance(below, Root) and below.degree is None:
                words = f"The root in {shown} is too many."
                change = Change(below.span.start, below.span.end, written(text, below.of))
                yield Candidate("wrong power", words, (change,), 0)
            elif isinstance(below, Name):
                words = f"The root of {shown} is missing."
                span = inside(text, below.span)
                yield Candidate("wrong power", words, (Change(span.start, span.end, rf"\sqrt{{{shown}}}"),), 0)


def _other_powers(node: Any, style: Style) -> Iterator[Candidate]:
    """An exponent with a sign or a fraction, (v + ε)^{-1/2}, one more or less."""
    shown = written(style.text, node)
    for script in node.scripts:
        inner = script.content[0] if script.kind == "sup" and len(script.content) == 1 else None
        known = _value(inner) if inner is not None and not isinstance(inner, Number) else None
        if inner is None or known is None:
            continue
        span = inside(style.text, inner.span)
        for by in (-1, 1):
            value = known + by
            new = str(value)
            if "{" not in style.text[script.span.start : span.start + 1]:
                new = "{" + new + "}"
            words = f"The power in {shown} is {value}."
            yield Candidate("wrong power", words, (Change(span.start, span.end, new),), 2)


def _value(node: Any) -> Ratio | None:
    if isinstance(node, Number):
        return Ratio(node.text) if node.text.isdigit() else None
    if isinstance(node, Fraction):
        top, bottom = _value(node.top), _value(node.bottom)
        return top / bottom if top is not None and bottom else None
    if isinstance(node, Sum) and len(node.terms) == 1:
        sign, term = node.terms[0]
        value = _value(term)
        return None if value is None else sign * value
    return None


def _is_differential(name: Name, above: tuple[Any, ...]) -> bool:
    return name.base in ("d", r"\partial", r"\nabla")


def bars(part: Any, style: Style) -> Iterator[Candidate]:
    """Bars of an absolute value taken away."""
    for spot in spots_of(part):
        node = spot.node
        if isinstance(node, Group) and node.opening == "|" and len(node.content) == 1 and not node.scripts:
            inner = written(style.text, node.content[0])
            words = f"{inner} stands here itself, without its absolute value."
            kind = "not a step" if is_update(style.relation) else "wrong function"
            yield Candidate(kind, words, (Change(node.span.start, node.span.end, inner),), 1)
