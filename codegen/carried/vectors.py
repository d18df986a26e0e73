"""Vectors of floats in the code that is being made: as many lanes as the machine's registers have."""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils

INT, SMALL, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)
FEATURES = get_host_cpu_features()
VECTOR_BYTES = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16
REGISTERS = 32 if FEATURES.get("avx512f") or FEATURES.get("neon") else 16


def machine():
    """The bytes of a vector, and how many vectors a core's registers hold."""
    return VECTOR_BYTES, REGISTERS


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

    def _shuffle(self, one, other, order):
        return self.builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(SMALL, self.lanes), order))

    def transposed(self, rows):
        """As many vectors as one has lanes, as a matrix, transposed: first pairs, then pairs of pairs, and so on."""
        rows, lanes, step = list(rows), self.lanes, 1
        while step < lanes:
            low = [lanes + lane - step if lane & step else lane for lane in range(lanes)]
            high = [lanes + lane if lane & step else lane + step for lane in range(lanes)]
            for one in (row for row in range(lanes) if not row & step):
                pair = rows[one], rows[one + step]
                rows[one], rows[one + step] = self._shuffle(*pair, low), self._shuffle(*pair, high)
            step *= 2
        return rows

    def total(self, value):
        """The sum of the lanes, halves first."""
        lanes = self.lanes
        while lanes > 1:
            lanes //= 2
            order = [lane + lanes if lane < lanes else lane for lane in range(self.lanes)]
            value = self.builder.fadd(value, self._shuffle(value, value, order))
        return self.builder.extract_element(value, SMALL(0))
