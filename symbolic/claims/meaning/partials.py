"""∂T/∂U of one tensor by another, from the network's equations; kept, as a claim is read in many ways."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import sympy
from sympy import Dummy, Expr, Integer, KroneckerDelta, Symbol

from ...adjoint import contributions
from ...binders import rename_free
from ...compact import compact
from ...derivation import Derivation
from ...network import Network
from ...rewriting import Rewriting
from ...tensors import Tensor
from .reading import Reading

Partial = tuple[Expr, list[Symbol], list[Symbol]]
_KEPT: WeakKeyDictionary[Network, tuple[Derivation, dict[tuple[Tensor, Tensor, bool], Partial]]] = WeakKeyDictionary()


def partial(of: Tensor, by: Tensor, reading: Reading, through: bool) -> Partial:
    """∂T[o]/∂U[p] with its o and p: of T's equation alone, or through all equations between."""
    derivation = reading.lexicon.derivation
    kept = _KEPT.get(derivation.network)
    if kept is None or kept[0] is not derivation:  # the network has changed
        kept = _KEPT[derivation.network] = derivation, {}
    key = of, by, through
    if key not in kept[1]:
        kept[1][key] = _partial(of, by, reading, through)
    return kept[1][key]


def _partial(of: Tensor, by: Tensor, reading: Reading, through: bool) -> Partial:
    """∂T[o]/∂U[p] with its o and p: of T's equation alone, or through all equations between."""
    network = reading.network
    where_of = [Dummy(f"o{axis}", integer=True) for axis in range(of.rank)]
    where_by = [Dummy(f"p{axis}", integer=True) for axis in range(by.rank)]
    if of == by:
        return sympy.Mul(*map(KroneckerDelta, where_of, where_by)), where_of, where_by
    equations = {equation.target: equation for equation in network.equations}
    if of not in equations:
        return Integer(0), where_of, where_by
    first = equations[of]
    reached: dict[Tensor, Expr] = {of: sympy.Mul(*map(KroneckerDelta, first.indices, where_of))}
    order = [equation for equation in reversed(network.equations) if equation.target in above(of, equations)]
    made: Expr = Integer(0)
    for equation in order if through else [first]:
        if equation.target not in reached:
            continue
        if equation.target in equation.reads and through:
            raise reading.fails(f"{equation.target.name} reads itself: give the immediate derivative as an alias")
        cotangent = reached[equation.target]
        active = dict.fromkeys(equation.reads if through else [by])
        for part in contributions(equation, cotangent, active, network.home):
            if part.tensor == by:
                made += rename_free(part.term, dict(zip(part.where, where_by, strict=True)))
            elif part.tensor in equations:
                home = dict(zip(part.where, equations[part.tensor].indices, strict=True))
                reached[part.tensor] = reached.get(part.tensor, Integer(0)) + rename_free(part.term, home)
    ranges = {**dict(zip(where_of, of.shape, strict=True)), **dict(zip(where_by, by.shape, strict=True))}
    return compact(made, Rewriting(network), ranges)[0], where_of, where_by


def above(of: Tensor, equations: dict[Tensor, Any]) -> set[Tensor]:
    """What `of` depends on, and itself."""
    found, stack = {of}, [of]
    while stack:
        equation = equations.get(stack.pop())
        for tensor in equation.reads if equation is not None else ():
            if tensor not in found:
                found.add(tensor)
                stack.append(tensor)
    return found
