"""Products of matrices as source: blocks that take tiles, and what is done with each entry of a tile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sympy import Expr, Integer, expand

from ...symbolic.tensors import tensor_of
from ..ops import Contraction
from ..strides import Axis, lies
from .kinds import Product, equations_of
from .products import Side, Table, TiledProduct, in_fours, tiled
from .whole import quotient, remainder, strided

if TYPE_CHECKING:
    from .points import Span
    from .writer import CudaWriter

INDENT = "    "


class ProductWriter:
    """Writes one product with the `writer` of the function that it stands in."""

    def __init__(self, writer: CudaWriter) -> None:
        self.writer, self.tiles, self.sizes = writer, writer.tiles, writer.sizes

    def lines(self, phase: Product) -> list[str]:
        """A loop over tiles; where guards say so, zeros in their place."""
        op, w = phase.op, self.writer
        found = tiled(op, self.sizes, self.tiles.sizes)
        rows, columns, tile = found.rows, found.columns, found.tile
        batch = [(index, extent) for index, extent in op.space if index in op.batch]
        self.tiles.points |= {rows.extent, columns.extent, found.inner.extent}
        letters = {index: w.letter(index) for index, _ in batch}
        around = {axis: w.fresh("around") for axis in found.around}
        added = {axis: w.fresh("turn") for axis in found.added}
        down, across = self._count(rows, tile.rows), self._count(columns, tile.columns)
        at, rest, column, row = (w.fresh(name) for name in ("tile", "rest", "first_column", "first_row"))
        rows_at = quotient(at, across)
        extents = [*(axis.extent for axis in around), *(size for _, size in batch)]
        counts = [span.length if (span := self._span(extent)) else w.factor(extent) for extent in extents]
        count = " * ".join([size for size in (down, across, *counts) if size != "1"]) or "1"
        step = []
        if w.span is None:
            lines, last = strided(at, w.first_block(count if count.isdigit() else f"({count})"), count, "blocks")
            step = [last]
        else:
            lines = [f"for {at} in range({count}):"]
        lines.append(f"{INDENT}{column} = {f'{remainder(at, across)} * {tile.columns}' if across != '1' else 0}")
        own = [f"{remainder(rows_at, down)} * {tile.rows}"] if down != "1" else []
        lines.append(f"{INDENT}{row} = {' + '.join(self._begin(rows.extent) + own) or 0}")
        if counts:
            lines.append(f"{INDENT}{rest} = {quotient(rows_at, down)}")
            for letter, size, extent in zip([*around.values(), *letters.values()], counts, extents, strict=True):
                value = " + ".join([*self._begin(extent), remainder(rest, size)])
                lines += [f"{INDENT}{letter} = {value}", f"{INDENT}{rest} = {quotient(rest, size)}"]
        loops, ends, turns = self._summed(phase, found, added, letters.get(phase.part, ""))
        lines += [INDENT + line for line in loops]
        call = self._call(phase, found, around, added, (*ends, f"int32({row}), int32({column})"), turns)
        lines += [INDENT * (1 + len(added)) + call, *step]
        return self._unless(phase, lines) if op.when else lines

    def _summed(
        self, phase: Product, found: TiledProduct, added: Mapping[Axis, str], part: str
    ) -> tuple[list[str], tuple[str, str], tuple[str, str]]:
        """The loops around a tile, where its sums begin and end, and when it is the first and the last of several."""
        w, lines = self.writer, []
        whole = w.size(found.inner.extent)
        spans = {letter: ("0", w.size(axis.extent)) for axis, letter in added.items()}
        begin, end = "int32(0)", f"int32({whole})"
        if part:
            parts = w.size(dict(phase.op.space)[phase.part])
            if added:
                # Where there are more parts than there is to be added up, a part of nothing is one tile of zeros.
                axis, letter = next(iter(added.items()))
                size, first, stop = w.factor(axis.extent), w.fresh("begin"), w.fresh("end")
                lines = [f"{first} = {size} * {part} // {parts}", f"{stop} = {size} * ({part} + 1) // {parts}"]
                spans[letter] = first, f"max({stop}, {first} + 1)"
                end = f"int32({whole} if {letter} < {stop} else 0)"
            else:
                head = f"part_of_inner({end}, int32({found.tile.depth})"
                begin, end = (f"{head}, int32({number}), int32({parts}))" for number in (part, f"{part} + 1"))
        is_first = " and ".join(f"{letter} == {low}" for letter, (low, _) in spans.items())
        is_last = " and ".join(f"{letter} == {high} - 1" for letter, (_, high) in spans.items())
        for depth, (letter, span) in enumerate(spans.items()):
            lines.append(f"{INDENT * depth}for {letter} in range({', '.join(span).removeprefix('0, ')}):")
        return lines, (begin, end), (is_first, is_last)

    def _call(
        self,
        phase: Product,
        found: TiledProduct,
        around: Mapping[Axis, str],
        added: Mapping[Axis, str],
        place: Sequence[str],
        turns: tuple[str, str],
    ) -> str:
        op, w, inner = phase.op, self.writer, found.inner
        others = {**around, **added}
        elements = (op.left, op.right, op.target)
        left, right, target = (self._operand(element, op, which, others) for which, element in enumerate(elements))
        steps = [[self._stride(side.steps[which]) for side in (found.rows, inner, found.columns)] for which in range(3)]
        aligned = [self._is_aligned(element, op, which, others) for which, element in enumerate(elements)]
        if phase.after is None:
            handed = ", ".join([target, steps[2][0], steps[2][2], *([turns[0]] if added else [])])
            write, four = ("add_number", "") if added else ("put_number", "put_four")
        else:
            write, handed = self._finish(phase, found, around, turns if added else None)
            four = ""
        name = self.tiles.name(found, write, four, aligned)
        span = self._span(found.rows.extent)
        rows = span.end if span else w.size(found.rows.extent)
        sizes = f"int32({rows}), int32({w.size(found.columns.extent)})"
        return (
            f"{name}(stage, {left}, {steps[0][0]}, {steps[0][1]}, {right}, {steps[1][1]}, {steps[1][2]}, {sizes}, "
            f"{', '.join(place)}, ({handed},))"
        )

    def _unless(self, phase: Product, lines: Sequence[str]) -> list[str]:
        """The product where its guards hold; else its entries are 0."""
        op, w = phase.op, self.writer
        condition = " and ".join(f"{w.printer.integer(guard.args[0]).text} >= 0" for guard in op.when)

        def zero() -> list[str]:
            name = w.local(op.target)
            after = () if phase.after is None else phase.after.body
            return [f"{name} = real(0)", *w.stored(op.target, name), *w.items(after)]

        free = [(index, extent) for index, extent in op.space if index not in op.bound]
        cleared = w.points(free, "thread", "threads", zero)
        inside = [f"if {condition}:", *(INDENT + line for line in lines)]
        return [*inside, "else:", *(INDENT + line for line in cleared)]

    def _finish(
        self, phase: Product, found: TiledProduct, around: Mapping[Axis, str], turns: tuple[str, str] | None
    ) -> tuple[str, str]:
        """The function that is handed each entry, and what it is handed besides; with `turns`, of several tiles."""
        assert phase.after is not None
        op, w = phase.op, self.writer
        inner = w.inside()
        lines: list[str] = []
        by_name = {index.name: index for index in op.free if index not in op.batch}
        extents = dict(op.space)
        sides = [("row", found.rows.names), ("column", found.columns.names)]
        sides += [(letter, tuple(axis.name.split(","))) for axis, letter in around.items()]
        for value, own_names in sides:
            own = [by_name.pop(name) for name in own_names if name in by_name]
            rest: Expr = Integer(1)
            for place, index in reversed(list(enumerate(own))):
                text = quotient(value, w.size(rest))
                lines.append(f"{inner.letter(index)} = {remainder(text, w.size(extents[index])) if place else text}")
                rest = expand(rest * extents[index])
        lines += [f"{inner.letter(index)} = 0" for index in by_name.values()]  # of one value alone
        inner.locals[op.target] = "value"
        if turns:
            lines += ["if not begins:", f"{INDENT}value += {inner.memory(op.target)}"]
        lines += inner.stored(op.target, "value")
        lines += ["if not ends:", f"{INDENT}return"] if turns else []
        lines += inner.items(phase.after.body)
        lines = [*inner.start_lines(), *lines]
        asked = {word for line in lines for word in re.findall(r"\b\w+\b", line)}
        known = dict.fromkeys([*w.arguments(), *w.letters.values(), *around.values(), *w.scalars.values()])
        given = {name: name for name in known if name in asked}
        if turns:
            given |= dict(zip(("begins", "ends"), turns, strict=True))
        taken = [f"{', '.join(given)}{',' if len(given) == 1 else ''} = target"] if given else []
        comments = [f"# {equation}" for equation in equations_of(phase.after)]
        return self.tiles.finish([*comments, *taken, *lines]), ", ".join(given.values()) or "0"

    def _count(self, side: Side, size: int) -> str:
        """How many tiles lie along a side."""
        span = self._span(side.extent)
        if span:
            return "1" if span.size <= size else f"(({span.length} + {size - 1}) // {size})"
        if side.extent.is_Integer:
            return str(-(-int(side.extent) // size))
        return f"(({self.writer.size(side.extent)} + {size - 1}) // {size})"

    def _span(self, extent: Expr) -> Span | None:
        """The rows that a block takes by itself, if an index that runs so far is theirs."""
        span = self.writer.span
        return span if span and extent == span.batch else None

    def _begin(self, extent: Expr) -> list[str]:
        """Where such an index begins."""
        span = self._span(extent)
        return [span.first] if span else []

    def _operand(self, element: Expr, op: Contraction, which: int, others: Mapping[Axis, str]) -> str:
        """The pointer to what an operand has where the indices of a tile are 0."""
        w, tensor = self.writer, tensor_of(element)
        text = w.printer.integer(self._start(element, op)).text
        parts = [] if tensor not in w.places else [w.start_of(tensor)]
        parts += [] if text == "0" else [text]
        steps = [(letter, axis.steps[which]) for axis, letter in others.items() if axis.steps[which] != 0]
        parts += [f"{letter} * {w.factor(step)}" for letter, step in steps]
        buffer = w.places[tensor][0] if tensor in w.places else w.names.of(tensor)
        return f"shifted({buffer}, {' + '.join(parts)})" if parts else buffer

    def _start(self, element: Expr, op: Contraction) -> Expr:
        return lies(element, [*op.rows, *op.columns, *op.bound], self.sizes)[1]

    def _is_aligned(self, element: Expr, op: Contraction, which: int, others: Mapping[Axis, str]) -> bool:
        """Whether tiles of an operand begin at multiples of 16 bytes, whatever the batch size is."""
        tensor = tensor_of(element)
        start = self._start(element, op)
        if tensor in self.writer.places:
            start += self.writer.places[tensor][1].offset
        terms = [start, *(axis.steps[which] for axis in others)]
        return all(in_fours(term) for term in terms)

    def _stride(self, step: Any) -> str:
        return self.tiles.table(step) if isinstance(step, Table) else self.writer.size(step)
