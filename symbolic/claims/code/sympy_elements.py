"""Two sides in index form, as people write them in SymPy, as a question about a network's tensors."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, Idx, Indexed, Symbol
from sympy.tensor.indexed import IndexedBase

from ...binders import Binder, axis_sizes, from_user
from ...equations import Equation, check_equation
from ...errors import DataError, IndexingError
from ...indices import BoundIndex, Dim, Index
from ...tensors import Adjoint, Tensor, indices_of, is_element, shape_text, tensor_of
from ..deciding.question import Question
from ..errors import UnknownNameError
from .python_names import ROWS, Names


def element_sides(left: Any, right: Any, names: Names, single: bool = False) -> Question:
    """The question whether two sides are equal.

    Raises
    ------
    UnknownNameError
        If a symbol is no tensor, size or index of the network.
    IndexingError, ShapeError, UndefinedError
        If an index stands on the right only, or runs over axes of two sizes.
    """
    one, other = (_known(side, names) for side in (left, right))
    indices = _indices(one, other)
    network = names.network
    declared = {**network.tensors, **{t.name: t for side in (one, other) for t in side.atoms(Adjoint)}}
    for side in (one, other):
        shape = tuple(size for _, size in indices)
        whole = Tensor(tensor_of(one).name if is_element(one) else "claim", shape)
        check_equation(Equation(whole, tuple(index for index, _ in indices), side), declared)
    rounded = any(part.is_Rational and part.q >= 1000 for part in other.atoms())
    return Question(names.derivation, one, other, tuple(indices), rounded, single and network.batch is not None)


def _known(side: Any, names: Names) -> Expr:
    """A side over the network's own tensors and sizes."""
    try:
        expr = sympy.sympify(side, strict=True) if not isinstance(side, sympy.Basic) else side
    except sympy.SympifyError:
        raise DataError(f"a side of a claim is {side!r}; expected a SymPy expression, or LaTeX for the whole") from None
    expr = _with_tensors(expr, names)
    bases = {base.label for base in expr.atoms(IndexedBase)}
    letters = {}
    for symbol in sorted(expr.atoms(Symbol) - bases, key=lambda s: s.name):
        if isinstance(symbol, Tensor):
            _check_tensor(symbol, names)
        elif not isinstance(symbol, Dim | Index | BoundIndex | sympy.Dummy):
            letters[symbol] = _symbol(symbol, expr, names)
        elif isinstance(symbol, Dim) and symbol.name not in names.sizes:
            raise UnknownNameError(f"{symbol} is no size of {names.network.name}; there are {names.known()}")
    for tensor in sorted((t for t in bases if isinstance(t, Tensor)), key=lambda t: t.name):
        _check_tensor(tensor, names)
    return from_user(expr.xreplace(letters))


def _with_tensors(expr: Any, names: Names) -> Any:
    """`expr` with elements of tensors for those of an `IndexedBase` of the same name."""
    if isinstance(expr, Indexed):
        label = expr.base.label
        indices = tuple(_with_tensors(place, names) for place in expr.indices)
        if isinstance(label, Tensor):
            return label[indices]
        tensor = names.output(str(label))
        if tensor is None:
            raise UnknownNameError(f"{expr}: {label} is no tensor of {names.network.name}; there are {names.known()}")
        return tensor[indices]
    if isinstance(expr, Idx):
        return Index(expr.label.name) if isinstance(expr.label, Symbol) else expr.label
    if not expr.args:
        return expr
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        return expr.func(_with_tensors(body, names), *pairs)
    if isinstance(expr, sympy.Sum):
        limits = [sympy.Tuple(*(_with_tensors(part, names) for part in limit)) for limit in expr.limits]
        return sympy.Sum(_with_tensors(expr.function, names), *limits)
    return expr.func(*(_with_tensors(arg, names) for arg in expr.args))


def _check_tensor(tensor: Tensor, names: Names) -> None:
    own = tensor.of if isinstance(tensor, Adjoint) else tensor
    known = names.network.tensors.get(own.name)
    if known is None:
        raise UnknownNameError(f"{tensor} is no tensor of {names.network.name}; there are {names.known()}")
    if known != own or (isinstance(tensor, Adjoint) and tensor.loss != names.loss):
        raise UnknownNameError(
            f"{tensor} {shape_text(tensor.shape)} belongs to another network; "
            f"here {known} has the shape {shape_text(known.shape)}"
        )


def _symbol(symbol: Symbol, expr: Any, names: Names) -> Any:
    """What a plain symbol is: an index, a size, or a tensor without axes."""
    if symbol.name in names.sizes:
        return names.sizes[symbol.name]
    if _is_index(symbol, expr):
        return Index(symbol.name)
    if symbol.name in ROWS and names.network.batch is not None:
        return names.network.batch
    tensor = names.output(symbol.name)
    if tensor is not None and tensor.rank == 0:
        return tensor
    if tensor is not None:
        raise IndexingError(
            f"{symbol} has the shape {shape_text(tensor.shape)} but stands without indices; write {symbol}[…] with "
            f"{tensor.rank} of them, or MatrixSymbols for formulas of matrices"
        )
    raise UnknownNameError(f"{symbol} is no name of {names.network.name}; there are {names.known()}")


def _is_index(symbol: Symbol, expr: Any) -> bool:
    summed = {limit[0] for total in expr.atoms(sympy.Sum) for limit in total.limits}
    return symbol in summed or any(symbol in place.free_symbols for e in expr.atoms(Indexed) for place in e.indices)


def _indices(left: Expr, right: Expr) -> list[tuple[Symbol, Expr]]:
    """The free indices of the left side with the sizes of their ranges; the right has no others."""
    free, others = (
        {s for s in side.free_symbols if isinstance(s, Symbol) and not isinstance(s, Tensor | Dim)}
        for side in (left, right)
    )
    extra = sorted(others - free, key=str)
    if extra:
        where = f"{tensor_of(left)} is written with {', '.join(map(str, indices_of(left)))}" if is_element(left) else ""
        raise IndexingError(
            f"the index {extra[0]} stands on the right only and no sum runs over it: write Sum(…, {extra[0]})"
            + (f"; {where}" if where and indices_of(left) else "")
        )
    order = [place for place in (indices_of(left) if is_element(left) else ()) if place in free]
    made = []
    for index in [*order, *sorted(free - set(order), key=str)]:
        uses = axis_sizes(left, index) or axis_sizes(right, index)
        if not uses:
            raise IndexingError(f"the index {index} indexes no tensor, so nothing says what it runs over")
        made.append((index, uses[0][2]))
    return made


__all__ = ["element_sides"]
