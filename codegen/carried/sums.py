"""Sums and maxima in loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def reordered_sum(typing_context: Any, total: Any, value: Any) -> Any:
    """``total + value``, where LLVM may reorder such sums: a loop of them can then add vectors.

    No other operation is set free; and the order is fixed when the code is compiled, so the same machine gives the
    same bits every time.
    """
    kind = types.float64 if types.float64 in (total, value) else types.float32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=["reassoc", "nsz", "contract"])

    return kind(kind, kind), generate


plus = (lambda total, value: total + value) if config.DISABLE_JIT else intrinsic(reordered_sum)


def larger_one(typing_context: Any, most: Any, value: Any) -> Any:
    """The larger of two numbers, NaN where one is NaN, in a form of which LLVM can make the maximum of vectors.

    Of 0.0 and -0.0 it may be either one.
    """
    plain = types.float64 if types.float64 in (most, value) else types.float32
    # A row of numbers, one for each lane of a vector, says how many it has.
    kind = next((one for one in (most, value) if hasattr(one, "lanes")), plain)
    lanes = getattr(kind, "lanes", 0)

    def in_all_lanes(builder: Any, number: Any, row: Any) -> Any:
        if number.type == row:
            return number
        first = builder.insert_element(ir.Constant(row, ir.Undefined), number, ir.IntType(32)(0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real = context.get_value_type(kind)
        width = kind.dtype.bitwidth if lanes else kind.bitwidth
        name = f"llvm.maximum.{f'v{lanes}' if lanes else ''}f{width}"
        maximum = cgutils.get_or_insert_function(builder.module, ir.FunctionType(real, [real] * 2), name)
        values = [in_all_lanes(builder, number, real) for number in arguments] if lanes else arguments
        return builder.call(maximum, values, fastmath=["nsz"])

    return (kind(most, value) if lanes else kind(kind, kind)), generate


larger = np.maximum if config.DISABLE_JIT else intrinsic(larger_one)
