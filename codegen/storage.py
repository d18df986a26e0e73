"""Where each tensor of a module is found by the code that reads it: an argument, a part of a buffer, or a local."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..symbolic.network import Network
from ..symbolic.tensors import Tensor, tensor_of
from .in_place import heirs, made, products_in_place
from .layout import Layout, Place
from .lifetimes import share_places, spans
from .names import Names
from .nests import AddTo, Dot, Finish, Item, Loop, Set, reads, statements
from .schedule import Schedule
from .sizes import Sizes


@dataclass
class Storage:
    """The places of the tensors of one module.

    Attributes
    ----------
    buffers : tensor → the buffer it lies in ("params", "work", "grads") and where; arguments and locals are not in it
    names : identifiers
    of_one : the scalars in memory that one thread makes for all; they are read where they are needed, not before
    """

    buffers: dict[Tensor, tuple[str, Place]]
    names: Names
    work_size: Any
    of_one: frozenset[Tensor] = frozenset()
    _known: dict[Place, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def same(self, one: Tensor, other: Tensor) -> bool:
        """Whether two tensors lie in the same place in the same way, as a product and the sum that it is a part of."""
        return one == other or self.buffers[one] == self.buffers[other]

    def overlap(self, one: Tensor, other: Tensor) -> bool:
        """Whether two tensors share a place in the workspace, for some size of the batch."""
        if one not in self.buffers or other not in self.buffers:
            return False
        (buffer, first), (another, second) = self.buffers[one], self.buffers[other]
        if buffer != another:
            return False
        return any(
            start < high and low < end
            for (start, end), (low, high) in zip(self._ends(first), self._ends(second), strict=True)
        )

    def _ends(self, place: Place) -> tuple[tuple[int, int], ...]:
        """Where `place` begins and ends, in a small batch and in a large one."""
        if place not in self._known:
            growing = place.offset.free_symbols | place.end.free_symbols
            batches = [dict.fromkeys(growing, number) for number in (1, 997)]
            self._known[place] = tuple((int(place.offset.subs(b)), int(place.end.subs(b))) for b in batches)
        return self._known[place]


def seen_by_all(plan: Schedule, functions: Sequence[Sequence[Item]]) -> set[Tensor]:
    """The tensors that are made in memory, and not in local variables."""
    return set(plan.kept).union(*(_need_memory(items) for items in functions))


def place_tensors(
    network: Network,
    plan: Schedule,
    layout: Layout,
    sizes: Sizes,
    names: Names,
    functions: Sequence[Sequence[Item]],
    *,
    apart: bool = False,
    of_one: frozenset[Tensor] = frozenset(),
) -> Storage:
    """Decide what lies where: parameters and gradients as the layout says, the rest in the workspace if it must.

    With `apart`, each tensor has a place of its own; else those that are never needed together may share one.
    """
    buffers: dict[Tensor, tuple[str, Place]] = {}
    for name, place in layout.parameters.items():
        buffers[network.tensors[name]] = ("params", place)
    for name, place in layout.gradients.items():
        buffers[plan.gradients[name]] = ("grads", place)
    written = [tensor for items in functions for item in items for tensor in made(item)]
    kept = seen_by_all(plan, functions) | of_one
    alone = {tensor: owner for tensor, owner in plan.temporaries.items() if tensor not in plan.kept}
    shared = products_in_place(functions, alone)
    # A product whose owner is but a local variable has the memory for itself, under the owner's name.
    guests = {tensor for tensor, owner in shared.items() if owner in kept or owner in buffers}
    in_work = [tensor for tensor in dict.fromkeys(written) if tensor in kept and tensor not in {*buffers, *guests}]
    alive = spans(functions, plan.outputs)
    for tensor in guests:
        ends = (alive[tensor], alive[shared[tensor]])
        alive[shared[tensor]] = (min(first for first, _ in ends), max(last for _, last in ends))
    shapes = {tensor: sizes.shape(tensor.shape) for tensor in in_work}
    older: dict[Tensor, Tensor] = {}
    if apart:
        alive = dict.fromkeys(alive, (0, 0))
    else:
        home = {tensor: shared[tensor] for tensor in guests}
        shapes = {tensor: sizes.shape(tensor.shape) for tensor in in_work}
        older = heirs(functions, alive, shapes, lambda tensor: home.get(tensor, tensor))
    first = {tensor: _first(tensor, older) for tensor in in_work}
    for tensor in older:
        start, end = alive[first[tensor]]
        alive[first[tensor]] = (start, max(end, alive[tensor][1]))
    places, work_size = share_places([tensor for tensor in in_work if tensor not in older], alive, sizes)
    buffers |= {tensor: ("work", places[first[tensor]]) for tensor in in_work}
    buffers |= {tensor: buffers[shared[tensor]] for tensor in shared if tensor in guests}
    names.declare(tensor for tensor in dict.fromkeys(written) if tensor not in shared)
    for tensor, owner in shared.items():
        names.share(tensor, owner)
    return Storage(buffers, names, work_size, of_one)


def _need_memory(items: Sequence[Item]) -> set[Tensor]:
    """The tensors with axes that some reading cannot find in a local variable."""
    total: dict[Tensor, int] = {}
    visible: dict[Tensor, int] = {}
    memory: set[Tensor] = set()

    def visit(body: Sequence[Item]) -> None:
        for place, item in enumerate(body):
            finished = item.after if isinstance(item, Loop) else (item,)
            for statement in finished:
                if isinstance(statement, Set | Finish):
                    tensor = tensor_of(statement.target)
                    found = sum(element == statement.target for rest in body[place + 1 :] for element in reads(rest))
                    visible[tensor] = visible.get(tensor, 0) + found
            if isinstance(item, Loop):
                visit(item.body)

    for item in items:
        for element in reads(item):
            total[tensor_of(element)] = total.get(tensor_of(element), 0) + 1
        for statement in statements(item):
            if isinstance(statement, Dot | AddTo):
                memory.add(statement.op.tensor if isinstance(statement, Dot) else tensor_of(statement.target))
    visit(items)
    memory |= {tensor for tensor, count in total.items() if count > visible.get(tensor, 0)}
    return {tensor for tensor in memory if tensor.rank}


def _first(tensor: Tensor, older: dict[Tensor, Tensor]) -> Tensor:
    """The one in whose place `tensor` lies in the end."""
    while tensor in older:
        tensor = older[tensor]
    return tensor
