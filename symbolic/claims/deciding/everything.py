"""The derivation that claims are judged on: the adjoint of every tensor, with and without the declared facts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from ...adopt import copied
from ...dependence import passed_by
from ...derivation import Derivation, derive
from ...errors import LossError
from ...facts import Fact
from ...network import Network
from ...tensors import Tensor

# By the identity of a network, which the derivation keeps alive: what it was derived of, as it can still be changed.
_DERIVED: OrderedDict[int, tuple[tuple[Any, ...], Derivation]] = OrderedDict()
_KEPT = 4


def everything(network: Network) -> Derivation:
    """Derive the adjoint of every real tensor of `network` that the loss depends on: data, parameters, all between.

    The same object is returned until the network changes, so that many claims about it are judged on the same points.

    Raises
    ------
    LossError
        If there is no loss.
    """
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    key, state = id(network), _state(network)
    known = _DERIVED.get(key)
    if known is not None and known[1].network is network and known[0] == state:
        return known[1]
    reached = passed_by(network.equations, [network.loss], network.held)
    names = [t.name for t in network.tensors.values() if t in reached and t != network.loss and t.classes is None]
    made = derive(network, names, may_be_unused=True)
    _DERIVED[key] = state, made
    while len(_DERIVED) > _KEPT:
        _DERIVED.popitem(last=False)
    return made


def _state(network: Network) -> tuple[Any, ...]:
    """A copy of all that is declared of `network`."""
    return tuple(value.copy() if isinstance(value, list | dict | set) else value for value in vars(network).values())


def has_no_gradient(derivation: Derivation, tensor: Tensor) -> bool:
    """Whether the loss does not depend on `tensor`, so that its adjoint is 0."""
    return tensor.name not in derivation.steps and tensor != derivation.network.loss


def without_facts(network: Network, facts: Iterable[Fact]) -> Network:
    """A copy of `network` that does not know some of the facts declared of it."""
    left_out = list(facts)
    made: Network = copied(network, network.name)
    made.facts = [fact for fact in network.facts if fact not in left_out]
    return made
