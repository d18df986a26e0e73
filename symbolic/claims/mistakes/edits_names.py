"""Changes of single names: another layer, another index, another function, the value a function is taken at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

from ..errors import UnknownNameError
from ..latex.syntax import BigOperator, Name, Number, Product, Sum
from ..meaning.items import items_of
from ..meaning.lexicon import is_applied
from ..meaning.naming import label_text, matching
from ..meaning.reading import Reading
from ..meaning.values import MismatchError
from .edits import Candidate, Change, Style, inside, spots_of, written


def activations_of(network: Any) -> dict[Any, tuple[Any, Any]]:
    """A tensor that a function is applied to, entry by entry → what comes out, and the equation."""
    found: dict[Any, tuple[Any, Any]] = {}
    for equation in network.equations:
        for tensor in equation.reads:
            if is_applied(equation, tensor) and tensor.rank == equation.target.rank:
                found.setdefault(tensor, (equation.target, equation))
    return found


def meant(name: Name, reading: Reading) -> list[tuple[Any, list[Any]]]:
    try:
        return matching(name, reading)
    except (MismatchError, UnknownNameError):
        return []


def names_in(part: Any) -> list[Any]:
    return [spot for spot in spots_of(part) if isinstance(spot.node, Name) and not spot.script]


def layers(part: Any, style: Style, reading: Reading) -> Iterator[Candidate]:
    """The number of a layer one more or one less, in one place or wherever the same name stands."""
    text = style.text
    groups: dict[str, list[tuple[Change, ...]]] = {}
    for spot in names_in(part):
        node = spot.node
        found = list(_labels(node, reading))
        around = spot.above[-1] if spot.above else None
        if isinstance(around, Product) and not node.scripts:
            at = next(n for n, factor in enumerate(around.factors) if factor is node)
            following = around.factors[at + 1] if at + 1 < len(around.factors) else None
            if isinstance(following, Number) and following.text.isdigit() and not around.operators[at]:
                found.append(following)
        for label in found:
            shown = written(text, node)
            for by in (-1, 1):
                new = _moved(label, by, text)
                if new is None:
                    continue
                span = inside(text, label.span)
                change = Change(span.start, span.end, new)
                words = f"{shown} is of the wrong layer: {new} in place of {text[span.start : span.end]}."
                yield Candidate("wrong layer", words, (change,), 2)
                groups.setdefault(f"{shown} {by}", []).append((change,))
    for key, changes in groups.items():
        if len(changes) > 1:
            words = f"{key.rsplit(' ', 1)[0]} is of the wrong layer."
            yield Candidate("wrong layer", words, tuple(change for one in changes for change in one), 2)


def _labels(name: Name, reading: Reading) -> Iterator[Any]:
    """The items of a name that are its layer."""
    known = reading.lexicon.labelled(name)
    numbers = {label for entry in known for label in entry.labels if label.isdigit()}
    for item in items_of(name.scripts):
        if item.node is None:
            continue
        if label_text(item, reading) in numbers or (item.text in reading.layers) or _is_layer(item):
            yield item.node


def _is_layer(item: Any) -> bool:
    """Whether a label in brackets above is a number, or l - 1; a letter that is no layer's is a time: h^{(t)}."""
    letters = [s.node.base for s in spots_of(item.node) if isinstance(s.node, Name)]
    return bool(item.bracket and item.raised) and not letters


def _moved(node: Any, by: int, text: str) -> str | None:
    if isinstance(node, Number) and node.text.isdigit():
        return str(int(node.text) + by) if int(node.text) + by >= 0 else None
    if isinstance(node, Name) and not node.scripts:
        return f"{written(text, node)}{'+' if by > 0 else '-'}1"
    if isinstance(node, Sum) and len(node.terms) == 2 and isinstance(node.terms[1][1], Number):
        sign, number = node.terms[1]
        assert isinstance(number, Number)
        value = sign * int(number.text) + by if number.text.isdigit() else 0
        first = written(text, node.terms[0][1])
        return first if value == 0 else f"{first}{'+' if value > 0 else '-'}{abs(value)}"
    return None


def moved_points(part: Any, style: Style, reading: Reading) -> Iterator[Candidate]:
    """A derivative of an activation taken at what goes into it, not at what comes out; and a(1 - a) of a."""
    text = style.text
    applied = activations_of(reading.network)
    back = {target: tensor for tensor, (target, _) in applied.items()}
    groups: dict[tuple[str, str], list[Change]] = {}
    for spot in names_in(part):
        for entry, _ in meant(spot.node, reading):
            if entry.kind != "tensor":
                continue
            for other in (back.get(entry.meaning), applied.get(entry.meaning, (None,))[0]):
                if other is None:
                    continue
                new = renamed(spot.node, other, style, reading)
                if new is not None:
                    span = inside(text, spot.node.span)
                    change = Change(span.start, span.end, new)
                    groups.setdefault((written(text, spot.node), new), []).append(change)
    for (old, new), changes in groups.items():
        words = f"The derivative of the activation is taken at {old} here; it belongs at {new}."
        if len(changes) > 1:
            words = f"This derivative of the activation is written with {new}, not with {old}."
            yield Candidate("derivative at a instead of z", words, tuple(changes), 2)
        for change in changes:
            yield Candidate("derivative at a instead of z", words, (change,), 2)


