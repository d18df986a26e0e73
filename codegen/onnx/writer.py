"""Ops as nodes of an ONNX graph: products are MatMul or Einsum, reductions Reduce…, recurrences Loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sympy import Expr, Integer, expand, prod

from ...symbolic.errors import UnsupportedError
from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..ops import Contraction, Op, Pointwise, Reduction, Scan, tensors_read
from ..sizes import Sizes
from .expressions import Expressions
from .graph import Graph
from .values import Value

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass
class Step:
    """A loop over time, as its ops see it.

    Attributes
    ----------
    time, name, length : the index, the number of the step in the graph, how many there are
    direction : 1 from the first step to the last, -1 the other way
    now : what holds a tensor in this step, of those that are made already
    before : tensor → what holds it one step before, two steps before, …
    """

    time: Any
    name: str
    length: Any
    direction: int
    before: Mapping[Tensor, Sequence[str]]
    now: dict[Tensor, str] = field(default_factory=dict)


class OnnxWriter:
    """Adds ops to a graph.

    Parameters
    ----------
    graph, sizes : what is written to, and the numbers of sizes
    held : what holds the inputs and parameters
    batched : an input whose first axis is the batch, or None
    names : names for tensors that shall have another than their own
    """

    def __init__(
        self, graph: Graph, sizes: Sizes, held: Mapping[Tensor, str], batched: str | None, names: Mapping[Tensor, str]
    ) -> None:
        self.graph, self.sizes, self.batched, self.names = graph, sizes, batched, names
        self.held = dict(held)
        self._step: Step | None = None

    def add(self, steps: Sequence[Op | Scan], wanted: Iterable[Tensor]) -> None:
        """Add all of `steps`; of what loops make, what is `wanted` or read afterwards is handed on."""
        for at, step in enumerate(steps):
            if isinstance(step, Scan):
                later = [op for other in steps[at + 1 :] for op in (other.ops if isinstance(other, Scan) else (other,))]
                self._loop(step, {*tensors_read(later), *wanted})
            else:
                self.held[step.tensor] = self._write(step)

    def _write(self, op: Op) -> str:
        """The name of what an op makes, with the axes of its target."""
        self.graph.note = str(op.equation)
        try:
            found, writer = self._value(op)
        except UnsupportedError as error:
            raise UnsupportedError(f"{op.equation.target.name}: {error}; its equation is {op.equation}") from error
        made = writer.whole(found, [place for place in indices_of(op.target) if place in writer.space])
        wanted = self.names.get(op.tensor) or self.graph.unused(op.tensor.name)
        return self.graph.called(made, wanted)

    def _value(self, op: Op) -> tuple[Value, Expressions]:
        writer = self._expressions(dict(op.space))
        if isinstance(op, Contraction):
            return self._product(op, writer), writer
        if isinstance(op, Pointwise):
            return writer.value(op.body), writer
        assert isinstance(op, Reduction)
        if op.is_scatter:
            raise UnsupportedError("data say where it is written, which cannot be exported")
        made = writer.value(op.body)
        if op.kind == "argmax":
            return self._first_place(op, made, writer), writer
        missing = [size for index, size in op.space if index in op.bound and index not in made.axes]
        if missing and op.kind == "sum":
            made = writer.apply("Mul", made, writer.value(prod(missing)))
        axes = [place for place, index in enumerate(made.axes) if index in op.bound]
        if axes:
            kind = {"sum": "ReduceSum", "max": "ReduceMax"}[op.kind]
            name = self.graph.node(kind, [made.name, self.graph.constant(axes)], keepdims=0)
            made = Value(tuple(index for index in made.axes if index not in op.bound), name)
        return made, writer

    def _first_place(self, op: Reduction, made: Value, writer: Expressions) -> Value:
        """The place of the maximum, counted through the bound axes in order; of equal ones the first."""
        free = [index for index in op.free if index in made.axes]
        name = writer.whole(made, [*free, *op.bound])
        if len(op.bound) > 1:
            lead = [self.graph.constant([0])] * len(free)  # 0: as long as before
            name = self.graph.node("Reshape", [name, self._joined([*lead, self.graph.constant([-1])])])
        return Value(tuple(free), self.graph.node("ArgMax", [name], axis=len(free), keepdims=0))

    def _joined(self, parts: list[str]) -> str:
        return self.graph.node("Concat", parts, axis=0) if len(parts) > 1 else parts[0]

    def _product(self, op: Contraction, writer: Expressions) -> Value:
        left, right = writer.element(op.left), writer.element(op.right)
        free = tuple(index for index, _ in op.space if index not in op.bound)
        is_plain = len(op.bound) == 1 and len(op.rows) >= 1 and len(op.columns) == 1
        if is_plain and (len(op.rows) == 1 or not op.batch):
            left = writer.ordered(left, (*op.batch, *op.rows, *op.bound))
            right = writer.ordered(right, (*op.batch, *op.bound, *op.columns))
            axes = (*op.batch, *op.rows, *op.columns)
            made = Value(axes, self.graph.node("MatMul", [left.name, right.name]))
        else:
            letters = {index: LETTERS[place] for place, (index, _) in enumerate(op.space)}
            parts = ("".join(letters[index] for index in axes) for axes in (left.axes, right.axes, free))
            text = "{},{}->{}".format(*parts)
            made = Value(free, self.graph.node("Einsum", [left.name, right.name], equation=text))
        return writer.guarded(op.when, made)

    # ---- recurrences -----------------------------------------------------------------------------------------------

    def _loop(self, scan: Scan, wanted: set[Tensor]) -> None:
        """A loop that hands what it made in earlier steps on to the next, and what is wanted, of all steps, out."""
        graph, made = self.graph, [op.tensor for op in scan.ops]
        depths = _depths(scan)
        steps = [(tensor, back) for tensor in made for back in range(1, depths.get(tensor, 0) + 1)]
        outside = self._expressions({})
        starts = [self._zeros(tensor, outside) for tensor, _ in steps]
        helper = graph.onnx.helper
        with graph.inside() as nodes:
            count, going = graph.unused("step"), graph.unused("going")
            slots = [graph.unused(f"{tensor.name}_{back}_before") for tensor, back in steps]
            before = {tensor: [s for s, (t, _) in zip(slots, steps, strict=True) if t == tensor] for tensor in made}
            name = count
            if scan.step < 0:
                last = outside.name(outside.integer(expand(scan.length - 1)))
                name = graph.node("Sub", [last, count])
            self._step = Step(scan.time, name, scan.length, scan.step, before)
            for op in scan.ops:
                self._step.now[op.tensor] = self._write(op)
            now, self._step = self._step.now, None
            following = [now[t] if back == 1 else before[t][back - 2] for t, back in steps]
            out = [tensor for tensor in made if tensor in wanted]
            results = [going, *following, *(now[tensor] for tensor in out)]
            names = [graph.unused(f"{result}_next") for result in results]
            for result, other in zip(results, names, strict=True):
                graph.nodes_of("Identity", [result], [other], {})
            kinds = [self._kind(tensor) for tensor, _ in steps]
            inputs: list[Any] = [(count, graph.kind(np.int64), []), (going, graph.kind(bool), [])]
            inputs += [(slot, kind, None) for slot, kind in zip(slots, kinds, strict=True)]
            outputs: list[Any] = [(names[0], graph.kind(bool), [])]
            handed = [*kinds, *map(self._kind, out)]
            outputs += [(other, kind, None) for other, kind in zip(names[1:], handed, strict=True)]
            body = helper.make_graph(
                nodes, "step", *([helper.make_tensor_value_info(*one) for one in part] for part in (inputs, outputs))
            )
        length = outside.name(outside.integer(scan.length))
        ends = [graph.unused(f"{slot}_end") for slot in slots]
        whole = [self.names.get(t) or graph.unused(f"{t.name}_steps") for t in out]
        turned = [graph.unused(f"{name}_backwards") for name in whole] if scan.step < 0 else whole
        inputs_of = [length, graph.constant(True, bool), *starts]
        graph.nodes_of("Loop", inputs_of, [*ends, *turned], {"body": body})
        for tensor, name, first in zip(out, whole, turned, strict=True):
            if scan.step < 0:
                back = outside.apply("Sub", outside.integer(expand(scan.length - 1)), self._counted(scan))
                graph.nodes_of("Gather", [first, outside.name(back)], [name], {"axis": 0})
            self.held[tensor] = name

    def _counted(self, scan: Scan) -> Value:
        return self._expressions({scan.time: scan.length}).integer(scan.time)

    def _kind(self, tensor: Tensor) -> int:
        return self.graph.kind(np.int64 if tensor.classes is not None else self.graph.dtype)

    def _zeros(self, tensor: Tensor, writer: Expressions) -> str:
        """What a recurrence reads before its first step, where guards leave it out."""
        shape = self.sizes.shape(tensor.shape[1:])
        dtype = np.int64 if tensor.classes is not None else self.graph.dtype
        if all(isinstance(size, Integer) for size in shape):
            return self.graph.constant(np.zeros([int(size) for size in shape]), dtype)
        zero = self.graph.constant(0, dtype)
        return self.graph.node("Expand", [zero, writer.shape(shape)])

    # ---- what expressions read -------------------------------------------------------------------------------------

    def _expressions(self, space: Mapping[Any, Any]) -> Expressions:
        step = self._step
        loops, lengths = ({}, {}) if step is None else ({step.time: step.name}, {step.time: step.length})
        return Expressions(self.graph, space, self._array, self.sizes.numbers, self._batch, loops, lengths)

    def _array(self, element: Expr) -> tuple[str, tuple[Expr, ...], tuple[Expr, ...]]:
        """What holds the tensor of an element; the places along its axes, and how long they are."""
        tensor, where = tensor_of(element), indices_of(element)
        sizes = self.sizes.shape(tensor.shape)
        step = self._step
        if step is None or tensor not in step.before:
            return self.held[tensor], where, sizes
        back = int((step.time - where[0]) * step.direction)
        name = step.before[tensor][back - 1] if back else step.now[tensor]
        return name, where[1:], sizes[1:]

    def _batch(self) -> str:
        if self.batched is None:
            raise UnsupportedError(f"it depends on the batch size {self.sizes.batch}, but no input has a batch axis")
        return self.graph.node("Gather", [self.graph.node("Shape", [self.batched]), self.graph.constant(0)])


def _depths(scan: Scan) -> dict[Tensor, int]:
    """How many steps back the steps of a loop read each of what they make."""
    made = {op.tensor for op in scan.ops}
    depths: dict[Tensor, int] = {}
    for op in scan.ops:
        for element in op.reads:
            tensor = tensor_of(element)
            if tensor not in made:
                continue
            back = expand((scan.time - indices_of(element)[0]) * scan.step)
            if not isinstance(back, Integer) or back < 0:
                raise UnsupportedError(f"{element} is read at no fixed number of steps before; found in {op.equation}")
            depths[tensor] = max(depths.get(tensor, 0), int(back))
    return depths
