"""Writes `epoch` as straight-line scalar code: every element is a local variable."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr, Integer, Pow

from ..symbolic.indices import Index
from ..symbolic.tensors import Tensor, elements, indices_of, tensor_of
from .cpu_writer import INDENT
from .earliest import STEP, EarliestPrinter, join_earliest
from .kernels import Body
from .plan import Plan
from .printers import SUM
from .unrolled_fold import Scalar, fold, readings
from .unrolled_update import UpdateWriter

ROW = Index("row_")  # stands for the row of the batch in every element
LATE = 100  # when parameters are ready: they were changed last, data were there long before


def trained(plan: Plan) -> list[Tensor]:
    """The parameters that an update changes, in the order of `params`."""
    return [tensor for tensor in plan.network.parameters if tensor.name not in plan.network.frozen]


class StepWriter:
    """Writes the body of `epoch`; make a new one for each."""

    def __init__(self, plan: Plan, by_row: bool = False) -> None:
        self.plan, self.by_row, self.names = plan, by_row, plan.names.copy()
        self._locals: dict[Expr, str] = {}
        self._ready: dict[Expr, int] = {}
        self._shared: dict[str, str] = {}
        self._trained = set(trained(plan))
        self._head: list[str] = []
        self._loads: list[str] = []
        self._lines: list[str] = []
        batch = plan.sizes.batch
        assert batch is not None
        self._inverse = Tensor(self.names.fresh("inverse"))
        self._locals[self._inverse], self._ready[self._inverse] = self._inverse.name, 0
        self._numbers = {batch: Integer(1)} if by_row else {Pow(batch, -1): self._inverse}
        self.printer = EarliestPrinter(self.element, {batch: "count"}, self._let, ready=self.when)

    def epoch(self, before: Sequence[Scalar], rows: Sequence[Scalar], after: Sequence[Scalar]) -> Body:
        """The function's statements."""
        parameters = [self._local(element) for tensor in trained(self.plan) for element in self._all(tensor)]
        tensors = [self.plan.schedule.gradients[tensor.name] for tensor in trained(self.plan)]
        gradients = [element for tensor in tensors for element in self._all(tensor)]
        loss = self.plan.network.loss
        phases = [before, rows, after]
        if self.by_row:
            phases = [[replace(scalar, over_rows=False) for phase in phases for scalar in phase]]
        read = readings(scalar for phase in phases for scalar in phase)
        phases = [fold(phase, read, [loss, *gradients]) for phase in phases]
        update = UpdateWriter(self.plan, self.names, parameters)
        ends = self._ends(phases[0], read, set(gradients)) if self.by_row and update.reads_gradient_once else {}
        phases = [[scalar for scalar in phase if scalar.target not in ends] for phase in phases]
        values = {target: scalar.terms[0].xreplace(self._numbers) for target, scalar in ends.items()}
        step = self._row_step(*phases) if self.by_row else self._batch_step(*phases)
        step += [
            f"if not np.isfinite({self._locals[loss]}):",
            f"{INDENT}total = {self._locals[loss]}",
            f"{INDENT}break",
            "done += 1",
            *dict.fromkeys(f"# {scalar.equation}" for scalar in ends.values()),
            *update.step([values.get(element, element) for element in gradients], self),
            f"total += {self._locals[loss]}" + ("" if self.by_row else " * count"),
        ]
        lines = [
            "total = 0.0",
            "done = 0",
            *self._head,
            *update.head,
            "for at in order:" if self.by_row else "for first in range(0, len(order), batch):",
            *(f"{INDENT}{line}" for line in step),
            *(f"params[{place}] = {name}" for place, name in enumerate(parameters)),
            *update.tail,
        ]
        return Body((), tuple(lines), "total, done")

    def _ends(self, scalars: Sequence[Scalar], read: Counter[Expr], gradients: Collection[Expr]) -> dict[Expr, Scalar]:
        """The gradients of one row that are products: the update may combine their factors with its own.

        They are then computed during the update, and so may hold nothing that it changes.
        """
        return {
            scalar.target: scalar
            for scalar in scalars
            if scalar.target in gradients and not read[scalar.target] and len(scalar.terms) == 1
            if not any(tensor_of(element) in self._trained for element in elements(scalar.terms[0]))
        }

    def _row_step(self, scalars: Sequence[Scalar]) -> list[str]:
        lines = self._statements(scalars)
        return [*self._loads, *lines]

    def _batch_step(self, before: Sequence[Scalar], rows: Sequence[Scalar], after: Sequence[Scalar]) -> list[str]:
        first = self._statements(before)
        starts = [f"{self._name(scalar.target)} = real(0)" for scalar in rows if scalar.over_rows]
        inner, last = self._statements(rows), self._statements(after)
        inverse = f"{self._inverse.name} = real(1) / real(count)"
        return [
            "count = min(batch, len(order) - first)",
            *([inverse] if any(self._inverse.name in line for line in (*first, *inner, *last)) else []),
            *first,
            *starts,
            "for row in range(first, first + count):",
            *(f"{INDENT}{line}" for line in ("at = order[row]", *self._loads, *inner)),
            *last,
        ]

    # ---- statements ------------------------------------------------------------------------------------------------

    def _statements(self, scalars: Sequence[Scalar]) -> list[str]:
        self._lines, self._shared = [], {}
        for equation, group in itertools.groupby(scalars, key=lambda scalar: scalar.equation):
            self._lines.append(f"# {equation}")
            for scalar in group:
                self._write(scalar)
        return self._lines

    def _write(self, scalar: Scalar) -> None:
        terms = [term.xreplace(self._numbers) for term in scalar.terms]
        ready = max(map(self.printer.ready, terms))
        if scalar.kind == "argmax":
            self._write_argmax(scalar.target, terms)
        else:
            value = self._value(scalar.kind, terms)
            name = self._name(scalar.target)
            self._lines.append(f"{name} {'+=' if scalar.over_rows else '='} {value}")
        self._ready[scalar.target] = ready + STEP * len(terms).bit_length()

    def _value(self, kind: str, terms: list[Expr]) -> str:
        if kind == "max":
            parts = ((self.printer.ready(term), self.printer.text(term)) for term in terms)
            return str(join_earliest(parts, STEP, lambda left, right: f"max({left}, {right})")[1])
        return self.printer.text(terms[0]) if kind == "set" else self.printer.total(terms).text

    def _write_argmax(self, target: Expr, terms: list[Expr]) -> None:
        """The first place of the largest value."""
        largest, name = self._let(self.printer.text(terms[0])), self._name(target)
        self._lines.append(f"{name} = 0")
        for place, term in enumerate(terms[1:], 1):
            value = self._let(self.printer.text(term))
            self._lines.append(f"{name} = {place} if {value} > {largest} else {name}")
            largest = self._let(f"max({largest}, {value})")

    def _let(self, text: str) -> str:
        """A local variable with the value of `text`, the same one where it was asked for before."""
        if text not in self._shared:
            self._shared[text] = text if text.isidentifier() else self.names.fresh("t")
            if self._shared[text] != text:
                self._lines.append(f"{self._shared[text]} = {text}")
        return self._shared[text]

    # ---- elements --------------------------------------------------------------------------------------------------

    def _all(self, tensor: Tensor) -> list[Expr]:
        """The elements of a tensor in order."""
        shape = self.plan.sizes.shape(tensor.shape)
        if not shape:
            return [tensor]
        return [tensor[places] for places in itertools.product(*(map(Integer, range(int(size))) for size in shape))]

    def element(self, element: Expr) -> str:
        choice = self._choice(element)
        if choice is None:
            return self._local(element)
        place, found = choice
        position = self.printer.integer(place).within(SUM)
        tests = [f"{self.element(at)} if {position} == {number} else " for number, at in enumerate(found[:-1])]
        return f"({''.join(tests)}{self.element(found[-1])})"

    def _choice(self, element: Expr) -> tuple[Any, list[Expr]] | None:
        """If data say which element of an axis is meant: their element, and all that may be meant."""
        shape = self.plan.sizes.shape(tensor_of(element).shape)
        for axis, place in enumerate(indices_of(element)):
            if place != ROW and not isinstance(place, Integer):
                where = list(indices_of(element))
                numbers = range(int(shape[axis]))
                all_of_them = [[*where[:axis], Integer(number), *where[axis + 1 :]] for number in numbers]
                return place, [tensor_of(element)[tuple(places)] for places in all_of_them]
        return None

    def when(self, element: Expr) -> int:
        choice = self._choice(element)
        if choice is not None:
            return max(map(self.when, choice[1])) + STEP
        changes = tensor_of(element) in self._trained
        return self._ready.get(element, LATE if changes else 0)

    def _name(self, element: Expr) -> str:
        """The local variable of an element that is computed."""
        if element not in self._locals:
            tensor = tensor_of(element)
            if not tensor.rank and tensor not in self.plan.data:
                self.names.declare([tensor])
                self._locals[element] = self.names.of(tensor)
            else:
                parts = ("row" if place == ROW else str(place) for place in indices_of(element))
                self._locals[element] = self.names.fresh("_".join([tensor.name, *parts]))
        return self._locals[element]

    def _local(self, element: Expr) -> str:
        """The local variable of an element that is read."""
        if element in self._locals:
            return self._locals[element]
        tensor, name = tensor_of(element), self._name(element)
        if tensor.name in self.plan.layout.parameters:
            inside = 0
            for number, size in zip(indices_of(element), self.plan.sizes.shape(tensor.shape), strict=True):
                inside = inside * int(size) + int(number)
            place = self.plan.layout.parameters[tensor.name].offset + inside
            self._head.append(f"{name} = params[{place}]")
            return name
        assert tensor in self.plan.data, f"{element} is read but not computed"
        places = ["at" if place == ROW else str(place) for place in indices_of(element)]
        lines = self._loads if "at" in places else self._head
        lines.append(f"{name} = {self.plan.names.of(tensor)}[{', '.join(places) or '()'}]")
        return name
