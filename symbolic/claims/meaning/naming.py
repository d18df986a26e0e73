"""Names with scripts: which tensor is meant, at which indices, and what stands unindexed as rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import sympy
from sympy import Expr, Indexed, Integer, Symbol

from ...guards import padded
from ...indices import Dim
from ...tensors import Adjoint, Tensor, element_of, is_element, shape_text, tensor_of
from ..errors import UnknownNameError, pointed
from ..latex.syntax import Fraction, Group, Name, Node, Number, Product, Span, Sum
from .items import Item, is_transposition, items_of, text_of
from .lexicon import Entry
from .reading import Reading, times_of
from .values import MORE, C, R, Value, number

MOST_POWER = 1000


def matching(name: Name, reading: Reading) -> list[tuple[Entry, list[Item]]]:
    """The meanings of a name whose labels stand in its scripts, with the items that are left; most labels first."""
    items = items_of(name.scripts)
    found = []
    known = [entry for entry in reading.lexicon.labelled(name) if not any(entry is alias for alias in reading.inside)]
    for entry in known:
        left = without(items, entry.labels, reading)
        if left is not None:
            found.append((entry, left))
    if not found:
        found = _only_layer(known, items, reading)
    texts = [label_text(item, reading) for item in items]
    if len(found) > 1:  # z_{1,2} is no z_{2,1}
        found = [pair for pair in found if _in_order(pair[0].labels, texts)] or found
        found = [pair for pair in found if _is_behind(pair[1], items)] or found
    most = max((len(entry.labels) for entry, _ in found), default=0)
    # In v_{ik} the k may be that of v_k, or an index.
    longest = [set(entry.labels) for entry, _ in found if len(entry.labels) == most]
    return [
        (entry, left)
        for entry, left in sorted(found, key=lambda pair: -len(pair[0].labels))
        if len(entry.labels) == most or any(labels - set(entry.labels) <= reading.letters.keys() for labels in longest)
    ]


def _in_order(labels: tuple[str, ...], texts: list[str]) -> bool:
    rest = iter(texts)
    return all(label in rest for label in labels)


def _is_behind(left: list[Item], items: list[Item]) -> bool:
    """Whether the indices below stand behind the labels: v_{ik} is not v_k at i."""
    indices, below = ([item for item in some if not item.raised] for some in (left, items))
    return below[len(below) - len(indices) :] == indices


def _only_layer(entries: list[Entry], items: list[Item], reading: Reading) -> list[tuple[Entry, list[Item]]]:
    """The only meaning of a name whose number is left out: h is h1, where the network has no h2."""
    found = []
    for entry in entries:
        left = without(items, tuple(label for label in entry.labels if not label.isdigit()), reading)
        if left is not None:
            found.append((entry, left))
    return found if len({entry.meaning for entry, _ in found}) == 1 else []


def without(items: list[Item], labels: tuple[str, ...], reading: Reading) -> list[Item] | None:
    """The items that are none of `labels`, or None if one of the labels is not there."""
    left = list(items)
    for label in labels:
        known = [n for n, item in enumerate(left) if label_text(item, reading) == label]
        # In W_{2;ij}^2 the layer is below, and the square above.
        at = min(known, key=lambda n: left[n].raised and not left[n].bracket, default=None)
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
    if written.startswith("{") and written.endswith("}"):
        written = written[1:-1].strip()
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
    indices = [item for item in items if is_index(item, reading) or _is_time(item, tensor, reading)]
    rest = [item for item in items if item not in indices]
    places = [place(item.node, reading) for item in indices if item.node is not None]
    free = len(places)
    if free > tensor.rank:
        split = [n for n, item in enumerate(indices) if isinstance(item.node, Number) and len(item.node.text) > 1]
        what = ", ".join(item.text for item in indices)
        hint = "; write commas between the digits" if split else ""
        raise reading.misfit(f"{tensor.name} has {tensor.rank} axes, but is read at {free} places: {what}{hint}")
    fitting = [axes for axes in combinations(range(tensor.rank), free) if _fits(tensor, axes, places, reading)]
    if not fitting:
        raise reading.misfit(_no_place(tensor, indices, places, reading))
    where = reading.pick(sorted(fitting, key=lambda axes: not _as_declared(tensor, axes, places, reading)))
    if 0 < free < tensor.rank > 2:
        reading.foreign |= not _as_declared(tensor, where, places, reading)
        reading.chosen = True
    at: list[Any] = [None] * tensor.rank
    for axis, position in zip(where, places, strict=True):
        at[axis] = position
        reading.places.append((tensor, axis, position))
        _learn(position, tensor.shape[axis], reading)
    for axis, size in enumerate(tensor.shape):
        if at[axis] is None:
            at[axis] = reading.implicit(size)
    return at, rest


def _no_place(tensor: Tensor, items: list[Item], places: list[Expr], reading: Reading) -> str:
    """Why the letters of `items` stand along no axes of `tensor`."""
    known = [
        f"{item.text} runs over {reading.sizes[position]}"
        for item, position in zip(items, places, strict=False)
        if isinstance(position, Symbol) and position in reading.sizes
    ]
    what = ", ".join(item.text for item in items)
    why = f": elsewhere {' and '.join(known)}" if known else ""
    return f"{tensor.name} has shape {shape_text(tensor.shape)}, and cannot be read at {what}{why}"


ANY_INDEX = frozenset("ijklmnpqrs")  # letters that people count whatever they like with


def _fits(tensor: Tensor, axes: tuple[int, ...], places: list[Expr], reading: Reading) -> bool:
    if len(axes) < tensor.rank > 2 and not _as_declared(tensor, axes, places, reading, ANY_INDEX):
        return False  # t is time, where the network has it so
    for axis, position in zip(axes, places, strict=True):
        size = tensor.shape[axis]
        if position.is_number and (position.is_negative or (size - position).is_nonpositive):
            return False
        if position.free_symbols and all(isinstance(symbol, Dim) for symbol in position.free_symbols):
            if not (size - position).is_number or not (size - position).is_positive:  # h_T, on the axis of T
                return False
        elif isinstance(position, Symbol):
            if isinstance(size, Dim) and size.name == position.name:
                return False  # T is the last step, and no letter for any
            if reading.sizes.get(position, size) != size and not (
                len(axes) == tensor.rank and reading.may_leave(position)
            ):
                return False
        elif isinstance(position, Indexed):
            if tensor_of(position).classes != size:
                return False
        elif not position.is_number and len(axes) < tensor.rank and not _may_shift(tensor, size, reading):
            return False
    return True


def _is_time(item: Item, tensor: Tensor, reading: Reading) -> bool:
    """Whether a plain superscript is a step of time, ``h^{t-1}``: a letter, on a tensor that runs along time."""
    node = item.node
    if not item.raised or is_transposition(item) or not set(times_of(reading.network)) & set(tensor.shape):
        return False
    letters = [term for _, term in node.terms if isinstance(term, Name)] if isinstance(node, Sum) else [node]
    return len(letters) == 1 and isinstance(letters[0], Name) and letters[0].base.isalpha() and not letters[0].scripts


def _as_declared(
    tensor: Tensor, axes: tuple[int, ...], places: list[Expr], reading: Reading, free: frozenset[str] = frozenset()
) -> bool:
    """Whether letters stand along the axes that the network has them for: h_t, if it is h[i, t, j], is at step t."""
    home = reading.network.home(tensor)
    letters = {letter.name for letter in home} - free
    for axis, position in zip(axes, places, strict=True):
        named = {s.name for s in position.free_symbols if isinstance(s, Symbol)} & letters
        if named and home[axis].name not in named:
            return False
    return True


def _may_shift(tensor: Tensor, size: Any, reading: Reading) -> bool:
    """Whether t - 1 may be a place along an axis: of time where the tensor has one, and never of examples."""
    times = set(times_of(reading.network)) & set(tensor.shape)
    return size in times if times else size != reading.network.batch


def _learn(position: Expr, size: Any, reading: Reading) -> None:
    if isinstance(position, Symbol) and not isinstance(position, Dim):
        reading.runs_over(position, size)
        return
    letters = [s for s in position.free_symbols if not isinstance(s, Dim)]
    if len(letters) == 1 and (position - letters[0]).is_number:
        if size in times_of(reading.network):
            reading.runs_over(letters[0], size)
        reading.hints.setdefault(letters[0], size)


def _laid_out(tensor: Tensor, at: list[Any], axes: list[int], made: Callable[[Any], Expr], reading: Reading) -> Value:
    """The value whose open `axes` run down and across, as the layout shows them."""
    if len(axes) > 2:  # no matrix, but an array entry by entry
        for one, mark in zip(axes, (R, C, *MORE), strict=False):
            at[one] = mark
        element = padded(made(at)) if any(not _is_plain(position) for position in at) else made(at)
        rows, columns, *more = (tensor.shape[axis] for axis in axes)
        return Value(element, rows, columns, tuple(more))
    batched = bool(axes) and axes[0] == 0 and tensor.shape[0] == reading.network.batch
    down: int | None = axes[0] if axes else None
    across: int | None = axes[1] if len(axes) == 2 else None
    if reading.manner.layout == "columns" and batched:
        down, across = across, down
    elif reading.manner.layout == "rows" and len(axes) == 1:
        # One feature of all examples is a column, one example a row; all else is either, but always the same.
        turned = (across, down)
        whole = bool(tensor.rank) and tensor.shape[0] == reading.network.batch
        of_examples = whole and (tensor.rank == 2 or at[0] in reading.opened.values() or reading.manner.single)
        if of_examples and not batched:
            down, across = turned
        elif not batched:
            key = "vectors" if tensor.rank == 1 else (tensor, *axes)  # all vectors of a formula lie one way
            if key not in reading.lying:
                reading.lying[key] = reading.pick([False, True])
            down, across = turned if reading.lying[key] else (down, across)
    for axis, index in ((down, R), (across, C)):
        if axis is not None:
            at[axis] = index
    element = padded(made(at)) if any(not _is_plain(position) for position in at) else made(at)
    rows, columns = (None if axis is None else tensor.shape[axis] for axis in (down, across))
    return Value(element, rows, columns)


def _is_plain(position: Any) -> bool:
    return isinstance(position, Symbol | Indexed) or position.is_number


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
    return marked(value if value.more else value.transposed, marks, reading)


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
            if value.is_scalar and isinstance(item.node, Name) and item.node.base == "T":
                raise reading.misfit("^T on a number: write ^\\top for a transpose, or brackets around a power")
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
    if by.is_number and not abs(by) <= MOST_POWER:
        raise reading.fails(f"a power of {sympy.N(by, 3)} is not computed here: the largest is {MOST_POWER}")
    return value.map(lambda entry: entry**by)


def exponent(node: Node, reading: Reading) -> Expr:
    from .formula import value_of

    made = value_of(node, reading)
    if not made.is_scalar:
        raise reading.misfit("an exponent is a number")
    return made.entry


def indexed(value: Value, items: list[Item], reading: Reading) -> Value:
    """Brackets with scripts: ``(W^\\top \\delta)_j``, ``(a + b)^2``."""
    below = [item for item in items if is_index(item, reading)]
    if below:
        if value.more:
            raise reading.misfit(f"{value} in brackets is read as a whole only")
        axes = [axis for axis, size in enumerate(value.shape) if size is not None]
        places = [place(item.node, reading) for item in below if item.node is not None]
        if len(places) > len(axes):
            raise reading.misfit(f"{value} is read at {len(places)} places")
        chosen = reading.pick(list(combinations(axes, len(places))))
        at: list[Any] = [R, C]
        shape: list[Any] = list(value.shape)
        for axis, position in zip(chosen, places, strict=True):
            at[axis] = position
            _learn(position, shape[axis], reading)
            shape[axis] = None
        value = Value(value.at(at[0], at[1]), shape[0], shape[1])
    return marked(value, [item for item in items if item not in below], reading)


def place(node: Node | None, reading: Reading) -> Expr:
    """A position along an axis: letters, sizes and whole numbers; numbers that stand alone count from `first`."""
    if isinstance(node, Number) and node.text.isdigit():
        first = reading.first_position()
        return Integer(int(node.text) - first)
    if isinstance(node, Name) and not node.scripts and not node.accents and node.base not in reading.letters:
        sizes = [entry.meaning for entry in reading.lexicon.labelled(node) if entry.kind == "size"]
        if sizes and reading.pick(["position", "letter"]) == "letter":  # x_n is the n-th, whatever n is else
            return reading.letter(node.base)
    made = _whole(node, reading)
    if made.free_symbols and all(isinstance(symbol, Dim) for symbol in made.free_symbols):
        made -= reading.first_position()  # h_T is the last one, counted from 1
    elif (
        reading.first == 1
    ):  # x_{p + u - 1}, where p and u count from 1; t - 1 is the one before, whatever they count from
        letters = [symbol for symbol in made.free_symbols if not isinstance(symbol, Dim)]
        made += sum(made.diff(letter) for letter in letters) - 1 if made.is_polynomial(*letters) else 0
    return made


def _whole(node: Node | None, reading: Reading) -> Expr:
    if isinstance(node, Number) and node.text.isdigit():
        return Integer(int(node.text))
    if isinstance(node, Name) and node.scripts:
        return _label(node, reading)
    if isinstance(node, Name) and not node.accents:
        if node.base not in reading.letters:
            for entry in reading.lexicon.labelled(node):
                if entry.kind == "size":
                    return entry.meaning
        if len(node.base.removeprefix("\\")) == 1 or node.base.startswith("\\"):
            return reading.letter(node.base)
    if isinstance(node, Sum):
        return sympy.Add(*(sign * _whole(term, reading) for sign, term in node.terms))
    if isinstance(node, Product) and all(operator in ("", "cdot", "times", "mod") for operator in node.operators):
        return _whole_product(node, reading)
    if isinstance(node, Group) and len(node.content) == 1 and not node.scripts:
        inner = _whole(node.content[0], reading)  # type: ignore[arg-type]
        rounded = {"⌊": sympy.floor, "⌈": sympy.ceiling}.get(node.opening)
        if rounded is None and node.opening not in ("(", "[", "{", ""):
            raise reading.fails("this is no position along an axis", node.span)
        return inner if rounded is None else rounded(inner)
    if isinstance(node, Fraction):
        return _whole(node.top, reading) / _whole(node.bottom, reading)
    raise reading.fails("this is no position along an axis", getattr(node, "span", Span(0, 0)))


def _whole_product(node: Product, reading: Reading) -> Expr:
    """``2 p``, ``p \\bmod 2``: what stands in front of mod is divided by the one factor behind it."""
    made = _whole(node.factors[0], reading)
    for at, (operator, factor) in enumerate(zip(node.operators, node.factors[1:], strict=True)):
        if operator == "mod" and at + 1 < len(node.operators):
            raise reading.fails("what follows mod is one factor; write brackets", node.span)
        other = _whole(factor, reading)
        made = sympy.Mod(made, other) if operator == "mod" else made * other
    return made


def _label(name: Name, reading: Reading) -> Expr:
    """``E_{x_i, k}``: the row that a label says."""
    from .formula import value_of

    value = value_of(name, reading)
    if not (value.is_scalar and is_element(value.entry) and tensor_of(value.entry).classes is not None):
        raise reading.fails("this is no position along an axis: it is no label of a class", name.span)
    return value.entry
