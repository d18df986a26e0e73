"""The picture of a circuit: a gate for each operation, its value above the line that leaves it, its gradient below.

As in the notes of Stanford's CS231n, "Backpropagation, intuitions" (A. Karpathy). The gradients are those that the
engine derives of the gates' equations; nothing here knows a derivative.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..arguments import as_mapping
from ..errors import DataError, UndefinedError
from ..evaluate import evaluate
from ..indices import Dim
from ..notation import PLAIN, Notation
from ..tensors import Tensor
from .draw import Drawing
from .gates import LIMIT, Circuit, Gate, circuit_of
from .labels import extent, matplotlib_here, tensor_label
from .layered import Box, Engine, layered
from .sheet import Sheet

if TYPE_CHECKING:
    from ..network import Network

RADIUS = 10.0  # of a gate
SYMBOL, NUMBER, NAME = 11.0, 8.5, 8.5  # sizes of type


@dataclass(frozen=True)
class Numbers:
    """The value and the gradient of every tensor of a circuit, by name; those that have none are missing."""

    values: Mapping[str, float]
    gradients: Mapping[str, float]


def scalars(network: Network, values: Mapping[str, Any] | None, sizes: Mapping[str, int] | None) -> tuple[Network, Any]:
    """A network of scalars, and their values; one of tensors is unrolled at the sizes that its values have."""
    known = as_mapping(values or {}, "values", "{'x': 0.5}")
    for name in known:
        if name not in network.tensors:
            raise UndefinedError(f"values: {network.name} has no tensor {name!r}; it has {', '.join(network.tensors)}")
    if not any(tensor.rank for tensor in network.tensors.values()):
        return network, known
    from ..unrolled import unrolled

    found = dict(as_mapping(sizes or {}, "sizes", "{'n': 3}"))
    for name, value in known.items():
        for size, length in zip(network.tensors[name].shape, getattr(value, "shape", _shape(value)), strict=False):
            if isinstance(size, Dim):
                found.setdefault(size.name, length)
    labels = {name: value for name, value in known.items() if network.tensors[name].classes is not None}
    flat = unrolled(network, found, labels=labels)
    return flat, flat.split(known)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists."""
    return (len(value), *_shape(value[0])) if isinstance(value, list | tuple) and value else ()


def numbers_of(circuit: Circuit, values: Mapping[str, Any]) -> Numbers:
    """Evaluate a circuit, and the gradients that are derived of it, at a point.

    Raises
    ------
    UndefinedError
        If a leaf has no value.
    """
    network = circuit.network
    given = {**network.values, **values}
    missing = [leaf.name for leaf in circuit.leaves if leaf.name not in given]
    if missing:
        raise UndefinedError(
            f"{network.name}: {missing[0]} has no value; give one, as in values={{{missing[0]!r}: 0.5}}"
        )
    point = {leaf.name: given[leaf.name] for leaf in circuit.leaves}
    equations = list(network.equations)
    derived = network.derive(wrt=circuit.moving).steps if circuit.moving else {}
    equations += [step.equation for step in derived.values()]
    found = {name: float(value) for name, value in evaluate(equations, point).items()}
    assert network.loss is not None
    gradients = {network.loss.name: 1.0}
    gradients |= {name: found[step.equation.target.name] for name, step in derived.items()}
    return Numbers({name: float(value) for name, value in point.items()} | found, gradients)


def circuit(
    network: Network,
    values: Mapping[str, Any] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    split: bool = False,
    digits: int = 2,
    limit: int = LIMIT,
    engine: Engine | None = None,
    notation: Notation = PLAIN,
) -> Drawing:
    """The circuit of a network, from its inputs at the left to the loss at the right.

    Where a line branches, each branch has the gradient that it passes back; that of the line is their sum.

    Parameters
    ----------
    values : numbers (for tensors arrays) of all that no equation defines, by name; without them no numbers are shown
    sizes : numbers for symbolic sizes; those that are an axis of an array in `values` may be left out
    split : whether named functions are opened into elementary operations, of two operands each
    digits : behind the point; numbers below 0.1 have as many significant ones
    limit : the largest number of gates
    engine : of the layout; see `layered`
    notation : of the symbols

    Raises
    ------
    LossError
        If there is no loss.
    UndefinedError
        If `values` names no tensor, or lacks one.
    UnsupportedError
        If there are too many gates.
    MissingExtraError
        If what draws is not installed.
    """
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 12:
        raise DataError(f"digits={digits!r}: expected a whole number from 1 to 12")
    matplotlib_here()
    flat, point = scalars(network, values, sizes)
    made = circuit_of(flat, split=split, limit=limit)
    numbers = Numbers({}, {}) if values is None else numbers_of(made, point)
    return _draw(made, numbers, digits, engine, notation)


