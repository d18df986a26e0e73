"""Products of matrices → tiles: what are rows, columns and summed over, and how the operands lie along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any, TypeAlias

from sympy import Expr, Integer, expand

from ..cuda_tiles import LARGEST, TILES, WORTH, Tile, Way
from ..ops import Contraction
from ..sizes import Sizes
from ..strides import Axis, axes_of

LONGEST_TABLE = 2**16  # entries


@dataclass(frozen=True)
class Table:
    """Offsets that no single stride gives: those of every point of a space, the last axis running on first."""

    extents: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def length(self) -> int:
        return prod(self.extents)


Stride: TypeAlias = Expr | Table


@dataclass(frozen=True)
class Side:
    """Axes that are one index of a tile: how many values it has, and how far apart they lie in each operand.

    Attributes
    ----------
    steps : for left, right and target a stride, or a table of offsets
    names : of the indices, the last one running on first
    """

    extent: Expr
    steps: tuple[Stride, Stride, Stride]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TiledProduct:
    """A product as blocks compute it.

    Attributes
    ----------
    rows, columns, inner : the indices of a tile
    around : axes whose values are shared among the blocks, as tiles are
    added : axes over which the block that has a tile adds up, one product after the other
    tile : the tile
    """

    rows: Side
    columns: Side
    inner: Side
    around: tuple[Axis, ...]
    added: tuple[Axis, ...]
    tile: Tile


@dataclass
class Tiles:
    """The products of a module: what computes a tile of each, as declarations that are shared where they are equal."""

    real: str
    sizes: Sequence[Tile] = TILES
    declarations: dict[str, str] = field(default_factory=dict)  # the expression → the name
    tables: dict[Table, str] = field(default_factory=dict)  # the names of the places where they begin
    stage: int = 0  # numbers of shared memory that the largest needs
    blocks: int = 1  # how many have something to do in some phase, about
    points: set[Expr] = field(default_factory=set)  # how many the spaces have whose points kernels number
    finishes: dict[tuple[str, ...], str] = field(default_factory=dict)  # the lines → the name

    def table(self, offsets: Table) -> str:
        """A table of offsets, as a pointer."""
        return f"shifted(tables, {self.tables.setdefault(offsets, f'OFFSETS_{len(self.tables) + 1}')})"

    def name(self, product: TiledProduct, write: str, write_four: str, aligned: Sequence[bool]) -> str:
        """The name of what computes a tile; `aligned` says whether left, right and target begin at 16 bytes."""
        sides = (product.rows, product.columns)
        left, right = (_way(side, product.inner, which, aligned[which]) for which, side in enumerate(sides))
        self.stage = max(self.stage, product.tile.stage(left, right))
        is_wide = aligned[2] and product.columns.steps[2] == 1 and in_fours(product.rows.steps[2])
        four = write_four if is_wide and product.tile.columns_each >= 4 else None
        text = product.tile.factory(self.real, left, right, write, four or None)
        return self.declarations.setdefault(text, f"tile_{len(self.declarations) + 1}")

    def together(self, points: int, each: int) -> str:
        """The name of what adds up the sums of a warp's lanes."""
        return self.declarations.setdefault(
            f"sums_of_lanes({points}, {each})", f"together_{len(self.declarations) + 1}"
        )

    def finish(self, lines: Sequence[str]) -> str:
        """The name of a function of these lines that is handed each entry of a product."""
        return self.finishes.setdefault(tuple(lines), f"finish_{len(self.finishes) + 1}")

    @property
    def functions(self) -> list[str]:
        """The source of the functions that are handed entries."""
        made: list[str] = []
        for lines, name in self.finishes.items():
            made += ["@device", f"def {name}(target, row, column, value):", *(f"    {line}" for line in lines), "", ""]
        return made


def is_in_one(op: Contraction, sizes: Sizes) -> bool:
    """Whether each entry of a product is made at once, and not added up of several tiles."""
    return not tiled(op, sizes, TILES).added


def tiled(op: Contraction, sizes: Sizes, tiles: Sequence[Tile]) -> TiledProduct:
    """Choose the indices of the tiles of a product, and their size."""
    return _tiled(op, sizes.batch, tuple(sizes.numbers.items()), sizes.rows, tuple(tiles))


