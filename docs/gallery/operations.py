"""How many operations a printed formula has, ours and a textbook's alike: both are counted in the notation of `text`.

Counted: every + and −, every product (written ⊙ or by standing beside one another), quotient, power, sum sign, maximum,
function, norm, inner product, and a bracket [z > 0] that asks something of a tensor. Not counted: transposes, the
vector of ones as such (its product is), and brackets of positions alone, which are limits of a sum.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[^\W\d]\u0307?(?:[^\W_]|_(?!\{))*(?:_\{[^}]*\})?|𝟏")
_GRADIENT = re.compile(rf"∂\w\u0307?/∂(?:{_NAME.pattern})")
_NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?")
_BINDER = re.compile(r"(Σ|max|argmax)_[\w,]+ ")
_TENSOR = re.compile(r"\w\[|[A-Za-z]\d")
_PAIRS = {"(": ")", "[": "]", "‖": "‖", "⟨": "⟩"}


def operations(formula: str) -> int:
    """The operations of `formula`, a right side as `gradloom` prints it in text.

    >>> operations("W2ᵀ δ2 ⊙ a1 ⊙ (1 - a1)")
    4
    >>> operations("Σ_t δ_t h_{t-1}ᵀ [t ≥ 1]")
    2
    """
    count, place, after_operand = 0, 0, False
    while place < len(formula):
        rest = formula[place:]
        mark = rest[0]
        if mark.isspace() or mark == "ᵀ":
            place += 1
        elif mark in "+-/⊙^":
            count, after_operand = count + 1, False
            place += 1
        elif mark in "²³₁":
            count += mark != "₁"
            place += 1
        elif found := _BINDER.match(rest):
            # Like any operand, a sum multiplies what stands before it.
            count, after_operand = count + 1 + after_operand, False
            place += found.end()
        elif mark in _PAIRS:
            end = _closing(formula, place)
            inside = formula[place + 1 : end]
            if mark != "[":
                parts = inside.split(", ") if mark == "⟨" else [inside]
                count += after_operand + sum(map(operations, parts)) + (mark in "‖⟨")
                after_operand = True
            elif _TENSOR.search(inside):
                sides = re.split(r" [<>≤≥=] ", inside)
                count += after_operand + 1 + sum(operations(side) for side in sides if _TENSOR.search(side))
                after_operand = True
            place = end + 1
        else:
            found = _GRADIENT.match(rest) or _NAME.match(rest) or _NUMBER.match(rest)
            if found is None:
                raise ValueError(f"{mark!r} in {formula!r} is no mark of the printed text")
            count += after_operand
            place += found.end()
            if formula[place : place + 1] == "[":
                place = _closing(formula, place) + 1
            elif formula[place : place + 1] == "(" and found.re is _NAME:
                end = _closing(formula, place)
                count += 1 + operations(formula[place + 1 : end])
                place = end + 1
            after_operand = True
    return count


def _closing(formula: str, place: int) -> int:
    """Where the bracket at `place` closes."""
    opening, closing = formula[place], _PAIRS[formula[place]]
    if opening == closing:
        return formula.index(closing, place + 1)
    depth = 0
    for end in range(place, len(formula)):
        depth += (formula[end] == opening) - (formula[end] == closing)
        if depth == 0:
            return end
    raise ValueError(f"a bracket is not closed in {formula!r}")
