"""Random points of a network: sizes that are distinct primes, and rational values that respect what is declared."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sympy import Expr, Integer, sympify

from ...axes import check_axes
from ...derivation import Derivation
from ...errors import SizeError, UnsupportedError
from ...indices import Dim
from ...network import Network
from ...recurrence import Recurrence, blocks
from ...tensors import Tensor

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23)
BATCHES = (3, 5, 7)
STEPS = 3  # least length of a recurrence
UNIT = 997  # values are whole multiples of 1/997
_TRIED = 3000


@dataclass(frozen=True)
class Style:
    """How values are drawn.

    Attributes
    ----------
    scale, shift : of the parameters
    spread : of the data
    positive : the roles whose values are all positive
    fractional : the roles whose values lie between 0 and 1
    whole_rows : whether a one-hot target has rows of 0 and 1, and not any that sum to 1
    """

    scale: float = 1
    shift: float = 0
    spread: float = 1
    positive: tuple[str, ...] = ("state",)
    fractional: tuple[str, ...] = ("noise",)
    whole_rows: bool = False


@dataclass(frozen=True)
class Drawn:
    """Whole numbers `top` over `bottom`; `labels` says that they are classes, and stay whole."""

    top: Any
    bottom: int = 1
    labels: bool = False


def symbolic_sizes(network: Network) -> list[Dim]:
    """The sizes that are letters, in order of appearance."""
    found: dict[Dim, None] = {}
    for tensor in network.tensors.values():
        for size in (*tensor.shape, *([] if tensor.classes is None else [tensor.classes])):
            found.update(dict.fromkeys(sorted(size.free_symbols, key=str)))
    return list(found)


def number_of(size: Expr, sizes: Mapping[str, int]) -> int:
    """
    Raises
    ------
    SizeError
        If a symbol in it has no number.
    """
    size = sympify(size)
    missing = sorted(symbol.name for symbol in size.free_symbols if symbol.name not in sizes)
    if missing:
        raise SizeError(f"size {missing[0]} has no number")
    return int(size.xreplace({symbol: Integer(sizes[symbol.name]) for symbol in size.free_symbols}))


def draw_sizes(network: Network, number: int, batch: int | None = None, small: bool = False) -> dict[str, int]:
    """Numbers for the sizes of the point `number`: distinct primes, but for what `batch` says; with `small` all 2.

    Raises
    ------
    SizeError
        If no numbers were found at which every axis has an entry.
    """
    dims = symbolic_sizes(network)
    lengths = [length for length in _lengths(network) if length.free_symbols]
    options = _small_sizes(dims, network.batch, batch) if small else _prime_sizes(dims, network.batch, batch, number)
    for found in itertools.islice(options, _TRIED):
        if any(number_of(length, found) < (2 if small else STEPS) for length in lengths):
            continue
        try:
            check_axes(network, found)
        except SizeError:
            continue
        return found
    raise SizeError(f"{network.name}: no sizes were found at which every axis has an entry")


def _prime_sizes(dims: list[Dim], batch: Dim | None, rows: int | None, number: int) -> Iterator[dict[str, int]]:
    """Distinct primes, small ones first; the point of another number begins with other ones.

    The batch has 3 or more rows: of two, all that is left when their mean is taken off is a sign.
    """
    others = [dim for dim in dims if dim != batch]
    for most in range(max(len(others), 2), len(PRIMES) + 1):
        for count in range(len(BATCHES)) if rows is None and batch in dims else [0]:
            size = BATCHES[(number + count) % len(BATCHES)] if rows is None else rows
            pool = [prime for prime in PRIMES if prime != size or batch not in dims][:most]
            orders = list(itertools.islice(itertools.permutations(pool, len(others)), _TRIED))
            turned = (number * 7919) % len(orders)
            for order in orders[turned:] + orders[:turned]:
                found = {dim.name: value for dim, value in zip(others, order, strict=True)}
                yield found if batch not in dims else {**found, batch.name: size}


def _small_sizes(dims: list[Dim], batch: Dim | None, rows: int | None) -> Iterator[dict[str, int]]:
    for least in range(2, 12):
        for sizes in itertools.product(range(least, least + 2), repeat=len(dims)):
            found = {dim.name: size for dim, size in zip(dims, sizes, strict=True)}
            yield found if rows is None or batch not in dims else {**found, batch.name: rows}


def _lengths(network: Network) -> list[Expr]:
    return [block.length for block in blocks(network.equations) if isinstance(block, Recurrence)]


def draw_values(derivation: Derivation, sizes: Mapping[str, int], seed: int, style: Style) -> dict[str, Drawn]:
    """Values of all tensors that no equation defines, but for named constants.

    Raises
    ------
    UnsupportedError
        If two facts are declared of one tensor, along different axes.
    """
    network = derivation.network
    made = {}
    for number, tensor in enumerate(network.tensors.values()):
        if tensor.role in ("value", "constant"):
            continue
        rng = np.random.default_rng([seed, number])
        shape = tuple(number_of(size, sizes) for size in tensor.shape)
        made[tensor.name] = _drawn(network, tensor, shape, rng, style, sizes)
    return made


def _drawn(network: Network, tensor: Tensor, shape: Any, rng: Any, style: Style, sizes: Mapping[str, int]) -> Drawn:
    if tensor.classes is not None:
        count = number_of(tensor.classes, sizes)
        labels = rng.integers(0, count, shape)
        if count > 1 and labels.size > 1 and np.all(labels == labels.flat[0]):
            labels.flat[0] = (labels.flat[0] + 1) % count
        return Drawn(labels.astype(np.int64), labels=True)
    facts = [fact for fact in network.facts if fact.tensor == tensor]
    if facts:
        return _with_sum(tensor, facts, shape, rng, style)
    if tensor.role in style.fractional:
        return Drawn(rng.integers(1, UNIT, shape), UNIT)
    spread, shift = style.spread, 0.0
    if tensor.role == "parameter":
        # Keeps what comes out of a layer near 1.
        spread, shift = style.scale / np.sqrt(max(1, int(np.prod(shape[1:])))), style.shift
    values = np.rint((rng.normal(size=shape) * spread + shift) * UNIT).astype(np.int64)
    values = np.where(values == 0, 1, values)
    return Drawn(np.abs(values) + UNIT // 10 if tensor.role in style.positive else values, UNIT)


def _with_sum(tensor: Tensor, facts: Any, shape: Any, rng: Any, style: Style) -> Drawn:
    if len({(fact.axis, fact.value) for fact in facts}) > 1:
        raise UnsupportedError(f"{tensor.name} has two declared sums: no random values are drawn that have both")
    axis, value = facts[0].axis, facts[0].value
    if not value.is_Rational:
        raise UnsupportedError(f"the declared sum {value} of {tensor.name} is no rational number")
    count = shape[axis]
    if style.whole_rows and facts[0].source == "declared: one-hot":
        labels = rng.integers(0, count, shape[:axis] + shape[axis + 1 :])
        return Drawn(np.moveaxis(np.eye(count, dtype=np.int64)[labels], -1, axis), 1)
    # Shares of a whole, all of them different from 0.
    cuts = rng.integers(1, UNIT // count, shape)
    last = [slice(None)] * len(shape)
    last[axis] = slice(-1, None)
    cuts[tuple(last)] += UNIT - cuts.sum(axis=axis, keepdims=True)
    return Drawn(cuts * int(value.p), UNIT * int(value.q))


@cache
def styles() -> tuple[Style, ...]:
    """In the order in which they are tried; the first are those of a plain point."""
    plain = Style()
    return (
        plain, plain, plain,
        Style(scale=3, spread=2), Style(shift=0.5), Style(shift=-0.5), Style(scale=0.3, spread=0.3),
        Style(positive=("state", "target")), Style(fractional=("noise", "target")),
        Style(positive=("state", "input", "target")), Style(positive=("state", "parameter")),
        Style(positive=("state", "input", "target", "parameter")),
        Style(scale=3, shift=2), Style(scale=3, shift=-2), Style(scale=10, spread=3), Style(spread=10),
        Style(scale=30), Style(spread=30, fractional=("noise", "target")), Style(shift=5), Style(shift=-5),
    )  # fmt: skip
