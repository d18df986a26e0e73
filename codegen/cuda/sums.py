"""Products with few rows → `Sums`: which points a warp makes at once, and how long that takes.

A tile of a product is one block's, so that a step of a recurrence would keep a few blocks busy alone, and what comes
after several products would wait for all of them. Here a warp makes all sums of a few points, each lane of it a part
of each sum, and goes on with what is done at these points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from sympy import Add, Dummy, Expr, Integer, Mul

from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..nests import Set, reads, rename, statements
from ..ops import Contraction
from ..sizes import Sizes
from .assumed import BANDWIDTH, BLOCKS, LATENCY, STATEMENT, WARPS
from .kinds import Each, Product, Sums

LANES = 32
MOST = 32  # sums that a warp makes at once: so many registers of each lane
BESIDE = ((1, 1), (2, 4), (4, 2), (8, 1), (1, 8))  # warps that make neighbouring points, down and across


@dataclass(frozen=True)
class Share:
    """Which points are made at once.

    Attributes
    ----------
    rows, columns : by a warp
    down, across : how many warps of a block make neighbours of them
    """

    rows: int
    columns: int
    down: int = 1
    across: int = 1

    @property
    def warps(self) -> int:
        return self.down * self.across


def as_sums(phase: Product) -> Sums | None:
    """The same product as sums of warps; None where its operands do not lie along what is summed over."""
    op = phase.op
    if op.batch or phase.part is not None or not len(op.rows) == len(op.columns) == len(op.bound) == 1:
        return None
    if any(indices_of(side)[-1] != op.bound[0] for side in (op.left, op.right)):
        return None
    extents, places = dict(op.space), indices_of(op.target)
    # What has no size that is known, the batch, is the rows.
    row, column = sorted((*op.rows, *op.columns), key=lambda index: (extents[index].is_Integer, places.index(index)))
    if not extents[column].is_Integer or not extents[op.bound[0]].is_Integer:
        return None
    if row in op.columns:
        op = replace(op, left=op.right, right=op.left, rows=op.columns, columns=op.rows)
    after = () if phase.after is None else phase.after.body
    names = {op.bound[0]: Dummy(op.bound[0].name, integer=True)}
    return Sums((_renamed(op, names),), Each(((row, extents[row]), (column, extents[column])), after))


def beside(first: Sums, second: Sums) -> Sums | None:
    """Both as one, if they have the same rows and columns."""
    space, others = first.after.space, second.after.space
    fits = [extent for _, extent in space] == [extent for _, extent in others]
    if not fits or len(first.ops) + len(second.ops) > MOST:
        return None
    names = {other: own for (own, _), (other, _) in zip(space, others, strict=True)}
    ops = (*first.ops, *(_renamed(op, names) for op in second.ops))
    body = (*first.after.body, *(rename(item, names) for item in second.after.body))
    return Sums(ops, Each(space, body))


def added_up(phase: Sums, own: Collection[Tensor]) -> Sums:
    """The same with one sum for products of which `after` needs no more than what they add up to.

    `own` are the tensors that nothing else reads.
    """
    read = Counter(element for item in phase.after.body for element in reads(item))
    lonely = [target for target in phase.targets if tensor_of(target) in own and read[target] == 1]
    into: dict[Expr, Expr] = {}
    for item in phase.after.body:
        for node in (node for s in statements(item) if isinstance(s, Set) for node in s.value.atoms(Add)):
            for alike in _alike(node, lonely):
                into |= dict.fromkeys(alike[1:], alike[0])
    ops = tuple(replace(op, target=into.get(op.target, op.target)) for op in phase.ops)
    body = tuple(rename(item, dict.fromkeys(into, Integer(0))) for item in phase.after.body)
    return Sums(ops, replace(phase.after, body=body))


def _alike(total: Add, targets: Collection[Expr]) -> Iterable[list[Expr]]:
    """Those of `targets` that have the same factor in a sum."""
    found: dict[Expr, list[Expr]] = {}
    for term in total.args:
        factors = Mul.make_args(term)
        for target in targets:
            if target in factors:
                found.setdefault(Mul(*(factor for factor in factors if factor != target)), []).append(target)
    return found.values()


def _renamed(op: Contraction, names: dict[Any, Any]) -> Contraction:
    parts: dict[str, Any] = {name: getattr(op, name).xreplace(names) for name in ("target", "body", "left", "right")}
    parts |= {
        name: tuple(names.get(index, index) for index in getattr(op, name)) for name in ("rows", "columns", "bound")
    }
    space = tuple((names.get(index, index), extent) for index, extent in op.space)
    return replace(op, space=space, when=tuple(guard.xreplace(names) for guard in op.when), **parts)


@dataclass(frozen=True)
class Run:
    """Products of a phase that sum over as many values, under the same conditions.

    `lefts` and `rights` are their operands, each once, with the index that is summed over renamed to `inner`.
    """

    inner: Any
    length: Expr
    ops: tuple[Contraction, ...]

    @property
    def lefts(self) -> list[Expr]:
        return list(dict.fromkeys(op.left for op in self.ops))

    @property
    def rights(self) -> list[Expr]:
        return list(dict.fromkeys(op.right for op in self.ops))


def runs_of(phase: Sums) -> Iterator[Run]:
    """The products of a phase, those together that one loop can sum up."""

    def key(op: Contraction) -> tuple[str, str]:
        return str(dict(op.space)[op.bound[0]]), str(op.when)

    for _, ops in groupby(sorted(phase.ops, key=key), key):
        found = list(ops)
        inner = found[0].bound[0]
        same = tuple(_renamed(op, {op.bound[0]: inner}) for op in found)
        yield Run(inner, dict(same[0].space)[inner], same)


def share_of(phase: Sums, sizes: Sizes, rows: int, most_warps: int = WARPS, blocks: int = BLOCKS) -> Share:
    """Which points warps make, where so many `blocks` share about `rows` rows; up to `most_warps` make neighbours."""
    down, across = extents_of(phase, sizes, rows)
    powers = [2**power for power in range(6)]
    found = [
        Share(high, broad, *warps)
        for high in powers
        for broad in powers
        for warps in BESIDE
        if high * broad <= LANES
        and high * broad * len(phase.targets) <= max(MOST, len(phase.targets))
        and high * warps[0] < 2 * down
        and broad * warps[1] < 2 * across
        and warps[0] * warps[1] <= most_warps
    ]
    return min(found, key=lambda share: cycles_of(phase, sizes, rows, share, blocks=blocks, is_near=blocks == 1))


def extents_of(phase: Sums, sizes: Sizes, rows: int) -> tuple[int, int]:
    """How many rows and columns there are, about."""
    number = {} if sizes.batch is None else {sizes.batch: rows}
    down, across = (int(sizes.resolve(extent).subs(number)) for _, extent in phase.after.space)
    return down, across


def tiles_of(share: Share, extents: Sequence[int]) -> int:
    """How many tiles there are of neighbouring points."""
    down, across = extents
    return -(-down // (share.rows * share.down)) * -(-across // (share.columns * share.across))


def cycles_of(
    phase: Sums, sizes: Sizes, rows: int, share: Share, *, blocks: int = BLOCKS, is_near: bool = False
) -> float:
    """How many cycles the phase takes, shared among `blocks`; `is_near` if what it reads need not come from afar."""
    tiles = -(-tiles_of(share, extents_of(phase, sizes, rows)) // blocks)
    points, loads, products, numbers = share.rows * share.columns, 0, 0, 0
    for run in runs_of(phase):
        length = _length(run, sizes, rows)
        turns, lefts, rights = -(-length // LANES), len(run.lefts), len(run.rights)
        loads += turns * (lefts * share.rows + rights * share.columns)
        products += turns * len(run.ops) * points
        numbers += length * (lefts * share.rows * share.down + rights * share.columns * share.across)
    # A multiprocessor has one unit that loads and exchanges, and four that multiply.
    busy = max(loads + points * len(phase.targets), (loads + products) // 4) * share.warps
    tile = max(busy, 0 if is_near else 4 * numbers // BANDWIDTH)
    rounds = -(-tiles * share.warps // WARPS)
    return rounds * (LATENCY // (1 + is_near) + len(phase.after.body) * STATEMENT) + tiles * tile


def weights_of(phase: Sums, sizes: Sizes, rows: int) -> int:
    """How many numbers the columns of all products have."""
    _, across = extents_of(phase, sizes, rows)
    return across * sum(_length(run, sizes, rows) * len(run.rights) for run in runs_of(phase))


def _length(run: Run, sizes: Sizes, rows: int) -> int:
    length = sizes.resolve(run.length)
    return int(length if sizes.batch is None else length.subs({sizes.batch: rows}))
