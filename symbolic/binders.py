"""`Sum`, `Max` and `ArgMax` over whole axes, with canonical bound indices.

SymPy's own `Sum` captures names (``Sum(X[i]**2, (i, 0, n-1)).diff(X[i])`` is wrong). Here the bound index of a
binder is renamed, as it is made, to a `BoundIndex` that depends only on what is nested in it: alpha-equivalent
binders are equal objects. Whatever replaces or rebuilds (`rename_free`, `rebuilt`, SymPy's own xreplace and subs)
captures no name: a binder that would capture one is opened first.

A binder prints with readable letters; see `latex` and `text`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import Any

import sympy
from sympy import Basic, Dummy, Expr, Indexed, Integer, Rational, Symbol, Tuple

from .errors import IndexingError
from .guards import Guard
from .indices import BoundIndex, Dim, as_size
from .strict import strict
from .tensors import Tensor


class Binder(Expr):
    """Base of the binders: ``args == (body, (bound index, extent), …)``."""

    is_commutative = True
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption

    def __new__(cls, body: Any, *limits: Any) -> Any:
        body = from_user(body)
        pairs = [_limit(body, limit, cls.__name__) for limit in limits]
        if not pairs:
            return body
        twice = [index for place, (index, _) in enumerate(pairs) if index in [i for i, _ in pairs[:place]]]
        if twice:
            raise IndexingError(f"{cls.__name__} of {body}: index {twice[0]} is used twice; sum over each index once")
        # Open every bound name first, so that merging nested binders cannot confuse two of them.
        fresh = {index: Dummy(integer=True) for index, _ in pairs}
        body = rename_free(body, fresh)
        pairs = [(fresh[index], extent) for index, extent in pairs]
        if isinstance(body, cls) and cls.merges:
            inner, more = body.open()
            body, pairs = inner, [*pairs, *more]
        short = cls.shortcut(body, pairs)
        if short is not None:
            return short
        pairs = _canonical_order(body, pairs)
        level = 1 + max((binder.level for binder in binders(body)), default=-1)
        names = {index: BoundIndex.at(level + place) for place, (index, _) in enumerate(pairs)}
        # No binder inside has these names: if they stand in the body, they belong to a binder around that was entered
        # without being opened. What is made here is then canonical again as soon as that one is rebuilt.
        taken = body.atoms(BoundIndex)
        if not taken.isdisjoint(names.values()):
            level = 1 + max(index.level for index in taken)
            names = {index: BoundIndex.at(level + place) for place, (index, _) in enumerate(pairs)}
        limits_out = [Tuple(names[index], extent) for index, extent in pairs]
        return Expr.__new__(cls, body.xreplace(names), *limits_out)

    merges = False

    @classmethod
    def shortcut(cls, body: Expr, pairs: list[tuple[Symbol, Expr]]) -> Expr | None:
        """What the binder is worth at once, or None: over a body that does not depend on its indices, say."""
        return None

    @property
    def body(self) -> Expr:
        return self.args[0]

    @property
    def limits(self) -> tuple[tuple[BoundIndex, Expr], ...]:
        return tuple((pair[0], pair[1]) for pair in self.args[1:])

    @property
    def level(self) -> int:
        return max(index.level for index, _ in self.limits)

    def open(self) -> tuple[Expr, list[tuple[Symbol, Expr]]]:
        """The body with fresh bound indices, and those indices with their extents; the inverse of construction."""
        fresh = {index: Dummy(integer=True) for index, _ in self.limits}
        return rename_free(self.body, fresh), [(fresh[index], extent) for index, extent in self.limits]

    @property
    def free_symbols(self) -> set[Basic]:
        bound = {index for index, _ in self.limits}
        free = {s for s in self.body.free_symbols if s not in bound and not (isinstance(s, Indexed) and s.has(*bound))}
        return free | {s for _, extent in self.limits for s in extent.free_symbols}

    def _xreplace(self, rule: Any) -> tuple[Any, bool]:
        if self in rule:
            return rule[self], True
        bound = {index for index, _ in self.limits}
        # A rule that asks for what holds a bound index, by its name, means the one here.
        known = isinstance(rule, Mapping)  # SymPy has rules that are functions
        captured = not known or any(bound & (_free_bound(new) - _free_bound(old)) for old, new in rule.items())
        before, pairs = self.open() if captured else (self.body, list(self.limits))
        body, changed = before._xreplace(rule)
        extents = [extent._xreplace(rule) for _, extent in pairs]
        if not (changed or any(other for _, other in extents)):
            return self, False
        return self.func(body, *((index, new) for (index, _), (new, _) in zip(pairs, extents, strict=True))), True

    def _eval_subs(self, old: Any, new: Any) -> Any:
        return self.xreplace({old: new})

    def _eval_derivative(self, symbol: Symbol) -> Expr:
        raise NotImplementedError("a binder is differentiated by the adjoint engine, never by SymPy")

    def _sympystr(self, printer: Any) -> str:
        from .text import text

        return text(self)

    def _latex(self, printer: Any, **_: Any) -> str:
        from .latex import latex

        return latex(self)


class Sum(Binder):
    """``Sum(body, k)``: the sum over the whole range of `k`, read off the axes that `k` indexes.

    Several indices may be given, and a range may be stated: ``Sum(body, (k, n), j)``.

    Raises
    ------
    IndexingError
        If a summation index has no known range.
    """

    merges = True

    def _eval_is_positive(self) -> bool | None:
        return self.body.is_positive or None

    @classmethod
    def shortcut(cls, body: Expr, pairs: list[tuple[Symbol, Expr]]) -> Expr | None:
        if body == 0:
            return Integer(0)
        unused = [pair for pair in pairs if not body.has(pair[0])]
        if unused:
            return Sum(body, *(pair for pair in pairs if body.has(pair[0]))) * sympy.prod(size for _, size in unused)
        return None


class Max(Binder):
    """``Max(body, k)``: the largest value of `body` over the range of `k`; its gradient goes to the first maximum."""

    @classmethod
    def shortcut(cls, body: Expr, pairs: list[tuple[Symbol, Expr]]) -> Expr | None:
        kept = [pair for pair in pairs if body.has(pair[0])]
        if len(kept) < len(pairs):
            return Max(body, *kept)
        # Of several indices: the maximum of maxima, so that the first one is found one index at a time.
        return None if len(kept) == 1 else Max(Max(body, *kept[1:]), kept[0])


class ArgMax(Binder):
    """The first `k` at which `Max` is reached; one index alone."""

    @classmethod
    def shortcut(cls, body: Expr, pairs: list[tuple[Symbol, Expr]]) -> Expr | None:
        if len(pairs) > 1:
            raise IndexingError("ArgMax runs over one index; nest it in the ArgMax of a Max for more")
        return None if body.has(pairs[0][0]) else Integer(0)

    _eval_is_integer = lambda self: True  # noqa: E731


def binders(expr: Basic) -> Iterator[Binder]:
    """The outermost binders of `expr`."""
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Binder):
            yield node
        else:
            stack.extend(node.args)


def _free_bound(expr: Any) -> set[Any]:
    """The bound indices in `expr` that no binder in it binds."""
    return {symbol for symbol in expr.free_symbols if isinstance(symbol, BoundIndex)}


def rename_free(expr: Any, names: Mapping[Any, Any]) -> Any:
    """Replace the free occurrences of the symbols in `names`; a binder shields its own indices."""
    if not names:
        return expr
    if expr in names:
        return names[expr]
    if isinstance(expr, Binder):
        bound = {index for index, _ in expr.limits}
        names = {old: new for old, new in names.items() if old not in bound}
        body = rename_free(expr.body, names)
        if body is expr.body:
            return expr
        if any(bound & _free_bound(new) for new in names.values()):
            opened, pairs = expr.open()
            return expr.func(rename_free(opened, names), *pairs)
        return expr.func(body, *expr.args[1:])
    args = [rename_free(arg, names) for arg in expr.args]
    return expr if all(new is old for new, old in zip(args, expr.args, strict=True)) else expr.func(*args)


def rebuilt(expr: Any, change: Callable[[Any], Any]) -> Any:
    """`expr` with each of its parts changed; those of a binder are its body, opened: nothing in it is captured."""
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        changed = change(body)
        return expr if changed == body else expr.func(changed, *pairs)
    args = [change(arg) for arg in expr.args]
    return expr if all(new is old for new, old in zip(args, expr.args, strict=True)) else expr.func(*args)


def from_user(expr: Any, where: str = "") -> Any:
    """Take an expression as people write it: handles become symbols, floats exact decimals, ``sympy.Sum`` a `Sum`.

    ``sympy.Max(x, y)`` becomes the `Piecewise` that routes to the larger; of equal ones, to the first in the order in
    which SymPy sorts them. `Min` likewise. An error begins with `where`.

    Raises
    ------
    IndexingError
        If it is no SymPy expression: a string, which is never evaluated, or a step without a value at 0.
    """
    try:
        made: Any = strict(expr)
    except (sympy.SympifyError, ValueError, OverflowError):
        made = None
    if not isinstance(made, Expr) or made.is_Matrix:
        raise IndexingError(f"{where}expected a number or a SymPy expression, found {expr!r}")
    return _from_user(made)


def _from_user(expr: Any) -> Any:
    """The same of a part, which may be a condition."""
    if isinstance(expr, sympy.Float):
        return Rational(str(expr))
    if not expr.args or isinstance(expr, Binder | Indexed):
        return expr
    if isinstance(expr, sympy.Sum):
        return _from_sympy_sum(expr)
    if not expr.has(sympy.Float, sympy.Sum, sympy.Max, sympy.Min, sympy.Heaviside):
        return plain_conditions(expr)
    args = [_from_user(arg) for arg in expr.args]
    if isinstance(expr, sympy.Max | sympy.Min):
        largest = isinstance(expr, sympy.Max)
        value = args[0]
        for other in args[1:]:
            value = sympy.Piecewise((value, value >= other if largest else value <= other), (other, True))
        return plain_conditions(value)
    if isinstance(expr, sympy.Heaviside):
        raise IndexingError(f"{expr}: write a step as Piecewise((1, z > 0), (0, True)), which states its value at 0")
    return plain_conditions(expr.func(*args))


def plain_conditions(expr: Any) -> Any:
    """Conditions of and, or, not alone: SymPy makes an if-then-else of a comparison with a `Piecewise`."""
    if not expr.has(sympy.ITE):
        return expr
    return expr.replace(sympy.ITE, lambda c, a, b: sympy.Or(sympy.And(c, a), sympy.And(sympy.Not(c), b)))


def _from_sympy_sum(expr: sympy.Sum) -> Expr:
    body = expr.function
    limits = []
    for index, low, high in expr.limits:
        plain = Dummy(index.name if isinstance(index, Symbol) else str(index), integer=True)
        body = body.xreplace({index: plain + low if low != 0 else plain})
        limits.append((plain, sympy.expand(high - low + 1)))
    return Sum(from_user(body), *limits)


def axis_sizes(body: Basic, index: Symbol) -> list[tuple[Tensor, int, Expr]]:
    """Where `index` alone indexes an axis in `body`: the tensors, axes and sizes, in a fixed order.

    Not where a guard stands: there the index may run further than the axis, or less far.
    """
    found = []
    stack = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, sympy.Mul):
            guarded = [factor.args[0] + index for factor in node.args if isinstance(factor, Guard)]
            if any(all(isinstance(symbol, Dim) for symbol in bound.free_symbols) for bound in guarded):
                continue
        if isinstance(node, Indexed) and isinstance(node.base.label, Tensor):
            tensor = node.base.label
            found += [(tensor, axis, tensor.shape[axis]) for axis, at in enumerate(node.indices) if at == index]
        if isinstance(node, sympy.KroneckerDelta) and index in node.args:
            other = node.args[1] if node.args[0] == index else node.args[0]
            label = getattr(getattr(other, "base", other), "label", other)
            if isinstance(label, Tensor) and label.classes is not None:
                found.append((label, label.rank, label.classes))
        stack.extend(reversed(node.args))
    return found


def _limit(body: Expr, limit: Any, name: str) -> tuple[Symbol, Expr]:
    index, *extent = limit if isinstance(limit, tuple | list | Tuple) else (limit,)
    if not isinstance(index, Symbol) or isinstance(index, Tensor | Dim):
        raise IndexingError(f"{name} runs over an index from indices(), found {index!r}")
    if extent:
        return index, as_size(extent[0], f"the range of {index}")
    uses = axis_sizes(body, index)
    if not uses:
        raise IndexingError(
            f"{name} over {index}: {index} indexes no tensor in {body}, so its range is unknown; "
            f"state it, as in {name}(…, ({index}, n))"
        )
    return index, uses[0][2]


def _canonical_order(body: Expr, pairs: list[tuple[Symbol, Expr]]) -> list[tuple[Symbol, Expr]]:
    """Order the indices of one binder by how the body uses them, not by their names."""
    if len(pairs) == 1:
        return pairs

    def uses(pair: tuple[Symbol, Expr]) -> Any:
        return sorted((axis, tensor.name) for tensor, axis, _ in axis_sizes(body, pair[0])), str(pair[1])

    pairs = sorted(pairs, key=uses)
    if len(pairs) > 4 or len({str(uses(pair)) for pair in pairs}) == len(pairs):
        return pairs
    marks = [BoundIndex.at(900 + place) for place in range(len(pairs))]

    def written(order: Any) -> Any:
        named = body.xreplace({index: mark for (index, _), mark in zip(order, marks, strict=True)})
        return [uses(pair) for pair in order], sympy.srepr(named)

    return list(min(permutations(pairs), key=written))
