"""Claims about an update: ``W \\leftarrow W - \\eta \\frac{\\partial L}{\\partial W}``, ``W^{new} = …``."""

from __future__ import annotations

import copy
from dataclasses import replace

from sympy import Expr

from ...derivation import Derivation
from ..latex.syntax import Name, Node, Product, Text
from .items import items_of
from .naming import gradient_named, matching, tensor_named
from .reading import RATE, Reading
from .values import Value, add

NEW = frozenset(["new", "neu", "next", "+", "updated"])


def updated(left: Node, sign: str, reading: Reading) -> Value | None:
    """The new value of a parameter by gradient descent, where `left` and the sign speak of one; else None."""
    name = left
    is_new = sign in ("<-", ":=", "->")
    if isinstance(left, Product) and isinstance(left.factors[0], Text) and len(left.factors) == 2:
        if left.factors[0].text.strip(" .:").lower() not in NEW:
            return None
        name, is_new = left.factors[1], True
    if not isinstance(name, Name):
        return None
    kept = []
    for script in name.scripts:
        words = [item.text for item in items_of((script,))]
        if "".join(words).strip() in NEW:  # n e w, letter by letter
            is_new = True
        else:
            kept.append(script)
    if not is_new:
        return None
    name = replace(name, scripts=tuple(kept))
    found = [(e, left) for e, left in matching(name, reading) if e.kind == "tensor" and e.meaning.role == "parameter"]
    if not found:
        return None
    entry, items = reading.pick(found)
    reading.note("the update is a step of gradient descent")
    reading.updates = True
    gradient = gradient_named(entry.meaning, items, reading)
    return add(tensor_named(entry.meaning, items, reading), gradient.map(lambda g: -RATE * g))


def with_rate(derivation: Derivation, *sides: Expr) -> Derivation:
    """The derivation, with the learning rate as one more number of its network where a side has it."""
    if not any(side.has(RATE) for side in sides) or RATE.name in derivation.network.tensors:
        return derivation
    known: Derivation | None = getattr(derivation, "_with_rate", None)
    if known is None:
        network = copy.copy(derivation.network)
        network.tensors = {**network.tensors, RATE.name: RATE}
        known = replace(derivation, network=network)
        derivation._with_rate = known  # type: ignore[attr-defined]
    return known
