"""Operators with an index below them, brackets that are 1 or 0, and norms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import sympy
from sympy import Expr, Integer, KroneckerDelta, Piecewise, Symbol

from ...binders import ArgMax, Max, rename_free
from ...binders import Sum as SumOver
from ...guards import Guard
from ...indices import Dim
from ...tensors import elements, tensor_of
from ..latex.syntax import BigOperator, Group, Name, Node, Number, Product, Relation
from ..latex.syntax import Sum as SumOfTerms
from .items import Item
from .lexicon import run_text
from .naming import _whole as whole
from .naming import exponent, matching, unknown
from .reading import Reading
from .values import Value, entrywise, number, times, total
from .windows import window_sizes

Meaning = Callable[[Any, Reading], Value]
HOLDS = {"<": sympy.StrictLessThan, "≤": sympy.LessThan, ">": sympy.StrictGreaterThan, "≥": sympy.GreaterThan}


def value_of_operator(node: BigOperator, reading: Reading, value_of: Meaning) -> Value:
    """``\\sum_{k=1}^n``, ``\\max_k`` over the index below; a bare ``\\sum`` over the batch, or all."""
    if node.operator not in ("sum", "max", "argmax"):
        raise reading.fails(f"{node.operator} is not read here; there are sums, maxima and argmax", node.span)
    letters, conditions, lower = _below(node, reading)
    if not letters:
        return _bare(node, reading, value_of)
    above = None if node.above is None else _upper(node.above, reading)
    outside = reading.first
    if not reading.given_first and (hint := _begins_at(lower, above, node)) is not None:
        reading.first = hint  # inside of this sum
    before, bound = reading.bind(letters)
    try:
        body = value_of(node.body, reading)
        guards = [_bracket(relation, reading) for relation in conditions]
        made = body.map(lambda entry: entry * sympy.Mul(*guards)) if guards else body
        for symbol in bound:
            made = _over(node, symbol, made, lower.get(symbol.name), above, reading)
    finally:
        reading.release(before)
        reading.first = reading.first if outside is None else outside
    return made


def _upper(node: Node, reading: Reading) -> Expr:
    """Where a sum ends; a letter that is neither a size nor an index is asked about."""
    known = dict(reading.letters)
    above = whole(node, reading)
    for letter in [letter for letter in reading.letters if letter not in known]:
        del reading.letters[letter]
        raise unknown(Name(letter, span=node.span), reading.text, reading)
    return above


def _begins_at(lower: dict[str, Expr], above: Expr | None, node: BigOperator) -> int | None:
    """What the limits say of where positions begin: from 0; or from 1 to T, or to 5, but not to T - 1."""
    begins = set(lower.values())
    if begins == {Integer(0)}:
        return 0
    return 1 if begins == {Integer(1)} and isinstance(node.above, Name | Number) and above is not None else None


def from_zero(place: Expr, reading: Reading) -> Expr:
    """A position as the network counts: letters count from 0 already, numbers and sizes from where the user does."""
    letters = [s for s in place.free_symbols if not isinstance(s, Dim)]
    if letters and not place.is_polynomial(*letters):
        return place
    shift = 1 - sum(place.diff(letter) for letter in letters)
    return place if shift == 0 else place - shift * reading.first_position()


def _below(node: BigOperator, reading: Reading) -> tuple[list[str], list[Relation], dict[str, Expr]]:
    """The letters below an operator, conditions on them, and where each begins."""
    letters: list[str] = []
    conditions: list[Relation] = []
    lower: dict[str, Expr] = {}
    for part in node.below:
        if isinstance(part, Relation) and len(part.parts) == 2 and part.signs[0] == "=":
            found = _letters(part.parts[0], reading)
            if len(found) != 1:
                raise reading.fails("before an equals sign below an operator stands one index, as in k=1", part.span)
            name = found[0]
            letters.append(name)
            assert part.parts[1] is not None
            lower[name] = whole(part.parts[1], reading)
        elif isinstance(part, Relation) and len(part.parts) >= 2 and part.signs[0] != "∈":
            found = _letters(part.parts[0], reading)
            letters += found
            conditions.append(part)
        elif isinstance(part, Relation) and len(part.parts) == 1:
            letters += _letters(part.parts[0], reading)
        elif isinstance(part, Relation):
            raise reading.fails("a sum over a set is not read; write its range, \\sum_{k=1}^{n}", part.span)
        else:
            letters += _letters(part, reading)
    return letters, conditions, lower


def _letters(node: Any, reading: Reading) -> list[str]:
    if isinstance(node, Name) and not node.scripts and not node.accents:
        return [node.base]
    if isinstance(node, Product) and not any(node.operators):
        return [letter for factor in node.factors for letter in _letters(factor, reading)]
    if isinstance(node, Group) and not node.scripts:
        return [letter for inner in node.content for letter in _letters(inner, reading)]
    raise reading.fails("below an operator stands an index", getattr(node, "span", None))


def _size_of(symbol: Symbol, reading: Reading) -> Any:
    """What a letter runs over: the axis that it indexes, or what gradloom's own sums over such a window do."""
    known = reading.size_of(symbol)
    if known is not None:
        return known
    sizes = window_sizes(symbol, reading.places, reading.lexicon.derivation)
    if not sizes:
        return None
    size = reading.pick(sizes)
    reading.note(f"{symbol.name} runs over {size} places, as in the network's own equations")
    reading.runs_over(symbol, size)
    return size


