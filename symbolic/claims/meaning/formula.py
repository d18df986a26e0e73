"""What a formula says: its parts become values over a network's tensors, in one way of reading it."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import sympy
from sympy import Expr, Integer, KroneckerDelta, Piecewise, Rational, Symbol

from ..errors import UnknownNameError, pointed
from ..latex.syntax import (
    BigOperator,
    Cases,
    Fraction,
    Group,
    Name,
    Node,
    Number,
    Product,
    Relation,
    Root,
    Span,
    Sum,
    Text,
)
from . import ranges
from .calls import called, is_function_name
from .differentials import as_derivative, gradient_of_prefix
from .items import items_of
from .lexicon import Entry, run_text
from .naming import exponent, gradient_named, indexed, is_index, label_text, matching, tensor_named, unknown, without
from .reading import Reading
from .values import ANY, IDENTITY, ONES, Value, add, divide, matmul, number, times, total

DEEPEST = 60  # aliases within aliases


def value_of(node: Node, reading: Reading) -> Value:
    """The value of a part.

    Raises
    ------
    MismatchError
        If nothing fits together in this reading.
    UnknownNameError
        If a name is not known.
    """
    if isinstance(node, Number):
        if re.search(r"e[-+]?\d{4}", node.text) or len(node.text) > 1000:
            raise reading.fails("a number of more digits than are computed here", node.span)
        if "e" in node.text.lower():
            reading.note(f"{node.text} is read as the number {float(Rational(node.text)):g}")
        return indexed(number(Rational(node.text)), items_of(node.scripts), reading)
    if isinstance(node, Name):
        return name_value(node, reading)
    if isinstance(node, Sum):
        return _sum(node, reading)
    if isinstance(node, Product):
        return _product(node, reading)
    if isinstance(node, Fraction):
        derivative = as_derivative(node, reading)
        return derivative or divide(value_of(node.top, reading), value_of(node.bottom, reading))
    if isinstance(node, Root):
        degree = Integer(2) if node.degree is None else exponent(node.degree, reading)
        return value_of(node.of, reading).map(lambda entry: entry ** (1 / degree))
    if isinstance(node, Group):
        return _group(node, reading)
    if isinstance(node, BigOperator):
        return ranges.value_of_operator(node, reading, value_of)
    if isinstance(node, Cases):
        return _cases(node, reading)
    if isinstance(node, Text):
        raise UnknownNameError(
            f"{node.text!r} are words inside of the formula, and it is not known what they mean; leave them out, or "
            f"put them behind it\n{pointed(reading.text, node.span.start, node.span.end)}"
        )
    raise reading.fails(f"a {type(node).__name__} has no value here")


# ---- names ------------------------------------------------------------------------------------------------------


def name_value(name: Name, reading: Reading) -> Value:
    found = [(entry, left) for entry, left in matching(name, reading) if entry.kind != "function"]
    if found and _is_kronecker(name):  # δ_{ij} beside a gradient δ: what has two axes may be either
        batch = reading.network.batch if reading.manner.single else None  # no axis, where it is about one example
        found = [(e, left) for e, left in found if e.kind == "node" or sum(s != batch for s in e.meaning.shape) >= 2]
        if not found or not reading.pick([True, False]):
            return _special(name, reading)
    if found:
        entry, left = reading.pick(found)
        strange = [item for item in left if item.bracket in ("(", "[") and isinstance(item.node, Number)]
        if strange and is_index(strange[0], reading):
            raise unknown(name, reading.text, reading)
        return entry_value(entry, left, name, reading)
    return _special(name, reading)


def _is_kronecker(name: Name) -> bool:
    items = items_of(name.scripts)
    letters = [item for item in items if isinstance(item.node, Name) and not item.raised and not item.node.scripts]
    return name.base == r"\delta" and not name.accents and len(letters) == len(items) == 2


def entry_value(entry: Entry, items: list, name: Node, reading: Reading) -> Value:  # type: ignore[type-arg]
    if entry.kind == "tensor" or (entry.kind == "loss" and not _is_per_example(items)):
        return tensor_named(entry.meaning, items, reading)
    if entry.kind == "adjoint":
        return gradient_named(entry.meaning, items, reading)
    if entry.kind == "size":
        return indexed(number(entry.meaning), items, reading)
    if entry.kind == "node":
        return _alias_value(entry, items, reading)
    if entry.kind == "rate" and reading.updates:
        return indexed(number(reading.rate(entry.meaning)), items, reading)
    raise unknown(name, reading.text, reading) if isinstance(name, Name) else reading.fails("no such name")


def _alias_value(entry: Entry, items: list, reading: Reading) -> Value:  # type: ignore[type-arg]
    """The value of what an alias stands for; the alias is no name inside of it, so that δ_k may be δ^{(2)}_k."""
    node, text = entry.meaning
    if reading.depth > DEEPEST:
        raise UnknownNameError(f"the alias {text} stands for itself")
    before = reading.text, reading.inside
    reading.depth += 1
    reading.inside = (*reading.inside, entry)
    try:
        if isinstance(node, Name) and items:
            inner = [(e, left) for e, left in matching(node, reading) if e.kind != "function"]
            if inner:
                known, left = inner[0]
                return entry_value(known, [*left, *items], node, reading)
        reading.text = text
        return indexed(value_of(node, reading), items, reading)
    finally:
        reading.depth -= 1
        reading.text, reading.inside = before


def _is_per_example(items: list) -> bool:  # type: ignore[type-arg]
    """``L_i`` is the loss of one example, and no tensor of the network."""
    return any(item.node is not None for item in items)


def _special(name: Name, reading: Reading) -> Value:
    """Names that every formula may use: e, π, 𝟏, the identity; letters that are indices of a sum."""
    items = items_of(name.scripts)
    if name.base == "e" and not name.accents and [script.kind for script in name.scripts] == ["sup"]:
        content = name.scripts[0].content  # as a whole: side by side, 2 and k in e^{2k} are a product
        if len(content) == 1 and not isinstance(content[0], Relation):
            return value_of(content[0], reading).map(sympy.exp)
    if name.base == r"\pi" and not items:
        return number(sympy.pi)
    if name.base == "1" and len(items) == 1 and isinstance(items[0].node, Relation):
        return ranges.iverson(items[0].node, reading, value_of)
    if name.base == "1" and name.font in ("mathbf", "mathbb", "boldsymbol", "bm", "mathds", "vec"):
        return _marked_only(ONES, items, reading)
    if name.base == "I" and not name.accents:
        return _marked_only(IDENTITY, items, reading)
    if not items and name.base in reading.letters and not name.accents:
        return number(reading.letters[name.base] + reading.first_position())  # the number that is written there
    if name.base == r"\delta" and len(items) == 2:
        one, other = (ranges.index_of(item.node, reading) for item in items)
        if one is not None and other is not None:
            for known, open_ in ((one, other), (other, one)):  # both run over one axis
                if isinstance(known, Symbol) and isinstance(open_, Symbol) and known in reading.sizes:
                    reading.runs_over(open_, reading.sizes[known])
            reading.paired.append((one, other))
            return number(KroneckerDelta(one, other))
    raise unknown(name, reading.text, reading)


def _marked_only(value: Value, items: list, reading: Reading) -> Value:  # type: ignore[type-arg]
    """What has no length of its own: a size below it says one, and an index reads an entry."""
    from .items import is_transposition

    for item in items:
        if is_transposition(item):
            value = value.transposed
        elif item.raised or not isinstance(item.node, Name):
            raise reading.fails("𝟏 and I have a size below them, or nothing")
        else:
            sizes = [entry.meaning for entry in reading.lexicon.labelled(item.node) if entry.kind == "size"]
            if not sizes:
                raise unknown(item.node, reading.text, reading)
            value = replace(value, rows=value.rows and sizes[0], columns=value.columns and sizes[0])
    return value


# ---- sums and products ------------------------------------------------------------------------------------------


def _sum(node: Sum, reading: Reading) -> Value:
    made: Value | None = None
    for sign, term in node.terms:
        value = value_of(term, reading)
        if sign < 0:
            value = value.map(lambda entry: -entry)
        made = value if made is None else add(made, value)
    assert made is not None
    return made


def _product(node: Product, reading: Reading) -> Value:
    """Factors and operators; those side by side bind tightest, or all from left to right where that differs."""
    if "mod" in node.operators:
        raise reading.fails("mod is read in positions along axes only", node.span)
    values: list[Value] = []
    operators: list[str] = []
    run: list[Node] = [node.factors[0]]
    for operator, factor in zip(node.operators, node.factors[1:], strict=True):
        if operator:
            parts = side_by_side(run, reading)
            values += parts
            operators += [""] * (len(parts) - 1) + [operator]
            run = [factor]
        else:
            run.append(factor)
    parts = side_by_side(run, reading)
    values += parts
    operators += [""] * (len(parts) - 1)
    mixed = any(operators) and "" in operators[operators.index(next(o for o in operators if o)) :]
    if mixed and reading.pick([False, True]):
        return _from_left(values, operators, reading)
    grouped = [values[0]]
    signs = []
    for operator, value in zip(operators, values[1:], strict=True):
        if operator == "":
            grouped[-1] = combined(grouped[-1], "", value, reading)
        else:
            signs.append(operator)
            grouped.append(value)
    return _from_left(grouped, signs, reading)


def _from_left(values: list[Value], operators: list[str], reading: Reading) -> Value:
    made = values[0]
    for operator, value in zip(operators, values[1:], strict=True):
        made = combined(made, operator, value, reading)
    return made


def combined(left: Value, operator: str, right: Value, reading: Reading) -> Value:
    """Two values and what is written between them."""
    if left.is_scalar or right.is_scalar:
        return divide(left, right) if operator == "oslash" else times(left, right)
    if operator in ("odot", "circ", "*"):
        return times(left, right)
    if operator == "oslash":
        return divide(left, right)
    if operator == "otimes":
        return matmul(left, right.transposed) if right.columns is None else matmul(left, right)
    if operator == "" and left.shape == right.shape and not _multiply(left, right):
        reading.note("what stands side by side is multiplied entry by entry, where no product of matrices fits")
        return times(left, right)
    if operator == "":
        return matmul(left, right)
    how = reading.pick(["matrices", "inner", "entries"])
    if how == "matrices":
        return matmul(left, right)
    if how == "entries":
        return times(left, right)
    if left.shape != right.shape or left.is_matrix:
        raise reading.misfit(f"inner product: {left} and {right}")
    return total(times(left, right))


def _multiply(left: Value, right: Value) -> bool:
    """Whether a product of matrices fits."""
    if left.columns is None:
        return right.rows is None
    return right.rows is not None and right.rows == left.columns


def side_by_side(factors: list[Node], reading: Reading) -> list[Value]:
    """The values of factors without an operator between them: names of several letters, functions, differentials."""
    values: list[Value] = []
    factors = _opened(factors, reading)
    _check_numbered(factors, reading)
    at = 0
    while at < len(factors):
        joined = _joined(factors, at, reading)
        aliased = joined is not None and joined[0].kind == "node"  # what the user has said comes first
        gradient = None if aliased else gradient_of_prefix(factors[at:], reading)
        if gradient is not None:
            value, used = gradient
            values.append(value)
            at += used
            continue
        if joined is not None:
            entry, used = joined
            last = factors[at + used - 1]
            items = items_of(last.scripts) if isinstance(last, Name | Number) else []
            values.append(entry_value(entry, without(items, entry.labels, reading) or [], last, reading))
            at += used
            continue
        factor = factors[at]
        if is_indicator(factors[at:]):
            values.append(value_of(factors[at + 1], reading))
            at += 2
            continue
        if isinstance(factor, Name) and is_function_name(factor, reading):
            applied = called(factors[at:], reading)
            if applied is not None:
                value, used = applied
                values.append(value)
                at += used
                continue
        if _divides_more(factors[at:]) and reading.pick([False, True]):  # a/bc is a/(bc)
            assert isinstance(factor, Fraction)
            if as_derivative(factor, reading) is not None:
                raise reading.misfit("a derivative is not divided by what follows")
            below = value_of(Product((factor.bottom, *factors[at + 1 :]), ("",) * (len(factors) - at - 1)), reading)
            return [*values, divide(value_of(factor.top, reading), below)]
        if isinstance(factor, Name) and factor.base == "d" and at + 1 < len(factors) and not matching(factor, reading):
            following = factors[at + 1]
            if isinstance(following, Name):  # dQ of no Q
                raise unknown(following, reading.text, reading)
        values.append(value_of(factor, reading))
        at += 1
    return values


def _opened(factors: list[Node], reading: Reading) -> list[Node]:
    """Names of several letters in one font, ``\\mathbf{dW}^{[1]}``: the scripts are those of the last letter."""
    made: list[Node] = []
    for factor in factors:
        above = _slash_before(made, factor)
        if above is not None:
            made[-1] = above
            continue
        inner = factor.content[0] if isinstance(factor, Group) and factor.opening == "" else None
        side = inner.factors if isinstance(inner, Product) and not any(inner.operators) else ()
        letters = [f for f in side if isinstance(f, Name | Number)]
        if isinstance(factor, Group) and letters and len(letters) == len(side):
            last = replace(letters[-1], scripts=(*letters[-1].scripts, *factor.scripts))
            differential = isinstance(letters[0], Name) and letters[0].base == "d" and len(letters) == 2
            if differential or run_text(letters) in reading.lexicon.runs:
                made += [*letters[:-1], last]
                continue
        made.append(factor)
    return made


def _slash_before(made: list[Node], factor: Node) -> Fraction | None:
    """``a1/z1``: the number belongs to the name below the slash; None if there is no such slash in front of it."""
    before = made[-1] if made else None
    if not (isinstance(factor, Number) and isinstance(before, Fraction) and before.slash):
        return None
    name = before.bottom
    if not isinstance(name, Name) or name.scripts or before.span.end != factor.span.start:
        return None
    below = Product((name, factor), ("",), span=Span(name.span.start, factor.span.end))
    return replace(before, bottom=below, span=Span(before.span.start, factor.span.end))


def _check_numbered(factors: list[Node], reading: Reading) -> None:
    """Refuse ``W2`` where there is no W2: a number right behind a letter is a part of its name, and no factor."""
    for at, (name, number_) in enumerate(itertools.pairwise(factors)):
        if not (isinstance(name, Name) and isinstance(number_, Number)) or name.span.end != number_.span.start:
            continue
        start = at
        while start > 0 and isinstance(factors[start - 1], Name | Number):  # a name of several letters: dW2
            start -= 1
        runs = reading.lexicon.runs
        if name.scripts or any(run_text(factors[first : at + 2]) in runs for first in range(start, at + 1)):
            continue
        raise unknown(replace(name, span=Span(name.span.start, number_.span.end)), reading.text, reading)


def is_indicator(factors: list[Node]) -> bool:
    """``\\mathbb 1[z > 0]``: the brackets alone say it."""
    if len(factors) < 2 or not isinstance(factors[0], Name) or factors[0].scripts:
        return False
    if factors[0].base != "1" and not (factors[0].base == "I" and factors[0].font in ("mathbb", "mathbf")):
        return False
    group = factors[1]
    inner = group.content[0] if isinstance(group, Group) and len(group.content) == 1 else None
    return isinstance(inner, Relation) and len(inner.parts) > 1


def _divides_more(factors: list[Node]) -> bool:
    """Whether what stands behind a slash may go on: a/bc, but not 1/2 b."""
    first = factors[0]
    return isinstance(first, Fraction) and first.slash and len(factors) > 1 and not _is_ratio(first)


def _is_ratio(node: Fraction) -> bool:
    return isinstance(node.top, Number) and isinstance(node.bottom, Number)


def _joined(factors: list[Node], at: int, reading: Reading) -> tuple[Entry, int] | None:
    """The longest name of several letters that begins here, ``dW2``; only the last of them has scripts."""
    longest = None
    for used in range(1, len(factors) - at + 1):
        part = factors[at : at + used]
        if not all(isinstance(f, Name | Number) for f in part) or any(getattr(f, "accents", ()) for f in part):
            break
        labels = [label_text(item, reading) for item in items_of(getattr(part[-1], "scripts", ()))]
        entries = [e for e in reading.lexicon.run(run_text(part), labels) if not any(e is a for a in reading.inside)]
        single = used == 1 and isinstance(part[0], Name) and matching(part[0], reading)
        if entries and not single:
            longest = (entries, used)
        if getattr(part[-1], "scripts", ()):
            break
    if longest is None:
        return None
    entries, used = longest
    alone = [factor for factor in factors[at : at + used] if isinstance(factor, Name)]
    if (
        used > 1
        and len(alone) == used
        and all(matching(f, reading) for f in alone)
        and reading.pick([True, False]) is False
    ):
        return None  # the product of names that are known each by itself
    return reading.pick(entries), used


# ---- brackets ---------------------------------------------------------------------------------------------------


def _group(node: Group, reading: Reading) -> Value:
    items = items_of(node.scripts)
    content = node.content
    relations = [part for part in content if isinstance(part, Relation) and len(part.parts) > 1]
    if node.opening in ("[", "(", "{") and relations and len(relations) == len(content):  # all of them hold
        made = ranges.iverson(relations[0], reading, value_of)
        for relation in relations[1:]:
            made = times(made, ranges.iverson(relation, reading, value_of))
        return indexed(made, items, reading)
    if len(content) == 1 and isinstance(content[0], Relation):
        content = tuple(part for part in content[0].parts if part is not None)
    if node.opening == "⟨" and len(content) == 2:
        left, right = (value_of(part, reading) for part in content)  # type: ignore[arg-type]
        for one, other in ((left, right), (right, left)):
            if one.rows == ANY and one.entry == 1:  # ⟨𝟏, A⟩ is the sum of all entries
                return indexed(total(other), items, reading)
        if (left.rows is None) != (right.rows is None) and (left.columns is None) != (right.columns is None):
            right = right.transposed  # of a column and a row
        return indexed(total(times(left, right)), items, reading)
    if len(content) != 1:
        raise reading.fails("several values in brackets, but no function in front of them", node.span)
    if node.opening == "‖":
        return ranges.norm(value_of(content[0], reading), items, reading)  # type: ignore[arg-type]
    value = value_of(content[0], reading)  # type: ignore[arg-type]
    squared = any(item.raised and item.text == "2" for item in items)  # |v|² is often the length of v, squared
    if node.opening == "|" and squared and not value.is_scalar and reading.settle("|", ["entries", "norm"]) == "norm":
        return ranges.norm(value, items, reading)
    if node.opening == "|":
        value = value.map(sympy.Abs)
    elif node.opening == "⌊":
        raise reading.fails("⌊ ⌋ is read in indices only", node.span)
    return indexed(value, items, reading)


def _cases(node: Cases, reading: Reading) -> Value:
    """The first row whose condition holds, entry by entry; the last may be "otherwise"."""
    made: Value | None = None
    for value_node, condition in reversed(node.rows):
        value = value_of(value_node, reading)
        if not isinstance(condition, Relation):
            words = condition.text if isinstance(condition, Text) else ""
            if made is not None or words.strip(" .,").lower() not in ("", "otherwise", "else", "sonst"):
                raise reading.fails(f"the condition {words!r} of a case is not understood")
            made = value
            continue
        behind = [remark.text.split() for remark in condition.remarks if isinstance(remark, Text)]
        if len(behind) < len(condition.remarks) or any({"and", "or"} & set(some) for some in behind):
            raise reading.fails("a case has one condition: write several as one chain, or as brackets", condition.span)
        holds = ranges.iverson(condition, reading, value_of)
        if made is None and len(node.rows) == 2 and _is_opposite(holds, node.rows[0][1], reading):
            made = value
            continue
        if made is None:
            made = number(0)
            reading.note("where no case applies, the value is 0")
        chosen = add(times(holds, number(0)), add(times(value, number(0)), times(made, number(0))))
        made = replace(chosen, entry=_choice(holds.entry, value.entry, made.entry))
    assert made is not None
    return made


def _is_opposite(holds: Value, first: Relation | Node | None, reading: Reading) -> bool:
    """Whether the condition of the second of two cases is that the first does not hold."""
    if not isinstance(first, Relation):
        return False
    other = ranges.iverson(first, reading, value_of)
    one, two = (part.entry.args[0][1] if isinstance(part.entry, Piecewise) else None for part in (holds, other))
    return one is not None and two is not None and one == sympy.Not(two)


def _choice(holds: Expr, value: Expr, otherwise: Expr) -> Expr:
    factors = sympy.Mul.make_args(holds)
    if all(isinstance(factor, Piecewise) for factor in factors):  # several at once: -1 < z < 1
        return Piecewise((value, sympy.And(*(factor.args[0][1] for factor in factors))), (otherwise, True))
    if holds in (0, 1):
        return value if holds == 1 else otherwise
    return holds * value + (1 - holds) * otherwise
