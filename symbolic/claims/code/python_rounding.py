"""Whether a function is right but for the rounding of the decimal constants in it: 0.044715, 0.79788456.

Each constant is moved by half of what its last digit is worth; what the result moves by is what rounding explains.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import GradloomError
from ..deciding.rounding import LEAST
from ..deciding.survey import Place
from .python_judge import Runs
from .python_layout import ArrayLayout
from .python_source import UserFunction

_COARSE = 2e-3  # a constant whose last digit is worth more, relative to it, is not taken for a rounded one


def agreeing_digits(runs: Runs, label: str, places: Sequence[Place], layout: ArrayLayout) -> int | None:
    """How many digits agree, if rounding of constants explains that not all do; else None."""
    pairs = list(_moved(runs.function))
    if not pairs:
        return None
    worst = 0.0
    try:
        for place in places:
            compared = runs.compare(label, place, layout)
            slack = np.zeros_like(compared.correct)
            for above, below in pairs:
                ends = [
                    Runs(replace(runs.function, call=end), runs.names, runs.judge).compare(label, place, layout).claimed
                    for end in (above, below)
                ]
                slack = slack + np.abs(ends[0] - ends[1])
            gap = np.abs(compared.claimed - compared.correct)
            if np.any(gap > slack + 1e-13 * compared.scale):
                return None
            worst = max(worst, compared.error)
    except GradloomError:
        return None
    digits = int(-math.log10(worst)) if worst > 0 else 16
    return digits if digits >= LEAST else None


def _moved(function: UserFunction) -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """For each rounded constant in the function or that it reads, the function with it moved up and down."""
    tree, call = function.tree, function.call
    scope = getattr(call, "__globals__", None)
    if tree is None or scope is None or getattr(call, "__closure__", None):
        return
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, float)]
    for number, constant in enumerate(constants):
        half = _half(float(constant.value))  # type: ignore[arg-type]
        if half is not None:
            yield _with(tree, scope, number, half), _with(tree, scope, number, -half)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for name in sorted(names):
        value = scope.get(name)
        half = _half(value) if isinstance(value, float) else None
        if half is not None:
            yield _built(tree, {**scope, name: value + half}), _built(tree, {**scope, name: value - half})


def _half(value: float) -> float | None:
    """Half of what the last written digit is worth, if the constant has some digits, and not all of a float's."""
    written = repr(abs(value))
    digits = written.split("e")[0].replace(".", "").strip("0")
    if len(digits) < 3 or len(digits) > 14:
        return None
    mantissa, _, power = written.partition("e")
    places = len(mantissa.partition(".")[2]) - int(power or 0)
    half = 0.5 * 10.0**-places
    return half if half / abs(value) <= _COARSE else None


def _with(tree: ast.FunctionDef, scope: dict[str, Any], number: int, step: float) -> Callable[..., Any]:
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, float)]
    before: Any = constants[number].value
    constants[number].value = before + step
    try:
        return _built(tree, scope)
    finally:
        constants[number].value = before


def _built(tree: ast.FunctionDef, scope: dict[str, Any]) -> Callable[..., Any]:
    bare = ast.FunctionDef(**{**{name: getattr(tree, name) for name in tree._fields}, "decorator_list": []})
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(bare, tree)], []))
    made = dict(scope)
    exec(compile(module, "<moved constant>", "exec"), made)
    return made[tree.name]


__all__ = ["agreeing_digits"]
