"""What depends on what, through equations in any order: recurrences read what stands below."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from sympy import Symbol

from .equations import Equation
from .held import held
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


def passed_by(equations: Iterable[Equation], tensors: Iterable[Tensor], stopped: Container[str]) -> set[Tensor]:
    """`tensors`, and what a gradient with respect to them comes to; `stopped` names those that pass none on.

    What is only held on the way has none: in a recurrence it would otherwise have one that is 0, step after step.
    """
    open_to_it = []
    for equation in equations:
        if equation.target.name not in stopped:
            values = {node: Symbol(f"held{number}", real=True) for number, node in enumerate(equation.body.atoms(held))}
            open_to_it.append(replace(equation, body=equation.body.xreplace(values)) if values else equation)
    return sources(open_to_it, tensors)


def readers(equations: Iterable[Equation], tensors: Iterable[Tensor]) -> set[Tensor]:
    """`tensors`, and what depends on them."""
    known = list(equations)
    found = set(tensors)
    before = -1
    while len(found) != before:
        before = len(found)
        found.update(equation.target for equation in known if not found.isdisjoint(equation.reads))
    return found
