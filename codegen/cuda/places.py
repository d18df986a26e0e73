"""Where tensors lie on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sympy import Expr

from ...symbolic.network import Network
from ...symbolic.tensors import Tensor, tensor_of
from ..layout import Layout, Place
from ..lifetimes import share_places
from ..nests import AddTo, reads, statements, targets
from ..schedule import Schedule
from ..sizes import Sizes
from .kinds import Each, Phase, Product, Rows, Sums, TimeSteps, made_by, read_by, written_by

Places = dict[Tensor, tuple[str, Place]]


def place_all(
    network: Network, made: Schedule, layout: Layout, sizes: Sizes, functions: Sequence[Sequence[Phase]]
) -> tuple[Places, Expr]:
    """Tensor → buffer and place, of all that more than one thread or phase needs; and the length of the workspace."""
    places: Places = {}
    for name, place in layout.parameters.items():
        places[network.tensors[name]] = ("params", place)
    for name, place in layout.gradients.items():
        places[made.gradients[name]] = ("grads", place)
    handed = {tensor for tensor in (made.output, network.loss) if tensor is not None}
    phases = [phase for function in functions for phase in flat(function)]
    needed = {tensor for phase in phases for tensor in _from_memory(phase)} | handed
    written = dict.fromkeys(tensor for phase in phases for tensor in made_by(phase))
    in_work = [tensor for tensor in written if tensor in needed and tensor not in places]
    found, length = share_places(in_work, dict.fromkeys(in_work, (0, 0)), sizes)
    return places | {tensor: ("work", place) for tensor, place in found.items()}, length


def flat(phases: Iterable[Phase]) -> Iterator[Phase]:
    """The phases, those of steps of time and of rows among them."""
    for phase in phases:
        if isinstance(phase, TimeSteps | Rows):
            yield from flat(phase.phases)
        else:
            yield phase


def _from_memory(phase: Phase) -> set[Tensor]:
    """What a phase cannot find in, or leave in, its threads' own variables."""
    if isinstance(phase, Product):
        found = {tensor_of(phase.op.left), tensor_of(phase.op.right)}
        if phase.after is None:
            return found | {phase.op.tensor}
        return found | _from_memory_at(phase.after, {phase.op.target})
    if isinstance(phase, Sums):
        found = set(map(tensor_of, phase.operands))
        return found | _from_memory_at(phase.after, {op.target for op in phase.ops})
    if not isinstance(phase, Each):
        return read_by(phase) | written_by(phase)
    return _from_memory_at(phase, set())


def _from_memory_at(phase: Each, made: set[Expr]) -> set[Tensor]:
    """The same of elementwise statements that find what is `made` already in variables."""
    made, found = set(made), set[Tensor]()
    for item in phase.body:
        made |= {target for s in statements(item) for target in targets(s)}
        found |= {tensor_of(element) for element in reads(item) if element not in made}
        found |= {tensor_of(s.target) for s in statements(item) if isinstance(s, AddTo)}
    return found
