"""Letters that stand for the number of a layer: ``\\delta^{(l)} = (W^{(l+1)})^\\top \\delta^{(l+1)} \\odot …``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from ..latex.syntax import BigOperator, Group, Name, Number, Product, Relation, Sum
from .items import Item, items_of, text_of
from .lexicon import Lexicon


def nodes(part: Any) -> Iterator[Any]:
    """Every part inside of `part`, itself first, in order."""
    if is_dataclass(part):
        yield part
        for entry in fields(part):
            if entry.name != "span":
                yield from nodes(getattr(part, entry.name))
    elif isinstance(part, tuple | list):
        for inner in part:
            yield from nodes(inner)


def layer_letters(relation: Relation, lexicon: Lexicon) -> list[str]:
    """The letters that can only be the numbers of layers: they stand where each name of the network has a number."""
    bound = {letter for node in nodes(relation) if isinstance(node, BigOperator) for letter in _below(node)}
    raised: dict[str, None] = {}
    lowered: dict[str, None] = {}
    for node in nodes(relation):
        if not isinstance(node, Name):
            continue
        entries = [entry for entry in lexicon.labelled(node) if entry.kind in ("tensor", "adjoint")]
        items = items_of(node.scripts)
        texts = [item.text for item in items]
        numbers = {label for entry in entries for label in entry.labels if _is_number(label)}
        known = [
            entry for entry in lexicon.labelled(node) if entry.kind != "function"
        ]  # an alias \delta_j is known too
        if len(numbers) < 2 or any(all(label in texts for label in entry.labels) for entry in known):
            continue
        for item in items:
            letter = _letter(item)
            if letter is not None and letter not in bound:
                (raised if item.raised else lowered).setdefault(letter)
                break
    return list(raised or lowered)


def layer_values(letters: list[str], lexicon: Lexicon) -> list[dict[str, int]]:
    """The numbers that the letters may have; L is the last layer's."""
    numbers = sorted({int(l) for es in lexicon.entries.values() for e in es for l in e.labels if _is_number(l)})
    if not numbers:
        return [{}]
    values: list[dict[str, int]] = [{}]
    for letter in letters:
        own = [numbers[-1]] if letter == "L" else [numbers[0] - 1, *numbers] if letter in ("l", r"\ell") else numbers
        values = [{**known, letter: number} for known in values for number in own]
    return values


def _letter(item: Item) -> str | None:
    """The letter of ``l``, ``l+1``, ``(l-1)``."""
    node = item.node
    if isinstance(node, Sum):
        names = [term for _, term in node.terms if isinstance(term, Name)]
        others = [term for _, term in node.terms if not isinstance(term, Name | Number)]
        node = names[0] if len(names) == 1 and not others else None
    if isinstance(node, Name) and not node.scripts and not node.accents and node.base not in (r"\top", "T"):
        return text_of(node)
    return None


def _is_number(label: str) -> bool:
    return label.isdigit()


def _below(node: BigOperator) -> list[str]:
    found = []
    for part in node.below:
        first = part.parts[0] if isinstance(part, Relation) else part
        parts = first.factors if isinstance(first, Product) else first.content if isinstance(first, Group) else [first]
        found += [inner.base for inner in parts if isinstance(inner, Name)]
    return found
