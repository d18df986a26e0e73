"""Statements of one function of a CUDA module: what a thread does at a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Expr, expand

from ...symbolic.tensors import tensor_of
from ..nests import AddTo, Finish, Item, Loop, Set, Start, Step
from .names import CudaNames

INDENT = "    "


class CudaStatements(CudaNames):
    """Writes what is done at a point of the loops around."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._is_for_all = False  # whether every thread does what is written
        self._largest: dict[str, str] = {}  # the place of a maximum → that maximum

    def items(self, items: Sequence[Item]) -> list[str]:
        """Statements, one after the other."""
        return [line for item in items for line in self._item(item)]

    def _item(self, item: Item) -> list[str]:
        if isinstance(item, Loop):
            return self._loop(item)
        if isinstance(item, Start):
            name = self.local(item.target)
            if item.kind == "argmax":
                self._largest[name] = self.number(f"{name}_max")
                return [f"{name} = 0", f"{self._largest[name]} = real(-np.inf)"]
            return [f"{name} = real({'0' if item.kind == 'sum' else '-np.inf'})"]
        if isinstance(item, Finish):
            return self.stored(item.target, self.locals[item.target])
        if isinstance(item, Step):
            return self._step(item)
        assert isinstance(item, Set | AddTo)
        value = self.printer.text(item.value)
        lines = self.flush()
        if isinstance(item, AddTo):
            buffer, place = self.place(item.target)
            is_atomic = item.is_atomic
            return [*lines, f"add_atomic({buffer}, {place}, {value})" if is_atomic else f"{buffer}[{place}] += {value}"]
        name = self.local(item.target)
        return [*lines, f"{name} = {value}", *self.stored(item.target, name)]

    def _loop(self, loop: Loop) -> list[str]:
        lines = self.items(loop.before)
        around = dict(self.locals)
        lines.append(f"for {self.letter(loop.index)} in {self._range(loop)}:")
        lines += [INDENT + line for line in self.items(loop.body)]
        self.locals = around
        del self.letters[loop.index]
        return lines + self.items(loop.after)

    def _range(self, loop: Loop) -> str:
        starts, stops = ["0"], [self.size(loop.extent)]
        for limit in loop.limits:
            step = limit.coeff(loop.index)
            rest = self.printer.integer(expand(limit - step * loop.index)).text
            if step > 0:
                starts.append(f"-(({rest}) // {step})")
            else:
                stops.append(f"({rest}) // {-step} + 1")
        low = starts[0] if len(starts) == 1 else f"max({', '.join(starts)})"
        high = stops[0] if len(stops) == 1 else f"min({', '.join(stops)})"
        return f"range({low}, {high})"

    def _step(self, item: Step) -> list[str]:
        name, value = self.locals[item.target], self.printer.text(item.value)
        lines = self.flush()
        if item.kind == "sum":
            return [*lines, f"{name} += {value}"]
        if item.kind == "max":
            return [*lines, f"{name} = larger({name}, {value})"]
        # The first of equal ones stays: later ones are not larger.
        found = self.number("value")
        place = self.printer.integer(item.position).text
        return [
            *lines,
            f"{found} = {value}",
            f"if {found} > {self._largest[name]}:",
            f"{INDENT}{name}, {self._largest[name]} = {place}, {found}",
        ]

    def stored(self, target: Expr, value: str) -> list[str]:
        """The store of a finished element, if its tensor lies in a buffer."""
        if tensor_of(target) not in self.places:
            return []
        line = f"{self.memory(target)} = {value if tensor_of(target).classes is None else f'real({value})'}"
        return ["if thread == 0:", INDENT + line] if self._is_for_all else [line]
