"""Micro-kernels: contractions Σ left · right in blocks of registers, for operands that lie with any strides.

`contraction(...)` makes one from the extents and strides of its indices. Two forms:

- *outer*: vectors run along an index of the target (`vector`), a block of its `rows` × vectors is kept in registers
  while what is summed over is run through: one number of `left` is multiplied with vectors of `right`.
- *dot*: vectors run along an index that is summed over (`vector`), beside each other in both operands; a block of
  `rows` × `columns` vectors is kept in registers, and summed up at the end.

Every element of the target is summed in one order, whatever the sizes of the blocks and the number of threads are.

K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008; F. Van Zee and
R. van de Geijn, "BLIS", ACM TOMS 41(3), 2015.
"""

from hashlib import sha256

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from .operands import Operand, operand, row_index, without_compiler
from .vectors import INT, REGISTERS, SMALL, Vectors

PANEL_BYTES = 1 << 17  # of `right`, copied to lie side by side


def contraction(form, rows, vector, indices, columns="", pack=False, shared=""):
    """A compiled ``product(left, right, target, count, part)`` that writes ``Σ left · right`` to `target`.

    Parameters
    ----------
    form : "outer" or "dot"
    rows, vector, columns : the indices that run through a block of registers, as the form says
    indices : per index its extent, and how far apart its elements lie in left, right and target; numbers, or the
        coefficients (a, b, …) of a + b · count + …. An index that lies 0 apart in the target is summed over.
    pack : whether a panel of `right` is copied before use, so that its vectors lie side by side
    shared : the index of the target of which a call computes a part; "" for none

    The operands are arrays; or pairs of an array and the place where the operand begins in it; or pairs of an array
    and the numbers of the rows that are the operand's, where a row is a step of the index that `count` counts; or pairs
    of such a pair and a place. `part` is the pair of the first and the last but one value of the shared index; it is
    not there where none is shared.
    """

    if config.DISABLE_JIT:
        return without_compiler(indices, shared)

    specification = repr((form, rows, vector, indices, columns, pack, shared))

    def emit(context, builder, signature, operands, number, part):
        pairs = zip(signature.args, operands, strict=False)
        found = [operand(context, builder, *pair, row_index(indices)) for pair in pairs]
        given = [*(value for one in found for value in one.values()), number, *part]
        # A function of its own, so that it is compiled once however often it is called.
        kinds = [[str(value.type) for value in one.values()] for one in found]
        name = f"contraction_{sha256((specification + str(kinds)).encode()).hexdigest()[:24]}"
        function = builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
            function = ir.Function(builder.module, kind, name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block("entry"))
            values = list(function.args)
            write(inside, [one.of(values) for one in found], *values)
            inside.ret_void()
        builder.call(function, given)
        return context.get_dummy_value()

    def write(builder, operands, number, *part):
        chosen = dict(indices)
        emitter = Emitter(builder, operands, number, chosen, rows, vector, columns, pack)
        places = emitter.start()
        if part:
            low, high = part
            places = emitter.move(places, shared, low)
            chosen[shared] = (builder.sub(high, low), *chosen[shared][1:])
        (emitter.outer if form == "outer" else emitter.dot)(places)

    @intrinsic
    def product(typing_context, left, right, target, count):
        def generate(context, builder, signature, arguments):
            return emit(context, builder, signature, arguments[:3], arguments[3], ())

        return types.void(left, right, target, types.int64), generate

    @intrinsic
    def part_of_product(typing_context, left, right, target, count, low, high):
        def generate(context, builder, signature, arguments):
            return emit(context, builder, signature, arguments[:3], arguments[3], arguments[4:])

        return types.void(left, right, target, types.int64, types.int64, types.int64), generate

    return part_of_product if shared else product


