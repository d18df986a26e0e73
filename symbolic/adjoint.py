"""The adjoint of one equation: reverse mode, one equation at a time.

For ``T[o] = body`` and the adjoint of T, each element ``U[g]`` that the body reads adds to the adjoint of U
``Σ_o dT[o] ∂body/∂U[g]`` with the Kronecker delta ``p = g`` solved for the indices it binds, never built. What cannot
be solved (an index read from data, a fixed position) stays as a delta.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sympy import Basic, Dummy, Expr, KroneckerDelta, Symbol

from .binders import ArgMax, Binder, Max, Sum, rename_free
from .equations import Equation
from .errors import UnsupportedError
from .reuse import derivative
from .tensors import Tensor, element_of, elements, indices_of, is_element, tensor_of

Pairs = list[tuple[Symbol, Expr]]


@dataclass(frozen=True)
class Contribution:
    """What one reading of `tensor` adds to its adjoint at `where`, before compaction."""

    tensor: Tensor
    where: tuple[Symbol, ...]
    term: Expr
    through: Equation


def contributions(
    equation: Equation,
    cotangent: Expr,
    wanted: Collection[Tensor],
    home: Callable[[Tensor], tuple[Symbol, ...]],
) -> Iterator[Contribution]:
    """What `equation` passes back, given the adjoint `cotangent` of its target, written with the equation's indices.

    Parameters
    ----------
    wanted : the tensors whose adjoints are wanted
    home : the indices with which each adjoint is written

    Raises
    ------
    UnsupportedError
        If the body holds a node that the engine has no rule for.
    """
    # Dummies for the equation's own indices: the letters of the result may be any.
    fresh = {index: Dummy(index.name, integer=True) for index in equation.indices}
    bound: Pairs = [(fresh[i], size) for i, size in zip(equation.indices, equation.target.shape, strict=True)]
    body, start = rename_free(equation.body, fresh), rename_free(cotangent, fresh)
    value = element_of(equation.target, tuple(fresh.values()))
    for element, term, pairs in partials(body, value, start, bound, wanted):
        tensor = tensor_of(element)
        where = home(tensor)
        yield Contribution(tensor, where, _solve(element, term, pairs, where), equation)


def partials(
    body: Expr, value: Expr | None, cotangent: Expr, bound: Pairs, wanted: Collection[Tensor]
) -> Iterator[tuple[Expr, Expr, Pairs]]:
    """Each wanted element in `body`, with cotangent times partial derivative, and the indices it is summed over.

    Reverse mode starts from the adjoint of the target and sums over the target's indices as well; forward mode starts
    from 1. `value` is an element that is equal to `body`, where there is one.
    """
    nodes = list(_variables(body))
    masks = {node: Dummy(f"v{place}", real=True) for place, node in enumerate(nodes)}
    masked = body.xreplace(masks)
    mark = Dummy("value", real=True)
    back: dict[Basic, Basic] = {mask: node for node, mask in masks.items()} | {mark: body if value is None else value}
    for node in nodes:
        if not any(tensor_of(element) in wanted for element in ([node] if is_element(node) else elements(node))):
            continue  # what an index is read from, or found by, moves in steps
        partial = derivative(masked, masks[node], mark).xreplace(back)
        if partial == 0:
            continue
        if is_element(node):
            yield node, cotangent * partial, bound
            continue
        if isinstance(node, ArgMax) or not isinstance(node, Sum | Max):
            raise UnsupportedError(f"{equation_name(value)}: {node} cannot be differentiated")
        inner, pairs = node.open()
        if isinstance(node, Max):
            # Only the first maximum passes the gradient on.
            partial = partial * KroneckerDelta(pairs[0][0], ArgMax(inner, *pairs))
        yield from partials(inner, None, cotangent * partial, [*bound, *pairs], wanted)


def _variables(body: Expr) -> Iterator[Expr]:
    """The outermost elements and binders of `body`, each once, in a fixed order."""
    seen: dict[Expr, None] = {}
    stack: list[Any] = [body]
    while stack:
        node = stack.pop()
        if is_element(node) or isinstance(node, Binder):
            seen.setdefault(node)
        elif not isinstance(node, KroneckerDelta):
            stack.extend(reversed(node.args))
    return iter(seen)


def _solve(element: Expr, term: Expr, pairs: Pairs, where: tuple[Symbol, ...]) -> Expr:
    """Σ over `pairs` of `term` where `element` stands at `where`, the delta solved for the indices it binds."""
    summed = {index for index, _ in pairs}
    solved: dict[Any, Any] = {}
    unsolved = []
    for place, position in zip(indices_of(element), where, strict=True):
        if place in summed and place not in solved:
            solved[place] = position
        else:
            unsolved.append((position, place))
    for position, place in unsolved:
        term = term * KroneckerDelta(position, place)
    return Sum(rename_free(term, solved), *((index, size) for index, size in pairs if index not in solved))


def equation_name(value: Expr | None) -> str:
    return "the equation" if value is None else f"the equation of {tensor_of(value).name}"
