"""What threads share of a nest, and what each of them then reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sympy import Expr

from ..symbolic.tensors import Tensor, indices_of, tensor_of
from .nests import Clear, Dot, Item, Loop, reads, targets

Kind = Literal["rows", "parts", "each", "first"]
InMemory: TypeAlias = Callable[[Tensor], bool]


@dataclass(frozen=True)
class Share:
    """Who does what of a nest.

    Attributes
    ----------
    item : the nest; of "rows" and "parts" its shared loops and products are marked
    kind : "rows", by rows of the batch; "parts", by another index; "each", all of it by every thread; "first", by one
    waits : whether all threads must have come so far before it
    inner : who does what in a loop over segments of time, which every thread runs through
    """

    item: Item
    kind: Kind
    waits: bool = False
    inner: tuple[Share, ...] = ()


@dataclass(frozen=True)
class Access:
    """How a nest touches an element: who does it, and the axes of which it is the row of the step."""

    kind: Kind
    axes: frozenset[int]


def accesses(share: Share) -> tuple[list[tuple[Tensor, Access]], list[tuple[Tensor, Access]]]:
    """What a nest reads and what it writes, and along which axes every access is to the row of its step."""
    reading: list[tuple[Tensor, Access]] = []
    writing: list[tuple[Tensor, Access]] = []

    def visit(item: Item, row: Any) -> None:
        if isinstance(item, Loop):
            inner = item.index if item.is_shared and share.kind == "rows" else row
            for part in (*item.before, *item.body, *item.after):
                visit(part, inner)
            return
        if isinstance(item, Dot) and share.kind == "rows" and row is None:
            row = next(index for index in (*item.op.rows, *item.op.columns) if index.name == item.shared)

        def access(element: Expr) -> tuple[Tensor, Access]:
            axes = frozenset(axis for axis, place in enumerate(indices_of(element)) if place == row)
            return tensor_of(element), Access(share.kind, axes)

        reading.extend(access(element) for element in reads(item))
        writing.extend(access(target) for target in targets(item))
        if isinstance(item, Clear):
            writing.append((item.target, Access(share.kind, frozenset())))

    visit(share.item, None)
    return reading, writing