class Emitter:
    """Writes the loops of one contraction."""

    def __init__(self, builder, operands, count, indices, rows, vector, columns, pack):
        self.builder, self.operands, self.count = builder, operands, count
        self.indices, self.rows, self.vector, self.columns, self.pack = indices, rows, vector, columns, pack
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
                    self._run(name, INT(done), INT(fit), size, places, body)
                    done += fit * size
            return
        done = INT(0)
        for size in sizes:
            fit = self.builder.sdiv(self.builder.sub(self.number(extent), done), INT(size))
            self._run(name, done, fit, size, places, body)
            done = self.builder.add(done, self.builder.mul(fit, INT(size)))

    def _run(self, name, start, count, size, places, body):
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
        """Blocks of rows × columns × vectors; the columns are taken in where the others are too few for a block."""
        lanes, extent = self.vectors.lanes, self.indices[self.vector][0]
        rows = self.sizes(self.rows, 12 if REGISTERS == 32 else 6) if self.rows else [1]
        room = max(1, min(8, (REGISTERS - 2) // (rows[0] + 1)))
        vectors = min(room, max(1, extent // lanes)) if isinstance(extent, int) else room
        if self.columns and self.indices[self.columns][1] != 0:  # of left, whose numbers take no registers
            room = max(1, (REGISTERS - 1 - vectors) // rows[0])
        columns = self.sizes(self.columns, max(1, room // vectors)) if self.columns else [1]

        # A panel is copied once for all that reads it.
        inside = [name for name in self.around if self.pack and self.indices[name][2] == 0]
        outside = [name for name in self.around if name not in inside]

        def panel(widths, places):
            def blocks(emitter, begin, at):
                emitter.loops(inside, at, lambda here: emitter.rows_of(rows, columns, widths, here, begin))

            if self.pack:
                self._packed(widths, places, blocks)
            else:
                blocks(self, None, places)

        self.loops(outside, start, lambda places: self._along_vector(vectors, places, panel))

    def rows_of(self, rows, columns, widths, places, start=None):
        """All rows and columns of a panel of vectors."""

        def along(c, at):
            self.blocks(self.rows, rows, at, lambda r, here: self._outer_tile(r, c, widths, here, start))

        self.blocks(self.columns, columns, places, along)

    def _along_vector(self, most, places, body):
        """Run along the vectors' index, `most` vectors at a time: ``body(widths, places)``, a width for each vector."""
        lanes, extent = self.vectors.lanes, self.indices[self.vector][0]
        if isinstance(extent, int):
            count, rest = divmod(extent, most * lanes)
            if count:
                step = most * lanes
                self._run(self.vector, INT(0), INT(count), step, places, lambda _, at: body([lanes] * most, at))
            if rest:
                widths = [lanes] * (rest // lanes) + [rest % lanes] * bool(rest % lanes)
                body(widths, self.move(places, self.vector, INT(extent - rest)))
            return
        sizes = dict.fromkeys([most * lanes, lanes])
        self.blocks(self.vector, sizes, places, lambda size, at: body([lanes] * (size // lanes), at))
        rest = self.builder.srem(self.number(extent), INT(lanes))
        with self.builder.if_then(self.builder.icmp_signed(">", rest, INT(0))):
            body([rest], self.move(places, self.vector, self.builder.sub(self.number(extent), rest)))

    def _outer_tile(self, rows, columns, widths, places, start):
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

    # ---- panels ----------------------------------------------------------------------------------------------------

    def _packed(self, widths, places, body):
        """Copy a panel of `right` to lie side by side, and run ``body(emitter, start, places)`` on it, part by part."""
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
        total = self.number(extent)
        parts = builder.sdiv(builder.add(total, INT(most - 1)), INT(most))
        with cgutils.for_range(builder, parts) as loop:
            begin = builder.mul(loop.index, INT(most))
            left = builder.sub(total, begin)
            length = extent
            if most != extent:
                length = builder.select(builder.icmp_signed("<", left, INT(most)), left, INT(most))
            at = self.move(places, first, begin)
            indices = dict(self.indices)
            for name, step, size in zip(self.bound, steps, [length, *extents], strict=True):
                indices[name] = (size, self.indices[name][1], step, 0)
            indices[self.vector] = (self.indices[self.vector][0], 0, 1, self.indices[self.vector][3])
            self._copy(panel, indices, widths, at[1])
            operands = [self.operands[0], Operand(panel), self.operands[2]]
            emitter = Emitter(builder, operands, self.count, indices, self.rows, self.vector, self.columns, False)
            is_first = builder.icmp_signed("==", loop.index, INT(0))
            start = None if most == extent else self._start(is_first, emitter)
            body(emitter, start, [at[0], (INT(0), INT(0)), at[2]])
        kind = ir.FunctionType(ir.VoidType(), (pointer,))
        builder.call(builder.module.declare_intrinsic("llvm.stackrestore", (), kind), (stack,))

    def _start(self, is_first, emitter):
        """What a block begins at: 0, and what the target holds from the second part of the panel on."""
        return lambda goal, width: self.builder.select(is_first, self.vectors.zero, emitter.take(goal, width))

    def _copy(self, panel, indices, widths, begin):
        """Fill `panel` from the place `begin` of `right` on."""
        builder, lanes = self.builder, self.vectors.lanes
        copier = Emitter(
            builder,
            [Operand(panel), self.operands[1], Operand(panel)],
            self.count,
            {name: (indices[name][0], indices[name][2], self.indices[name][2], indices[name][2]) for name in self.bound}
            | {self.vector: (0, 1, self.indices[self.vector][2], 1)},
            "",
            self.vector,
            "",
            False,
        )

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
            copier._run(near, INT(0), copier.number(whole), lanes, at, turned)
            if isinstance(extent, int):
                if extent % lanes:
                    turned(extent % lanes, copier.move(at, near, INT(whole * lanes)))
                return
            done = builder.mul(whole, INT(lanes))
            copier._run(near, done, builder.sub(extent, done), 1, at, lambda _, here: vectors_of(here))

        near, places = self._near(widths), self.start()
        places[1] = begin
        if near:
            copier.loops(
                [name for name in self.bound if name != near], [(INT(0), INT(0)), begin, (INT(0), INT(0))], along
            )
        else:
            copier.loops(self.bound, places, vectors_of)

    def _near(self, widths):
        """What is summed over and lies side by side in `right`, where that is worth reading vectors along it."""
        if self.indices[self.vector][2] == 1 or not all(isinstance(width, int) for width in widths):
            return ""
        extents = {name: self.indices[name][0] for name in self.bound if self.indices[name][2] == 1}
        least = self.vectors.lanes // 2
        return next((n for n, extent in extents.items() if not isinstance(extent, int) or extent >= least), "")

    # ---- dot: vectors along what is summed over --------------------------------------------------------------------

    def dot(self, start):
        """Blocks of rows × columns, each a vector of partial sums."""
        columns = self.sizes(self.columns, 4) if self.columns else [1]
        most = min(8, 24 // columns[0]) if REGISTERS == 32 else 2
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
        self.loops(others, places, lambda at: self._along_vector(1, at, inside))
        for (r, c), total in sums.items():
            at = self.at(self.move(self.move(places, self.rows, INT(r)), self.columns, INT(c)), 2)
            builder.store(vectors.total(builder.load(total)), builder.gep(self.operands[2].pointer, [at]))
