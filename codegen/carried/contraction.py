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

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

INT, SMALL, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)
FEATURES = get_host_cpu_features()
VECTOR_BYTES = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16
REGISTERS = 32 if FEATURES.get("avx512f") or FEATURES.get("neon") else 16
PANEL_BYTES = 1 << 17  # of `right`, copied to lie side by side


class Vectors:
    """LLVM's vector instructions for one type of number; `count` lanes of a vector may be in use."""

    def __init__(self, builder, real):
        self.builder = builder
        self.real = real
        self.size = 4 if isinstance(real, ir.FloatType) else 8
        self.lanes = VECTOR_BYTES // self.size
        self.type = ir.VectorType(real, self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        self._suffix = f"v{self.lanes}f{8 * self.size}"
        self._mask = ir.VectorType(BIT, self.lanes)

    def _function(self, name, result, arguments):
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def _address(self, pointer, place):
        return self.builder.bitcast(self.builder.gep(pointer, [place]), self.type.as_pointer())

    def _lanes_in_use(self, count):
        if isinstance(count, ir.Value):
            numbers = ir.Constant(ir.VectorType(INT, self.lanes), list(range(self.lanes)))
            return self.builder.icmp_signed("<", numbers, self.everywhere(count))
        return ir.Constant(self._mask, [lane < count for lane in range(self.lanes)])

    def load(self, pointer, place, count):
        if count == self.lanes:
            return self.builder.load(self._address(pointer, place), align=self.size)
        arguments = [self.type.as_pointer(), SMALL, self._mask, self.type]
        load = self._function(f"llvm.masked.load.{self._suffix}.p0", self.type, arguments)
        values = [self._address(pointer, place), SMALL(self.size), self._lanes_in_use(count), self.zero]
        return self.builder.call(load, values)

    def store(self, value, pointer, place, count):
        if count == self.lanes:
            self.builder.store(value, self._address(pointer, place), align=self.size)
            return
        arguments = [self.type, self.type.as_pointer(), SMALL, self._mask]
        store = self._function(f"llvm.masked.store.{self._suffix}.p0", ir.VoidType(), arguments)
        values = [value, self._address(pointer, place), SMALL(self.size), self._lanes_in_use(count)]
        self.builder.call(store, values)

    def everywhere(self, number):
        """A vector of the same number."""
        unknown = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(SMALL, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(self.builder.insert_element(unknown, number, SMALL(0)), unknown, zeros)

    def multiply_add(self, left, right, value):
        fma = self._function(f"llvm.fmuladd.{self._suffix}", self.type, [self.type] * 3)
        return self.builder.call(fma, [left, right, value])

    def total(self, value):
        """The sum of the lanes, halves first."""
        lanes = self.lanes
        while lanes > 1:
            lanes //= 2
            order = [lane + lanes if lane < lanes else lane for lane in range(self.lanes)]
            other = self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(SMALL, self.lanes), order))
            value = self.builder.fadd(value, other)
        return self.builder.extract_element(value, SMALL(0))


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

    The operands are arrays, or pairs of an array and the place where the operand begins in it. `part` is the pair of
    the first and the last but one value of the shared index; it is not there where none is shared.
    """

    if config.DISABLE_JIT:
        return _without_compiler(indices)

    specification = repr((form, rows, vector, indices, columns, pack, shared))

    def emit(context, builder, signature, operands, number, part):
        pointers = [_pointer(context, builder, *pair) for pair in zip(signature.args, operands, strict=False)]
        given = [*pointers, number, *part]
        # A function of its own, so that it is compiled once however often it is called.
        name = f"contraction_{sha256((specification + str(pointers[2].type)).encode()).hexdigest()[:24]}"
        function = builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
            function = ir.Function(builder.module, kind, name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block("entry"))
            write(inside, function.args[:3], function.args[3], function.args[4:])
            inside.ret_void()
        builder.call(function, given)
        return context.get_dummy_value()

    def write(builder, pointers, number, part):
        chosen, places = dict(indices), [INT(0)] * 3
        emitter = Emitter(builder, pointers, number, chosen, rows, vector, columns, pack)
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


def _without_compiler(indices):
    """The same product as plain Python, for generated modules that are run so."""

    def product(left, right, target, count, *part):  # of one thread: all of it
        def number(value):
            return sum(factor * count**power for power, factor in enumerate(np.atleast_1d(value)))

        extents = [number(extent) for extent, *_ in indices.values()]

        def view(operand, side):
            array, place = operand if isinstance(operand, tuple) else (operand, 0)
            steps = [number(steps[1 + side]) for steps in indices.values()]
            kept = [axis for axis, step in enumerate(steps) if step]
            shape = [extents[axis] for axis in kept]
            strides = [steps[axis] * array.itemsize for axis in kept]
            flat = array.reshape(-1)[place:]
            return np.lib.stride_tricks.as_strided(flat, shape, strides), kept

        (a, of_a), (b, of_b), (c, of_c) = (view(operand, side) for side, operand in enumerate((left, right, target)))
        c[...] = np.einsum(a, of_a, b, of_b, of_c)

    return product


def _pointer(context, builder, kind, value):
    """Where an operand begins: an array, or a pair of an array and a place."""
    if isinstance(kind, types.BaseTuple):
        array, place = cgutils.unpack_tuple(builder, value)
        data = context.make_array(kind[0])(context, builder, array).data
        return builder.gep(data, [context.cast(builder, place, kind[1], types.int64)])
    return context.make_array(kind)(context, builder, value).data


class Emitter:
    """Writes the loops of one contraction."""

    def __init__(self, builder, pointers, count, indices, rows, vector, columns, pack):
        self.builder, self.pointers, self.count = builder, pointers, count
        self.indices, self.rows, self.vector, self.columns, self.pack = indices, rows, vector, columns, pack
        self.vectors = Vectors(builder, pointers[2].type.pointee)
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
        steps = self.indices[name][1:]
        moved = []
        for place, step in zip(places, steps, strict=True):
            moved.append(place if step == 0 else self.builder.add(place, self.builder.mul(self.number(step), by)))
        return moved

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
        columns = self.sizes(self.columns, max(1, room // vectors)) if self.columns else [1]

        def panel(widths, places):
            if self.pack:
                self._packed(widths, places, lambda emitter, start, at: emitter.rows_of(rows, [1], widths, at, start))
            else:
                self.rows_of(rows, columns, widths, places)

        self.loops(self.around, start, lambda places: self._along_vector(vectors, places, panel))

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
                    goal = self.move(here, self.vector, INT(v * vectors.lanes))[2]
                    sums[r, c, v] = cgutils.alloca_once(builder, vectors.type), goal
                    builder.store(vectors.zero if start is None else start(goal, widths[v]), sums[r, c, v][0])

        def inside(at):
            many = {}
            for c in range(columns):
                column = self.move(at, self.columns, INT(c))
                for v, width in enumerate(widths):
                    place = self.move(column, self.vector, INT(v * vectors.lanes))[1]
                    many[c, v] = vectors.load(self.pointers[1], place, width)
            for r in range(rows):
                place = self.move(at, self.rows, INT(r))[0]
                one = vectors.everywhere(builder.load(builder.gep(self.pointers[0], [place])))
                for c, v in many:
                    total = sums[r, c, v][0]
                    builder.store(vectors.multiply_add(one, many[c, v], builder.load(total)), total)

        self.loops(self.bound, places, inside)
        for (_, _, v), (total, goal) in sums.items():
            self.put(builder.load(total), goal, widths[v])

    def take(self, goal, width):
        """A vector of the target as it is."""
        if self.indices[self.vector][3] == 1:
            return self.vectors.load(self.pointers[2], goal, width)
        value = self.vectors.zero
        for lane, place in self._spread(goal, width):
            value = self.builder.insert_element(value, self.builder.load(place), SMALL(lane))
        return value

    def put(self, value, goal, width):
        """Store a vector to the target."""
        if self.indices[self.vector][3] == 1:
            self.vectors.store(value, self.pointers[2], goal, width)
            return
        for lane, place in self._spread(goal, width):
            self.builder.store(self.builder.extract_element(value, SMALL(lane)), place)

    def _spread(self, goal, width):
        for lane in range(width):
            at = self.move([goal] * 3, self.vector, INT(lane))[2]
            yield lane, self.builder.gep(self.pointers[2], [at])

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
            length = builder.select(builder.icmp_signed("<", left, INT(most)), left, INT(most))
            at = self.move(places, first, begin)
            indices = dict(self.indices)
            for name, step, size in zip(self.bound, steps, [length, *extents], strict=True):
                indices[name] = (size, self.indices[name][1], step, 0)
            indices[self.vector] = (self.indices[self.vector][0], 0, 1, self.indices[self.vector][3])
            self._copy(panel, indices, widths, at[1])
            pointers = [self.pointers[0], panel, self.pointers[2]]
            emitter = Emitter(builder, pointers, self.count, indices, self.rows, self.vector, self.columns, False)
            is_first = builder.icmp_signed("==", loop.index, INT(0))
            start = None if most == extent else self._start(is_first, emitter)
            body(emitter, start, [at[0], INT(0), at[2]])
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
            [panel, self.pointers[1], panel],
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
                if self.indices[self.vector][2] == 1:
                    value = self.vectors.load(self.pointers[1], builder.add(at[1], INT(v * lanes)), width)
                    self.vectors.store(value, panel, builder.add(at[0], INT(v * lanes)), lanes)
                    continue
                with cgutils.for_range(builder, width if isinstance(width, ir.Value) else INT(width)) as loop:
                    here = copier.move(at, self.vector, builder.add(loop.index, INT(v * lanes)))
                    value = builder.load(builder.gep(self.pointers[1], [here[1]]))
                    builder.store(value, builder.gep(panel, [here[0]]))

        copier.loops(self.bound, [INT(0), begin, INT(0)], vectors_of)

    # ---- dot: vectors along what is summed over --------------------------------------------------------------------

    def dot(self, start):
        """Blocks of rows × columns, each a vector of partial sums."""
        most = 4 if REGISTERS == 32 else 2
        rows, columns = (
            self.sizes(name, size) if name else [1] for name, size in ((self.rows, most), (self.columns, 4))
        )

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
                left = [
                    vectors.load(self.pointers[0], self.move(here, self.rows, INT(r))[0], width) for r in range(rows)
                ]
                for c in range(columns):
                    right = vectors.load(self.pointers[1], self.move(here, self.columns, INT(c))[1], width)
                    for r in range(rows):
                        total = sums[r, c]
                        builder.store(vectors.multiply_add(left[r], right, builder.load(total)), total)

        others = [name for name in self.bound if name != self.vector]
        self.loops(others, places, lambda at: self._along_vector(1, at, inside))
        for (r, c), total in sums.items():
            at = self.move(self.move(places, self.rows, INT(r)), self.columns, INT(c))[2]
            builder.store(vectors.total(builder.load(total)), builder.gep(self.pointers[2], [at]))
