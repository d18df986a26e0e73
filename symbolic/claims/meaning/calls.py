"""Functions applied to values: named ones, their derivatives (σ′), the activation that a letter g stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sympy
from sympy import Dummy, Expr, KroneckerDelta, Piecewise

from ...binders import Sum as SumOver
from ...tensors import elements, tensor_of
from ..errors import UnknownNameError, pointed
from ..latex.syntax import BigOperator, Group, Name, Node, Number, Relation
from .function_names import OF_ARRAYS
from .items import Item, items_of
from .lexicon import Entry, is_applied
from .naming import exponent, indexed, label_text, matching, power, without
from .reading import Reading
from .values import MORE, C, R, Value, diagonal, divide, entrywise, number, total

# Letters that stand for the activation of a layer, where the network has nothing else of the name.
ACTIVATIONS = frozenset(["g", "f", "h", r"\phi", r"\varphi", r"\psi", r"\rho", "act", "activation"])


def is_function_name(name: Name, reading: Reading) -> bool:
    """Whether a name may be that of a function."""
    entries = reading.lexicon.labelled(name)
    if any(entry.kind == "function" for entry in entries):
        return True
    return name.base in ACTIVATIONS and not any(entry.kind != "function" for entry, _ in matching(name, reading))


def called(factors: list[Node], reading: Reading) -> tuple[Value, int] | None:
    """The function at the head of `factors` applied to what follows, and how many factors that takes; None if it is not
    applied here but a tensor of the same name."""
    name = factors[0]
    assert isinstance(name, Name)
    entry, items = _function(name, reading)
    following = factors[1] if len(factors) > 1 else None
    bracketed = isinstance(following, Group) and following.opening in ("(", "[", "{", "")
    is_tensor = any(known.kind != "function" for known, _ in matching(name, reading))
    if following is None or (entry is None and not bracketed):
        if is_tensor or entry is None:
            return None
        raise _bare(name, reading)
    if is_tensor and not (bracketed and _is_applied_here(name, entry, reading)):
        return None
    if bracketed:
        assert isinstance(following, Group)
        args = [_argument(part, reading) for part in following.content]
        value = apply(name, entry, args, items, reading)
        return indexed(value, items_of(following.scripts), reading), 2
    argument, used = _unbracketed(factors[1:], reading)
    return apply(name, entry, [argument], items, reading), used + 1


def _function(name: Name, reading: Reading) -> tuple[Entry | None, list[Item]]:
    """The function of that name with the most labels, and the other scripts."""
    items = items_of(name.scripts)
    best: tuple[Entry | None, list[Item]] = None, items
    for entry in reading.lexicon.labelled(name):
        left = without(items, entry.labels, reading) if entry.kind == "function" else None
        if left is not None and (best[0] is None or len(entry.labels) > len(best[0].labels)):
            best = entry, left
    return best


def _is_applied_here(name: Name, entry: Entry | None, reading: Reading) -> bool:
    """Whether a name that is a function's and a tensor's is the function: it is if the tensor is what it gives."""
    tensors = [known.meaning for known, _ in matching(name, reading) if known.kind in ("tensor", "loss")]
    made_by = {e.target: e.body.func for e in reading.network.equations}
    if entry is not None and any(made_by.get(tensor) == entry.meaning for tensor in tensors):
        return True
    return reading.settle(f"function {name.base}", ["function", "tensor"]) == "function"


def _bare(name: Name, reading: Reading) -> UnknownNameError:
    return UnknownNameError(
        f"{reading.text[name.span.start : name.span.end]} is a function, but nothing follows that it is applied to\n"
        f"{pointed(reading.text, name.span.start, name.span.end)}"
    )


def _argument(part: Any, reading: Reading) -> Value:
    from .formula import value_of

    if isinstance(part, Relation):
        raise reading.fails("a comparison is no argument of a function")
    return value_of(part, reading)


def _unbracketed(factors: list[Node], reading: Reading) -> tuple[Value, int]:
    """The argument of ``\\log p_k``: one factor, a function with its own, or a sum; else all that follows."""
    from ..latex.syntax import Product
    from .formula import side_by_side, value_of

    first = factors[0]
    if isinstance(first, Name) and is_function_name(first, reading):
        applied = called(factors, reading)
        if applied is not None:
            return applied
    if len(factors) == 1 or isinstance(first, BigOperator | Group):
        return value_of(first, reading), 1
    used = 2 if isinstance(first, Number) else 1  # \sin 2x
    options = sorted({used, len(factors)})
    many = reading.pick(options)
    if many == 1:
        return side_by_side([first], reading)[0], 1
    return value_of(Product(tuple(factors[:many]), ("",) * (many - 1)), reading), many


def apply(name: Name, entry: Entry | None, args: list[Value], items: list[Item], reading: Reading) -> Value:
    """A function of values; `items` are the scripts of its name: primes, a power, a layer."""
    primes = sum(item.primes for item in items)
    rest = [item for item in items if not item.primes]
    meaning = _activation(name, args, rest, reading) if entry is None else entry.meaning
    if entry is None:
        rest = [item for item in rest if item.raised and not item.bracket and isinstance(item.node, Number)]
        rest = [] if rest and primes else rest
    if isinstance(meaning, str) and meaning in OF_ARRAYS:
        if primes:
            raise reading.fails(f"{meaning} is no function of one number: it has a Jacobian, no derivative ′")
        return _powers(of_arrays(meaning, args, reading), rest, reading)
    if len(args) != 1:
        raise reading.fails(f"{name.base} takes one argument, found {len(args)}")
    function = derivative(meaning, primes)
    below = next((item for item in rest if not item.raised), None)
    if below is not None:
        raise reading.fails(
            f"the {below.text} below {name.base} has no meaning here: a base, or an index of what it gives?"
        )
    return _powers(args[0].map(function), rest, reading)


def _powers(value: Value, items: list[Item], reading: Reading) -> Value:
    for item in items:
        if item.node is None or not item.raised:
            if item.node is not None and value.columns is None and not value.is_scalar:
                value = indexed(value, [item], reading)  # softmax_j(z)
                continue
            raise reading.fails(f"the script {item.text} of a function has no meaning")
        by = exponent(item.node, reading)
        if by == -1:
            raise reading.fails("an inverse function is not read")
        value = power(value, by, reading)
    return value


def derivative(function: Callable[[Any], Expr], order: int) -> Callable[[Expr], Expr]:
    """The derivative of a function of one number, derived from its definition."""
    if not order:
        return function
    u, made = _slope(function, order)
    return lambda at: made.xreplace({u: at})


@lru_cache(maxsize=100)
def _slope(function: Callable[[Any], Expr], order: int) -> tuple[Dummy, Expr]:
    u = Dummy("u", real=True)
    return u, sympy.diff(function(u), u, order)


def _activation(name: Name, args: list[Value], items: list[Item], reading: Reading) -> Callable[[Any], Expr]:
    """The function that the network applies to the argument, entry by entry; else the only one that it has."""
    network = reading.network
    applied: dict[Any, Callable[[Any], Expr]] = {}
    for equation in network.equations:
        for tensor in equation.reads:
            if is_applied(equation, tensor):
                applied.setdefault(tensor, _of(equation))
    layers = {label_text(item, reading) for item in items if item.bracket and item.raised}
    if len(args) == 1:
        read = {tensor_of(element) for element in elements(args[0].entry)}
        known = [applied[tensor] for tensor in read if tensor in applied]
        if len(read) == 1 and known and not layers:
            return known[0]
        if layers:
            known = [f for tensor, f in applied.items() if layers & _labels(tensor, reading)]
            if known and _same(known):
                return known[0]
    if applied and _same(list(applied.values())):
        return next(iter(applied.values()))
    raise UnknownNameError(
        f"{name.base} is applied to what the network applies no function to, and {network.name} has "
        f"{'several' if applied else 'none'}: say which it is, functions={{{name.base!r}: gl.tanh}}\n"
        f"{pointed(reading.text, name.span.start, name.span.end)}"
    )


def _labels(tensor: Any, reading: Reading) -> set[str]:
    found = [e for entries in reading.lexicon.entries.values() for e in entries if e.meaning == tensor]
    return {label for entry in found if entry.kind == "tensor" for label in entry.labels}


def _of(equation: Any) -> Callable[[Any], Expr]:
    (element,) = elements(equation.body)
    return lambda at: equation.body.xreplace({element: at})


def _same(functions: list[Callable[[Any], Expr]]) -> bool:
    u = Dummy("u", real=True)
    return len({function(u) for function in functions}) == 1


# ---- functions of arrays ----------------------------------------------------------------------------------------


def of_arrays(name: str, args: list[Value], reading: Reading) -> Value:
    """softmax, diag, rowsum and the like."""
    if name in ("max", "min"):
        if len(args) != 2:
            raise reading.fails(f"{name} of {len(args)} values is not read: it has two, or an index below it")
        sign = 1 if name == "max" else -1
        one, other = args
        return entrywise(one, other, lambda a, b: Piecewise((a, sign * (a - b) > 0), (b, True)), name)
    if len(args) != 1:
        raise reading.fails(f"{name} takes one argument, found {len(args)}")
    (value,) = args
    if name in ("diag", "Diag"):
        return diagonal(value)
    if name in ("tr", "Tr", "trace"):
        return total(diagonal(value))
    if name == "sum":
        return total(value)
    if name == "mean":
        sizes = [size for size in value.shape if size is not None]
        return divide(total(value), number(sympy.Mul(*sizes)))
    if name == "rowsum":
        return total(value, over_rows=False)
    if name == "colsum":
        return total(value, over_columns=False)
    return _onehot(value, reading) if name == "onehot" else _softmax(name, value, reading)


def _onehot(value: Value, reading: Reading) -> Value:
    """1 at the class of a label, else 0; the classes run along the axis that examples do not."""
    labels = elements(value.entry)
    classes = tensor_of(labels[0]).classes if labels == [value.entry] else None
    if classes is None or value.more:
        raise reading.fails("onehot takes labels of classes")
    if value.is_matrix:  # an array, with the axes as they are stored and that of the classes last
        value = value.transposed if value.columns == reading.network.batch else value
        return Value(KroneckerDelta(MORE[0], value.entry), value.rows, value.columns, (classes,))
    if value.rows is None:
        return Value(KroneckerDelta(R, value.entry), classes, value.columns)
    return Value(KroneckerDelta(C, value.entry), value.rows, classes)


def _softmax(name: str, value: Value, reading: Reading) -> Value:
    """Along the classes: down the column of an example, along a row where examples are rows."""
    if value.is_scalar or value.more:
        raise reading.misfit(f"{name} of {value}")
    down = value.columns is None or (value.is_matrix and value.columns == reading.network.batch)
    size = value.rows if down else value.columns
    k = Dummy(integer=True)
    below = SumOver(sympy.exp(value.at(k, C) if down else value.at(R, k)), (k, size))
    if name == "logsumexp":
        shape = (None, value.columns) if down else (value.rows, None)
        return Value(sympy.log(below), *shape)
    return Value(sympy.exp(value.entry) / below, value.rows, value.columns)
