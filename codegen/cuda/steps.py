"""The phases of one step of time: as few as the next step needs, by tiles or by warps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sympy import Symbol

from ...symbolic.tensors import Tensor
from ..sizes import Sizes
from .costs import grid_cost
from .fuse import fused
from .kinds import Phase, Product, Rows, Sums, TimeSteps, made_by, read_by
from .places import flat
from .sums import added_up, as_sums


def of_step(phases: Sequence[Phase], time: Symbol, sizes: Sizes) -> list[Phase]:
    """The phases of a step in an order of few waits, joined; products by warps where that is quicker than by tiles."""
    by_warps = [(isinstance(phase, Product) and as_sums(phase)) or phase for phase in phases]
    possible = [fused(some, sizes, time) for some in (by_warps, phases)]
    return min(possible, key=lambda found: grid_cost(found, sizes, time))


def with_fewer_sums(functions: Sequence[Sequence[Phase]], temporaries: Collection[Tensor]) -> list[list[Phase]]:
    """The phases of functions that share a workspace, with one sum where several are needed only added up."""
    phases = [phase for function in functions for phase in flat(function)]
    made = {id(phase): set(made_by(phase)) for phase in phases if isinstance(phase, Sums)}
    others = {tensor for phase in phases for tensor in read_by(phase) - made.get(id(phase), set())}
    own = set(temporaries) - others

    def fewer(phase: Phase) -> Phase:
        if isinstance(phase, TimeSteps | Rows):
            return replace(phase, phases=tuple(map(fewer, phase.phases)))
        return added_up(phase, own) if isinstance(phase, Sums) else phase

    return [[fewer(phase) for phase in function] for function in functions]
