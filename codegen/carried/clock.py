"""Where the time goes: a count of the processor's cycles between marks."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Cycles spent after each mark; behind them the last mark and when it was passed.
MARKS = 4096
CYCLES = np.zeros(MARKS + 2, np.int64)


@intrinsic
def clock(typing_context: Any, mark: Any) -> Any:
    """Pass a mark: what was spent since the last one is added to that one's."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(64)
        counter = builder.module.declare_intrinsic("llvm.readcyclecounter", (), ir.FunctionType(integer, ()))
        base = builder.inttoptr(integer(CYCLES.ctypes.data), integer.as_pointer())
        last, when = (builder.gep(base, [integer(MARKS + place)]) for place in (0, 1))
        now = builder.call(counter, ())
        spent = builder.gep(base, [builder.load(last)])
        passed = builder.sub(now, builder.load(when))
        builder.store(builder.add(builder.load(spent), passed), spent)
        builder.store(context.cast(builder, arguments[0], mark, types.int64), last)
        builder.store(builder.call(counter, ()), when)
        return context.get_dummy_value()

    return types.void(types.int64), generate
