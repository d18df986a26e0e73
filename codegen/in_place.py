"""Which tensors may lie in the place of another one: written where that is read for the last time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, TypeAlias

from sympy import Expr, Integer, expand

from ..symbolic.tensors import Tensor, element_of, indices_of, tensor_of
from .lifetimes import Span, in_order, touched
from .nests import AddTo, Clear, Dot, Finish, Item, Loop, Set, Start, Step, reads, statements, targets

Functions: TypeAlias = Sequence[Sequence[Item]]
Home: TypeAlias = Callable[[Tensor], Tensor]


def products_in_place(functions: Functions, temporaries: dict[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """The matrix products that may lie where the tensor that they are a part of will: read by its assignment alone.

    That must be the only one: where all of the tensor is cleared first, the product would be cleared, too.
    """
    shared: dict[Tensor, Tensor] = {}
    for items in functions:
        every = [element for item in items for element in reads(item)]
        products = [s.op.tensor for item in items for s in statements(item) if isinstance(s, Dot)]
        assignments = {s.target: s for item in items for s in statements(item) if isinstance(s, Set)}
        writers = Counter(tensor for item in items for tensor in made(item))
        for tensor in products:
            owner = temporaries.get(tensor)
            readings = [element for element in every if tensor_of(element) == tensor]
            if owner is None or owner in shared.values() or not tensor.rank or len(readings) != 1:
                continue
            if owner.rank == tensor.rank and writers[owner] == 1:
                reader = assignments.get(element_of(owner, indices_of(readings[0])))
                if reader is not None and readings[0] in list(reads(reader)):
                    shared[tensor] = owner
    return shared


def made(item: Item) -> Iterable[Tensor]:
    """The tensors that a nest finishes or adds to."""
    for statement in statements(item):
        if isinstance(statement, Dot):
            yield statement.op.tensor
        elif isinstance(statement, Set | Finish | AddTo):
            yield tensor_of(statement.target)


def changed(item: Item) -> set[Tensor]:
    """The tensors of which a nest changes what is in memory."""
    return {*made(item), *(statement.target for statement in statements(item) if isinstance(statement, Clear))}


def heirs(
    functions: Functions, alive: Mapping[Tensor, Span], shapes: Mapping[Tensor, Any], home: Home
) -> dict[Tensor, Tensor]:
    """Tensor → the one in whose place it may lie: of the same shape, and dead, element by element, when it is made.

    Such as a delta, in the place of the activation whose derivative it is multiplied by.

    Parameters
    ----------
    alive : when each tensor is touched
    shapes : those of the tensors that lie in the workspace
    home : a tensor → the one under which its place is known
    """
    found: dict[Tensor, Tensor] = {}
    for start, place, item in in_order(functions):
        # Scalars are made by every thread for itself, when others may still read the older one.
        here = [tensor for tensor in dict.fromkeys(map(home, touched(item))) if shapes.get(tensor)]
        # What lives from the beginning of a segment of time to its end, the next segment may need.
        dying = sorted((old for old in here if start < alive[old][0] < place == alive[old][1]), key=_name)
        for new in sorted((new for new in here if alive[new][0] == place), key=_name):
            for old in dying:
                if old in found.values() or shapes[old] != shapes[new]:
                    continue
                if _follows([item], old, new, home) and _by_same_threads(item, old, new, home):
                    found[new] = old
                    break
    return found


def _name(tensor: Tensor) -> str:
    return tensor.name


def _follows(parts: Sequence[Item], old: Tensor, new: Tensor, home: Home) -> bool:
    """Whether no element of `old` is touched any more once that of `new` is made, in each step of the loops around."""
    last_old = max(at for at, part in enumerate(parts) if old in map(home, touched(part)))
    # A loop over time may read what earlier steps have written; of those the older tensor is dead already.
    first_new = min(at for at, part in enumerate(parts) if new in map(home, changed(part)))
    if last_old < first_new:
        return True
    between = parts[first_new : last_old + 1]
    if all(isinstance(part, Set | Start | Step | Finish) for part in between):
        return all(_differ(part, other, old, new, home) for part, other in combinations(between, 2))
    (part,) = between if len(between) == 1 else (None,)
    if not isinstance(part, Loop) or part.carries is not None:
        return False
    axes = [_axes(part, old, part.index, home, reading=True), _axes(part, new, part.index, home, reading=False)]
    return bool(frozenset.intersection(*axes)) and _follows(part.body, old, new, home)


def _differ(part: Item, later: Item, old: Tensor, new: Tensor, home: Home) -> bool:
    """Whether the elements of `new` that a statement writes are others than those of `old` that a later one touches."""
    written = [indices_of(target) for target in targets(part) if home(tensor_of(target)) == new]
    touching = [indices_of(e) for e in [*reads(later), *targets(later)] if home(tensor_of(e)) == old]
    pairs = product(written, touching)
    return all(any((one - other).is_nonzero for one, other in zip(*pair, strict=True)) for pair in pairs)


def _axes(part: Item, tensor: Tensor, index: Any, home: Home, *, reading: bool) -> frozenset[tuple[int, Expr]]:
    """The axes along which each step of an index touches places of its own; without `reading`, writes them.

    With how many they are: steps of 2 h have the places 2 h and 2 h + 1.
    """
    if any(isinstance(s, Clear) and home(s.target) == tensor for s in statements(part)):
        return frozenset()
    elements = [target for s in statements(part) for target in targets(s)] + (list(reads(part)) if reading else [])
    touching = [indices_of(element) for element in elements if home(tensor_of(element)) == tensor]
    found = []
    for axis in range(tensor.rank):
        step = expand(touching[0][axis]).coeff(index) if touching else Integer(1)
        rests = [expand(places[axis] - step * index) for places in touching]
        if step.is_Integer and all(rest.is_Integer and 0 <= rest < step for rest in rests):
            found.append((axis, step))
    return frozenset(found)


def _by_same_threads(item: Item, old: Tensor, new: Tensor, home: Home) -> bool:
    """Whether all that touches either is shared between threads along the same axis."""
    found = [
        _axes(part, tensor, index, home, reading=True)
        for part, index in _shared(item)
        for tensor in {old, new} & set(map(home, touched(part)))
    ]
    return not found or bool(frozenset.intersection(*found))


def _shared(item: Item) -> Iterator[tuple[Item, Any]]:
    """The parts of a nest that threads share, and by which index."""
    if isinstance(item, Dot) and item.shared:
        yield item, next((index for index, _ in item.op.space if index.name == item.shared), None)
    elif isinstance(item, Loop):
        if item.is_shared:
            yield item, item.index
        else:
            for part in (*item.before, *item.body, *item.after):
                yield from _shared(part)
