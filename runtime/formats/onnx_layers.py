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
from .onnx_graph import Known
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
    output : which of what it gives is read
    shape, keeps_batch : of what it gives, as shape inference finds it; whether its first axis is that of what it reads
    """

    output: int
    shape: tuple[Any, ...] | None
    keeps_batch: bool

    def __init__(self, node: Any, known: Known, rank: int, following: str = "") -> None:
        self.node, self.rank, self.following, self.opset = node, rank, following, known.opset
        self.constants, self.stored = known.constants, known.stored
        self.kind = str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        self.attributes = {a.name: known.onnx.helper.get_attribute_value(a) for a in node.attribute}
        self.output, self.shape, self.keeps_batch = 0, None, False

    def __str__(self) -> str:
        return f"the operator {self.kind}" + (f" ({self.node.name})" if self.node.name else "")

    def given(self, place: int) -> Array | None:
        """The constant that is its input at a place, None where it has none."""
        return self.constants.get(self.node.input[place]) if place < len(self.node.input) else None

    def needed(self, place: int) -> Array:
        found = self.given(place)
        if found is None:
            raise UnsupportedError(f"its input {place} is no constant")
        return found

    def is_made(self, place: int) -> bool:
        """Whether its input at a place is a constant of the program, and no stored parameter."""
        return self.given(place) is not None and self.node.input[place] not in self.stored

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
        node.rank = 2
        return Part(L.Flatten())
    shape, sample = node.given(1), node.shape[1:] if node.shape else ()
    if shape is not None and shape.size > 1 and shape[0] in (0, -1, 1) and (shape[1:] != 0).all():
        sizes = tuple(map(int, shape[1:]))
    elif node.keeps_batch and sample and all(isinstance(size, int) for size in sample):
        sizes = sample
    else:
        found = "computed from data" if shape is None else str(shape.tolist())
        raise UnsupportedError(f"its shape is {found}; expected [0, -1], or another that keeps the batch")
    node.rank = 1 + len(sizes)
    return Part(L.Flatten() if sizes == (-1,) else L.Reshape(sizes))  # which checks that samples are of that size


def _missing(node: Node) -> tuple[str, ...]:
    """The scale and the shift that exporters write as constants where a normalisation has none."""
    usual = (("gamma{}", 1, 1), ("beta{}", 2, 0))
    return tuple(name for name, place, value in usual if node.is_made(place) and (node.needed(place) == value).all())


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
    fixed = ("beta{}",) if beta is None else ()
    return Part(L.LayerNorm(node.real("epsilon", 1e-5)), values, tuple({*fixed, *_missing(node)}))


def _instance_norm(node: Node) -> Part:
    gamma, beta = node.needed(1), node.needed(2)
    made = L.GroupNorm(len(gamma), node.real("epsilon", 1e-5))
    return Part(made, {"gamma{}": gamma, "beta{}": beta}, _missing(node))


def _group_norm(node: Node) -> Part:
    gamma, beta, groups = node.needed(1), node.needed(2), node.attributes["num_groups"]
    if node.opset < 21 and groups > 1:
        raise UnsupportedError(f"opset {node.opset} has scales of groups; expected those of channels, of opset 21")
    return Part(L.GroupNorm(groups, node.real("epsilon", 1e-5)), {"gamma{}": gamma, "beta{}": beta})


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
    "InstanceNormalization": _instance_norm, "GroupNormalization": _group_norm,
    "Gather": _embedding, "Identity": lambda node: None, "Softmax": _softmax, "LogSoftmax": _softmax,
    "Relu": _activation(lambda node: activations.relu),
    "Sigmoid": _activation(lambda node: activations.sigmoid),
    "Tanh": _activation(lambda node: activations.tanh),
    "Softplus": _activation(lambda node: activations.softplus),
    "LeakyRelu": _activation(lambda node: _alpha(node, activations.leaky_relu, 0.01)),
    "Elu": _activation(lambda node: _alpha(node, activations.elu, 1.0)),
    "Gelu": _activation(_gelu), "com.microsoft.Gelu": _activation(_gelu),
}  # fmt: skip
