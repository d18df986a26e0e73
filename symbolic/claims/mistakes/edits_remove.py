"""What is too many taken away: a term of a sum, a factor of a product, a sum; and numbers replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction as Ratio
from typing import Any

from ..latex.syntax import BigOperator, Fraction, Group, Name, Number, Product, Sum
from .edits import Candidate, Change, Style, inside, spots_of, written


def terms(part: Any, style: Style) -> Iterator[Candidate]:
    """A sum without one of its terms."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script or not isinstance(node, Sum) or len(node.terms) < 2:
            continue
        ends = [node.span.start, *(term.span.end for _, term in node.terms)]
        for number, (_, term) in enumerate(node.terms):
            start, end = ends[number], term.span.end
            if number == 0:  # the sign of the next goes with it, if it is a plus
                behind = text[end : node.terms[1][1].span.start]
                plus = re.match(r"\s*\+\s*", behind)
                end += plus.end() if plus else 0
            yield Candidate(
                "extra term", f"The term {written(text, term)} does not belong here.", (Change(start, end, ""),), 3
            )


def factors(part: Any, style: Style, batch_name: str) -> Iterator[Candidate]:
    """A product without one or two neighbours among its factors."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script:
            continue
        if isinstance(node, Product) and len(node.factors) > 1:
            for first, last in _runs(node):
                gone = _gap(node, first, last, text)
                shown = text[node.factors[first].span.start : node.factors[last].span.end]
                kind, words = _kind(node.factors[first : last + 1], shown, batch_name, text)
                yield Candidate(kind, words, (gone,), 2 if last == first else 3)
        if isinstance(node, Fraction) and _is_one(node.top) and isinstance(node.bottom, Product):
            for factor in node.bottom.factors:
                span = _with_blank(text, factor.span.start, factor.span.end)
                kind = "extra 1/B" if written(text, factor) == batch_name else "factor"
                words = f"The factor {written(text, factor)} in {written(text, node)} does not belong there."
                yield Candidate(kind, words, (Change(*span, ""),), 2)
        if isinstance(node, Fraction) and not _is_one(node.top) and not _is_differential(node):
            top = written(text, node.top)
            words = f"The division by {written(text, node.bottom)} does not belong here."
            kind = "extra 1/B" if written(text, node.bottom) == batch_name else "wrong factor"
            kind = "factor" if isinstance(node.bottom, Number) else kind
            bracketed = f"({top})" if isinstance(node.top, Sum) else top
            yield Candidate(kind, words, (Change(node.span.start, node.span.end, bracketed),), 2)


def _is_one(node: Any) -> bool:
    return isinstance(node, Number) and node.text == "1"


def _is_differential(node: Fraction) -> bool:
    first = node.top.factors[0] if isinstance(node.top, Product) else node.top
    return isinstance(first, Name) and first.base in (r"\partial", "d")


def _with_blank(text: str, start: int, end: int) -> tuple[int, int]:
    while end < len(text) and text[end] == " ":
        end += 1
    return start, end


def units(product: Product) -> list[tuple[int, int]]:
    """Which factors belong together: a function and its bracket, the d of a differential and what follows."""
    count = len(product.factors)
    made: list[tuple[int, int]] = []
    at = 0
    while at < count:
        last = at
        node = product.factors[at]
        applied = isinstance(node, Name) and at + 1 < count and product.operators[at] == ""
        if applied and isinstance(product.factors[at + 1], Group) and (_is_function(node) or _has_prime(node)):
            last = at + 1
        elif applied and isinstance(node, Name) and node.base == "d" and not node.scripts:
            last = at + 1
            if at + 2 < count and not product.operators[at + 1] and isinstance(product.factors[at + 2], Number):
                last = at + 2
        made.append((at, last))
        at = last + 1
    return made


def _runs(product: Product) -> Iterator[tuple[int, int]]:
    """What may be too many: one unit, or two neighbours, as a and (1 - a)."""
    count = len(product.factors)
    made = units(product)
    for number, (first, last) in enumerate(made):
        if (first, last) != (0, count - 1):
            yield first, last
        if number + 1 < len(made) and (first, made[number + 1][1]) != (0, count - 1):
            yield first, made[number + 1][1]


def _is_function(node: Any) -> bool:
    return isinstance(node, Name) and (
        (node.base.isalpha() and len(node.base) > 1) or node.base in (r"\sigma", r"\phi", "g", "f")
    )


def _has_prime(node: Any) -> bool:
    return any(
        script.kind == "prime"
        or (script.kind == "sup" and any(getattr(i, "base", "") == r"\prime" for i in script.content))
        for script in node.scripts
    )


def _gap(product: Product, first: int, last: int, text: str) -> Change:
    """What goes when these factors go: one of the signs beside them too."""
    if last + 1 < len(product.factors):
        return Change(product.factors[first].span.start, product.factors[last + 1].span.start, "")
    return Change(product.factors[first - 1].span.end, product.factors[last].span.end, "")


def _kind(gone: tuple[Any, ...], shown: str, batch_name: str, text: str) -> tuple[str, str]:
    first = gone[0]
    words = f"The factor {shown} does not belong here."
    if len(gone) == 1:
        if isinstance(first, Number):
            return "factor", words
        if isinstance(first, Name) and first.base == "1":
            return "extra sum", f"The sum by {shown} is too many."
        if isinstance(first, Fraction) and _is_one(first.top):
            below = written(text, first.bottom)
            if below == batch_name:
                return (
                    "extra 1/B",
                    f"The factor {shown} is too many: the mean over the examples is in the gradient already.",
                )
            return "factor", words
    if any(_has_prime(node) for node in gone if isinstance(node, Name)) or _is_one_minus(gone):
        return "extra activation derivative", f"The derivative of the activation, {shown}, is too many."
    return "wrong factor", words


def _is_one_minus(gone: tuple[Any, ...]) -> bool:
    """a (1 - a), or (1 - a^2)."""
    return any(
        isinstance(node, Group)
        and len(node.content) == 1
        and isinstance(node.content[0], Sum)
        and _is_one(node.content[0].terms[0][1])
        for node in gone
    )


def sums(part: Any, style: Style) -> Iterator[Candidate]:
    """What is summed in place of its sum."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if isinstance(node, BigOperator) and node.operator == "sum" and not spot.script:
            operator = text[node.span.start : node.body.span.start].strip()
            words = f"The sum {operator} is too many."
            yield Candidate("extra sum", words, (Change(node.span.start, node.body.span.start, ""),), 2)
        if (
            isinstance(node, Name)
            and node.base in ("rowsum", "colsum", "sum", "mean")
            and isinstance(spot.above[-1] if spot.above else None, Product)
        ):
            kind = "extra sum"
            yield Candidate(kind, f"{node.base} is too many.", (Change(node.span.start, node.span.end, ""),), 2)


def numbers(part: Any, style: Style, ratio: Ratio) -> Iterator[Candidate]:
    """A number that is written replaced by `ratio` times it."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script or not isinstance(node, Number) or not node.text.isdigit():
            continue
        around = spot.above[-1] if spot.above else None
        below = isinstance(around, Fraction) and around.bottom is node
        value = Ratio(int(node.text)) * (1 / ratio if below else ratio)
        if value <= 0 or (isinstance(around, Fraction) and around.top is node and value.denominator != 1):
            continue
        span = inside(text, node.span)
        new = str(value.numerator) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
        if below and value.denominator != 1:
            continue
        start, end = span.start, span.end
        if value == 1 and isinstance(around, Product):
            new = ""
            start, end = _with_blank(text, start, end)
        words = f"The number {node.text} in {written(text, around) if around is not None else node.text} is wrong."
        yield Candidate("factor", words, (Change(start, end, new),), 1)
