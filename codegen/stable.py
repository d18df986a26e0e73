"""Numerically stable forms, chosen on raw SymPy expressions before anything is lowered.

`RULES` is a flat table. Each rule takes one node whose arguments are stable already, and returns an equal expression
that neither overflows nor cancels where the node does, or None. Under a logarithm the definitions of tensors are put
in first (log p with p a softmax), since the rounded value has lost what the logarithm needs.

The forms are the textbook ones: log-sum-exp and softmax shifted by the maximum (Blanchard, Higham and Higham 2021),
softplus and log(1 ± x) by ``logaddexp`` and ``log1p``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy import Add, Expr, Indexed, Integer, Mul, Pow, cosh, exp, log, sinh, tanh

from ..symbolic.binders import Binder, Max, Sum
from ..symbolic.equations import Equation
from ..symbolic.functions import Elementwise
from ..symbolic.tensors import Tensor, elements, indices_of, is_element, tensor_of

Definitions = Mapping[Tensor, Equation]


class _Stable(sympy.Function):
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption


class Logistic(_Stable):
    """``1 / (1 + exp(-u))``."""


class LogAddExp(_Stable):
    """``log(exp(u) + exp(v))``; with u = 0, softplus(v)."""


class Log1p(_Stable):
    """``log(1 + u)``."""


class Expm1(_Stable):
    """``exp(u) - 1``."""


def stabilise(expr: Any, definitions: Definitions) -> Any:
    """`expr` with named functions expanded and every rule applied, from the leaves up."""
    if is_element(expr) or isinstance(expr, Indexed) or not expr.args:
        return expr
    if isinstance(expr, Elementwise):
        return stabilise(expr.expand_definition(), definitions)
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        return expr.func(stabilise(body, definitions), *pairs)
    node = expr.func(*(stabilise(arg, definitions) for arg in expr.args))
    for rule in RULES:
        changed = rule(node, definitions)
        if changed is not None:
            return changed
    return node


# ---- logarithms ------------------------------------------------------------------------------------------------


def _logarithm(node: Any, definitions: Definitions) -> Expr | None:
    if not isinstance(node, log):
        return None
    argument = node.args[0]
    for _ in range(4):  # a definition may stand on another: p = e / s, e = exp(z)
        found = _log(argument)
        if found is not None:
            return found
        inlined = _inline(argument, definitions)
        if inlined == argument:
            break
        argument = inlined
    plain = node.args[0]
    if isinstance(plain, Add) and Integer(1) in plain.args:
        return Log1p(plain - 1)  # type: ignore[no-any-return]
    return None


def _inline(expr: Any, definitions: Definitions) -> Any:
    """Put in the definitions of the tensors that are made of exponentials."""
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        return expr.func(_inline(body, definitions), *pairs)
    if is_element(expr):
        equation = definitions.get(tensor_of(expr))
        if equation is None or not equation.body.has(exp, tanh, cosh, Elementwise):
            return expr
        return stabilise(equation.at(indices_of(expr)), definitions)
    return expr.func(*(_inline(arg, definitions) for arg in expr.args)) if expr.args else expr


def _log(argument: Any) -> Expr | None:
    """The logarithm of `argument` if exponentials are what it is made of, else None."""
    if isinstance(argument, exp):
        return argument.args[0]  # type: ignore[no-any-return]
    if isinstance(argument, Logistic):
        return -LogAddExp(0, -argument.args[0])
    if isinstance(argument, cosh):
        return LogAddExp(argument.args[0], -argument.args[0]) - log(2)
    if isinstance(argument, Sum):
        shifted = _shift(argument)
        return None if shifted is None else shifted[0] + log(shifted[1])
    if isinstance(argument, Add):
        return _log_of_terms(argument)
    if isinstance(argument, Mul | Pow):
        logs, rest = [], []
        for factor in Mul.make_args(argument):
            base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
            found = _log(base)
            (rest if found is None else logs).append(factor if found is None else power * found)
        if logs:
            # What is left of the argument must be positive, as all of it must.
            return Add(*logs, log(Mul(*rest)) if rest else 0)  # type: ignore[no-any-return]
    return None


def _log_of_terms(argument: Add) -> Expr | None:
    one_minus = _complement(argument)
    if one_minus is not None:
        return _log(one_minus)
    terms = _exponential_terms(argument)
    if terms is None:
        return None
    total = None
    for factor, exponent in terms:
        shifted = exponent + log(factor)
        total = shifted if total is None else LogAddExp(total, shifted)
    return total


def _complement(expr: Add) -> Expr | None:
    """``c (1 - Logistic(u))`` is ``c Logistic(-u)``; ``c (1 ± tanh(u))`` is ``2 c Logistic(±2 u)``."""
    if len(expr.args) != 2 or not expr.args[0].is_Number:
        return None
    number, other = expr.args
    ratio, node = (other / number).as_coeff_Mul()
    if isinstance(node, Logistic) and ratio == -1:
        return number * Logistic(-node.args[0])  # type: ignore[no-any-return]
    if isinstance(node, tanh) and ratio in (1, -1):
        return 2 * number * Logistic(2 * ratio * node.args[0])  # type: ignore[no-any-return]
    return None


# ---- quotients of exponentials ---------------------------------------------------------------------------------


def _reciprocal(node: Any, _: Definitions) -> Expr | None:
    """``1 / (c + d exp(u))`` is a logistic function."""
    if not (isinstance(node, Pow) and isinstance(node.base, Add) and node.exp.is_Integer and node.exp < 0):
        return None
    terms = _exponential_terms(node.base)
    if terms is None or len(terms) != 2 or all(exponent != 0 for _, exponent in terms):
        return None
    (c, _zero), (d, exponent) = sorted(terms, key=lambda term: term[1] != 0)
    return (Logistic(-exponent - log(d / c)) / c) ** -node.exp  # type: ignore[no-any-return]


def _quotient(node: Any, definitions: Definitions) -> Expr | None:
    """A product in which an exponential and what it is divided by both overflow, as one that cannot."""
    if not isinstance(node, Mul):
        return None
    exponent, factors = _split(node)
    for place, factor in enumerate(factors):
        base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
        if not power.is_Integer:
            continue
        rest = [*factors[:place], *factors[place + 1 :]]
        if isinstance(base, Logistic) and power > 0:
            found = _times_logistic(exponent, base, [*rest, base ** (power - 1)], definitions)
        elif isinstance(base, Add) and power < 0:
            found = _over_exponentials(exponent, base, [*rest, base ** (power + 1)])
        else:
            continue
        if found is not None:
            return _quotient(found, definitions) or found
    return None


def _split(product: Expr) -> tuple[Expr, list[Expr]]:
    """The exponents of all exponentials in a product, added up, and its other factors."""
    exponent, factors = Integer(0), []
    for factor in Mul.make_args(product):
        if isinstance(factor, exp):
            exponent = exponent + factor.args[0]
        else:
            factors.append(factor)
    return exponent, factors


def _times_logistic(exponent: Expr, logistic: Logistic, rest: list[Expr], definitions: Definitions) -> Expr | None:
    """``exp(-u) Logistic(u)`` is ``Logistic(-u)``, and ``expm1(u) Logistic(-u)`` is ``tanh(u / 2)``."""
    u = logistic.args[0]
    # exp(-2u) may stand over a square: then one round takes one u from it, the next the other.
    if exponent != 0 and any((exponent + times * u).is_number for times in (1, 2, 3)):
        return Mul(exp(exponent + u), Logistic(-u), *rest)  # type: ignore[no-any-return]
    for place, factor in enumerate(rest):
        others = [*rest[:place], *rest[place + 1 :]]
        if factor == Expm1(-u):
            return Mul(exp(exponent), tanh(-u / 2), *others)  # type: ignore[no-any-return]
        if isinstance(factor, Add) and any(term.has(exp) for term in factor.args):
            common = Mul(exp(exponent), logistic, *others)
            return Add(*(stabilise(term * common, definitions) for term in factor.args))  # type: ignore[no-any-return]
    return None


def _over_exponentials(exponent: Expr, bottom: Add, rest: list[Expr]) -> Expr | None:
    """The product over `bottom`, which is c exp(v) + d exp(w), as a tanh or a logistic function."""
    terms = _exponential_terms(bottom)
    if terms is None or len(terms) != 2:
        return None
    for (c, v), (d, w) in (terms, terms[::-1]):
        difference = c * exp(v) - d * exp(w)
        if c == d and difference in rest:
            others = [factor for factor in rest if factor != difference]
            return Mul(exp(exponent), tanh((v - w) / 2), *others)  # type: ignore[no-any-return]
    for (c, v), (d, w) in (terms, terms[::-1]):
        if exponent != 0 and (exponent - v).is_number:
            return Mul(exp(exponent - v), Logistic(v - w + log(c / d)) / c, *rest)  # type: ignore[no-any-return]
    return None


def _exponential_terms(expr: Expr) -> list[tuple[Expr, Expr]] | None:
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


def _softmax(node: Any, _: Definitions) -> Expr | None:
    """A product of exponentials and sums of exponentials, each shifted by the maximum of its exponents."""
    if not isinstance(node, Mul):
        return None
    exponent, factors = _split(node)
    rest, shifts = [], []
    for factor in factors:
        base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
        shifted = _shift(base) if isinstance(base, Sum) else None
        rest.append(factor if shifted is None else shifted[1] ** power)
        if shifted is not None:
            shifts.append(power * shifted[0])
    # One sum alone has nothing to be shifted against.
    if len(shifts) + (exponent != 0) < 2 or not shifts:
        return None
    return Mul(exp(exponent + Add(*shifts)), *rest)  # type: ignore[no-any-return]


def _shift(total: Sum) -> tuple[Expr, Expr] | None:
    """``(m, Σ c exp(u - m))`` so that ``total == exp(m) Σ c exp(u - m)`` and no exponent is positive."""
    body, pairs = total.open()
    exponent, rest = _split(body)
    bound = [index for index, _ in pairs]
    varying = Add(*(term for term in Add.make_args(exponent) if term.has(*bound)))
    if varying == 0:
        return None
    largest = Max(varying, *pairs)
    return exponent - varying + largest, Sum(Mul(exp(varying - largest), *rest), *pairs)


# ---- small differences -----------------------------------------------------------------------------------------


def _exponential_less_one(node: Any, _: Definitions) -> Expr | None:
    """``c exp(u) - c`` is ``c expm1(u)``."""
    if not isinstance(node, Add) or not node.args[0].is_Number:
        return None
    for term in node.args[1:]:
        factor, other = term.as_coeff_Mul()
        if isinstance(other, exp) and factor == -node.args[0]:
            return node - term - node.args[0] + factor * Expm1(other.args[0])  # type: ignore[no-any-return]
    return None


def _hyperbolic(node: Any, _: Definitions) -> Expr | None:
    """``sinh(u) / cosh(u)`` is ``tanh(u)``: both overflow where it does not."""
    if not isinstance(node, Mul):
        return None
    powers = node.as_powers_dict()
    for base in node.atoms(sinh):
        below = cosh(base.args[0])
        if powers.get(base, 0) == 1 and powers.get(below, 0) <= -1:
            return node / base * below * tanh(base.args[0])  # type: ignore[no-any-return]
    return None


RULES: tuple[Callable[[Any, Definitions], Expr | None], ...] = (
    _logarithm,
    _hyperbolic,
    _reciprocal,
    _quotient,
    _softmax,
    _exponential_less_one,
)
