"""What exporters write as operators of their own: the bias of a product, scales and shifts of a normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...symbolic import layers as L
from .imported import Part
from .onnx_graph import Known
from .onnx_layers import Node


def scale(part: Part, node: Node) -> bool:
    """Whether a node is the bias, or scales or shifts, of the layer before it, which then has them."""
    layer: Any = part.layer
    found = [node.constants[name] for name in node.node.input if name in node.constants]
    if node.kind not in ("Add", "Mul") or len(found) != 1 or len(node.node.input) != 2:
        return False
    vector = _along_axis(found[0], node.rank, 1 if isinstance(layer, L.GroupNorm) else node.rank - 1)
    if isinstance(layer, L.Dense):  # a column would be added along another axis
        is_bias = node.kind == "Add" and not layer.bias and vector is not None and vector.size == layer.units
        if is_bias:
            layer.bias, part.values["b{}"] = True, vector
        return is_bias
    letter = "gamma{}" if node.kind == "Mul" else "beta{}"
    is_known = letter in part.values and letter not in part.fixed
    has_gone = node.kind == "Mul" and "beta{}" in part.values and "beta{}" not in part.fixed
    is_for = node.kind == "Mul" or not isinstance(layer, L.RMSNorm)
    if vector is None or vector.size == 1 or is_known or has_gone or not is_for:
        return False
    if not layer.affine:
        layer.affine, part.values["gamma{}"], part.fixed = True, np.ones_like(vector), ("gamma{}",)
        if not isinstance(layer, L.RMSNorm):
            part.values["beta{}"], part.fixed = np.zeros_like(vector), ("gamma{}", "beta{}")
    part.values[letter] = vector
    part.fixed = tuple(name for name in part.fixed if name != letter)
    return True


def _along_axis(array: Any, rank: int, axis: int) -> Any:
    """The entries of a constant that differ along one axis only, or None."""
    shape = (1,) * (rank - array.ndim) + array.shape
    is_so = array.ndim <= rank and all(size == 1 for place, size in enumerate(shape) if place != axis)
    return array.reshape(-1) if is_so else None


def grouped(known: Known, place: int, current: str) -> Part | None:
    """A group normalisation without scales: groups in a row each, normalised as such, and back in their shape."""
    nodes = known.nodes[place : place + 3]
    if [node.op_type for node in nodes] != ["Reshape", "InstanceNormalization", "Reshape"]:
        return None
    first, norm, last = nodes
    shape = known.constants.get(first.input[1])
    scales, shifts = (known.constants.get(name) for name in norm.input[1:3])
    comes_back = known.sizes_of.get(last.input[1]) == current
    if shape is None or scales is None or shifts is None or shape.tolist() != [0, scales.size, -1]:
        return None
    if not comes_back or (scales != 1).any() or shifts.any() or norm.input[0] != first.output[0]:
        return None
    eps = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    return Part(L.GroupNorm(scales.size, float(str(np.float32(eps))), affine=False))
