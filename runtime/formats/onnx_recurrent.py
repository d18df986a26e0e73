"""Recurrent operators of ONNX: their matrices hold the gates one below the other, ours are one for each gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...symbolic import activations
from ...symbolic import layers as L
from ...symbolic.errors import UnsupportedError
from .imported import Part

if TYPE_CHECKING:
    from .onnx_layers import Node

GATES = {"RNN": ("",), "LSTM": ("i", "o", "f", "g"), "GRU": ("u", "r", "n")}  # in the order of ONNX
USUAL = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def recurrent(node: Node) -> Part:
    """The layer of a node: it gives the states at all steps.

    ONNX adds two biases; here they are one, their sum, but for the one that a GRU's reset gate multiplies.
    """
    kind, W, R, B = node.kind, node.needed(1), node.needed(2), node.given(3)
    direction = node.attributes.get("direction", b"forward").decode()
    node.only(clip=None, input_forget=0, layout=0)
    if len(node.node.input) > 4 and node.node.input[4]:
        raise UnsupportedError("sequence_lens is given; expected sequences of one length")
    for place in (5, 6):
        state = node.given(place)
        is_given = len(node.node.input) > place and node.node.input[place]
        if is_given and (state is None or state.any()):
            raise UnsupportedError(f"its initial state, input {place}, is not 0; expected 0")
    if kind == "GRU" and not node.attributes.get("linear_before_reset", 0):
        raise UnsupportedError(
            "linear_before_reset=0; expected 1, as PyTorch has it and Keras with reset_after=True: the reset gate is "
            "applied after the product"
        )
    options: dict[str, Any] = {"bias": B is not None}
    functions = [name.decode() for name in node.attributes.get("activations", [])] or USUAL[kind] * len(W)
    if kind == "RNN" and set(functions) in ({"Tanh"}, {"Relu"}):
        options["activation"] = activations.relu if functions[0] == "Relu" else activations.tanh
    elif functions != USUAL[kind] * len(W):
        raise UnsupportedError(f"activations={functions}; expected {USUAL[kind] * len(W)}")
    peepholes = node.given(7) if kind == "LSTM" else None
    if peepholes is not None:
        options["peepholes"] = True
    both = direction == "bidirectional"
    values: dict[str, Any] = {}
    for at in range(len(W)):
        behind = f"_{at + 1}" if both else ""
        values |= _values(kind, W[at], R[at], None if B is None else B[at], behind)
        if peepholes is not None:
            thirds = np.split(peepholes[at], 3)
            values |= {f"P{gate}{{}}{behind}": part for gate, part in zip("iof", thirds, strict=True)}
    layer = getattr(L, kind)(R.shape[2], reverse=direction == "reverse", **options)
    return Part(L.Bidirectional(layer) if both else layer, values, inputs=W.shape[2])


def _values(kind: str, W: Any, R: Any, B: Any, behind: str) -> dict[str, Any]:
    """The values of one direction; `behind` ends the names of what stands inside of another layer."""
    gates = GATES[kind]

    def split(array: Any) -> dict[str, Any]:
        return dict(zip(gates, np.split(array, len(gates)), strict=True))

    made = {f"W{gate}{{}}{behind}": array for gate, array in split(W).items()}
    made |= {f"U{gate}{{}}{behind}": array for gate, array in split(R).items()}
    if B is not None:
        own, other = (split(half) for half in np.split(B, 2))
        if kind == "GRU":
            made[f"cn{{}}{behind}"] = other["n"]
            other["n"] = np.zeros_like(other["n"])
        made |= {f"b{gate}{{}}{behind}": own[gate] + other[gate] for gate in gates}
    return made
