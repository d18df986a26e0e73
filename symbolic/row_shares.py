"""How the loss of a batch is made of the losses of parts of its rows, for training in several processes at once.

Each row must go through the network by itself, and the loss be a sum over rows, or 1/B of one, and what does not depend
on rows. A network that normalises over its batch, say, is none of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sympy import Add, Basic, Expr, Mul, Symbol, expand

from .binders import Binder, Sum
from .equations import Equation
from .errors import LossError, UnsupportedError
from .network import Network
from .tensors import Tensor, elements, indices_of, is_element, tensor_of, with_letters

Share = Literal["mean", "sum"]
WHY = "gradients of parts of a batch add up to that of the whole only where each row goes its own way to the loss"


@dataclass(frozen=True)
class Part:
    """What an expression is that has no row: ``B**power`` times a sum over rows, if it `adds` one, and the rest."""

    adds: bool = False
    power: int = 0
    has_rest: bool = True


REST = Part()


def share_of_rows(network: Network) -> Share:
    """How the loss of all rows of a batch is made of those of disjoint parts of it.

    Returns
    -------
    "mean": the mean of the parts', weighted by their numbers of rows. "sum": their sum.

    Raises
    ------
    LossError
        If there is no loss.
    UnsupportedError
        If it is neither, as of a network that mixes the rows of a batch; the message has the equation.
    """
    batch = network.batch
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    if batch is None:
        raise UnsupportedError(f"{network.name} has no batch axis, so there are no rows to divide")
    known: dict[Tensor, Part] = {}
    for equation in [*network.equations, *network.assignments]:
        if _has_rows(equation.target, batch):
            _check_row(equation, batch, known)
        else:
            known[equation.target] = _part(equation.body, batch, known, equation)
            if equation in network.assignments and known[equation.target].adds:
                raise _mixes(equation, f"{equation.target.name} is made of all rows")
    loss = known[network.loss]
    if not loss.adds:
        raise UnsupportedError(f"{network.loss.name} does not depend on any row of the batch")
    if loss.power == -1:
        return "mean"
    if loss.power == 0 and not loss.has_rest:
        return "sum"
    what = "a sum over rows and something else" if loss.power == 0 else f"B**({loss.power}) times a sum over rows"
    raise _mixes(network.equation(network.loss.name), f"it is {what}: divide the sum by the batch size {batch}")


def _check_row(equation: Equation, batch: Expr, known: dict[Tensor, Part]) -> None:
    """Check that a row of what an equation defines needs no other row."""
    axes = [axis for axis, size in enumerate(equation.target.shape) if size.has(batch)]
    if len(axes) > 1:
        raise _mixes(equation, f"{equation.target.name} has {len(axes)} axes of the batch size")
    if equation.target.shape[axes[0]] != batch:
        raise _mixes(equation, f"{equation.target.name} has an axis of size {equation.target.shape[axes[0]]}")
    _check_own(equation.body, equation.indices[axes[0]], batch, known, equation)


def _check_own(body: Expr, row: Symbol, batch: Expr, known: dict[Tensor, Part], equation: Equation) -> None:
    """Check that an expression reads row `row` alone, and no sum over rows."""
    for element in elements(body):
        tensor = tensor_of(element)
        if known.get(tensor, REST).adds:
            raise _mixes(equation, f"a row needs {tensor.name}, which is made of all rows")
        for size, at in zip(tensor.shape, indices_of(element), strict=True):
            if size.has(batch) and (size != batch or at != row):
                raise _mixes(equation, f"a row needs other rows of {tensor.name}")
    if _mentions(body, batch):
        raise _mixes(equation, f"a row depends on the batch size {batch}")
    if _mentions(body, row, batch):  # a part of a batch counts its own rows from 0
        raise _mixes(equation, "a row depends on its own number")


def _part(body: Expr, batch: Expr, known: dict[Tensor, Part], equation: Equation) -> Part:
    """What an expression is that has no row."""
    if isinstance(body, Sum):
        opened, pairs = body.open()
        rows = [index for index, extent in pairs if extent == batch]
        if len(rows) > 1:
            raise _mixes(equation, "it sums over pairs of rows")
        if any(extent.has(batch) and extent != batch for _, extent in pairs):
            raise _mixes(equation, "it does not sum over each row once")
        if not rows:
            return _part(opened, batch, known, equation)
        rest, power = _without_batch(opened, batch)
        _check_own(rest, rows[0], batch, known, equation)
        return Part(True, power, has_rest=False)
    if isinstance(body, Add):
        return _added([_part(term, batch, known, equation) for term in body.args], equation)
    if isinstance(body, Mul):
        rest, power = _without_batch(body, batch)
        parts = [_part(factor, batch, known, equation) for factor in Mul.make_args(rest)]
        sums = [part for part in parts if part.adds]
        if not sums and power == 0:
            return REST
        if len(sums) == 1 and not (power != 0 and sums[0].has_rest):
            return Part(True, sums[0].power + power, sums[0].has_rest)
        if sums:
            spread = expand(body)
            if spread.func is Add:
                return _part(spread, batch, known, equation)
            raise _mixes(equation, "it multiplies sums over rows")
        if not sums:
            raise _mixes(equation, f"{with_letters(body)} depends on the batch size {batch} alone")
    if is_element(body) and not _has_rows(tensor_of(body), batch) and not _mentions(body, batch):
        return known.get(tensor_of(body), REST)
    if body == batch:  # Σ 1 over the rows
        return Part(True, has_rest=False)
    _check_rest(body, batch, known, equation)
    return REST


def _check_rest(body: Expr, batch: Expr, known: dict[Tensor, Part], equation: Equation) -> None:
    if any(known.get(tensor_of(element), REST).adds for element in elements(body)) or _sums_rows(body, batch):
        raise _mixes(equation, "it is not linear in a sum over rows")
    if any(_has_rows(tensor_of(element), batch) for element in elements(body)) or _mentions(body, batch):
        raise _mixes(equation, f"it reads a row, or the batch size {batch}, by itself")


def _added(parts: list[Part], equation: Equation) -> Part:
    sums = [part for part in parts if part.adds]
    if not sums:
        return REST
    if any(part.power != sums[0].power for part in sums):
        raise _mixes(equation, "its sums over rows have different powers of the batch size")
    return Part(True, sums[0].power, has_rest=any(part.has_rest for part in parts))


def _without_batch(body: Expr, batch: Expr) -> tuple[Expr, int]:
    """A product without its powers of the batch size, and the exponent of these."""
    power = 0
    rest = []
    for factor in Mul.make_args(body):
        base, exponent = factor.as_base_exp()
        if base == batch and exponent.is_Integer:
            power += int(exponent)
        else:
            rest.append(factor)
    return Mul(*rest), power


def _sums_rows(body: Expr, batch: Expr) -> bool:
    return any(extent == batch for node in body.atoms(Binder) for _, extent in node.limits)


def _has_rows(tensor: Tensor, batch: Expr) -> bool:
    return any(size.has(batch) for size in tensor.shape)


def _mentions(body: Basic, number: Expr, rows: Expr | None = None) -> bool:
    """Whether a symbol stands in an expression as a number: not as the extent of an axis, nor as a place on `rows`."""
    if isinstance(body, Binder):
        return any(extent.has(number) for _, extent in body.limits) or _mentions(body.body, number, rows)
    if is_element(body):
        axes = zip(tensor_of(body).shape, indices_of(body), strict=True)
        return any(_mentions(at, number, rows) for size, at in axes if size != rows)
    return body == number or any(_mentions(argument, number, rows) for argument in body.args)


def _mixes(equation: Equation, why: str) -> UnsupportedError:
    return UnsupportedError(f"this network cannot be trained in parts of a batch: in {equation}, {why}; {WHY}")
