"""Rules for sums that cancel: the small difference of two large terms is computed by itself, exactly."""

from __future__ import annotations

from itertools import product
from typing import Any

from sympy import Add, Expr, Indexed, Mul, erf, exp

from ..symbolic.binders import Max, rename_free
from ..symbolic.tensors import elements, indices_of, tensor_of
from .stable_functions import Difference, Erfc, Expm1


def below_maximum(node: Any) -> Expr | None:
    """``z[j] - Max_k z[k] - log S`` as ``(z[j] - Max_k z[k]) - log S``, in this order of operations.

    The first difference is exact, or nearly; ``z[j] - log S`` first would round to the digits of a large z[j].
    """
    if not isinstance(node, Add):
        return None
    for term in node.args:
        factors = Mul.make_args(term)
        for largest in [factor for factor in factors if isinstance(factor, Max)]:
            scale = -Mul(*(factor for factor in factors if factor != largest))
            others = [other for other in node.args if other != term]
            for entry in _entries(largest, others):
                parts = [scale * part for part in Add.make_args(entry)]
                left = [other for other in others if other not in parts]
                # With nothing left it is a plain difference already.
                if left and len(left) + len(parts) == len(others):
                    return Add(*left, scale * Difference(entry, largest))
    return None


def _entries(largest: Max, others: list[Expr]) -> list[Expr]:
    """What `largest` is the maximum of, at the places at which `others` read the same tensors."""
    body, bound = largest, []
    while isinstance(body, Max):
        body, pairs = body.open()
        bound += [index for index, _ in pairs]
    read = elements(Add(*others, evaluate=False))
    places: list[dict[Any, None]] = [{} for _ in bound]
    for element in elements(body):
        for axis, at in enumerate(indices_of(element)):
            if at in bound:
                same = [
                    other for other in read if isinstance(other, Indexed) and tensor_of(other) == tensor_of(element)
                ]
                places[bound.index(at)].update(dict.fromkeys(indices_of(other)[axis] for other in same))
    return [rename_free(body, dict(zip(bound, where, strict=True))) for where in product(*places)]


def error_function(node: Any) -> Expr | None:
    """``c + c erf(u)`` is ``c erfc(-u)`` and ``c - c erf(u)`` is ``c erfc(u)``, among whatever other terms."""
    if not isinstance(node, Add):
        return None
    for term in node.args:
        factors = Mul.make_args(term)
        for function in [factor for factor in factors if isinstance(factor, erf)]:
            scale = Mul(*(factor for factor in factors if factor != function))
            for constant, argument in ((scale, -function.args[0]), (-scale, function.args[0])):
                if constant in node.args:
                    left = [other for other in node.args if other not in (term, constant)]
                    return Add(*left, constant * Erfc(argument))
    return None


def exponential_less_one(node: Any) -> Expr | None:
    """``c exp(u) - c`` is ``c expm1(u)``."""
    if not isinstance(node, Add) or not node.args[0].is_Number:
        return None
    for term in node.args[1:]:
        factor, other = term.as_coeff_Mul()
        if isinstance(other, exp) and factor == -node.args[0]:
            return node - term - node.args[0] + factor * Expm1(other.args[0])
    return None
