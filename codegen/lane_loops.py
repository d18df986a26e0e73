"""Which short loops are written so that each statement is done for all lanes of a vector (`carried/lanes.py`).

Those over windows, which read and write places a step apart; those that copy; those that call functions and leave a
part of the last vector empty: what LLVM does one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sympy import Dummy, Expr, Integer, expand, preorder_traversal, prod

from ..symbolic.tensors import Tensor, elements, indices_of, is_element, tensor_of
from .carried import ELEMENTARY
from .nests import Finish, Loop, Set, Start, Step, reads, targets
from .share import is_costly

SHORTEST, LONGEST = 4, 64  # longer ones LLVM does well enough
FURTHEST = 4  # of so many numbers one may be meant
UNDERSTOOD = ELEMENTARY - {"logaddexp"} | {"where", "larger", "max", "real", "np.int32", "np.int64", ""}  # with rows
Shape = Callable[[Tensor], tuple[Expr, ...] | None]


def fills_lanes(loop: Loop, shape: Shape, lanes: int) -> bool:
    """Whether the elements in a loop lie so that its steps can be lanes; ``are_straight`` has the last word.

    Parameters
    ----------
    lanes : how many numbers the longest vectors have
    shape : the axes of a tensor that lies in a buffer of the module; None for another
    """
    if not loop.extent.is_Integer or not SHORTEST <= loop.extent <= LONGEST or loop.limits or loop.step:
        return False
    if loop.before or loop.after or loop.is_shared or not all(_is_of_kind(item) for item in loop.body):
        return False
    steps = []
    made = {target for statement in loop.body for target in targets(statement)}
    for statement in loop.body:
        value = statement.value if isinstance(statement, Set | Step) else Integer(0)
        # Not a number for each element: it might cancel the index.
        rest = value.xreplace({element: Dummy(real=True) for element in elements(value)})
        if rest.has(loop.index):
            return False
        for element in [*reads(statement), *targets(statement)]:
            if any(place.has(loop.index) for place in indices_of(element)):
                axes = shape(tensor_of(element))
                if axes is not None:
                    steps.append(_step(in_last_place(element, loop.index, axes), loop.index))
                elif element not in made:  # an argument, which may lie anyhow; else it is but a local variable
                    return False
    is_copy = all(isinstance(item, Set) and is_element(item.value) for item in loop.body)
    if not steps or max(steps) > FURTHEST:
        return False
    return max(steps) > 1 or is_copy or (int(loop.extent) % lanes > 0 and any(map(_calls, loop.body)))


def _calls(item: Any) -> bool:
    """Whether a statement calls functions that take their time."""
    value = item.value if isinstance(item, Set | Step) else Integer(0)
    return any(is_costly(node) for node in preorder_traversal(value))


def _is_of_kind(item: Any) -> bool:
    return isinstance(item, Set | Finish) or (isinstance(item, Start | Step) and item.kind != "sum")


def _step(places: tuple[Any, ...] | None, index: Any) -> int:
    """How far apart the elements of neighbouring steps lie; a large number where they lie in no row."""
    if places is None or any(place.has(index) for place in places[:-1]):
        return FURTHEST + 1
    step = expand(places[-1]).coeff(index)
    straight = step.is_Integer and step > 0 and not expand(places[-1] - step * index).has(index)
    return int(step) if straight else FURTHEST + 1


def in_last_place(element: Expr, index: Any, axes: tuple[Expr, ...]) -> tuple[Any, ...] | None:
    """The places of an element with `index` in the last one: that and what follows are one axis.

    None where what follows is no number.
    """
    places = indices_of(element)
    at = next((number for number, place in enumerate(places) if place.has(index)), len(places) - 1)
    after = places[at + 1 :]
    if not all(place.is_Integer for place in after):
        return None
    last = places[at] * prod(axes[at + 1 :])
    last += sum(place * prod(axes[at + 2 + number :]) for number, place in enumerate(after))
    return (*places[:at], expand(last))


def are_straight(lines: Iterable[str]) -> bool:
    """Whether statements are without branches and functions that rows do not know."""
    text = "\n".join(lines)
    if re.search(r"\b(if|else|and|or|not|for)\b|\*\*|//|%|!=", text):
        return False
    return {*re.findall(r"([\w.]*)\(", text)} <= UNDERSTOOD
