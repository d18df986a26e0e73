"""Products of matrices → tiles: what are rows, columns and summed over, and how the operands lie along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sympy import Expr, Integer, prod

from ..cuda_tiles import TILES, Tile, Way
from ..ops import Contraction
from ..sizes import Sizes
from ..strides import Axis, axes_of

LONGEST_TABLE = 2**12  # entries; all of a module's lie in 64 kB of constant memory


@dataclass(frozen=True)
class Side:
    """Axes that are one index of a tile: how many values it has, and how far apart they lie in each operand.

    Attributes
    ----------
    steps : for left, right and target a stride, or a table of offsets, one for each value
    """

    extent: Expr
    steps: tuple[Expr | tuple[int, ...], Expr | tuple[int, ...], Expr | tuple[int, ...]]


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
    tables: dict[tuple[int, ...], str] = field(default_factory=dict)
    stage: int = 0  # numbers of shared memory that the largest needs

    def table(self, offsets: tuple[int, ...]) -> str:
        """The name of a table of offsets."""
        return self.tables.setdefault(offsets, f"OFFSETS_{len(self.tables) + 1}")

    def name(self, product: TiledProduct, adds: bool) -> str:
        """The name of what computes a tile."""
        left, right = (_way(side, product.inner, at) for at, side in ((0, product.rows), (1, product.columns)))
        self.stage = max(self.stage, product.tile.stage(left, right))
        text = product.tile.factory(self.real, left, right, "add_number" if adds else "put_number")
        return self.declarations.setdefault(text, f"tile_{len(self.declarations) + 1}")


def tiled(op: Contraction, sizes: Sizes, tiles: Sequence[Tile]) -> TiledProduct:
    """Choose the indices of the tiles of a product, and their size."""
    axes = axes_of(op, sizes)
    free = [axis for axis in axes if not axis.is_bound]
    rows, other_rows = _chosen([axis for axis in free if axis.right == 0], 0)
    columns, other_columns = _chosen([axis for axis in free if axis.right != 0 and axis.left == 0], 1)
    both = [axis for axis in free if axis.right != 0 and axis.left != 0]
    inner, added = _chosen([axis for axis in axes if axis.is_bound], None)
    tile = min((tile for tile in tiles if not tile.tensor_cores), key=lambda tile: _cost(tile, rows, columns, sizes))
    return TiledProduct(rows, columns, inner, (*both, *other_rows, *other_columns), tuple(added), tile)


def _chosen(axes: Sequence[Axis], operand: int | None) -> tuple[Side, list[Axis]]:
    """One index made of those axes that can be one, and the axes that are left."""
    fixed = [axis for axis in axes if axis.extent.is_Integer and all(step.is_Integer for step in axis.steps)]
    growing = [axis for axis in axes if axis not in fixed]
    count = prod((int(axis.extent) for axis in fixed), start=1)
    if growing and (count < 16 or not fixed):
        longest = growing[0]
        return Side(longest.extent, longest.steps), [axis for axis in axes if axis is not longest]
    if not fixed:
        return Side(Integer(1), (Integer(0), Integer(0), Integer(0))), []
    if len(fixed) == 1:
        return Side(fixed[0].extent, fixed[0].steps), growing
    while prod(int(axis.extent) for axis in fixed) > LONGEST_TABLE:
        growing.append(fixed.pop(0))
    tables: list[Expr | tuple[int, ...]] = []
    for which in range(3):
        offsets = [0]
        for axis in fixed:
            step = int(axis.steps[which])
            offsets = [start + step * at for start in offsets for at in range(int(axis.extent))]
        steps = {after - before for before, after in pairwise(offsets)}
        tables.append(Integer(steps.pop()) if len(steps) == 1 else tuple(offsets))
    return Side(Integer(prod(int(axis.extent) for axis in fixed)), (tables[0], tables[1], tables[2])), growing


def _way(outer: Side, inner: Side, operand: int) -> Way:
    """Which index the neighbours of an operand belong to."""
    return Way(along_inner=inner.steps[operand] == 1 or (outer.steps[operand] != 1 and _runs(inner.steps[operand])))


def _runs(step: Expr | tuple[int, ...]) -> bool:
    """Whether most of a table's neighbours lie next to each other."""
    return isinstance(step, tuple) and sum(b - a == 1 for a, b in pairwise(step)) > len(step) // 2


def _cost(tile: Tile, rows: Side, columns: Side, sizes: Sizes) -> tuple[int, int]:
    """Numbers that are computed, those beyond the edges too; and the tiles."""
    number = {} if sizes.batch is None else {sizes.batch: sizes.rows}
    down, across = (
        -(-int(side.extent.subs(number)) // size) for side, size in ((rows, tile.rows), (columns, tile.columns))
    )
    return down * across * tile.rows * tile.columns, down * across
