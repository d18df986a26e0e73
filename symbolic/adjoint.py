"""The adjoint of one equation: reverse mode, one equation at a time.

For ``T[o] = body`` and the adjoint of T, each element ``U[g]`` that the body reads adds to the adjoint of U
``Σ_o dT[o] ∂body/∂U[g]`` with the Kronecker delta ``p = g`` solved for the indices it binds (see `solve`), never built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sympy import Basic, Dummy, Expr, Integer, KroneckerDelta, Mul, Symbol

from .binders import ArgMax, Binder, Max, Sum, rename_free
from .equations import Equation
from .errors import UnsupportedError
from .guards import Guard
from .held import held
from .ranges import within
from .reuse import derivative
from .solve import Pairs, solve
from .tensors import Tensor, element_of, elements, indices_of, is_element, tensor_of


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
    reads: Callable[[Expr], bool] = lambda element: True,
) -> Iterator[Contribution]:
    """What `equation` passes back, given the adjoint `cotangent` of its target, written with the equation's indices.

    Parameters
    ----------
    wanted : the tensors whose adjoints are wanted
    home : the indices with which each adjoint is written
    reads : which of the elements that the equation reads, as they stand in it, to pass back to; by default all

    Raises
    ------
    UnsupportedError
        If the body holds a node that the engine has no rule for.
    """
    fresh, bound, body = with_fresh_indices(equation)
    start = rename_free(cotangent, fresh)
    value = element_of(equation.target, tuple(fresh.values()))
    back = {mark: index for index, mark in fresh.items()}
    for element, term, pairs in partials(body, value, start, bound, wanted):
        if not reads(rename_free(element, back)):
            continue
        tensor = tensor_of(element)
        where = home(tensor)
        yield Contribution(tensor, where, _solve(element, term, pairs, where), equation)


def with_fresh_indices(equation: Equation) -> tuple[dict[Symbol, Symbol], Pairs, Expr]:
    """Dummies for an equation's own indices, since the letters of the result may be any; their ranges; the body."""
    fresh = {index: Dummy(index.name, integer=True) for index in equation.indices}
    bound: Pairs = [(fresh[i], size) for i, size in zip(equation.indices, equation.target.shape, strict=True)]
    return fresh, bound, rename_free(equation.body, fresh)


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
    """The outermost elements and binders of `body`, each once, in a fixed order; not those that are held."""
    seen: dict[Expr, None] = {}
    stack: list[Any] = [body]
    while stack:
        node = stack.pop()
        if is_element(node) or isinstance(node, Binder):
            seen.setdefault(node)
        elif not isinstance(node, KroneckerDelta | held):
            stack.extend(reversed(node.args))
    return iter(seen)


def _solve(element: Expr, term: Expr, pairs: Pairs, where: tuple[Symbol, ...]) -> Expr:
    """Σ over `pairs` of `term` where `element` stands at `where`, solved for the indices that this gives."""
    shape = tensor_of(element).shape
    # Where the element stands at a position of the adjoint, it is inside: guards that say so say nothing.
    places = [pair for pair in zip(indices_of(element), shape, strict=True) if pair[0].args and not is_element(pair[0])]
    known = {guard: Integer(1) for place, size in places for guard in (Guard(place), Guard(size - 1 - place))}
    term = term.xreplace(known) if places else term
    ranges = dict(zip(where, shape, strict=True))
    solved = solve(indices_of(element), where, pairs, ranges)
    total = Sum(rename_free(term, solved.values) * Mul(*solved.factors), *solved.left)
    return within(total, ranges)


def equation_name(value: Expr | None) -> str:
    return "the equation" if value is None else f"the equation of {tensor_of(value).name}"
