"""What a part of a formula is worth: a scalar, a column, a row or a matrix, by its entry at row R and column C.

The entry is a SymPy expression in the indices of the network's tensors, so that a product of matrices is a `Sum`, and
two sides of an equation can be compared entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sympy import Dummy, Expr, Integer, KroneckerDelta, Symbol

from ...binders import Sum, rename_free
from ...errors import GradloomError
from ...indices import Index

R, C = Index("row"), Index("column")
MORE = tuple(Index(f"axis{number}") for number in range(3, 10))  # of what has more axes, shown as a whole


class AnySize(Symbol):
    """The size of an axis that is as long as it has to be: that of 𝟏, or of the identity matrix."""


ANY = AnySize("any", integer=True, positive=True)


class MismatchError(GradloomError, ValueError):
    """What makes a reading of a formula impossible: shapes that do not fit, or a letter that runs over two axes."""

    def __init__(self, message: str, span: Any = None) -> None:
        super().__init__(message)
        self.span = span


class NotReadError(MismatchError):
    """What is written is not read here, and so says nothing about whether it is right."""


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes
    ----------
    entry : its entry at (R, C); it depends on R or C only along axes that it has
    rows, columns : the sizes of its axes, None for one that it does not have; a column has rows alone
    more : the sizes of further axes, at `MORE`; what has them is no matrix: functions, sums and products take it
        entry by entry
    """

    entry: Expr
    rows: Any = None
    columns: Any = None
    more: tuple[Any, ...] = ()

    @property
    def shape(self) -> tuple[Any, Any]:
        return self.rows, self.columns

    @property
    def is_scalar(self) -> bool:
        return self.rows is None and self.columns is None

    @property
    def is_matrix(self) -> bool:
        return self.rows is not None and self.columns is not None and not self.more

    def at(self, row: Expr, column: Expr) -> Expr:
        return rename_free(self.entry, {R: row, C: column})

    def map(self, function: Callable[[Expr], Expr]) -> Value:
        return Value(function(self.entry), self.rows, self.columns, self.more)

    @property
    def transposed(self) -> Value:
        if self.more:
            raise MismatchError(f"{self} has no transpose")
        return Value(self.at(C, R), self.columns, self.rows)

    def __str__(self) -> str:
        """The shape, as messages say it."""
        if self.is_scalar:
            return "a number"
        if self.more:
            return "an array of " + " by ".join(map(str, (self.rows, self.columns, *self.more)))
        if self.columns is None:
            return f"a column of {self.rows}"
        return f"a row of {self.columns}" if self.rows is None else f"a matrix of {self.rows} by {self.columns}"


def number(value: Any) -> Value:
    return Value(Integer(value) if isinstance(value, int) else value)


def _joined(one: Any, other: Any) -> Any:
    """The size of an axis along which two values meet; an axis that only one of them has is the other's, repeated."""
    if one is None or one == ANY:
        return other if other is not None else one
    if other is None or other == ANY or one == other:
        return one
    return NotImplemented


def entrywise(left: Value, right: Value, function: Callable[[Expr, Expr], Expr], what: str) -> Value:
    """Both at once, entry by entry; what lacks an axis is repeated along it.

    Raises
    ------
    MismatchError
        If the sizes of an axis differ, or a row meets a column: that may be meant otherwise.
    """
    rows, columns = _joined(left.rows, right.rows), _joined(left.columns, right.columns)
    crossed = {(left.rows is None, left.columns is None), (right.rows is None, right.columns is None)} == {
        (True, False),
        (False, True),
    }
    uneven = left.more != right.more and not (left.is_scalar or right.is_scalar)
    if rows is NotImplemented or columns is NotImplemented or crossed or uneven:
        raise MismatchError(f"{what}: {left} and {right} do not fit together, entry by entry")
    return Value(function(left.entry, right.entry), rows, columns, left.more or right.more)


def add(left: Value, right: Value) -> Value:
    return entrywise(left, right, lambda a, b: a + b, "sum")


def times(left: Value, right: Value) -> Value:
    return entrywise(left, right, lambda a, b: a * b, "elementwise product")


def divide(left: Value, right: Value) -> Value:
    return entrywise(left, right, lambda a, b: a / b, "quotient")


def matmul(left: Value, right: Value) -> Value:
    """The product of matrices; a column is one of one column, a row one of one row, a number scales.

    Raises
    ------
    MismatchError
        If the sizes between them differ.
    """
    if left.is_scalar or right.is_scalar:
        return times(left, right)
    if left.more or right.more:
        raise MismatchError(f"matrix product: {left} and {right} are not both matrices")
    if left.columns is None and right.rows is None:  # a column and a row: the outer product
        return Value(left.entry * right.entry, left.rows, right.columns)
    inner = None
    if left.columns is not None and right.rows is not None:
        inner = _joined(left.columns, right.rows)
    if inner is None or inner is NotImplemented or inner == ANY:
        raise MismatchError(f"matrix product: {left} and {right} cannot be multiplied in this order")
    k = Dummy(integer=True)
    return Value(Sum(left.at(R, k) * right.at(k, C), (k, inner)), left.rows, right.columns)


def diagonal(value: Value) -> Value:
    """The matrix with a column (or row) on its diagonal; of a matrix, its diagonal as a column."""
    if value.is_matrix:
        if _joined(value.rows, value.columns) is NotImplemented:
            raise MismatchError(f"diag: {value} has no diagonal")
        return Value(value.at(R, R), value.rows)
    if value.is_scalar or value.more:
        raise MismatchError(f"diag of {value}")
    size = value.rows if value.rows is not None else value.columns
    return Value(value.at(R, R) * KroneckerDelta(R, C), size, size)


def total(value: Value, *, over_rows: bool = True, over_columns: bool = True) -> Value:
    """The sum along the axes that are named."""
    entry, rows, columns = value.entry, value.rows, value.columns
    if value.more and not (over_rows and over_columns):
        raise MismatchError(f"a sum along some of the axes of {value}: write an index below it")
    for index, size in zip(MORE, value.more, strict=False):
        entry = _sum(entry, index, size)
    if over_rows and rows is not None:
        entry, rows = _sum(entry, R, rows), None
    if over_columns and columns is not None:
        entry, columns = _sum(entry, C, columns), None
    return Value(entry, rows, columns)


def _sum(entry: Expr, index: Symbol, size: Any) -> Expr:
    if size == ANY:
        raise MismatchError("a sum over 𝟏 alone, whose length nothing says")
    k = Dummy(integer=True)
    return Sum(rename_free(entry, {index: k}), (k, size))


ONES = Value(Integer(1), ANY)
IDENTITY = Value(KroneckerDelta(R, C), ANY, ANY)
