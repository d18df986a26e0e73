"""Loops whose steps fill vectors: ``for start in range(0, 14, LANES32): q = in_lanes(start, 14)``, as for a number.

LLVM leaves short loops alone: it would have to check first that no two arrays overlap, and what does not fill a vector
is done one by one. Here each statement of such a loop is one for all lanes, the last ones masked out, and of places
that lie a step apart whole vectors are read and shuffled. Without AVX-512, which has masks, `in_lanes` is `start`.
"""

from operator import add, and_, eq, ge, getitem, gt, le, lt, mul, neg, setitem, sub, truediv

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import config, types
from numba.core import cgutils
from numba.core.typing import templates
from numba.extending import intrinsic, lower_builtin, models, overload, register_model

HAS_MASKS = bool(get_host_cpu_features().get("avx512f")) and not config.DISABLE_JIT
LANES32, LANES64 = (16, 8) if HAS_MASKS else (1, 1)


class Places(types.Type):
    """Places along an axis, `step` apart, one per lane; of the lanes as many are in use as are left."""

    def __init__(self, step):
        self.step = step
        super().__init__(name=f"places({step})")


class PlacesModel(models.StructModel):
    """The first place, and how many are left."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("at", types.int64), ("left", types.int64)])


class Row(types.Type):
    """One number, or truth value, per lane."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"row({dtype}, {lanes})")


class RowModel(models.PrimitiveModel):
    """A vector."""

    def __init__(self, manager, kind):
        element = ir.IntType(1) if kind.dtype == types.boolean else manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


# ---- places: 2 * q + 1 ---------------------------------------------------------------------------------------------


def places_from(typing_context, start, count):
    """The places from `start` on, of `count`."""

    def generate(context, builder, signature, arguments):
        made = cgutils.create_struct_proxy(signature.return_type)(context, builder)
        made.at, made.left = arguments[0], builder.sub(arguments[1], arguments[0])
        return made._getvalue()

    return Places(1)(types.int64, types.int64), generate


class TimesPlaces(templates.AbstractTemplate):
    """A literal times places."""

    key = mul

    def generic(self, arguments, keywords):
        left, right = arguments
        if isinstance(left, types.IntegerLiteral) and isinstance(right, Places):
            return templates.signature(Places(left.literal_value * right.step), left, right)
        return None


class MovedPlaces(templates.AbstractTemplate):
    """Places plus or minus a whole number."""

    def generic(self, arguments, keywords):
        left, right = arguments
        if isinstance(left, Places) and isinstance(right, types.Integer):
            return templates.signature(left, left, types.int64)
        if isinstance(right, Places) and isinstance(left, types.Integer) and self.key is add:
            return templates.signature(right, types.int64, right)
        return None


def times_places(context, builder, signature, arguments):
    factor = ir.IntType(64)(signature.args[0].literal_value)
    return builder.insert_value(arguments[1], builder.mul(builder.extract_value(arguments[1], 0), factor), 0)


def add_to_places(context, builder, signature, arguments):
    return builder.insert_value(arguments[0], builder.add(builder.extract_value(arguments[0], 0), arguments[1]), 0)


def places_added_to(context, builder, signature, arguments):
    return add_to_places(context, builder, signature, arguments[::-1])


def take_from_places(context, builder, signature, arguments):
    return builder.insert_value(arguments[0], builder.sub(builder.extract_value(arguments[0], 0), arguments[1]), 0)


# ---- elements of arrays --------------------------------------------------------------------------------------------


