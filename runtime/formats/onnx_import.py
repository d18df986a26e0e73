"""`from_onnx`: an ONNX model made of layers, one after another, as a `Sequential` with its parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...codegen.onnx.graph import load_onnx
from ...symbolic.errors import DataError, UnsupportedError
from ...symbolic.indices import Dim
from ..model import Model
from .imported import joined, model_of, sample_shape
from .onnx_chain import Chain
from .onnx_graph import Known


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

    What operators there are must be layers, each of what the one before gives: such models are written by the exporters
    of PyTorch and Keras for feed-forward, convolutional and recurrent networks. Several operators may be one layer, as
    exporters write GELU, SiLU and normalisations; any other formula of one entry is an activation without a name. An
    LSTM, GRU or RNN begins at 0 and has one direction or both; a GRU's reset gate is applied after the product. Batch
    normalisation and dropout do in training what layers do.

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
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [given for given in graph.input if given.name not in stored]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise UnsupportedError(
            f"the model has {len(inputs)} inputs and {len(graph.output)} outputs; expected one of each"
        )
    rank = len(inputs[0].type.tensor_type.shape.dim)
    chain = Chain(Known(model, onnx, opset), inputs[0].name, rank)
    parts = joined(chain.read(graph.output[0].name))
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


def _shape(given: Any) -> tuple[Any, ...] | None:
    """The shape of a sample, if the file says it, but for the length of a sequence."""
    sizes: list[Any] = [int(size.dim_value) for size in given.type.tensor_type.shape.dim][1:]
    if len(sizes) == 2 and sizes[1] and not sizes[0]:  # sequences of any length
        sizes[0] = Dim("T")
    return tuple(sizes) if all(sizes) else None
