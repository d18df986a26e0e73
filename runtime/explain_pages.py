"""The sections of `explain`: of a network that is written out as scalars, and of one whose values are arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.derivation import asked_names
from ..symbolic.errors import UnsupportedError
from ..symbolic.evaluate import evaluate
from ..symbolic.latex import LatexPrinter
from ..symbolic.network import Network
from ..symbolic.notation import Notation
from ..symbolic.optimizer import Optimizer
from ..symbolic.report.arrays import ChainInNumbers, shown, valued
from ..symbolic.report.chain import Chain, parse_entry
from ..symbolic.report.document import Block, Formula, Prose, Table
from ..symbolic.report.numbers import Formulas, equal, matrix, value
from ..symbolic.report.update import cell, in_numbers, rule, stepped
from ..symbolic.report.worked import Worked
from ..symbolic.report.writing import Writer
from ..symbolic.tensors import Adjoint
from ..symbolic.text import TextPrinter
from ..symbolic.unrolled import Unrolled
from .point import Point
from .what_if import Nudge

Array = NDArray[Any]
MOST_OPERATIONS = 10_000_000  # of one pass; some 20 s
MOST_NUDGES = 12  # of the last section, where it was not said what to move


class ScalarPage:
    """The page of a network that is written out."""

    def __init__(self, point: Point, scalars: Unrolled, notation: Notation) -> None:
        self.point, self.scalars, self.notation = point, scalars, notation
        self.worked = Worked(scalars, scalars.split(point.arrays), notation)
        frozen, walk = scalars.frozen, self.worked.walk
        asked = [name for name in scalars.asked or [] if name not in frozen]
        self.names = [name for name in asked if walk.has_gradient(scalars.tensors[name])]

    def given(self) -> list[Block]:
        lines: list[Block] = [Prose.plain(words) for words in self.point.about]
        batch = self.point.network.batch
        for name, tensor in self.point.network.tensors.items():
            if tensor.role == "value":
                continue
            array = np.asarray(self.point.arrays[name])
            if tensor.rank and tensor.shape[0] == batch and len(array) == 1:
                array = array[0]
            for at in np.ndindex(array.shape[:-2]):
                printers = TextPrinter(notation=self.notation), LatexPrinter(notation=self.notation)
                places = [str(place) for place in at]
                left = Formula(*(p.element(tensor, places) if places else p.symbol(tensor) for p in printers))
                lines.append(equal(left, matrix(array[at].tolist()), name=name))
        return lines

    def forward(self) -> list[Block]:
        return self.worked.forward()

    def error(self) -> list[Block]:
        return self.worked.error()

    def backward(self, entries: list[str]) -> list[Block]:
        names = [parse_entry(self.scalars, entry)[0].name for entry in entries]
        # The page needs all of them for the update; what is asked for comes first.
        return self.worked.backward(names or self.names)

    def update(self, optimizer: Optimizer) -> list[Block]:
        self.worked.backward(self.names)
        blocks = [*rule(optimizer), *in_numbers(optimizer, self.scalars, self.worked.values, self.names)]
        weights = {name: self.worked.values[name] for name in self.names}
        gradients = {name: self.gradient_of(name) for name in self.names}
        new = stepped(optimizer, weights, gradients)[optimizer.theta.name]
        if self.scalars.frozen:
            fixed = ", ".join(sorted({self.scalars.places[name][0] for name in self.scalars.frozen}))
            blocks.append(Prose.plain(f"Fixed: {fixed}."))
        before = dict(self.worked.values)
        for name in new:
            before[name] = new[name]
        loss: Any = self.scalars.loss
        after = evaluate(self.scalars.equations, _undefined(self.scalars, before))[loss.name]
        return [*blocks, *_after(loss, self.worked.values[loss.name], float(after))]

    def gradient_of(self, name: str) -> float:
        assert self.scalars.loss is not None
        return float(self.worked.values[Adjoint(self.scalars.tensors[name], self.scalars.loss).name])

    def gradient(self, nudge: Nudge) -> float:
        name = self.scalars.entry(nudge.name, nudge.position).name
        self.worked.backward([name])
        return self.gradient_of(name)

    def choice(self) -> str:
        """How `nudges` chooses, where it leaves weights out."""
        if len(self.names) <= MOST_NUDGES:
            return ""
        return f"Of the {len(self.names)} weights, these are the {MOST_NUDGES} with the largest gradients."

    def nudges(self) -> list[Nudge]:
        largest = sorted(self.names, key=lambda name: -abs(self.gradient_of(name)))[:MOST_NUDGES]
        return [Nudge(self.point.network, *self.scalars.places[name]) for name in self.names if name in largest]


class ArrayPage:
    """The page of a network whose values are shown as arrays."""

    def __init__(self, point: Point, notation: Notation, asked: list[str]) -> None:
        self.point, self.notation = point, notation
        self.network = point.network
        first = asked_names(self.network, None)
        self.derivation = self.network.derive([*first, *asked])
        self._check_work()
        self.adjoints = [step.equation for step in self.derivation.steps.values()]
        self.values = {**point.arrays}
        self.values |= evaluate([*self.network.equations, *self.adjoints], point.arrays, point.sizes)
        self.write = Writer(self.network, notation)
        frozen = self.network.frozen
        self.names = [name for name in self.derivation.gradients if name in first and name not in frozen]

    def _check_work(self) -> None:
        """Refuse what the interpreter would take too long for."""
        costs = self.derivation.costs()
        count = int(costs.at({name: self.point.sizes[name] for name in costs.sizes}).flops)
        if count > MOST_OPERATIONS:
            raise UnsupportedError(
                f"one pass through {self.network.name} takes {count:,} operations, more than the {MOST_OPERATIONS:,} "
                "that the reference interpreter is fit for; give smaller sizes (sizes=…, --size), fewer rows (rows=…, "
                "--rows), or declare a smaller network"
            )

    def given(self) -> list[Block]:
        tensors = [t for t in self.network.tensors.values() if t.role != "value"]
        about: list[Block] = [Prose.plain(words) for words in self.point.about]
        return [*about, *(shown(self.write, tensor, self.values[tensor.name]) for tensor in tensors)]

    def forward(self) -> list[Block]:
        return valued([e for e in self.network.equations if e.target != self.network.loss], self.values, self.write)

    def error(self) -> list[Block]:
        loss: Any = self.network.loss
        return valued([self.network.equation(loss.name)], self.values, self.write)

    def backward(self, entries: list[str]) -> list[Block]:
        blocks = valued(self.derivation.adjoints, self.values, self.write)
        for entry in entries or self._entries():
            chain = Chain(self.derivation, entry, self.notation)
            symbol = self.write.expression(chain.element)
            blocks.append(Prose(f"The chain rule for {symbol.text}:", f"The chain rule for ${symbol.latex}$:"))
            blocks += ChainInNumbers(chain, self.values, self.point.sizes).blocks()
        return blocks

    def update(self, optimizer: Optimizer) -> list[Block]:
        places = [(name, at) for name in self.names for at in np.ndindex(self._gradient(name).shape)]
        weights = {(name, at): self.point.arrays[name][at] for name, at in places}
        gradients = {(name, at): self._gradient(name)[at] for name, at in places}
        new = stepped(optimizer, weights, gradients)[optimizer.theta.name]
        made = {**self.point.arrays, **{name: np.array(self.point.arrays[name]) for name in self.names}}
        for name, at in places:
            made[name][at] = new[name, at]
        head = tuple(map(Prose.plain, ("parameter", "norm", "norm of the gradient", "norm of the change")))
        rows = []
        for name in self.names:
            norms = [self.point.arrays[name], self._gradient(name), made[name] - self.point.arrays[name]]
            rows.append((Prose.plain(name), *(cell(np.linalg.norm(array)) for array in norms)))
        loss: Any = self.network.loss
        after = evaluate(self.network.equations, made, self.point.sizes)[loss.name]
        table = Table(head, tuple(rows), frozenset((1, 2, 3)))
        return [*rule(optimizer), table, *_after(loss, float(self.values[loss.name]), float(after))]

    def gradient(self, nudge: Nudge) -> float:
        return float(self._gradient(nudge.name)[nudge.position])

    def choice(self) -> str:
        """How `nudges` chooses."""
        few = (
            f"the first {MOST_NUDGES} of {len(self.names)} parameters"
            if len(self.names) > MOST_NUDGES
            else "each parameter"
        )
        return f"Of {few}, this is the entry with the largest gradient." if self.names else ""

    def nudges(self) -> list[Nudge]:
        """Of each parameter the entry with the largest gradient."""
        names = self.names[:MOST_NUDGES]
        at = {
            name: np.unravel_index(np.abs(self._gradient(name)).argmax(), self._gradient(name).shape) for name in names
        }
        return [Nudge(self.network, name, tuple(map(int, at[name]))) for name in names]

    def _gradient(self, name: str) -> Array:
        array: Array = self.values[self.derivation[name].target.name]
        return array

    def _entries(self) -> list[str]:
        """The entry of each weight (of two axes or more) with the largest gradient."""
        return [str(nudge) for nudge in self.nudges() if len(nudge.position) > 1][:2]


def _undefined(network: Network, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that no equation defines."""
    defined = {equation.target.name for equation in network.equations}
    return {name: number for name, number in values.items() if name not in defined}


def _after(loss: Any, before: float, after: float) -> list[Block]:
    symbol = Formulas({}).symbols(loss)
    old, new = value(before), value(after)
    return [
        Prose(
            f"With the new weights {symbol.text} = {new.text}; before, it was {old.text}.",
            f"With the new weights ${symbol.latex} = {new.latex}$; before, it was ${old.latex}$.",
        )
    ]
