"""All claims of the suite."""

from __future__ import annotations

from . import attention, convolution, losses, mlp, normalisation, notation, recurrent, updates
from . import functions as activations

MODULES = (mlp, losses, activations, normalisation, convolution, recurrent, attention, updates, notation)
CASES = [case for module in MODULES for case in module.CASES]
