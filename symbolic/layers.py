"""Layers: each adds forward equations to a network, and nothing else.

A layer is a `Layer` with one method, ``build(network, x, place)``: given the incoming tensor and the layer's place
(1, 2, …), add parameters and equations to the network and return the outgoing tensor. A layer of your own is a
subclass in your own file; it needs no derivative, since the engine derives it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from weakref import WeakKeyDictionary

from .activations import activate, identity
from .binders import Sum
from .errors import ShapeError
from .indices import Index, as_size
from .network import Network
from .tensors import Tensor, shape_text


class Layer(ABC):
    """Base of the layers; subclasses define `build`.

    Examples
    --------
    A layer that scales each feature:

    >>> import gradloom as gl
    >>> class Scale(gl.layers.Layer):
    ...     def build(self, network, x, place):
    ...         i, j = gl.indices("i j")
    ...         s = self.parameter(network, "s", x.shape[1:], place, init=1)
    ...         return network.define(f"r{place}", (i, j), s[j] * x[i, j])
    """

    @abstractmethod
    def build(self, network: Network, x: Tensor, place: int) -> Tensor:
        """Add this layer's parameters and equations to `network`.

        Parameters
        ----------
        network : the network so far, which defines `x`
        x : the incoming tensor, batch axis first
        place : 1 for the first layer; the layer's names end in it

        Returns
        -------
        The outgoing tensor.
        """

    def parameter(
        self,
        network: Network,
        name: str,
        shape: tuple[Any, ...],
        place: int,
        *,
        init: Any = None,
        trainable: bool = True,
        latex: str | None = None,
    ) -> Tensor:
        """Declare this layer's parameter `name` + `place`, or return it: a layer used again shares its parameters.

        Raises
        ------
        ShapeError
            If the layer is used again where its parameter would have another shape.
        """
        made: WeakKeyDictionary[Network, dict[str, Tensor]]
        made = self.__dict__.setdefault("_parameters", WeakKeyDictionary())
        known = made.setdefault(network, {})
        if name not in known:
            known[name] = network.parameter(f"{name}{place}", shape, init=init, latex=latex)
            if not trainable:
                network.freeze(known[name].name)
        found = known[name]
        wanted = tuple(as_size(size, f"axis {axis} of {name}{place}") for axis, size in enumerate(shape))
        if found.shape != wanted:
            raise ShapeError(
                f"{type(self).__name__} at place {place} shares {found.name} {shape_text(found.shape)} with an earlier "
                f"place, but here it would have shape {shape_text(wanted)}; give this place a layer of its own"
            )
        return found


class Dense(Layer):
    """A fully connected layer: ``z[i, j] = Sum(W[j, k] x[i, k], k) + b[j]``, then ``a[i, j] = activation(z[i, j])``.

    It acts on the last axis; with more axes between it and the batch, every position shares the weights. The
    parameters are ``W1 (units, inputs)`` and ``b1 (units,)``, with the layer's place for the 1.

    Parameters
    ----------
    units : size of the outgoing last axis, an integer or a symbol from ``dims()``.
    activation : ``gl.sigmoid``, ``gl.softmax`` …, or a function of one SymPy expression. With `identity` (the
        default) there is no second equation.
    bias : whether there is a bias.
    weight_init, bias_init : how a model fills the parameters: an initialiser, an array, a number; None for the default.
    trainable_bias : False keeps the bias at its initial values (its gradient is derived all the same).

    Raises
    ------
    ShapeError
        If `units` is no size; on `build`, if the incoming tensor has no axis but the batch.
    """

    def __init__(
        self,
        units: Any,
        activation: Any = identity,
        bias: bool = True,
        weight_init: Any = None,
        bias_init: Any = None,
        trainable_bias: bool = True,
    ) -> None:
        self.units = as_size(units, "units of Dense")
        self.activation = activation
        self.bias = bias
        self.weight_init = weight_init
        self.bias_init = bias_init
        self.trainable_bias = trainable_bias

    def build(self, network: Network, x: Tensor, place: int) -> Tensor:
        needs_axes(x, 2, self, place)
        *lead, j, k = letters(network, "i" + "tuvw"[: x.rank - 2] + "jk")
        W = self.parameter(network, "W", (self.units, x.shape[-1]), place, init=self.weight_init)
        body = Sum(W[j, k] * x[(*lead, k)], k)
        if self.bias:
            init, trainable = self.bias_init, self.trainable_bias
            body += self.parameter(network, "b", (self.units,), place, init=init, trainable=trainable)[j]
        where = (*lead, j)
        z = network.define(f"z{place}", where, body, note=f"Dense, layer {place}")
        if self.activation is identity:
            return z
        return Activation(self.activation).build(network, z, place)

    def __repr__(self) -> str:
        return f"Dense({self.units}, {activation_name(self.activation)})"


class Activation(Layer):
    """An activation as a layer of its own: ``a[i, j] = activation(x[i, j])``; see `Dense` for what it may be."""

    def __init__(self, activation: Any) -> None:
        self.activation = activation

    def build(self, network: Network, x: Tensor, place: int) -> Tensor:
        needs_axes(x, 1, self, place)
        where = letters(network, ("i" + "tuvw"[: max(x.rank - 2, 0)] + "j")[: x.rank])
        body = activate(self.activation, x[where], where[-1])
        return network.define(f"a{place}", where, body, shape=x.shape, note=f"activation, layer {place}")

    def __repr__(self) -> str:
        return f"Activation({activation_name(self.activation)})"


def letters(network: Network, wanted: str) -> tuple[Index, ...]:
    """One index per letter of `wanted`; one that names a tensor or a size of the network is replaced by another."""
    taken = set(network.tensors) | {s.name for t in network.tensors.values() for d in t.shape for s in d.free_symbols}
    made: list[str] = []
    for letter in wanted:
        spare = (other for other in "ijklmnpqrsuvw" if other not in wanted and other not in taken and other not in made)
        made.append(letter if letter not in taken else next(spare))
    return tuple(Index(letter) for letter in made)


def needs_axes(x: Tensor, least: int, layer: Layer, place: int) -> None:
    """Check that the incoming tensor has at least `least` axes, batch first.

    Raises
    ------
    ShapeError
    """
    if x.rank < least:
        raise ShapeError(
            f"{type(layer).__name__} at place {place} takes a tensor of at least {least} axes, batch first, "
            f"but {x.name} has shape {shape_text(x.shape)}; give input_shape the size of a sample, such as (784,)"
        )


def activation_name(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))


# Behind what they need of this module.
from .batch_norm import BatchNorm  # noqa: E402
from .dropout import Dropout  # noqa: E402

__all__ = ["Activation", "BatchNorm", "Dense", "Dropout", "Layer", "activation_name", "letters", "needs_axes"]
