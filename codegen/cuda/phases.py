"""Ops → phases: what all threads of a grid do together, between one wait for all of them and the next.

==========  =====================================================================================================
phase       who does what
==========  =====================================================================================================
`Each`      every point of a space is one thread's: elementwise equations, and sums that are short or many
`Together`  every point is one block's, whose threads share what is summed: few sums of much
`Product`   tiles of a matrix product are one block's each
`Steps`     phases that need each other along time, for one step after the other
==========  =====================================================================================================

Every number is made by one thread, or by the threads of one block, in one order: the same bits whatever the grid is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Integer, Mul, Symbol, prod

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, elements, indices_of, tensor_of
from ..loops import Temporary, limits_of, reduction_loop, wrapped
from ..nests import AddTo, Item, Set, reads, rename, statements, targets
from ..ops import Contraction, Op, Reduction, Scan, Steps, is_index
from ..sizes import Sizes

FEW, MUCH = 1024, 32  # fewer sums than that, each of more than that, are worth a block each
LEAST = 256  # numbers of a product that are worth tiles


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
    """A sum over `bound` at each point of `space`, a block's own."""

    target: Expr
    value: Expr
    space: tuple[tuple[Symbol, Expr], ...]
    bound: tuple[tuple[Symbol, Expr], ...]
    equation: Equation


@dataclass(frozen=True)
class Product:
    """A product of matrices in tiles."""

    op: Contraction


@dataclass(frozen=True)
class TimeSteps:
    """`phases` for each value of `time`, forward or backward."""

    time: Symbol
    length: Expr
    step: int
    phases: tuple[Phase, ...]


Phase: TypeAlias = Each | Together | Product | TimeSteps


def phases_of(steps: Sequence[Steps], sizes: Sizes, temporary: Temporary) -> list[Phase]:
    """The phases of the ops of one function, those that fit together in one."""
    return _fused([phase for step in steps for phase in _phases(step, sizes, temporary)])


def _phases(op: Any, sizes: Sizes, temporary: Temporary) -> Iterator[Phase]:
    if isinstance(op, Scan):
        yield TimeSteps(op.time, op.length, op.step, tuple(phases_of(op.ops, sizes, temporary)))
        return
    if isinstance(op, Contraction):
        if _is_worth_tiles(op, sizes):
            yield Product(op)
            return
        op = Reduction(op.target, Mul(op.left, op.right, *op.when), op.space, op.equation, op.bound)
    extents = dict(op.space)
    if not isinstance(op, Reduction):
        yield Each(op.space, (Set(op.target, op.body, op.equation),))
    elif op.is_scatter:
        yield from _scatter(op, sizes)
    elif op.kind == "sum" and _is_much(op, sizes):
        bound = tuple((index, extents[index]) for index in op.bound)
        free = tuple((index, extents[index]) for index in op.free)
        yield Together(op.target, op.body, free, bound, op.equation)
    else:
        limits, op = limits_of(op, [*op.free, *op.bound])
        body = reduction_loop(op, op.target, op.free, op.bound, temporary, limits)
        yield Each(tuple((index, extents[index]) for index in op.free), (body,))


def _scatter(op: Reduction, sizes: Sizes) -> Iterator[Phase]:
    """A sum into places that data choose, in order: a thread adds up what has its value of the other indices."""
    tensor = op.tensor
    shape = sizes.shape(tensor.shape)
    fresh = tuple(Dummy(letter, integer=True) for letter, _ in zip("pqrsuv", shape, strict=False))
    cleared = Set(tensor[fresh], Integer(0), op.equation)
    yield Each(tuple(zip(fresh, shape, strict=True)), (cleared,))
    own = {place for place in indices_of(op.target) if is_index(place) and place not in op.bound}
    extents = dict(op.space)
    inner = [index for index in extents if index not in own]
    body = wrapped(inner, extents, (AddTo(op.target, op.body, op.equation),))
    yield Each(tuple((index, extents[index]) for index in extents if index in own), (body,))


