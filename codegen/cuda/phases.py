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
from math import prod
from typing import Any, TypeAlias

from sympy import Dummy, Expr, Integer, Mul, Symbol

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, elements, indices_of, tensor_of
from ..cuda_tiles import TILES
from ..loops import Temporary, limits_of, reduction_loop, wrapped
from ..nests import AddTo, Item, Loop, Set, reads, rename, statements, targets
from ..ops import Contraction, Op, Reduction, Scan, Steps, is_index
from ..sizes import Sizes
from .products import is_in_one, tiled

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
    """A product of matrices in tiles; what `after` says is done with each entry as soon as it is made."""

    op: Contraction
    after: Each | None = None


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
    return _fused([phase for step in steps for phase in _phases(step, sizes, temporary)], sizes)


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


def blocks_for(phase: Phase, sizes: Sizes, threads: int) -> int:
    """How many blocks have something to do in a phase, about."""
    if isinstance(phase, TimeSteps):
        return max(blocks_for(part, sizes, threads) for part in phase.phases)
    if isinstance(phase, Product):
        found = tiled(phase.op, sizes, TILES)
        count = prod([at_rows(axis.extent, sizes) for axis in found.around], start=1)
        count *= prod([at_rows(extent, sizes) for index, extent in phase.op.space if index in phase.op.batch], start=1)
        for side, size in ((found.rows, found.tile.rows), (found.columns, found.tile.columns)):
            count *= -(-at_rows(side.extent, sizes) // size)
        return count
    count = prod([at_rows(extent, sizes) for _, extent in phase.space], start=1)
    return count if isinstance(phase, Together) else -(-count // threads)


def at_rows(size: Expr, sizes: Sizes) -> int:
    """A size at about as many rows as a batch has."""
    number = sizes.resolve(size)
    return int(number.subs({sizes.batch: sizes.rows}) if sizes.batch is not None else number)


def _is_much(op: Reduction, sizes: Sizes) -> bool:
    return _count(op.free, op, sizes) <= FEW and _count(op.bound, op, sizes) > MUCH


def _count(indices: Sequence[Any], op: Op, sizes: Sizes) -> int:
    extents = dict(op.space)
    return prod([at_rows(extents[index], sizes) for index in indices], start=1)


# ---- what fits together ----------------------------------------------------------------------------------------------


def _fused(phases: Sequence[Phase], sizes: Sizes) -> list[Phase]:
    """Elementwise phases joined with earlier ones that make what they read, at the same points."""
    done: list[Phase] = []
    for phase in phases:
        place, made = _partner(done, phase, sizes) if isinstance(phase, Each) else (0, None)
        if made is None:
            done.append(phase)
        else:
            done[place] = made
    return done


def _partner(done: Sequence[Phase], phase: Each, sizes: Sizes) -> tuple[int, Phase | None]:
    """Which earlier phase a phase is joined with, and both as one."""
    for place in range(len(done) - 1, -1, -1):
        other = done[place]
        if read_by(phase) & written_by(other):
            return place, _joined(other, phase, sizes)
        if written_by(phase) & (read_by(other) | written_by(other)):
            break
    return 0, None


def _joined(first: Phase, phase: Each, sizes: Sizes) -> Phase | None:
    """Two phases as one, if a point of the second needs of the first no more than what that does at the same point."""
    if isinstance(first, Each):
        space, before = first.space, first.body
    elif isinstance(first, Product) and is_in_one(first.op, sizes):
        extents = dict(first.op.space)
        space = tuple((index, extents[index]) for index in first.op.free)
        before = () if first.after is None else first.after.body
    else:
        return None
    made = {target for item in before for s in statements(item) for target in targets(s)}
    made |= {first.op.target} if isinstance(first, Product) else set()
    names = _same_points(phase, space, made)
    if names is None or (isinstance(first, Product) and any(isinstance(item, Loop) for item in phase.body)):
        return None
    moved = tuple(rename(item, names) for item in phase.body)
    over = {tensor_of(target) for item in moved for s in statements(item) for target in targets(s)}
    if over & (read_by(first) | written_by(first)):
        return None
    tensors = set(map(tensor_of, made))
    if any(e not in made for item in moved for e in reads(item) if tensor_of(e) in tensors):
        return None
    body = Each(space, (*before, *moved))
    return replace(first, after=body) if isinstance(first, Product) else body


def _same_points(phase: Each, space: Sequence[tuple[Any, Expr]], made: set[Any]) -> dict[Any, Any] | None:
    """The indices of a phase → those of the points at which what it reads is made; None where they are others."""
    by_tensor = {tensor_of(element): indices_of(element) for element in made}
    for element in (e for item in phase.body for e in reads(item)):
        places = indices_of(element)
        if tensor_of(element) in by_tensor and len(set(places)) == len(places):
            names = dict(zip(places, by_tensor[tensor_of(element)], strict=True))
            extents = {names.get(index): extent for index, extent in phase.space}
            if len(names) == len(phase.space) == len(space) and extents == dict(space):
                return names
    return None


def read_by(phase: Phase) -> set[Tensor]:
    """The tensors that a phase reads."""
    if isinstance(phase, TimeSteps):
        return {tensor for part in phase.phases for tensor in read_by(part)}
    if isinstance(phase, Each):
        return {tensor_of(element) for item in phase.body for element in reads(item)}
    if isinstance(phase, Product):
        after = set() if phase.after is None else read_by(phase.after)
        return {tensor_of(phase.op.left), tensor_of(phase.op.right)} | after
    return {tensor_of(element) for element in elements(phase.value)}


def written_by(phase: Phase) -> set[Tensor]:
    """The tensors that a phase writes."""
    return set(made_by(phase))


def made_by(phase: Phase) -> list[Tensor]:
    """The same, in the order in which they are written."""
    if isinstance(phase, TimeSteps):
        return [tensor for part in phase.phases for tensor in made_by(part)]
    if isinstance(phase, Each):
        return [tensor_of(target) for item in phase.body for s in statements(item) for target in targets(s)]
    if isinstance(phase, Product):
        return [phase.op.tensor, *([] if phase.after is None else made_by(phase.after))]
    return [tensor_of(phase.target)]


def equations_of(phase: Phase) -> list[Equation]:
    """The equations that a phase computes, each once."""
    if isinstance(phase, TimeSteps):
        found = [equation for part in phase.phases for equation in equations_of(part)]
    elif isinstance(phase, Each):
        found = [s.equation for item in phase.body for s in statements(item, starts=False)]
    elif isinstance(phase, Product):
        found = [phase.op.equation, *([] if phase.after is None else equations_of(phase.after))]
    else:
        found = [phase.equation]
    return list({id(equation): equation for equation in found}.values())
