"""The loops of a contraction around blocks of registers, and what is done in one."""

from llvmlite import ir
from numba.core import cgutils

from .vectors import INT, SMALL, Vectors, machine


class Tiles:
    """Writes the loops of one contraction around its blocks of registers, its tiles.

    See `contraction` for the parameters. A place is a row, where rows are chosen, and a number of elements.
    """

    def __init__(self, builder, operands, count, indices, rows="", vector="", columns=""):
        self.builder, self.operands, self.count = builder, operands, count
        self.indices, self.rows, self.vector, self.columns = indices, rows, vector, columns
        self.vectors = Vectors(builder, operands[2].pointer.type.pointee)
        self.bound = [name for name, (_, _, _, step) in indices.items() if step == 0]
        inside = (rows, vector, columns, *self.bound)
        self.around = [name for name in indices if name not in inside]

    # ---- numbers and loops -----------------------------------------------------------------------------------------

    def number(self, value):
        if isinstance(value, ir.Value):
            return value
        if isinstance(value, tuple):
            made = INT(0)
            for coefficient in reversed(value):
                made = self.builder.add(self.builder.mul(made, self.count), INT(coefficient))
            return made
        return INT(value)

    def step(self, name, side):
        return self.number(self.indices[name][1 + side])

    def move(self, places, name, by):
        """The places in left, right and target after `by` steps of an index; an index without a name has but one."""
        if not name:
            return places
        moved = []
        for (row, place), one, step in zip(places, self.operands, self.indices[name][1:], strict=True):
            if step != 0 and one.order is not None and one.row == name:
                row = self.builder.add(row, by)
            elif step != 0:
                place = self.builder.add(place, self.builder.mul(self.number(step), by))
            moved.append((row, place))
        return moved

    def start(self):
        """The places where the operands begin: the row, where rows are chosen, and the place in it."""
        return [(INT(0), INT(0))] * 3

    def at(self, places, side):
        """The place in an operand as one number."""
        (row, place), one = places[side], self.operands[side]
        if one.order is None:
            return place
        number = self.builder.load(self.builder.gep(one.order, [row]))
        return self.builder.add(place, self.builder.mul(self.builder.sext(number, INT), self.step(one.row, side)))

    def load(self, places, side, count):
        """A vector of an operand, of which `count` lanes are in use."""
        return self.vectors.load(self.operands[side].pointer, self.at(places, side), count)

    def load_one(self, places, side):
        """A number of an operand."""
        return self.builder.load(self.builder.gep(self.operands[side].pointer, [self.at(places, side)]))

    def loops(self, names, places, body):
        """Loops over `names`, the first outside, around ``body(places)``."""
        if not names:
            body(places)
            return
        with cgutils.for_range(self.builder, self.number(self.indices[names[0]][0])) as loop:
            self.loops(names[1:], self.move(places, names[0], loop.index), body)

    def blocks(self, name, sizes, places, body):
        """Run along an index in blocks of each of the `sizes` in turn, as many as fit: ``body(size, places)``."""
        if not name:
            body(1, places)
            return
        extent = self.indices[name][0]
        if isinstance(extent, int):
            done = 0
            for size in sizes:
                fit = (extent - done) // size
                if fit:
                    self.run(name, INT(done), INT(fit), size, places, body)
                    done += fit * size
            return
        builder, done = self.builder, INT(0)
        for size, after in zip(sizes, [*sizes[1:], 0], strict=True):
            left = builder.sub(self.number(extent), done)
            fit = builder.sdiv(left, INT(size))
            # Two alike blocks rather than this one and a small one, which would leave registers empty.
            if size < 2 * after:
                rest = builder.sub(left, builder.mul(fit, INT(size)))
                is_so = builder.and_(
                    builder.icmp_signed("==", rest, INT(2 * after - size)), builder.icmp_signed(">", fit, INT(0))
                )
                fit = builder.sub(fit, builder.zext(is_so, INT))
            self.run(name, done, fit, size, places, body)
            done = builder.add(done, builder.mul(fit, INT(size)))

    def run(self, name, start, count, size, places, body):
        with cgutils.for_range(self.builder, count) as loop:
            at = self.builder.add(start, self.builder.mul(loop.index, INT(size)))
            body(size, self.move(places, name, at))

    def sizes(self, name, most):
        """Sizes of blocks that cover an index, the largest first: alike ones where its extent is known."""
        extent = self.indices[name][0]
        if isinstance(extent, int):
            alike = -(-extent // -(-extent // most))
            return [alike, *([extent % alike] if extent % alike else [])]
        return [most, *(size for size in (8, 4, 2, 1) if size < most)]

    # ---- outer: vectors along an index of the target ---------------------------------------------------------------

    def outer(self, start):
        """Blocks of rows × columns × vectors."""
        rows, columns, vectors = self.outer_sizes(12)

        def panel(widths, places):
            self.rows_of(rows, columns, widths, places)

        self.loops(self.around, start, lambda places: self.along_vector(vectors, places, panel))

    def outer_sizes(self, most):
        """Sizes of blocks: of rows, at most `most` or what half as many registers hold; of columns, where the others
        are too few; and the most vectors.
        """
        _, registers = machine()
        lanes, extent = self.vectors.lanes, self.indices[self.vector][0]
        rows = self.sizes(self.rows, most if registers == 32 else 6) if self.rows else [1]
        room = max(1, min(8, (registers - 2) // (rows[0] + 1)))
        vectors = min(room, max(1, extent // lanes)) if isinstance(extent, int) else room
        if self.columns and self.indices[self.columns][1] != 0:  # of left, whose numbers take no registers
            room = max(1, (registers - 1 - vectors) // rows[0])
        columns = self.sizes(self.columns, max(1, room // vectors)) if self.columns else [1]
        return rows, columns, vectors

    def rows_of(self, rows, columns, widths, places, start=None):
        """All rows and columns of a panel of vectors."""

        def along(c, at):
            self.blocks(self.rows, rows, at, lambda r, here: self.outer_tile(r, c, widths, here, start))

        self.blocks(self.columns, columns, places, along)

    def along_vector(self, most, places, body):
        """Run along the vectors' index, `most` vectors at a time: ``body(widths, places)``, a width for each vector."""
        lanes, extent = self.vectors.lanes, self.indices[self.vector][0]
        if isinstance(extent, int):
            count, rest = divmod(extent, most * lanes)
            if count:
                step = most * lanes
                self.run(self.vector, INT(0), INT(count), step, places, lambda _, at: body([lanes] * most, at))
            if rest:
                widths = [lanes] * (rest // lanes) + [rest % lanes] * bool(rest % lanes)
                body(widths, self.move(places, self.vector, INT(extent - rest)))
            return
        sizes = list(dict.fromkeys([most * lanes, lanes]))
        self.blocks(self.vector, sizes, places, lambda size, at: body([lanes] * (size // lanes), at))
        rest = self.builder.srem(self.number(extent), INT(lanes))
        with self.builder.if_then(self.builder.icmp_signed(">", rest, INT(0))):
            body([rest], self.move(places, self.vector, self.builder.sub(self.number(extent), rest)))

    def outer_tile(self, rows, columns, widths, places, start):
        """A block of the target in registers, while what is bound is run through; it begins at `start`, or at 0."""
        builder, vectors = self.builder, self.vectors
        sums = {}
        for r in range(rows):
            at = self.move(places, self.rows, INT(r))
            for c in range(columns):
                here = self.move(at, self.columns, INT(c))
                for v in range(len(widths)):
                    goal = self.at(self.move(here, self.vector, INT(v * vectors.lanes)), 2)
                    sums[r, c, v] = cgutils.alloca_once(builder, vectors.type), goal
                    builder.store(vectors.zero if start is None else start(goal, widths[v]), sums[r, c, v][0])

        def inside(at):
            # The columns are an index of right, or a second one of left.
            of_left = bool(self.columns) and self.indices[self.columns][1] != 0
            starts = [self.move(at, self.columns, INT(c)) for c in range(columns)]
            many = {}
            for c in range(1 if of_left else columns):
                for v, width in enumerate(widths):
                    many[c, v] = self.load(self.move(starts[c], self.vector, INT(v * vectors.lanes)), 1, width)
            for r in range(rows):
                for c in range(columns):
                    if of_left or c == 0:
                        one = vectors.everywhere(self.load_one(self.move(starts[c], self.rows, INT(r)), 0))
                    for v in range(len(widths)):
                        total = sums[r, c, v][0]
                        vector = many[0 if of_left else c, v]
                        builder.store(vectors.multiply_add(one, vector, builder.load(total)), total)

        self.loops(self.bound, places, inside)
        for (_, _, v), (total, goal) in sums.items():
            self.put(builder.load(total), goal, widths[v])

    def take(self, goal, width):
        """A vector of the target as it is."""
        if self.indices[self.vector][3] == 1:
            return self.vectors.load(self.operands[2].pointer, goal, width)
        value = self.vectors.zero
        for lane, place in self._spread(goal, width):
            value = self.builder.insert_element(value, self.builder.load(place), SMALL(lane))
        return value

    def put(self, value, goal, width):
        """Store a vector to the target."""
        if self.indices[self.vector][3] == 1:
            self.vectors.store(value, self.operands[2].pointer, goal, width)
            return
        for lane, place in self._spread(goal, width):
            self.builder.store(self.builder.extract_element(value, SMALL(lane)), place)

    def _spread(self, goal, width):
        for lane in range(width):
            at = self.at(self.move([(INT(0), goal)] * 3, self.vector, INT(lane)), 2)
            yield lane, self.builder.gep(self.operands[2].pointer, [at])

    # ---- dot: vectors along what is summed over --------------------------------------------------------------------

    def dot(self, start):
        """Blocks of rows × columns, each a vector of partial sums."""
        columns = self.sizes(self.columns, 4) if self.columns else [1]
        most = min(8, 24 // columns[0]) if machine()[1] == 32 else 2
        rows = self.sizes(self.rows, most) if self.rows else [1]

        def along(c, at):
            self.blocks(self.rows, rows, at, lambda r, here: self._dot_tile(r, c, here))

        self.loops(self.around, start, lambda places: self.blocks(self.columns, columns, places, along))

    def _dot_tile(self, rows, columns, places):
        builder, vectors = self.builder, self.vectors
        sums = {(r, c): cgutils.alloca_once(builder, vectors.type) for r in range(rows) for c in range(columns)}
        for total in sums.values():
            builder.store(vectors.zero, total)

        def inside(widths, at):
            for v, width in enumerate(widths):
                here = self.move(at, self.vector, INT(v * vectors.lanes))
                # The shorter side is held in registers, the other one read as it is needed.
                held, passing = sorted(((0, self.rows, rows), (1, self.columns, columns)), key=lambda side: side[2])

                def read(side, number, here=here, width=width):
                    return self.load(self.move(here, side[1], INT(number)), side[0], width)

                kept = [read(held, number) for number in range(held[2])]
                for number in range(passing[2]):
                    one = read(passing, number)
                    for place, other in enumerate(kept):
                        total = sums[(place, number) if held[0] == 0 else (number, place)]
                        builder.store(vectors.multiply_add(one, other, builder.load(total)), total)

        others = [name for name in self.bound if name != self.vector]
        self.loops(others, places, lambda at: self.along_vector(1, at, inside))
        for (r, c), total in sums.items():
            at = self.at(self.move(self.move(places, self.rows, INT(r)), self.columns, INT(c)), 2)
            builder.store(vectors.total(builder.load(total)), builder.gep(self.operands[2].pointer, [at]))
