"""Reuse of forward values: a derivative in terms of what the forward pass has computed.

Where ``a = f(z)`` can be solved for the one transcendental in f, the derivative is written in `a`: σ′ = a(1 − a),
tanh′ = 1 − a². One mechanism, no table. `ReuseRules` does the same across the equations of a network: a softmax's
exponentials become its probabilities.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sympy
from sympy import Add, Dummy, Expr, KroneckerDelta, Piecewise, Pow, Symbol, exp, log

from .binders import Binder, Sum, axis_sizes, binders, plain_conditions, rebuilt, rename_free
from .compact import masked_arithmetic, measure, simplest
from .equations import Equation
from .errors import UnsupportedError
from .guards import Guard
from .held import held
from .indices import BoundIndex
from .tensors import Tensor, element_of, elements, is_element, tensor_of

_LARGEST_OFFSET = 10  # of the constant beside the transcendental, in multiples of the transcendental's factor
_STEPS = (sympy.floor, sympy.ceiling, sympy.sign, held, KroneckerDelta, Binder)


def derivative(body: Expr, variable: Symbol, value: Symbol) -> Expr:
    """∂body/∂variable, in terms of `value` (a symbol equal to `body`) where that saves work."""
    if isinstance(body, Piecewise):
        return Piecewise(*((derivative(branch, variable, value), condition) for branch, condition in body.args))
    # Steps are flat, and what is held is held: to the derivative they are constants (SymPy would answer with Derivative
    # and DiracDelta).
    steps = {node: Dummy("step", real=True) for node in sorted(body.atoms(*_STEPS), key=str)}
    raw = sympy.diff(body.xreplace(steps), variable).xreplace({mark: node for node, mark in steps.items()})
    unknown = raw.atoms(sympy.Derivative, sympy.Subs, sympy.DiracDelta, sympy.Heaviside)
    if unknown:
        raise UnsupportedError(
            f"{body} cannot be differentiated: SymPy knows no derivative of a function in it; "
            "define it by its formula, as in gl.elementwise(name, formula)"
        )
    candidates = [raw, raw.subs(body, value)]
    solved = solve_transcendental(body, value)
    if solved is not None and raw.has(solved[0]):
        candidates.append(raw.xreplace({solved[0]: solved[1]}))
    candidates += _folded(raw)
    forms = [simplest(candidate) for candidate in candidates]
    # A form that divides by what the derivative itself does not is 0/0 somewhere: no saving is worth that.
    allowed = _divisors(forms[0])
    return plain_conditions(min((form for form in forms if _divisors(form) <= allowed), key=_reuse_cost))


def _divisors(expr: Expr) -> set[Expr]:
    """What `expr` divides by, as symbols, elements and function values."""
    masked, masks = masked_arithmetic(expr)
    bottom = sympy.fraction(sympy.together(masked))[1]
    return {node for node, symbol in masks.items() if bottom.has(symbol)}


def _reuse_cost(expr: Expr) -> tuple[int, int]:
    transcendental = {node for node in sympy.preorder_traversal(expr) if is_transcendental(node)}
    return len(transcendental), measure(expr)


def is_transcendental(node: Any) -> bool:
    if isinstance(node, Pow):
        return not node.exp.is_Integer
    return isinstance(node, sympy.Function) and not isinstance(
        node, Piecewise | KroneckerDelta | Guard | sympy.Abs | sympy.sign | sympy.floor | sympy.Mod
    )


def solve_transcendental(body: Expr, value: Expr) -> tuple[Expr, Expr] | None:
    """Solve ``value == body`` for the one transcendental node of `body`, if `body` is a fraction linear in it."""
    outermost: dict[Expr, None] = {}
    stack = [body]
    while stack:
        node = stack.pop()
        if is_transcendental(node):
            outermost.setdefault(node)
        elif not isinstance(node, Binder) and not is_element(node):
            stack.extend(node.args)
    if isinstance(body, Add):
        logarithm = _solve_logarithm(body, value)
        if logarithm is not None:
            return logarithm
    if len(outermost) != 1:
        return None
    (node,) = outermost
    # Masked: what stands in a binder is to stay as it is, or a softmax's denominator is not known again.
    masked, masks = masked_arithmetic(body)
    mark = masks.get(node)
    if mark is None or any(other.has(node, Piecewise) for other in masks if other != node):
        return None
    numerator, denominator = sympy.fraction(sympy.together(masked))
    try:
        top, bottom = sympy.Poly(numerator, mark), sympy.Poly(denominator, mark)
    except sympy.PolynomialError:
        return None
    if top.degree() > 1 or bottom.degree() > 1:
        return None
    # value = (p t + q) / (r t + s)  =>  t = (s value - q) / (p - r value)
    known = {symbol: other for other, symbol in masks.items()}
    (p, q), (r, s) = ([part.nth(power).xreplace(known) for power in (1, 0)] for part in (top, bottom))
    # tanh(z) + x = a gives tanh(z) = a - x, which has no digits left where x is large.
    if not q.is_number or (p.is_number and p != 0 and abs(q) > _LARGEST_OFFSET * abs(p)):
        return None
    return node, (s * value - q) / (p - r * value)


def _solve_logarithm(body: Add, value: Expr) -> tuple[Expr, Expr] | None:
    """From ``value == u + c log(S)``, ``exp(u) == exp(value) S**-c``: a log-softmax gives back its probabilities."""
    logs = [term for term in body.args if term.has(log) and not isinstance(term, Binder)]
    if len(logs) != 1:
        return None
    factor, node = logs[0].as_coeff_Mul()
    rest = body - logs[0]
    if not isinstance(node, log) or rest.has(sympy.Function):
        return None
    return exp(rest), exp(value) * node.args[0] ** (-factor)


def _folded(expr: Expr) -> list[Expr]:
    """Forms of `expr` without the fractions that overflow: sinh/cosh as tanh, fractions in exp(u) by the logistic."""
    from .activations import sigmoid

    forms = []
    for node in sorted(expr.atoms(sympy.sinh), key=str):
        forms.append(expr.xreplace({node: sympy.tanh(node.args[0]) * sympy.cosh(node.args[0])}))
    for node in sorted(expr.atoms(exp), key=str):
        mark = Dummy("s")
        folded = sympy.cancel(sympy.together(expr.xreplace({node: mark / (1 - mark)})))
        if not folded.has(exp) and not sympy.fraction(folded)[1].has(mark):
            forms.append(folded.xreplace({mark: sigmoid(node.args[0])}))
    return forms


def _solve_sum(body: Expr, value: Expr) -> list[tuple[Expr, Expr]]:
    """From ``value == c Σ x[i, k]``, a mean, ``Σ x[i, k] == value / c``."""
    sums = [factor for factor in sympy.Mul.make_args(body) if isinstance(factor, Sum)]
    rest = sympy.Mul(*(factor for factor in sympy.Mul.make_args(body) if factor not in sums))
    if len(sums) != 1 or elements(rest) or rest.has(Binder) or rest == 1 or not is_element(sums[0].body):
        return []
    return [(sums[0], value / rest)]


def _solve_difference(body: Expr, value: Expr, never_zero: Collection[Tensor]) -> list[tuple[Expr, Expr]]:
    """From ``value == (x - mu) r`` with r never 0, ``x - mu == value / r``: the normalised value."""
    factors = sympy.Mul.make_args(body)
    differences = [factor for factor in factors if isinstance(factor, Add)]
    rest = [factor for factor in factors if factor not in differences]
    if len(differences) != 1 or not rest:
        return []
    if not all(is_element(term) or is_element(-term) for term in differences[0].args):
        return []
    if not all(is_element(factor) and tensor_of(factor) in never_zero for factor in rest):
        return []
    solved = value / sympy.Mul(*rest)
    return [(differences[0], solved), (-differences[0], -solved)]


class ReuseRules:
    """Rewrites what a forward equation already computes: exp(z[i, c]) → p[i, c] S[i], Σ_k x[i, k] → n mu[i]."""

    def __init__(self) -> None:
        self._rules: list[tuple[Expr, Expr, tuple[Symbol, ...]]] = []
        self._about: dict[Tensor, list[int]] = {}  # the rules whose pattern holds a tensor: the others cannot match
        self._kept: list[tuple[Binder, set[Symbol]]] = []  # the binders of replacements, and what stands for any index
        self._never_zero: set[Tensor] = set()

    def learn(self, equation: Equation) -> None:
        """Add what `equation` tells, if it can be solved."""
        value = Dummy("value", real=True)
        body = equation.body
        if isinstance(body, exp) or (isinstance(body, Pow) and body.exp.is_Rational and body.exp.is_negative):
            self._never_zero.add(equation.target)
        solved = solve_transcendental(body, value)
        if solved is not None and not any(
            elements(divisor) or isinstance(divisor, Binder) for divisor in _divisors(solved[1]) - {value}
        ):  # s mish(z) = a gives mish(z) = a/s, which is no number where s is 0
            self._add(equation, value, *solved)
        for pattern, replacement in [*_solve_sum(body, value), *_solve_difference(body, value, self._never_zero)]:
            self._add(equation, value, pattern, replacement)

    def _add(self, equation: Equation, value: Symbol, pattern: Expr, replacement: Expr) -> None:
        found = elements(pattern)
        if not found:  # of numbers and sizes alone
            return
        # What matches must stand where the target has an entry: at indices that read the whole of an axis as long.
        for index, size in zip(equation.indices, equation.target.shape, strict=True):
            if size not in [other for *_, other in axis_sizes(pattern, index)] or pattern.has(Piecewise):
                return
        marks = tuple(Dummy(index.name, integer=True) for index in equation.indices)
        names = dict(zip(equation.indices, marks, strict=True))
        lhs = element_of(equation.target, marks)
        self._about.setdefault(tensor_of(found[0]), []).append(len(self._rules))
        made = rename_free(replacement, names).xreplace({value: lhs})
        self._rules.append((rename_free(pattern, names), made, marks))
        self._kept += [(binder, set(marks)) for binder in binders(made)]

    def apply(self, expr: Expr) -> Expr:
        last = -1
        while True:
            # In the order of the equations; a rule may bring in tensors that a later one is about.
            found = [place for tensor in expr.atoms(Tensor) for place in self._about.get(tensor, ()) if place > last]
            if not found:
                return expr
            last = min(found)
            pattern, replacement, marks = self._rules[last]

            def walk(node: Any, rule: tuple[Any, ...] = (pattern, replacement, set(marks))) -> Any:
                pattern, replacement, wild = rule
                if type(node) is type(pattern):
                    match = _match_indices(pattern, node, wild, {})
                    if match is not None:
                        return rename_free(replacement, match)
                if isinstance(node, Binder) and self._is_kept(node):
                    return node
                if not node.args or is_element(node) or not node.has(type(pattern)):
                    return node
                return rebuilt(node, walk)

            if expr.has(type(pattern)):
                expr = walk(expr)

    def _is_kept(self, node: Binder) -> bool:
        """Whether a binder is that of a replacement, a softmax's denominator: it stays, or the rules would undo
        themselves, and two of them (softmaxes of one tensor along two axes) each other without end."""
        return any(_match_indices(kept, node, wild, {}) is not None for kept, wild in self._kept)


def _match_indices(pattern: Any, node: Any, wild: set[Any], match: dict[Any, Any]) -> dict[Any, Any] | None:
    """What the indices in `wild` stand for so that `pattern` equals `node`, or None."""
    if pattern in wild:
        # An index that is bound inside `node` means nothing outside of it.
        if node.atoms(BoundIndex) or match.setdefault(pattern, node) != node:
            return None
        return match
    if not pattern.has(*wild):
        return match if pattern == node else None
    if type(pattern) is not type(node) or len(pattern.args) != len(node.args):
        return None
    for part, other in zip(pattern.args, node.args, strict=True):
        if _match_indices(part, other, wild, match) is None:
            return None
    return match