def _over(
    node: BigOperator, symbol: Symbol, body: Value, lower: Expr | None, above: Expr | None, reading: Reading
) -> Value:
    size = _size_of(symbol, reading)
    if size is None and above is not None and lower is not None:
        size = above - lower + 1 if (above - lower + 1).is_positive else None
    if size is None or (not body.entry.has(symbol) and lower is None):
        raise reading.fails(f"nothing says what {symbol.name} runs over: it is no index of what is summed")
    _check_end(symbol, size, above, reading)
    if reading.first is None and above is not None and above == size:
        reading.first = 1  # what ends at T began at 1
    guards: list[Expr] = []
    if lower is not None and not (above is None and lower in (0, 1) and not reading.given_first):
        guards.append(Guard(symbol - from_zero(lower, reading)))
    if above is not None:
        guards.append(Guard(from_zero(above, reading) - symbol))
    guards = [guard for guard in guards if guard not in (Guard(symbol), Guard(size - 1 - symbol))]
    if node.operator in ("max", "argmax"):
        if guards:
            raise reading.fails("a maximum over a part of an axis is not read")
        found = Max if node.operator == "max" else ArgMax
        return body.map(lambda inner: found(inner, (symbol, size)))
    return body.map(lambda inner: SumOver(inner * sympy.Mul(*guards), (symbol, size)))


def _check_end(symbol: Symbol, size: Any, above: Expr | None, reading: Reading) -> None:
    """Refuse a sum that ends at another size than that of its axis: at small sizes it might cut nothing off."""
    gap = Integer(0) if above is None else above - size
    letters = [s for s in gap.free_symbols if not isinstance(s, Dim)]
    if gap.free_symbols and not letters:
        raise reading.misfit(f"{symbol.name} runs over an axis of size {size}, but the sum ends at {above}")


def _bare(node: BigOperator, reading: Reading, value_of: Meaning) -> Value:
    """A sum without an index: over the batch, over each axis, or over all."""
    if node.operator != "sum":
        raise reading.fails(f"{node.operator} needs an index below it")
    body = value_of(node.body, reading)
    batch = reading.network.batch
    options = []
    hidden = reading.opened.get(batch)
    if hidden is not None and body.entry.has(hidden):
        options.append("hidden")
    if batch is not None and batch in body.shape:
        options.append("batch")
    options += ["all"] if not body.is_scalar and "hidden" not in options else []
    if not options:
        raise reading.misfit("a sum without an index, over a number", node.span)
    how = reading.settle("bare sum", options)
    if how == "hidden":
        reading.note("a sum without an index is over the examples")
        return body.map(lambda entry: SumOver(entry, (hidden, batch)))
    if how == "batch":
        reading.note("a sum without an index is over the examples")
        return total(body, over_rows=body.rows == batch, over_columns=body.columns == batch)
    reading.note("a sum without an index is over all entries")
    return total(body)


def index_of(node: Node | None, reading: Reading) -> Expr | None:
    """A letter that is an index, or a position; None if it is none."""
    if isinstance(node, Name) and not node.scripts and not node.accents:
        return reading.letter(node.base)
    return None


def iverson(relation: Relation, reading: Reading, value_of: Meaning) -> Value:
    """``[z > 0]``, ``[k = y]``, ``[t \\ge 1]``: 1 where it holds, else 0, entry by entry."""
    made = number(1)
    for left, sign, right in zip(relation.parts, relation.signs, relation.parts[1:], strict=False):
        assert left is not None
        assert right is not None
        bracket = _compared(left, sign, right, reading, value_of)
        made = times(made, bracket)
    return made


def _compared(left: Node, sign: str, right: Node, reading: Reading, value_of: Meaning) -> Value:
    from .values import MismatchError

    if sign == "=" and isinstance(right, BigOperator) and right.operator == "argmax":
        return _at_maximum(left, right, reading, value_of)
    # Of two kinds: positions along axes, and values. A tensor's letter that is no index elsewhere is its value.
    try:
        if any(_names_a_tensor(side, reading) for side in (left, right)):
            raise MismatchError("values")
        one, other = whole(left, reading), whole(right, reading)
        positions = [s for s in one.free_symbols | other.free_symbols if not isinstance(s, Dim)]
        if positions and all(isinstance(s, Symbol) and _is_position(s, reading) for s in positions):
            return number(_positional(one, sign, other, reading))
    except MismatchError:
        pass
    first, second = _labels(left, right, reading, value_of)
    if sign in HOLDS:
        relation = HOLDS[sign]
        return entrywise(first, second, lambda a, b: Piecewise((1, relation(a, b)), (0, True)), "comparison")
    if sign == "=":
        return entrywise(first, second, _same, "comparison")
    if sign == "≠":
        return entrywise(first, second, lambda a, b: 1 - _same(a, b), "comparison")
    raise reading.fails(f"{sign} is no comparison that is read here")


