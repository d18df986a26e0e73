"""A word from a running kernel to the thread that waits for what it makes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def announcing(typing_context: Any, pipe: Any) -> Any:
    """Write a byte to `pipe`, a file descriptor; None says nothing.

    What was stored before the call another thread sees once it has read the byte: the compiler moves no store past a
    call that it does not know, and the pipe's lock orders the memory of both threads.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not isinstance(pipe, types.Integer):
            return context.get_dummy_value()
        byte, whole, size = ir.IntType(8), ir.IntType(32), ir.IntType(64)
        kind = ir.FunctionType(size, [whole, byte.as_pointer(), size])
        function = builder.module.globals.get("write") or ir.Function(builder.module, kind, "write")
        place = builder.alloca(byte)
        builder.store(byte(0), place)
        builder.call(function, [context.cast(builder, arguments[0], pipe, types.int32), place, size(1)])
        return context.get_dummy_value()

    return types.void(pipe), generate


def announced(pipe: int | None) -> None:
    """The same without the compiler."""
    if pipe is not None:
        with open(pipe, "wb", buffering=0, closefd=False) as file:
            file.write(b"\0")


announce = announced if config.DISABLE_JIT else intrinsic(announcing)
