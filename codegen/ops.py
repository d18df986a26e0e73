"""What lowering makes of equations: pointwise assignments, reductions and contractions, each of one tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sympy import Expr, Indexed, Symbol

from ..symbolic.equations import Equation
from ..symbolic.indices import Dim
from ..symbolic.tensors import Tensor, elements, tensor_of

Extents = dict[Any, Expr]  # index → how far it runs, in the order of the loops


@dataclass(frozen=True)
class Op:
    """``target = body``, the body free of binders.

    Attributes
    ----------
    target : the element that is written; its indices are plain, or (a scatter) elements of integer tensors
    body : what is written at each point of `space`, or what is combined over `bound`
    space : the indices of the loops and their extents; those not in `bound` are the free ones
    bound : the indices that are reduced away
    equation : the equation that the op belongs to, for comments
    half : where it sums over a half of the batch alone, the index that says which: 0 or 1; it is in no op's `space`
    """

    target: Expr
    body: Expr
    space: tuple[tuple[Symbol, Expr], ...]
    equation: Equation
    bound: tuple[Symbol, ...] = ()
    half: Symbol | None = field(default=None, kw_only=True)

    @property
    def tensor(self) -> Tensor:
        return tensor_of(self.target)

    @property
    def free(self) -> tuple[Symbol, ...]:
        return tuple(index for index, _ in self.space if index not in self.bound)

    @property
    def reads(self) -> list[Expr]:
        """The elements that are read, those that only say where to write included."""
        places = self.target.indices if isinstance(self.target, Indexed) else ()
        return [*elements(self.body), *(e for place in places for e in elements(place))]


@dataclass(frozen=True)
class Pointwise(Op):
    """Each element by itself."""


@dataclass(frozen=True)
class Reduction(Op):
    """A sum, a maximum, or the first place of a maximum, over `bound`."""

    kind: Literal["sum", "max", "argmax"] = "sum"

    @property
    def is_scatter(self) -> bool:
        """Whether data says where to write, so that the target is added to in any order."""
        return isinstance(self.target, Indexed) and any(elements(place) for place in self.target.indices)


@dataclass(frozen=True)
class Contraction(Op):
    """``Σ left · right`` over `bound`: a matrix product for every value of the indices in `batch`.

    `left` has the indices batch + rows + bound, `right` batch + bound + columns; either may be stored transposed.
    Rows, columns and bound are blocks of indices that lie side by side. In a recurrence, time leads all three, and
    `when` holds the guards on it alone: in a step where one is 0 the product is 0.
    """

    left: Expr = None
    right: Expr = None
    rows: tuple[Symbol, ...] = ()
    columns: tuple[Symbol, ...] = ()
    batch: tuple[Symbol, ...] = ()
    when: tuple[Expr, ...] = ()


@dataclass(frozen=True)
class Scan:
    """Ops that need each other along time: all of them for one step, then for the next.

    Attributes
    ----------
    time : the index of time in all of the ops; it is in no op's `space`
    length : how many steps there are
    step : 1 from the first step to the last, -1 the other way
    """

    time: Symbol
    length: Expr
    step: int
    ops: tuple[Op, ...]


@dataclass(frozen=True)
class Segments:
    """Ops for a segment of time, done for one segment after the other.

    Attributes
    ----------
    index : the number of the segment
    count : how many there are
    step : 1 from the first segment to the last, -1 the other way
    ops : those of one segment
    carried : the tensors in which a segment finds what the one before it left
    """

    index: Symbol
    count: int
    step: int
    ops: tuple[Op | Scan, ...]
    carried: tuple[Tensor, ...]


Steps: TypeAlias = Op | Scan | Segments


def is_index(symbol: Any) -> bool:
    """Whether `symbol` is an index, of any kind."""
    return isinstance(symbol, Symbol) and not isinstance(symbol, Tensor | Dim)


def is_plain(element: Any) -> bool:
    """Whether every axis of the element has an index of its own: no label, no whole number, no diagonal."""
    places = element.indices if isinstance(element, Indexed) else ()
    return all(is_index(place) for place in places) and len(set(places)) == len(places)


def tensors_read(ops: Any) -> Iterator[Tensor]:
    for op in ops:
        yield from (tensor_of(element) for element in op.reads)
