"""The order of phases: with as few waits for all threads as what they need of each other allows."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Symbol

from ...symbolic.tensors import Tensor
from .kinds import Phase, TimeSteps, made_by_everyone, read_by, written_by


class Needs:
    """What each of several phases reads and writes, and after how many waits it can begin.

    With `time`, they are those of one of its steps: what a step reads of others is there before it begins.
    """

    def __init__(self, phases: Sequence[Phase] = (), time: Symbol | None = None) -> None:
        self.time = time
        self.levels: list[int] = []
        self._touched: list[tuple[set[Tensor], set[Tensor], set[Tensor]]] = []
        for phase in phases:
            self.add(phase)

    def add(self, phase: Phase, least: int = 0) -> None:
        """Take in the next phase, which begins after `least` waits at the earliest."""
        self.levels.append(max(least, self.level_of(phase)))
        self._touched.append(_touched(phase, self.time))

    def replace(self, place: int, phase: Phase) -> None:
        """Take a phase for one that does more at the same time."""
        self._touched[place] = _touched(phase, self.time)

    def level_of(self, phase: Phase, without: int = -1) -> int:
        """How many waits there are before a phase that is the next, at least; but for what it needs of one before."""
        reading, writing, _ = _touched(phase, self.time)
        level = 0
        for place, (read, wrote, everyone) in enumerate(self._touched):
            if place == without or not (reading & wrote or writing & (read | wrote)):
                continue
            # What every thread has made for itself, it need not wait for.
            is_free = not (reading & (wrote - everyone) or writing & (read | wrote))
            level = max(level, self.levels[place] + (not is_free))
        return level


def in_order(phases: Sequence[Phase], time: Symbol | None = None) -> list[Phase]:
    """The same phases, each as early as what it needs allows; what can be done between two waits stands together."""
    levels = Needs(phases, time).levels
    return [phases[place] for place in sorted(range(len(phases)), key=lambda place: levels[place])]


def waits(phases: Sequence[Phase], time: Symbol | None = None) -> list[bool]:
    """Before which phases, of a step of `time` if it is given, all wait for each other; all have before the first.

    Not before steps of time: each of them begins with a wait.
    """
    read: set[Tensor] = set()
    wrote: set[Tensor] = set()
    found = []
    for phase in phases:
        reading, writing, everyone = _touched(phase, time)
        clash = bool(reading & wrote or writing & (read | wrote)) and not isinstance(phase, TimeSteps)
        if clash or isinstance(phase, TimeSteps):
            read, wrote = set(), set()
        read, wrote = read | reading, wrote | (writing - everyone)
        found.append(clash)
    return found


def _touched(phase: Phase, time: Symbol | None) -> tuple[set[Tensor], set[Tensor], set[Tensor]]:
    """What a phase reads and writes, and what of the latter every thread makes for itself."""
    return read_by(phase, time), written_by(phase), made_by_everyone(phase)
