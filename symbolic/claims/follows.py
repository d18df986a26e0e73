"""Whether a wrong line is wrong by itself, or follows from a wrong one above it.

Each line is judged on the derived values of what stands before it, so that one error is one error. A line that is wrong
even so may have an earlier error put into it: it is judged again in a derivation in which what was claimed takes the
place of what is derived, and all behind it is derived from that.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Add, Expr, Integer, Symbol

from ..adjoint import contributions
from ..binders import rename_free
from ..derivation import Derivation, Step
from ..equations import Equation
from ..errors import GradloomError
from ..tensors import Adjoint, Tensor, element_of, indices_of, is_element, tensor_of
from .deciding.decide import decide
from .judge import Finding, Meaning


def follows(finding: Finding, wrong: Sequence[tuple[int, Finding]], derivation: Derivation) -> int | None:
    """The number of the wrong line above that `finding` follows from, or None.

    Parameters
    ----------
    wrong : the wrong lines above with their numbers
    """
    if finding.meaning is None:
        return None
    claimed = {}
    for number, earlier in wrong:
        made = _claimed(earlier.meaning, derivation) if earlier.meaning is not None else None
        if made is None:
            continue
        claimed[number] = made
        try:
            other = instead(derivation, list(claimed.values()))
            if decide(finding.meaning.question.of(other)).kind == "equal":
                return number
        except GradloomError:
            continue
    return None


def _claimed(meaning: Meaning, derivation: Derivation) -> Equation | None:
    """What a wrong line says a gradient is, as an equation; None if it is about something else."""
    left = meaning.left.entry
    if not (is_element(left) and isinstance(tensor_of(left), Adjoint)) or meaning.manner.single:
        return None
    tensor, where = tensor_of(left), indices_of(left)
    if len(set(where)) != len(where) or not all(isinstance(place, Symbol) for place in where):
        return None
    home = derivation.network.home(tensor.of)
    return Equation(tensor, home, rename_free(meaning.right.entry, dict(zip(where, home, strict=True))))


def instead(derivation: Derivation, claimed: Sequence[Equation]) -> Derivation:
    """The derivation with `claimed` in the place of what is derived of the same tensors, and all behind it anew."""
    network, loss = derivation.network, derivation.network.loss
    assert loss is not None
    active = dict.fromkeys(network.tensors[name] for name in derivation.steps)
    parts: dict[Tensor, list[Expr]] = {}
    for equation in reversed(network.equations):
        if equation.target.name in network.held or (equation.target != loss and equation.target not in active):
            continue
        adjoint = Adjoint(equation.target, loss)
        cotangent = Integer(1) if equation.target == loss else element_of(adjoint, equation.indices)
        for part in contributions(equation, cotangent, active, network.home):
            home = dict(zip(part.where, network.home(part.tensor), strict=True))
            parts.setdefault(part.tensor, []).append(rename_free(part.term, home))
    given = {equation.target: equation for equation in claimed}
    steps = {}
    for tensor, terms in parts.items():
        adjoint = Adjoint(tensor, loss)
        derived = Equation(adjoint, network.home(tensor), Add(*terms))
        steps[tensor.name] = Step(given.get(adjoint, derived), (), ())
    return Derivation(network, steps=steps)
