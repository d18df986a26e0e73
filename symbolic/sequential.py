"""`Sequential`: a network made of layers, one after another, with a loss on top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import ShapeError, UndefinedError
from .indices import Dim, as_size
from .layers import Layer
from .loss import Loss, as_loss
from .network import Network
from .penalties import Penalty
from .tensors import Tensor


class Sequential(Network):
    """A network of layers: each adds equations that read the outgoing tensor of the one before.

    The result is a `Network` like any other: it can be added to. Its names are the layers' places: ``x``, ``W1``,
    ``b1``, ``z1``, ``a1``, …, the target ``y`` and the loss ``L``. The batch size is the symbol ``B``.

    Parameters
    ----------
    layers : the layers, in order. The same layer twice shares its parameters.
    input_shape : the shape of one sample, without the batch axis; an integer for one axis.
    loss : one of ``gl.losses``, a function of an output and a target entry that returns the loss of the entry, or
        None to declare it later with `Network.minimize`.
    name : titles what is printed and generated.
    penalties : terms added to the loss, such as ``gl.losses.L2(1e-4)``.

    Raises
    ------
    ShapeError
        If `input_shape` is no shape, or a layer cannot take what the one before gives.
    UndefinedError
        If something in `layers` is not a `Layer`, or there are penalties but no loss.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10, gl.sigmoid)],
    ...                     input_shape=(784,), loss=gl.losses.SquaredError())
    >>> [p.name for p in net.parameters]
    ['W1', 'b1', 'W2', 'b2']
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        input_shape: Any,
        *,
        loss: Loss | Any = None,
        name: str = "network",
        penalties: Iterable[Penalty] = (),
    ) -> None:
        super().__init__(name)
        self.layers = list(layers)
        x = self.input("x", (Dim("B"), *_sample_shape(input_shape)))
        for place, layer in enumerate(self.layers, start=1):
            x = _built(self, layer, x, place)
        terms = list(penalties)
        if loss is None:
            if terms:
                raise UndefinedError("penalties are terms of a loss, but there is none; give Sequential a loss")
            return
        total = as_loss(loss).term(self, x)
        for penalty in terms:
            total += penalty.term(self)
        self.minimize(total)


def _built(network: Network, layer: Any, x: Tensor, place: int) -> Tensor:
    if not isinstance(layer, Layer):
        raise UndefinedError(
            f"layers[{place - 1}] is {layer!r}, not a layer: expected gl.layers.Dense(…) or a subclass of "
            "gl.layers.Layer; an activation alone goes into gl.layers.Activation(…)"
        )
    made: Any = layer.build(network, x, place)
    if not isinstance(made, Tensor):
        raise UndefinedError(
            f"build() of {layer!r} at place {place} returned {made!r}; expected the outgoing tensor, "
            "which network.define(…) returns"
        )
    return made


def _sample_shape(shape: Any) -> tuple[Any, ...]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    made = tuple(as_size(size, f"input_shape axis {axis}") for axis, size in enumerate(sizes))
    if any(Dim("B") in size.free_symbols for size in made):
        raise ShapeError("input_shape is the shape of one sample, but it holds B, the batch size; leave that axis out")
    return made
