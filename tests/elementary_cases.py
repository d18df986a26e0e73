"""The functions of ``codegen/carried/elementary.py``: their exact values, the arguments to try, and errors in ulps.

Run as a program it prints the largest error of each function and type, for the processor that Numba is told of.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import mpmath
import numpy as np
from numba import njit
from scipy import special

from gradloom.codegen.carried import elementary

NAMES = ("exp", "expm1", "tanh", "logistic", "log", "log1p", "erf", "erfc")
# The largest error in ulps: what the docstrings say.
BOUNDS = {
    name: float(re.search(r"within ([\d.]+) ulp", getattr(elementary, name).emit.__doc__).group(1)) for name in NAMES
}
FORMATS = {"float32": (23, -149), "float64": (52, -1074)}  # digits; the exponent of the smallest number
FLAGS = {"contract", "arcp", "nsz"}  # as in generated modules


def loop(name: str) -> Any:
    """The function over an array, in a loop as generated code has it."""
    function = getattr(elementary, name)

    @njit(error_model="numpy", fastmath=FLAGS)
    def apply(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    def call(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        apply(x, out)
        return out

    call.compiled = apply
    return call


def every(step: int, start: int = 0, stop: int = 2**32) -> np.ndarray:
    """Every `step`-th float32 there is."""
    return np.arange(start, stop, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def some_float64(count: int, seed: int) -> np.ndarray:
    """float64 numbers of all sizes, and as many of those sizes at which the functions change most."""
    rng = np.random.default_rng(seed)
    ordinary = rng.normal(size=(3, count)) * [[0.5], [5], [300]]
    around_1 = np.exp(rng.normal(size=count) * 0.5)
    anything = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    return np.concatenate([*ordinary, around_1, anything[np.isfinite(anything)]])


def exact_float64(name: str, x: np.ndarray) -> np.ndarray:
    """The values at float32 numbers, in float64: SciPy's and NumPy's, good to about its last digit."""
    function = {"logistic": special.expit, "erf": special.erf, "erfc": special.erfc}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        return function(x.astype(np.float64))


def errors_float32(name: str, x: np.ndarray) -> np.ndarray:
    """Errors in ulps; infinite where one is NaN or infinite and not the other."""
    digits, least = FORMATS["float32"]
    found, exact = loop(name)(x).astype(np.float64), exact_float64(name, x)
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        ulp = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 1 - digits, least))
        error = np.abs(found - exact) / ulp
    agree = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    return np.where(np.isfinite(found) & np.isfinite(rounded), error, np.where(agree, 0.0, np.inf))


def error_float64(name: str, x: float, found: float) -> float:
    """The error in ulps, by mpmath."""
    digits, least = FORMATS["float64"]
    with mpmath.workprec(160):
        if name == "logistic":
            exact = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
        elif name == "log1p":
            exact = mpmath.log(1 + mpmath.mpf(x)) if abs(x) > 1e-20 else mpmath.mpf(x) - mpmath.mpf(x) ** 2 / 2
        elif name == "expm1" and x < -500:
            exact = mpmath.mpf(-1)
        else:
            exact = getattr(mpmath, name)(mpmath.mpf(x))
        if isinstance(exact, mpmath.mpc):
            return 0.0 if math.isnan(found) else math.inf
        if abs(exact) >= mpmath.mpf(2) ** 1024:
            return 0.0 if math.isinf(found) and found * exact > 0 else math.inf
        if not math.isfinite(found):
            return math.inf
        exponent = int(mpmath.floor(mpmath.log(abs(exact), 2))) if exact else least
        return float(abs(mpmath.mpf(found) - exact) / mpmath.ldexp(1, max(exponent - digits, least)))


def worst(name: str, dtype: str, density: int = 1) -> float:
    """The largest error in ulps, over `density` times as many arguments as usual."""
    if dtype == "float32":
        step = 2**32 // density
        pieces = range(0, 2**32, step)
        return max(float(errors_float32(name, every(3989, start, start + step)).max()) for start in pieces)
    x = some_float64(400 * density, density)
    x = x[x > 0] if name == "log" else x[x > -1] if name == "log1p" else x
    x = x[np.abs(x) < 1e4] if name in ("erf", "erfc") else x
    found = loop(name)(x)
    return max(error_float64(name, float(a), float(b)) for a, b in zip(x, found, strict=True))


if __name__ == "__main__":
    print(json.dumps({f"{name} {dtype}": worst(name, dtype) for name in BOUNDS for dtype in FORMATS}))
