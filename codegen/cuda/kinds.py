"""What all threads of a grid do together, between one wait for all of them and the next.

==========  =====================================================================================================
phase       who does what
==========  =====================================================================================================
`Each`      every point of a space is one thread's: elementwise equations, and sums that are short or many
`Together`  every point is one block's, whose threads share what is summed: few sums of much
            (what is one number alone, every thread or block makes for itself: `made_by_everyone`)
`Scatter`   places that data choose are a block's, which looks for what comes there among all that is added
`Product`   tiles of a matrix product are one block's each
`Sums`      some points of a space are one warp's, whose lanes share what is summed there: products with few rows
`TimeSteps` phases that need each other along time, for one step after the other
`Rows`      rows of the batch are a block's, which takes several phases through by itself
`Divided`   parts of a tensor are blocks', which keep them (in `replicated` trainings alone)
==========  =====================================================================================================

Every number is made by one thread, or by the threads of one block, in one order: the same bits whatever the grid is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from sympy import Expr, Symbol

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, elements, indices_of, tensor_of
from ..nests import AddTo, Item, Loop, reads, statements, targets
from ..ops import Contraction


@dataclass(frozen=True)
class Each:
    """`body` at each point of `space`, a thread's own; serial loops may stand in it."""

    space: tuple[tuple[Symbol, Expr], ...]
    body: tuple[Item, ...]

    @property
    def extents(self) -> tuple[Expr, ...]:
        return tuple(extent for _, extent in self.space)


@dataclass(frozen=True)
class Together:
    """A sum over `bound` at each point of `space`, a block's own; what `after` says is done with it by one thread.

    `part`, one of the indices of `space`, is the number of the part of `bound` that is summed over.
    """

    target: Expr
    value: Expr
    space: tuple[tuple[Symbol, Expr], ...]
    bound: tuple[tuple[Symbol, Expr], ...]
    equation: Equation
    part: Symbol | None = None
    after: Each | None = None


@dataclass(frozen=True)
class Scatter:
    """``target += value`` at every point of `entries` and of `own`, the entries in order.

    Attributes
    ----------
    own : the indices that stand in the target themselves
    entries : the others, which say by data where to add
    row : the number of the place that data choose
    groups : a block has the rows with the same remainder by this number
    apart : into how many parts, of other rows each, its threads divide them again
    """

    target: Expr
    value: Expr
    own: tuple[tuple[Symbol, Expr], ...]
    entries: tuple[tuple[Symbol, Expr], ...]
    row: Expr
    groups: int
    apart: int
    equation: Equation


@dataclass(frozen=True)
class Product:
    """A product of matrices in tiles; what `after` says is done with each entry as soon as it is made.

    `part`, one of the indices of the op's batch, is the number of the part that is summed over.
    """

    op: Contraction
    after: Each | None = None
    part: Symbol | None = None


@dataclass(frozen=True)
class Sums:
    """Products with the same rows and columns, all of them at a few points of those by one warp.

    An operand may be an expression of elements. Those with the same target are added up to one sum. What `after` says
    is done at each point, where all of the sums are at hand. Its space is (row, column), the indices that all of `ops`
    have.
    """

    ops: tuple[Contraction, ...]
    after: Each

    @property
    def targets(self) -> tuple[Expr, ...]:
        """The sums, each once."""
        return tuple(dict.fromkeys(op.target for op in self.ops))

    @property
    def operands(self) -> tuple[Expr, ...]:
        """The elements that the products read."""
        return tuple(element for op in self.ops for side in (op.left, op.right) for element in elements(side))


@dataclass(frozen=True)
class TimeSteps:
    """`phases` for each value of `time`, forward or backward."""

    time: Symbol
    length: Expr
    step: int
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class Rows:
    """`phases` one after the other for `size` rows of the batch, a block's own: its threads wait for no other."""

    size: int
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class Divided:
    """`phase` for each of `count` parts, a block's own each; `part` is the number of one."""

    part: Symbol
    count: int
    phase: Each | Together


Phase: TypeAlias = Each | Together | Scatter | Product | Sums | TimeSteps | Rows | Divided
Space: TypeAlias = tuple[tuple[Any, Expr], ...]


