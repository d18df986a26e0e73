"""All claims of the suite."""

from __future__ import annotations

from . import mlp

MODULES = (mlp,)
CASES = [case for module in MODULES for case in module.CASES]
