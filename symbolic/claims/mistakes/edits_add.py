"""What is missing put in: a sum, a matrix, the old value of an update."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

from ..latex.syntax import BigOperator, Fraction, Group, Name, Number, Product, Relation, Sum, Text
from ..meaning.lexicon import LEARNING_RATES
from ..meaning.update import NEW
from .edits import Candidate, Change, Style, spots_of, written
from .edits_names import _letters, names_in


def sums(part: Any, subject: Any, style: Style) -> Iterator[Candidate]:
    """A sum over an index that nothing binds, or over the examples."""
    text = style.text
    bound = {s.node.base for node in _operators(part) for s in spots_of(node.below) if isinstance(s.node, Name)}
    loose = sorted(_letters(part) - bound - _letters(subject))
    for letter in loose:
        words = f"The sum over {letter} is missing."
        for start in _places(part, letter, text):
            yield Candidate("missing sum", words, (Change(start, start, rf"\sum_{letter} "),), 1)
        for around in _spans(part):
            yield Candidate(
                "missing sum",
                words,
                (Change(around[0], around[0], rf"\sum_{letter} ("), Change(around[1], around[1], ")")),
                2,
            )
    words = "The sum over the examples is missing."
    terms = [
        part,
        *(term for s in spots_of(part) if isinstance(s.node, Sum) and not s.script for _, term in s.node.terms),
    ]
    for node in terms:
        start, end = node.span.start, node.span.end
        shown = text[start:end]
        several = isinstance(node, Sum) and len(node.terms) > 1
        inner = f"({shown})" if several else shown
        if isinstance(node, Sum) and not several:
            continue
        if not style.indexed:
            yield Candidate("missing sum", words, (Change(start, end, rf"{inner} \mathbf 1"),), 2)
            yield Candidate("missing sum", words, (Change(start, end, rf"\mathbf 1^\top {inner}"),), 2)
        yield Candidate("missing sum", words, (Change(start, end, rf"\sum {inner}"),), 2)
        for head in _heads(node):
            yield Candidate("missing sum", words, (Change(head, head, r"\sum "),), 3)
    for letter in sorted(_letters(part) & _letters(subject) | set("ijkmt")):
        if letter in loose:
            continue
        for node in terms:
            words = f"The sum over {letter} is missing."
            if letter in _letters(part):
                yield Candidate(
                    "missing sum", words, (Change(node.span.start, node.span.start, rf"\sum_{letter} "),), 4
                )
    for spot in spots_of(part):
        node = spot.node
        if isinstance(node, Group) and node.opening == "(" and not spot.script and not style.indexed:
            for name in ("rowsum", "colsum"):
                if any(n.base in ("rowsum", "colsum") for n in style.names):
                    words = "A sum along an axis is missing."
                    yield Candidate(
                        "missing sum", words, (Change(node.span.start, node.span.start, rf"\mathrm{{{name}}}"),), 3
                    )


def _operators(part: Any) -> list[BigOperator]:
    return [spot.node for spot in spots_of(part) if isinstance(spot.node, BigOperator)]


def _places(part: Any, letter: str, text: str) -> Iterator[int]:
    """Where a sum over a letter may begin: in front of the first factor of a product that has it."""
    seen = set()
    for spot in spots_of(part):
        node = spot.node
        if spot.script or letter not in _letters(node):
            continue
        if isinstance(node, Product):
            heads = [*[f.span.start for f in node.factors if letter in _letters(f)][:1], node.span.start]
        elif isinstance(node, Sum):
            heads = [term.span.start for _, term in node.terms if letter in _letters(term)]
        elif not spot.above or isinstance(spot.above[-1], Sum | Group | BigOperator):
            heads = [node.span.start]
        else:
            heads = []
        for head in heads:
            if head not in seen:
                seen.add(head)
                yield head


def _spans(part: Any) -> Iterator[tuple[int, int]]:
    if isinstance(part, Sum) and len(part.terms) > 1:
        yield part.span.start, part.span.end


def _heads(node: Any) -> Iterator[int]:
    """Behind the numbers in front of a product, and before each further factor."""
    if isinstance(node, Product):
        for factor in node.factors[1:]:
            yield factor.span.start


def factors(part: Any, subject: Any, style: Style, names: list[str], matrices: list[str]) -> Iterator[Candidate]:
    """A matrix beside a factor; or an element of one, at two of the formula's indices."""
    letters = sorted(_letters(part) | _letters(subject))
    places: dict[int, None] = {}
    ends: dict[int, None] = {}
    for spot in spots_of(part):
        node = spot.node
        if spot.script or (spot.above and isinstance(spot.above[-1], Fraction)):
            continue
        if isinstance(node, Product):
            for factor in node.factors:
                places.setdefault(factor.span.start)
                ends.setdefault(factor.span.end)
        elif isinstance(node, Name) and (not spot.above or isinstance(spot.above[-1], Sum | BigOperator | Group)):
            places.setdefault(node.span.start)
            ends.setdefault(node.span.end)
    for name in matrices:
        bare = f"({name})" if "^" in name else name
        if style.indexed:
            for one in letters:
                for other in letters:
                    if one != other:
                        for at in list(places)[:6]:
                            new = _subscripted(name, one + other)
                            yield Candidate(
                                "missing factor", f"The factor {new} is missing.", (Change(at, at, new + " "),), 6
                            )
            continue
        for new in (bare + style.transposed, name):
            words = f"The factor {new} is missing."
            for at in places:
                yield Candidate("missing factor", words, (Change(at, at, new + " "),), 5)
            for at in list(ends)[-1:]:
                yield Candidate("missing factor", words, (Change(at, at, " " + new),), 5)
    for new in names:
        words = f"The factor {new} is missing."
        for at in list(ends):
            yield Candidate("missing factor", words, (Change(at, at, rf" {style.elementwise} {new}"),), 6)


