"""A device that is simulated thread by thread (`lockstep`), in the place of a GPU under a `DeviceModule`."""

from __future__ import annotations

import types
from typing import Any

import lockstep
import numpy as np

from gradloom.codegen.cuda import write
from gradloom.codegen.cuda_tiles import Tile
from gradloom.runtime.cuda_module import DeviceModule

SMALL = Tile(16, 8, 16, 2, 2)  # a block of one warp: simulated threads take their time


class Buffer:
    def __init__(self, count: int, dtype: Any) -> None:
        self.count, self.dtype = count, np.dtype(dtype)
        self.numbers = np.full(max(count, 1), np.nan if self.dtype.kind == "f" else -(2**30), dtype)


class SimulatedDevice:
    """What `gradloom.runtime.cuda_device.Device` is to a `DeviceModule`; memory is poisoned."""

    def __init__(self, source: str, blocks: int = 2, order: Any = "forward", races: bool = True) -> None:
        self.blocks, self.order, self.races = blocks, order, races
        self.module = lockstep.load(
            source, kernels=["kernel"], devices=["device"], collectives={"grid_barrier": "grid"}
        )

    def buffer(self, count: int, dtype: Any) -> Buffer:
        return Buffer(count, dtype)

    def clear(self, buffer: Buffer) -> None:
        buffer.numbers[:] = 0

    def write(self, buffer: Buffer, array: Any) -> None:
        buffer.numbers[: array.size] = array.reshape(-1)

    def read(self, buffer: Buffer, start: int, array: Any) -> None:
        array[...] = buffer.numbers[start : start + array.size].reshape(array.shape)

    def compile(self, function: Any, kinds: Any, threads: int) -> str:
        return function.__name__

    def launch(self, kernel: str, threads: int, arguments: Any, most: int) -> None:
        given = tuple(one.numbers if isinstance(one, Buffer) else one for one in arguments)
        self.module.launch(
            kernel, (self.blocks,), (threads,), given, order=self.order, races=self.races, declared_alignment=True
        )


def host_part(source: str) -> types.ModuleType:
    """What of a generated CUDA module the host runs: all that stands before the code that kernels call."""
    module = types.ModuleType("host")
    text = source[: source.index("# ---- What the kernels call")]
    lines = [line for line in text.splitlines() if not line.startswith(("from numba", "from llvmlite"))]
    lines = [line.replace("real = ", "real = np.") for line in lines]
    exec(compile("\n".join(lines), "<generated>", "exec"), module.__dict__)
    rest = source[source.index("# ---- The kernels") :]
    exec(compile(rest, "<generated>", "exec"), module.__dict__)
    return module


def small_tiles(monkeypatch: Any) -> None:
    """Generate kernels for blocks of one warp."""
    monkeypatch.setattr(write, "TILES", (SMALL,))


def device_module(source: str, dtype: Any, **options: Any) -> DeviceModule:
    """A generated CUDA module on a simulated device."""
    return DeviceModule(host_part(source), SimulatedDevice(source, **options), dtype)
