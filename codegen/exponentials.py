"""Taking products and sums of exponentials apart."""

from __future__ import annotations

from functools import reduce

from sympy import Add, Expr, Integer, Mul, cosh, exp, log

from ..symbolic.binders import Max, Sum
from .stable_functions import LogAddExp


def split(product: Expr) -> tuple[Expr, list[Expr]]:
    """The exponents of all exponentials in a product, added up, and its other factors."""
    exponent, factors = Integer(0), []
    for factor in Mul.make_args(product):
        if isinstance(factor, exp):
            exponent = exponent + factor.args[0]
        else:
            factors.append(factor)
    return exponent, factors


def exponential_terms(expr: Expr) -> list[tuple[Expr, Expr]] | None:
    """`expr` as terms c exp(u), c a positive number, at least one u not 0: pairs (c, u); None if it is not that."""
    pairs = []
    for term in Add.make_args(expr):
        factor, node = term.as_coeff_Mul()
        if node == 1:
            node = exp(0)
        if isinstance(node, cosh):
            pairs += [(factor / 2, node.args[0]), (factor / 2, -node.args[0])]
        elif isinstance(node, exp):
            pairs.append((factor, node.args[0]))
        elif node.is_number and (factor * node).is_positive:
            pairs.append((factor * node, Integer(0)))
        else:
            return None
        if not pairs[-1][0].is_positive:
            return None
    return pairs if any(exponent != 0 for _, exponent in pairs) else None


def log_of_sum(terms: list[tuple[Expr, Expr]]) -> Expr:
    """The logarithm of Σ c exp(u), of the pairs (c, u)."""
    first, *others = (exponent + log(factor) for factor, exponent in terms)
    return reduce(LogAddExp, others, first)


def shift(total: Sum) -> tuple[Expr, Expr] | None:
    """``(m, Σ c exp(u - m))`` so that ``total == exp(m) Σ c exp(u - m)`` and no exponent is positive."""
    body, pairs = total.open()
    exponent, rest = split(body)
    bound = [index for index, _ in pairs]
    varying = Add(*(term for term in Add.make_args(exponent) if term.has(*bound)))
    if varying == 0:
        return None
    largest = Max(varying, *pairs)
    return exponent - varying + largest, Sum(Mul(exp(varying - largest), *rest), *pairs)
