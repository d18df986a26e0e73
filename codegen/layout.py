"""Where everything lies: parameters, gradients and optimizer state in flat buffers, values in one workspace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, Integer, ceiling, prod

from ..symbolic.errors import UndefinedError, UnsupportedError
from ..symbolic.network import Network
from .sizes import Sizes

LINE = 16  # numbers: a line of 64 bytes, or two


@dataclass(frozen=True)
class Place:
    """A part of a flat buffer: where it begins, and its shape; both may depend on the batch size."""

    offset: Expr
    shape: tuple[Expr, ...]

    @property
    def end(self) -> Expr:
        return self.offset + prod(self.shape)

    @property
    def is_fixed(self) -> bool:
        return all(isinstance(size, Integer) for size in (self.offset, *self.shape))


@dataclass(frozen=True)
class Layout:
    """What callers of a generated module need to know.

    Attributes
    ----------
    parameters : name → place in `params`: the parameters that are trained, the frozen ones, the network's states
    trainable : how many leading entries of `params` an update changes
    gradients : name → place in `grads`, in the order of `params`, then inputs
    state : names of the optimizer's state vectors, each `trainable` long
    hyper : names of the optimizer's hyper-parameters
    """

    parameters: dict[str, Place]
    trainable: int
    gradients: dict[str, Place]
    state: tuple[str, ...] = ()
    hyper: tuple[str, ...] = ()


def pack(tensors: Iterable[tuple[Any, Sequence[Any]]], sizes: Sizes) -> dict[Any, Place]:
    """Places one behind the other; those that grow with the batch come last, so that the others never move."""
    shapes = {key: sizes.shape(shape) for key, shape in tensors}
    places: dict[Any, Place] = {}
    offset: Expr = Integer(0)
    for grows in (False, True):
        for key, shape in shapes.items():
            if grows == any(size.free_symbols for size in shape):
                places[key] = Place(offset, shape)
                offset = places[key].end.expand()
    return places


def rounded_up(end: Expr, line: int) -> Expr:
    """The next polynomial in the batch size whose every coefficient is a multiple of `line`."""
    terms = (term.as_coeff_Mul() for term in Add.make_args(end))
    return Add(*(ceiling(count / line) * line * rest for count, rest in terms))


def make_layout(network: Network, sizes: Sizes, wrt: Mapping[str, Sequence[Any]], optimizer: Any) -> Layout:
    """Lay out parameters and gradients.

    Parameters
    ----------
    wrt : name → shape of the gradient.

    Raises
    ------
    UndefinedError
        If `wrt` leaves out a parameter that the optimizer changes.
    UnsupportedError
        If a gradient has another shape than the parameter that the optimizer changes, or a state grows with the batch.
    """
    trained = [tensor for tensor in network.parameters if tensor.name not in network.frozen]
    frozen = [tensor for tensor in network.parameters if tensor.name in network.frozen]
    parameters = pack([(t.name, t.shape) for t in [*trained, *frozen, *network.states]], sizes)
    growing = [tensor.name for tensor in network.states if not parameters[tensor.name].is_fixed]
    if growing:
        raise UnsupportedError(f"state {growing[0]} has the batch size {sizes.batch} in its shape; sum over the batch")
    names = list(wrt)
    missing = [tensor.name for tensor in trained if tensor.name not in names]
    if optimizer is not None and missing:
        raise UndefinedError(f"the optimizer changes {', '.join(missing)}, but wrt leaves it out; add it, or freeze it")
    other = [tensor.name for tensor in trained if tensor.name in wrt and tuple(wrt[tensor.name]) != tensor.shape]
    if optimizer is not None and other:
        raise UnsupportedError(
            f"the optimizer changes {', '.join(other)}, but {network.name} gives a gradient per example; "
            "compile without an optimizer"
        )
    # In the order of the parameters: an update then reads gradients and parameters at the same place.
    ordered = [name for name in parameters if name in names] + [name for name in names if name not in parameters]
    gradients = pack([(name, wrt[name]) for name in ordered], sizes)
    trainable = int(sum(prod(parameters[tensor.name].shape) for tensor in trained))
    if optimizer is None:
        return Layout(parameters, trainable, gradients)
    state = tuple(tensor.name for tensor in optimizer.states)
    return Layout(parameters, trainable, gradients, state, tuple(tensor.name for tensor in optimizer.hyper))
