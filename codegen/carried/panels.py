"""Contractions whose operands are copied first, so that what is read together lies side by side."""

from llvmlite import ir
from numba.core import cgutils

from .operands import Operand
from .tiles import Tiles
from .vectors import INT, machine

PANEL_BYTES = 1 << 17  # of `right`, copied for a block of registers after the other
DEEP, WIDE_BYTES = 256, 1 << 19  # of `right` where both are copied: most lines, and what a core's own cache holds
NOWHERE = INT(0), INT(0)


def sizes_of_panels():
    """What the code of a contraction depends on besides its declaration: two with one name must be the same."""
    return *machine(), PANEL_BYTES, DEEP, WIDE_BYTES


class Panels(Tiles):
    """Writes the loops of a contraction that copies `pack` of its operands; see `contraction`.

    `heap` is Numba's interface to memory.
    """

    def __init__(self, builder, operands, count, indices, rows, vector, columns, pack, heap):
        super().__init__(builder, operands, count, indices, rows, vector, columns)
        self.pack, self.heap = pack, heap

    def outer(self, start):
        """Blocks of rows × columns × vectors, of copies where they are asked for."""
        if self.pack == "both":
            self.loops(self.around, start, self._both)
        elif self.pack:
            self._right(start)
        else:
            super().outer(start)

    # ---- right: a panel as wide as a block of registers, copied once for all rows ------------------------------------

    def _right(self, start):
        rows, columns, vectors = self.outer_sizes(12)
        # A panel is copied once for all that reads it.
        inside = [name for name in self.around if self.indices[name][2] == 0]
        outside = [name for name in self.around if name not in inside]

        def panel(widths, places):
            def blocks(tiles, begin, at):
                tiles.loops(inside, at, lambda here: tiles.rows_of(rows, columns, widths, here, begin))

            self._panel(widths, places, blocks)

        self.loops(outside, start, lambda places: self.along_vector(vectors, places, panel))

    def _panel(self, widths, places, body):
        """Copy a panel of `right` to lie side by side, and run ``body(tiles, start, places)`` on it, part by part."""
        builder, vectors = self.builder, self.vectors
        first, *others = self.bound
        width = len(widths) * vectors.lanes
        extents = [self.indices[name][0] for name in others]
        steps = [width]
        for extent in reversed(extents):
            steps.insert(0, steps[0] * extent)
        most = max(1, PANEL_BYTES // (steps[0] * vectors.size))
        extent = self.indices[first][0]
        if isinstance(extent, int) and extent <= most:
            most = extent
        elif most > vectors.lanes:
            most -= most % vectors.lanes
        # The panel is on the stack for this product alone, however many of them a function has.
        pointer = ir.IntType(8).as_pointer()
        stack = builder.call(builder.module.declare_intrinsic("llvm.stacksave", (), ir.FunctionType(pointer, ())), ())
        panel = builder.alloca(vectors.real, INT(most * steps[0]))
        panel.align = 64

        def part(begin, length, is_first):
            at = self.move(places, first, begin)
            indices = dict(self.indices)
            for name, step, size in zip(self.bound, steps, [length, *extents], strict=True):
                indices[name] = (size, self.indices[name][1], step, 0)
            indices[self.vector] = (self.indices[self.vector][0], 0, 1, self.indices[self.vector][3])
            self._copy(panel, indices, widths, at[1])
            tiles = self._tiles([self.operands[0], Operand(panel), self.operands[2]], indices)
            body(tiles, None if most == extent else self._start(is_first, tiles), [at[0], NOWHERE, at[2]])

        self._parts(first, most, part)
        kind = ir.FunctionType(ir.VoidType(), (pointer,))
        builder.call(builder.module.declare_intrinsic("llvm.stackrestore", (), kind), (stack,))

    def _tiles(self, operands, indices):
        """The loops over copies."""
        return Tiles(self.builder, operands, self.count, indices, self.rows, self.vector, self.columns)

    def _parts(self, name, most, body):
        """Run along an index, `most` steps at a time: ``body(begin, length, is_first)``."""
        builder, extent = self.builder, self.indices[name][0]
        total = self.number(extent)
        parts = builder.sdiv(builder.add(total, INT(most - 1)), INT(most))
        if not isinstance(extent, int):  # of nothing the sum is 0, which must be written
            parts = builder.select(builder.icmp_signed(">", parts, INT(1)), parts, INT(1))
        with cgutils.for_range(builder, parts) as loop:
            begin = builder.mul(loop.index, INT(most))
            left = builder.sub(total, begin)
            length = extent
            if most != extent:
                length = builder.select(builder.icmp_signed("<", left, INT(most)), left, INT(most))
            body(begin, length, builder.icmp_signed("==", loop.index, INT(0)))

    def _start(self, is_first, tiles):
        """What a block begins at: 0, and what the target holds from the second part of what is summed over on."""
        return lambda goal, width: self.builder.select(is_first, self.vectors.zero, tiles.take(goal, width))

    # ---- both: panels of right in the second-level cache, a block of left in the first ------------------------------

    def _both(self, start):
        """Copy as much of `right` as a core's own cache holds, and before each block of rows its numbers of `left`.

        As in Goto and van de Geijn, with the sides' names changed: a block of rows meets all panels before the next.
        """
        builder, vectors = self.builder, self.vectors
        rows, _, wide = self.outer_sizes(14)
        [bound] = self.bound
        deep = self.sizes(bound, DEEP)[0]
        width = wide * vectors.lanes
        most = max(1, WIDE_BYTES // (deep * vectors.size * width)) * width
        extent = self.indices[self.vector][0]
        if isinstance(extent, int):
            most = min(most, -(-extent // width) * width)
        memory = self.heap.allocate_unchecked(
            builder, INT((deep * most + rows[0] * (deep + vectors.lanes)) * vectors.size + 64)
        )
        begin = builder.and_(builder.add(builder.ptrtoint(memory, INT), INT(63)), INT(-64))
        panels = builder.inttoptr(begin, vectors.real.as_pointer())
        block = builder.gep(panels, [INT(deep * most)])

        def across(column, columns, _):
            def part(begin, depth, is_first):
                at = self.move(self.move(start, self.vector, column), bound, begin)
                inner = dict(self.indices)
                inner[bound] = depth, *self.indices[bound][1:]
                inner[self.vector] = columns, *self.indices[self.vector][1:]
                self._fill(panels, deep, wide, inner, at[1])

                def rows_of(count, here):
                    steps = self._copy_left(block, deep, count, inner, here[0])
                    self._meet(block, panels, steps, deep, wide, count, inner, is_first, here[2])

                self.blocks(self.rows, rows, [at[0], NOWHERE, at[2]], rows_of)

            self._parts(bound, deep, part)

        self._parts(self.vector, most, across)
        self.heap.free(builder, memory)

    def _fill(self, panels, deep, wide, indices, begin):
        """Copy `right` to `panels`, one behind the other, each `deep` lines of `wide` vectors at most."""
        extent, _, step, _ = indices[self.vector]
        walk = {self.vector: (extent, deep, step, 0)}
        along = Tiles(self.builder, [Operand(panels), *self.operands[1:]], self.count, walk, vector=self.vector)

        def copied(widths, at):
            packed = self._packed(indices, 0, widths)
            self._copy(self.builder.gep(panels, [at[0][1]]), packed, widths, at[1])

        along.along_vector(wide, [NOWHERE, begin, NOWHERE], copied)

    def _packed(self, indices, step, widths):
        """The indices, where numbers of `left` lie `step` apart along what is summed over, and `right` is a panel."""
        [bound] = self.bound
        vector = indices[self.vector]
        panel = {bound: (indices[bound][0], step, len(widths) * self.vectors.lanes, 0)}
        return indices | panel | {self.vector: (vector[0], 0, 1, vector[3])}

    def _copy_left(self, block, deep, count, indices, begin):
        """Copy `count` rows of `left` to `block`, in the order in which they lie; how far apart numbers are there then:
        along what is summed over, and along the rows.
        """
        [bound] = self.bound
        (depth, along, *_), (_, across, *_) = indices[bound], indices[self.rows]
        steps = (1, deep + self.vectors.lanes) if along == 1 else (count, 1)
        walk = {bound: (depth, steps[0], along, 0), self.rows: (count, steps[1], across, 0)}
        near, far = (bound, self.rows) if along == 1 else (self.rows, bound)
        operands = [Operand(block), self.operands[0], Operand(block)]
        copier = Tiles(self.builder, operands, self.count, walk, vector=near)

        def vector(widths, at):
            self.vectors.store(copier.load(at, 1, widths[0]), block, copier.at(at, 0), widths[0])

        def one(at):
            self.builder.store(copier.load_one(at, 1), self.builder.gep(block, [copier.at(at, 0)]))

        # Chosen rows do not lie side by side, however far apart rows are.
        if 1 in (along, across) and self.operands[0].row != near:
            copier.loops([far], [NOWHERE, begin, NOWHERE], lambda at: copier.along_vector(1, at, vector))
        else:
            copier.loops([far, near], [NOWHERE, begin, NOWHERE], one)
        return steps

    def _meet(self, block, panels, steps, deep, wide, count, indices, is_first, goal):
        """All tiles of a block of `count` rows, in the place `goal` of the target."""
        [bound] = self.bound
        operands = [Operand(block), Operand(panels), self.operands[2]]
        extent, _, _, target = indices[self.vector]
        walk = {self.vector: (extent, 0, deep, target)}
        along = Tiles(self.builder, operands, self.count, walk, vector=self.vector)

        def tile(widths, at):
            packed = self._packed(indices, steps[0], widths)
            packed[self.rows] = (count, steps[1], 0, self.indices[self.rows][3])
            tiles = self._tiles(operands, packed)
            start = None if deep == self.indices[bound][0] else self._start(is_first, tiles)
            tiles.outer_tile(count, 1, widths, at, start)

        along.along_vector(wide, [NOWHERE, NOWHERE, goal], tile)

    # ---- copies of right ---------------------------------------------------------------------------------------------

    def _copy(self, panel, indices, widths, begin):
        """Fill `panel` from the place `begin` of `right` on."""
        builder, lanes = self.builder, self.vectors.lanes
        walk = {name: (indices[name][0], indices[name][2], self.indices[name][2], 0) for name in self.bound}
        walk[self.vector] = (0, 1, self.indices[self.vector][2], 0)
        operands = [Operand(panel), self.operands[1], Operand(panel)]
        copier = Tiles(builder, operands, self.count, walk, vector=self.vector)

        def vectors_of(at):
            for v, width in enumerate(widths):
                here = copier.move(at, self.vector, INT(v * lanes))
                if self.indices[self.vector][2] == 1:
                    self.vectors.store(copier.load(here, 1, width), panel, copier.at(here, 0), lanes)
                    continue
                with cgutils.for_range(builder, width if isinstance(width, ir.Value) else INT(width)) as loop:
                    place = copier.move(here, self.vector, loop.index)
                    builder.store(copier.load_one(place, 1), builder.gep(panel, [copier.at(place, 0)]))

        def turned(many, at):
            """`many` places along what lies side by side, for every vector: read across, transposed in registers."""
            for v, width in enumerate(widths):
                lines = [copier.move(at, self.vector, INT(v * lanes + lane)) for lane in range(width)]
                rows = [copier.load(line, 1, many) for line in lines]
                made = self.vectors.transposed(rows + [self.vectors.zero] * (lanes - width))
                for place in range(many):
                    goal = copier.move(copier.move(at, near, INT(place)), self.vector, INT(v * lanes))
                    self.vectors.store(made[place], panel, copier.at(goal, 0), lanes)

        def along(at):
            extent = indices[near][0]
            whole = extent // lanes if isinstance(extent, int) else builder.sdiv(extent, INT(lanes))
            copier.run(near, INT(0), copier.number(whole), lanes, at, turned)
            if isinstance(extent, int):
                if extent % lanes:
                    turned(extent % lanes, copier.move(at, near, INT(whole * lanes)))
                return
            done = builder.mul(whole, INT(lanes))
            copier.run(near, done, builder.sub(extent, done), 1, at, lambda _, here: vectors_of(here))

        near, places = self._near(widths), self.start()
        places[1] = begin
        if near:
            copier.loops([name for name in self.bound if name != near], [NOWHERE, begin, NOWHERE], along)
        else:
            copier.loops(self.bound, places, vectors_of)

    def _near(self, widths):
        """What is summed over and lies side by side in `right`, where that is worth reading vectors along it."""
        if self.indices[self.vector][2] == 1 or not all(isinstance(width, int) for width in widths):
            return ""
        beside = [name for name in self.bound if self.indices[name][2] == 1 and name != self.operands[1].row]
        extents = {name: self.indices[name][0] for name in beside}
        least = self.vectors.lanes // 2
        return next((n for n, extent in extents.items() if not isinstance(extent, int) or extent >= least), "")
