"""Sums of warps as source: what their lanes add up, and what is done at each point with all of its sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sympy import Expr, expand, prod

from .kinds import Sums
from .sums import LANES, Run, Share, runs_of, share_of
from .whole import quotient, remainder, strided

if TYPE_CHECKING:
    from .writer import CudaWriter

INDENT = "    "


class SumWriter:
    """Writes one phase with the `writer` of the function that it stands in."""

    def __init__(self, writer: CudaWriter, phase: Sums) -> None:
        self.writer, self.phase, self.sizes = writer, phase, writer.sizes
        span = writer.span
        self.warps = writer.tiles.sizes[0].threads // LANES
        rows = self.sizes.rows if span is None else min(span.size, self.sizes.rows)
        self.share: Share = (
            share_of(phase, self.sizes, rows, self.warps) if span is None else share_of(phase, self.sizes, rows, 1, 1)
        )
        names = "warp", "own", "first_row", "first_column", "m", "n", "at"
        self.warp, self.own, self.row, self.column, self.m, self.n, self.at = map(writer.fresh, names)
        self.dots = writer.number("dots")
        self.rest = LANES // (self.share.rows * self.share.columns)  # lanes that have the same point in the end

    def lines(self) -> list[str]:
        """A loop over tiles of points."""
        each, points = len(self.phase.targets), self.share.rows * self.share.columns
        lines = [f"{self.own} = anew(lane)"]
        lines.append(f"{self.warp} = {quotient(self.own, str(LANES))}")
        lines.append(f"{self.own} = {remainder(self.own, str(LANES))}")
        lines.append(f"{self.dots} = cuda.local.array({points * each}, real)")
        inside = [f"for {self.at} in range({points * each}):", f"{INDENT}{self.dots}[{self.at}] = real(0)"]
        for run in runs_of(self.phase):
            arrays = {element: self.writer.number("left") for element in run.lefts}
            arrays |= {element: self.writer.number("right") for element in run.rights}
            for element, name in arrays.items():
                count = self.share.rows if element in run.lefts else self.share.columns
                lines.append(f"{name} = cuda.local.array({count}, real)")
            inside += self._run(run, arrays)
        inside += [f"{self.writer.tiles.together(points, each)}({self.dots})", f"{self.own} = anew({self.own})"]
        after = self._after()
        inside += [*self.writer.own_starts(), *after]  # so that no register holds these while sums are added up
        head, step = self._loop()
        return [*lines, *head, *(INDENT + line for line in inside), step]

    def _loop(self) -> tuple[list[str], str]:
        """The loop over tiles, and the first point of each warp in one; and its last line."""
        w, share = self.writer, self.share
        high, broad = share.rows * share.down, share.columns * share.across
        extent = self.phase.after.space[0][1]
        w.tiles.points.add(expand(prod(self.sizes.resolve(size) for _, size in self.phase.after.space)))
        is_in_span = w.span is not None and extent == w.span.batch
        size = w.span.length if w.span is not None and is_in_span else w.factor(extent)
        rows = str(-(-int(size) // high)) if size.isdigit() else f"(({size} + {high - 1}) // {high})"
        columns = -(-int(self.sizes.resolve(self.phase.after.space[1][1])) // broad)
        count, tile = f"{rows} * {columns}" if columns > 1 else rows, w.fresh("tile")
        if w.span is not None:
            begin, step = self.warp, str(self.warps)
        else:
            begin, step = w.first_block(count if count.isdigit() else f"({count})"), "blocks"
            if share.warps == 1:
                begin, step = f"{begin} + blocks * {self.warp}", f"blocks * {self.warps}"
        down = [f"{remainder(tile, rows)} * {high}"]
        across = [f"{quotient(tile, rows)} * {broad}"]
        if share.warps > 1:
            down += [f"{remainder(self.warp, str(share.down))} * {share.rows}"] * (share.down > 1)
            across += [f"{quotient(self.warp, str(share.down))} * {share.columns}"] * (share.across > 1)
        if w.span is not None and is_in_span:
            down.insert(0, w.span.first)
        lines, last = strided(tile, begin, count, step)
        lines += [f"{INDENT}{self.row} = {' + '.join(down)}", f"{INDENT}{self.column} = {' + '.join(across)}"]
        return lines, last

    def _run(self, run: Run, arrays: dict[Expr, str]) -> list[str]:
        """Products that one loop sums up: each lane takes every 32nd number."""
        w = self.writer
        length = int(self.sizes.resolve(run.length))
        turns, rest = divmod(length, LANES)
        inner = w.letter(run.inner)
        body = self._added(run, arrays)
        lines: list[str] = []
        if turns:
            turn = w.fresh("turn")
            lines += [f"for {turn} in range({turns}):", f"{INDENT}{inner} = {LANES} * {turn} + {self.own}"]
            lines += [INDENT + line for line in body]
        if rest:
            lines += [f"{inner} = {LANES * turns} + {self.own}" if turns else f"{inner} = {self.own}"]
            lines += [f"if {inner} < {length}:", *(INDENT + line for line in body)]
        del w.letters[run.inner]
        conditions = [f"{w.printer.integer(guard.args[0]).text} >= 0" for guard in run.ops[0].when]
        if not conditions:
            return lines
        return [f"if {' and '.join(conditions)}:", *(INDENT + line for line in lines)]

    def _added(self, run: Run, arrays: dict[Expr, str]) -> list[str]:
        """Operands of some rows and columns into registers, and their products to the sums."""
        w, share, each = self.writer, self.share, len(self.phase.targets)
        places = {target: place for place, target in enumerate(self.phase.targets)}
        lines = []
        for axis, (elements, letter, count, first) in enumerate(
            ((run.lefts, self.m, share.rows, self.row), (run.rights, self.n, share.columns, self.column))
        ):
            index, _ = self.phase.after.space[axis]
            place, last = f"{first} + {letter}", self._last(axis)
            lines += [f"for {letter} in range({count}):"]
            lines += [f"{INDENT}{w.letter(index)} = {f'min({place}, {last})' if last else place}"]
            for element in elements:
                value = w.printer.text(element)
                lines += [INDENT + line for line in (*w.flush(), f"{arrays[element]}[{letter}] = {value}")]
            del w.letters[index]
        lines += [f"for {self.m} in range({share.rows}):", f"{INDENT}for {self.n} in range({share.columns}):"]
        lines.append(f"{INDENT * 2}{self.at} = ({self.m} * {share.columns} + {self.n}) * {each}")
        for op in run.ops:
            dot = f"{self.dots}[{self.at} + {places[op.target]}]"
            factors = f"{arrays[op.left]}[{self.m}], {arrays[op.right]}[{self.n}]"
            lines.append(f"{INDENT * 2}{dot} = cuda.fma({factors}, {dot})")
        return lines

    def _end(self, axis: int) -> str:
        """Where the rows or columns end; "" if all tiles are full."""
        w, extent = self.writer, self.phase.after.space[axis][1]
        if w.span is not None and extent == w.span.batch:
            return w.span.end
        size = self.sizes.resolve(extent)
        share = self.share
        tile = (share.rows * share.down, share.columns * share.across)[axis]
        return "" if size.is_Integer and size % tile == 0 else w.size(extent)

    def _last(self, axis: int) -> str:
        """The last row or column, which lanes read in the place of those beyond; "" if there is none beyond."""
        end = self._end(axis)
        return str(int(end) - 1) if end.isdigit() else f"{end} - 1" if end else ""

    def _after(self) -> list[str]:
        """What one lane does at its point, where all sums are at hand."""
        w, share = self.writer, self.share
        place = quotient(self.own, str(self.rest))
        parts = [
            "" if share.rows == 1 else f" + {quotient(place, str(share.columns))}",
            "" if share.columns == 1 else f" + {remainder(place, str(share.columns)) if share.rows > 1 else place}",
        ]
        conditions = [f"{remainder(self.own, str(self.rest))} == 0"] if self.rest > 1 else []
        lines = []
        for axis, first in enumerate((self.row, self.column)):
            letter: Any = w.letter(self.phase.after.space[axis][0])
            lines.append(f"{letter} = {first}{parts[axis]}")
            conditions += [f"{letter} < {end}" for end in (self._end(axis),) if end]
        body: list[str] = []
        for number, target in enumerate(self.phase.targets):
            name = w.local(target)
            body += [f"{name} = {self.dots}[{number}]", *w.stored(target, name)]
        body += w.items(self.phase.after.body)
        if not conditions:
            return [*lines, *body]
        return [*lines, f"if {' and '.join(conditions)}:", *(INDENT + line for line in body)]
