"""Names with scripts: which tensor is meant, at which indices, and what stands unindexed as rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import sympy
from sympy import Expr, Integer, Symbol

from ..guards import padded
from ..indices import Dim
from ..tensors import Adjoint, Tensor, element_of
from .errors import UnknownNameError, pointed
from .items import Item, is_transposition, items_of, text_of
from .lexicon import Entry
from .reading import Reading
from .syntax import Fraction, Group, Name, Node, Number, Product, Span, Sum
from .values import C, R, Value, number


def matching(name: Name, reading: Reading) -> list[tuple[Entry, list[Item]]]:
    """The meanings of a name whose labels stand in its scripts, with the items that are left; most labels first."""
    items = items_of(name.scripts)
    found = []
    for entry in reading.lexicon.labelled(name):
        left = _without(items, entry.labels, reading)
        if left is not None:
            found.append((entry, left))
    most = max((len(entry.labels) for entry, _ in found), default=0)
    return [(entry, left) for entry, left in found if len(entry.labels) == most]


def _without(items: list[Item], labels: tuple[str, ...], reading: Reading) -> list[Item] | None:
    left = list(items)
    for label in labels:
        at = next((n for n, item in enumerate(left) if label_text(item, reading) == label), None)
        if at is None:
            return None
        del left[at]
    return left


def label_text(item: Item, reading: Reading) -> str:
    return item.text if item.node is None else text_of(item.node, reading.layers)


def unknown(name: Name, text: str, reading: Reading) -> UnknownNameError:
    """The question about a name that is not known."""
    known = reading.lexicon.labelled(name)
    written = text[name.span.start : name.span.end]
    if known:
        labels = ", ".join("".join(f"^{{({label})}}" for label in entry.labels) or "no label" for entry in known[:6])
        why = f"{written} is not known: the letter {name.base} is, with {labels}"
    else:
        why = f"{written} is not known: {reading.network.name} has {', '.join(reading.lexicon.names())}"
    return UnknownNameError(
        f"{why}. Say what it means: aliases={{{written!r}: …}}, or on the command line --alias '{written}=…'\n"
        f"{pointed(text, name.span.start, name.span.end)}"
    )


# ---- tensors ----------------------------------------------------------------------------------------------------


def tensor_value(tensor: Tensor, made: Callable[[Any], Expr], items: list[Item], reading: Reading) -> Value:
    """A tensor at the indices in `items`; axes without an index are rows and columns, or go without saying.

    Parameters
    ----------
    made : the element at given places, of the tensor or of its gradient
    """
    at, rest = spots(tensor, items, reading)
    open_axes = [axis for axis in range(tensor.rank) if at[axis] is None]
    value = _laid_out(tensor, at, open_axes, made, reading)
    return marked(value, rest, reading)


def spots(tensor: Tensor, items: list[Item], reading: Reading) -> tuple[list[Any], list[Item]]:
    """The place along each axis, None for one that is open; and the items that are no indices."""
    indices = [item for item in items if is_index(item, reading)]
    rest = [item for item in items if item not in indices]
    places = [place(item.node, reading) for item in indices if item.node is not None]
    free = len(places)
    if free > tensor.rank:
        split = [n for n, item in enumerate(indices) if isinstance(item.node, Number) and len(item.node.text) > 1]
        what = ", ".join(item.text for item in indices)
        hint = "; write commas between the digits" if split else ""
        raise reading.fails(f"{tensor.name} has {tensor.rank} axes, but is read at {free} places: {what}{hint}")
    where = reading.pick(
        [axes for axes in combinations(range(tensor.rank), free) if _fits(tensor, axes, places, reading)]
    )
    at: list[Any] = [None] * tensor.rank
    for axis, position in zip(where, places, strict=True):
        at[axis] = position
        _learn(position, tensor.shape[axis], reading)
    for axis, size in enumerate(tensor.shape):
        if at[axis] is None:
            at[axis] = reading.implicit(size)
    return at, rest


def _fits(tensor: Tensor, axes: tuple[int, ...], places: list[Expr], reading: Reading) -> bool:
    for axis, position in zip(axes, places, strict=True):
        if isinstance(position, Symbol) and reading.sizes.get(position, tensor.shape[axis]) != tensor.shape[axis]:
            return False
    return True


def _learn(position: Expr, size: Any, reading: Reading) -> None:
    if isinstance(position, Symbol) and not isinstance(position, Dim):
        reading.runs_over(position, size)
        return
    letters = [s for s in position.free_symbols if not isinstance(s, Dim)]
    if len(letters) == 1 and (position - letters[0]).is_number:
        reading.hints.setdefault(letters[0], size)


def _laid_out(tensor: Tensor, at: list[Any], axes: list[int], made: Callable[[Any], Expr], reading: Reading) -> Value:
    """The value whose open `axes` run down and across, as the layout shows them."""
    if len(axes) > 2:
        sizes = ", ".join(str(tensor.shape[axis]) for axis in axes)
        raise reading.fails(f"{tensor.name} has {len(axes)} axes without an index ({sizes}); a matrix has two")
    batched = bool(axes) and axes[0] == 0 and tensor.shape[0] == reading.network.batch
    down: int | None = axes[0] if axes else None
    across: int | None = axes[1] if len(axes) == 2 else None
    if reading.manner.layout == "columns" and batched:
        down, across = across, down
    elif reading.manner.layout == "rows" and len(axes) == 1:
        # A row of a matrix of examples is a row; what has no examples may be written either way.
        turned = (across, down)
        of_examples = bool(tensor.rank) and tensor.shape[0] == reading.network.batch and not batched
        down, across = turned if of_examples else reading.pick([(down, across), turned])
    for axis, index in ((down, R), (across, C)):
        if axis is not None:
            at[axis] = index
    element = padded(made(at)) if any(not _is_plain(position) for position in at) else made(at)
    rows, columns = (None if axis is None else tensor.shape[axis] for axis in (down, across))
    return Value(element, rows, columns)


def _is_plain(position: Any) -> bool:
    return isinstance(position, Symbol) or position.is_number


def tensor_named(tensor: Tensor, items: list[Item], reading: Reading) -> Value:
    return tensor_value(tensor, lambda at: element_of(tensor, at), items, reading)


def gradient_named(tensor: Tensor, items: list[Item], reading: Reading) -> Value:
    """The gradient of the loss by `tensor`, derived."""
    derivation = reading.lexicon.derivation
    loss = derivation.network.loss
    if loss is None:
        raise UnknownNameError(f"{derivation.network.name} has no loss, so there is no gradient of {tensor.name}")
    if tensor == loss:
        return number(1)
    if tensor.name not in derivation.steps:
        reading.note(f"the loss does not depend on {tensor.name}: its gradient is 0")
        return tensor_value(tensor, lambda at: Integer(0), items, reading)
    adjoint = Adjoint(tensor, loss)
    if not reading.manner.numerator:
        return tensor_value(tensor, lambda at: element_of(adjoint, at), items, reading)
    marks = [item for item in items if not is_index(item, reading)]
    value = tensor_value(tensor, lambda at: element_of(adjoint, at), [i for i in items if i not in marks], reading)
    return marked(value.transposed, marks, reading)


# ---- items ------------------------------------------------------------------------------------------------------


def is_index(item: Item, reading: Reading) -> bool:
    """Whether an item is an index: all below are, and above what stands in round or angle brackets."""
    if item.node is None or is_transposition(item):
        return False
    if not item.raised:
        return True
    return item.bracket in ("(", "⟨", "<", "[")


def marked(value: Value, items: list[Item], reading: Reading) -> Value:
    """Transpositions and powers, in the order in which they are written."""
    for item in items:
        if is_transposition(item):
            value = value.transposed
        elif item.node is None:
            raise reading.fails("a prime is on something that is no function; write ^\\top for a transpose")
        elif isinstance(item.node, Name) and item.node.base in ("*", "+", "-", r"\dagger"):
            raise reading.fails(f"^{item.node.base} has no meaning here")
        else:
            value = power(value, exponent(item.node, reading), reading)
    return value


def power(value: Value, by: Expr, reading: Reading) -> Value:
    if value.is_matrix and value.rows == value.columns:
        raise reading.fails("a power of a square matrix: write A A, or A \\odot A for that of each entry")
    return value.map(lambda entry: entry**by)


def exponent(node: Node, reading: Reading) -> Expr:
    from .meaning import value_of

    made = value_of(node, reading)
    if not made.is_scalar:
        raise reading.fails("an exponent is a number")
    return made.entry


def indexed(value: Value, items: list[Item], reading: Reading) -> Value:
    """Brackets with scripts: ``(W^\\top \\delta)_j``, ``(a + b)^2``."""
    below = [item for item in items if not item.raised]
    if below:
        axes = [axis for axis, size in enumerate(value.shape) if size is not None]
        places = [place(item.node, reading) for item in below if item.node is not None]
        if len(places) > len(axes):
            raise reading.fails(f"{value} is read at {len(places)} places")
        chosen = reading.pick(list(combinations(axes, len(places))))
        at: list[Any] = [R, C]
        shape: list[Any] = list(value.shape)
        for axis, position in zip(chosen, places, strict=True):
            at[axis] = position
            _learn(position, shape[axis], reading)
            shape[axis] = None
        value = Value(value.at(at[0], at[1]), shape[0], shape[1])
    return marked(value, [item for item in items if item.raised], reading)


def place(node: Node | None, reading: Reading) -> Expr:
    """A position along an axis: letters, sizes and whole numbers; numbers that stand alone count from `first`."""
    if isinstance(node, Number) and node.text.isdigit():
        first = reading.first_position()
        return Integer(int(node.text) - first)
    return _whole(node, reading)


def _whole(node: Node | None, reading: Reading) -> Expr:
    if isinstance(node, Number) and node.text.isdigit():
        return Integer(int(node.text))
    if isinstance(node, Name) and not node.scripts and not node.accents:
        if node.base not in reading.letters:
            for entry in reading.lexicon.labelled(node):
                if entry.kind == "size":
                    return entry.meaning
        if len(node.base.removeprefix("\\")) == 1 or node.base.startswith("\\"):
            return reading.letter(node.base)
    if isinstance(node, Sum):
        return sympy.Add(*(sign * _whole(term, reading) for sign, term in node.terms))
    if isinstance(node, Product) and all(operator in ("", "cdot", "times") for operator in node.operators):
        return sympy.Mul(*(_whole(factor, reading) for factor in node.factors))
    if isinstance(node, Group) and len(node.content) == 1 and not node.scripts:
        inner = _whole(node.content[0], reading)  # type: ignore[arg-type]
        return sympy.floor(inner) if node.opening == "⌊" else inner
    if isinstance(node, Fraction):
        return _whole(node.top, reading) / _whole(node.bottom, reading)
    raise reading.fails("this is no position along an axis", getattr(node, "span", Span(0, 0)))
