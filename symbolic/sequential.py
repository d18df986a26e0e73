"""`Sequential`: a network made of layers, one after another, with a loss on top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import ShapeError, UndefinedError
from .indices import Dim, as_size
from .layers.base import Layer, as_layers, build
from .loss import Loss, as_loss
from .network import Network
from .penalties import Penalty, as_penalties


class Sequential(Network):
    """A network of layers: each adds equations that read the outgoing tensor of the one before.

    The result is a `Network` like any other: it can be added to. Its names are the layers' places: ``x``, ``W1``,
    ``b1``, ``z1``, ``a1``, …, the target ``y`` and the loss ``L``. The batch size is the symbol ``B``.

    Parameters
    ----------
    layers : the layers, in order. The same layer twice shares its parameters.
    input_shape : the shape of one sample, without the batch axis; an integer for one axis, () for one entry.
    input_classes : where a sample is made of labels, how many classes there are: the entries are integers, 0 …
        input_classes - 1, for an `Embedding`. None for real numbers.
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
        input_classes: Any = None,
        loss: Loss | Any = None,
        name: str = "network",
        penalties: Iterable[Penalty] = (),
    ) -> None:
        super().__init__(name)
        self.layers = as_layers(layers, "Sequential")
        x = self.input("x", (Dim("B"), *_sample_shape(input_shape)), classes=input_classes)
        for place, layer in enumerate(self.layers, start=1):
            x = build(self, layer, x, place, f"layers[{place - 1}]")
        terms = as_penalties(penalties)
        if loss is None:
            if terms:
                raise UndefinedError("penalties are terms of a loss, but there is none; give Sequential a loss")
            return
        total = as_loss(loss).term(self, x)
        for penalty in terms:
            total += penalty.term(self)
        self.minimize(total)

    def __getstate__(self) -> dict[str, Any]:
        # The equations say what the layers declared; these may hold functions, which cannot be pickled.
        return {**vars(self), "layers": []}


def _sample_shape(shape: Any) -> tuple[Any, ...]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    made = tuple(as_size(size, f"input_shape axis {axis}") for axis, size in enumerate(sizes))
    if any(Dim("B") in size.free_symbols for size in made):
        raise ShapeError("input_shape is the shape of one sample, but it holds B, the batch size; leave that axis out")
    return made
