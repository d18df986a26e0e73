"""The tree of a matrix expression, and how a layout shows a tensor; see `matrix_form`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sympy import Expr, Integer, Symbol, exp

from .binders import Sum, rename_free
from .tensors import Adjoint, Tensor

Layout = Literal["columns", "rows"]
Place: TypeAlias = Symbol | None


@dataclass(frozen=True)
class Node:
    """One operation on matrices, elementwise but for "matmul", "norm" and "inner".

    `kind` is one of tensor, slice, scalar, add, product, matmul, ones, power, quotient, call, cases, iverson, onehot,
    transpose, softmax, norm, inner, sum, guarded; `value` is what the kind needs beside `args` (the tensor and whether
    it is transposed, …).
    """

    kind: str
    args: tuple[Any, ...] = ()
    value: Any = None


class NoMatrixForm(Exception):
    """Raised inside the recogniser where an expression has none."""


def shown(tensor: Tensor, axes: tuple[int, ...], layout: Layout, batch: Expr | None) -> tuple[int | None, int | None]:
    """Which of the one or two `axes` of `tensor` runs down and which across, as `layout` shows it."""
    shape = (tensor.of if isinstance(tensor, Adjoint) else tensor).shape
    flipped = layout == "columns" and batch is not None and 0 in axes and shape[0] == batch
    down, across = (*axes, None) if len(axes) == 1 else axes
    return (across, down) if flipped else (down, across)


def given(*places: Place) -> tuple[Symbol, ...]:
    return tuple(place for place in places if place is not None)


def join(product: Node, extra: Node) -> Node:
    """`product ⊙ extra`, kept flat."""
    if product.kind == "product":
        return Node("product", (*product.args, extra), product.value)
    if product.kind == "scalar":
        return extra if product.value == 1 else Node("product", (extra,), product.value)
    return Node("product", (product, extra), Integer(1))


def is_softmax(top: Expr, normaliser: Expr, along: Place) -> bool:
    """Whether `normaliser` is the sum of the exponential `top` over the index `along`."""
    if along is None or not (isinstance(top, exp) and isinstance(normaliser, Sum) and len(normaliser.limits) == 1):
        return False
    body, ((index, _),) = normaliser.open()
    return bool(rename_free(top, {along: index}) == body)
