"""Micro-kernels: contractions Σ left · right in blocks of registers, for operands that lie with any strides.

`contraction(...)` makes one from the extents and strides of its indices. Two forms:

- *outer*: vectors run along an index of the target (`vector`), a block of its `rows` × vectors is kept in registers
  while what is summed over is run through: one number of `left` is multiplied with vectors of `right`. Operands may be
  copied first, so that what is read together lies side by side (`panels.py`).
- *dot*: vectors run along an index that is summed over (`vector`), beside each other in both operands; a block of
  `rows` × `columns` vectors is kept in registers, and summed up at the end.

Every element of the target is summed in one order, whatever the sizes of the blocks and the number of threads are.

K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008; F. Van Zee and
R. van de Geijn, "BLIS", ACM TOMS 41(3), 2015.
"""

from hashlib import sha256

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from .operands import operand, row_index, without_compiler
from .panels import Panels, sizes_of_panels


def contraction(form, rows, vector, indices, columns="", pack="", shared=""):
    """A compiled ``product(left, right, target, count, part)`` that writes ``Σ left · right`` to `target`.

    Parameters
    ----------
    form : "outer" or "dot"
    rows, vector, columns : the indices that run through a block of registers, as the form says
    indices : per index its extent, and how far apart its elements lie in left, right and target; numbers, or the
        coefficients (a, b, …) of a + b · count + …. An index that lies 0 apart in the target is summed over.
    pack : "right", a panel of `right` is copied before use, so that its vectors lie side by side; "both", and blocks of
        `left` too, where one index is summed over; "" for no copy
    shared : the indices of which a call computes a part, one name or two; "" for none

    The operands are arrays; or pairs of an array and the place where the operand begins in it; or pairs of an array
    and the numbers of the rows that are the operand's, where a row is a step of the index that `count` counts; or pairs
    of such a pair and a place. `part` is the first and the last but one value of each shared index.
    """

    shared = (shared,) if isinstance(shared, str) and shared else tuple(shared)
    if config.DISABLE_JIT:
        return without_compiler(indices, shared)

    specification = repr((form, rows, vector, indices, columns, pack, shared))

    def emit(context, builder, signature, operands, number, part):
        pairs = zip(signature.args, operands, strict=False)
        found = [operand(context, builder, *pair, row_index(indices)) for pair in pairs]
        given = [*(value for one in found for value in one.values()), number, *part]
        # A function of its own, so that it is compiled once however often it is called.
        kinds = [[str(value.type) for value in one.values()] for one in found]
        name = f"contraction_{sha256((specification + str(kinds) + str(sizes_of_panels())).encode()).hexdigest()[:24]}"
        function = builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
            function = ir.Function(builder.module, kind, name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block("entry"))
            values = list(function.args)
            write(context, inside, [one.of(values) for one in found], *values)
            inside.ret_void()
        builder.call(function, given)
        return context.get_dummy_value()

    def write(context, builder, operands, number, *part):
        chosen = dict(indices)
        emitter = Panels(builder, operands, number, chosen, rows, vector, columns, pack, context.nrt)
        places = emitter.start()
        for name, low, high in zip(shared, part[::2], part[1::2], strict=True):
            places = emitter.move(places, name, low)
            chosen[name] = (builder.sub(high, low), *chosen[name][1:])
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

    @intrinsic
    def part_of_part(typing_context, left, right, target, count, low, high, first, last):
        def generate(context, builder, signature, arguments):
            return emit(context, builder, signature, arguments[:3], arguments[3], arguments[4:])

        return types.void(left, right, target, *[types.int64] * 5), generate

    return (product, part_of_product, part_of_part)[len(shared)]
