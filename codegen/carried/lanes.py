"""Loops whose steps fill vectors: ``for start in range(0, 14, LANES32): q = lanes(start, 14)``, and then as for a number.

LLVM leaves short loops alone: it would have to check first that no two arrays overlap, and what does not fill a vector
is done one by one. Here each statement of such a loop is one for all lanes, the last ones masked out, and of places
that lie a step apart whole vectors are read and shuffled. Without AVX-512, which has masks, `lanes` is a number.
"""

import operator

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

HAS_MASKS = bool(get_host_cpu_features().get("avx512f")) and not config.DISABLE_JIT
LANES32, LANES64 = (16, 8) if HAS_MASKS else (1, 1)


class Places(types.Type):
    """Places along an axis, `step` apart, one per lane; of the lanes as many are in use as are left."""

    def __init__(self, step):
        self.step = step
        super().__init__(name=f"places({step})")


class Row(types.Type):
    """One number, or truth value, per lane."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"row({dtype}, {lanes})")


@register_model(Places)
class PlacesModel(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("at", types.int64), ("left", types.int64)])


@register_model(Row)
class RowModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        element = ir.IntType(1) if kind.dtype == types.boolean else manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def lanes_from(typing_context, start, count):
    """The places from `start` on, of `count`."""

    def generate(context, builder, signature, arguments):
        made = cgutils.create_struct_proxy(signature.return_type)(context, builder)
        made.at, made.left = arguments[0], builder.sub(arguments[1], arguments[0])
        return made._getvalue()

    return Places(1)(types.int64, types.int64), generate


lanes = intrinsic(lanes_from) if HAS_MASKS else (lambda start, count: start)
if not (HAS_MASKS or config.DISABLE_JIT):
    lanes = intrinsic(lambda typing_context, start, count: (types.int64(types.int64, types.int64), _first))


def _first(context, builder, signature, arguments):
    return arguments[0]


# ---- places: 2 * q + 1 ---------------------------------------------------------------------------------------------


@infer_global(operator.mul)
class TimesPlaces(AbstractTemplate):
    def generic(self, arguments, keywords):
        left, right = arguments
        if isinstance(left, types.IntegerLiteral) and isinstance(right, Places):
            return signature(Places(left.literal_value * right.step), left, right)


@infer_global(operator.add)
@infer_global(operator.sub)
class MovedPlaces(AbstractTemplate):
    def generic(self, arguments, keywords):
        left, right = arguments
        if isinstance(left, Places) and isinstance(right, types.Integer):
            return signature(left, left, types.int64)


@lower_builtin(operator.mul, types.IntegerLiteral, Places)
def times_places(context, builder, signature, arguments):
    factor, places = signature.args[0].literal_value, arguments[1]
    return builder.insert_value(places, builder.mul(builder.extract_value(places, 0), ir.IntType(64)(factor)), 0)


def moved_places(name):
    def generate(context, builder, signature, arguments):
        places, other = arguments
        return builder.insert_value(places, getattr(builder, name)(builder.extract_value(places, 0), other), 0)

    return generate


lower_builtin(operator.add, Places, types.Integer)(moved_places("add"))
lower_builtin(operator.sub, Places, types.Integer)(moved_places("sub"))


# ---- elements of arrays --------------------------------------------------------------------------------------------


def row_of(array, index):
    """The type of the row at an index that ends with places; None for any other index."""
    where = tuple(index) if isinstance(index, types.BaseTuple) else (index,)
    if isinstance(array, types.Array) and where and isinstance(where[-1], Places) and len(where) == array.ndim:
        return Row(array.dtype, 64 * 8 // array.dtype.bitwidth)


@infer_global(operator.getitem)
class ReadRow(AbstractTemplate):
    def generic(self, arguments, keywords):
        found = row_of(*arguments)
        return None if found is None else signature(found, *arguments)


@infer_global(operator.setitem)
class WriteRow(AbstractTemplate):
    def generic(self, arguments, keywords):
        if row_of(*arguments[:2]) is not None:
            return signature(types.none, *arguments)


class Memory:
    """Vectors from the place of an element on, of which every `step`-th number is meant."""

    def __init__(self, context, builder, kind, array, index, where):
        self.builder, self.row = builder, row_of(kind, index)
        parts = cgutils.unpack_tuple(builder, where) if isinstance(index, types.BaseTuple) else [where]
        self.step = (index[-1] if isinstance(index, types.BaseTuple) else index).step
        kinds = [*index][:-1] if isinstance(index, types.BaseTuple) else []
        places = [context.cast(builder, part, one, types.intp) for part, one in zip(parts, kinds)]
        places.append(builder.extract_value(parts[-1], 0))
        # What a step apart the last one in use is: nothing behind it is touched.
        left = builder.sub(builder.extract_value(parts[-1], 1), ir.IntType(64)(1))
        self.last = builder.mul(left, ir.IntType(64)(self.step))
        made = context.make_array(kind)(context, builder, array)
        shape, strides = (cgutils.unpack_tuple(builder, part, kind.ndim) for part in (made.shape, made.strides))
        self.start = cgutils.get_item_pointer2(context, builder, made.data, shape, strides, kind.layout, places)
        self.type = context.get_value_type(self.row)
        self.bytes = self.row.dtype.bitwidth // 8

    def _call(self, name, result, values):
        kind = ir.FunctionType(result, [value.type for value in values])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), values)

    def _vector(self, number):
        """The address of a vector, and which of its lanes are in use."""
        lanes = self.row.lanes
        address = self.builder.gep(self.start, [ir.IntType(64)(number * lanes)])
        offsets = ir.Constant(ir.VectorType(ir.IntType(64), lanes), [number * lanes + lane for lane in range(lanes)])
        unknown = ir.Constant(offsets.type, ir.Undefined)
        first = self.builder.insert_element(unknown, self.last, ir.IntType(32)(0))
        most = self.builder.shuffle_vector(first, unknown, _order([0] * lanes))
        return self.builder.bitcast(address, self.type.as_pointer()), self.builder.icmp_signed("<=", offsets, most)

    def _suffix(self):
        letter = "f" if isinstance(self.row.dtype, types.Float) else "i"
        return f"v{self.row.lanes}{letter}{self.row.dtype.bitwidth}.p0"

    def read(self):
        lanes, zero = self.row.lanes, ir.Constant(self.type, None)
        found = zero
        for number in range(self.step):
            address, mask = self._vector(number)
            align = ir.IntType(32)(self.bytes)
            some = self._call(f"llvm.masked.load.{self._suffix()}", self.type, [address, align, mask, zero])
            places = [self.step * lane for lane in range(lanes)]
            order = [
                lanes + place % lanes if place // lanes == number else lane for lane, place in enumerate(places)
            ]
            found = some if self.step == 1 else self.builder.shuffle_vector(found, some, _order(order))
        return found

    def write(self, value):
        lanes = self.row.lanes
        for number in range(self.step):
            address, mask = self._vector(number)
            places = [number * lanes + lane for lane in range(lanes)]
            own = ir.Constant(mask.type, [place % self.step == 0 for place in places])
            order = _order([place // self.step for place in places])
            some = value if self.step == 1 else self.builder.shuffle_vector(value, value, order)
            mask = mask if self.step == 1 else self.builder.and_(mask, own)
            align = ir.IntType(32)(self.bytes)
            self._call(f"llvm.masked.store.{self._suffix()}", ir.VoidType(), [some, address, align, mask])


def _order(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


@lower_builtin(operator.getitem, types.Array, Places)
@lower_builtin(operator.getitem, types.Array, types.BaseTuple)
def read_row(context, builder, signature, arguments):
    (kind, index), (array, where) = signature.args, arguments
    return Memory(context, builder, kind, array, index, where).read()


@lower_builtin(operator.setitem, types.Array, Places, types.Any)
@lower_builtin(operator.setitem, types.Array, types.BaseTuple, types.Any)
def write_row(context, builder, signature, arguments):
    (kind, index, value), (array, where, row) = signature.args, arguments
    memory = Memory(context, builder, kind, array, index, where)
    memory.write(everywhere(context, builder, row, value, memory.row))
    return context.get_dummy_value()


def everywhere(context, builder, value, kind, row):
    """A value as a row: a number stands in every lane."""
    if isinstance(kind, Row):
        return value
    number = context.cast(builder, value, kind, row.dtype)
    unknown = ir.Constant(context.get_value_type(row), ir.Undefined)
    return builder.shuffle_vector(
        builder.insert_element(unknown, number, ir.IntType(32)(0)), unknown, _order([0] * row.lanes)
    )


# ---- arithmetic ----------------------------------------------------------------------------------------------------


def emitted(name, result):
    """Lower ``name`` of rows and numbers; the `result` is one of truth values, or of numbers."""

    def typed(self, arguments, keywords):
        rows = [kind for kind in arguments if isinstance(kind, Row)]
        if rows and not any(isinstance(kind, Places) for kind in arguments):
            kind = Row(types.boolean, rows[0].lanes) if result == "truth" else rows[0]
            return signature(kind, *arguments)

    def generate(context, builder, signature, arguments):
        row = next(kind for kind in signature.args if isinstance(kind, Row))
        values = [everywhere(context, builder, *pair, row) for pair in zip(arguments, signature.args)]
        is_float = isinstance(row.dtype, types.Float)
        if name == "max":
            return builder.select(builder.fcmp_ordered(">", values[1], values[0]), values[1], values[0])
        if result == "truth" and name != "and_":
            return (builder.fcmp_ordered if is_float else builder.icmp_signed)(name, *values)
        if name == "neg":
            return builder.fneg(*values)
        return getattr(builder, name)(*values, **({"flags": ["contract", "nsz"]} if is_float else {}))

    return typed, generate


OPERATORS = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}
COMPARISONS = {operator.gt: ">", operator.ge: ">=", operator.lt: "<", operator.le: "<=", operator.eq: "=="}
for function, (name, result) in (
    {function: (name, "number") for function, name in OPERATORS.items()}
    | {function: (name, "truth") for function, name in COMPARISONS.items()}
    | {operator.and_: ("and_", "truth"), max: ("max", "number"), operator.neg: ("neg", "number")}
).items():
    typed, generate = emitted(name, result)
    infer_global(function)(type("OfRows", (AbstractTemplate,), {"key": function, "generic": typed}))
    if function is operator.neg:
        lower_builtin(function, Row)(generate)
    else:
        lower_builtin(function, Row, types.Any)(generate)
        lower_builtin(function, types.Any, Row)(generate)
