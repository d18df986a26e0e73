"""The phases of one step of time: as few as the next step needs, by tiles or by warps."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Symbol

from ..sizes import Sizes
from .costs import grid_cost
from .fuse import fused
from .kinds import Phase, Product
from .sums import as_sums


def of_step(phases: Sequence[Phase], time: Symbol, sizes: Sizes) -> list[Phase]:
    """The phases of a step in an order of few waits, joined; products by warps where that is quicker than by tiles."""
    by_warps = [(isinstance(phase, Product) and as_sums(phase)) or phase for phase in phases]
    possible = [fused(some, sizes, time) for some in (by_warps, phases)]
    return min(possible, key=lambda found: grid_cost(found, sizes, time))
