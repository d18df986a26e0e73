"""Compaction: the form that a person would write.

Everything here rewrites one expression into an equal one.

- `hoist` moves out of a sum what does not depend on its index, and solves Kronecker deltas under it.
- `simplest` picks the shortest of a few equal forms, found by rational arithmetic over masked nodes.
- `compact` does both, with the reuse rules and facts that a caller applies in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

import sympy
from sympy import Add, Expr, KroneckerDelta, Mul, Pow, Symbol

from .binders import Binder, Sum, rebuilt, rename_free
from .guards import Guard
from .ranges import Ranges, axis_guard, within
from .tensors import is_element

_PLAIN_NUMBER = 1000  # a measured constant such as 0.044715 is not multiplied out of the brackets it stands in
# Beyond these an expression is only tidied, not cancelled and factored: that could take minutes.
_SIZE_LIMIT, _SYMBOL_LIMIT = 250, 12
_TERM_LIMIT = 8  # of a sum whose terms are tried for common factors of some of them


# ---- sums ------------------------------------------------------------------------------------------------------


def hoist(expr: Any, *, distribute: bool = False) -> Any:
    """Move out of every sum what does not depend on its index; ``distribute`` also splits sums over a sum of terms.

    A Kronecker delta under a sum over its index is solved: Σ_k [k = e] f(k) is f(e).
    """
    if not expr.args or not expr.has(Sum):
        return expr
    if not isinstance(expr, Sum):
        return rebuilt(expr, partial(hoist, distribute=distribute))
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
    return Mul(*outside, *_independent_sums(inside, pairs))


def _independent_sums(factors: list[Expr], pairs: list[tuple[Symbol, Expr]]) -> list[Expr]:
    """Σ_j,k f(j) g(k) as Σ_j f(j) and Σ_k g(k): factors that share no index are summed by themselves."""
    groups: list[tuple[list[Expr], list[tuple[Symbol, Expr]]]] = []
    for factor in factors:
        own = [pair for pair in pairs if factor.has(pair[0])]
        touching = [group for group in groups if any(pair in group[1] for pair in own)]
        groups = [group for group in groups if group not in touching]
        together = [f for group in touching for f in group[0]]
        indices = dict.fromkeys([*(pair for group in touching for pair in group[1]), *own])
        groups.append(([*together, factor], list(indices)))
    unused = [pair for pair in pairs if not any(pair in group[1] for group in groups)]
    return [Sum(Mul(*fs), *own) for fs, own in groups] + [size for _, size in unused]


def align_labels(expr: Any) -> Any:
    """Under [j = label], write the index for the label: [j = y] p[j, y] is [j = y] p[j, j], so that it may cancel."""
    if not expr.args or is_element(expr) or not expr.has(KroneckerDelta):
        return expr
    expr = rebuilt(expr, align_labels)
    if not isinstance(expr, Mul):
        return expr
    for delta in [factor for factor in expr.args if isinstance(factor, KroneckerDelta)]:
        label = next((place for place in delta.args if is_element(place)), None)
        index = next((place for place in delta.args if isinstance(place, Symbol) and not is_element(place)), None)
        rest = expr / delta
        if label is not None and index is not None and rest.has(label) and not rest.has(Binder):
            expr = delta * rest.xreplace({label: index})
    return expr


def _solve_deltas(body: Expr, pairs: list[tuple[Symbol, Expr]]) -> tuple[Expr, list[tuple[Symbol, Expr]]]:
    for delta in [factor for factor in Mul.make_args(body) if isinstance(factor, KroneckerDelta)]:
        for index, size in pairs:
            if index in delta.args and body.has(index):
                other = delta.args[1] if delta.args[0] == index else delta.args[0]
                if other.has(index):
                    continue
                # What stands for the index may leave its range, another index too; a label does not.
                body = rename_free(body / delta, {index: other}) * axis_guard(other, size)
                # Other deltas may hold the index too, and are others now.
                return _solve_deltas(body, [pair for pair in pairs if pair != (index, size)])
    return body, pairs


# ---- the shortest of equal forms -------------------------------------------------------------------------------


def measure(expr: Any, lengths: Mapping[Any, int] = MappingProxyType({})) -> int:
    """How long an expression is to read: symbols and operations, a sum counted as three.

    `lengths` gives what symbols that stand for longer expressions count as.
    """
    if not expr.args or is_element(expr) or isinstance(expr, Guard):
        return lengths.get(expr, 1) + (expr.is_Rational and not expr.is_Integer)  # 1/12 is a quotient
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


@lru_cache(maxsize=4096)
def simplest(expr: Expr) -> Expr:
    """The shortest of a few equal forms of `expr`, which are found by rational arithmetic alone.

    Whatever is not arithmetic (elements, sums, functions, conditions) is a symbol to that arithmetic.
    """
    if not isinstance(expr, Add | Mul | Pow):
        return expr
    masked, masks = masked_arithmetic(expr)
    if measure(expr) > _SIZE_LIMIT or len(masks) > _SYMBOL_LIMIT:
        return expr
    try:
        cancelled = sympy.cancel(masked)
        forms = [masked, sympy.factor_terms(masked), cancelled, sympy.factor(cancelled), sympy.factor_terms(cancelled)]
        forms += _partly_factored(cancelled)
    except (sympy.PolynomialError, NotImplementedError):
        forms = [masked]
    # Of two as short, the product: it reads better than a sum.
    lengths = {symbol: measure(node) for node, symbol in masks.items()}
    best = min((_tidy_signs(form) for form in forms), key=lambda form: (measure(form, lengths), isinstance(form, Add)))
    return _sign_flipped(best.xreplace({symbol: node for node, symbol in masks.items()}))


def _partly_factored(expr: Expr, nested: bool = True) -> list[Expr]:
    """Forms of a sum in which some of its terms share a factor: a r − b r + c as (a − b) r + c."""
    terms = Add.make_args(sympy.expand(expr)) if isinstance(expr, Add) else ()
    if not 2 < len(terms) <= _TERM_LIMIT:
        return []
    factors: dict[Expr, list[Expr]] = {}
    for term in terms:
        for factor in Mul.make_args(term):
            if not factor.is_number:
                factors.setdefault(factor.base if isinstance(factor, Pow) and factor.exp == 2 else factor, []).append(
                    term
                )
    forms = []
    for factor, those in factors.items():
        if 1 < len(those) < len(terms):
            rest = [term / factor for term in those]
            others = [term for term in terms if term not in those]
            shared = Add(*rest).free_symbols & Add(*others).free_symbols
            if shared and any(term.is_number for term in rest):
                continue  # a − a s + s as (1 − a) s + a loses digits where a is large
            inside = sympy.factor_terms(Add(*rest))
            content, primitive = Add(*rest).primitive()
            forms += [Add(factor * inside, *others), Add(Mul(content, factor, primitive), *others)]
            if nested:
                forms += [Add(factor * form, *others) for form in _partly_factored(Add(*rest), nested=False)]
    return forms


def masked_arithmetic(expr: Expr) -> tuple[Expr, dict[Expr, Symbol]]:
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
    for wanted in (lambda f: any(t.is_Number and t < 0 for t in f.args), _has_negative):
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


def _has_negative(factor: Add) -> bool:
    return any(term.could_extract_minus_sign() for term in factor.args)


def _leading_minus(expr: Expr) -> bool:
    return bool(expr.as_coeff_Mul()[0].is_negative)


def compact(
    expr: Expr, rewrite: Callable[[Expr], tuple[Expr, list[Any]]], ranges: Ranges = MappingProxyType({})
) -> tuple[Expr, list[Any]]:
    """The shortest form of `expr` found by rewriting, hoisting, distributing and cancelling.

    `rewrite` applies reuse rules and facts, and returns the facts used; those behind the chosen form are returned.
    `ranges` gives the sizes of the free indices.
    """
    forms = []
    for distribute in (False, True):
        used: dict[Any, None] = {}
        form = expr
        before = None
        for _ in range(4):  # a fact may apply only after a cancellation
            if form == before:
                break
            before = form
            form, facts = rewrite(align_labels(form))
            used.update(dict.fromkeys(facts))
            form = simplest(within(hoist(form, distribute=distribute), ranges))
        forms.append((form, list(used)))
    return min(forms, key=lambda pair: measure(pair[0]))
