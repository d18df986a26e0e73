"""Recurrent layers of PyTorch: its matrices hold the gates one below the other, ours are one for each gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...symbolic import activations
from ...symbolic import layers as L
from ...symbolic.errors import UnsupportedError
from .imported import Part

GATES = {"RNN": ("",), "LSTM": ("i", "f", "g", "o"), "GRU": ("r", "u", "n")}  # in the order of PyTorch


def recurrent(module: Any) -> Iterator[Part]:
    """The layers of a stack, with dropout between them where it has some.

    PyTorch adds two biases; here they are one, their sum, but for the one that a GRU's reset gate multiplies.
    """
    if not module.batch_first:
        raise UnsupportedError("batch_first=False; expected batch_first=True, with data (batch, time, features)")
    if getattr(module, "proj_size", 0):
        raise UnsupportedError(f"proj_size={module.proj_size}; expected 0")
    kind = type(module).__name__
    for number in range(module.num_layers):
        if number and module.dropout:
            yield Part(L.Dropout(module.dropout))
        options: dict[str, Any] = {"bias": module.bias}
        if kind == "RNN":
            options["activation"] = activations.relu if module.nonlinearity == "relu" else activations.tanh
        layer: Any = getattr(L, kind)(module.hidden_size, **options)
        inputs = module.input_size if number == 0 else None
        if not module.bidirectional:
            values, fixed = _values(module, kind, f"l{number}", "")
            yield Part(layer, values, fixed, inputs)
            continue
        values, fixed = _values(module, kind, f"l{number}", "_1")
        other, more = _values(module, kind, f"l{number}_reverse", "_2")
        yield Part(L.Bidirectional(layer), values | other, fixed + more, inputs)


def _values(module: Any, kind: str, which: str, behind: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of one direction, and what is not trained; `behind` ends the names inside of another layer."""
    gates = GATES[kind]

    def split(name: str) -> dict[str, Any]:
        array = np.array(getattr(module, f"{name}_{which}").detach().cpu().double().numpy())
        return dict(zip(gates, np.split(array, len(gates)), strict=True))

    made = {f"W{gate}{{}}{behind}": array for gate, array in split("weight_ih").items()}
    made |= {f"U{gate}{{}}{behind}": array for gate, array in split("weight_hh").items()}
    if module.bias:
        own, other = split("bias_ih"), split("bias_hh")
        if kind == "GRU":
            made[f"cn{{}}{behind}"] = other["n"]
            other["n"] = np.zeros_like(other["n"])
        made |= {f"b{gate}{{}}{behind}": own[gate] + other[gate] for gate in gates}
    trained = {name: getattr(module, f"{name}_{which}").requires_grad for name in ("weight_ih", "weight_hh")}
    by_letter = {"W": trained["weight_ih"], "U": trained["weight_hh"], "b": True, "c": True}
    if module.bias:  # of the two that are one, either may be trained
        ih, hh = (getattr(module, f"{name}_{which}").requires_grad for name in ("bias_ih", "bias_hh"))
        by_letter |= {"b": ih or hh, "c": hh, "bn": ih}
    return made, tuple(name for name in made if not by_letter.get(name.split("{")[0], by_letter[name[0]]))
