"""Accesses that nothing orders.

Two accesses to one element, of which one writes, are ordered if one thread makes both, or if a barrier lies between
them that both threads take part in: of the warp (`syncwarp`), the block or the grid. Every access is compared with the
last write and, if it writes, with the reads since; what came before those is ordered before them or was reported.
"""

from __future__ import annotations

from typing import Any

from .errors import Race
from .memory import Memory, View
from .now import NOW, Moment


def unordered(before: Moment, after: Moment) -> bool:
    """Whether no barrier lies between two moments. Grid barriers empty the record, so none of them does."""
    if before.thread is after.thread:
        return False
    if before.block is not after.block:
        return True
    if before.block_epoch != after.block_epoch:
        return False
    return before.warp != after.warp or before.warp_epoch == after.warp_epoch


def race(view: View, at: int, before: tuple[Moment, int], line: int, verbs: tuple[str, str]) -> Race:
    moment, first = before
    mend = "syncthreads" if moment.block is NOW.thread.block else "a grid barrier"
    if view.memory.kind == "shared" or moment.block is NOW.thread.block:
        between = "two threads of a block"
    else:
        between = "two blocks"
    return Race(
        f"{NOW.place(line)} {verbs[1]} element {view.element(at)} of {view}, which {moment.thread} {verbs[0]}, "
        f"line {first} (`{NOW.lines[first - 1].strip()}`): {between}, and {mend} is missing between"
    )


def check_read(view: View, memory: Memory, at: int, line: int) -> None:
    """Record a read, after comparing it with the last write."""
    me = NOW.moment
    written = memory.writers.get(at)
    if written is not None and written[0] is not me and unordered(written[0], me):
        raise race(view, at, written, line, ("wrote", "reads"))
    if memory.atomics:
        check_atomics(view, memory, at, line, "reads")
    read = memory.readers.get(at)
    if read is None:
        memory.readers[at] = (me, line)
    elif read.__class__ is dict:
        read[me.index] = (me, line)
    elif read[0] is not me:
        memory.readers[at] = {read[0].index: read, me.index: (me, line)}


def check_write(view: View, memory: Memory, at: int, line: int) -> None:
    """Record a write, after comparing it with the last write and the reads since."""
    me = NOW.moment
    if at in memory.landing:
        moment, first = memory.landing[at]
        raise Race(
            f"{NOW.place(line)} writes element {view.element(at)} of {view}, to which an asynchronous copy of "
            f"{moment.thread}, line {first} (`{NOW.lines[first - 1].strip()}`), is under way; wait for it first"
        )
    check_others(view, memory, at, line, "writes")
    if memory.atomics:
        check_atomics(view, memory, at, line, "writes")
    memory.writers[at] = (me, line)
    memory.readers.pop(at, None)  # what races with them races with this write; not so after an atomic access


def check_atomic(view: View, memory: Memory, at: int, line: int) -> None:
    """Record an atomic access: it races with plain accesses, never with another atomic one."""
    check_others(view, memory, at, line, "changes")
    memory.atomics.setdefault(at, {})[NOW.moment.index] = (NOW.moment, line)


def check_others(view: View, memory: Memory, at: int, line: int, verb: str) -> None:
    me = NOW.moment
    written = memory.writers.get(at)
    if written is not None and written[0] is not me and unordered(written[0], me):
        raise race(view, at, written, line, ("wrote", verb))
    read: Any = memory.readers.get(at)
    if read is None:
        return
    for one in read.values() if read.__class__ is dict else (read,):
        if one[0] is not me and unordered(one[0], me):
            raise race(view, at, one, line, ("read", verb))


def check_atomics(view: View, memory: Memory, at: int, line: int, verb: str) -> None:
    for one in memory.atomics.get(at, {}).values():
        if unordered(one[0], NOW.moment):
            raise race(view, at, one, line, ("changed atomically", verb))
