"""The operands of products: arrays, or parts of them, or the rows of one that a list of numbers chooses."""

import numpy as np
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


class Operand:
    """Where the numbers of an operand lie.

    Attributes
    ----------
    pointer : its first number
    order : of an array whose rows are chosen, the numbers of the rows; else None
    row : the index that runs through those rows
    """

    def __init__(self, pointer, order=None, row=""):
        self.pointer, self.order, self.row = pointer, order, row

    def values(self):
        """What a function must be handed of it."""
        return [self.pointer] if self.order is None else [self.pointer, self.order]

    def of(self, values):
        """The same operand inside of a function that was handed `values`, of which its own are taken away."""
        pointer = values.pop(0)
        return Operand(pointer, None if self.order is None else values.pop(0), self.row)


def operand(context, builder, kind, value, row):
    """An operand: an array, a pair of an array and the numbers of its rows, or one of these and where it begins.

    `row` is the index whose steps are rows.
    """
    if isinstance(kind, types.Array):
        return Operand(context.make_array(kind)(context, builder, value).data)
    first, second = cgutils.unpack_tuple(builder, value)
    inner = operand(context, builder, kind[0], first, row)
    if isinstance(kind[1], types.Array):
        return Operand(inner.pointer, context.make_array(kind[1])(context, builder, second).data, row)
    place = context.cast(builder, second, kind[1], types.int64)
    return Operand(builder.gep(inner.pointer, [place]), inner.order, row)


def row_index(indices):
    """The index that runs over the rows of a batch: as many as are counted when the product is called."""
    return next((name for name, (extent, *_) in indices.items() if extent == (0, 1)), "")


def count_rows(typing_context, rows):
    """How many rows an array has, or how many are chosen."""

    def generate(context, builder, signature, arguments):
        kind, value = rows, arguments[0]
        if isinstance(rows, types.BaseTuple):
            kind, value = rows[1], builder.extract_value(value, 1)
        return builder.extract_value(context.make_array(kind)(context, builder, value).shape, 0)

    return types.int64(rows), generate


def _count_rows(rows):
    return len(rows[1]) if isinstance(rows, tuple) else len(rows)


rows_of = _count_rows if config.DISABLE_JIT else intrinsic(count_rows)


def without_compiler(indices, shared):
    """The same product as plain Python, for generated modules that are run so."""

    along = next((name for name in shared if indices[name][3] != 0), "")  # of the target

    def product(left, right, target, count, *parts):
        limits = dict(zip(shared, zip(parts[::2], parts[1::2], strict=True), strict=True))
        # Step by step along what is shared: NumPy's order of summation goes by the shapes, and parts may be any.
        for begin in range(*limits.get(along, (0, 1))):
            part(left, right, target, count, limits | ({along: (begin, begin + 1)} if along else {}))

    def part(left, right, target, count, limits):
        def number(value):
            return sum(factor * count**power for power, factor in enumerate(np.atleast_1d(value)))

        ends = {name: limits.get(name, (0, number(extent))) for name, (extent, *_) in indices.items()}
        extents = [last - first for first, last in ends.values()]

        def view(array, side):
            place = sum(first * number(indices[name][1 + side]) for name, (first, _) in ends.items())
            while isinstance(array, tuple):
                array, chosen = array
                if np.ndim(chosen):
                    array = np.ascontiguousarray(array[chosen])
                else:
                    place += chosen
            steps = [number(steps[1 + side]) for steps in indices.values()]
            kept = [axis for axis, step in enumerate(steps) if step]
            shape = [extents[axis] for axis in kept]
            strides = [steps[axis] * array.itemsize for axis in kept]
            return np.lib.stride_tricks.as_strided(array.reshape(-1)[place:], shape, strides), kept

        (a, of_a), (b, of_b), (c, of_c) = (view(array, side) for side, array in enumerate((left, right, target)))
        c[...] = np.einsum(a, of_a, b, of_b, of_c)

    return product
