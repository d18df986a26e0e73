"""Recurrences: equations that read each other along an axis, as ``h[t] = tanh(… h[t - 1] …)`` does along time.

`blocks` puts equations in an order in which they can be computed, those of a recurrence together. Time is an index
like any other; what makes an axis time is that a tensor is read there at a shift from where it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sympy import Expr, Integer, Symbol

from .equations import Equation
from .errors import RecurrenceError
from .tensors import Tensor, elements, indices_of, tensor_of, with_letters


@dataclass(frozen=True)
class Recurrence:
    """Equations that need each other, computed one step of time after another.

    Attributes
    ----------
    equations : in the order in which they are computed within a step
    axes : the axis of each tensor that is time
    step : 1 where a step needs those before it, -1 where it needs those after it
    """

    equations: tuple[Equation, ...]
    axes: dict[Tensor, int]
    step: int

    def time(self, equation: Equation) -> Symbol:
        """The index of time in one of the equations."""
        return equation.indices[self.axes[equation.target]]

    @property
    def length(self) -> Expr:
        """How many steps there are."""
        first = self.equations[0].target
        return first.shape[self.axes[first]]

    def lag(self, equation: Equation, element: Expr) -> int:
        """At which shift in time `equation` reads `element`, which is of one of the tensors."""
        shift = indices_of(element)[self.axes[tensor_of(element)]] - self.time(equation)
        return int(shift)

    def is_lagged(self, equation: Equation, element: Expr) -> bool:
        """Whether `element` is read of another step."""
        return tensor_of(element) in self.axes and self.lag(equation, element) != 0


def blocks(equations: Iterable[Equation]) -> list[Equation | Recurrence]:
    """Equations and recurrences, each reading only what stands before it.

    Raises
    ------
    RecurrenceError
        If equations need each other in a way that no order of steps can compute.
    """
    return [
        group[0] if len(group) == 1 and group[0].target not in group[0].reads else find_recurrence(group)
        for group in _components(list(equations))
    ]


def find_recurrence(group: Sequence[Equation]) -> Recurrence:
    """The recurrence of equations that need each other; raises as `blocks` does."""
    axes = _time_axes(group)
    made = Recurrence(tuple(group), axes, 1)
    shifts: dict[int, tuple[Equation, Expr]] = {}
    for equation in group:
        for element in _inner_reads(equation, axes):
            shift = indices_of(element)[axes[tensor_of(element)]] - made.time(equation)
            if not isinstance(shift, Integer):
                raise RecurrenceError(
                    f"{equation.target.name}: {with_letters(element)} reads a tensor that depends on "
                    f"{equation.target.name} at a position that is no fixed shift of {made.time(equation)}; a "
                    f"recurrence reads a step before, as in {tensor_of(element).name}[…, {made.time(equation)} - 1, …]"
                )
            shifts.setdefault(int(shift), (equation, element))
    back = next((found for shift, found in shifts.items() if shift < 0), None)
    ahead = next((found for shift, found in shifts.items() if shift > 0), None)
    if back is not None and ahead is not None:
        raise RecurrenceError(
            f"{back[0].target.name} reads {back[1]}, a step before, and {ahead[0].target.name} reads {ahead[1]}, a "
            "step after: no order of steps computes both; use two recurrences, one for each direction"
        )
    step = 1 if back is not None else -1
    ordered = _components(group, lambda equation, element: not made.is_lagged(equation, element))
    for cycle in ordered:
        if len(cycle) > 1 or cycle[0].target in [tensor_of(e) for e in _unlagged(cycle[0], made)]:
            raise RecurrenceError(_no_time_text(group, cycle))
    return Recurrence(tuple(equation for (equation,) in ordered), axes, step)


def _unlagged(equation: Equation, recurrence: Recurrence) -> list[Expr]:
    return [
        e for e in elements(equation.body) if tensor_of(e) in recurrence.axes and not recurrence.is_lagged(equation, e)
    ]


def _inner_reads(equation: Equation, tensors: Iterable[Tensor]) -> list[Expr]:
    inner = set(tensors)
    return [element for element in elements(equation.body) if tensor_of(element) in inner]


def _time_axes(group: Sequence[Equation]) -> dict[Tensor, int]:
    """The axis of time of every tensor of `group`: where one is read at a shift, and what that is written along."""
    tensors = [equation.target for equation in group]
    for start in group:
        for element in _inner_reads(start, tensors):
            for axis, place in enumerate(indices_of(element)):
                index = next((i for i in start.indices if place != i and isinstance(place - i, Integer)), None)
                if index is not None:
                    axes = {start.target: start.indices.index(index)}
                    if axes.setdefault(tensor_of(element), axis) == axis and _spread(group, axes):
                        return axes
    raise RecurrenceError(_no_time_text(group, group))


def _spread(group: Sequence[Equation], axes: dict[Tensor, int]) -> bool:
    """Find the axis of time of the other tensors from how they are read; False if one cannot be found."""
    tensors = {equation.target for equation in group}
    before = -1
    while len(axes) != before:
        before = len(axes)
        for equation in group:
            for element in _inner_reads(equation, tensors):
                known = axes.get(equation.target)
                if known is not None and tensor_of(element) not in axes:
                    time = equation.indices[known]
                    at = [axis for axis, place in enumerate(indices_of(element)) if isinstance(place - time, Integer)]
                    if at:
                        axes[tensor_of(element)] = at[0]
                elif known is None and tensor_of(element) in axes:
                    place = indices_of(element)[axes[tensor_of(element)]]
                    at = [axis for axis, i in enumerate(equation.indices) if isinstance(place - i, Integer)]
                    if at:
                        axes[equation.target] = at[0]
    return len(axes) == len(tensors)


def _no_time_text(group: Sequence[Equation], cycle: Sequence[Equation]) -> str:
    """Why no axis is that of time: a read that is no shift, shifts along two axes, or none at all."""
    tensors = [equation.target for equation in group]
    shifted: dict[Symbol, Expr] = {}
    for equation in group:
        for element in _inner_reads(equation, tensors):
            apart = [[place - index for index in equation.indices] for place in indices_of(element)]
            for place, gaps in zip(indices_of(element), apart, strict=True):
                gap = next((gap for gap in gaps if isinstance(gap, Integer)), None)
                if gap is None and place.args and any(index in place.free_symbols for index in equation.indices):
                    return (
                        f"{equation.target.name}: {with_letters(element)} depends on {equation.target.name} and is "
                        f"read at a position that is no fixed shift along one axis; a recurrence reads whole steps "
                        f"before or behind, as in {tensor_of(element).name}[…, t - 1, …]"
                    )
                if gap is not None and gap != 0:
                    shifted.setdefault(equation.indices[gaps.index(gap)], element)
    if len(shifted) > 1:
        (one, first), (other, second), *_ = sorted(shifted.items(), key=lambda pair: str(pair[0]))
        return (
            f"{group[0].target.name}: {with_letters(first)} is read at a shift along {one}, and "
            f"{with_letters(second)} along {other}; a recurrence runs along one axis: read a step before along one "
            "of them alone"
        )
    return _cycle_text(cycle)


def _cycle_text(group: Sequence[Equation]) -> str:
    names = ", ".join(equation.target.name for equation in group)
    return (
        f"{names}: each needs the other at the same place, so none can be computed first; "
        f"read a step before, as in {group[0].target.name}[…, t - 1, …], or define one without the other"
    )


def _components(equations: Sequence[Equation], counts=lambda equation, element: True) -> list[list[Equation]]:  # type: ignore[no-untyped-def]
    """Strongly connected equations (Tarjan 1972), each group after those that it reads."""
    makers = {equation.target: equation for equation in equations}
    order: dict[Tensor, int] = {}
    low: dict[Tensor, int] = {}
    stack: list[Equation] = []
    on_stack: set[Tensor] = set()
    groups: list[list[Equation]] = []

    def visit(equation: Equation) -> None:
        target = equation.target
        order[target] = low[target] = len(order)
        stack.append(equation)
        on_stack.add(target)
        read = dict.fromkeys(tensor_of(e) for e in elements(equation.body) if counts(equation, e))
        for tensor in read:
            maker = makers.get(tensor)
            if maker is None:
                continue
            if tensor not in order:
                visit(maker)
                low[target] = min(low[target], low[tensor])
            elif tensor in on_stack:
                low[target] = min(low[target], order[tensor])
        if low[target] == order[target]:
            group: list[Equation] = []
            while not group or group[-1].target != target:
                group.append(stack.pop())
                on_stack.discard(group[-1].target)
            members = {e.target for e in group}
            groups.append(group if len(group) == 1 else [e for e in equations if e.target in members])

    for equation in equations:
        if equation.target not in order:
            visit(equation)
    return groups