def _same(one: Expr, other: Expr) -> Expr:
    """1 where both are equal; of real numbers, whose δ would be that of their whole parts, by cases."""
    if one.is_integer and other.is_integer:
        return KroneckerDelta(one, other)
    return Piecewise((1, sympy.Eq(one, other)), (0, True))


def _labels(left: Node, right: Node, reading: Reading, value_of: Meaning) -> tuple[Value, Value]:
    """Both sides; a letter beside a class label is the class, as the network numbers them."""
    first, second = value_of(left, reading), value_of(right, reading)
    for node, one, other in ((left, first, second), (right, second, first)):
        labels = [tensor_of(element).classes for element in elements(other.entry)]
        if isinstance(node, Name) and not node.scripts and node.base in reading.letters and any(labels):
            letter = number(reading.letters[node.base])
            return (letter, second) if one is first else (first, letter)
    return first, second


def _names_a_tensor(node: Any, reading: Reading) -> bool:
    """Whether a side of a comparison speaks of values: it has the name of a tensor, ``z1`` or ``W x``."""
    if isinstance(node, Name):
        return node.base not in reading.letters and any(e.kind == "tensor" for e, _ in matching(node, reading))
    if isinstance(node, Product):
        named = [all(isinstance(f, Name | Number) for f in pair) and run_text(pair) for pair in pairwise(node.factors)]
        if any(run in reading.lexicon.runs for run in named):
            return True
        return any(_names_a_tensor(factor, reading) for factor in node.factors)
    if isinstance(node, SumOfTerms):
        return any(_names_a_tensor(term, reading) for _, term in node.terms)
    return isinstance(node, Group) and any(_names_a_tensor(part, reading) for part in node.content)


def _at_maximum(left: Node, right: BigOperator, reading: Reading, value_of: Meaning) -> Value:
    """``[(p, q) = \\operatorname{argmax}_{j, k} f]``: of several maxima, the first, in the order of the letters."""
    listed = isinstance(left, Group) and left.opening == "(" and not left.scripts
    positions = [whole(part, reading) for part in (left.content if listed else (left,))]  # type: ignore[union-attr,arg-type]
    letters, conditions, lower = _below(right, reading)
    if len(letters) != len(positions) or conditions or lower:
        raise reading.fails(f"argmax over {', '.join(letters)} is compared with {len(positions)} positions", right.span)
    before, bound = reading.bind(letters)
    try:
        value = value_of(right.body, reading)
        limits = [(symbol, _size_of(symbol, reading)) for symbol in bound]
    finally:
        reading.release(before)
    if any(size is None for _, size in limits):
        raise reading.fails(f"nothing says what {', '.join(letters)} run over", right.span)

    def bracket(entry: Expr) -> Expr:
        made: Expr = Integer(1)
        for at, (limit, position) in enumerate(zip(limits, positions, strict=True)):
            inner = Max(entry, *limits[at + 1 :]) if limits[at + 1 :] else entry
            made *= KroneckerDelta(position, ArgMax(inner, limit))
            entry = rename_free(entry, {limit[0]: position})
        return made

    return value.map(bracket)


def _is_position(symbol: Symbol, reading: Reading) -> bool:
    return symbol in reading.letters.values()


def _positional(one: Expr, sign: str, other: Expr, reading: Reading) -> Expr:
    if any(not isinstance(symbol, Dim) for symbol in one.free_symbols | other.free_symbols):
        one, other = from_zero(one, reading), from_zero(other, reading)
    gap = other - one
    if sign == "=":
        return KroneckerDelta(one, other) if gap.free_symbols else Integer(int(gap == 0))
    if sign == "≠":
        return 1 - KroneckerDelta(one, other)
    bounds = {"≤": gap, "<": gap - 1, "≥": -gap, ">": -gap - 1}
    if sign not in bounds:
        raise reading.fails(f"{sign} is no comparison that is read here")
    return Guard(bounds[sign])


def _bracket(relation: Relation, reading: Reading) -> Expr:
    made: Expr = Integer(1)
    for left, sign, right in zip(relation.parts, relation.signs, relation.parts[1:], strict=False):
        assert left is not None
        assert right is not None
        made *= _positional(whole(left, reading), sign, whole(right, reading), reading)
    return made


def norm(value: Value, items: list[Item], reading: Reading) -> Value:
    """``\\|x\\|^2``, over all entries; ``\\|x\\|_1``; one in batches is over the whole."""
    order = 2
    raised: Expr = Integer(1)
    for item in items:
        if item.raised and item.node is not None:
            raised = exponent(item.node, reading)
        elif item.text == "1":
            order = 1
        elif item.text not in ("2", "F"):
            raise reading.fails(f"a norm of order {item.text} is not read")
    if order == 1:
        return total(value.map(sympy.Abs)).map(lambda entry: entry**raised)
    return total(value.map(lambda entry: entry**2)).map(lambda entry: sympy.Pow(entry, raised / 2))
