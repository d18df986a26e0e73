"""Changes of how parts stand together: transposes, the order of factors, signs, brackets, powers, what is too many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..latex.syntax import BigOperator, Fraction, Group, Name, Number, Product, Script, Sum
from ..meaning.items import is_transposition, items_of
from .edits import Candidate, Change, Style, inside, is_atom, spots_of, written
from .edits_remove import units

ELEMENTWISE = ("odot", "circ", "*")


def transposes(part: Any, style: Style) -> Iterator[Candidate]:
    """A mark of transposition put on, or taken off."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        numbered = isinstance(node, Number) and _is_numbered(node, spot.above)
        bracketed = isinstance(node, Group) and node.opening in ("(", "[", "")
        if spot.script or not (isinstance(node, Name) or bracketed or numbered):
            continue
        marks = [spot.node for spot in spots_of(node.scripts) if isinstance(spot.node, Name)]
        marks = [mark for mark in marks if any(is_transposition(i) and i.node is mark for i in items_of(node.scripts))]
        shown = written(text, node)
        if marks:
            name = _without_mark(node, marks[0], text)
            yield Candidate("extra transpose", f"The transpose in {shown} is too many.", (name,))
        elif (not isinstance(node, Name) or not _is_called(node, spot.above, style)) and not _is_bracketed(
            node, spot.above
        ):
            change = style.transpose(node)
            if change is not None:
                yield Candidate("missing transpose", f"The transpose of {shown} is missing.", (change,))


def _is_called(name: Name, above: tuple[Any, ...], style: Style) -> bool:
    """Whether the name is that of a function, or of a differential that goes on."""
    around = above[-1] if above else None
    if isinstance(around, Fraction):
        return True
    if isinstance(around, Product):
        at = next((n for n, factor in enumerate(around.factors) if factor is name), -1)
        if 0 <= at < len(around.operators) and around.operators[at] == "":
            following = around.factors[at + 1]
            called = isinstance(following, Group) and not style.is_tensor(name)
            return name.base in ("d", r"\partial", r"\nabla") or called or isinstance(following, Number)
    return False


def _is_numbered(number: Number, above: tuple[Any, ...]) -> bool:
    """Whether a number is the last of a name of several letters: dW2."""
    around = above[-1] if above else None
    factors = around.factors if isinstance(around, Product) else ()
    at = next((n for n, factor in enumerate(factors) if factor is number), 0)
    return at > 0 and isinstance(factors[at - 1], Name) and factors[at - 1].span.end == number.span.start


def _is_bracketed(node: Any, above: tuple[Any, ...]) -> bool:
    """Whether brackets stand around this alone: the mark is put on those."""
    around = above[-1] if above else None
    return isinstance(around, Group) and around.opening in ("(", "[", "") and bool(around.scripts)


def _without_mark(node: Any, mark: Name, text: str) -> Change:
    script = next(s for s in node.scripts if isinstance(s, Script) and s.span.start <= mark.span.start < s.span.end)
    alone = len(items_of((script,))) == 1
    if not alone:
        return Change(mark.span.start, mark.span.end, "")
    if isinstance(node, Group) and node.opening == "(" and len(node.content) == 1 and is_atom(node.content[0]):
        rest = "".join(text[s.span.start : s.span.end] for s in node.scripts if s is not script)
        inner = node.content[0]
        if not rest:
            return Change(node.span.start, node.span.end, text[inner.span.start : inner.span.end])
    return Change(script.span.start, script.span.end, "")


def swaps(part: Any, style: Style) -> Iterator[Candidate]:
    """Two neighbours of a product in the other order, alone or with their transposes."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script or not isinstance(node, Product):
            continue
        groups = units(node)
        for left, right in pairwise(groups):
            one, other = node.factors[left[1]], node.factors[right[1]]
            if node.operators[left[1]] in ELEMENTWISE or isinstance(one, Number) or isinstance(other, BigOperator):
                continue
            here = node.factors[left[0]].span.start, one.span.end
            there = node.factors[right[0]].span.start, other.span.end
            first, second = text[slice(*here)], text[slice(*there)]
            swapped = (Change(*here, second), Change(*there, first))
            words = f"The factors {first} and {second} stand in the wrong order."
            yield Candidate("swapped factors", words, swapped, 2)
            for turned in _turned(one, other, style) if left[0] == left[1] and right[0] == right[1] else ():
                yield Candidate("swapped factors", f"{words} Their transposes belong with the order.", turned, 4)


def _turned(one: Any, other: Any, style: Style) -> Iterator[tuple[Change, ...]]:
    """Swapped, with a transposition moved from one to the other."""
    changes = []
    for node in (one, other):
        own = [c for c in transposes(node, style) if _covers(c.changes[0], node)]
        if not own:
            return
        change = own[0].changes[0]
        text = style.text
        changed = text[node.span.start : change.start] + change.text + text[change.end : node.span.end]
        changes.append(changed)
    yield (Change(one.span.start, one.span.end, changes[1]), Change(other.span.start, other.span.end, changes[0]))


def _covers(change: Change, node: Any) -> bool:
    return bool(node.span.start <= change.start and change.end <= node.span.end)


def signs(part: Any, style: Style) -> Iterator[Candidate]:
    """The sign of one term turned."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if spot.script:
            yield from _raised(node, spot.above, style)
            continue
        if isinstance(node, Sum):
            place = node.span.start
            for number, (sign, term) in enumerate(node.terms):
                shown = written(text, term)
                between = re.search(r"[-+−–]", text[place : term.span.start])
                words = f"The sign of {shown} is wrong."
                if between is None:
                    yield Candidate("sign", words, (Change(term.span.start, term.span.start, "-"),))
                else:
                    start = place + between.start()
                    new = "-" if sign > 0 else ("" if number == 0 else "+")
                    yield Candidate("sign", words, (Change(start, start + 1, new),))
                place = term.span.end
        elif not isinstance(spot.above[-1] if spot.above else None, Sum) and not spot.above:
            yield Candidate(
                "sign", f"The sign of {written(text, node)} is wrong.", (Change(node.span.start, node.span.start, "-"),)
            )


def _raised(node: Any, above: tuple[Any, ...], style: Style) -> Iterator[Candidate]:
    """The sign of an exponent of e turned."""
    script = above[-1] if above else None
    power = above[-2] if len(above) > 1 else None
    if not (isinstance(script, Script) and script.kind == "sup" and isinstance(power, Name) and power.base == "e"):
        return
    words = f"The sign in {written(style.text, power)} is wrong."
    span = inside(style.text, node.span)
    if isinstance(node, Sum) and len(node.terms) > 1:
        return
    if isinstance(node, Sum):
        change = Change(span.start, node.terms[0][1].span.start, "")
    elif style.text[span.start - 1 : span.start] == "{":
        change = Change(span.start, span.start, "-")
    else:
        change = Change(span.start, span.end, "{-" + style.text[span.start : span.end] + "}")
    yield Candidate("sign", words, (change,))
