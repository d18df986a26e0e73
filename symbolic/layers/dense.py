"""Fully connected layers and activations: `Dense`, `TiedDense`, `Activation`."""

from __future__ import annotations

from typing import Any

from ..activations import activate, identity
from ..binders import Sum
from ..errors import ShapeError, UndefinedError
from ..indices import as_size
from ..network import Network
from ..tensors import Tensor, shape_text
from .base import Layer, Place, as_flag, axis_letters, letters, needs_axes


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
        self.bias = as_flag(bias, f"bias of {type(self).__name__}")
        self.weight_init = weight_init
        self.bias_init = bias_init
        self.trainable_bias = as_flag(trainable_bias, f"trainable_bias of {type(self).__name__}")

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place)
        *lead, j, k = letters(network, axis_letters(x.rank + 1, "jk"))
        W = self.parameter(network, "W", (self.units, x.shape[-1]), place, init=self.weight_init)
        body = Sum(W[j, k] * x[(*lead, k)], k)
        if self.bias:
            init, trainable = self.bias_init, self.trainable_bias
            body += self.parameter(network, "b", (self.units,), place, init=init, trainable=trainable)[j]
        z = network.define(f"z{place}", (*lead, j), body, note=f"Dense, layer {place}")
        return activated(network, self.activation, z, place)

    def __repr__(self) -> str:
        return f"Dense({self.units}, {activation_name(self.activation)})"


class TiedDense(Layer):
    """A dense layer whose weight is the transpose of another's: ``z[i, j] = Sum(W[k, j] x[i, k], k) + b[j]``.

    ``W`` is the weight of the layer `of`, which stands before this one; the bias ``b3 (inputs of that layer,)`` is this
    layer's own. The decoder of an autoencoder with tied weights (Vincent et al., JMLR 2010, section 2.2). The gradient
    of W is the sum over both layers.

    Parameters
    ----------
    of : the `Dense` layer, the very object that stands before.
    activation, bias, bias_init : as in `Dense`.

    Raises
    ------
    ShapeError
        On `build`, if the last axis of the incoming tensor is not as long as that layer's `units`.
    UndefinedError
        If `of` is not a `Dense`; on `build`, if it does not stand before.
    """

    def __init__(self, of: Dense, activation: Any = identity, bias: bool = True, bias_init: Any = None) -> None:
        if not isinstance(of, Dense):
            raise UndefinedError(f"TiedDense: of= is {of!r}; expected the Dense layer whose weight is shared")
        self.of = of
        self.activation = activation
        self.bias = as_flag(bias, f"bias of {type(self).__name__}")
        self.bias_init = bias_init

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place)
        W = self.of.made_parameter(network, "W")
        if x.shape[-1] != W.shape[0]:
            raise ShapeError(
                f"TiedDense at place {place} reads {W.name} {shape_text(W.shape)} transposed, so it takes a last axis "
                f"of size {W.shape[0]}, but {x.name} has shape {shape_text(x.shape)}"
            )
        *lead, j, k = letters(network, axis_letters(x.rank + 1, "jk"))
        body = Sum(W[k, j] * x[(*lead, k)], k)
        if self.bias:
            body += self.parameter(network, "b", (W.shape[1],), place, init=self.bias_init)[j]
        z = network.define(f"z{place}", (*lead, j), body, note=f"TiedDense, layer {place}")
        return activated(network, self.activation, z, place)

    def __repr__(self) -> str:
        return f"TiedDense({self.of!r}, {activation_name(self.activation)})"


class Activation(Layer):
    """An activation as a layer of its own: ``a[i, j] = activation(x[i, j])``; see `Dense` for what it may be."""

    def __init__(self, activation: Any) -> None:
        self.activation = activation

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 1, self, place)
        where = letters(network, axis_letters(x.rank, "j"))
        body = activate(self.activation, x[where], where[-1])
        return network.define(f"a{place}", where, body, shape=x.shape, note=f"activation, layer {place}")

    def __repr__(self) -> str:
        return f"Activation({activation_name(self.activation)})"


def activated(network: Network, activation: Any, z: Tensor, place: Place) -> Tensor:
    """`activation` of `z` as an equation, or `z` itself where it is `identity`."""
    return z if activation is identity else Activation(activation).build(network, z, place)


def activation_name(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))
