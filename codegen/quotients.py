"""Quotients of exponentials as the logistic function and tanh, where numerator and denominator both overflow."""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow, exp, log, tanh

from .exponentials import exponential_terms, log_of_sum, split
from .stable_functions import Expm1, Logistic


def reciprocal(node: Any) -> Expr | None:
    """``1 / (c + d exp(u))`` is a logistic function."""
    if not (isinstance(node, Pow) and isinstance(node.base, Add) and node.exp.is_Integer and node.exp < 0):
        return None
    terms = exponential_terms(node.base)
    if terms is None or len(terms) != 2 or all(exponent != 0 for _, exponent in terms):
        return None
    (c, _zero), (d, exponent) = sorted(terms, key=lambda term: term[1] != 0)
    return (Logistic(-exponent - log(d / c)) / c) ** -node.exp


def quotient(node: Any) -> Expr | None:
    """A product in which an exponential and what it is divided by both overflow, as one that cannot."""
    if not isinstance(node, Mul):
        return None
    exponent, factors = split(node)
    for place, factor in enumerate(factors):
        base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
        if not power.is_Integer:
            continue
        rest = [*factors[:place], *factors[place + 1 :]]
        if isinstance(base, Logistic) and power > 0:
            found = _times_logistic(exponent, base, [*rest, base ** (power - 1)])
        elif isinstance(base, Add) and power < 0:
            found = _over_exponentials(exponent, base, [*rest, base ** (power + 1)])
        else:
            continue
        if found is not None:
            return quotient(found) or found
    return None


def _times_logistic(exponent: Expr, logistic: Logistic, rest: list[Expr]) -> Expr | None:
    """``exp(-u) Logistic(u)`` is ``Logistic(-u)``, and ``expm1(u) Logistic(-u)`` is ``tanh(u / 2)``."""
    u = logistic.args[0]
    # exp(-2u) may stand over a square: then one round takes one u from it, the next the other.
    if exponent != 0 and any((exponent + times * u).is_number for times in (1, 2, 3)):
        return Mul(exp(exponent + u), Logistic(-u), *rest)
    for place, factor in enumerate(rest):
        others = [*rest[:place], *rest[place + 1 :]]
        if factor == Expm1(-u):
            return Mul(exp(exponent), tanh(-u / 2), *others)
    return _spread(exponent, [logistic, *rest])


def _over_exponentials(exponent: Expr, bottom: Add, rest: list[Expr]) -> Expr | None:
    """The product over `bottom`, which is c exp(v) + d exp(w), as a tanh or a logistic function."""
    terms = exponential_terms(bottom)
    if terms is None:
        return None
    if len(terms) == 2:
        for (c, v), (d, w) in (terms, terms[::-1]):
            difference = c * exp(v) - d * exp(w)
            if c == d and difference in rest:
                others = [factor for factor in rest if factor != difference]
                return Mul(exp(exponent), tanh((v - w) / 2), *others)
        for (c, v), (d, w) in (terms, terms[::-1]):
            if exponent != 0 and (exponent - v).is_number:
                return Mul(exp(exponent - v), Logistic(v - w + log(c / d)) / c, *rest)
    # In general by the logarithm of what is divided by: no exponent is then large.
    shifted = exponent - log_of_sum(terms)
    spread = _spread(shifted, rest)
    return Mul(exp(shifted), *rest) if spread is None and exponent != 0 else spread


def _spread(exponent: Expr, factors: list[Expr]) -> Expr | None:
    """``exp(exponent)`` times the factors, put into the terms of one that adds exponentials up; None without one."""
    for place, factor in enumerate(factors):
        parts = [split(term) for term in Add.make_args(factor)]
        if isinstance(factor, Add) and any(own != 0 for own, _ in parts):
            others = [*factors[:place], *factors[place + 1 :]]
            terms = [Mul(exp(own + exponent), *factors_of, *others) for own, factors_of in parts]
            return Add(*(quotient(term) or term for term in terms))
    return None
