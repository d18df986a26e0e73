"""What stands in the scripts of a name, taken apart: labels of a layer, indices, powers, marks of transposition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..latex.syntax import Group, Name, Node, Number, Product, Script, Sum, Text

TRANSPOSITION = frozenset([r"\top", "T", r"\intercal", r"\mathsf T", "⊤", "ᵀ", "t", r"\t"])
_BRACKETS = ("(", "[", "⟨", "{", "<")


@dataclass(frozen=True)
class Item:
    """One thing in a script.

    Attributes
    ----------
    node : what it is, without its brackets
    raised : whether it stands in a superscript
    bracket : the bracket around it: ``2`` in ``W^{[2]}`` has "["
    primes : how many primes it is, else 0
    """

    node: Node | None
    raised: bool
    bracket: str = ""
    primes: int = 0

    @property
    def text(self) -> str:
        return "'" * self.primes if self.node is None else text_of(self.node)


def items_of(scripts: tuple[Script, ...]) -> list[Item]:
    """The items of `scripts`, superscripts in front of subscripts: that is the order of axes in ``h^{(t)}_i``."""
    raised = [item for script in scripts if script.kind != "sub" for item in _of_script(script)]
    return raised + [item for script in scripts if script.kind == "sub" for item in _of_script(script)]


def _of_script(script: Script) -> Iterator[Item]:
    if script.kind == "prime":
        yield Item(None, True, primes=script.primes)
        return
    for node in script.content:
        yield from _of_node(node, script.kind == "sup")  # type: ignore[arg-type]


def _of_node(node: Node, raised: bool) -> Iterator[Item]:
    if isinstance(node, Product) and not any(node.operators) and not _is_multiple(node):
        for factor in node.factors:
            yield from _of_node(factor, raised)
    elif isinstance(node, Group) and node.opening in _BRACKETS and not node.scripts:
        for inner in node.content:
            yield Item(inner, raised, node.opening)  # type: ignore[arg-type]
    elif isinstance(node, Group) and node.opening == "" and not node.scripts:
        for inner in node.content:
            yield from _of_node(inner, raised)  # type: ignore[arg-type]
    else:
        primes = node.base in (r"\prime", "'") if isinstance(node, Name) else False
        yield Item(None, raised, primes=1) if primes else Item(node, raised)


def _is_multiple(product: Product) -> bool:
    """Whether this is ``2p`` or ``2⌊p/2⌋``, one place, rather than several indices side by side."""
    first = product.factors[0]
    second = product.factors[1]
    floor = isinstance(second, Group) and second.opening in ("⌊", "⌈")
    return len(product.factors) == 2 and (floor or (isinstance(first, Number) and isinstance(second, Name)))


def is_transposition(item: Item) -> bool:
    node = item.node
    if not (item.raised and isinstance(node, Name) and not item.bracket and not node.scripts and not node.accents):
        return False
    return node.base in (r"\top", r"\intercal", "⊤") or node.base == "T" or (node.base == "t" and node.font != "")


def text_of(node: Node, layers: Mapping[str, int] | None = None) -> str:
    """`node` as a label: ``2``, ``l+1`` (its number where `layers` knows l), ``hh`` of several letters."""
    if layers is not None:
        value = layer_number(node, layers)
        if value is not None:
            return str(value)
    if isinstance(node, Number):
        return node.text
    if isinstance(node, Text):
        return node.text.strip()
    if isinstance(node, Name):
        accents = "".join(f"\\{accent} " for accent in node.accents)
        scripts = "".join(("^" if item.raised else "_") + item.text for item in items_of(node.scripts))
        return accents + node.base + scripts
    if isinstance(node, Sum):
        written = "".join(("+" if sign > 0 else "-") + text_of(term, layers) for sign, term in node.terms)
        return written.removeprefix("+")
    if isinstance(node, Product):
        return "".join(text_of(factor, layers) for factor in node.factors)
    if isinstance(node, Group):
        return ",".join(text_of(inner, layers) for inner in node.content)  # type: ignore[arg-type]
    return f"<{type(node).__name__}>"


def layer_number(node: Node, layers: Mapping[str, int]) -> int | None:
    """The number of a layer that `node` names, ``l+1`` where l is known; None if it is none."""
    if isinstance(node, Name) and not node.scripts and not node.accents:
        return layers.get(node.base)
    if isinstance(node, Group) and len(node.content) == 1:
        return layer_number(node.content[0], layers)  # type: ignore[arg-type]
    if not isinstance(node, Sum):
        return None
    total, known = 0, False
    for sign, term in node.terms:
        if isinstance(term, Number) and term.text.isdigit():
            total += sign * int(term.text)
            continue
        value = layer_number(term, layers)
        if value is None:
            return None
        total, known = total + sign * value, True
    return total if known else None
