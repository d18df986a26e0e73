"""A reference interpreter: equations at concrete sizes, by plain nested loops straight off the SymPy objects.

It shares nothing with the derivation, the compaction or the code generator, so it can judge all of them. In floats it
is fast enough for small networks; with `digits` it computes in mpmath numbers of any precision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mpmath
import numpy as np
import sympy
from sympy import Expr, Indexed, KroneckerDelta, Piecewise, Symbol

from .axes import check_shape
from .binders import ArgMax, Max, Sum
from .equations import Equation
from .errors import IndexingError, SizeError, UndefinedError, UnsupportedError
from .functions import Elementwise
from .guards import Guard
from .held import held
from .indices import Dim
from .recurrence import Recurrence, blocks
from .tensors import Tensor, elements, shape_text

Where = dict[Any, int]  # the value of each index
Rule = Callable[[Where], Any]

RELATIONS: dict[Any, Callable[[Any, Any], bool]] = {
    sympy.StrictGreaterThan: lambda a, b: a > b,
    sympy.GreaterThan: lambda a, b: a >= b,
    sympy.StrictLessThan: lambda a, b: a < b,
    sympy.LessThan: lambda a, b: a <= b,
    sympy.Equality: lambda a, b: a == b,
    sympy.Unequality: lambda a, b: a != b,
}
FUNCTIONS = frozenset("exp log tanh sinh cosh sin cos tan atan erf erfc sign floor ceiling".split())


def evaluate(
    equations: Iterable[Equation],
    values: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    digits: int | None = None,
) -> dict[str, Any]:
    """Evaluate equations in order, at concrete sizes.

    Parameters
    ----------
    equations : each may read tensors of `values` and targets of equations before it. One that reads its own target
        reads the old value, which must be in `values`.
    values : arrays of the tensors that no equation defines, by name; numbers for tensors of rank 0.
    sizes : numbers for symbolic sizes, by name; those that are an axis of an array in `values` may be left out.
    digits : decimal digits of mpmath numbers to compute in; None for Python floats.

    Returns
    -------
    dict of name → array, for every target: float64, or mpmath numbers (dtype object) with `digits`.

    Raises
    ------
    UndefinedError
        If a tensor that is read has no value.
    IndexingError
        If a position that is read is not on its axis.
    SizeError
        If a size has no number or leaves an axis empty, or an array has another shape than its tensor.
    UnsupportedError
        If an expression holds a function that has no meaning here.
    """
    run = _Run(digits, dict(sizes or {}))
    steps = list(equations)
    tensors = {t.name: t for step in steps for t in (*step.reads, step.target)}
    for name, value in values.items():
        if name in tensors:
            run.take(tensors[name], value)
    made: dict[str, Any] = {}
    for block in blocks(steps) if _are_definitions(steps, values) else steps:
        if isinstance(block, Recurrence):
            made |= run.follow(block)
        else:
            made[block.target.name] = run.define(block)
    return made


def _are_definitions(steps: list[Equation], values: Mapping[str, Any]) -> bool:
    """Whether these are definitions, not assignments in order, which read old values."""
    targets = [step.target for step in steps]
    return len(set(targets)) == len(targets) and not any(target.name in values for target in targets)


class _Run:
    """One evaluation: the arrays known so far (nested lists), and the rule made of each SymPy node."""

    def __init__(self, digits: int | None, sizes: dict[str, int]) -> None:
        self.context: Any = mpmath.fp
        if digits is not None:
            self.context = mpmath.MPContext()
            self.context.dps = digits
        self.dtype = np.float64 if digits is None else np.object_
        self.sizes = sizes
        self.arrays: dict[str, Any] = {}
        self.rules: dict[Any, Rule] = {}

    def take(self, tensor: Tensor, value: Any) -> None:
        """Convert an array, and learn the sizes of its axes."""
        array = np.asarray(value, dtype=None if isinstance(value, np.ndarray) else object)
        if len(array.shape) != tensor.rank:
            raise SizeError(f"{tensor.name} has shape {shape_text(tensor.shape)}, found one of {array.shape}")
        for size, found in zip(tensor.shape, array.shape, strict=True):
            if isinstance(size, Dim):
                self.sizes.setdefault(size.name, found)
            if self.size(size) != found:
                raise SizeError(
                    f"{tensor.name} has shape {shape_text(tensor.shape)} with {size} = {self.size(size)}, "
                    f"found one of {array.shape}"
                )
        convert = int if tensor.classes is not None else self.number
        flat = np.empty(array.shape, dtype=object)
        for at in np.ndindex(array.shape):
            flat[at] = convert(array[at])
        self.arrays[tensor.name] = flat.tolist()

    def number(self, value: Any) -> Any:
        if isinstance(value, sympy.Rational):
            return self.context.mpf(value.p) / value.q
        if isinstance(value, Expr):
            return self.context.mpf(sympy.N(value, (self.context.dps if self.dtype is np.object_ else 15) + 5))
        return self.context.mpf(value if isinstance(value, mpmath.mpf) else float(value))

    def size(self, size: Expr) -> int:
        missing = sorted(s.name for s in size.free_symbols if s.name not in self.sizes)
        if missing:
            raise SizeError(f"size {missing[0]} has no number; give it, as in sizes={{{missing[0]!r}: 5}}")
        return int(size.xreplace({s: sympy.Integer(self.sizes[s.name]) for s in size.free_symbols}))

    def define(self, step: Equation) -> Any:
        rule = self.rule(step.body)
        check_shape(step.target, self.sizes, step)
        shape = tuple(self.size(size) for size in step.target.shape)
        array = np.empty(shape, dtype=self.dtype)
        for at in np.ndindex(shape):
            array[at] = rule(dict(zip(step.indices, at, strict=True)))
        self.arrays[step.target.name] = array.tolist()
        return array

    def follow(self, recurrence: Recurrence) -> dict[str, Any]:
        """The tensors of a recurrence, one step of time after another."""
        rules = [(step, self.rule(step.body)) for step in recurrence.equations]
        made = {}
        for step, _ in rules:
            check_shape(step.target, self.sizes, step)
            made[step.target.name] = np.zeros(tuple(self.size(size) for size in step.target.shape), dtype=self.dtype)
            self.arrays[step.target.name] = made[step.target.name]
        times = range(self.size(recurrence.length))
        for time in times if recurrence.step > 0 else reversed(times):
            for step, rule in rules:
                axis = recurrence.axes[step.target]
                array = made[step.target.name]
                for at in np.ndindex(array.shape[:axis] + array.shape[axis + 1 :]):
                    where = (*at[:axis], time, *at[axis:])
                    array[where] = rule(dict(zip(step.indices, where, strict=True)))
        for name, array in made.items():
            self.arrays[name] = array.tolist()
        return made

    # ---- one rule per kind of node ---------------------------------------------------------------------------

    def rule(self, node: Any) -> Rule:
        if node not in self.rules:
            self.rules[node] = self._rule(node)
        return self.rules[node]

    def _rule(self, node: Any) -> Rule:
        context = self.context
        if isinstance(node, Tensor | Indexed):
            return self._element(node)
        if isinstance(node, Dim):
            size = context.mpf(self.size(node))
            return lambda at: size
        if isinstance(node, Symbol):
            return lambda at: at[node]
        if node.is_Number or node.is_NumberSymbol:
            number = self.number(node)
            return lambda at: number
        if node in (sympy.true, sympy.false):
            return lambda at: bool(node)
        if isinstance(node, Sum | Max | ArgMax):
            return self._binder(node)
        if isinstance(node, Elementwise):
            return self.rule(node.expand_definition())
        if isinstance(node, held):
            return self.rule(node.args[0])
        if isinstance(node, Piecewise):
            branches = [(self.rule(value), self.rule(condition)) for value, condition in node.args]
            return lambda at: next(value(at) for value, condition in branches if condition(at))
        return self._operation(node, [self.rule(arg) for arg in node.args])

    def _operation(self, node: Any, args: list[Rule]) -> Rule:
        context = self.context
        if isinstance(node, sympy.Add):
            return lambda at: sum((arg(at) for arg in args[1:]), args[0](at))
        if isinstance(node, sympy.Mul):
            brackets = [part for part in node.args if isinstance(part, Guard | KroneckerDelta)]
            others = [self.rule(part) for part in node.args if part not in brackets]
            # What a bracket reads is itself read only where those that read nothing are 1.
            guards = [self.rule(part) for part in sorted(brackets, key=lambda part: bool(elements(part)))]
            if not guards:
                return lambda at: context.fprod(arg(at) for arg in args)
            zero = context.mpf(0)
            return lambda at: context.fprod(arg(at) for arg in others) if all(g(at) for g in guards) else zero
        if isinstance(node, Guard):
            return lambda at: int(args[0](at)) >= 0
        if isinstance(node, sympy.Mod):
            return lambda at: int(args[0](at)) % int(args[1](at))
        if isinstance(node, sympy.floor) and node.args[0].free_symbols:
            return self._quotient(node)
        if isinstance(node, sympy.Pow):
            base, exponent = args
            if node.exp == sympy.Rational(1, 2):
                return lambda at: context.sqrt(base(at))
            if isinstance(node.exp, sympy.Integer):
                power = int(node.exp)
                return lambda at: base(at) ** power
            return lambda at: context.power(base(at), exponent(at))
        if isinstance(node, sympy.And):
            return lambda at: all(arg(at) for arg in args)
        if isinstance(node, sympy.Or):
            return lambda at: any(arg(at) for arg in args)
        if isinstance(node, sympy.Not):
            return lambda at: not args[0](at)
        if isinstance(node, KroneckerDelta):
            return lambda at: context.mpf(int(args[0](at)) == int(args[1](at)))
        if isinstance(node, sympy.Abs):
            return lambda at: abs(args[0](at))
        if type(node) in RELATIONS:
            relation = RELATIONS[type(node)]
            return lambda at: relation(args[0](at), args[1](at))
        if type(node).__name__ in FUNCTIONS:
            function = getattr(context, {"ceiling": "ceil"}.get(type(node).__name__, type(node).__name__))
            return lambda at: function(args[0](at))
        raise UnsupportedError(f"cannot evaluate {node} of type {type(node).__name__}")

    def _quotient(self, node: Any) -> Rule:
        """A floor, in whole numbers where its argument is a fraction of them: rounding must not move a position."""
        top, bottom = sympy.fraction(sympy.together(node.args[0]))
        if not (top.is_integer and bottom.is_integer) or elements(node):
            inside = self.rule(node.args[0])
            return lambda at: self.context.floor(inside(at))
        above, below = self.rule(top), self.rule(bottom)
        return lambda at: int(above(at)) // int(below(at))

    def _element(self, node: Any) -> Rule:
        tensor = node.base.label if isinstance(node, Indexed) else node
        places = [self.rule(place) for place in node.indices] if isinstance(node, Indexed) else []

        def read(at: Where) -> Any:
            if tensor.name not in self.arrays:
                raise UndefinedError(f"{tensor.name} is read but has no value; give it in values")
            value = self.arrays[tensor.name]
            for place in places:
                position = int(place(at))
                if not 0 <= position < len(value):
                    raise IndexingError(f"{node} is read at position {position} of an axis of size {len(value)}")
                value = value[position]
            return value

        return read

    def _binder(self, node: Any) -> Rule:
        body = self.rule(node.body)
        bound = [index for index, _ in node.limits]
        ranges = [range(self.size(extent)) for _, extent in node.limits]

        def terms(at: Where) -> Iterable[Any]:
            return (body({**at, **dict(zip(bound, where, strict=True))}) for where in itertools.product(*ranges))

        if isinstance(node, Sum):
            return lambda at: sum(terms(at), self.context.mpf(0))
        if isinstance(node, Max):
            return lambda at: max(terms(at))
        return lambda at: (lambda found: found.index(max(found)))(list(terms(at)))
