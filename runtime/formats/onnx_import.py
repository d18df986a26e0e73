"""`from_onnx`: an ONNX model made of layers, one after another, as a `Sequential` with its parameters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codegen.onnx.graph import load_onnx
from ...symbolic.errors import DataError, UnsupportedError
from ..model import Model
from .imported import Part, joined, model_of, sample_shape
from .onnx_layers import LAYERS, Node

Array = NDArray[Any]
_NONE: Array = np.zeros(())


def from_onnx(
    source: Any,
    input_shape: Any = None,
    *,
    loss: Any = None,
    name: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> Model:
    """An ONNX model as a `Model`: its equations, which can be derived and printed, with its parameters.

    Each operator must be a layer of what the one before gives: such models are written by the exporters of PyTorch and
    Keras for feed-forward and convolutional networks. Batch normalisation and dropout do in training what layers do.

    Parameters
    ----------
    source : a file, or an ``onnx.ModelProto``.
    input_shape : the shape of a sample, without the batch axis; by default as the file says.
    loss : one of ``gl.losses``; needed to derive and to train.
    name : of the network; by default the graph's.
    dtype : "float32" or "float64"; by default that of the parameters.
    options : those of `Model`: target, seed, …

    Raises
    ------
    MissingExtraError
        If the package onnx is not installed.
    DataError
        If the file is missing or no ONNX model.
    UnsupportedError
        If an operator has no counterpart, or reads something else than what the one before gives; the message names it.
    UndefinedError, ShapeError
        If the file does not say the shape of a sample and it is not given, or the layers do not fit it.
    """
    onnx = load_onnx()
    model = _read(source, onnx)
    graph = model.graph
    opset = next((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
    constants = {tensor.name: np.array(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    inputs = [given for given in graph.input if given.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise UnsupportedError(
            f"the model has {len(inputs)} inputs and {len(graph.output)} outputs; expected one of each"
        )
    rank = len(inputs[0].type.tensor_type.shape.dim)
    parts = joined(_parts(graph, inputs[0].name, constants, onnx, rank, opset))
    shape = input_shape if input_shape is not None else _shape(inputs[0])
    kinds = {array.dtype.name for part in parts for array in part.values.values()}
    kind = dtype if dtype is not None else "float64" if kinds == {"float64"} else "float32"
    title = name or ("".join(c if c.isalnum() else "_" for c in graph.name) or "network")
    return model_of(parts, sample_shape(parts, shape, "(3, 32, 32)"), kind, title, loss, options)


def _read(source: Any, onnx: Any) -> Any:
    if isinstance(source, onnx.ModelProto):
        return source
    if not isinstance(source, str | os.PathLike):
        raise DataError(f"{source!r} is no ONNX model; expected a file or an onnx.ModelProto")
    try:
        made = onnx.load(Path(source))
        onnx.checker.check_model(made)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {os.fspath(source)}") from error
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise DataError(f"{os.fspath(source)} is not an ONNX model, or is damaged ({_line(error)})") from error
    except Exception as error:  # protobuf's own error has no public place
        if type(error).__name__ != "DecodeError":
            raise
        raise DataError(f"{os.fspath(source)} is not an ONNX model, or is damaged ({_line(error)})") from error
    return made


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _shape(given: Any) -> tuple[int, ...] | None:
    """The shape of a sample, if the file says all of it."""
    sizes = [int(size.dim_value) for size in given.type.tensor_type.shape.dim][1:]
    return tuple(sizes) if all(sizes) else None


def _parts(graph: Any, current: str, constants: dict[str, Array], onnx: Any, rank: int, opset: int) -> Iterator[Part]:
    """The layers of a chain of nodes that begins with what is called `current`."""
    waiting: list[Any] = []  # of a product without a bias, which may follow
    nodes = list(graph.node)
    readers = [name for node in nodes for name in node.input]
    for place, found in enumerate(nodes):
        following = nodes[place + 1].op_type if place + 1 < len(nodes) else ""
        node = Node(found, constants, onnx, rank, following, opset)
        if node.folded():
            continue
        shared = [name for name in found.input if readers.count(name) > 1 and constants.get(name, _NONE).ndim > 1]
        if shared:  # vectors may be one only because exporters keep equal constants once
            raise UnsupportedError(f"{node} shares {shared[0]} with another operator; expected parameters of its own")
        data = [name for name in found.input if name and name not in constants]
        if data != [current] or readers.count(current) > 1:
            raise UnsupportedError(
                f"{node} reads {', '.join(data) or 'no data'}; expected what stands before it, {current}, alone: only "
                "layers one after another can be read"
            )
        if waiting and node.is_bias(waiting[0]):
            waiting.pop().add_bias(node)
        elif node.kind not in LAYERS:
            raise UnsupportedError(f"{node} has no counterpart here; supported are {', '.join(sorted(LAYERS))}")
        else:
            waiting.clear()
            try:
                made = LAYERS[node.kind](node)
            except UnsupportedError as error:
                raise UnsupportedError(f"{node} cannot be read: {error}") from None
            if made is not None:
                yield made
                if found.op_type == "MatMul":
                    waiting.append(_Product(made))
        rank = node.rank
        current = found.output[0]
    if current != graph.output[0].name:
        raise UnsupportedError(f"the output {graph.output[0].name} is not what the last operator gives, {current}")


class _Product:
    """A layer that was made of a MatMul, which an Add may follow."""

    def __init__(self, part: Part) -> None:
        self.part, self.units = part, part.values["W{}"].shape[0]

    def add_bias(self, node: Node) -> None:
        layer: Any = self.part.layer
        layer.bias = True
        self.part.values["b{}"] = node.constant_of_add().reshape(-1)
