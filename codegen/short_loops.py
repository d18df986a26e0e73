"""Short loops inside of longer ones are written out: the longer one is then the innermost, and LLVM can vectorise it.

The windows of a pooling are such loops: two by two, inside of a loop over the places of the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sympy import Integer

from .nests import Dot, Item, Loop, rename, statements

SHORTEST = 4  # loops of no more steps are written out
LONGEST_BODY = 80  # statements


def without_short_loops(items: Iterable[Item]) -> tuple[Item, ...]:
    """The same nests; a loop whose inner loops are all short has none left."""
    return tuple(_within(item) if isinstance(item, Loop) else item for item in items)


def _within(loop: Loop) -> Loop:
    body = without_short_loops(loop.body)
    if loop.carries is not None:
        return replace(loop, body=body)
    inner = [item for item in body if isinstance(item, Loop)]
    if not inner or _is_short(loop) or any(not _can_go(item) for item in inner):
        return replace(loop, body=body)
    written_out = tuple(part for item in body for part in (_steps(item) if isinstance(item, Loop) else (item,)))
    if len(written_out) > LONGEST_BODY:
        return replace(loop, body=body)
    return replace(loop, body=written_out)


def _is_short(loop: Loop) -> bool:
    return bool(loop.extent.is_Integer) and int(loop.extent) <= SHORTEST


def _can_go(loop: Loop) -> bool:
    """Whether a loop is short, runs in any order, and holds nothing but loops like it and single statements."""
    if not _is_short(loop) or loop.limits or loop.step:
        return False
    if any(isinstance(statement, Dot) for statement in statements(loop)):
        return False
    return all(_can_go(item) for item in loop.body if isinstance(item, Loop))


def _steps(loop: Loop) -> list[Item]:
    """Every step of a short loop, one after the other."""
    steps: list[Item] = [*loop.before]
    for number in range(int(loop.extent)):
        for item in loop.body:
            made = rename(item, {loop.index: Integer(number)})
            steps += _steps(made) if isinstance(made, Loop) else [made]
    return [*steps, *loop.after]
