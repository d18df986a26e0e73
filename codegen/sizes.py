"""Sizes: which one is the batch, and numbers for the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Integer

from ..symbolic.axes import check_axes
from ..symbolic.errors import SizeError
from ..symbolic.indices import Dim
from ..symbolic.network import Network


@dataclass(frozen=True)
class Sizes:
    """Numbers for every symbolic size but the batch, which the generated code learns at run time.

    Attributes
    ----------
    batch : the size of the batch axis, or None where the network has none
    numbers : the others; size → number
    rows : how many rows cost models reckon with; the code is right for any number
    """

    batch: Dim | None
    numbers: Mapping[Any, Integer]
    rows: int = 64

    def resolve(self, size: Any) -> Expr:
        """`size` as a number, or as an expression in the batch size alone."""
        return size.xreplace(self.numbers)

    def shape(self, sizes: Iterable[Any]) -> tuple[Expr, ...]:
        return tuple(self.resolve(size) for size in sizes)


def usual_rows(batch: int) -> int:
    """The number of rows that cost models reckon with where batches have about `batch` rows.

    They are few, so that one module serves batches that are much alike.
    """
    return next(rows for rows in (1, 8, 64, 512) if batch <= 3 * rows or rows == 512)


def batch_of(network: Network) -> Dim | None:
    """The size that leads the inputs and targets and stands in no parameter's shape, if there is one."""
    fixed = {symbol for tensor in network.parameters for size in tensor.shape for symbol in size.free_symbols}
    leading = [tensor.shape[0] for tensor in [*network.inputs, *network.targets] if tensor.rank]
    return next((size for size in leading if isinstance(size, Dim) and size not in fixed), None)


def resolve_sizes(network: Network, given: Mapping[str, int], batch_size: int = 64) -> Sizes:
    """Match `given` with the symbolic sizes of `network`; batches have about `batch_size` rows.

    Raises
    ------
    SizeError
        If a size has no number, a number is not positive or makes an axis empty, or a name is no size of the network.
    """
    batch = batch_of(network)
    sizes = [size for t in network.tensors.values() for size in (*t.shape, t.classes) if size is not None]
    sizes += [one for _, e in network.written() for one in e.body.free_symbols if isinstance(one, Dim)]
    symbols = {symbol.name: symbol for size in sizes for symbol in sorted(size.free_symbols, key=str)}
    for name in given:
        if name not in symbols:
            known = ", ".join(symbols) or "all numbers"
            raise SizeError(f"{name!r} is no size of {network.name}; its sizes are {known}")
    numbers: dict[Any, Integer] = {}
    for name, symbol in symbols.items():
        if symbol == batch:
            continue
        if name not in given:
            raise SizeError(f"size {name!r} of {network.name} has no number: pass sizes={{{name!r}: …}}")
        if int(given[name]) != given[name] or given[name] < 1:
            raise SizeError(f"size {name!r} must be a positive whole number, found {given[name]!r}")
        numbers[symbol] = Integer(given[name])
    check_axes(network, {symbol.name: int(number) for symbol, number in numbers.items()})
    return Sizes(batch, numbers, usual_rows(batch_size))