@lru_cache(1024)
def _tiled(
    op: Contraction, batch: Any, numbers: tuple[Any, ...], rows_of_batch: int, tiles: tuple[Tile, ...]
) -> TiledProduct:
    sizes = Sizes(batch, dict(numbers), rows_of_batch)
    axes = axes_of(op, sizes)
    free = [axis for axis in axes if not axis.is_bound]
    rows, other_rows = _chosen([axis for axis in free if axis.right == 0])
    columns, other_columns = _chosen([axis for axis in free if axis.right != 0 and axis.left == 0])
    both = [axis for axis in free if axis.right != 0 and axis.left != 0]
    inner, added = _chosen([axis for axis in axes if axis.is_bound])
    around = (*both, *other_rows, *other_columns)
    extents = dict(op.space)
    number = {} if batch is None else {batch: rows_of_batch}
    outside = [axis.extent for axis in around] + [sizes.resolve(extents[index]) for index in op.batch]
    products = prod((int(extent.subs(number)) for extent in outside), start=1)
    tile = min(tiles, key=lambda tile: _cost(tile, rows, columns, products, number))
    return TiledProduct(rows, columns, inner, around, tuple(added), tile)


def _chosen(axes: Sequence[Axis]) -> tuple[Side, list[Axis]]:
    """One index made of those axes that can be one, and the axes that are left."""
    fixed = [axis for axis in axes if axis.extent.is_Integer and all(step.is_Integer for step in axis.steps)]
    growing = [axis for axis in axes if axis not in fixed]
    count = prod((int(axis.extent) for axis in fixed), start=1)
    if growing and (count < 16 or not fixed):
        longest = growing[0]
        return _side(longest), [axis for axis in axes if axis is not longest]
    if not fixed:
        return Side(Integer(1), (Integer(0), Integer(0), Integer(0))), []
    while len(fixed) > 1 and prod(int(axis.extent) for axis in fixed) > LONGEST_TABLE:
        growing.append(fixed.pop(0))
    if len(fixed) == 1:
        return _side(fixed[0]), growing
    extents = tuple(int(axis.extent) for axis in fixed)
    left, right, target = (_together(extents, tuple(int(axis.steps[which]) for axis in fixed)) for which in range(3))
    names = tuple(name for axis in fixed for name in axis.name.split(","))
    return Side(Integer(prod(extents)), (left, right, target), names), growing


def _together(extents: tuple[int, ...], steps: tuple[int, ...]) -> Stride:
    """The stride of several axes as one, or a table."""
    runs_on = all(step == size * small for step, size, small in zip(steps, extents[1:], steps[1:], strict=False))
    return Integer(steps[-1]) if runs_on else Table(extents, steps)


def _side(axis: Axis) -> Side:
    return Side(axis.extent, axis.steps, tuple(axis.name.split(",")))


def _way(outer: Side, inner: Side, operand: int, is_aligned: bool) -> Way:
    """Which index the neighbours of an operand belong to, and whether they are loaded four at a time."""
    steps = outer.steps[operand], inner.steps[operand]
    along_inner = steps[1] == 1 or (steps[0] != 1 and _runs(steps[1]))
    near, far = (inner, outer) if along_inner else (outer, inner)
    fits = near.extent.is_Integer and near.extent % 4 == 0 and near.steps[operand] == 1
    return Way(along_inner, bool(fits and is_aligned and in_fours(far.steps[operand])))


def in_fours(number: Any) -> bool:
    """Whether a whole-number polynomial, or each entry of a table, is a multiple of 4."""
    if isinstance(number, Table):
        return all(step % 4 == 0 for step in number.steps)
    counts = expand(number).as_coefficients_dict().values()
    return all(count.is_Integer and count % 4 == 0 for count in counts)


def _runs(step: Stride) -> bool:
    """Whether most of a table's neighbours lie next to each other."""
    return isinstance(step, Table) and step.steps[-1] == 1 and step.extents[-1] > 2


def _cost(tile: Tile, rows: Side, columns: Side, products: int, number: dict[Any, int]) -> tuple[float, int]:
    """Numbers that are computed, those beyond the edges too, by the pace of the tile; and the tiles."""
    down, across = (
        -(-int(side.extent.subs(number)) // size) for side, size in ((rows, tile.rows), (columns, tile.columns))
    )
    count = down * across
    idle = max(1.0, WORTH / (count * products)) if tile in LARGEST else 1.0
    return count * tile.rows * tile.columns * idle / tile.pace, count