def summed(part: Any, subject: Any, style: Style, ranks: list[tuple[str, int]]) -> Iterator[Candidate]:
    """A tensor behind what is summed, at two of the formula's indices: names, and how many axes they have."""
    if not style.indexed:
        return
    letters = sorted(_letters(part) | _letters(subject))
    for operator in _operators(part):
        end = operator.span.end
        for name, rank in ranks:
            for at in permutations(letters, rank):
                new = _subscripted(name, "".join(at)) if at else name
                change = (Change(end, end, f" {new}"),)
                yield Candidate("missing factor", f"The factor {new} is missing.", change, 4)


def terms(part: Any, style: Style, names: list[str]) -> Iterator[Candidate]:
    """A tensor added to, or taken from, a single factor: a for a - y."""
    for spot in spots_of(part):
        node = spot.node
        around = spot.above[-1] if spot.above else None
        if spot.script or not isinstance(node, Name) or isinstance(around, Fraction):
            continue
        shown = written(style.text, node)
        for name in names:
            for sign in "-+":
                if name != shown:
                    words = f"The term {name} is missing beside {shown}."
                    new = f"({shown} {sign} {name})"
                    yield Candidate("dropped term", words, (Change(node.span.start, node.span.end, new),), 5)


def _subscripted(name: str, letters: str) -> str:
    return f"{{{name}}}_{{{letters}}}" if "_" in name else f"{name}_{{{letters}}}"


def steps(part: Any, relation: Relation, style: Style) -> Iterator[Candidate]:
    """The old value in front of a step of gradient descent."""
    text = style.text
    subject: Any = relation.parts[0]
    name = subject
    if isinstance(subject, Product) and isinstance(subject.factors[0], Text) and len(subject.factors) == 2:
        name = subject.factors[1]
    elif relation.signs[0] not in ("<-", ":=") and not _is_new(subject):
        return
    if not isinstance(name, Name):
        return
    shown = text[name.span.start : name.span.end]
    for script in name.scripts:
        marker = written(text, script.content[0]) if len(script.content) == 1 else ""
        if (
            isinstance(script.content[0] if script.content else None, Text | Name | Number)
            and _word(script.content[0]) in NEW
        ):
            shown = shown.replace(text[script.span.start : script.span.end], "")
        del marker
    start = part.span.start
    words = f"An update takes the step from the old value: {shown} is missing in front."
    for head in (f"{shown} ", f"{shown} - "):
        yield Candidate("not a step", words, (Change(start, start, head),), 1)
    if isinstance(part, Sum) and not any(written(text, term).strip() == shown.strip() for _, term in part.terms):
        for _, term in part.terms:
            inner = written(text, term)
            yield Candidate("not a step", words, (Change(part.span.start, part.span.end, f"{shown} - {inner}"),), 2)


def rates(part: Any, relation: Relation, style: Style) -> Iterator[Candidate]:
    """The learning rate in front of what is taken from the old value."""
    if not is_update(relation) or not isinstance(part, Sum) or any(name.base in LEARNING_RATES for name in style.names):
        return
    words = r"The learning rate \eta is missing."
    for _, term in part.terms[1:]:
        yield Candidate("missing factor", words, (Change(term.span.start, term.span.start, r"\eta "),), 2)


def is_update(relation: Relation) -> bool:
    """Whether a line is a step of gradient descent."""
    subject: Any = relation.parts[0]
    worded = isinstance(subject, Product) and isinstance(subject.factors[0], Text)
    return worded or relation.signs[0] in ("<-", ":=") or _is_new(subject)


def _word(node: Any) -> str:
    return str(getattr(node, "text", getattr(node, "base", ""))).strip()


def _is_new(subject: Any) -> bool:
    scripts = getattr(subject, "scripts", ())
    return any(_word(script.content[0]) in NEW for script in scripts if script.content)


__all__ = ["factors", "names_in", "steps", "sums"]
