"""Small changes of a formula's text, made by the places of its parts, and what the user's notation is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ..latex.syntax import BigOperator, Group, Name, Node, Number, Product, Relation, Script, Span
from ..meaning.lexicon import Lexicon
from ..meaning.reading import Manner, Reading

_MARK = re.compile(
    r"\^\s*(\{\s*\\(?:top|intercal|mathsf\s*\{?T\}?|mathrm\s*\{?T\}?)\s*\}|\\top|\\intercal|\{T\}|T(?![a-z]))"
)


@dataclass(frozen=True)
class Change:
    """`text` in place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Candidate:
    """One mistake that may have been made, undone.

    Attributes
    ----------
    kind, words : as of a `Mistake`
    changes : of the text; they do not overlap
    cost : how far-fetched it is: the least is tried first
    """

    kind: str
    words: str
    changes: tuple[Change, ...]
    cost: int = 1

    def of(self, text: str) -> str:
        return changed(text, self.changes)


def changed(text: str, changes: tuple[Change, ...]) -> str:
    """`text` with `changes` made; a blank keeps a command apart from a letter behind it."""
    for change in sorted(changes, key=lambda one: (one.start, one.end), reverse=True):
        before, middle, behind = text[: change.start], change.text, text[change.end :]
        head = before + middle
        if re.search(r"\\[A-Za-z]+$", head) and behind[:1].isalpha():
            middle += " "
        if middle and re.search(r"\\[A-Za-z]+$", before) and middle[:1].isalpha():
            middle = " " + middle
        text = before + middle + behind
    return text


@dataclass(frozen=True)
class Spot:
    """A part, the parts around it from the outside in, and whether it stands in a script."""

    node: Any
    above: tuple[Any, ...]
    script: bool


def spots_of(part: Any, above: tuple[Any, ...] = (), script: bool = False) -> Iterator[Spot]:
    """Every part inside of `part`, itself first, in the order of the text."""
    if isinstance(part, tuple):
        for inner in part:
            yield from spots_of(inner, above, script)
        return
    if not is_dataclass(part):
        return
    yield Spot(part, above, script)
    for entry in fields(part):
        if entry.name != "span":
            value = getattr(part, entry.name)
            below = script or isinstance(part, Script) or (isinstance(part, BigOperator) and entry.name != "body")
            yield from spots_of(value, (*above, part), below)


def inside(text: str, span: Span) -> Span:
    """The place of an argument without TeX's braces around it."""
    start, end = span.start, span.end
    if text[start:end].startswith("{") and text[start:end].endswith("}") and _closes(text, start) == end - 1:
        return Span(start + 1, end - 1)
    return span


def _closes(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        if text[at] in "{}" and (at == 0 or text[at - 1] != "\\"):
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return at
    return -1


def written(text: str, node: Any) -> str:
    span = inside(text, node.span)
    return text[span.start : span.end]


def factors_of(node: Any) -> tuple[Node, ...]:
    return node.factors if isinstance(node, Product) else (node,)


def is_atom(node: Any) -> bool:
    return isinstance(node, Name | Number) or (isinstance(node, Group) and node.opening != "")


class Style:
    """The user's notation, as far as the text shows it."""

    def __init__(self, text: str, lexicon: Lexicon, relation: Relation) -> None:
        self.text, self.lexicon, self.relation = text, lexicon, relation
        mark = _MARK.search(text)
        self.transposed = mark[0] if mark else r"^\top"
        self.raised_in_braces = bool(re.search(r"\^\{[\[\(][^{}]*[\]\)]\s*(?:T|\\top)\s*\}", text))
        self.elementwise = next((sign for sign in (r"\odot", "⊙", r"\circ", "∘") if sign in text), None) or (
            "*" if re.search(r"[^_^{]\s\*\s", text) else r"\odot"
        )
        names = [spot.node for spot in spots_of(relation.parts) if isinstance(spot.node, Name) and not spot.script]
        self.indexed = any(
            script.kind == "sub" and any(_is_letter(inner) for inner in _contents(script))
            for name in names
            for script in name.scripts
        )
        self.names = names

    def is_tensor(self, name: Name) -> bool:
        """Whether a name is that of a tensor or a gradient and of no function."""
        kinds = {entry.kind for entry in self.lexicon.labelled(name)}
        return bool(kinds & {"tensor", "adjoint"}) and "function" not in kinds

    def transpose(self, node: Any) -> Change | None:
        """The mark of transposition put on a name or a bracket."""
        start, end = node.span.start, node.span.end
        scripts = getattr(node, "scripts", ())
        raised = [script for script in scripts if script.kind == "sup"]
        if not raised and not any(script.kind == "prime" for script in scripts):
            return Change(end, end, self.transposed)
        if len(raised) == 1 and self.text[raised[0].span.start : raised[0].span.end].endswith("}"):
            inner = self.text[raised[0].span.start : raised[0].span.end]
            if self.raised_in_braces or (inner.startswith("^{[") and inner.endswith("]}") and "T" not in inner):
                place = raised[0].span.end - 1
                return Change(place, place, "T" if not self.transposed.endswith("top") else r"\top")
        body = self.text[start:end]
        return Change(start, end, f"({body}){self.transposed}")

    def size_name(self, size: Any) -> str:
        """What the user calls a size."""
        found = []
        for (base, _), entries in self.lexicon.entries.items():
            for entry in entries:
                if entry.kind == "size" and entry.meaning == size and not entry.labels:
                    found.append(base)
        used = [base for base in found if re.search(rf"(?<![A-Za-z\\]){re.escape(base)}(?![A-Za-z])", self.text)]
        return (used or [base for base in found if base != str(size)] or [str(size)])[0]


def _contents(script: Script) -> Iterator[Any]:
    for spot in spots_of(script.content):
        yield spot.node


def _is_letter(node: Any) -> bool:
    return isinstance(node, Name) and len(node.base.removeprefix("\\")) == 1 and not node.scripts


def reader(lexicon: Lexicon, text: str, layers: dict[str, int]) -> Reading:
    """A reading for looking names up, and nothing else."""
    return Reading(lexicon, text, Manner(), dict(layers))
