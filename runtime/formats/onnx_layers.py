"""Operators of ONNX that are layers, each read as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic import activations
from ...symbolic import layers as L
from ...symbolic.errors import UnsupportedError
from .imported import Part
from .torch_modules import with_constant

Array = NDArray[Any]


class Node:
    """A node with its attributes and the constants that it reads.

    Attributes
    ----------
    kind : the operator
    rank : how many axes what it is given has; what it makes, once it has been read
    following : the operator behind it
    opset : the version of ONNX's operators
    """

    def __init__(
        self, node: Any, constants: dict[str, Array], onnx: Any, rank: int, following: str, opset: int
    ) -> None:
        self.node, self.constants, self.rank, self.following, self.opset = node, constants, rank, following, opset
        self.kind = str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self._to_array = onnx.numpy_helper.to_array

    def __str__(self) -> str:
        return f"the operator {self.kind}" + (f" ({self.node.name})" if self.node.name else "")

    def folded(self) -> bool:
        """Whether it makes a constant, which is then known."""
        given = [self.constants.get(name) for name in self.node.input]
        made: Any = None
        if self.kind == "Constant" and "value" in self.attributes:
            made = self._to_array(self.attributes["value"])
        elif given and all(array is not None for array in given):
            if self.kind == "Transpose":
                made = np.transpose(given[0], self.attributes.get("perm"))  # type: ignore[arg-type]
            elif self.kind == "Identity":
                made = given[0]
        if made is not None:
            self.constants[self.node.output[0]] = np.array(made)
        return made is not None

    def given(self, place: int) -> Array | None:
        """The constant that is its input at a place, None where it has none."""
        return self.constants.get(self.node.input[place]) if place < len(self.node.input) else None

    def needed(self, place: int) -> Array:
        found = self.given(place)
        if found is None:
            raise UnsupportedError(f"its input {place} is no constant")
        return found

    def only(self, **expected: Any) -> None:
        """Check that attributes have the only values that have a counterpart, those given; they are the defaults."""
        for name, value in expected.items():
            found = self.attributes.get(name, value)
            parts = set(found) if isinstance(found, list) else {found.decode() if isinstance(found, bytes) else found}
            if parts - {value}:
                raise UnsupportedError(f"{name}={found!r}; expected {value!r}")

    def ints(self, name: str, rank: int, default: int) -> tuple[int, ...]:
        return tuple(self.attributes.get(name) or (default,) * rank)

    def real(self, name: str, default: float) -> float:
        """A number as people wrote it: attributes are of single precision."""
        return float(str(np.float32(self.attributes.get(name, default))))

    def is_bias(self, product: Any) -> bool:
        found = self.constant_of_add()  # along the last axis: a column would be added along another
        return self.kind == "Add" and found.size == product.units and found.shape[-1:] in ((product.units,), ())

    def constant_of_add(self) -> Array:
        found = [self.constants[name] for name in self.node.input if name in self.constants]
        return found[0] if found else np.zeros(0)


def _gemm(node: Node) -> Part:
    node.only(alpha=1.0, beta=1.0, transA=0)
    W, b = node.needed(1), node.given(2)
    W = W if node.attributes.get("transB") else W.T
    if b is not None and b.ndim == 2 and len(b) > 1:
        raise UnsupportedError(f"its input 2 has shape {b.shape}; expected the same for all rows")
    values = {"W{}": W} if b is None else {"W{}": W, "b{}": np.broadcast_to(b, (1, len(W)))[0]}
    return Part(L.Dense(len(W), bias=b is not None), values, inputs=W.shape[1])


def _matmul(node: Node) -> Part:
    W = node.needed(1).T
    if W.ndim != 2:
        raise UnsupportedError(f"its matrix has {W.ndim} axes; expected 2")
    return Part(L.Dense(len(W), bias=False), {"W{}": W}, inputs=W.shape[1])


def _padding(node: Node, rank: int) -> tuple[int, ...]:
    node.only(auto_pad="NOTSET")
    pads = node.ints("pads", 2 * rank, 0)
    if pads[:rank] != pads[rank:]:
        raise UnsupportedError(f"pads={list(pads)}; expected as many at both ends of an axis")
    return pads[:rank]


def _convolution(node: Node) -> Part:
    W, b = node.needed(1), node.given(2)
    rank = W.ndim - 2
    if rank not in (1, 2):
        raise UnsupportedError(f"it has {rank} spatial axes; expected 1 or 2")
    steps = (node.ints("strides", rank, 1), _padding(node, rank))
    dilation, group = node.ints("dilations", rank, 1), node.attributes.get("group", 1)
    values = {"W{}": W} if b is None else {"W{}": W, "b{}": b}
    if node.kind == "Conv":
        kind: Any = L.Conv1D if rank == 1 else L.Conv2D
        return Part(kind(W.shape[0], W.shape[2:], *steps, dilation, groups=group, bias=b is not None), values)
    node.only(group=1, output_shape=None)
    kind, more = L.ConvTranspose1D if rank == 1 else L.ConvTranspose2D, node.ints("output_padding", rank, 0)
    return Part(kind(W.shape[1], W.shape[2:], *steps, more, dilation, bias=b is not None), values)


def _pool(node: Node) -> Part:
    node.only(ceil_mode=0, dilations=1, pads=0, auto_pad="NOTSET", storage_order=0)
    size = tuple(node.attributes["kernel_shape"])
    if len(size) not in (1, 2) or len(node.node.output) > 1:
        raise UnsupportedError(f"kernel_shape={list(size)}; expected 1 or 2 axes, and no places of the maxima")
    kind = getattr(L, f"{'Max' if node.kind == 'MaxPool' else 'Average'}Pool{len(size)}D")
    return Part(kind(size, node.ints("strides", len(size), 1)))


def _global_pool(node: Node) -> Part:
    if node.following not in ("Flatten", "Reshape"):
        raise UnsupportedError("it gives axes of length 1; expected Flatten behind it")
    return Part(L.GlobalMaxPool() if node.kind == "GlobalMaxPool" else L.GlobalAveragePool())


def _flatten(node: Node) -> Part:
    if node.kind == "Flatten":
        node.only(axis=1)
    elif node.needed(1).size != 2 or node.needed(1)[0] not in (0, -1, 1):
        raise UnsupportedError(f"its shape is {node.needed(1).tolist()}; expected [0, -1], which flattens each row")
    node.rank = 2
    size = -1 if node.kind == "Flatten" else int(node.needed(1)[1])
    return Part(L.Flatten() if size == -1 else L.Reshape((size,)))  # which checks that rows are of that size


def _batch_norm(node: Node) -> Part:
    node.only(training_mode=0, spatial=1)
    names = ("gamma{}", "beta{}", "running_mean{}", "running_var{}")
    values = {name: node.needed(place) for place, name in enumerate(names, start=1)}
    momentum = round(1 - node.real("momentum", 0.9), 7)  # here the part of what is new
    return Part(L.BatchNorm(1, momentum or 0.1, node.real("epsilon", 1e-5)), values)


def _layer_norm(node: Node) -> Part:
    if node.attributes.get("axis", -1) not in (-1, node.rank - 1):
        raise UnsupportedError(f"axis={node.attributes['axis']}; expected the last")
    gamma, beta = node.needed(1), node.given(2)
    values = {"gamma{}": gamma, "beta{}": np.zeros(len(gamma)) if beta is None else beta}
    return Part(L.LayerNorm(node.real("epsilon", 1e-5)), values, ("beta{}",) if beta is None else ())


def _dropout(node: Node) -> Part:
    ratio = node.given(1)
    return Part(L.Dropout(float(node.attributes.get("ratio", 0.5) if ratio is None else ratio)))


def _embedding(node: Node) -> Part:
    node.only(axis=0)
    table = node.needed(0)
    node.rank += 1
    return Part(L.Embedding(*table.shape), {"E{}": table})


def _softmax(node: Node) -> Part:
    # Before opset 13 it ran over all axes from this one on.
    axis = node.attributes.get("axis", -1 if node.opset >= 13 else 1)
    if axis not in (-1, node.rank - 1):
        raise UnsupportedError(f"axis={axis}; expected the last")
    return Part(L.Activation(activations.softmax if node.kind == "Softmax" else activations.log_softmax))


def _activation(make: Callable[[Node], Any]) -> Callable[[Node], Part]:
    return lambda node: Part(L.Activation(make(node)))


def _alpha(node: Node, function: Any, usual: float) -> Any:
    return with_constant(function, node.real("alpha", usual), usual)


def _gelu(node: Node) -> Any:
    return activations.gelu_tanh if node.attributes.get("approximate") == b"tanh" else activations.gelu


LAYERS: dict[str, Callable[[Node], Part | None]] = {
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _convolution, "ConvTranspose": _convolution, "MaxPool": _pool,
    "AveragePool": _pool, "GlobalAveragePool": _global_pool, "GlobalMaxPool": _global_pool, "Flatten": _flatten,
    "Reshape": _flatten, "BatchNormalization": _batch_norm, "LayerNormalization": _layer_norm, "Dropout": _dropout,
    "Gather": _embedding, "Identity": lambda node: None, "Softmax": _softmax, "LogSoftmax": _softmax,
    "Relu": _activation(lambda node: activations.relu),
    "Sigmoid": _activation(lambda node: activations.sigmoid),
    "Tanh": _activation(lambda node: activations.tanh),
    "Softplus": _activation(lambda node: activations.softplus),
    "LeakyRelu": _activation(lambda node: _alpha(node, activations.leaky_relu, 0.01)),
    "Elu": _activation(lambda node: _alpha(node, activations.elu, 1.0)),
    "Gelu": _activation(_gelu), "com.microsoft.Gelu": _activation(_gelu),
}  # fmt: skip
