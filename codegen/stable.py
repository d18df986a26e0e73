"""Numerically stable forms, chosen on raw SymPy expressions before anything is lowered.

`RULES` is a flat table. Each rule takes one node whose arguments are stable already, and returns an equal expression
that neither overflows nor cancels where the node does, or None. A logarithm has rules of its own: under it the
definitions of tensors are put in first (log p with p a softmax), since the rounded value has lost what it needs.

The forms are the textbook ones: log-sum-exp and softmax shifted by the maximum (Blanchard, Higham and Higham 2021),
softplus and log(1 ± x) by ``logaddexp`` and ``log1p``, 1 ± erf(x) by ``erfc``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sympy import Add, Expr, Indexed, Integer, Mul, Pow, cosh, exp, log, sinh, tanh

from ..symbolic.binders import Binder, Sum, plain_conditions
from ..symbolic.equations import Equation
from ..symbolic.functions import Elementwise
from ..symbolic.held import held
from ..symbolic.tensors import Tensor, elements, indices_of, is_element, tensor_of
from .differences import below_maximum, error_function, exponential_less_one
from .exponentials import exponential_terms, log_of_sum, shift, split
from .quotients import quotient, reciprocal
from .stable_functions import Log1p, LogAddExp, Logistic

Definitions = Mapping[Tensor, Equation]


def stabilise(expr: Any, definitions: Definitions) -> Any:
    """`expr` with named functions expanded and every rule applied, from the leaves up."""
    if isinstance(expr, Indexed) and expr.has(Binder):
        return tensor_of(expr)[tuple(stabilise(place, definitions) for place in expr.indices)]
    if is_element(expr) or isinstance(expr, Indexed) or not expr.args:
        return expr
    if isinstance(expr, Elementwise):
        return stabilise(expr.expand_definition(), definitions)
    if isinstance(expr, held):
        return stabilise(expr.args[0], definitions)
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        return expr.func(stabilise(body, definitions), *pairs)
    # A definition that is a Piecewise may now stand in a condition.
    node = plain_conditions(expr.func(*(stabilise(arg, definitions) for arg in expr.args)))
    if isinstance(node, log):
        node = _logarithm(node, definitions)
    return next((changed for rule in RULES if (changed := rule(node)) is not None), node)


# ---- logarithms ------------------------------------------------------------------------------------------------


def _logarithm(node: log, definitions: Definitions) -> Expr:
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
        return Log1p(plain - 1)
    return node


def _inline(expr: Any, definitions: Definitions) -> Any:
    """Put in the definitions of the tensors that are made of exponentials."""
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        return expr.func(_inline(body, definitions), *pairs)
    if is_element(expr):
        if not _made_of_exponentials(tensor_of(expr), definitions):
            return expr
        return stabilise(definitions[tensor_of(expr)].at(indices_of(expr)), definitions)
    return expr.func(*(_inline(arg, definitions) for arg in expr.args)) if expr.args else expr


def _made_of_exponentials(tensor: Tensor, definitions: Definitions) -> bool:
    """Whether `tensor` is defined by exponentials, itself or through others; not through a matrix product."""
    equation = definitions.get(tensor)
    if equation is None or equation.body.has(exp, tanh, cosh, Elementwise):
        return equation is not None
    if any(len(elements(total.body)) > 1 for total in equation.body.atoms(Sum)):
        return False
    return any(_made_of_exponentials(other, definitions) for other in equation.reads)


def _log(argument: Any) -> Expr | None:
    """The logarithm of `argument` if exponentials are what it is made of, else None."""
    if isinstance(argument, exp):
        return argument.args[0]
    if isinstance(argument, Logistic):
        return -LogAddExp(0, -argument.args[0])
    if isinstance(argument, cosh):
        return LogAddExp(argument.args[0], -argument.args[0]) - log(2)
    if isinstance(argument, Sum):
        shifted = shift(argument)
        return None if shifted is None else shifted[0] + log(shifted[1])
    if isinstance(argument, Add):
        return _log_of_terms(argument)
    if isinstance(argument, Mul | Pow):
        logs: list[Expr] = []
        rest: list[Expr] = []
        for factor in Mul.make_args(argument):
            base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
            found = _log(base)
            (rest if found is None else logs).append(factor if found is None else power * found)
        if logs:
            # What is left of the argument must be positive, as all of it must.
            return Add(*logs, log(Mul(*rest)) if rest else 0)
    return None


def _log_of_terms(argument: Add) -> Expr | None:
    one_minus = _complement(argument)
    if one_minus is not None:
        return _log(one_minus)
    terms = exponential_terms(argument)
    return None if terms is None else log_of_sum(terms)


def _complement(expr: Add) -> Expr | None:
    """``c (1 - Logistic(u))`` is ``c Logistic(-u)``; ``c (1 ± tanh(u))`` is ``2 c Logistic(±2 u)``."""
    if len(expr.args) != 2 or not expr.args[0].is_Number:
        return None
    number, other = expr.args
    ratio, node = (other / number).as_coeff_Mul()
    if isinstance(node, Logistic) and ratio == -1:
        return number * Logistic(-node.args[0])
    if isinstance(node, tanh) and ratio in (1, -1):
        return 2 * number * Logistic(2 * ratio * node.args[0])
    return None


# ---- softmax, and hyperbolic quotients ----------------------------------------------------------------------------


def _softmax(node: Any) -> Expr | None:
    """A product of exponentials and sums of exponentials, each shifted by the maximum of its exponents."""
    if not isinstance(node, Mul):
        return None
    exponent, factors = split(node)
    rest, shifts = [], []
    for factor in factors:
        base, power = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
        shifted = shift(base) if isinstance(base, Sum) else None
        rest.append(factor if shifted is None else shifted[1] ** power)
        if shifted is not None:
            shifts.append(power * shifted[0])
    # One sum alone has nothing to be shifted against.
    if len(shifts) + (exponent != 0) < 2 or not shifts:
        return None
    return Mul(exp(exponent + Add(*shifts)), *rest)


def _hyperbolic(node: Any) -> Expr | None:
    """``sinh(u) / cosh(u)`` is ``tanh(u)``: both overflow where it does not."""
    if not isinstance(node, Mul):
        return None
    powers = node.as_powers_dict()
    for base in node.atoms(sinh):
        below = cosh(base.args[0])
        if powers.get(base, 0) == 1 and powers.get(below, 0) <= -1:
            return node / base * below * tanh(base.args[0])
    return None


RULES: tuple[Callable[[Any], Expr | None], ...] = (
    _hyperbolic,
    reciprocal,
    quotient,
    _softmax,
    exponential_less_one,
    error_function,
    below_maximum,
)
