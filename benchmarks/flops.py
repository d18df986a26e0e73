"""Floating-point operations of a training step, counted from its contractions: 2 for each product that is summed.

Functions, biases, updates and what a system does twice are left out, so that a share of the machine's peak says how
much of the work that the mathematics asks for is done at full speed.
"""

from __future__ import annotations

import itertools
import math

from .workloads import LENET, Workload


def flops(workload: Workload) -> int:
    """Forward, and in the gradient one product as large for the weights and one for the inputs that need it."""
    return _COUNTS[workload.kind](workload)


def _mlp(workload: Workload) -> int:
    layers = list(itertools.pairwise(workload.settings["sizes"]))
    products = [2 * workload.batch * n * m for n, m in layers]
    return 3 * sum(products) - products[0]  # the data need no gradient


def _conv(workload: Workload) -> int:
    places = {"c1": 28 * 28, "c2": 10 * 10}
    products = [2 * workload.batch * math.prod(shape) * places.get(name, 1) for name, shape in LENET.items()]
    return 3 * sum(products) - products[0]


def _recurrent(workload: Workload) -> int:
    """The product with one-hot inputs is a gather, and counts nothing."""
    hidden, symbols, length = (workload.settings[name] for name in ("hidden", "symbols", "length"))
    gates = (4 if workload.settings["cell"] == "lstm" else 1) * hidden
    rows = workload.batch * length
    return 3 * 2 * rows * (hidden * gates + hidden * symbols)


def _transformer(workload: Workload) -> int:
    """Attention is counted without leaving out the half that a causal mask hides."""
    n, length, hidden = (workload.settings[name] for name in ("width", "length", "hidden"))
    rows = workload.batch * length
    return 3 * 2 * rows * (4 * n * n + 2 * n * hidden + 2 * length * n)


def _physics(workload: Workload) -> int:
    """The values, three first and two second derivatives go through the layers; the last one gives
    u, u_t, u_xx and u_yy."""
    n, m, k, out = workload.settings["sizes"]
    return 2 * workload.batch * (2 * n * m + 3 * (6 * m * k + 4 * k * out))


_COUNTS = {"mlp": _mlp, "conv": _conv, "recurrent": _recurrent, "transformer": _transformer, "physics": _physics}
