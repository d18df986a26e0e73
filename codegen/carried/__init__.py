"""What generated modules carry with them: source that is written into a module as it stands."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def source_of(name: str) -> tuple[str, ...]:
    """The lines of one of the files beside this one."""
    return tuple(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8").splitlines())
