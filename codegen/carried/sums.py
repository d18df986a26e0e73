"""Sums in loops."""

from __future__ import annotations

from typing import Any

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
