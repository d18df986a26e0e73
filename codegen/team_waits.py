"""Where all threads must wait for each other, by what each nest reads and writes, and an order in which few do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

from ..symbolic.tensors import Tensor
from .team_shares import Access, InMemory, Share, accesses

Touched: TypeAlias = tuple[list[tuple[Tensor, Access]], list[tuple[Tensor, Access]]]  # what was read, what was written


def with_waits(
    functions: Sequence[Sequence[Share]],
    in_memory: InMemory,
    same: Callable[[Tensor, Tensor], bool],
    overlap: Callable[[Tensor, Tensor], bool],
) -> list[list[Share]]:
    """The functions that run one after another, with the places where all threads wait.

    `same` and `overlap` say how the places of tensors lie. All wait before the first function.
    """
    touched: Touched = ([], [])
    done = []
    for shares in functions:
        made, touched = _waits(shares, touched, in_memory, same, overlap)
        done.append(made)
    return done


def _waits(
    shares: Sequence[Share],
    touched: Touched,
    in_memory: InMemory,
    same: Callable[[Tensor, Tensor], bool],
    overlap: Callable[[Tensor, Tensor], bool],
) -> tuple[list[Share], Touched]:
    """The shares of one; `touched` is what was read and written since all waited last, before it and after it."""
    read, wrote = touched
    done = []
    for share in shares:
        if share.inner:
            # All wait where a segment begins: what came before it, the last one too, is done.
            inner = [replace(part, waits=False) for part in share.inner]
            inner, (read, wrote) = _waits(inner, ([], []), in_memory, same, overlap)
            done.append(replace(share, inner=(replace(inner[0], waits=True), *inner[1:])))
            continue
        reading, writing = ([one for one in some if in_memory(one[0])] for some in accesses(share))
        pairs = [*product(wrote, [*reading, *writing]), *product(read, writing)]
        clash = any(_clash(one, other, same, overlap) for one, other in pairs)
        if clash:
            read, wrote = [], []
        read, wrote = [*read, *reading], [*wrote, *writing]
        done.append(replace(share, waits=clash))
    return done, (read, wrote)


def rows_before_parts(shares: Sequence[Share]) -> list[Share]:
    """The same nests; what threads share by rows of the batch comes first, as far as it needs nothing of the rest.

    Nobody waits between nests by rows, and all wait before one that sums over all rows: so all wait but once.
    """
    done: list[Share] = []
    later: list[Share] = []
    for share in shares:
        if share.kind == "rows":
            reading, writing = ({tensor for tensor, _ in some} for some in accesses(share))
            for other in later:
                others_read, others_wrote = ({tensor for tensor, _ in some} for some in accesses(other))
                if others_wrote & (reading | writing) or others_read & writing:
                    done += later
                    later = []
                    break
            done.append(share)
        else:
            later.append(share)
    return done + later


def _clash(
    before: tuple[Tensor, Access],
    now: tuple[Tensor, Access],
    same: Callable[[Tensor, Tensor], bool],
    overlap: Callable[[Tensor, Tensor], bool],
) -> bool:
    """Whether a thread must wait for the others between two accesses; its own rows it has finished itself."""
    (one, first), (other, second) = before, now
    if not same(one, other):
        return overlap(one, other)
    return not (first.kind == second.kind == "rows" and first.axes & second.axes)
