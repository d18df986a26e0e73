"""Sums and maxima in loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
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
    kind = types.float64 if types.float64 in (most, value) else types.float32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = arguments[0].type
        maximum = builder.module.declare_intrinsic("llvm.maximum", [number], ir.FunctionType(number, [number] * 2))
        return builder.call(maximum, arguments, fastmath=["nsz"])

    return kind(kind, kind), generate


larger = np.maximum if config.DISABLE_JIT else intrinsic(larger_one)
