"""Checks of how an equation indexes tensors: positions are affine and stay on their axes, labels are only looked up."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, Indexed, Integer, KroneckerDelta, Mod, Mul, Piecewise, Symbol, floor

from .binders import Binder
from .errors import IndexingError, ShapeError
from .guards import Guard
from .indices import Dim
from .ranges import Ranges, bounds, is_never_negative
from .tensors import Tensor, elements, indices_of, tensor_of, with_letters


def check_places(name: str, body: Any, ranges: Ranges, guards: tuple[Expr, ...] = ()) -> None:
    """Check every element that `body` reads; `guards` are what is known to be at least 0 where it stands.

    Raises
    ------
    IndexingError, ShapeError
        If a position is no affine expression, or can leave its axis where no guard stands.
    """
    if isinstance(body, Binder):
        inner, pairs = body.open()
        check_places(name, inner, {**ranges, **dict(pairs)}, guards)
        return
    if isinstance(body, Indexed):
        for axis, place in enumerate(body.indices):
            _check_place(name, body, axis, place, ranges, guards)
        return
    if isinstance(body, Mul):
        guards += tuple(factor.args[0] for factor in body.args if isinstance(factor, Guard))
    if isinstance(body, Piecewise):
        known = guards
        for value, condition in body.args:
            check_places(name, value, ranges, known + _guarded_by(condition))
            check_places(name, condition, ranges, known)
            known += _guarded_by(sympy.Not(condition))
        return
    for arg in body.args:
        check_places(name, arg, ranges, guards)


def fixed_places(body: Expr) -> list[Expr]:
    """What is at least 0 because `body` reads fixed positions: n - 3 where it reads x[i, 2] of an axis of n."""
    if body.has(Guard, Piecewise):
        return []
    places = [pair for e in elements(body) for pair in zip(indices_of(e), tensor_of(e).shape, strict=True)]
    return [size - 1 - place for place, size in places if place.is_Integer and not size.is_Integer and place > 0]


def _guarded_by(condition: Any) -> tuple[Expr, ...]:
    """What is at least 0 where a condition on indices holds."""
    parts = condition.args if isinstance(condition, sympy.And) else (condition,)
    known = []
    for part in parts:
        if isinstance(part, sympy.core.relational.Relational) and (part.lhs - part.rhs).is_integer:
            apart = part.lhs - part.rhs
            known += {
                sympy.StrictGreaterThan: [apart - 1],
                sympy.GreaterThan: [apart],
                sympy.StrictLessThan: [-apart - 1],
                sympy.LessThan: [-apart],
                sympy.Equality: [apart, -apart],
            }.get(type(part), [])
    return tuple(known)


def _check_place(name: str, node: Indexed, axis: int, place: Expr, ranges: Ranges, guards: tuple[Expr, ...]) -> None:
    tensor = node.base.label
    size = tensor.shape[axis]
    if isinstance(place, Integer):
        if place < 0 or (isinstance(size, Integer) and place >= size):
            raise IndexingError(f"{name}: {node} is out of range: axis {axis} of {tensor} has size {size}")
        return
    if elements(place) == [place] and tensor_of(place).classes is not None:
        if tensor_of(place).classes != size:
            raise ShapeError(
                f"{name}: {node} picks with {tensor_of(place).name}, whose labels run over {tensor_of(place).classes}, "
                f"along an axis of size {size}"
            )
        return
    if isinstance(place, Symbol) and not isinstance(place, Tensor | Dim):
        return  # one size per index is checked with the index
    shown = with_letters(node)
    if not _is_affine(place):
        raise IndexingError(
            f"{name}: index {shown.indices[axis]} in {shown} is not read: expected a plain index, a whole number, "
            "whole steps of indices such as 2*i + k - 1, a quotient i//n or remainder i % n, or an element of an "
            "integer tensor (declared with classes=…)"
        )
    found = bounds(place, ranges)
    if found is None:
        raise IndexingError(
            f"{name}: how far {shown.indices[axis]} runs in {shown} is not known; give whole numbers or sizes "
            "from dims() as its steps"
        )
    below = is_never_negative(found[0]) or _implied(place, guards)
    above = is_never_negative(size - 1 - found[1]) or _implied(size - 1 - place, guards)
    if not (below and above):
        raise IndexingError(
            f"{name}: {shown} leaves axis {axis} of {tensor}, of size {size}: {shown.indices[axis]} runs from "
            f"{found[0]} to {found[1]}; write gl.padded({shown}) where 0 is meant beyond the edge, or change the ranges"
        )


def _implied(bound: Expr, guards: tuple[Expr, ...]) -> bool:
    return any(is_never_negative(bound - guard) for guard in guards)


def _is_affine(place: Any) -> bool:
    """Whether a position is made of whole steps of indices and sizes, with quotients and remainders."""
    if place.atoms(Tensor) or not all(isinstance(s, Symbol) and s.is_integer for s in place.free_symbols):
        return False
    if isinstance(place, floor):
        top, step = sympy.fraction(sympy.together(place.args[0]))
        return _is_affine(top) and _is_step(step)
    if isinstance(place, Mod):
        return _is_affine(place.args[0]) and _is_step(place.args[1])
    if isinstance(place, sympy.Add):
        return all(_is_affine(term) for term in place.args)
    if isinstance(place, Mul):
        moving = [factor for factor in place.args if _positions(factor)]
        return len(moving) <= 1 and all(map(_is_affine, place.args))
    if isinstance(place, sympy.Pow):
        return not _positions(place) and bool(place.exp.is_Integer and place.exp > 0)
    return isinstance(place, Integer | Symbol)


def _is_step(step: Any) -> bool:
    """Whether quotients by `step` are what they look like: it is no position, and not negative for any sizes."""
    return not _positions(step) and is_never_negative(step)


def _positions(expr: Any) -> list[Any]:
    return [symbol for symbol in expr.free_symbols if not isinstance(symbol, Dim)]


def check_labels(name: str, body: Expr, integers: set[Tensor]) -> None:
    """Labels are compared (KroneckerDelta) or index an axis; arithmetic on them has no meaning.

    Raises
    ------
    IndexingError
    """
    stack = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, KroneckerDelta):
            continue
        if isinstance(node, Indexed):
            if node.base.label in integers:
                raise IndexingError(
                    f"{name}: {node} holds class labels and stands as a number; "
                    f"use it as an index, or gl.one_hot({node}, c)"
                )
            continue
        if node in integers:
            raise IndexingError(f"{name}: {node} holds a class label and stands as a number; use gl.one_hot({node}, c)")
        stack.extend(node.args)