@dataclass(frozen=True)
class _Part:
    """A box to be: what stands in it at the left, and the line behind it with its numbers."""

    tensor: Tensor
    mark: str  # of a gate
    symbol: str  # beside a leaf, above a gate
    value: str
    gradient: str
    stub: float  # the length of the line

    @property
    def round(self) -> float:
        """Width of the gate itself."""
        return max(2 * RADIUS, extent(self.mark, NUMBER + 1.5).width + 9.0) if self.mark else 0.0

    @property
    def head(self) -> float:
        size = NAME if self.mark else SYMBOL
        return max(self.round, extent(self.symbol, size).width + (0.0 if self.mark else 5.0) * bool(self.symbol))

    @property
    def box(self) -> Box:
        half = RADIUS + (
            extent(self.symbol, NAME).above + extent(self.symbol, NAME).below + 3.0 if self.symbol else 0.0
        )
        return Box(self.head + self.stub, 2 * (half if self.mark else 12.0))


def _draw(made: Circuit, numbers: Numbers, digits: int, engine: Engine | None, notation: Notation) -> Drawing:
    gates: dict[Tensor, Gate] = {gate.tensor: gate for gate in made.gates}
    written = [
        number_text(number, digits) for known in (numbers.values, numbers.gradients) for number in known.values()
    ]
    stub = 8.0 + max((extent(text, NUMBER).width for text in written), default=2.0)
    parts = []
    for tensor in [*made.leaves, *gates]:
        gate = gates.get(tensor)
        shown = tensor if gate is None else gate.shown
        value, gradient = (
            number_text(known[tensor.name], digits) if tensor.name in known else ""
            for known in (numbers.values, numbers.gradients)
        )
        symbol = tensor_label(shown, notation) if shown is not None else ""
        parts.append(_Part(tensor, gate.mark if gate is not None else "", symbol, value, gradient, stub))
    place = {part.tensor: number for number, part in enumerate(parts)}
    links = [(place[source], place[gate.tensor]) for gate in made.gates for source in gate.reads]
    boxes = [part.box for part in parts]
    layout = layered(boxes, links, direction="right", between=20.0, beside=7.0, spread=5.0, flush=True, engine=engine)
    sheet = Sheet(layout.width, layout.height)
    for (tail, head), curve in zip(links, layout.curves, strict=True):
        part, (x, y), (u, v) = parts[head], layout.centres[head], curve[-1]
        if part.mark:
            # On to the round side of the gate.
            side = x - boxes[head].width / 2 + (part.head - part.round) / 2
            end = (side + RADIUS - math.sqrt(RADIUS**2 - (v - y) ** 2), v)
            curve = (*curve, (u, v), end, end)
            gate = gates[part.tensor]
            if gate.minus is not None and parts[tail].tensor == gate.minus:
                sheet.write(end[0] - 1.5, v + (8.5 if v > y else -3.5), "$-$", NUMBER + 1.5)
        sheet.curve(curve)
    readers = [tail for tail, _ in links]
    for part, (x, y), box in zip(parts, layout.centres, boxes, strict=True):
        _draw_part(sheet, part, x, y, box, readers.count(place[part.tensor]), part.tensor == made.network.loss)
    name = made.network.name
    what = f"The circuit of {name}: " + ", ".join(part.tensor.name for part in parts if part.symbol)
    return sheet.drawing(f"{name}-circuit", what)


def _draw_part(sheet: Sheet, part: _Part, x: float, y: float, box: Box, readers: int, last: bool) -> None:
    left, right = x - box.width / 2, x + box.width / 2
    middle = left + part.head / 2
    start = left
    if part.mark:
        size = extent(part.mark, NUMBER + 1.5)
        sheet.box(middle, y, part.round, 2 * RADIUS, "loss" if last else "ink", round_by=RADIUS)
        sheet.write(middle, y + (size.above - size.below) / 2, part.mark, NUMBER + 1.5)
        sheet.write(middle, y - RADIUS - 2.5 - extent(part.symbol, NAME).below, part.symbol, NAME, "faint")
        start = middle + part.round / 2
    elif part.symbol:
        role = part.tensor.role if part.tensor.role in ("input", "target", "parameter", "state") else "ink"
        sheet.write(left, y + 0.3 * SYMBOL, part.symbol, SYMBOL, role, "left")
        start = left + part.head
    sheet.curve([(start, y), (right, y)], arrow=last)
    between = (start + right) / 2
    sheet.write(between, y - 3.0, part.value, NUMBER, "value")
    sheet.write(between, y + 3.0 + 0.73 * NUMBER, part.gradient, NUMBER, "gradient")
    if readers > 1:
        sheet.dot(right, y, 1.8)


def number_text(number: float, digits: int = 2) -> str:
    """A number as it stands beside a line: ``0.73``, ``-0.053``, ``4.4e-5``, with a proper minus."""
    size = abs(number)
    if number == 0 or 0.1 <= size < 10_000:
        written = f"{number:.{digits}f}"
    elif 1e-3 <= size < 0.1:
        written = f"{number:#.{digits}g}"
    else:
        written = re.sub(r"e([+-])0*", r"e\1", f"{number:.{max(digits - 1, 1)}e}").replace("e+", "e")
    return written.replace("-", "−")


__all__ = ["circuit", "number_text", "numbers_of", "scalars"]
