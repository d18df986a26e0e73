"""What all threads of a grid do together, between one wait for all of them and the next.

==========  =====================================================================================================
phase       who does what
==========  =====================================================================================================
`Each`      every point of a space is one thread's: elementwise equations, and sums that are short or many
`Together`  every point is one block's, whose threads share what is summed: few sums of much
            (what is one number alone, every thread or block makes for itself: `made_by_everyone`)
`Product`   tiles of a matrix product are one block's each
`Sums`      some points of a space are one warp's, whose lanes share what is summed there: products with few rows
`TimeSteps` phases that need each other along time, for one step after the other
`Rows`      rows of the batch are a block's, which takes several phases through by itself
==========  =====================================================================================================

Every number is made by one thread, or by the threads of one block, in one order: the same bits whatever the grid is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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
    """A sum over `bound` at each point of `space`, a block's own.

    `part`, one of the indices of `space`, is the number of the part of `bound` that is summed over.
    """

    target: Expr
    value: Expr
    space: tuple[tuple[Symbol, Expr], ...]
    bound: tuple[tuple[Symbol, Expr], ...]
    equation: Equation
    part: Symbol | None = None


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


Phase: TypeAlias = Each | Together | Product | Sums | TimeSteps | Rows


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
    if isinstance(phase, Each):
        return [element for item in phase.body for element in reads(item)]
    if isinstance(phase, Product):
        return [phase.op.left, phase.op.right, *([] if phase.after is None else _elements_read(phase.after))]
    if isinstance(phase, Sums):
        return [*phase.operands, *_elements_read(phase.after)]
    return list(elements(phase.value))


def written_by(phase: Phase) -> set[Tensor]:
    """The tensors that a phase writes."""
    return set(made_by(phase))


def made_by(phase: Phase) -> list[Tensor]:
    """The same, in the order in which they are written."""
    if isinstance(phase, TimeSteps | Rows):
        return [tensor for part in phase.phases for tensor in made_by(part)]
    if isinstance(phase, Each):
        return [tensor_of(target) for item in phase.body for s in statements(item) for target in targets(s)]
    if isinstance(phase, Product):
        return [phase.op.tensor, *([] if phase.after is None else made_by(phase.after))]
    if isinstance(phase, Sums):
        return [*(op.tensor for op in phase.ops), *made_by(phase.after)]
    return [tensor_of(phase.target)]


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
    elif isinstance(phase, Each):
        found = [s.equation for item in phase.body for s in statements(item, starts=False)]
    elif isinstance(phase, Product):
        found = [phase.op.equation, *([] if phase.after is None else equations_of(phase.after))]
    elif isinstance(phase, Sums):
        found = [*(op.equation for op in phase.ops), *equations_of(phase.after)]
    else:
        found = [phase.equation]
    return list({id(equation): equation for equation in found}.values())