def renamed(name: Name, tensor: Any, style: Style, reading: Reading, kind: str = "tensor") -> str | None:
    """The name of another tensor with the scripts of this one: its letter, and its labels."""
    text = style.text
    items = items_of(name.scripts)
    texts = [label_text(item, reading) for item in items]
    span = inside(text, name.span)
    base_end = min([script.span.start for script in name.scripts], default=span.end)
    for (base, accents), entries in reading.lexicon.entries.items():
        for entry in entries:
            if entry.kind != kind or entry.meaning != tensor or accents or (base.startswith("d") and len(base) > 1):
                continue
            old = [e for e, _ in meant(name, reading)]
            labels = old[0].labels if old else ()
            letter = _command(base)
            if labels == entry.labels:
                return letter + text[base_end : span.end]
            if len(labels) == len(entry.labels):
                out = text[base_end : span.end]
                offset = base_end
                good = True
                for one, other in zip(labels, entry.labels, strict=True):
                    if one == other:
                        continue
                    item = next((i for i, t in zip(items, texts, strict=True) if t == one and i.node is not None), None)
                    if item is None:
                        good = False
                        break
                    new = other
                    if not (isinstance(item.node, Number)):
                        moved = (
                            _moved(item.node, int(other) - int(one), text)
                            if one.isdigit() and other.isdigit()
                            else None
                        )
                        if moved is None:
                            good = False
                            break
                        new = moved
                    inner = inside(text, item.node.span)  # type: ignore[union-attr]
                    out = out[: inner.start - offset] + new + out[inner.end - offset :]
                if good:
                    return letter + out
    return None


def _command(base: str) -> str:
    return base if len(base) == 1 or base.startswith("\\") else rf"\mathrm{{{base}}}"


def _letters(part: Any) -> set[str]:
    """The letters that stand alone in scripts, and below sums."""
    return {
        spot.node.base
        for spot in spots_of(part)
        if spot.script
        and isinstance(spot.node, Name)
        and len(spot.node.base) == 1
        and spot.node.base.islower()
        and not spot.node.scripts
    }


def axes(part: Any, style: Style) -> Iterator[Candidate]:
    """A sum over another index of what is summed; 𝟏 on the other side."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        if isinstance(node, BigOperator) and node.operator == "sum":
            below = {s.node.base for s in spots_of(node.below) if isinstance(s.node, Name)}
            for inner in spots_of(node.below):
                if not isinstance(inner.node, Name) or len(inner.node.base) != 1:
                    continue
                for letter in sorted(_letters(node.body) - below):
                    span = inside(text, inner.node.span)
                    words = f"The sum runs over the wrong index: it runs over {letter}."
                    yield Candidate("broadcast axis", words, (Change(span.start, span.end, letter),), 2)
        if isinstance(node, Product) and not spot.script:
            ones = [n for n, f in enumerate(node.factors) if isinstance(f, Name) and f.base == "1" and f.font]
            for at in ones:
                shown = text[node.factors[at].span.start : node.factors[at].span.end]
                base = shown.split("^")[0]
                rest = _without(node, at, text)
                words = f"{base} stands on the wrong side: the sum is over the other axis."
                new = f"{rest} {base}" if at == 0 else f"{base}^\\top {rest}"
                yield Candidate("broadcast axis", words, (Change(node.span.start, node.span.end, new),), 2)


def _without(node: Product, at: int, text: str) -> str:
    if at == 0:
        return text[node.factors[1].span.start : node.span.end]
    if at == len(node.factors) - 1:
        return text[node.span.start : node.factors[at - 1].span.end]
    before = text[node.span.start : node.factors[at - 1].span.end]
    return f"{before} {text[node.factors[at + 1].span.start : node.span.end]}"


def other_tensors(part: Any, style: Style, reading: Reading, wanted: list[Any]) -> Iterator[Candidate]:
    """One name replaced by that of another tensor of the network."""
    text = style.text
    for spot in names_in(part):
        found = meant(spot.node, reading)
        if not found or found[0][0].kind not in ("tensor", "adjoint"):
            continue
        old = found[0][0].meaning
        for tensor, kind in wanted:
            if (tensor == old and kind == found[0][0].kind) or tensor.rank != old.rank:
                continue
            new = renamed(spot.node, tensor, style, reading, kind)
            if new is not None:
                span = inside(text, spot.node.span)
                words = f"{written(text, spot.node)} is the wrong factor: it is {new}."
                yield Candidate("wrong factor", words, (Change(span.start, span.end, new),), 4)


__all__ = ["axes", "layers", "moved_points", "other_tensors", "permutations", "renamed"]
