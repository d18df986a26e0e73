"""Points of a space in one function of a CUDA module: which of them are a thread's or a block's, in loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Expr, Integer, expand

from ..names import Names
from ..sizes import Sizes
from .places import Places
from .products import Tiles
from .statements import INDENT, CudaStatements
from .whole import quotient, remainder, strided


@dataclass(frozen=True)
class Span:
    """The rows of the batch that a block takes by itself.

    Attributes
    ----------
    size : how many they are at most
    batch : the size of the batch
    first, end : the variables of the limits
    """

    size: int
    batch: Any
    first: str
    end: str

    @property
    def length(self) -> str:
        return f"({self.end} - {self.first})"


class CudaPoints(CudaStatements):
    """Writes loops over points.

    Parameters
    ----------
    tiles : collects how many points there are
    """

    def __init__(self, places: Places, names: Names, sizes: Sizes, tiles: Tiles, data: Sequence[str] = ()) -> None:
        super().__init__(places, names, sizes, data)
        self.tiles = tiles
        self._taken: list[str] = []  # how many blocks each phase takes that has been written since the last wait
        self.span: Span | None = None  # the rows that the block takes by itself

    def first_block(self, count: str) -> str:
        """The first of `count` things that a block does: those before it have what earlier phases leave over."""
        first = f"turn_of(block, {' + '.join(self._taken)}, blocks)" if self._taken else "block"
        self._taken.append(count)
        return first

    def points(self, space: Iterable[tuple[Any, Expr]], own: str, all_of: str, write: Any) -> list[str]:
        """What `write` gives, at each point of a space; neighbours along the last index are neighbouring threads'."""
        pairs = list(space)
        if self._is_for_all:
            return list(write())
        if not pairs:
            return [f"if {own} == 0:", *(INDENT + line for line in write())]
        if self.span is not None:
            lines, step = self._of_rows(pairs, self.span)
            return [*lines, *(INDENT + line for line in write()), step]
        if own == "block":
            own = self.first_block(self.factor(expand(sympy.prod(extent for _, extent in pairs))))
        lines, step = self._decoded(pairs, own, all_of)
        return [*lines, *(INDENT + line for line in write()), step]

    def _decoded(
        self, pairs: Sequence[tuple[Any, Expr]], own: str, all_of: str, name: str = "point", stop: str = ""
    ) -> tuple[list[str], str]:
        """A loop over all points of a space, or those before `stop`, and the indices of each; and its last line."""
        count = expand(sympy.prod(extent for _, extent in pairs))
        stop = stop or self.size(count)
        if len(pairs) == 1:
            return strided(self.letter(pairs[0][0]), own, stop, all_of)
        self.tiles.points.add(count)
        lines, step = strided(name := self.fresh(name), own, stop, all_of)
        return [*lines, *(INDENT + line for line in self.indices(pairs, name, is_all=True))], step

    def _of_rows(self, pairs: Sequence[tuple[Any, Expr]], span: Span) -> tuple[list[str], str]:
        """The same for the rows of a block."""
        row = next(index for index, extent in pairs if extent == span.batch)
        others = [pair for pair in pairs if pair[0] != row]
        if not others:
            return strided(self.letter(row), f"{span.first} + lane", span.end, "lanes")
        rest = expand(sympy.prod(extent for _, extent in others))
        stop = f"{span.length} * {self.factor(rest)}"
        name = self.fresh("point")
        self.tiles.points.add(expand(rest * span.batch))
        lines, step = strided(name, "lane", stop, "lanes")
        lines += [INDENT + line for line in self.indices(others, name, is_all=False)]
        return [*lines, f"{INDENT}{self.letter(row)} = {span.first} + {quotient(name, self.size(rest))}"], step

    def indices(self, pairs: Sequence[tuple[Any, Expr]], name: str, *, is_all: bool) -> list[str]:
        """The indices of a point of a space; `is_all` if its number has no other part."""
        lines = []
        rest: Expr = Integer(1)
        for place, (index, extent) in reversed(list(enumerate(pairs))):
            value = quotient(name, self.size(rest))
            value = value if is_all and not place else remainder(value, self.size(extent))
            lines.append(f"{self.letter(index)} = {value}")
            rest = expand(rest * extent)
        return lines
