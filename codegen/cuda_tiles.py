"""Tiles of products on a GPU, as the generator sees them: threads, shared memory, and what must divide what.

`carried/cuda/matmul.py` and `tf32.py` are what computes them; a `Tile` writes the call of their factories.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Way:
    """How an operand of a product lies.

    Attributes
    ----------
    along_inner : neighbours in the summed index lie next to each other; else those in the other index, if any do
    wide : it is loaded 16 bytes at a time. Then its pointer is aligned to 16 bytes, its extent along the adjacent
        index a multiple of 4, its stride there 1, and its stride along the other a multiple of 4
    """

    along_inner: bool
    wide: bool = False

    def __str__(self) -> str:
        return f"({self.along_inner}, {self.wide})"


@dataclass(frozen=True)
class Tile:
    """A tile of a product that one block of threads computes.

    Attributes
    ----------
    rows, columns : of the result
    depth : how much of the summed index is staged at once
    rows_each, columns_each : what one thread computes; with tensor cores, one warp
    tensor_cores : float32 factors are rounded to TF32
    pace : how many times as many products it computes in the same time as a tile of registers, about
    """

    rows: int
    columns: int
    depth: int
    rows_each: int
    columns_each: int
    tensor_cores: bool = False
    pace: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        down, across = self.rows / self.rows_each, self.columns / self.columns_each
        fits = (
            self.depth % 8 == 0 and self.rows_each % 16 == 0 and self.columns_each % 8 == 0
            if self.tensor_cores
            else {self.rows_each % 4, self.columns_each % 4} == {0} or self.rows_each == self.columns_each == 2
        )
        for size in (self.rows, self.columns):
            fits &= size * self.depth % (4 * self.threads) == 0
            fits &= all(self.threads % run == 0 for run in (size, self.depth))
        fits &= down.is_integer() and across.is_integer()
        assert fits, self

    @property
    def threads(self) -> int:
        """Of a block, which has one axis."""
        parts = self.rows // self.rows_each * (self.columns // self.columns_each)
        return parts * 32 if self.tensor_cores else parts

    def stage(self, left: Way, right: Way) -> int:
        """How many numbers of shared memory, aligned to 16 bytes, `tile` works in."""
        if not self.tensor_cores:
            return 2 * self.depth * (self.rows + self.columns + 8)

        def side(size: int, way: Way) -> int:
            return size * (self.depth + 4) if way.along_inner else self.depth * (size + 8)

        return 3 * (side(self.rows, left) + side(self.columns, right))

    def factory(self, real: str, left: Way, right: Way, write: str, write_four: str | None = None) -> str:
        """The expression that makes ``tile``, of the names of the type and of the functions that store results."""
        sizes = f"({self.rows}, {self.columns}), {self.depth}, ({self.rows_each}, {self.columns_each}), {left}, {right}"
        if self.tensor_cores:
            return f"tf32_tile({sizes}, {write})"
        return f"simt_tile({real}, {sizes}, {write}{f', {write_four}' if write_four else ''})"


# All of 256 threads, so that one persistent kernel can use any of them.
SMALL = Tile(32, 32, 32, 2, 2)
MEDIUM = Tile(64, 64, 16, 4, 4)
LARGE = Tile(128, 128, 8, 8, 8)
# The more of a tile one warp computes, the fewer numbers it loads and rounds for each product. The paces are reckoned
# from the instructions of a stage, and not measured.
MEDIUM_TF32 = Tile(64, 64, 16, 32, 16, tensor_cores=True, pace=3)
BROAD_TF32 = Tile(128, 64, 16, 32, 32, tensor_cores=True, pace=4)
LARGE_TF32 = Tile(128, 128, 16, 64, 32, tensor_cores=True, pace=5)
HUGE_TF32 = Tile(256, 128, 16, 64, 64, tensor_cores=True, pace=9)
TILES = (SMALL, MEDIUM, LARGE)
TF32_TILES = (*TILES, MEDIUM_TF32, BROAD_TF32, LARGE_TF32, HUGE_TF32)  # those of `precision="tf32"`
LARGEST, WORTH = (LARGE_TF32, HUGE_TF32), 64  # fewer of those than that leave most of a GPU idle
# Bytes of shared memory that a block has without asking at the launch, and that any GPU from sm_80 on gives who asks.
SHARED, MOST_SHARED = 48 * 1024, 99 * 1024


def shared_asked(stage: int, each: int) -> int:
    """How many bytes a launch has to ask for: those of a stage of numbers of so many bytes each, or 0.

    Beside the stage, 32 numbers lie in a block's shared memory.
    """
    return stage * each if (stage + 32) * each > SHARED else 0
