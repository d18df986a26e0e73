"""Index equations recognised as matrix equations: Σ_k W[k, j] δ[i, k] is Wᵀδ.

The result is a small tree (`Node`) that `matrix_write` prints. Where an expression has no matrix form, `NoMatrixForm`
is raised and the index form is printed; which axes are those of the matrices is decided in `matrix_view`.

Layout. Tensors with a batch axis are stored batch first. In the "columns" layout they are shown as textbooks do, one
example per column (z = W a + b); in the "rows" layout one example per row, as stored (z = a Wᵀ + b). A vector added to
or multiplied with a matrix is repeated along its other axis; numbers of the batch, (B,), are a row in "columns".

Positions. Of a tensor with more axes, two are those of a matrix, and the others are positions: h[b, t − 1, k] is the
matrix h at t − 1. What depends on positions alone, a guard [t ≥ 1] too, is a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy
from sympy import Add, Expr, Indexed, Integer, KroneckerDelta, Mod, Mul, Piecewise, Pow, Symbol, exp, floor
from sympy.core.relational import Relational

from .binders import Binder, Sum
from .guards import Guard
from .matrix_tree import Layout, Node, NoMatrixForm, Place, given, is_softmax, join, shown
from .print_order import common_guards, opposite, order_factors, order_terms
from .tensors import Tensor, elements, indices_of, is_element, tensor_of


class Recogniser:
    """Reads expressions as matrices.

    Parameters
    ----------
    layout, batch : how tensors with a batch axis are shown, and its size
    example : whether the batch is a position: matrices are then those of one example
    positions : whether axes beside those of the matrix may be positions
    """

    def __init__(self, layout: Layout, batch: Expr | None, example: bool = False, positions: bool = False) -> None:
        self.layout, self.batch, self.example, self.positions = layout, batch, example, positions

    def matrix(self, expr: Any, row: Place, col: Place) -> Node:
        """`expr` as a matrix whose entry at (row, col) it is; a place that is None has no axis there."""
        if self.is_number(expr, row, col):
            return Node("scalar", value=expr)
        if isinstance(expr, Guard | floor | sympy.ceiling | Mod):
            raise NoMatrixForm
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

    def is_number(self, expr: Expr, *places: Place) -> bool:
        """Whether `expr` is one number for all entries at `places`."""
        if expr.has(Binder, *(place for place in places if place is not None)):
            return False
        return self.positions or all(tensor_of(element).rank == 0 for element in elements(expr))

    def shares(self, row: Place, col: Place) -> Place:
        """The index along which a softmax, as it is written, has the sum 1: down where examples stand in columns."""
        down = self.layout == "columns" and not self.example
        return next((place for place in ((row, col) if down else (col, row)) if place is not None), None)

    def _element(self, expr: Expr, row: Place, col: Place) -> Node:
        tensor, where = tensor_of(expr), indices_of(expr)
        places = [place for place in (row, col) if place is not None]
        axes = tuple(axis for axis, place in enumerate(where) if place in places)
        others = [place for place in where if place not in places]
        if any(place.has(*places) for place in others):
            return self._looked_up(tensor, where, row, col)
        twice = len({where[axis] for axis in axes}) < len(axes)
        if not axes or twice or (others and not self.positions) or any(place.has(floor, Mod) for place in others):
            raise NoMatrixForm
        down = shown(tensor, axes, self.layout, self.batch)[0]
        transposed = where[axes[0]] != (row if down == axes[0] else col)
        if others:
            return Node("slice", value=(tensor, transposed, tuple(None if p in places else p for p in where)))
        return Node("tensor", value=(tensor, transposed))

    def _looked_up(self, tensor: Tensor, where: tuple[Expr, ...], row: Place, col: Place) -> Node:
        """E[x[i], k], a row of E for each label, as a product with the one-hot columns of x."""
        labels = [axis for axis, place in enumerate(where) if is_element(place)]
        if len(labels) != 1 or not self.positions:
            raise NoMatrixForm
        label, index = where[labels[0]], Symbol("label", integer=True)
        picked = tensor[tuple(index if axis == labels[0] else place for axis, place in enumerate(where))]
        one_hot = KroneckerDelta(index, label)
        if row is not None and label.has(row):
            return Node("matmul", (self.matrix(one_hot, row, index), self.matrix(picked, index, col)))
        return Node("matmul", (self.matrix(picked, row, index), self.matrix(one_hot, index, col)))

    def _add(self, expr: Add, row: Place, col: Place) -> Node:
        logarithms = [t for t in expr.args if (-t).func is sympy.log and isinstance((-t).args[0], Sum)]
        if len(logarithms) == 1:
            # f − log Σ exp f is the logarithm of a softmax.
            rest = expr - logarithms[0]
            if is_softmax(exp(rest), (-logarithms[0]).args[0], self.shares(row, col)):
                return Node("softmax", (self.matrix(rest, row, col),), "log")
        terms = order_terms(common_guards(expr))
        if len(terms) == 1:
            return self.matrix(terms[0], row, col)
        signs = tuple(-1 if term.as_coeff_Mul()[0].is_negative else 1 for term in terms)
        return Node("add", tuple(self.matrix(s * t, row, col) for s, t in zip(signs, terms, strict=True)), signs)

    def _product(self, expr: Expr, row: Place, col: Place) -> Node:
        factors: list[Expr] = []
        bottom: list[Expr] = []
        brackets = [
            f for f in Mul.make_args(expr) if isinstance(f, Guard | KroneckerDelta) and self.is_number(f, row, col)
        ]
        if brackets and (rest := Mul(*(f for f in Mul.make_args(expr) if f not in brackets))).has(*given(row, col)):
            return Node("guarded", (self.matrix(rest, row, col),), Mul(*brackets))
        for factor in Mul.make_args(expr):
            below = isinstance(factor, Pow) and factor.exp.is_Rational and factor.exp < 0
            (bottom if below and (elements(factor) or factor.has(Binder)) else factors).append(factor)
        for normaliser in [1 / f for f in bottom]:
            for top in factors:
                if is_softmax(top, normaliser, self.shares(row, col)):
                    factors.remove(top)
                    bottom.remove(1 / normaliser)
                    softmax = Node("softmax", (self.matrix(top.args[0], row, col),))
                    rest = self._product(Mul(*factors, *bottom), row, col) if factors or bottom else None
                    return softmax if rest is None else join(rest, softmax)
        scalars = [f for f in factors if self.is_number(f, row, col)]
        rest_of = [f for f in order_factors(factors) if f not in scalars]
        if bottom:
            above, below = (self.matrix(Mul(*f), row, col) for f in (rest_of, [1 / f for f in bottom]))
            return join(Node("scalar", value=Mul(*scalars)), Node("quotient", (above, below)))
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
        for index in self._contracted(body, pairs):
            outer = tuple(pair for pair in pairs if pair[0] != index)
            try:
                node = self.matrix(body, row, col) if index is None else self._over(body, index, row, col)
            except NoMatrixForm:
                continue
            return Node("sum", (node,), outer) if outer else node
        raise NoMatrixForm

    def _contracted(self, body: Expr, pairs: list[tuple[Symbol, Expr]]) -> list[Place]:
        """Which summed index a matrix product may run over, the best first; the others stay under a sum sign."""
        if not self.positions:
            return [pairs[0][0]] if len(pairs) == 1 else []
        last = {element.indices[-1] for element in elements(body) if isinstance(element, Indexed)}
        batch = [index for index, size in pairs if size == self.batch and not self.example]
        others = [index for index, size in pairs if size != self.batch]
        return [*batch, *sorted(others, key=lambda index: index not in last), None]

    def _over(self, body: Expr, index: Symbol, row: Place, col: Place) -> Node:
        """Σ_index body as a matrix product."""
        places = given(row, col)
        numbers = [f for f in Mul.make_args(body) if self.is_number(f, row, col, index)]
        if numbers:
            brackets = [f for f in numbers if isinstance(f, Guard | KroneckerDelta)]
            rest = Mul(*(f for f in Mul.make_args(body) if f not in numbers))
            node = join(
                Node("scalar", value=Mul(*(f for f in numbers if f not in brackets))), self._over(rest, index, row, col)
            )
            return Node("guarded", (node,), Mul(*brackets)) if brackets else node
        factors = Mul.make_args(body)
        if len(places) == 1:
            mine = Mul(*(f for f in factors if f.has(*places)))
            vectors = [f for f in factors if not f.has(*places)]
            if row is None:
                left = self.matrix(Mul(*vectors), None, index) if vectors else Node("ones", value=True)
                return Node("matmul", (left, self.matrix(mine, index, col)))
            right = self.matrix(Mul(*vectors), index, None) if vectors else Node("ones", value=False)
            return Node("matmul", (self.matrix(mine, row, index), right))
        if any(f.has(row) and f.has(col) for f in factors) or not any(f.has(row) for f in factors):
            raise NoMatrixForm
        left_factors = [f for f in factors if f.has(row)]
        right_factors = [f for f in factors if not f.has(row)]
        if not any(f.has(col) for f in right_factors):
            raise NoMatrixForm
        left = self.matrix(Mul(*left_factors), row, index)
        return Node("matmul", (left, self.matrix(Mul(*right_factors), index, col)))

    def _scalar_sum(self, body: Expr, where: list[Symbol]) -> Node:
        if len(where) > 2:
            return Whole(where).inner(body)
        row, col = self._orient(body, where)
        return self.inner(body, row, col)

    def inner(self, body: Expr, row: Place, col: Place) -> Node:
        """The sum of all entries of `body`."""
        if isinstance(body, Add) and not any(self.is_number(term, row, col) for term in body.args):
            terms = order_terms(body.args)
            signs = tuple(-1 if term.as_coeff_Mul()[0].is_negative else 1 for term in terms)
            nodes = tuple(self.inner(s * t, row, col) for s, t in zip(signs, terms, strict=True))
            return Node("add", nodes, signs)
        if isinstance(body, Pow) and body.exp == 2:
            return Node("norm", (self.matrix(body.base, row, col),), 2)
        if isinstance(body, sympy.Abs):
            return Node("norm", (self.matrix(body.args[0], row, col),), 1)
        numbers = [f for f in Mul.make_args(body) if self.is_number(f, row, col)]
        if numbers:
            rest = Mul(*(f for f in Mul.make_args(body) if f not in numbers))
            return join(Node("scalar", value=Mul(*numbers)), self.inner(rest, row, col))
        factors = order_factors(Mul.make_args(body))
        if len(factors) == 2:
            return Node("inner", tuple(self.matrix(factor, row, col) for factor in factors))
        return Node("inner", (Node("ones", value=False), self.matrix(body, row, col)))

    def _orient(self, body: Expr, where: list[Symbol]) -> tuple[Place, Place]:
        """Which of two summed indices runs down: as the first matrix in `body` is shown."""
        for element in elements(body):
            axes = tuple(axis for axis, place in enumerate(indices_of(element)) if place in where)
            if len(axes) == len(where) == len({indices_of(element)[axis] for axis in axes}):
                down, across = shown(tensor_of(element), axes, self.layout, self.batch)
                down_index, across_index = (None if a is None else indices_of(element)[a] for a in (down, across))
                return down_index, across_index
        raise NoMatrixForm

    def _one_hot(self, expr: KroneckerDelta, row: Place, col: Place) -> Node:
        """Where each label stands: shown as a tensor (B, classes) would be."""
        for index, label in (expr.args, expr.args[::-1]):
            if not is_element(label) or index not in given(row, col):
                continue
            tensor, where = tensor_of(label), indices_of(label)
            other = col if index == row else row
            axes = tuple(axis for axis, place in enumerate(where) if place == other)
            if (
                any(place.has(index) for place in where)
                or len(axes) > 1
                or (len(where) > len(axes) and not self.positions)
            ):
                raise NoMatrixForm
            down = shown(tensor, axes, self.layout, self.batch)[0] if axes else None
            # Labels down: classes across. A lone one-hot vector stands down, as every vector.
            transposed = (index == row) != (down is None)
            positions = tuple(None if axis in axes else place for axis, place in enumerate(where))
            plain = all(place is None for place in positions)
            node = Node("onehot", value=tensor if plain else (tensor, positions))
            return Node("transpose", (node,)) if transposed else node
        raise NoMatrixForm

    def _cases(self, expr: Piecewise, row: Place, col: Place) -> Node:
        def condition(test: Any) -> Any:
            if test == sympy.true:
                return None
            if not isinstance(test, Relational):
                raise NoMatrixForm
            return test.rel_op, self.matrix(test.lhs, row, col), self.matrix(test.rhs, row, col)

        if len(expr.args) == 2 and expr.args[0].args[0] == 0 and expr.args[1].args == (Integer(1), sympy.true):
            return Node("iverson", value=condition(opposite(expr.args[0].args[1])))
        branches = [(value, condition(test)) for value, test in expr.args]
        if len(branches) == 2 and branches[0][0] == 1 and branches[1] == (Integer(0), None):
            return Node("iverson", value=branches[0][1])
        return Node("cases", tuple((self.matrix(value, row, col), test) for value, test in branches))


class Whole(Recogniser):
    """Reads entrywise expressions of tensors with any number of axes, all indexed alike: a = relu(z)."""

    def __init__(self, where: Iterable[Symbol]) -> None:
        super().__init__("rows", None)
        self.where = tuple(where)

    def is_number(self, expr: Expr, *places: Place) -> bool:
        return super().is_number(expr, *self.where)

    def shares(self, row: Place, col: Place) -> Place:
        return self.where[-1]

    def entries(self, expr: Expr) -> Node:
        """
        Raises
        ------
        NoMatrixForm
            If `expr` is not entrywise.
        """
        return self.matrix(expr, None, None)

    def inner(self, body: Expr, row: Place = None, col: Place = None) -> Node:
        first = next((indices_of(e) for e in elements(body) if set(indices_of(e)) == set(self.where)), None)
        if first is None:
            raise NoMatrixForm
        self.where = first
        return super().inner(body, None, None)

    def _element(self, expr: Expr, row: Place, col: Place) -> Node:
        if indices_of(expr) != self.where:
            raise NoMatrixForm
        return Node("tensor", value=(tensor_of(expr), False))

    def _one_hot(self, expr: KroneckerDelta, row: Place, col: Place) -> Node:
        for index, label in (expr.args, expr.args[::-1]):
            if is_element(label) and (*indices_of(label), index) == self.where:
                return Node("onehot", value=tensor_of(label))
        raise NoMatrixForm

    def _sum(self, expr: Sum, row: Place, col: Place) -> Node:
        raise NoMatrixForm
