"""Which cases of a test run every day: a few of each kind; the others are marked slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def daily(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Parameters of which those in `kept` run every day, and all with the longer tests.

    A case of several parameters is a tuple; what is kept must be among the cases.
    """
    cases = list(cases)
    unknown = [case for case in kept if case not in cases]
    if unknown:
        raise ValueError(f"{unknown} are not among the cases {cases}")
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[pytest.mark.slow] * (case not in kept))
        for case in cases
    ]
