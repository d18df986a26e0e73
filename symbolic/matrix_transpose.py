"""Matrix forms transposed: gradients in numerator layout, where ∂L/∂W has the shape of Wᵀ and δ of a column is a row.

Every adjoint X of a denominator-layout form is Yᵀ, Y being the same adjoint in numerator layout; then both sides of an
equation for an adjoint are transposed, so that its left side is Y and not Yᵀ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .matrix_tree import Node
from .matrix_view import MatrixForm
from .tensors import Adjoint

_ELEMENTWISE = ("add", "product", "power", "quotient", "call", "sum", "guarded")


def numerator(form: MatrixForm) -> MatrixForm:
    """`form`, with its adjoints in numerator layout."""
    if form.left.kind == "tensor" and form.left.value[0].rank > 2:
        return form  # entry by entry: no matrix to transpose
    left, right = _flipped(form.left), _flipped(form.right)
    if left.kind in ("tensor", "slice") and isinstance(left.value[0], Adjoint):
        left, right = transposed(left), transposed(right)
    return MatrixForm(left, right, form.row, form.col)


def _flipped(node: Any) -> Any:
    """Every adjoint below `node` as the transpose of the one in numerator layout."""
    if isinstance(node, tuple):
        return tuple(map(_flipped, node))
    if not isinstance(node, Node):
        return node
    if node.kind in ("tensor", "slice") and isinstance(node.value[0], Adjoint):
        return transposed(node)
    return replace(node, args=_flipped(node.args), value=_flipped(node.value))


def transposed(node: Any) -> Any:
    """The transpose of `node`, taken inside as far as it goes: (A B)ᵀ = Bᵀ Aᵀ."""
    if isinstance(node, tuple):  # a branch or a condition
        return tuple(map(transposed, node))
    if not isinstance(node, Node) or node.kind in ("scalar", "norm", "inner"):
        return node
    if node.kind in ("tensor", "slice"):
        tensor, flag, *where = node.value
        if not where and tensor.rank not in (1, 2):  # a number; or a whole tensor, of which no two axes are shown
            return node
        return replace(node, value=(tensor, not flag, *where))
    if node.kind == "matmul":
        return replace(node, args=tuple(map(transposed, reversed(node.args))))
    if node.kind == "ones":
        return replace(node, value=not node.value)
    if node.kind == "transpose":
        return node.args[0]
    if node.kind in _ELEMENTWISE:
        return replace(node, args=tuple(map(transposed, node.args)))
    if node.kind == "cases":
        return replace(node, args=transposed(node.args))
    if node.kind == "iverson":
        return replace(node, value=transposed(node.value))
    return Node("transpose", (node,))  # softmax, onehot: said of whole columns or rows
