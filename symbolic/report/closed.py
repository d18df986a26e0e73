"""A chain with everything put in: the gradient of one entry in forward values alone."""

from __future__ import annotations

from sympy import Expr, Integer

from ..binders import Sum, rename_free
from ..errors import UnsupportedError
from ..tensors import tensor_of
from .links import Branching, Walk


def closed(branchings: list[Branching], walk: Walk) -> Expr:
    """The first of `branchings` with all others put in: an expression in forward values alone.

    Raises
    ------
    UnsupportedError
        If a gradient depends on itself at another step of a recurrence.
    """
    by_key = {(tensor_of(b.element), tuple(getattr(b.element, "indices", ()))): b for b in branchings}

    def put_in(branching: Branching, inside: tuple[Branching, ...]) -> Expr:
        if branching in inside:
            raise UnsupportedError(
                f"the gradient of {branching.element} depends on itself at another step of the recurrence: it has no "
                "closed form; evaluate the derivation's equations"
            )
        total: Expr = Integer(0)
        for path in branching.paths:
            product = path.product
            if path.rest is not None:
                stated = by_key[walk.stated(path.rest)]
                value = put_in(stated, (*inside, branching))
                # The letters of the statement become the positions of this path, all at once.
                here = tuple(getattr(stated.element, "indices", ()))
                there = tuple(getattr(path.rest, "indices", ()))
                names = {a: b for a, b in zip(here, there, strict=True) if not isinstance(a, Integer)}
                product = product.xreplace({path.rest: rename_free(value, names)})
            total += Sum(product, *path.summed)
        return total

    return put_in(branchings[0], ())