def _is_worth_tiles(op: Contraction, sizes: Sizes) -> bool:
    return _count([*op.rows, *op.columns, *op.bound], op, sizes) >= LEAST


def _is_much(op: Reduction, sizes: Sizes) -> bool:
    return _count(op.free, op, sizes) <= FEW and _count(op.bound, op, sizes) > MUCH


def _count(indices: Sequence[Any], op: Op, sizes: Sizes) -> int:
    extents = dict(op.space)
    count = prod((sizes.resolve(extents[index]) for index in indices), start=Integer(1))
    return int(count.subs({sizes.batch: sizes.rows}) if sizes.batch is not None else count)


# ---- what fits together ----------------------------------------------------------------------------------------------


def _fused(phases: Sequence[Phase]) -> list[Phase]:
    """Elementwise phases joined with earlier ones over the same space that make what they read, at the same points."""
    done: list[Phase] = []
    for phase in phases:
        place = _partner(done, phase) if isinstance(phase, Each) else None
        if place is None:
            done.append(phase)
        else:
            first = done[place]
            assert isinstance(first, Each)
            assert isinstance(phase, Each)
            done[place] = replace(first, body=(*first.body, *_at(phase, first)))
    return done


def _partner(done: Sequence[Phase], phase: Each) -> int | None:
    for place in range(len(done) - 1, -1, -1):
        other = done[place]
        makes = read_by(phase) & written_by(other)
        if makes and isinstance(other, Each) and other.extents == phase.extents and _in_step(other, phase):
            return place
        if makes or written_by(phase) & (read_by(other) | written_by(other)):
            return None
    return None


def _at(phase: Each, first: Each) -> tuple[Item, ...]:
    """What a phase does, in the indices of another."""
    names = {own: other for (own, _), (other, _) in zip(phase.space, first.space, strict=True)}
    return tuple(rename(item, names) for item in phase.body)


def _in_step(first: Each, phase: Each) -> bool:
    """Whether a point of `phase` needs of `first` no more than what that does at the same point."""
    made = {target for item in first.body for s in statements(item) for target in targets(s)}
    read = [element for item in first.body for element in reads(item)]
    tensors = set(map(tensor_of, made))
    moved = _at(phase, first)
    over = {tensor_of(target) for item in moved for s in statements(item) for target in targets(s)}
    if over & (tensors | set(map(tensor_of, read))):
        return False
    return all(e in made for item in moved for e in reads(item) if tensor_of(e) in tensors)


def read_by(phase: Phase) -> set[Tensor]:
    """The tensors that a phase reads."""
    if isinstance(phase, TimeSteps):
        return {tensor for part in phase.phases for tensor in read_by(part)}
    if isinstance(phase, Each):
        return {tensor_of(element) for item in phase.body for element in reads(item)}
    if isinstance(phase, Product):
        return set(map(tensor_of, (phase.op.left, phase.op.right)))
    return {tensor_of(element) for element in elements(phase.value)}


def written_by(phase: Phase) -> set[Tensor]:
    """The tensors that a phase writes."""
    if isinstance(phase, TimeSteps):
        return {tensor for part in phase.phases for tensor in written_by(part)}
    if isinstance(phase, Each):
        return {tensor_of(target) for item in phase.body for s in statements(item) for target in targets(s)}
    return {phase.op.tensor if isinstance(phase, Product) else tensor_of(phase.target)}


def equations_of(phase: Phase) -> list[Equation]:
    """The equations that a phase computes, each once."""
    if isinstance(phase, TimeSteps):
        found = [equation for part in phase.phases for equation in equations_of(part)]
    elif isinstance(phase, Each):
        found = [s.equation for item in phase.body for s in statements(item, starts=False)]
    else:
        found = [phase.op.equation if isinstance(phase, Product) else phase.equation]
    return list({id(equation): equation for equation in found}.values())
