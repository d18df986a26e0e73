"""The layers of an ONNX graph, one after another: where axes lie in between, which operators are one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic import layers as L
from ...symbolic.errors import UnsupportedError
from ...symbolic.layers.recurrent import Recurrent
from .imported import Part
from .onnx_formulas import OPERATORS, Mean, formulas, layer_of, of_formula
from .onnx_graph import Known
from .onnx_layers import LAYERS, Node
from .onnx_recurrent import GATES, recurrent
from .onnx_scales import grouped, scale

Array = NDArray[Any]
_NONE: Array = np.zeros(())
BOTH = "directions"  # the axis of a recurrent operator's own; the others are called by their numbers
ENTRYWISE = {*OPERATORS, "Dropout", "Identity", "LeakyRelu", "Elu", "Gelu", "com.microsoft.Gelu"}
OF_LAST = {"MatMul", "LayerNormalization", "Softmax", "LogSoftmax"}


class Chain:
    """What is read of a graph, node by node.

    Attributes
    ----------
    known : the nodes, constants and shapes of the graph
    current : the name of what the layers so far give
    axes : which axes it has, in the order in which they lie: 0 is the batch
    parts : the layers so far
    """

    def __init__(self, known: Known, current: str, rank: int) -> None:
        self.known, self.current = known, current
        self.axes: list[int | str] = list(range(rank))
        self.parts: list[Part] = []
        self._scaled: Part | None = None  # a product or a normalisation, which a bias or scales may follow
        self._readers = [name for node in known.nodes for name in node.input]

    def read(self, output: str) -> list[Part]:
        """All layers.

        Raises
        ------
        UnsupportedError
            If an operator has no counterpart, or reads something else than what the one before gives.
        """
        place = 0
        while place < len(self.known.nodes):
            place = self._step(place)
        if self.current != output:
            raise UnsupportedError(f"the output {output} is not what the last operator gives, {self.current}")
        try:
            self.parts.extend(self._in_order())
        except UnsupportedError as error:
            raise UnsupportedError(f"the output {output} cannot be read: {error}") from None
        return self.parts

    def _step(self, place: int) -> int:
        """Read what begins with a node; the place behind it."""
        found, constants = self.known.nodes[place], self.known.constants
        following = self.known.nodes[place + 1].op_type if place + 1 < len(self.known.nodes) else ""
        node = Node(found, self.known, len(self.axes), following)
        shared = [name for name in found.input if self._readers.count(name) > 1 and constants.get(name, _NONE).ndim > 1]
        if shared:  # vectors may be one only because exporters keep equal constants once
            raise UnsupportedError(f"{node} shares {shared[0]} with another operator; expected parameters of its own")
        read = found.input[:1] if found.op_type == "Reshape" else found.input
        data = [name for name in read if name and name not in constants]
        if set(data) == {self.current} and not (self._scaled and scale(self._scaled, node)):
            behind = self._formula(place, node)
            if behind is not None:
                return behind
        elif data == [self.current] and self._readers.count(self.current) == 1:
            self.current = found.output[0]
            return place + 1
        if data != [self.current] or self._readers.count(self.current) > 1:
            raise UnsupportedError(
                f"{node} reads {', '.join(data) or 'no data'}; expected what stands before it, {self.current}, alone: "
                "only layers one after another can be read"
            )
        self._scaled = None
        try:
            made, behind = self._layers(node, place)
        except UnsupportedError as error:
            if node.kind in LAYERS or node.kind in GATES:
                raise UnsupportedError(f"{node} cannot be read: {error}") from None
            raise
        self.current = self.known.nodes[behind - 1].output[node.output]
        self.parts.extend(made)
        return behind

    # ---- what a node is --------------------------------------------------------------------------------------

    def _layers(self, node: Node, place: int) -> tuple[Sequence[Part], int]:
        """The layers of a node, which may be none, and the place behind what they are made of."""
        if node.kind in GATES:
            return (self._recurrent(node),), place + 1
        if self._moves(node):
            return (), place + 1
        taken = self._taken(node)
        if taken is not None:
            return taken, place + 1
        is_free = node.kind in ENTRYWISE or (node.kind in OF_LAST and self.axes[-1] == len(self.axes) - 1)
        moved = () if is_free else self._in_order()
        norm = grouped(self.known, place, self.current)
        if norm is not None:
            self._scaled = norm
            return (*moved, norm), place + 3
        if node.kind not in LAYERS:
            supported = ", ".join(sorted({*LAYERS, *GATES, *OPERATORS}))
            raise UnsupportedError(f"{node} has no counterpart here; supported are {supported}")
        node.shape = self.known.shapes.get(node.node.output[0])
        node.keeps_batch = node.shape is not None and self.known.shapes.get(self.current, (None,))[0] == node.shape[0]
        made = LAYERS[node.kind](node)
        if node.rank != len(self.axes):
            self.axes = list(range(node.rank))
        if made is None:
            return moved, place + 1
        if node.kind == "MatMul" or getattr(made.layer, "affine", True) is False:
            self._scaled = made
        return (*moved, made), place + 1

    def _formula(self, place: int, node: Node) -> int | None:
        """Read nodes that work entry by entry as one layer, and say what is behind them; None where a node is one."""
        if node.kind not in OPERATORS and node.kind != "ReduceMean":
            return None
        found = list(
            formulas(self.known.nodes, place, self.current, self.known.constants, len(self.axes), self._is_last)
        )
        is_layer = node.kind in LAYERS
        layers = ((at, layer_of(formula)) for at, formula in reversed(found) if not (is_layer and at == place))
        at, part = next(((at, part) for at, part in layers if part is not None), (place, None))
        if part is None:
            if not found or (is_layer and found[0][0] == place) or found[0][1].has(Mean):
                return None
            at, part = found[0][0], of_formula(found[0][1])
        self.parts.append(part)
        self._scaled = part if getattr(part.layer, "affine", True) is False else None
        self.current = self.known.nodes[at].output[0]
        return at + 1

    def _is_last(self, found: Any) -> bool:
        """Whether a ReduceMean is that of the last axis, which is that of the features."""
        node = Node(found, self.known, len(self.axes))
        axes, rank = node.given(1), len(self.axes)
        over = node.attributes.get("axes") if axes is None else axes.tolist()
        return over in ([-1], [rank - 1]) and node.attributes.get("keepdims", 1) == 1 and self.axes[-1] == rank - 1

    # ---- axes ------------------------------------------------------------------------------------------------

    def _recurrent(self, node: Node) -> Part:
        if self.axes != [1, 0, 2]:
            raise UnsupportedError(
                "it runs along the first axis of the data, the batch; expected data (batch, time, features) and a "
                "Transpose, as PyTorch's exporter writes of batch_first=True"
            )
        made = recurrent(node)
        read = [place for place, name in enumerate(node.node.output) if name and name in self.known.read]
        if read not in ([0], [1]) or (read == [1] and isinstance(made.layer, L.Bidirectional)):
            raise UnsupportedError("expected that its states at all steps are read, or, of one direction, the last one")
        self.axes, node.output = [1, BOTH, 0, 2], read[0]
        if read == [1]:
            self.axes = [BOTH, 0, 1]
            made.layer.return_sequences = False  # type: ignore[attr-defined]
        return made

    def _moves(self, node: Node) -> bool:
        """Whether a node moves axes only, which are noted."""
        axes = self.axes
        if node.kind == "Transpose":
            order = node.attributes.get("perm", list(range(len(axes)))[::-1])
            self.axes = [axes[at] for at in order]
            return True
        if BOTH not in axes:
            return False
        at, is_one = axes.index(BOTH), not isinstance(self.parts[-1].layer, L.Bidirectional)
        if node.kind == "Squeeze":
            given = node.given(1)
            found = node.attributes.get("axes") if given is None else given.tolist()
            is_it = is_one and found is not None and [place % len(axes) for place in found] == [at]
        else:
            shape = node.given(1) if node.kind == "Reshape" else None
            sizes = self.known.shapes.get(node.node.output[0], ()), self.known.shapes.get(self.current, ())
            keeps = shape is not None and (not shape[:-1].any() or sizes[0][:-1] == sizes[1][:-2])
            is_it = at == len(axes) - 2 and shape is not None and len(shape) == len(axes) - 1 and keeps
        if is_it:
            axes.pop(at)
        return bool(is_it)

    def _taken(self, node: Node) -> Sequence[Part] | None:
        """The layers of a Gather of one place along an axis, or None."""
        place = node.given(1) if node.kind == "Gather" and node.node.input[0] == self.current else None
        if place is None:
            return None
        if place.size != 1 or place.ndim:
            raise UnsupportedError(f"it takes places {place.tolist()} of an axis; expected one place, or an Embedding")
        at, number = node.attributes.get("axis", 0) % len(self.axes), int(place)
        axis, layer = self.axes[at], self.parts[-1].layer if self.parts else None
        if axis == BOTH and number in (0, -1) and not isinstance(layer, L.Bidirectional):
            self.axes.pop(at)
            return ()
        if axis != 1 or sorted(map(str, self.axes)) != ["0", "1", "2"]:
            raise UnsupportedError(f"it takes a place of axis {at}; expected one of time, the axis behind the batch")
        self.axes = [0 if other == 0 else 1 for other in self.axes if other != 1]
        if isinstance(layer, Recurrent) and number == (0 if layer.reverse else -1):
            layer.return_sequences = False
            return ()
        return (*self._in_order(), Part(L.Slice(1, number, None if number == -1 else number + 1)), Part(L.Flatten()))

    def _in_order(self) -> Sequence[Part]:
        """The layer that puts the axes in the order in which they lie, if another one is needed."""
        if self.axes == list(range(len(self.axes))):
            return ()
        if self.axes[0] != 0 or BOTH in self.axes:
            raise UnsupportedError("the batch is not the first axis of what it reads")
        order = [axis for axis in self.axes if isinstance(axis, int) and axis]
        self.axes = list(range(len(self.axes)))
        return (Part(L.Permute(*order)),)
