"""The forward pass of a network in inference as an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.errors import UndefinedError
from ...symbolic.network import Network
from ...symbolic.tensors import Tensor
from ..ops import tensors_read
from ..scan import gather_steps
from ..schedule import output_of, schedule_inference
from ..sizes import resolve_sizes
from .graph import IR_VERSION, OPSET, Graph
from .writer import OnnxWriter


def onnx_model(
    network: Network,
    params: Mapping[str, NDArray[Any]],
    sizes: Mapping[str, int],
    dtype: str,
    producer: str = "gradloom",
    version: str = "",
) -> Any:
    """An ``onnx.ModelProto`` that computes the network's output from the inputs that it depends on.

    Every op of the lowered equations is one or a few nodes, which carry the equation as their documentation; what the
    layers were plays no part. The parameters and states that it depends on are initializers of their own names; the
    batch size is free.

    Raises
    ------
    UndefinedError
        If the network has no output that can be computed without its targets.
    UnsupportedError
        If an equation holds what ONNX has no operator for.
    SizeError
        If a size has no number.
    """
    known = resolve_sizes(network, sizes)
    if output_of(network) is None:
        raise UndefinedError(f"{network.name} has no output that is computed without its targets: nothing to export")
    planned, _ = schedule_inference(network, known, strided=False)
    output = output_of(network)
    assert output is not None
    assert planned.output is not None
    graph = Graph(dtype)
    read = {*tensors_read(planned.forward), planned.output}
    data = [tensor for tensor in network.inputs if tensor in read]
    held: dict[Tensor, str] = {tensor: graph.unused(tensor.name) for tensor in data}
    for tensor in network.parameters + network.states:
        if tensor in read:
            held[tensor] = graph.unused(tensor.name)
            graph.initializers[held[tensor]] = np.asarray(params[tensor.name], graph.dtype)
    name = graph.unused(output.name if planned.output not in held else f"{output.name}_out")
    batched = next((held[t] for t in data if t.rank and t.shape[0] == known.batch), None)
    writer = OnnxWriter(graph, known, held, batched, {} if planned.output in held else {planned.output: name})
    writer.add(gather_steps(planned.forward), [planned.output])
    if planned.output in held:
        graph.nodes_of("Identity", [held[planned.output]], [name], {})

    used = set(_names_read(graph.nodes))
    helper, numpy_helper = graph.onnx.helper, graph.onnx.numpy_helper

    def described(tensor: Tensor, named: str) -> Any:
        kind = graph.kind(np.int64 if tensor.classes is not None else graph.dtype)
        shape = [int(size) if size.is_Integer else str(size) for size in known.shape(tensor.shape)]
        return helper.make_tensor_value_info(named, kind, shape)

    made = helper.make_graph(
        graph.nodes,
        network.name,
        [described(tensor, held[tensor]) for tensor in data],
        [described(output, name)],
        [numpy_helper.from_array(array, named) for named, array in graph.initializers.items() if named in used],
        doc_string=str(network),
    )
    by = {"producer_name": producer, "producer_version": version}
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION, **by)


def _names_read(nodes: Iterable[Any]) -> Iterator[str]:
    """What nodes read, those of the loops in them included."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from _names_read(attribute.g.node)
