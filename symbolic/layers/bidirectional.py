"""`Bidirectional`: a recurrent layer run from both ends."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import UndefinedError
from .recurrent import Recurrent
from .shape import Parallel


class Bidirectional(Parallel):
    """A recurrent layer and a second one that runs in reverse, side by side (Schuster and Paliwal 1997).

    What comes out has the states of both, (B, T, 2 m), those of the first before; or the last state of each, (B, 2 m),
    if the layer does not return sequences. Each has parameters of its own: at place 3 their places are 3_1 and 3_2.

    Parameters
    ----------
    layer : an `RNN`, `GRU`, `LSTM` or another `Recurrent` that does not run in reverse itself.

    Raises
    ------
    UndefinedError
        If `layer` is none.
    """

    def __init__(self, layer: Any) -> None:
        if not isinstance(layer, Recurrent) or layer.reverse:
            raise UndefinedError(
                f"Bidirectional takes a recurrent layer that does not run in reverse, found {layer!r}; such as "
                "gl.layers.LSTM(7)"
            )
        back = copy.copy(layer)
        back.__dict__.pop("_parameters", None)  # or it would share those of the first
        back.reverse = True
        super().__init__([layer, back])

    def __repr__(self) -> str:
        return f"Bidirectional({self.layers[0]!r})"
