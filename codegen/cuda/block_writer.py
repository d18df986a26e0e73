"""What every block does for itself, as source: its threads share each phase; for parts alone they wait for others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sympy import Dummy, Expr, Integer, expand

from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..nests import Loop
from ..strides import row_major
from .divided import Parts
from .kinds import Divided, Each, Phase, equations_of, made_by_everyone, read_by, written_by
from .statements import INDENT
from .whole import quotient, remainder, strided
from .writer import WAIT, CudaWriter

LANES = 32  # of a warp
TURNS = 4  # sums that a warp does one after the other, at most, rather than its threads side by side


def meetings(phases: Sequence[Phase], parts: set[Tensor]) -> Iterator[str]:
    """What stands before each phase: a wait for the block's threads; for all blocks, where `parts` are added up."""
    read: set[Tensor] = set()
    wrote: set[Tensor] = set()
    unseen: set[Tensor] = set()
    for phase in phases:
        reading, writing = read_by(phase), written_by(phase)
        line = WAIT if reading & unseen else ""
        if not line and (reading & wrote or writing & (read | wrote)):
            line = "cuda.syncthreads()"
        if line:
            read, wrote = set(), set()
        unseen = (set() if line == WAIT else unseen) | (writing & parts)
        read, wrote = read | reading, wrote | (writing - made_by_everyone(phase))
        yield line