def row_of(array, index):
    """The type of the row at an index that ends with places; None for any other index."""
    where = tuple(index) if isinstance(index, types.BaseTuple) else (index,)
    if isinstance(array, types.Array) and len(where) == array.ndim and where and isinstance(where[-1], Places):
        return Row(array.dtype, 512 // array.dtype.bitwidth)
    return None


def read_row(array, index):
    return None if row_of(array, index) is None else (lambda array, index: row_read(array, index))


def write_row(array, index, value):
    return None if row_of(array, index) is None else (lambda array, index, value: row_written(array, index, value))


def reading(typing_context, array, index):
    def generate(context, builder, signature, arguments):
        return RowMemory(context, builder, signature.args, arguments).read()

    return row_of(array, index)(array, index), generate


def writing(typing_context, array, index, value):
    def generate(context, builder, signature, arguments):
        memory = RowMemory(context, builder, signature.args, arguments)
        memory.write(in_every_lane(context, builder, arguments[2], signature.args[2], memory.row))
        return context.get_dummy_value()

    return types.none(array, index, value), generate


class RowMemory:
    """Vectors from the place of an element on, of which every `step`-th number is meant."""

    def __init__(self, context, builder, kinds, arguments):
        (kind, index), (array, where) = kinds[:2], arguments[:2]
        self.builder, self.row = builder, row_of(kind, index)
        parts = cgutils.unpack_tuple(builder, where) if isinstance(index, types.BaseTuple) else [where]
        types_of = [*index] if isinstance(index, types.BaseTuple) else [index]
        self.step = types_of[-1].step
        places = [context.cast(builder, *pair, types.intp) for pair in zip(parts[:-1], types_of[:-1], strict=True)]
        places.append(builder.extract_value(parts[-1], 0))
        # How far, at most 2³¹, the last number that is meant lies from the first: nothing behind it is touched.
        left = builder.sub(builder.extract_value(parts[-1], 1), ir.IntType(64)(1))
        self.last = builder.trunc(builder.mul(left, ir.IntType(64)(self.step)), ir.IntType(32))
        made = context.make_array(kind)(context, builder, array)
        shape, strides = (cgutils.unpack_tuple(builder, part, kind.ndim) for part in (made.shape, made.strides))
        self.start = cgutils.get_item_pointer2(context, builder, made.data, shape, strides, kind.layout, places)
        self.type = context.get_value_type(self.row)

    def _call(self, name, result, values):
        letter = "f" if isinstance(self.row.dtype, types.Float) else "i"
        name = f"llvm.masked.{name}.v{self.row.lanes}{letter}{self.row.dtype.bitwidth}.p0"
        kind = ir.FunctionType(result, [value.type for value in values])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), values)

    def _vector(self, number):
        """The address of a vector, and which of its lanes are in use."""
        lanes, builder = self.row.lanes, self.builder
        address = builder.bitcast(builder.gep(self.start, [ir.IntType(64)(number * lanes)]), self.type.as_pointer())
        offsets = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [number * lanes + lane for lane in range(lanes)])
        return address, builder.icmp_signed("<=", offsets, in_lanes_all(builder, self.last, lanes))

    def read(self):
        lanes, zero = self.row.lanes, ir.Constant(self.type, None)
        found = zero
        for number in range(self.step):
            address, mask = self._vector(number)
            some = self._call("load", self.type, [address, ir.IntType(32)(self.row.dtype.bitwidth // 8), mask, zero])
            places = [self.step * lane for lane in range(lanes)]
            order = [lanes + place % lanes if place // lanes == number else lane for lane, place in enumerate(places)]
            found = some if self.step == 1 else self.builder.shuffle_vector(found, some, lane_order(order))
        return found

    def write(self, value):
        lanes, builder = self.row.lanes, self.builder
        for number in range(self.step):
            address, mask = self._vector(number)
            some = value
            if self.step > 1:
                places = [number * lanes + lane for lane in range(lanes)]
                mask = builder.and_(mask, ir.Constant(mask.type, [place % self.step == 0 for place in places]))
                some = builder.shuffle_vector(value, value, lane_order([place // self.step for place in places]))
            align = ir.IntType(32)(self.row.dtype.bitwidth // 8)
            self._call("store", ir.VoidType(), [some, address, align, mask])


def lane_order(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


def in_lanes_all(builder, number, lanes):
    """A vector of the same number."""
    unknown = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(unknown, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, unknown, lane_order([0] * lanes))


def in_every_lane(context, builder, value, kind, row):
    """A value as a row: a number stands in every lane."""
    if isinstance(kind, Row):
        return value
    return in_lanes_all(builder, context.cast(builder, value, kind, row.dtype), row.lanes)


# ---- arithmetic ----------------------------------------------------------------------------------------------------

ROW_NUMBERS = {add: "fadd", sub: "fsub", mul: "fmul", truediv: "fdiv", max: "max", neg: "fneg"}
ROW_TRUTHS = {gt: ">", ge: ">=", lt: "<", le: "<=", eq: "==", and_: "and_"}


def of_rows(function):
    """What gives the type of a function of rows and numbers, and what emits it."""
    name, is_truth = {**ROW_NUMBERS, **ROW_TRUTHS}[function], function in ROW_TRUTHS

    def generic(self, arguments, keywords):
        row = next((kind for kind in arguments if isinstance(kind, Row)), None)
        if row is None or any(isinstance(kind, Places) for kind in arguments):
            return None
        result = Row(types.boolean, row.lanes) if is_truth else row
        return templates.signature(result, *(types.unliteral(kind) for kind in arguments))

    def generate(context, builder, signature, arguments):
        row = next(kind for kind in signature.args if isinstance(kind, Row))
        values = [in_every_lane(context, builder, *pair, row) for pair in zip(arguments, signature.args, strict=True)]
        is_float = isinstance(row.dtype, types.Float)
        if name == "max":  # as Python's
            return builder.select(builder.fcmp_ordered(">", values[1], values[0]), values[1], values[0])
        if is_truth and name != "and_":
            return (builder.fcmp_ordered if is_float else builder.icmp_signed)(name, *values)
        return getattr(builder, name)(*values, **({"flags": ["contract", "nsz"]} if is_float else {}))

    return type("OfRows", (templates.AbstractTemplate,), {"key": function, "generic": generic}), generate


def rows_registered():
    """Teach the compiler what rows are; gives what makes places."""
    register_model(Places)(PlacesModel)
    register_model(Row)(RowModel)
    templates.infer_global(mul)(TimesPlaces)
    lower_builtin(mul, types.IntegerLiteral, Places)(times_places)
    for function, generate in ((add, add_to_places), (sub, take_from_places)):
        templates.infer_global(function)(type("Moved", (MovedPlaces,), {"key": function}))
        lower_builtin(function, Places, types.Integer)(generate)
    lower_builtin(add, types.Integer, Places)(places_added_to)
    overload(getitem)(read_row)
    overload(setitem)(write_row)
    for function in (*ROW_NUMBERS, *ROW_TRUTHS):
        template, generate = of_rows(function)
        templates.infer_global(function)(template)
        if function is neg:
            lower_builtin(function, Row)(generate)
        else:
            lower_builtin(function, Row, Row)(generate)
            lower_builtin(function, Row, types.Any)(generate)
            lower_builtin(function, types.Any, Row)(generate)
    return intrinsic(places_from)


def start_alone(typing_context, start, count):
    """The first place, for loops of single steps."""
    return types.int64(types.int64, types.int64), lambda context, builder, signature, arguments: arguments[0]


def places_made():
    """What a loop calls to have its places."""
    if config.DISABLE_JIT:
        return lambda start, count: start
    return rows_registered() if HAS_MASKS else intrinsic(start_alone)


row_read = None if config.DISABLE_JIT else intrinsic(reading)
row_written = None if config.DISABLE_JIT else intrinsic(writing)
in_lanes = places_made()
