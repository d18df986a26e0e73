"""The dataflow of a network: one box for each tensor, with its shape and what makes it; its gradient beside it.

Parameters stand in boxes of their own beside what reads them, or, where there are many, as lines in the reader's box.
What is read of another step of a recurrence is led around, dashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..equations import Equation
from ..errors import UndefinedError
from ..functions import Elementwise
from ..notation import PLAIN, Notation
from ..recurrence import Recurrence, blocks
from ..tensors import Tensor, elements, is_element, tensor_of
from .draw import Drawing
from .labels import extent, matplotlib_here, tensor_label
from .layered import Box, Engine, layered
from .sheet import Sheet

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..network import Network

MANY = 6  # parameters: more of them are folded into the boxes of their readers
SYMBOL, SMALL = 11.0, 7.5  # sizes of type
GAP, PADDING = 8.0, 5.0
_ROLES = {"value": "ink", "adjoint": "ink", "noise": "state", "constant": "parameter"}


@dataclass
class _Node:
    """A box to be: its tensor, and the parameters that are folded into it."""

    tensor: Tensor
    note: str = ""
    folded: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class _Row:
    """A line of a box: a symbol, a shape behind it, and a gradient at the right."""

    symbol: str
    shape: str
    gradient: str
    size: float

    @property
    def width(self) -> float:
        parts = [extent(text, size).width for text, size in self._parts]
        return sum(parts) + GAP * (sum(part > 0 for part in parts) - 1)

    @property
    def above(self) -> float:
        return max(0.72 * self.size, *(extent(text, size).above for text, size in self._parts)) + 1.5

    @property
    def height(self) -> float:
        return self.above + max(0.25 * self.size, *(extent(text, size).below for text, size in self._parts)) + 1.5

    @property
    def _parts(self) -> list[tuple[str, float]]:
        return [(self.symbol, self.size), (self.shape, SMALL), (self.gradient, self.size)]


def dataflow(
    network: Network,
    derivation: Derivation | None = None,
    *,
    parameters: Literal["boxes", "folded", "hidden"] | None = None,
    engine: Engine | None = None,
    notation: Notation = PLAIN,
) -> Drawing:
    """The picture of a network's tensors and of what each is made of.

    Parameters
    ----------
    derivation : whose gradients are to be shown beside the tensors, with arrows that lead back; None for none
    parameters : "boxes" of their own, "folded" into those of their readers, or "hidden"; by default boxes, up to six
    engine : of the layout; see `layered`
    notation : of the symbols

    Raises
    ------
    UndefinedError
        If there is nothing to draw, or `parameters` is none of these.
    MissingExtraError
        If what draws is not installed.
    """
    if not network.equations:
        raise UndefinedError(f"{network.name} has no equation, so there is nothing to draw")
    if parameters not in ("boxes", "folded", "hidden", None):
        raise UndefinedError(f"parameters={parameters!r}: expected 'boxes', 'folded' or 'hidden'")
    matplotlib_here()
    kept = [tensor for tensor in network.tensors.values() if tensor.role in ("parameter", "state", "constant")]
    how = parameters or ("folded" if len(kept) > MANY else "boxes")
    nodes, links = _graph(network, how)
    gradients = _gradients(derivation, notation)
    rows = [_rows(node, gradients, notation) for node in nodes]
    boxes = [_box(node, lines) for node, lines in zip(nodes, rows, strict=True)]
    weights = [100.0 if nodes[tail].tensor.role == "value" else 1.0 for tail, _, _ in links]
    ends = [(tail, head) for tail, head, _ in links]
    layout = layered(boxes, ends, weights=weights, between=20.0, engine=engine)
    sheet = Sheet(layout.width, layout.height)
    for (tail, head, lagged), curve in zip(links, layout.curves, strict=True):
        source = nodes[tail].tensor
        back = source.name in gradients and nodes[head].tensor.name in {*gradients, _loss(derivation)}
        apart = 2.5 if back and not lagged else 0.0
        role = _ROLES.get(source.role, source.role)
        sheet.curve([(x - apart, y) for x, y in curve], role, arrow=True, dashed=lagged)
        if back:
            # Along a link that runs around there is room for one line.
            sheet.curve([(x + apart, y) for x, y in reversed(curve)], "gradient", arrow=True, shaft=not lagged)
    for node, lines, (x, y), box in zip(nodes, rows, layout.centres, boxes, strict=True):
        _draw(sheet, node, lines, x, y, box, network)
    what = f"The dataflow of {network.name}: " + ", ".join(n.tensor.name for n in nodes if n.tensor.role == "value")
    return sheet.drawing(f"{network.name}-dataflow", what)


def _graph(network: Network, how: str) -> tuple[list[_Node], list[tuple[int, int, bool]]]:
    """The boxes, each behind those it reads but for those of another step, and the links: tail, head, lagged."""
    nodes: list[_Node] = []
    place: dict[Tensor, int] = {}
    links: list[tuple[int, int, bool]] = []
    ordered: list[tuple[Equation, Recurrence | None]] = []
    for block in blocks(network.equations):
        if isinstance(block, Recurrence):
            ordered += [(equation, block) for equation in block.equations]
        else:
            ordered.append((block, None))

    def add(tensor: Tensor, note: str = "") -> int:
        place[tensor] = len(nodes)
        nodes.append(_Node(tensor, note))
        return place[tensor]

    targets = {equation.target for equation, _ in ordered}
    declared = list(network.tensors.values())
    lagged_links: list[tuple[Tensor, Tensor]] = []
    for equation, recurrence in ordered:
        read: dict[Tensor, bool] = {}  # whether of another step alone
        for element in elements(equation.body):
            tensor = tensor_of(element)
            lagged = recurrence is not None and recurrence.is_lagged(equation, element)
            read[tensor] = read.get(tensor, True) and lagged
        folded = []
        for tensor in sorted(read, key=declared.index):
            if tensor in targets or tensor in place:
                continue
            if tensor.role in ("parameter", "state", "constant") and (how != "boxes" or tensor.role == "constant"):
                folded += [tensor] if how == "folded" else []
            else:
                add(tensor)
        here = add(equation.target, _note(equation))
        nodes[here].folded = sorted(folded, key=declared.index)
        for tensor, lagged in read.items():
            if lagged:
                lagged_links.append((tensor, equation.target))
            elif tensor in place:
                links.append((place[tensor], here, False))
    links += [(place[tail], place[head], True) for tail, head in lagged_links]
    return nodes, links


def _note(equation: Equation) -> str:
    """The layer that made an equation, and the function that it is, if it is one."""
    note = equation.note.replace("activation, ", "")
    body: Any = equation.body
    if (isinstance(body, Elementwise) or len(body.args) == 1) and body.is_Function and is_element(body.args[0]):
        name = type(body).__name__
        return f"{name}, {note}" if note else name
    return note


def _gradients(derivation: Derivation | None, notation: Notation) -> dict[str, str]:
    if derivation is None:
        return {}
    return {name: tensor_label(step.equation.target, notation) for name, step in derivation.steps.items()}


def _loss(derivation: Derivation | None) -> str:
    return derivation.network.loss.name if derivation is not None and derivation.network.loss is not None else ""


def _rows(node: _Node, gradients: dict[str, str], notation: Notation) -> list[_Row]:
    def row(tensor: Tensor, size: float) -> _Row:
        shape = " × ".join(str(length).replace("*", " ") for length in tensor.shape)
        return _Row(tensor_label(tensor, notation), shape, gradients.get(tensor.name, ""), size)

    small = node.tensor.role in ("parameter", "state", "constant")
    return [row(node.tensor, SYMBOL - 2 * small), *(row(tensor, SYMBOL - 2) for tensor in node.folded)]


def _box(node: _Node, rows: Sequence[_Row]) -> Box:
    width = max(row.width for row in rows)
    height = sum(row.height for row in rows)
    if node.note:
        width, height = max(width, extent(node.note, SMALL).width), height + SMALL + 3
    return Box(max(width + 3 * PADDING, 36.0), height + 1.2 * PADDING)


def _draw(sheet: Sheet, node: _Node, rows: Sequence[_Row], x: float, y: float, box: Box, network: Network) -> None:
    role = "loss" if node.tensor == network.loss else _ROLES.get(node.tensor.role, node.tensor.role)
    sheet.box(x, y, box.width, box.height, role, round_by=box.height / 2 if role in ("input", "target") else 4.0)
    left, right = x - box.width / 2 + 1.5 * PADDING, x + box.width / 2 - 1.5 * PADDING
    top = y - box.height / 2 + 0.6 * PADDING
    for number, row in enumerate(rows):
        line = top + row.above
        tint = role if number == 0 else "parameter"
        start = left if row.gradient or number else x - row.width / 2
        behind = start + extent(row.symbol, row.size).width + GAP
        sheet.write(start, line, row.symbol, row.size, tint, "left")
        sheet.write(behind, line, row.shape, SMALL, "faint", "left")
        sheet.write(right, line, row.gradient, row.size, "gradient", "right")
        top += row.height
    sheet.write(x, top + SMALL + 0.5, node.note, SMALL, "faint")


__all__ = ["dataflow"]
