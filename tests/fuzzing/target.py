"""What a target is: calls of gradloom that choices make, and what is known of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzzing.choices import Choices

NAMES = ("declarations", "claims", "saved", "models", "data")
# What Atheris watches the branches of: readers and checks, as watching all, and SymPy, would be too slow.
WATCHED = {
    "declarations": ("gradloom.symbolic.network", "gradloom.symbolic.tensors", "gradloom.symbolic.indices",
                     "gradloom.symbolic.place_checks", "gradloom.symbolic.layers", "gradloom.symbolic.losses",
                     "gradloom.symbolic.sequential", "gradloom.symbolic.optimizers"),
    "claims": ("gradloom.symbolic.claims.latex", "gradloom.symbolic.claims.meaning", "gradloom.symbolic.claims.lines"),
    "saved": ("gradloom.runtime.saved_files", "gradloom.runtime.formats", "gradloom.runtime.cubin_files",
              "gradloom.runtime.cache", "gradloom.runtime.cache_space", "gradloom.runtime.keeper"),
    "models": ("gradloom.model_file", "gradloom.commands", "gradloom.cli"),
    "data": ("gradloom.runtime.datasets", "gradloom.runtime.formats", "gradloom.runtime.files"),
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Made by a module's `prepare(folder)`.

    Attributes
    ----------
    call : makes calls by choices; only gradloom's own errors may come out.
    limit : seconds for one input.
    seeds : inputs to begin with.
    may_run : whether a file in the folder may be executed now.
    """

    call: Callable[[Choices], Any]
    limit: float
    seeds: Sequence[bytes] = ()
    may_run: Callable[[str], bool] | None = None


def load_target(name: str, folder: Path) -> Target:
    """Import the module of a target and let it write what it needs to `folder`."""
    made: Target = importlib.import_module(f"fuzzing.{name}").prepare(folder)
    return made
