"""What depends on what, through equations in any order: recurrences read what stands below."""

from __future__ import annotations

from collections.abc import Iterable

from .equations import Equation
from .tensors import Tensor


def sources(equations: Iterable[Equation], tensors: Iterable[Tensor]) -> set[Tensor]:
    """`tensors`, and what they depend on."""
    makers = {equation.target: equation for equation in equations}
    found = set(tensors)
    stack = list(found)
    while stack:
        maker = makers.get(stack.pop())
        new = [read for read in maker.reads if read not in found] if maker is not None else []
        found.update(new)
        stack += new
    return found


def readers(equations: Iterable[Equation], tensors: Iterable[Tensor]) -> set[Tensor]:
    """`tensors`, and what depends on them."""
    known = list(equations)
    found = set(tensors)
    before = -1
    while len(found) != before:
        before = len(found)
        found.update(equation.target for equation in known if not found.isdisjoint(equation.reads))
    return found
