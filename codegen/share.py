"""Functions that are computed more often than need be become temporaries.

Those that stand twice (the exponentials of a softmax, the sigmoid of a SiLU), and those inside a loop that they do not
depend on (the logarithm of a row's sum).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy
from sympy import Expr, KroneckerDelta, Piecewise, Pow

from ..symbolic.equations import Equation
from ..symbolic.guards import Guard
from ..symbolic.indices import Index
from ..symbolic.ranges import Ranges
from ..symbolic.tensors import is_element
from .ops import Contraction, Extents, Op, Pointwise
from .safe_reads import guard_reads
from .stable_functions import Difference

Temporary = Callable[[str, dict[Any, Expr], Equation], Expr]
_CHEAP = (Difference, Guard, Piecewise, KroneckerDelta, sympy.Abs, sympy.sign, sympy.floor, sympy.ceiling, sympy.Mod)


def share_functions(ops: Sequence[Op], temporary: Temporary, numbers: Ranges) -> list[Op]:
    """Compute each function value of `ops` once, before its first use; `numbers` are those of symbolic sizes."""
    shared = list(ops)
    while True:
        counts: dict[Any, int] = {}
        sizes: dict[Any, int] = {}
        for op in shared:
            for node, size in _functions(op):
                key = _key(node, op)
                again = len(key[1]) < len(op.space)
                counts[key] = counts.get(key, 0) + 1 + again
                sizes[key] = size
        repeated = [key for key, count in counts.items() if count > 1]
        if not repeated:
            return shared
        # The largest first: what it holds is then counted in one place only.
        shared = _take_out(shared, max(repeated, key=lambda key: sizes[key]), temporary, numbers)


def _take_out(ops: Sequence[Op], key: Any, temporary: Temporary, numbers: Ranges) -> list[Op]:
    made: list[Op] = []
    value = None
    for op in ops:
        node = next((node for node, _ in _functions(op) if _key(node, op) == key), None)
        if node is not None:
            space = _space(node, op)
            if value is None:
                value = temporary(type(node).__name__.lower(), space, op.equation)
                # It is computed for all indices, outside of the guards around it.
                safe = guard_reads(node, space, numbers, alone=True)
                made.append(Pointwise(value, safe, tuple(space.items()), op.equation))
                names = tuple(space)
            element = value.xreplace(dict(zip(names, space, strict=True)))
            op = replace(op, body=op.body.xreplace({node: element}))
        made.append(op)
    return made


def _functions(op: Op) -> Iterator[tuple[Expr, int]]:
    """The function values in an op that cost more than to store and load, with the size of each as an expression."""
    if isinstance(op, Contraction):
        return
    # A pointwise op may be such a value already; what it is made of may still be shared.
    is_value = isinstance(op, Pointwise) and is_costly(op.body)
    stack = list(op.body.args) if is_value else [op.body]
    while stack:
        node = stack.pop()
        if is_element(node) or not node.args:
            continue
        if is_costly(node) and not node.is_number:
            yield node, sum(1 for _ in sympy.preorder_traversal(node))
        stack.extend(reversed(node.args))


def is_costly(node: Any) -> bool:
    """Whether a node is a function that takes longer than reading a number."""
    if isinstance(node, Pow):
        return not node.exp.is_Integer
    return isinstance(node, sympy.Function) and not isinstance(node, _CHEAP)


def _key(node: Expr, op: Op) -> Any:
    """`node` with its indices numbered, and how far each runs."""
    space = _space(node, op)
    names = {index: Index(f"_{place}") for place, index in enumerate(space)}
    return node.xreplace(names), tuple(space.values())


def _space(node: Expr, op: Op) -> Extents:
    """The indices of `node` in the order in which it names them, whatever the order of the op's loops."""
    extents = dict(op.space)
    named = dict.fromkeys(part for part in sympy.preorder_traversal(node) if part in extents)
    return {index: extents[index] for index in named}
