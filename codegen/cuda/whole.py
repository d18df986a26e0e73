"""Whole numbers as source: quotients and loops, in 32 bits and without a division that takes a hundred instructions.

A number of a point, or of a tile, is less than 2³¹; the module says of how many (`points`), and launches are refused
where there are more. Places in memory are computed in 64 bits.
"""

from __future__ import annotations

INDENT = "    "
MOST_POINTS = 2**31  # fewer than that are counted


def quotient(number: str, by: str) -> str:
    """How often `by` goes into a number that is not negative."""
    return number if by == "1" else f"quotient({number}, {by})"


def remainder(number: str, by: str) -> str:
    """What is left over."""
    return "0" if by == "1" else f"remainder({number}, {by})"


def strided(name: str, first: str, stop: str, step: str) -> tuple[list[str], str]:
    """A loop over every `step`-th number from `first` on; a ``range`` would divide to know how many they are.

    Returns
    -------
    Its first lines, and the one that ends what is done in it.
    """
    return [f"{name} = {first}", f"while {name} < {stop}:"], f"{INDENT}{name} += {step}"
