"""Errors of claims that are not judged, since it is not known what they say."""

from __future__ import annotations

from ..errors import ClaimSyntaxError, GradloomError

__all__ = ["AmbiguousClaimError", "ClaimSyntaxError", "UnknownNameError", "UnreadableError", "pointed"]


class UnknownNameError(GradloomError, ValueError):
    """A name in a claim that the network does not have."""


class AmbiguousClaimError(GradloomError, ValueError):
    """A claim that can be read in more than one way, and is right in one of them and wrong in another."""


class UnreadableError(GradloomError, ValueError):
    """Notation in a claim that is read as LaTeX, but has no meaning here."""


def pointed(text: str, start: int, end: int) -> str:
    """The line of `text` around `start`, and below it carets from `start` to `end`."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", start)
    line = text[first : last if last >= 0 else len(text)]
    width = max(1, min(end, first + len(line)) - start)
    return f"    {line}\n    {' ' * (start - first)}{'^' * width}"
