"""Which op runs in which function, and which values are kept in memory between them.

`forward` makes the output from the inputs, `loss` what else the loss needs, `backward` the gradients. What one of them
makes and another reads is kept in the workspace; everything else lives in local variables where the loops allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..symbolic.derivation import Derivation
from ..symbolic.errors import UndefinedError
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor
from .lower import Lowering
from .ops import Op, tensors_read
from .share import share_functions
from .sizes import Sizes


@dataclass(frozen=True)
class Schedule:
    """The ops of the three functions, in order.

    Attributes
    ----------
    forward, loss, backward : the ops of each
    output : what `predict` returns, or None where everything needs a target: then there is no `predict`
    gradients : name → tensor of the gradient, in the order of `grads`
    kept : the tensors that one function makes and another reads, in order
    temporaries : tensors without an equation of their own → the tensor of the equation that they belong to
    """

    forward: tuple[Op, ...]
    loss: tuple[Op, ...]
    backward: tuple[Op, ...]
    output: Tensor | None
    gradients: dict[str, Tensor]
    kept: tuple[Tensor, ...]
    temporaries: dict[Tensor, Tensor]


def schedule(
    network: Network, derivation: Derivation, sizes: Sizes, wanted: Sequence[str]
) -> tuple[Schedule, Lowering]:
    """Lower all equations, drop what nothing needs, and divide the rest."""
    lowering = Lowering(network, sizes)
    for equation in network.equations:
        lowering.add(equation)
    for equation in derivation.adjoints:
        lowering.add(equation)
    gradients = {name: derivation.gradients[name].target for name in wanted}
    output = output_of(network)
    loss = network.loss
    taken: set[int] = set()
    parts = []
    for targets in ([] if output is None else [output], [] if loss is None else [loss], list(gradients.values())):
        chosen = _closure(lowering.ops, targets) - taken
        taken |= chosen
        part = [op for place, op in enumerate(lowering.ops) if place in chosen]
        parts.append(tuple(share_functions(part, lowering.temporary)))
    forward, loss_ops, backward = parts
    kept = tuple(_kept(parts, output))
    return Schedule(forward, loss_ops, backward, output, gradients, kept, lowering.temporaries), lowering


def output_of(network: Network) -> Tensor | None:
    """What `predict` returns: the network's output, or its loss where there is no target (a scalar circuit)."""
    try:
        return network.output
    except UndefinedError:
        return None if network.targets else network.loss


def _closure(ops: Sequence[Op], targets: Iterable[Tensor]) -> set[int]:
    """The places of the ops that `targets` are made by, directly or not."""
    makers = {op.tensor: place for place, op in enumerate(ops)}
    chosen: set[int] = set()
    stack = [makers[tensor] for tensor in targets if tensor in makers]
    while stack:
        place = stack.pop()
        if place not in chosen:
            chosen.add(place)
            stack += [makers[tensor] for tensor in tensors_read([ops[place]]) if tensor in makers]
    return chosen


def _kept(parts: Sequence[tuple[Op, ...]], output: Tensor | None) -> Iterable[Tensor]:
    for place, part in enumerate(parts):
        elsewhere = {tensor for other, ops in enumerate(parts) if other != place for tensor in tensors_read(ops)}
        for tensor in dict.fromkeys(op.tensor for op in part):
            if tensor in elsewhere or tensor == output:
                yield tensor
