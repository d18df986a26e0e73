"""SymPy's matrix expressions as values over a network's tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import sympy
from sympy import Expr, Integer, Symbol
from sympy.matrices.expressions import hadamard
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.diagonal import DiagMatrix
from sympy.matrices.expressions.matexpr import MatrixElement, MatrixExpr, MatrixSymbol

from ...binders import from_user
from ...errors import UnsupportedError
from ...tensors import Adjoint, Tensor, element_of
from ..errors import UnknownNameError
from ..meaning.naming import gradient_named, tensor_named
from ..meaning.reading import Reading
from ..meaning.values import ANY, IDENTITY, Value, add, diagonal, matmul, number, times, total
from .python_names import ROWS, Names


def is_matrix(side: Any) -> bool:
    return isinstance(side, MatrixExpr) or (isinstance(side, sympy.Basic) and bool(side.atoms(MatrixSymbol)))


def matrix_value(side: Any, names: Names, reading: Reading) -> Value:
    """The value of a tensor, of a matrix expression or of a number.

    Raises
    ------
    MismatchError
        If the shapes do not fit together in this reading.
    UnknownNameError
        If a symbol is no name of the network.
    UnsupportedError
        If it holds an operation that is not known here.
    """
    if isinstance(side, Tensor):
        return _tensor(side, reading)
    if isinstance(side, MatrixSymbol):
        tensor = names.output(side.name)
        if tensor is None:
            raise UnknownNameError(f"{side.name} is no tensor of {names.network.name}; there are {names.known()}")
        return _tensor(tensor, reading)
    if isinstance(side, MatrixExpr):
        return _operation(side, lambda part: matrix_value(part, names, reading))
    return _number(sympy.sympify(side), names, reading)


def _tensor(tensor: Tensor, reading: Reading) -> Value:
    return gradient_named(tensor.of, [], reading) if isinstance(tensor, Adjoint) else tensor_named(tensor, [], reading)


def _operation(side: Any, of: Callable[[Any], Value]) -> Value:
    if isinstance(side, sympy.MatAdd):
        return reduce(add, map(of, side.args))
    if isinstance(side, sympy.MatMul):
        return reduce(matmul, map(of, side.args))
    if isinstance(side, sympy.Transpose):
        return of(side.arg).transposed
    if isinstance(side, hadamard.HadamardProduct):
        return reduce(times, map(of, side.args))
    if isinstance(side, hadamard.HadamardPower):
        power = of(side.exp)
        return of(side.base).map(lambda entry: entry**power.entry)
    if isinstance(side, ElementwiseApplyFunction):
        return of(side.expr).map(lambda entry: from_user(side.function(entry)))
    if isinstance(side, sympy.MatPow) and side.exp.is_Integer and side.exp > 0:
        return reduce(matmul, [of(side.base)] * int(side.exp))
    if isinstance(side, DiagMatrix):
        return diagonal(of(side.arg))
    if isinstance(side, sympy.Identity):
        return IDENTITY
    if isinstance(side, sympy.OneMatrix | sympy.ZeroMatrix):
        entry = Integer(int(isinstance(side, sympy.OneMatrix)))
        rows, columns = (None if size == 1 else ANY for size in side.shape)
        return Value(entry, rows, columns)
    raise UnsupportedError(
        f"{side}: {type(side).__name__} is not read here; there are sums, products, HadamardProduct, HadamardPower, "
        ".T, applyfunc, DiagMatrix, Identity, OneMatrix and Trace"
    )


def _number(side: Any, names: Names, reading: Reading) -> Value:
    """A scalar: sizes, numbers, tensors without axes, and traces of matrices."""
    if isinstance(side, sympy.Trace):
        return total(diagonal(matrix_value(side.arg, names, reading)))
    if isinstance(side, MatrixElement):
        raise UnsupportedError(f"{side}: entries of matrices are not read here; write an equation of elements instead")
    if isinstance(side, Symbol):
        return number(_scalar(side, names))
    if not side.args:
        return number(from_user(side))
    parts = [_number(arg, names, reading) for arg in side.args]
    return number(from_user(side.func(*(part.entry for part in parts))))


def _scalar(symbol: Symbol, names: Names) -> Expr:
    if symbol.name in names.sizes:
        return names.sizes[symbol.name]
    if symbol.name in ROWS and names.network.batch is not None:
        return names.network.batch
    tensor = names.output(symbol.name)
    if tensor is None:
        raise UnknownNameError(f"{symbol} is no name of {names.network.name}; there are {names.known()}")
    if tensor.rank:
        raise UnknownNameError(f"{symbol} is a matrix or a vector: declare it as MatrixSymbol({symbol.name!r}, …)")
    return element_of(tensor, ())


__all__ = ["is_matrix", "matrix_value"]
