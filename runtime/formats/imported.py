"""Layers with values, read from elsewhere, as a `Sequential` and its parameters: a `Model`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.activations import AlongAxis, identity
from ...symbolic.errors import UndefinedError
from ...symbolic.indices import Dim
from ...symbolic.layers import (
    Activation,
    Attention,
    Bidirectional,
    Chain,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Dense,
    Embedding,
    Layer,
)
from ...symbolic.layers.recurrent import Recurrent
from ...symbolic.sequential import Sequential
from ..model import Model

Array = NDArray[Any]


@dataclass
class Part:
    """One layer.

    Attributes
    ----------
    layer : of ``gl.layers``
    values : name → array of its parameters and states; ``{}`` in a name stands for the layer's place
    fixed : names of parameters that the original has not, and that are frozen
    inputs : how long the last axis of what comes in is, where the layer knows
    """

    layer: Layer
    values: dict[str, Array] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    inputs: int | None = None


def joined(parts: Iterable[Part]) -> list[Part]:
    """The same with activations drawn into the layers that they follow, as people declare them."""
    made: list[Part] = []
    for part in parts:
        last = made[-1].layer if made else None
        takes = isinstance(last, Dense | Conv1D | Conv2D | ConvTranspose1D | ConvTranspose2D)
        if isinstance(part.layer, Activation) and takes and getattr(last, "activation", None) is identity:
            function = part.layer.activation
            if isinstance(last, Dense) or not isinstance(function, AlongAxis):
                last.activation = function  # type: ignore[union-attr]
                continue
        made.append(part)
    return made


def sample_shape(parts: Sequence[Part], given: Any, example: str) -> tuple[Any, ...]:
    """The shape of a sample: as given, or what the first layer says of it; lengths of sequences stay symbols.

    Raises
    ------
    UndefinedError
        If it is not given and the first layer does not say.
    """
    if given is not None:
        return tuple(given) if isinstance(given, tuple | list) else (given,)
    first = parts[0] if parts else None
    if first is not None and isinstance(first.layer, Embedding):
        return (Dim("T"),)
    if first is not None and first.inputs is not None:
        is_sequence = isinstance(first.layer, Recurrent | Attention | Bidirectional | Chain)
        return (Dim("T"), first.inputs) if is_sequence else (first.inputs,)
    raise UndefinedError(
        f"the shape of a sample does not follow from the first layer; give it, as input_shape={example}"
    )


def model_of(parts: Sequence[Part], shape: tuple[Any, ...], dtype: str, name: str, loss: Any, options: Any) -> Model:
    """A model of these layers, with their values."""
    first = parts[0].layer if parts else None
    classes = first.classes if isinstance(first, Embedding) else None
    network = Sequential([part.layer for part in parts], shape, input_classes=classes, loss=loss, name=name)
    if loss is None and parts:
        network.set_output(network.output.name)
    values: dict[str, Array] = {}
    for place, part in enumerate(parts, start=1):
        values |= {named.format(place): np.asarray(array) for named, array in part.values.items()}
        network.freeze(*(named.format(place) for named in part.fixed))
    for tensor in network.parameters + network.states:
        network.initializers[tensor.name] = values[tensor.name]
    return Model(network, dtype=dtype, **options)
