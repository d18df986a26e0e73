"""Index equations recognised as matrix equations: Σ_k W[k, j] δ[i, k] is Wᵀδ.

The result is a small tree (`Node`) that `matrix_write` prints. Where an expression has no matrix form, `recognise`
returns None and the index form is printed.

Layout. Tensors with a batch axis are stored batch first. In the "columns" layout they are shown as textbooks do, one
example per column (z = W a + b); in the "rows" layout one example per row, as stored (z = a Wᵀ + b). A vector added to
or multiplied with a matrix is repeated along the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sympy
from sympy import Add, Expr, Indexed, Integer, KroneckerDelta, Mod, Mul, Piecewise, Pow, Symbol, exp, floor
from sympy.core.relational import Relational

from .binders import Binder, Sum, axis_sizes, rename_free
from .equations import Equation
from .guards import Guard
from .indices import Dim
from .printer import order_factors, order_terms
from .tensors import Adjoint, Tensor, elements, indices_of, is_element, tensor_of

Layout = Literal["columns", "rows"]
Place: TypeAlias = Symbol | None


@dataclass(frozen=True)
class Node:
    """One operation on matrices, elementwise but for "matmul", "norm" and "inner".

    `kind` is one of tensor, scalar, add, product, matmul, ones, power, quotient, call, cases, iverson, onehot,
    softmax, norm, inner; `value` is what the kind needs beside `args` (the tensor and whether it is transposed, …).
    """

    kind: str
    args: tuple[Any, ...] = ()
    value: Any = None


class NoMatrixForm(Exception):
    """Raised inside the recogniser where an expression has none."""


def recognise(equation: Equation, layout: Layout = "columns", batch: Expr | None = None) -> Node | None:
    """The right side of `equation` as a matrix expression in `layout`, or None; `batch` is the batch size."""
    row, col = places(equation.target, equation.indices, layout, batch)
    if len(equation.indices) > 2 or equation.body.has(Guard, floor, Mod) or not _reads_whole_axes(equation):
        return None
    try:
        return _Recogniser(layout, batch).matrix(equation.body, row, col)
    except NoMatrixForm:
        return None


def _reads_whole_axes(equation: Equation) -> bool:
    """Whether every index runs over all of each axis that it indexes: a part of a matrix is not the matrix."""
    opened = [binder.open() for binder in equation.body.atoms(Binder)]
    ranges = [(equation.body, tuple(zip(equation.indices, equation.target.shape, strict=True))), *opened]
    return all(
        found == size for body, pairs in ranges for index, size in pairs for _, _, found in axis_sizes(body, index)
    )


def flipped(tensor: Tensor, layout: Layout, batch: Expr | None) -> bool:
    """Whether `layout` shows `tensor` as the transpose of how it is stored."""
    shown = tensor.of if isinstance(tensor, Adjoint) else tensor
    return layout == "columns" and shown.rank == 2 and batch is not None and shown.shape[0] == batch


def places(tensor: Tensor, indices: tuple[Symbol, ...], layout: Layout, batch: Expr | None) -> tuple[Place, Place]:
    """Which index runs down and which across, as `tensor` is shown."""
    if len(indices) == 2:
        return (indices[1], indices[0]) if flipped(tensor, layout, batch) else (indices[0], indices[1])
    return (indices[0] if indices else None), None


class _Recogniser:
    def __init__(self, layout: Layout, batch: Expr | None) -> None:
        self.layout, self.batch = layout, batch

    def matrix(self, expr: Any, row: Place, col: Place) -> Node:
        """`expr` as a matrix whose entry at (row, col) it is; a place that is None has no axis there."""
        if _is_scalar(expr) and not expr.has(*(p for p in (row, col) if p is not None)):
            return Node("scalar", value=expr)
        if is_element(expr):
            return self._element(expr, row, col)
        if isinstance(expr, Add):
            return self._add(expr, row, col)
        if isinstance(expr, Mul) or (isinstance(expr, Pow) and expr.exp.is_Rational and expr.exp < 0):
            return self._product(expr, row, col)
        if isinstance(expr, Pow):
            return Node("power", (self.matrix(expr.base, row, col),), expr.exp)
        if isinstance(expr, Sum):
            return self._sum(expr, row, col)
        if isinstance(expr, KroneckerDelta):
            return self._one_hot(expr, row, col)
        if isinstance(expr, Piecewise):
            return self._cases(expr, row, col)
        if isinstance(expr, sympy.Function):
            return Node("call", tuple(self.matrix(arg, row, col) for arg in expr.args), expr)
        raise NoMatrixForm

    def _element(self, expr: Expr, row: Place, col: Place) -> Node:
        tensor, where = tensor_of(expr), indices_of(expr)
        if tensor.rank == 1 and where[0] in (row, col) and where[0] is not None:
            return Node("tensor", value=(tensor, where[0] == col))
        if tensor.rank == 2 and where[0] != where[1]:
            stored = (row, col) if not flipped(tensor, self.layout, self.batch) else (col, row)
            if where == stored:
                return Node("tensor", value=(tensor, False))
            if where == stored[::-1]:
                return Node("tensor", value=(tensor, True))
        raise NoMatrixForm

    def _add(self, expr: Add, row: Place, col: Place) -> Node:
        logarithms = [t for t in expr.args if (-t).func is sympy.log and isinstance((-t).args[0], Sum)]
        if len(logarithms) == 1:
            # f − log Σ exp f is the logarithm of a softmax.
            rest = expr - logarithms[0]
            if _is_softmax(exp(rest), (-logarithms[0]).args[0]):
                return Node("softmax", (self.matrix(rest, row, col),), "log")
        terms = order_terms(expr.args)
        signs = tuple(-1 if term.as_coeff_Mul()[0].is_negative else 1 for term in terms)
        return Node("add", tuple(self.matrix(s * t, row, col) for s, t in zip(signs, terms, strict=True)), signs)

    def _product(self, expr: Expr, row: Place, col: Place) -> Node:
        factors: list[Expr] = []
        bottom: list[Expr] = []
        for factor in Mul.make_args(expr):
            below = isinstance(factor, Pow) and factor.exp.is_Rational and factor.exp < 0
            (bottom if below and (elements(factor) or factor.has(Binder)) else factors).append(factor)
        for normaliser in [1 / f for f in bottom]:
            for top in factors:
                if _is_softmax(top, normaliser):
                    factors.remove(top)
                    bottom.remove(1 / normaliser)
                    softmax = Node("softmax", (self.matrix(top.args[0], row, col),))
                    rest = self._product(Mul(*factors, *bottom), row, col) if factors or bottom else None
                    return softmax if rest is None else _join(rest, softmax)
        scalars = [f for f in factors if _is_scalar(f) and not f.has(*(p for p in (row, col) if p is not None))]
        rest_of = [f for f in order_factors(factors) if f not in scalars]
        if bottom:
            above, below = (self.matrix(Mul(*f), row, col) for f in (rest_of, [1 / f for f in bottom]))
            return _join(Node("scalar", value=Mul(*scalars)), Node("quotient", (above, below)))
        # A matrix product stands first: (Wᵀ δ) ⊙ a ⊙ (1 − a).
        rest_of.sort(key=lambda factor: not isinstance(factor, Binder))
        scalar = Mul(*scalars)
        if row is not None and col is not None and len(rest_of) > 1:
            # r (row) times c (column) with nothing of both is an outer product.
            down, across = ([f for f in rest_of if f.has(place)] for place in (row, col))
            if down and across and len(down) + len(across) == len(rest_of) and not set(down) & set(across):
                outer = Node("matmul", (self.matrix(Mul(*down), row, None), self.matrix(Mul(*across), None, col)))
                return outer if scalar == 1 else Node("product", (outer,), scalar)
        nodes = tuple(self.matrix(factor, row, col) for factor in rest_of)
        return nodes[0] if scalar == 1 and len(nodes) == 1 else Node("product", nodes, scalar)

    def _sum(self, expr: Sum, row: Place, col: Place) -> Node:
        body, pairs = expr.open()
        for place in (row, col):
            if place is not None and not body.has(place):
                # Constant along this axis: a vector, or a scalar, repeated along it.
                return self.matrix(expr, *((None, col) if place == row else (row, None)))
        if row is None and col is None:
            return self._scalar_sum(body, [index for index, _ in pairs])
        if len(pairs) != 1 or isinstance(body, Add):
            raise NoMatrixForm
        ((index, _),) = pairs
        if row is None:
            vectors = [f for f in Mul.make_args(body) if not f.has(col)]
            left = self.matrix(Mul(*vectors), None, index) if vectors else Node("ones", value=True)
            return Node("matmul", (left, self.matrix(Mul(*(f for f in Mul.make_args(body) if f.has(col))), index, col)))
        if col is None:
            vectors = [f for f in Mul.make_args(body) if not f.has(row)]
            left = self.matrix(Mul(*(f for f in Mul.make_args(body) if f.has(row))), row, index)
            right = self.matrix(Mul(*vectors), index, None) if vectors else Node("ones", value=False)
            return Node("matmul", (left, right))
        left_factors: list[Expr] = []
        right_factors: list[Expr] = []
        for factor in Mul.make_args(body):
            if factor.has(row) and factor.has(col):
                raise NoMatrixForm
            (left_factors if factor.has(row) else right_factors).append(factor)
        if not left_factors or not any(f.has(col) for f in right_factors):
            raise NoMatrixForm
        left = self.matrix(Mul(*left_factors), row, index)
        return Node("matmul", (left, self.matrix(Mul(*right_factors), index, col)))

    def _scalar_sum(self, body: Expr, where: list[Symbol]) -> Node:
        if len(where) > 2:
            raise NoMatrixForm
        row, col = self._orient(body, where)
        if isinstance(body, Add) and not any(_is_scalar(term) for term in body.args):
            terms = order_terms(body.args)
            signs = tuple(-1 if term.as_coeff_Mul()[0].is_negative else 1 for term in terms)
            nodes = tuple(self._scalar_sum(s * t, where) for s, t in zip(signs, terms, strict=True))
            return Node("add", nodes, signs)
        if isinstance(body, Pow) and body.exp == 2:
            return Node("norm", (self.matrix(body.base, row, col),), 2)
        if isinstance(body, sympy.Abs):
            return Node("norm", (self.matrix(body.args[0], row, col),), 1)
        factors = order_factors(Mul.make_args(body))
        if len(factors) == 2:
            return Node("inner", tuple(self.matrix(factor, row, col) for factor in factors))
        return Node("inner", (Node("ones", value=False), self.matrix(body, row, col)))

    def _orient(self, body: Expr, where: list[Symbol]) -> tuple[Place, Place]:
        """Which of two summed indices runs down: as the first matrix in `body` is shown."""
        if len(where) == 1:
            return where[0], None
        for element in elements(body):
            if isinstance(element, Indexed) and set(element.indices) == set(where):
                return places(tensor_of(element), element.indices, self.layout, self.batch)
        raise NoMatrixForm

    def _one_hot(self, expr: KroneckerDelta, row: Place, col: Place) -> Node:
        for index, label in (expr.args, expr.args[::-1]):
            if is_element(label) and index in (row, col) and set(indices_of(label)) <= {row, col}:
                return Node("onehot", value=tensor_of(label))
        raise NoMatrixForm

    def _cases(self, expr: Piecewise, row: Place, col: Place) -> Node:
        def condition(test: Any) -> Any:
            if test == sympy.true:
                return None
            if not isinstance(test, Relational):
                raise NoMatrixForm
            return test.rel_op, self.matrix(test.lhs, row, col), self.matrix(test.rhs, row, col)

        if len(expr.args) == 2 and expr.args[0].args[0] == 0 and expr.args[1].args == (Integer(1), sympy.true):
            return Node("iverson", value=condition(expr.args[0].args[1].negated))
        branches = [(value, condition(test)) for value, test in expr.args]
        if len(branches) == 2 and branches[0][0] == 1 and branches[1] == (Integer(0), None):
            return Node("iverson", value=branches[0][1])
        return Node("cases", tuple((self.matrix(value, row, col), test) for value, test in branches))


def _is_scalar(expr: Expr) -> bool:
    """Whether `expr` is one number: it reads tensors of rank 0 alone."""
    return all(tensor_of(element).rank == 0 for element in elements(expr)) and not expr.has(Binder)


def _join(product: Node, extra: Node) -> Node:
    """`product ⊙ extra`, kept flat."""
    if product.kind == "product":
        return Node("product", (*product.args, extra), product.value)
    if product.kind == "scalar":
        return extra if product.value == 1 else Node("product", (extra,), product.value)
    return Node("product", (product, extra), Integer(1))


def _is_softmax(top: Expr, normaliser: Expr) -> bool:
    """Whether `normaliser` is the sum of the exponential `top` over one of its indices."""
    if not (isinstance(top, exp) and isinstance(normaliser, Sum) and len(normaliser.limits) == 1):
        return False
    body, ((index, _),) = normaliser.open()
    free = sorted((s for s in top.free_symbols if isinstance(s, Symbol) and not isinstance(s, Tensor | Dim)), key=str)
    return any(rename_free(top, {place: index}) == body for place in free)
