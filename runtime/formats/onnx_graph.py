"""What of an ONNX graph is computed from data: constants are folded, sizes and zeros that exporters compute cut out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.errors import DataError

Array = NDArray[Any]
MOVES = ("Expand", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Identity", "Cast")  # zeros stay zeros
ZERO: Array = np.zeros(())


class Known:
    """The nodes that compute from data, in order, and what is known of the rest.

    Attributes
    ----------
    nodes : those that the output needs, without those of constants
    stored : the names of what is stored beside the nodes: parameters
    constants : name → array; what is zero at any batch size is an array of no axes
    sizes_of : names of computed shapes → the name of what has that shape
    read : what these nodes and the outputs read
    shapes : name → the sizes that shape inference finds: a number, a symbol's name, or None
    """

    def __init__(self, model: Any, onnx: Any, opset: int) -> None:
        graph = model.graph
        self.onnx, self.opset = onnx, opset
        self.stored = {one.name for one in graph.initializer}
        self.constants = {one.name: _array(onnx, one) for one in graph.initializer}
        self.shapes = _shapes(model, onnx)
        self.zeros: set[str] = set()
        self.sizes_of = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Shape"}
        left = [node for node in graph.node if not self._folds(node)]
        needed = {one.name for one in graph.output}
        self.nodes: list[Any] = []
        for node in reversed(left):
            if needed.intersection(node.output):
                self.nodes.insert(0, node)
                # The sizes of a reshape may be computed; they are what shape inference says.
                read = node.input[:1] if node.op_type == "Reshape" else node.input
                needed.update(name for name in read if name)
        self.read = needed

    def _folds(self, node: Any) -> bool:
        """Whether what it makes is constant, which is then known."""
        given = [name for name in node.input if name]
        kind = node.op_type
        if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
            return False
        if kind == "ConstantOfShape" and given[0] not in self.constants:
            value = next((self.onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == "value"), None)
            is_zero = value is None or not _array(self.onnx, value).any()
        else:
            first = self.constants.get(given[0]) if given else None
            of_zeros = bool(given) and (given[0] in self.zeros or (first is not None and not first.any()))
            is_zero = kind in MOVES and of_zeros and not all(name in self.constants for name in given[1:])
        if is_zero or (kind in MOVES and given and given[0] in self.zeros):
            self.zeros.add(node.output[0])
            self.constants[node.output[0]] = ZERO
            return True
        if kind != "Constant" and (not given or any(name not in self.constants for name in given)):
            return False
        self.constants[node.output[0]] = self._computed(node, given)
        return True

    def _computed(self, node: Any, given: list[str]) -> Array:
        """What a node of constants makes, by ONNX's own reference."""
        from onnx.reference import ReferenceEvaluator

        helper = self.onnx.helper
        inputs = [helper.make_tensor_value_info(name, 1, None) for name in dict.fromkeys(given)]
        graph = helper.make_graph([node], "constant", inputs, [helper.make_tensor_value_info(node.output[0], 1, None)])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        evaluator: Any = ReferenceEvaluator(made)
        return np.array(evaluator.run(None, {name: self.constants[name] for name in given})[0])


def _array(onnx: Any, constant: Any) -> Array:
    """
    Raises
    ------
    DataError
        If its numbers are not those that it says it has.
    """
    try:
        return np.array(onnx.numpy_helper.to_array(constant))
    except (ValueError, TypeError, KeyError, OSError, OverflowError) as error:
        raise DataError(
            f"constant {constant.name!r} of the ONNX model cannot be read: it is damaged ({error})"
        ) from error


def _shapes(model: Any, onnx: Any) -> dict[str, tuple[Any, ...]]:
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except onnx.shape_inference.InferenceError:  # of operators that it does not know, which are refused later
        graph = model.graph
    return {
        one.name: tuple(
            size.dim_value if size.HasField("dim_value") else size.dim_param or None
            for size in one.type.tensor_type.shape.dim
        )
        for one in (*graph.input, *graph.value_info, *graph.output)
        if one.type.tensor_type.HasField("shape")
    }
