"""`to_onnx`: a network's forward pass, with its parameters, as an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...codegen.onnx.export import onnx_model
from ...codegen.onnx.graph import load_onnx
from ...symbolic.arguments import check_network
from ...symbolic.errors import SavedFileError, ShapeError, UndefinedError, UnsupportedError
from ...symbolic.network import Network
from ..compilation import check_choices, check_sizes
from ..data import size_of
from ..files import write_atomically
from ..model import Model
from ..saved_files import check_destination

LARGEST = 2**31 - 2**20  # bytes of a protobuf message, and room for the nodes


def to_onnx(
    model: Model | Network,
    path: str | os.PathLike[str] | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    dtype: Any = None,
) -> Any:
    """The forward pass in inference as an ONNX model (opset 18), also written to `path` if one is given.

    It is made of the network's equations, not of its layers, so any network can be exported: products become MatMul or
    Einsum, what is read at other places Gather, recurrences Loop. Each node carries its equation as documentation. The
    model takes the inputs that the output depends on, with any batch size, and gives the output, all by their names.

    Parameters
    ----------
    model : a `Model`; or a network, with the `params` of its parameters and states by name.
    path : a file to write, such as ``digits.onnx``.
    sizes : numbers for symbolic sizes, those of the model by default.
    dtype : "float32" or "float64", that of the model by default. float64 makes a larger file, and slower.

    Returns
    -------
    The model, an ``onnx.ModelProto``.

    Raises
    ------
    MissingExtraError
        If the package onnx is not installed.
    UnsupportedError
        If an equation holds what ONNX, or onnxruntime, has no operator for; the message names the equation.
    UndefinedError, ShapeError
        If there is no output without targets, or a parameter is missing or has another shape.
    SizeError
        If a symbolic size has no number.
    SavedFileError
        If the file cannot be written.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(3, gl.tanh)], input_shape=5, loss=gl.losses.SquaredError())
    >>> made = gl.to_onnx(gl.Model(net, target="numpy"))
    >>> [node.op_type for node in made.graph.node]
    ['Transpose', 'MatMul', 'Add', 'Tanh']
    >>> print(made.graph.node[1].doc_string)
    z1[i, j] = Σ_k W1[j, k] x[i, k] + b1[j]
    """
    from ... import __version__

    load_onnx()
    if path is not None:
        check_destination(path)
    known = check_sizes({} if sizes is None else sizes)
    if isinstance(model, Model):
        network, given = model.network, dict(model.params) if params is None else dict(params)
        known = {**model.sizes, **known}
        kind = model.dtype if dtype is None else check_choices("numpy", dtype)
    else:
        network, given = check_network(model), dict(params or {})
        kind = check_choices("numpy", "float32" if dtype is None else dtype)
    for tensor in network.parameters + network.states:
        if tensor.name not in given:
            raise UndefinedError(f"{tensor.name} has no value; give params={{{tensor.name!r}: array, …}}, or a Model")
        shape = tuple(size_of(size, known, tensor.name) for size in tensor.shape)
        if tuple(getattr(given[tensor.name], "shape", ())) != shape:
            found = getattr(given[tensor.name], "shape", "none")
            raise ShapeError(f"{tensor.name} has shape {found}; expected {shape}")
    if sum(array.size for array in given.values()) * (4 if kind == "float32" else 8) > LARGEST:
        raise UnsupportedError("ONNX files hold less than 2 GiB, and the parameters need more; export with 'float32'")
    made = onnx_model(network, given, known, kind, "gradloom", __version__)
    if path is not None:
        try:
            write_atomically(Path(path), made.SerializeToString())
        except OSError as error:
            raise SavedFileError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error
    return made
