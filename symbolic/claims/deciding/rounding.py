"""Whether two sides differ by no more than the rounding of the decimal constants that are written in them."""

from __future__ import annotations

import math

import numpy as np
import sympy
from sympy import Expr, Rational

from .draw import Style
from .exact import DIGITS
from .numbers import NoValueError, with_digits
from .question import Question
from .survey import Judge, Place

MARGIN = 0.9  # less than a unit in the last place: SymPy multiplies constants, so half of one does not do
LEAST = 4  # digits that have to agree
_COARSE = 2e-3  # a constant whose last digit is worth more, relative to it, is not taken for a rounded one
# Rounding tells at any scale; what was left out, as the ε of a normalisation, tells where everything is small.
_STYLES = (Style(), Style(), Style(scale=0.1, spread=0.1), Style(scale=0.01, spread=0.01))


def agreeing_digits(judge: Judge, question: Question, rows: int | None) -> int | None:
    """How many digits agree, if rounding of constants explains that not all do; else None."""
    exact = rounded_constants(question.left)  # of the network: it means them as they are
    constants = {c: half for c, half in rounded_constants(question.right).items() if c not in exact}
    if not constants:
        return None
    worst, places = 0.0, 0
    for seed, style in enumerate(_STYLES):
        point = judge.point(Place(seed, style, rows), with_digits(DIGITS))
        try:
            left, right = (point.array(side, question.indices) for side in (question.left, question.right))
            slack = 0 * left
            for constant, half in constants.items():
                above, below = (
                    point.array(question.right.xreplace({constant: constant + step}), question.indices)
                    for step in (half, -half)
                )
                slack = slack + np.abs(above - below) * MARGIN
        except NoValueError:
            continue
        gap, size = np.abs(left - right), np.maximum(np.abs(left), np.abs(right))
        if not np.any(size != 0):
            continue
        if np.any(gap > slack):
            return None
        places += 1
        worst = max(worst, float(np.max(gap / np.maximum(size, np.max(size) / 1000))))
    digits = int(-math.log10(worst)) if worst > 0 else DIGITS
    return digits if places >= 2 and digits >= LEAST else None


def rounded_constants(expr: Expr) -> dict[Rational, Rational]:
    """The decimal constants in `expr`, and half of what their last digit is worth."""
    found = {}
    for constant in sorted(expr.atoms(sympy.Rational), key=str):
        places = next((d for d in range(1, 30) if 10**d % int(constant.q) == 0), None)
        if constant.q == 1 or places is None:
            continue
        half = Rational(1, 2 * 10**places)
        if half / abs(constant) <= _COARSE:
            found[constant] = half
    return found
