"""Ctrl-C, and the end that a scheduler asks for, at moments when something half done would be lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM, as schedulers of clusters do some time before they kill it."""


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let a first Ctrl-C take effect at the end; a second does at once. Other threads than the main one get none."""
    with _handled(signal.SIGINT, _held), _handled(signal.SIGTERM, _held):
        yield


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM raise `Terminated`, unless the program has a use of its own for it."""
    with _handled(signal.SIGTERM, lambda handler: (_terminate, None) if handler == signal.SIG_DFL else None):
        yield


@contextlib.contextmanager
def not_lost() -> Iterator[None]:
    """Let Ctrl-C end what is done here even where a callback from LLVM, in the midst of compiling, dropped it."""
    came: list[int] = []

    def choose(handler: Any) -> Any:
        if not callable(handler):
            return None

        def hear(number: int, frame: Any) -> None:
            try:
                handler(number, frame)
            except KeyboardInterrupt:
                came.append(number)
                raise

        return hear, None

    try:
        with _handled(signal.SIGINT, choose):
            yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    if came:
        raise KeyboardInterrupt


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


def _held(handler: Any) -> Any:
    """What takes a signal's place meanwhile, and what does at the end."""
    if not callable(handler):
        return None
    came: list[Any] = []

    def hold(number: int, frame: Any) -> None:
        came.append(frame)
        signal.signal(number, handler)

    return hold, lambda number: came and handler(number, came[0])


@contextlib.contextmanager
def _handled(number: signal.Signals, choose: Any) -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    before: Any = signal.getsignal(number)
    chosen = choose(before) if is_main else None
    if chosen is None:
        yield
        return
    signal.signal(number, chosen[0])
    try:
        yield
    finally:
        signal.signal(number, before)
    if chosen[1] is not None:
        chosen[1](number)
