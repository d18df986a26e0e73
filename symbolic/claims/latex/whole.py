"""What may stand around a whole formula: ``$ $``, ``\\[ \\]``, an environment of one line, ``\\boxed{}``."""

from __future__ import annotations

from ...errors import ClaimSyntaxError
from .signs import ENVIRONMENTS
from .tokens import Token

_LAYERS = 8
_PAIRS = {"$": "$", r"\(": r"\)", r"\[": r"\]"}


def unwrapped(text: str, found: list[Token]) -> list[Token]:
    """The tokens without what stands around all of them; a full stop or comma behind it is punctuation.

    Raises
    ------
    ClaimSyntaxError
        If only one half of a pair is there.
    """
    for _ in range(_LAYERS):
        if not found:
            break
        first = found[0]
        last = len(found) - 1
        while last and (found[last].kind == "tag" or found[last].value in (".", ",", ";", "\\\\")):
            last -= 1
        if first.kind in ("char", "command") and first.value in _PAIRS:
            closing = _PAIRS[first.value]
            if not last or found[last].value != closing:
                raise ClaimSyntaxError(
                    f"{first.value} is opened, but {closing} does not end the text", text, first.start
                )
            found = [*found[1:last], *found[last + 1 :]]
        elif first.kind == "begin" and first.value in ENVIRONMENTS:
            if not last or (found[last].kind, found[last].value) != ("end", first.value):
                raise ClaimSyntaxError(
                    f"\\begin{{{first.value}}} is opened, but its \\end does not end the text", text, first.start
                )
            found = [*found[1:last], *found[last + 1 :]]
        elif first.value == r"\boxed" and last > 1 and _braces(found) == last:
            found = [*found[2:last], *found[last + 1 :]]
        else:
            break
    return found


def _braces(found: list[Token]) -> int:
    """Where the brace closes that stands second."""
    depth = 0
    for place, token in enumerate(found[1:], 1):
        if token.kind == "char":
            depth += {"{": 1, "}": -1}.get(token.value, 0)
        if depth <= 0:
            return place
    return -1
