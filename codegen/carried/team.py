"""Threads that run the same kernel, each its part, and wait for each other where they must."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic, register_jitable

SPINS = 4096  # a thread that has waited so often lets others run: its partner may have lost its core


def waiting(typing_context: Any, gate: Any, threads: Any) -> Any:
    """Go on when all `threads` have come here; `gate` is an array of int64 that is 0 before the first use.

    gate[0] counts arrivals, gate[8] how often all have gone on: the last to come adds to it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not isinstance(gate, types.Array):
            return context.get_dummy_value()  # one thread alone
        number = ir.IntType(64)
        data = context.make_array(gate)(context, builder, arguments[0]).data
        arrived, passed = data, builder.gep(data, [number(8)])
        team = context.cast(builder, arguments[1], threads, types.int64)
        yielded = ir.FunctionType(ir.IntType(32), ())
        give_way = builder.module.globals.get("sched_yield") or ir.Function(builder.module, yielded, "sched_yield")
        with builder.if_then(builder.icmp_signed(">", team, number(1))):
            turn = builder.load_atomic(passed, "acquire", 8)
            before = builder.atomic_rmw("add", arrived, number(1), "acq_rel")
            is_last = builder.icmp_signed("==", builder.add(before, number(1)), team)
            with builder.if_else(is_last) as (last, other):
                with last:
                    builder.store_atomic(number(0), arrived, "release", 8)
                    builder.store_atomic(builder.add(turn, number(1)), passed, "release", 8)
                with other:
                    spins = builder.alloca(number)
                    builder.store(number(0), spins)
                    check, leave = builder.append_basic_block("check"), builder.append_basic_block("leave")
                    builder.branch(check)
                    builder.position_at_end(check)
                    done = builder.add(builder.load(spins), number(1))
                    builder.store(done, spins)
                    with builder.if_then(builder.icmp_signed(">", done, number(SPINS))):
                        builder.call(give_way, ())
                    now = builder.load_atomic(passed, "acquire", 8)
                    builder.cbranch(builder.icmp_signed("==", now, turn), check, leave)
                    builder.position_at_end(leave)
        return context.get_dummy_value()

    return types.void(gate, threads), generate


def beginning(typing_context: Any, count: Any, thread: Any, threads: Any) -> Any:
    """Where the part of a thread begins, of `count` steps; the next thread's is where it ends.

    LLVM is shown that it is small and not negative: else it must reckon with an index that overflows, or that counts
    from the end as Python's do, and takes no vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = ir.IntType(64)
        count, thread, threads = (
            context.cast(builder, value, given, types.int64)
            for value, given in zip(arguments, signature.args, strict=True)
        )
        return builder.and_(builder.udiv(builder.mul(count, thread), threads), number(2**62 - 1))

    return types.int64(count, thread, threads), generate


@register_jitable
def halves(thread, threads):
    """The halves of the batch that a thread works at: the first, and the last but one."""
    half = 2 * thread // threads
    return half, max(half + 1, 2 * (thread + 1) // threads)


@register_jitable
def of_half(half, thread, threads):
    """The number of a thread among those that work at a half of the batch, and how many they are."""
    first, last = (half * threads + 1) // 2, ((half + 1) * threads + 1) // 2
    return max(thread - first, 0), max(last - first, 1)


wait = (lambda gate, threads: None) if config.DISABLE_JIT else intrinsic(waiting)
begin = (lambda count, thread, threads: count * thread // threads) if config.DISABLE_JIT else intrinsic(beginning)
