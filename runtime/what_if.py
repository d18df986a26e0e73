"""What if a weight were another: the loss there, beside what its derivatives predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..symbolic.dependence import sources
from ..symbolic.errors import GradloomError, UndefinedError
from ..symbolic.evaluate import evaluate
from ..symbolic.held import held
from ..symbolic.network import Network
from ..symbolic.notation import Notation
from ..symbolic.report.document import Block, Prose, Table
from ..symbolic.report.numbers import value
from ..symbolic.report.update import cell
from ..symbolic.report.writing import Writer
from ..symbolic.second_order import hessian_vector
from ..symbolic.tensors import element_of
from .point import Point

ROUNDING = 1e-14
MOST_ENTRIES = 2000  # of all values of a network: above it second derivatives take too long here


@dataclass(frozen=True)
class Nudge:
    """One entry of a tensor that the loss depends on and no equation defines."""

    network: Network
    name: str
    position: tuple[int, ...]

    def __post_init__(self) -> None:
        tensor = self.network.tensors[self.name]
        if tensor.role not in ("parameter", "input", "target", "state") or tensor.classes is not None:
            raise UndefinedError(f"{self} cannot be nudged: {self.name} is no parameter or real input")

    def __str__(self) -> str:
        return self.name + (f"[{', '.join(map(str, self.position))}]" if self.position else "")


def what_if(
    point: Point,
    nudges: list[Nudge],
    epsilon: float,
    gradient: Callable[[Nudge], float],
    notation: Notation,
    choice: str = "",
) -> list[Block]:
    """A table: each entry moved by ±ε, the loss and its change, the change that the gradient predicts, the gap.

    Where second derivatives are cheap, ½ ε² ∂²L/∂w² stands beside the gap: they differ in the third order.
    `choice` says how the entries were chosen.
    """
    if not nudges:
        return []
    network, write = point.network, Writer(point.network, notation)
    assert network.loss is not None
    if _holds(network):
        return [
            Prose.plain(
                "Values are held here: the gradient takes them as constants, while the loss of a moved weight has them "
                "anew, so that the two cannot be compared."
            )
        ]
    loss = float(evaluate(network.equations, point.arrays, point.sizes)[network.loss.name])
    curvature = _curvatures(point, nudges)
    words = ["what", "moved by", "loss", "change", "predicted", "gap"]
    head = [Prose.plain(word) for word in words]
    if curvature is not None:
        head.append(Prose("1/2 ε² ∂²L/∂w²", r"$\frac{1}{2} \varepsilon^2 \frac{\partial^2 L}{\partial w^2}$"))
    rows = []
    for nudge in nudges:
        symbol = write.expression(element_of(network.tensors[nudge.name], nudge.position))
        for step in (epsilon, -epsilon):
            moved = np.array(point.arrays[nudge.name], dtype=np.float64)
            moved[nudge.position] += step
            there = evaluate(network.equations, {**point.arrays, nudge.name: moved}, point.sizes)[network.loss.name]
            change, predicted = float(there) - loss, gradient(nudge) * step
            gap = change - predicted
            # What rounding leaves of a difference of losses is no gap.
            numbers = [float(there), change, predicted, gap if abs(gap) > ROUNDING * max(1.0, abs(loss)) else 0.0]
            if curvature is not None:
                numbers.append(curvature[nudge] * step**2 / 2)
            signed = value(step)
            shift = (
                Prose(f"+{signed.text}", f"$+{signed.latex}$") if step > 0 else Prose(signed.text, f"${signed.latex}$")
            )
            rows.append((Prose(symbol.text, f"${symbol.latex}$"), shift, *map(cell, numbers)))
    said: list[Block] = [
        Prose(
            "One number is moved by ±ε, all else stays; its gradient predicts the change ε ∂L/∂w.",
            r"One number is moved by $\pm\varepsilon$, all else stays; its gradient predicts the change "
            r"$\varepsilon \frac{\partial L}{\partial w}$.",
        )
    ]
    if curvature is not None:
        said.append(
            Prose.plain("Unless a kink lies between, the gap is of second order; the last column is that order.")
        )
    if choice:
        said.append(Prose.plain(choice))
    return [*said, Table(tuple(head), tuple(rows), frozenset(range(1, len(head))))]


def _holds(network: Network) -> bool:
    """Whether the loss depends on what its derivative takes as a constant."""
    reached = sources(network.equations, [network.loss] if network.loss is not None else [])
    return any(tensor.name in network.held for tensor in reached) or any(
        equation.body.has(held) for equation in network.equations if equation.target in reached
    )


def _curvatures(point: Point, nudges: list[Nudge]) -> dict[Nudge, float] | None:
    """∂²L/∂w² by the derived Hessian-vector product; None where it is dear, or there is none."""
    network = point.network
    if sum(np.prod(point.shape(tensor)) for tensor in network.tensors.values()) > MOST_ENTRIES:
        return None
    names = list(dict.fromkeys(nudge.name for nudge in nudges))
    try:
        products = hessian_vector(network, names)
        derivation = products.derive()
    except GradloomError:
        return None
    made = {}
    for nudge in nudges:
        directions = {f"v_{name}": np.zeros(point.shape(network.tensors[name])) for name in names}
        directions[f"v_{nudge.name}"][nudge.position] = 1.0
        given = {**point.arrays, **directions}
        found = evaluate([*products.equations, *derivation.adjoints], given, point.sizes)
        made[nudge] = float(found[derivation[nudge.name].target.name][nudge.position])
    return made
