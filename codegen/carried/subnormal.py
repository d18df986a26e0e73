"""Subnormal numbers, below 1e-38 in float32, which some processors compute with a hundred times more slowly."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from llvmlite.binding import get_default_triple
from numba import config, types
from numba.extending import intrinsic

# Of the x86 processors' MXCSR: flush to zero (results), denormals are zero (operands).
FLUSH, HAS_FLUSH = 0x8040, get_default_triple().startswith("x86_64")


def _control(builder: Any, name: str, place: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    builder.call(function, [builder.bitcast(place, byte)])


def flushing(typing_context: Any) -> Any:
    """Take subnormal numbers for 0 in this thread from here on; gives what `restored` takes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        if not HAS_FLUSH:
            return word(0)
        place = builder.alloca(word)
        _control(builder, "llvm.x86.sse.stmxcsr", place)
        before = builder.load(place)
        builder.store(builder.or_(before, word(FLUSH)), place)
        _control(builder, "llvm.x86.sse.ldmxcsr", place)
        return before

    return types.int32(), generate


def restoring(typing_context: Any, before: Any) -> Any:
    """Compute as before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if HAS_FLUSH:
            place = builder.alloca(ir.IntType(32))
            builder.store(arguments[0], place)
            _control(builder, "llvm.x86.sse.ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int32), generate


flushed = (lambda: 0) if config.DISABLE_JIT else intrinsic(flushing)
restored = (lambda before: None) if config.DISABLE_JIT else intrinsic(restoring)
