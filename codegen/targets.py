"""The targets as data: the template, and what writes the bodies of its functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .build_cpu import build_cpu
from .build_numpy import build_numpy
from .kernels import Module


@dataclass(frozen=True)
class Target:
    """What a target needs.

    Attributes
    ----------
    template : file in ``templates/``
    build : makes the template's `Module` from a plan
    """

    template: str
    build: Callable[..., Module]


TARGETS: dict[str, Target] = {
    "cpu": Target("cpu.py.j2", build_cpu),
    "numpy": Target("numpy.py.j2", build_numpy),
}
DTYPES: tuple[str, ...] = ("float32", "float64")
Any_ = Any
