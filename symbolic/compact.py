"""Compaction: derivatives in the form that a person would write.

Everything here rewrites one expression into an equal one.

- `derivative` reuses the forward value: where ``a = f(z)`` can be solved for the one transcendental in f, the
  derivative is written in `a` (σ′ = a(1 − a), tanh′ = 1 − a²). One mechanism, no table.
- `ReuseRules` does the same across an equation's sums (a softmax's exponentials become its probabilities).
- `hoist` moves out of a sum what does not depend on its index, and solves Kronecker deltas under it.
- `simplest` picks the shortest of a few equal forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import sympy
from sympy import Add, Dummy, Expr, KroneckerDelta, Mul, Piecewise, Pow, Symbol, exp, log

from .binders import Binder, Sum, binders, rename_free
from .equations import Equation
from .tensors import element_of, elements, is_element

_PLAIN_NUMBER = 1000  # a measured constant such as 0.044715 is not multiplied out of the brackets it stands in
_SIZE_LIMIT = 400  # expressions with more operations than this are left as they are: factoring could take minutes


# ---- reuse of forward values -----------------------------------------------------------------------------------


def derivative(body: Expr, variable: Symbol, value: Symbol) -> Expr:
    """∂body/∂variable, in terms of `value` (a symbol equal to `body`) where that saves work."""
    if isinstance(body, Piecewise):
        return Piecewise(*((derivative(branch, variable, value), condition) for branch, condition in body.args))
    raw = sympy.diff(body, variable)
    candidates = [raw, raw.subs(body, value)]
    solved = solve_transcendental(body, value)
    if solved is not None and raw.has(solved[0]):
        candidates.append(raw.xreplace({solved[0]: solved[1]}))
    candidates += _folded(raw)
    forms = [simplest(candidate) for candidate in candidates]
    # A form that divides by what the derivative itself does not is 0/0 somewhere: no saving is worth that.
    allowed = _divisors(forms[0])
    return min((form for form in forms if _divisors(form) <= allowed), key=_reuse_cost)


def _divisors(expr: Expr) -> set[Expr]:
    """What `expr` divides by, as symbols, elements and function values."""
    masked, masks = _masked(expr)
    bottom = sympy.fraction(sympy.together(masked))[1]
    return {node for node, symbol in masks.items() if bottom.has(symbol)}


def _reuse_cost(expr: Expr) -> tuple[int, int]:
    transcendental = {node for node in sympy.preorder_traversal(expr) if is_transcendental(node)}
    return len(transcendental), measure(expr)


def is_transcendental(node: Any) -> bool:
    if isinstance(node, Pow):
        return not node.exp.is_Integer
    return isinstance(node, sympy.Function) and not isinstance(
        node, Piecewise | KroneckerDelta | sympy.Abs | sympy.sign | sympy.floor
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
    mark = Dummy("t")
    numerator, denominator = sympy.fraction(sympy.together(body.xreplace({node: mark})))
    if numerator.has(Piecewise) or denominator.has(Piecewise):
        return None
    try:
        top, bottom = sympy.Poly(numerator, mark), sympy.Poly(denominator, mark)
    except sympy.PolynomialError:
        return None
    if top.degree() > 1 or bottom.degree() > 1:
        return None
    # value = (p t + q) / (r t + s)  =>  t = (s value - q) / (p - r value)
    (p, q), (r, s) = (top.nth(1), top.nth(0)), (bottom.nth(1), bottom.nth(0))
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


class ReuseRules:
    """Rewrites transcendentals that a forward equation already computes: exp(z[i, c]) → p[i, c] S[i]."""

    def __init__(self) -> None:
        self._rules: list[tuple[Expr, Expr, tuple[Symbol, ...]]] = []

    def learn(self, equation: Equation) -> None:
        """Add what `equation` tells, if it can be solved."""
        value = Dummy("value", real=True)
        solved = solve_transcendental(equation.body, value)
        if solved is None or not all(solved[0].has(index) for index in equation.indices):
            return
        if any(elements(divisor) or isinstance(divisor, Binder) for divisor in _divisors(solved[1]) - {value}):
            return  # s mish(z) = a gives mish(z) = a/s, which is no number where s is 0
        marks = tuple(Dummy(index.name, integer=True) for index in equation.indices)
        names = dict(zip(equation.indices, marks, strict=True))
        pattern = rename_free(solved[0], names)
        lhs = element_of(equation.target, marks)
        self._rules.append((pattern, rename_free(solved[1], names).xreplace({value: lhs}), marks))

    def apply(self, expr: Expr) -> Expr:
        for pattern, replacement, marks in self._rules:
            # A binder of the replacement (a softmax's denominator) stays as it is, or the rule would undo itself.
            kept = list(binders(replacement))

            def walk(node: Any, rule: tuple[Any, ...] = (pattern, replacement, set(marks), kept)) -> Any:
                pattern, replacement, wild, kept = rule
                if isinstance(node, Binder) and any(_match_indices(k, node, wild, {}) is not None for k in kept):
                    return node
                if type(node) is type(pattern):
                    match = _match_indices(pattern, node, wild, {})
                    if match is not None:
                        # Bound indices of a binder around stay bound: they stand in `match` as what they are.
                        return rename_free(replacement, match)
                if not node.args or is_element(node):
                    return node
                return node.func(*(walk(arg) for arg in node.args))

            if expr.has(type(pattern)):
                expr = walk(expr)
        return expr


def _match_indices(pattern: Any, node: Any, wild: set[Any], match: dict[Any, Any]) -> dict[Any, Any] | None:
    """What the indices in `wild` stand for so that `pattern` equals `node`, or None."""
    if pattern in wild:
        if match.setdefault(pattern, node) != node:
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


# ---- sums ------------------------------------------------------------------------------------------------------


def hoist(expr: Any, *, distribute: bool = False) -> Any:
    """Move out of every sum what does not depend on its index; ``distribute`` also splits sums over a sum of terms.

    A Kronecker delta under a sum over its index is solved: Σ_k [k = e] f(k) is f(e).
    """
    if not expr.args or not expr.has(Sum):
        return expr
    if not isinstance(expr, Sum):
        return expr.func(*(hoist(arg, distribute=distribute) for arg in expr.args))
    body, pairs = expr.open()
    body = simplest(hoist(body, distribute=distribute))
    if distribute:
        body = sympy.expand_mul(body)
        if isinstance(body, Add):
            return Add(*(hoist(Sum(term, *pairs), distribute=True) for term in body.args))
    body, pairs = _solve_deltas(body, pairs)
    inside: list[Expr] = []
    outside: list[Expr] = []
    for factor in Mul.make_args(body):
        (inside if any(factor.has(index) for index, _ in pairs) else outside).append(factor)
    return Mul(*outside) * Sum(Mul(*inside), *pairs)


def _solve_deltas(body: Expr, pairs: list[tuple[Symbol, Expr]]) -> tuple[Expr, list[tuple[Symbol, Expr]]]:
    for delta in [factor for factor in Mul.make_args(body) if isinstance(factor, KroneckerDelta)]:
        for index, size in pairs:
            if index in delta.args and body.has(index):
                other = delta.args[1] if delta.args[0] == index else delta.args[0]
                if other.has(index):
                    continue
                body = rename_free(body / delta, {index: other})
                pairs = [pair for pair in pairs if pair != (index, size)]
                break
    return body, pairs


# ---- the shortest of equal forms -------------------------------------------------------------------------------


def measure(expr: Any, lengths: Mapping[Any, int] = MappingProxyType({})) -> int:
    """How long an expression is to read: symbols and operations, a sum counted as three.

    `lengths` gives what symbols that stand for longer expressions count as.
    """
    if not expr.args or is_element(expr):
        return lengths.get(expr, 1)
    if isinstance(expr, Sum):
        return 3 + measure(expr.body)
    if isinstance(expr, Add):
        terms = [-term if _leading_minus(term) else term for term in expr.args]
        leading = all(_leading_minus(term) for term in expr.args)
        return len(terms) - 1 + sum(measure(term, lengths) for term in terms) + leading
    if isinstance(expr, Mul):
        minus, rest = expr.as_coeff_Mul()
        if minus == -1:
            return 1 + measure(rest, lengths)
    return len(expr.args) - 1 + sum(measure(arg, lengths) for arg in expr.args) + isinstance(expr, sympy.Function)


def simplest(expr: Expr) -> Expr:
    """The shortest of a few equal forms of `expr`, which are found by rational arithmetic alone.

    Whatever is not arithmetic (elements, sums, functions, conditions) is a symbol to that arithmetic.
    """
    if not isinstance(expr, Add | Mul | Pow) or measure(expr) > _SIZE_LIMIT:
        return expr
    masked, masks = _masked(expr)
    try:
        cancelled = sympy.cancel(masked)
        forms = [masked, sympy.factor_terms(masked), cancelled, sympy.factor(cancelled), sympy.factor_terms(cancelled)]
    except (sympy.PolynomialError, NotImplementedError):
        forms = [masked]
    # Of two as short, the product: it reads better than a sum.
    lengths = {symbol: measure(node) for node, symbol in masks.items()}
    best = min((_tidy_signs(form) for form in forms), key=lambda form: (measure(form, lengths), isinstance(form, Add)))
    return _sign_flipped(best.xreplace({symbol: node for node, symbol in masks.items()}))


def _masked(expr: Expr) -> tuple[Expr, dict[Expr, Symbol]]:
    """`expr` as arithmetic alone: every other node a symbol, and which."""
    masks: dict[Expr, Symbol] = {}

    def mask(node: Any) -> Any:
        if node.is_Number and max(abs(node.p), node.q) < _PLAIN_NUMBER:
            return node
        if isinstance(node, Add | Mul) or (isinstance(node, Pow) and node.exp.is_Integer):
            return node.func(*(mask(arg) for arg in node.args))
        return masks.setdefault(node, Symbol(f"_m{len(masks):04d}", positive=node.is_positive))

    return mask(expr), masks


def _tidy_signs(expr: Expr) -> Expr:
    """Move a leading minus into a factor that reads better for it: −a (a − 1) becomes a (1 − a)."""
    if not isinstance(expr, Mul) or not expr.could_extract_minus_sign():
        return expr
    factors = list(expr.args)
    for wanted in (lambda f: any(t.is_Number and t < 0 for t in f.args), _starts_negative):
        for place, factor in enumerate(factors):
            if isinstance(factor, Add) and wanted(factor):
                flipped = Mul(-1, *factors[:place], -factor, *factors[place + 1 :])
                return flipped if not _leading_minus(flipped) else expr
    return expr


def _sign_flipped(expr: Expr) -> Expr:
    """−sign(y − a) as sign(a − y)."""
    if not (isinstance(expr, Mul) and _leading_minus(expr)):
        return expr
    for node in expr.args:
        if isinstance(node, sympy.sign) and isinstance(node.args[0], Add):
            return sympy.sign(-node.args[0]) * Mul(-1, *(factor for factor in expr.args if factor != node))
    return expr


def _starts_negative(factor: Add) -> bool:
    return sum(term.could_extract_minus_sign() for term in factor.args) * 2 >= len(factor.args)


def _leading_minus(expr: Expr) -> bool:
    return bool(expr.as_coeff_Mul()[0].is_negative)


def compact(expr: Expr, rewrite: Callable[[Expr], tuple[Expr, list[Any]]]) -> tuple[Expr, list[Any]]:
    """The shortest form of `expr` found by rewriting, hoisting, distributing and cancelling.

    `rewrite` applies reuse rules and facts, and returns the facts used; those behind the chosen form are returned.
    """
    forms = []
    for distribute in (False, True):
        used: dict[Any, None] = {}
        form = expr
        for _ in range(2):  # a fact may apply only after the first cancellation
            form, facts = rewrite(form)
            used.update(dict.fromkeys(facts))
            form = simplest(hoist(form, distribute=distribute))
        forms.append((form, list(used)))
    return min(forms, key=lambda pair: measure(pair[0]))
