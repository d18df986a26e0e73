"""The phases of one step of time: as few as the next step needs, by tiles or by warps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sympy import Expr, Function, KroneckerDelta, Mod, Piecewise, Symbol

from ...symbolic.guards import Guard
from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..nests import Set
from ..ops import Contraction
from ..sizes import Sizes
from .costs import grid_cost
from .fuse import fused
from .kinds import Each, Phase, Product, Rows, Sums, TimeSteps, made_by, read_by
from .places import flat
from .sums import added_up, as_sums

CHEAP = (Guard, KroneckerDelta, Mod, Piecewise)  # what is computed again rather than waited for


def of_step(phases: Sequence[Phase], time: Symbol, sizes: Sizes) -> list[Phase]:
    """The phases of a step in an order of few waits, joined; products by warps where that is quicker than by tiles."""
    simple = _simple(phases, time)
    by_warps: list[Phase] = []
    for phase in phases:
        made = as_sums(phase) if isinstance(phase, Product) else None
        by_warps.append(phase if made is None else replace(made, ops=tuple(_read_as(op, simple) for op in made.ops)))
    possible = [fused(some, sizes, time) for some in (by_warps, phases)]
    return min(possible, key=lambda found: grid_cost(found, sizes, time))


def _simple(phases: Sequence[Phase], time: Symbol) -> dict[Tensor, Set]:
    """What a step defines by a few operations on what is there before it: sums compute it again, and wait for nothing.

    Such is a state a step before with an initial value, or a delta that has no name.
    """
    written = {tensor for phase in phases for tensor in made_by(phase)}
    found = {}
    for phase in phases:
        if isinstance(phase, Each) and len(phase.body) == 1 and isinstance(phase.body[0], Set):
            only = phase.body[0]
            is_cheap = all(isinstance(node, CHEAP) for node in only.value.atoms(Function))
            if is_cheap and not written & read_by(phase, time):
                found[tensor_of(only.target)] = only
    return found


def _read_as(op: Contraction, simple: Mapping[Tensor, Set]) -> Contraction:
    def read(side: Expr) -> Expr:
        known = simple.get(tensor_of(side))
        if known is None:
            return side
        return known.value.xreplace(dict(zip(indices_of(known.target), indices_of(side), strict=True)))

    return replace(op, left=read(op.left), right=read(op.right))


def with_fewer_sums(functions: Sequence[Sequence[Phase]], temporaries: Collection[Tensor]) -> list[list[Phase]]:
    """The phases of functions that share a workspace, with one sum where several are needed only added up.

    What steps make and nothing reads is left out.
    """
    phases = [phase for function in functions for phase in flat(function)]
    made = {id(phase): set(made_by(phase)) for phase in phases if isinstance(phase, Sums)}
    others = {tensor for phase in phases for tensor in read_by(phase) - made.get(id(phase), set())}
    own = set(temporaries) - others
    unread = set(temporaries).difference(*map(read_by, phases))

    def fewer(phase: Phase) -> Phase:
        if isinstance(phase, TimeSteps | Rows):
            kept = [part for part in phase.phases if not (isinstance(part, Each) and unread >= set(made_by(part)))]
            return replace(phase, phases=tuple(map(fewer, kept)))
        return added_up(phase, own) if isinstance(phase, Sums) else phase

    return [[fewer(phase) for phase in function] for function in functions]