def points_of(phase: Each | Together | Product | Sums) -> tuple[Space, list[Expr], tuple[Item, ...]]:
    """The points at which a phase makes elements, those made there before its statements, and these."""
    if isinstance(phase, Each):
        return phase.space, [], phase.body
    if isinstance(phase, Sums):
        return phase.after.space, list(phase.targets), phase.after.body
    after = () if phase.after is None else phase.after.body
    if isinstance(phase, Together):
        return phase.space, [phase.target], after
    extents = dict(phase.op.space)
    return tuple((index, extents[index]) for index in phase.op.free), [phase.op.target], after


def read_by(phase: Phase, time: Symbol | None = None) -> set[Tensor]:
    """The tensors that a phase reads; of one in a step of `time`, not those that it reads of other steps alone."""
    return {tensor_of(element) for element in _elements_read(phase) if time is None or not is_of_other(element, time)}


def is_of_other(element: Expr, time: Symbol) -> bool:
    """Whether an element is of a step before or after that of `time`."""
    places = indices_of(element)
    return time not in places and any((place - time).is_Integer for place in places)


def _elements_read(phase: Phase) -> list[Expr]:
    if isinstance(phase, TimeSteps | Rows):
        return [element for part in phase.phases for element in _elements_read(part)]
    if isinstance(phase, Divided):
        return _elements_read(phase.phase)
    if isinstance(phase, Each):
        return [element for item in phase.body for element in reads(item)]
    if isinstance(phase, Scatter):
        return [*elements(phase.value), *(e for place in indices_of(phase.target) for e in elements(place))]
    after = [] if phase.after is None else _elements_read(phase.after)
    if isinstance(phase, Product):
        return [phase.op.left, phase.op.right, *after]
    if isinstance(phase, Sums):
        return [*phase.operands, *after]
    return [*elements(phase.value), *after]


def written_by(phase: Phase) -> set[Tensor]:
    """The tensors that a phase writes."""
    return set(made_by(phase))


def made_by(phase: Phase) -> list[Tensor]:
    """The same, in the order in which they are written."""
    if isinstance(phase, TimeSteps | Rows):
        return [tensor for part in phase.phases for tensor in made_by(part)]
    if isinstance(phase, Divided):
        return made_by(phase.phase)
    if isinstance(phase, Each):
        return [tensor_of(target) for item in phase.body for s in statements(item) for target in targets(s)]
    if isinstance(phase, Scatter):
        return [tensor_of(phase.target)]
    if isinstance(phase, Sums):
        return [*(op.tensor for op in phase.ops), *made_by(phase.after)]
    first = phase.op.tensor if isinstance(phase, Product) else tensor_of(phase.target)
    return [first, *([] if phase.after is None else made_by(phase.after))]


def made_by_everyone(phase: Phase) -> set[Tensor]:
    """The scalars that every thread makes for itself, so that nobody waits for them; one of them stores them, too."""
    if isinstance(phase, Together):
        made = [phase.target]
    elif isinstance(phase, Each) and not any(isinstance(s, AddTo) for item in phase.body for s in statements(item)):
        ends = [item.after if isinstance(item, Loop) else (item,) for item in phase.body]
        made = [target for items in ends for item in items for s in statements(item) for target in targets(s)]
    else:
        return set()
    found = {tensor_of(target) for target in made}
    return set() if phase.space or any(tensor.rank for tensor in found) else found


def equations_of(phase: Phase) -> list[Equation]:
    """The equations that a phase computes, each once."""
    if isinstance(phase, TimeSteps | Rows):
        found = [equation for part in phase.phases for equation in equations_of(part)]
    elif isinstance(phase, Divided):
        found = equations_of(phase.phase)
    elif isinstance(phase, Each):
        found = [s.equation for item in phase.body for s in statements(item, starts=False)]
    elif isinstance(phase, Sums):
        found = [*(op.equation for op in phase.ops), *equations_of(phase.after)]
    elif isinstance(phase, Scatter):
        found = [phase.equation]
    else:
        first = phase.op.equation if isinstance(phase, Product) else phase.equation
        found = [first, *([] if phase.after is None else equations_of(phase.after))]
    return list({id(equation): equation for equation in found}.values())
