"""Where tensors lie in the workspace: those that are never needed at the same time may have the same place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sympy import Expr, Integer, expand, prod, sympify

from ..symbolic.tensors import Tensor, tensor_of
from .layout import LINE, Place, rounded_up
from .nests import Clear, Item, Loop, reads, statements, written
from .sizes import Sizes

LEAST = 64  # rows that memory is reckoned for at least: smaller batches are trained on, larger ones predicted
Span = tuple[int, int]  # the first and the last of the nests, counted through all functions, that touch a tensor


def spans(functions: Sequence[Sequence[Item]], handed_out: Iterable[Tensor]) -> dict[Tensor, Span]:
    """When each tensor is touched; `handed_out` is read once more at the end of the first function."""
    found: dict[Tensor, Span] = {}
    segments: list[tuple[Span, set[Tensor]]] = []  # loops over segments of time, and what they carry from one on

    def touch(tensor: Tensor, at: int) -> None:
        first, last = found.get(tensor, (at, at))
        found[tensor] = (min(first, at), max(last, at))

    place = 0
    for number, items in enumerate(functions):
        for item in items:
            parts = parts_of(item)
            for part in parts:
                for tensor in touched(part):
                    touch(tensor, place)
                place += 1
            if isinstance(item, Loop) and item.carries is not None:
                segments.append(((place - len(parts), place - 1), set(item.carries)))
        if number == 0:
            for tensor in handed_out:
                touch(tensor, place)
        place += 1  # what one function leaves is there for all of the next
    for (start, end), carried in segments:
        for tensor, (first, last) in found.items():
            # What lives beyond a segment lives in all of them.
            is_met = first <= end and start <= last
            if tensor in carried or (is_met and (first < start or last > end)):
                found[tensor] = (min(first, start), max(last, end))
    return found


def parts_of(item: Item) -> tuple[Item, ...]:
    """What is counted: the nests of a loop over segments of time one by one, any other as it is."""
    return item.body if isinstance(item, Loop) and item.carries is not None else (item,)


def in_order(functions: Sequence[Sequence[Item]]) -> Iterator[tuple[int, int, Item]]:
    """The nests with the places that `spans` counts them by; before, where the segment of time begins, or -1."""
    place = 0
    for items in functions:
        for item in items:
            start = place if isinstance(item, Loop) and item.carries is not None else -1
            for part in parts_of(item):
                yield start, place, part
                place += 1
        place += 1


def touched(item: Item) -> set[Tensor]:
    """The tensors that a nest reads, writes or clears."""
    cleared = {statement.target for statement in statements(item) if isinstance(statement, Clear)}
    return {*map(tensor_of, reads(item)), *written(item), *cleared}


def results_early(items: Iterable[Item]) -> tuple[Item, ...]:
    """The same nests; what no other one needs, as a weight's gradient, comes right behind what it is made of.

    What that was made of is then not kept until the end. Sums over halves of the batch are needed by what adds the two.
    """
    listed = list(items)
    touched = [set(written(item)) | {tensor_of(element) for element in reads(item)} for item in listed]
    made: list[Item] = []
    for place, item in enumerate(listed):
        own = set(written(item))
        is_half = isinstance(item, Loop) and item.of_halves
        if not is_half and any(own & others for other, others in enumerate(touched) if other != place):
            made.append(item)
            continue
        needed = {tensor_of(element) for element in reads(item)}
        behind = [at for at, other in enumerate(made) if needed.intersection(written(other))]
        made.insert(behind[-1] + 1 if behind else len(made), item)
    return tuple(made)


def work_bytes(tensors: Iterable[Tensor], sizes: Sizes, real: str) -> int:
    """How long the workspace is, at the batch size that is reckoned with, if each tensor has a place of its own."""
    numbers = {} if sizes.batch is None else {sizes.batch: max(sizes.rows, LEAST)}
    lengths = (sympify(prod(sizes.shape(tensor.shape))).subs(numbers) for tensor in tensors)
    return sum(int(length) for length in lengths) * (4 if real == "float32" else 8)


def share_places(
    tensors: Sequence[Tensor], alive: dict[Tensor, Span], sizes: Sizes, line: int = LINE
) -> tuple[dict[Tensor, Place], Expr]:
    """A place in the workspace for each tensor, a multiple of `line`, and how long it is.

    The largest come first, each to the lowest place that no tensor has that is alive at the same time (Y. Pisarchyk and
    J. Lee, "Efficient memory management for deep neural net inference", 2020: greedy by size). Tensors of a fixed size
    lie in front of those that grow with the batch; what grows faster lies behind, each by itself.
    """
    shapes = {tensor: sizes.shape(tensor.shape) for tensor in tensors}
    lengths = {tensor: expand(prod(shape)) for tensor, shape in shapes.items()}
    places: dict[Tensor, Place] = {}
    start: Expr = Integer(0)
    units: list[Any] = [Integer(1), *([] if sizes.batch is None else [sizes.batch])]
    for unit in units:
        group = {tensor: int(length / unit) for tensor, length in lengths.items() if _is_multiple(length, unit)}
        offsets, end = _greedy(group, alive, line)
        for tensor, offset in offsets.items():
            places[tensor] = Place(expand(start + offset * unit), shapes[tensor])
        start = expand(start + end * unit) if group else start
    for tensor in (tensor for tensor in tensors if tensor not in places):
        places[tensor] = Place(start, shapes[tensor])
        start = rounded_up(places[tensor].end.expand(), line)
    return {tensor: places[tensor] for tensor in tensors}, start


def _is_multiple(length: Expr, unit: Any) -> bool:
    return bool((length / unit).is_Integer)


def _greedy(lengths: dict[Tensor, int], alive: dict[Tensor, Span], line: int) -> tuple[dict[Tensor, int], int]:
    """Offsets, multiples of a line, and the end of the last."""
    offsets: dict[Tensor, int] = {}
    for tensor in sorted(lengths, key=lambda tensor: -lengths[tensor]):
        first, last = alive[tensor]
        others = [o for o in offsets if alive[o][0] <= last and first <= alive[o][1]]
        at = 0
        for other in sorted(others, key=lambda other: offsets[other]):
            if at + lengths[tensor] <= offsets[other]:
                break
            at = max(at, -(-(offsets[other] + lengths[other]) // line) * line)
        offsets[tensor] = at
    return offsets, max((-(-(offsets[t] + lengths[t]) // line) * line for t in offsets), default=0)
