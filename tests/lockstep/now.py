"""Which thread runs now, and the places that errors name. One launch runs at a time."""

from __future__ import annotations

import sys
from typing import Any


class Moment:
    """A thread between two barriers: the unit in which accesses to memory are ordered."""

    __slots__ = ("block", "block_epoch", "index", "thread", "warp", "warp_epoch")

    def __init__(self, thread: Any) -> None:
        self.thread = thread
        self.index = thread.index
        self.block = thread.block
        self.warp = thread.warp
        self.block_epoch = thread.block.epoch
        self.warp_epoch = thread.warp_epoch


class Now:
    """The running thread and the options of its launch."""

    __slots__ = ("declared_alignment", "float64", "kernel", "lines", "moment", "thread")

    def __init__(self) -> None:
        self.thread: Any = None
        self.moment: Any = None
        self.kernel = ""
        self.lines: list[str] = []
        self.float64 = "stores"
        self.declared_alignment = False

    def place(self, line: int, thread: Any = None) -> str:
        """'kernel "k", block (0, 0, 0), thread (3, 0, 0), line 7 (`y[i] = x[i]`)'."""
        text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else "?"
        return f'kernel "{self.kernel}", {thread or self.thread}, line {line} (`{text}`)'


NOW = Now()


def caller_line(depth: int = 2) -> int:
    """The line of simulated source that called the function that asks."""
    return sys._getframe(depth).f_lineno
