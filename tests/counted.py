"""Operations counted by carrying them out: every value at every position, each different one once.

An oracle for `Derivation.costs`. It walks an equation at concrete sizes and writes each value that it meets as a text
of its own (``exp(z[0, 2])``); a text that it has met before costs nothing. Products are taken in the order that is best
at these sizes, found by trying all. It shares no code with the counter that it judges.
"""

from __future__ import annotations

import itertools
import math

import sympy
from sympy import Add, Indexed, KroneckerDelta, Mul, Piecewise, Pow

from gradloom.symbolic.binders import ArgMax, Max, Sum
from gradloom.symbolic.guards import Guard
from gradloom.symbolic.held import held
from gradloom.symbolic.indices import Dim


def counted(equation, sizes, labels=None):
    """``(operations, {function: how often})`` of one equation; `labels` are arrays of whole numbers, by name."""
    run = _Run({name: int(size) for name, size in sizes.items()}, labels or {})
    shape = [run.number(size, {}) for size in equation.target.shape]
    run.extents.update(zip(equation.indices, shape, strict=True))
    for at in itertools.product(*map(range, shape)):
        run.value(equation.body, dict(zip(equation.indices, at, strict=True)))
    return run.flops, run.functions


class _Run:
    def __init__(self, sizes, labels):
        self.sizes, self.labels = sizes, labels
        self.flops, self.functions, self.met = 0, {}, set()
        self.extents, self.orders, self.opened = {}, {}, {}

    def number(self, expr, at):
        """A whole-number expression at one position."""
        if isinstance(expr, Indexed):
            return int(self.labels[str(expr.base.label)][tuple(self.number(place, at) for place in expr.indices)])
        if isinstance(expr, Dim):
            return self.sizes[expr.name]
        if expr in at:
            return at[expr]
        if expr.is_Integer:
            return int(expr)
        made = expr.func(*(sympy.Integer(self.number(arg, at)) if arg.is_integer else arg for arg in expr.args))
        if not made.is_Integer:
            made = expr.xreplace({s: sympy.Integer(self.number(s, at)) for s in expr.free_symbols})
        return int(made)

    def once(self, text, function=None):
        if text not in self.met:
            self.met.add(text)
            if function is None:
                self.flops += 1
            else:
                self.functions[function] = self.functions.get(function, 0) + 1
        return text

    def value(self, node, at):
        """The text of a value; None is 0, where a bracket says so."""
        if not [s for s in node.free_symbols if not isinstance(s, Dim)]:
            return str(node)
        if isinstance(node, Indexed):
            if node.base.label.role in ("input", "target") and str(node.base.label) in self.labels:
                return str(self.number(node, at))
            return f"{node.base.label}{[self.number(place, at) for place in node.indices]}"
        if node.is_Symbol:
            return str(at.get(node, node))
        if isinstance(node, KroneckerDelta):
            return "1" if self.number(node.args[0], at) == self.number(node.args[1], at) else None
        if isinstance(node, Sum):
            return self.total(node, at)
        if isinstance(node, Max | ArgMax):
            body, pairs = self.open(node)
            texts = [self.value(body, {**at, **where}) for where in self.places(pairs)]
            name = type(node).__name__.lower()
            for place, text in enumerate(texts):
                self.once(f"{name} {texts} {place} {text}", name)
            return f"{name}{texts}"
        if isinstance(node, Mul):
            return self.product(node.args, at)
        if isinstance(node, Add):
            parts = [(self.free(arg), self.value(arg, at) or "0") for arg in node.args if not self.fixed(arg)]
            fixed = [arg for arg in node.args if self.fixed(arg)]
            if fixed:
                parts.append((frozenset(), str(Add(*fixed))))
            return self.tree("+", parts)
        if isinstance(node, Pow):
            return self.power(node, at)
        if isinstance(node, held):
            return self.value(node.args[0], at)
        if isinstance(node, Piecewise):
            return str([(self.value(value, at), self.condition(test, at)) for value, test in node.args])
        assert isinstance(node, sympy.Function), node
        name = type(node).__name__.lower()
        return self.once(f"{name}({', '.join(self.value(arg, at) for arg in node.args)})", name)

    def condition(self, test, at):
        if test == sympy.true:
            return "otherwise"
        if not test.atoms(Indexed):
            return str(test.xreplace({index: sympy.Integer(place) for index, place in at.items()}))
        return self.once(f"{test.rel_op}{self.value(test.lhs, at)},{self.value(test.rhs, at)}", "compare")

    def power(self, node, at):
        if node.exp.is_negative:
            return self.once(f"1/{self.value(1 / node, at)}")
        base = self.value(node.base, at)
        if node.exp == sympy.Rational(1, 2):
            return self.once(f"sqrt({base})", "sqrt")
        assert node.exp == 2, node
        return self.once(f"({base}) * ({base})")

    def fixed(self, node):
        return not [s for s in node.free_symbols if not isinstance(s, Dim)]

    def free(self, node):
        return frozenset(s for s in node.free_symbols if s in self.extents)

    def open(self, node):
        """One set of letters for each binder, so that its terms can be told from the indices around it."""
        if node not in self.opened:
            self.opened[node] = node.open()
            self.extents.update((index, self.number(size, {})) for index, size in self.opened[node][1])
        return self.opened[node]

    def places(self, pairs):
        names = [index for index, _ in pairs]
        for where in itertools.product(*(range(self.extents[index]) for index in names)):
            yield dict(zip(names, where, strict=True))

    def holds(self, factors, at):
        """Whether no bracket is 0; a guard with one bound, as at the first step in time, counts as 1."""
        guards = [factor.args[0] for factor in factors if isinstance(factor, Guard)]
        for guard in guards:
            other = [
                g for g in guards if g != guard and not (set((g + guard).expand().free_symbols) & set(self.extents))
            ]
            if other and self.number(guard, at) < 0:
                return False
        return all(self.value(factor, at) for factor in factors if isinstance(factor, KroneckerDelta))

    def product(self, factors, at, more=()):
        if not self.holds(factors, at):
            return None
        parts, below = [], []
        constant = Mul(*(factor for factor in factors if self.fixed(factor)))
        for factor in factors:
            if self.fixed(factor) or isinstance(factor, Guard | KroneckerDelta):
                continue
            under = isinstance(factor, Pow) and factor.exp.is_negative
            text = self.value(1 / factor if under else factor, at)
            parts.append((self.free(factor), f"1/{text}" if under else text))
            below.append(under)
        if constant not in (1, -1) or (below and all(below) and not more):
            parts.append((frozenset(), str(constant)))
        return self.tree("*", [*parts, *more])

    def tree(self, mark, parts):
        """Combine parts two by two in the order that takes the fewest operations over all positions."""
        if not parts:
            return "1"
        shape = (mark, tuple(indices for indices, _ in parts))
        if shape not in self.orders:
            self.orders[shape] = self.best(frozenset(range(len(parts))), shape[1])[1]

        def carry_out(order):
            if isinstance(order, int):
                return parts[order][1]
            texts = sorted(map(carry_out, order))
            return self.once(f"({mark.join(texts)})")

        return carry_out(self.orders[shape])

    def best(self, members, spaces):
        """The least cost of combining, and the tree that has it."""
        if len(members) == 1:
            return 0, next(iter(members))
        first, *rest = sorted(members)
        found = []
        for count in range(len(rest)):
            for others in itertools.combinations(rest, count):
                one = frozenset((first, *others))
                costs, trees = zip(*(self.best(side, spaces) for side in (one, members - one)), strict=True)
                found.append((sum(costs), trees))
        space = frozenset().union(*(spaces[member] for member in members))
        cost, tree = min(found, key=lambda pair: pair[0])
        return cost + math.prod(self.extents[index] for index in space), tree

    def total(self, node, at):
        """Σ over all positions; what has none of the indices is multiplied last."""
        body, pairs = self.open(node)
        bound = {index for index, _ in pairs}
        factors = Mul.make_args(body)
        inside = [f for f in factors if self.free(f) & bound or isinstance(f, Guard | KroneckerDelta)]
        outside = [f for f in factors if f not in inside]
        texts = []
        for where in self.places(pairs):
            here = {**at, **where}
            text = self.product(inside, here) if len(inside) > 1 or factors != (body,) else self.value(body, here)
            if text is not None:
                texts.append(text)
        total = f"Σ{texts}"
        for place, text in enumerate(texts):
            self.once(f"add {place} {text} to {total}")
        if not outside:
            return total
        return self.product(outside, at, [(frozenset(i for f in inside for i in self.free(f)) - bound, total)])
