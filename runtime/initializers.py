"""How parameters are filled before training.

An initialiser is a function of a seeded NumPy generator and a shape that returns float64 values; the classes here are
the usual ones. A network's ``initializers[name]`` (the ``init=`` of ``parameter()``) holds one of them, an array, a
number, or None for the default: Glorot uniform for two or more axes, zeros otherwise.

The fans of a weight ``(out, in, …)`` are ``in`` and ``out`` times the number of positions on the remaining axes, as for
a convolution kernel ``(out, in, height, width)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..symbolic.errors import ShapeError

Shape = tuple[int, ...]
Values = NDArray[np.float64]
Initializer = Callable[[np.random.Generator, Shape], Any]


def fans(shape: Shape) -> tuple[int, int]:
    """``(fan_in, fan_out)``: how many values an output entry is made of, and how many an input entry goes to."""
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    positions = math.prod(shape[2:])
    return shape[1] * positions, shape[0] * positions


@dataclass(frozen=True)
class Zeros:
    """All zeros."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return np.zeros(shape)


@dataclass(frozen=True)
class Constant:
    """All entries equal to `value`."""

    value: float

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Uniform:
    """Uniform in ``[low, high)``."""

    low: float = -0.05
    high: float = 0.05

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Normal:
    """Normal with this mean and standard deviation."""

    mean: float = 0.0
    std: float = 0.05

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class GlorotUniform:
    """Uniform in ±gain √(6 / (fan_in + fan_out)).

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    equation 16.
    """

    gain: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        bound = self.gain * math.sqrt(6 / sum(fans(shape)))
        return rng.uniform(-bound, bound, shape)


@dataclass(frozen=True)
class GlorotNormal:
    """Normal with variance gain² · 2 / (fan_in + fan_out).

    X. Glorot and Y. Bengio, AISTATS 2010, equation 12.
    """

    gain: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return rng.normal(0, self.gain * math.sqrt(2 / sum(fans(shape))), shape)


@dataclass(frozen=True)
class HeUniform:
    """Uniform in ±√(6 / fan_in): variance 2 / fan_in, for ReLU.

    K. He et al., "Delving deep into rectifiers", ICCV 2015, equation 10.
    """

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        bound = math.sqrt(6 / fans(shape)[0])
        return rng.uniform(-bound, bound, shape)


@dataclass(frozen=True)
class HeNormal:
    """Normal with variance 2 / fan_in, for ReLU (He et al., ICCV 2015, equation 10)."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return rng.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


@dataclass(frozen=True)
class LeCunUniform:
    """Uniform in ±√(3 / fan_in): variance 1 / fan_in.

    Y. LeCun et al., "Efficient BackProp", 1998, section 4.6.
    """

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        bound = math.sqrt(3 / fans(shape)[0])
        return rng.uniform(-bound, bound, shape)


@dataclass(frozen=True)
class LeCunNormal:
    """Normal with variance 1 / fan_in (LeCun et al., "Efficient BackProp", 1998, section 4.6)."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Values:
        return rng.normal(0, math.sqrt(1 / fans(shape)[0]), shape)


def initial_values(name: str, choice: Any, rng: np.random.Generator, shape: Shape) -> Values:
    """The first values of parameter `name`, made as `choice` (an entry of ``Network.initializers``) says.

    Raises
    ------
    ShapeError
        If the values have another shape, are not finite real numbers, or `choice` is no initialiser.
    """
    if choice is None:
        choice = GlorotUniform() if len(shape) >= 2 else Zeros()
    if isinstance(choice, type):
        choice = choice()
    if callable(choice):
        choice = choice(rng, shape)
    elif isinstance(choice, sympy.Basic):
        choice = sympy.N(choice, 20)
    try:
        values = np.asarray(choice, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"the initial value of {name} is {choice!r}: expected an initialiser from gl.initializers, an array, a "
            "number, or None"
        ) from error
    if values.shape != shape:
        if values.ndim:
            raise ShapeError(f"the initial value of {name} has shape {values.shape}, but {name} has shape {shape}")
        values = np.full(shape, values)
    if not np.isfinite(values).all():
        raise ShapeError(f"the initial value of {name} holds NaN or infinite entries")
    return values


__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Initializer", "LeCunNormal", "LeCunUniform",
    "Normal", "Uniform", "Zeros", "fans", "initial_values",
]  # fmt: skip
