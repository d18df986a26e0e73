"""A word from a running kernel to the thread that waits for what it makes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def announcing(typing_context: Any, pipes: Any, place: Any) -> Any:
    """Write a byte to the file descriptor `pipes[place]`, if it is none below 0; None says nothing.

    What was stored before the call another thread sees once it has read the byte: the compiler moves no store past a
    call that it does not know, and the pipe's lock orders the memory of both threads.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not isinstance(pipes, types.Array):
            return context.get_dummy_value()
        byte, whole, size = ir.IntType(8), ir.IntType(32), ir.IntType(64)
        kind = ir.FunctionType(size, [whole, byte.as_pointer(), size])
        function = builder.module.globals.get("write") or ir.Function(builder.module, kind, "write")
        number = context.cast(builder, arguments[1], place, types.int64)
        data = context.make_array(pipes)(context, builder, arguments[0]).data
        pipe = builder.load(builder.gep(data, [number]))
        said = builder.alloca(byte)
        with builder.if_then(builder.icmp_signed(">=", pipe, size(0))):
            builder.store(byte(0), said)
            builder.call(function, [builder.trunc(pipe, whole), said, size(1)])
        return context.get_dummy_value()

    return types.void(pipes, place), generate


def announced(pipes: Any, place: int) -> None:
    """The same without the compiler."""
    if pipes is not None and pipes[place] >= 0:
        with open(pipes[place], "wb", buffering=0, closefd=False) as file:
            file.write(b"\0")


announce = announced if config.DISABLE_JIT else intrinsic(announcing)
