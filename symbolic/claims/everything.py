"""The derivation that claims are judged on: the adjoint of every tensor, with and without the declared facts."""

from __future__ import annotations

from collections.abc import Iterable

from ..adopt import copied
from ..dependence import passed_by
from ..derivation import Derivation, derive
from ..errors import LossError
from ..facts import Fact
from ..network import Network
from ..tensors import Tensor


def everything(network: Network) -> Derivation:
    """Derive the adjoint of every real tensor of `network` that the loss depends on: data, parameters, all between.

    Raises
    ------
    LossError
        If there is no loss.
    """
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    reached = passed_by(network.equations, [network.loss], network.held)
    names = [t.name for t in network.tensors.values() if t in reached and t != network.loss and t.classes is None]
    return derive(network, names, may_be_unused=True)


def has_no_gradient(derivation: Derivation, tensor: Tensor) -> bool:
    """Whether the loss does not depend on `tensor`, so that its adjoint is 0."""
    return tensor.name not in derivation.steps and tensor != derivation.network.loss


def without_facts(network: Network, facts: Iterable[Fact]) -> Network:
    """A copy of `network` that does not know some of the facts declared of it."""
    left_out = list(facts)
    made: Network = copied(network, network.name)
    made.facts = [fact for fact in network.facts if fact not in left_out]
    return made