class BlockWriter(CudaWriter):
    """Writes one function of a block.

    Parameters
    ----------
    parts : what is divided among the blocks; None if nothing is
    summed : what holds the parts of sums
    threads : of a block
    """

    def __init__(self, *given: Any, parts: Parts | None, summed: Iterable[Tensor] = (), threads: int) -> None:
        super().__init__(*given)
        self.parts, self.summed, self.threads = parts, set(summed), threads
        self._used |= {"own", "mine", "slices", "held", "params", "state", "order", "start", "stride", "parts", "room"}
        self._by_warps = False

    def _phases(self, phases: Sequence[Phase], time: Any = None) -> list[str]:
        lines: list[str] = []
        said: set[int] = set()
        places = list(meetings(phases, self.summed))
        at = 0
        while at < len(phases):
            # What comes for a part right after another thing for it stands in the same loop.
            end = at + 1
            while isinstance(phases[at], Divided) and phases[end : end + 1] and not places[end]:
                if not isinstance(phases[end], Divided):
                    break
                end += 1
            group = phases[at:end]
            equations = [e for phase in group for e in equations_of(phase) if id(e) not in said]
            said |= {id(equation) for equation in equations}
            lines += [""] * bool(lines and equations) + [
                f"# {equation}" for equation in dict.fromkeys(map(str, equations))
            ]
            lines += [places[at]] * bool(places[at])
            if isinstance(group[0], Divided):
                lines += self._divided([phase for phase in group if isinstance(phase, Divided)])
            else:
                lines += self.phase(group[0])
            at = end
        return lines

    def phase(self, phase: Phase) -> list[str]:
        self._by_warps = isinstance(phase, Each) and self._is_for_warps(phase)
        lines = super().phase(phase)
        self._by_warps = False
        return lines

    def _divided(self, phases: Sequence[Divided]) -> list[str]:
        """Phases for the parts of the block: one part, unless there are fewer blocks than parts."""
        assert self.parts is not None
        parts = self.parts
        part, first, own = (self.letter(symbol) for symbol in (parts.part, parts.first, parts.own_size))
        inside = [line for phase in phases for line in self.phase(phase.phase)]
        lines, step = strided(part, "block", str(parts.count), "blocks")
        lines.append(f"{INDENT}mine = shifted(slices, stride * {part})")
        asked = {name for line in inside for name in re.findall(r"\b\w+\b", line)}
        begin = part if parts.size == 1 else f"{parts.size} * {part}"
        lines += [f"{INDENT}{first} = {begin}"] * bool(asked & {first, own})
        lines += [f"{INDENT}{own} = min({parts.size}, {parts.division.length} - {first})"] * (own in asked)
        for symbol in (parts.part, parts.first, parts.own_size):
            del self.letters[symbol]
        return [*lines, *(INDENT + line if line else "" for line in inside), step]

    def points(self, space: Iterable[tuple[Any, Expr]], own: str, all_of: str, write: Any) -> list[str]:
        """As `CudaWriter.points`, for the threads of one block, or for its warps."""
        pairs = list(space)
        if self._is_for_all or own == "block":
            return list(write())
        if self._by_warps:
            if not pairs:
                return [f"if lane < {LANES}:", *(INDENT + line for line in write())]
            own, all_of = (quotient(who, str(LANES)) for who in ("lane", "lanes"))
        elif not pairs:
            return ["if lane == 0:", *(INDENT + line for line in write())]
        else:
            own, all_of = "lane", "lanes"
        lines, step = self._decoded(pairs, own, all_of)
        return [*lines, *(INDENT + line for line in write()), step]

    # ---- sums that a warp does together ----------------------------------------------------------------------------

    def _is_for_warps(self, phase: Each) -> bool:
        """Whether there are few sums, of enough for all lanes of a warp."""
        if made_by_everyone(phase) or not phase.body or not isinstance(phase.body[0], Loop):
            return False
        loop, extents = phase.body[0], [extent for _, extent in phase.space]
        is_sum = len(loop.before) == 1 and getattr(loop.before[0], "kind", "") == "sum" and not loop.limits
        is_long = not loop.extent.is_Integer or loop.extent >= LANES
        count = expand(Integer(1) if not extents else _product(extents))
        is_only = not any(isinstance(item, Loop) for item in phase.body[1:])
        return bool(is_sum and is_long and is_only and count.is_Integer and count * LANES <= TURNS * self.threads)

    def _loop(self, loop: Loop) -> list[str]:
        if not self._by_warps:
            return super()._loop(loop)
        self._by_warps = False
        lines = self.items(loop.before)
        around = dict(self.locals)
        letter = self.letter(loop.index)
        head, step = strided(letter, remainder("lane", str(LANES)), self.size(loop.extent), str(LANES))
        lines += [*head, *(INDENT + line for line in self.items(loop.body)), step]
        self.locals = around
        del self.letters[loop.index]
        self._by_warps = True
        name = self.locals[loop.after[0].target]  # type: ignore[union-attr]
        return [*lines, f"{name} = warp_sum({name})", *self.items(loop.after)]

    def stored(self, target: Expr, value: str) -> list[str]:
        lines = super().stored(target, value)
        if self._is_for_all and lines:  # each block has memory of its own: one of its threads stores a number there
            return ["if lane == 0:", *lines[1:]]
        if self._by_warps and lines:
            return [f"if {remainder('lane', str(LANES))} == 0:", *(INDENT + line for line in lines)]
        return lines

    # ---- rows of the data ------------------------------------------------------------------------------------------

    def place(self, element: Expr) -> tuple[str, str]:
        """Where an element lies, in rows as long as their place says; a row of the data is one of `order`."""
        tensor = tensor_of(element)
        if tensor in self.places:
            buffer, found = self.places[tensor]
            own = row_major(found.shape, self.sizes)
            at = expand(sum((at * step for at, step in zip(indices_of(element), own, strict=True)), Integer(0)))
            text, begin = self.printer.integer(at).text, self.start_of(tensor)
            return buffer, begin if text == "0" else f"{begin} + {text}"
        if not tensor.rank or tensor.shape[0] != self.sizes.batch:
            return super().place(element)
        row = Dummy("row", integer=True)
        start = self.printer.integer(indices_of(element)[0]).text
        self.letters[row] = f"order[start + {start}]"
        steps = row_major(tensor.shape, self.sizes)
        places = (row, *indices_of(element)[1:])
        place = expand(sum((at * step for at, step in zip(places, steps, strict=True)), Integer(0)))
        text = self.printer.integer(place).text
        del self.letters[row]
        return self.names.of(tensor), text


def _product(extents: Sequence[Expr]) -> Expr:
    made: Expr = Integer(1)
    for extent in extents:
        made *= extent
    return made
