"""What the lanes of a warp compute together, from what each of them brings to one call.

Every function takes the arguments by lane number and returns the results by lane number. A value that comes from a
lane outside the mask is poison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import LockstepError
from .memory import POISON

Lanes = dict[int, tuple[Any, ...]]
FULL_MASK = 0xFFFFFFFF


def shuffle(source: Callable[[int, int], int]) -> Callable[[Lanes], dict[int, Any]]:
    """A shuffle. `source(lane, argument)` is the lane to read; outside the warp a lane reads itself."""

    def together(lanes: Lanes) -> dict[int, Any]:
        results = {}
        for lane, (_, value, argument) in lanes.items():
            other = source(lane, int(argument))
            if not 0 <= other < 32:
                other = lane
            if other in lanes:
                results[lane] = lanes[other][1]
            else:
                kind = np.asarray(value).dtype
                results[lane] = kind.type(POISON[kind.kind])
        return results

    return together


def ballot(lanes: Lanes) -> dict[int, Any]:
    bits = np.uint64(sum(1 << lane for lane, (_, predicate) in lanes.items() if predicate))
    return dict.fromkeys(lanes, bits)


def all_(lanes: Lanes) -> dict[int, Any]:
    return dict.fromkeys(lanes, np.bool_(all(predicate for _, predicate in lanes.values())))


def any_(lanes: Lanes) -> dict[int, Any]:
    return dict.fromkeys(lanes, np.bool_(any(predicate for _, predicate in lanes.values())))


def operand(value: Any) -> np.float32:
    """A float32 from the 32 bits of a TF32 operand, of which the tensor core reads the upper 19."""
    if isinstance(value, np.floating):
        raise TypeError("an operand of mma is the bits that tf32(x) returns, not a float")
    return np.uint32(int(value) & 0xFFFFE000).view(np.float32)


def mma_tf32(lanes: Lanes) -> dict[int, Any]:
    """D = A B + C with A 16x8, B 8x8, C and D 16x8, spread over the lanes as `mma.m16n8k8` of the PTX ISA has it.

    Every lane brings c0..c3 (float32), a0..a3 and b0, b1 (the bits of TF32). With g = lane // 4 and q = lane % 4:
    c0, c1 = C[g, 2q], C[g, 2q+1]; c2, c3 the same 8 rows below; a0..a3 = A[g, q], A[g+8, q], A[g, q+4], A[g+8, q+4];
    b0, b1 = B[q, g], B[q+4, g]. Source: PTX ISA, "Matrix Fragments for mma.m16n8k8".
    """
    a, b, c = np.zeros((16, 8)), np.zeros((8, 8)), np.zeros((16, 8))
    for lane, values in lanes.items():
        if len(values) != 10:
            raise LockstepError(f"mma_tf32 takes 10 values of every lane, not {len(values)}")
        g, q = divmod(lane, 4)
        c[g, 2 * q], c[g, 2 * q + 1], c[g + 8, 2 * q], c[g + 8, 2 * q + 1] = values[:4]
        a[g, q], a[g + 8, q], a[g, q + 4], a[g + 8, q + 4] = map(operand, values[4:8])
        b[q, g], b[q + 4, g] = map(operand, values[8:])
    d = (c + a @ b).astype(np.float32)
    results = {}
    for lane in lanes:
        g, q = divmod(lane, 4)
        results[lane] = (d[g, 2 * q], d[g, 2 * q + 1], d[g + 8, 2 * q], d[g + 8, 2 * q + 1])
    return results


def nothing(lanes: Lanes) -> dict[int, None]:
    return dict.fromkeys(lanes)


TOGETHER: dict[str, Callable[[Lanes], dict[int, Any]]] = {
    "syncwarp": nothing,
    "shfl_sync": shuffle(lambda lane, argument: argument % 32),
    "shfl_xor_sync": shuffle(lambda lane, argument: lane ^ argument),
    "shfl_up_sync": shuffle(lambda lane, argument: lane - argument),
    "shfl_down_sync": shuffle(lambda lane, argument: lane + argument),
    "ballot_sync": ballot,
    "all_sync": all_,
    "any_sync": any_,
    "mma_tf32": mma_tf32,
}


def mask_of(operation: str, arguments: tuple[Any, ...]) -> int:
    """The lanes that a call names; a tensor-core product and `syncwarp()` name all of them."""
    if operation == "mma_tf32" or not arguments:
        return FULL_MASK
    return int(arguments[0]) & FULL_MASK
