"""Where tensors lie on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sympy import Expr

from ...symbolic.network import Network
from ...symbolic.tensors import Tensor, tensor_of
from ..layout import Layout, Place
from ..lifetimes import share_places
from ..nests import AddTo, reads, statements, targets
from ..schedule import Schedule
from ..sizes import Sizes
from .kinds import Divided, Each, Phase, Product, Rows, Sums, TimeSteps, Together, made_by, read_by, written_by
from .products import is_in_one

Places = dict[Tensor, tuple[str, Place]]


def place_all(
    network: Network, made: Schedule, layout: Layout, sizes: Sizes, functions: Sequence[Sequence[Phase]], known: Places
) -> tuple[Places, Expr]:
    """Tensor → buffer and place, of all that more than one thread or phase needs; and the length of the workspace.

    `known` are the places of what lies in other buffers than parameters, gradients and the workspace.
    """
    places: Places = dict(known)
    for name, place in layout.parameters.items():
        places[network.tensors[name]] = ("params", place)
    for name, place in layout.gradients.items():
        places[made.gradients[name]] = ("grads", place)
    handed = {tensor for tensor in (made.output, network.loss) if tensor is not None}
    phases = [phase for function in functions for phase in flat(function)]
    needed = from_memory(phases, sizes) | handed
    written = dict.fromkeys(tensor for phase in phases for tensor in made_by(phase))
    in_work = [tensor for tensor in written if tensor in needed and tensor not in places]
    found, length = share_places(in_work, dict.fromkeys(in_work, (0, 0)), sizes)
    return places | {tensor: ("work", place) for tensor, place in found.items()}, length


def from_memory(phases: Iterable[Phase], sizes: Sizes) -> set[Tensor]:
    """What phases cannot find in, or leave in, their threads' own variables."""
    return {tensor for phase in flat(phases) for tensor in _from_memory(phase, sizes)}


def flat(phases: Iterable[Phase]) -> Iterator[Phase]:
    """The phases, those of steps of time and of rows among them."""
    for phase in phases:
        if isinstance(phase, TimeSteps | Rows):
            yield from flat(phase.phases)
        else:
            yield phase


def _from_memory(phase: Phase, sizes: Sizes) -> set[Tensor]:
    """The same of one phase, which is no `TimeSteps` nor `Rows`."""
    if isinstance(phase, Divided):
        return _from_memory(phase.phase, sizes)
    if isinstance(phase, Each):
        return _from_memory_at(phase, set())
    if isinstance(phase, Sums):
        return set(map(tensor_of, phase.operands)) | _from_memory_at(phase.after, set(phase.targets))
    if not isinstance(phase, Product | Together) or phase.after is None:
        return read_by(phase) | written_by(phase)
    target = phase.op.target if isinstance(phase, Product) else phase.target
    # Of what is added up by several tiles, sums lie in memory from one to the next.
    summed = (
        written_by(replace(phase, after=None))
        if isinstance(phase, Product) and not is_in_one(phase.op, sizes)
        else set()
    )
    return read_by(replace(phase, after=None)) | summed | _from_memory_at(phase.after, {target})


def _from_memory_at(phase: Each, made: set[Expr]) -> set[Tensor]:
    """The same of elementwise statements that find what is `made` already in variables."""
    made, found = set(made), set[Tensor]()
    for item in phase.body:
        made |= {target for s in statements(item) for target in targets(s)}
        found |= {tensor_of(element) for element in reads(item) if element not in made}
        found |= {tensor_of(s.target) for s in statements(item) if isinstance(s, AddTo)}
    return found
