"""What the schedule assumes of a GPU: it decides by these numbers, and is right whatever they are."""

from __future__ import annotations

from ..cuda_tiles import TILES

THREADS = TILES[0].threads
WARPS = THREADS // 32
BLOCKS = 128  # about as many as a GPU has multiprocessors
# Cycles, rounded: a wait for all blocks; what passes before a phase, or a stage of a tile, has its first numbers; a
# statement of a thread. A multiprocessor does about half of the multiplications that it could.
WAIT, LATENCY, STATEMENT, PRODUCTS = 3000, 500, 20, 64
# What a multiprocessor loads in a cycle where all of them do, and what it keeps near from one step to the next: bytes.
BANDWIDTH, NEAR = 32, 160_000
