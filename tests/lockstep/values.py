"""Scalars with the types that Numba would give them, and the functions over them.

Floats are `np.float32` and `np.float64`; integers of every size are `np.int64` or `np.uint64`, since Numba computes in
64 bits with all of them. NumPy then promotes as Numba does: a float32 with a float64 or an integer is a float64.
Functions of float32 are computed in float64 and rounded once.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import LockstepError, Promotion
from .now import NOW, caller_line


def float32(value: Any) -> np.float32:
    if value.__class__ is np.float64 and NOW.float64 == "casts":
        raise Promotion(
            f"{NOW.place(caller_line())}: a value computed in float64 is cast to float32; something before it was "
            "promoted by a bare literal or an integer"
        )
    return np.float32(value)


def float64(value: Any) -> np.float64:
    return np.float64(value)


def whole(bits: int, signed: bool) -> Callable[[Any], Any]:
    """The cast to an integer type. What does not fit is an error where it is signed, and wraps where it is not."""
    kind = np.int64 if signed else np.uint64
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    name = f"{'' if signed else 'u'}int{bits}"

    def cast(value: Any) -> Any:
        number = int(value)
        if low <= number <= high:
            return kind(number)
        if signed:
            raise OverflowError(f"{number} does not fit {name}")
        return kind(number & high)

    cast.__name__ = name
    return cast


def boolean(value: Any) -> np.bool_:
    return np.bool_(value)


CASTS: dict[str, Callable[[Any], Any]] = {"float32": float32, "float64": float64}
CASTS |= dict.fromkeys(("bool", "bool_", "boolean"), boolean)
for _bits in (8, 16, 32, 64):
    CASTS[f"int{_bits}"] = whole(_bits, signed=True)
    CASTS[f"uint{_bits}"] = whole(_bits, signed=False)
CASTS["intp"] = CASTS["int64"]

DTYPES = {cast: np.dtype("bool" if cast is boolean else name) for name, cast in CASTS.items()}


def dtype_of(kind: Any) -> np.dtype:
    """The NumPy type that a cast such as `float32` stands for in `cuda.shared.array(n, float32)`."""
    if kind in DTYPES:
        return DTYPES[kind]
    raise LockstepError(f"{kind} is no element type; float32, int32 and the like are")


def frozen(value: Any) -> Any:
    """A global or an argument of the host as a kernel sees it: a bare Python number has 64 bits."""
    if isinstance(value, type) and value.__name__ in CASTS:
        return CASTS[value.__name__]
    match value:
        case bool() | None | str() | np.bool_() | np.float32() | np.float64():
            return value
        case int() | np.signedinteger():
            return np.int64(value)
        case np.unsignedinteger():
            return np.uint64(value)
        case float():
            return np.float64(value)
        case tuple():
            return tuple(frozen(part) for part in value)
    return value


def of_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as Numba types it: float32 if every argument is, float64 otherwise."""

    def typed(*arguments: Any) -> Any:
        result = function(*map(np.float64, arguments))
        single = all(isinstance(a, np.float32 | np.bool_) for a in arguments)
        return np.float32(result) if single else np.float64(result)

    return typed


def by_math(name: str) -> Callable[..., Any]:
    """A function that NumPy lacks; outside its domain it is NaN, as on the device."""

    def function(*arguments: float) -> float:
        try:
            return getattr(math, name)(*arguments)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return function


FLOAT_FUNCTIONS = {
    **{name: getattr(np, name) for name in "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh".split()},
    **{name: getattr(np, name) for name in "fabs hypot copysign fmod degrees radians".split()},
    **dict(zip("asin acos atan asinh acosh atanh atan2".split(), (np.arcsin, np.arccos, np.arctan, np.arcsinh,
           np.arccosh, np.arctanh, np.arctan2), strict=True)),
    **{name: by_math(name) for name in "erf erfc gamma lgamma".split()},
    "pow": np.power,
}  # fmt: skip
WHOLE_FUNCTIONS = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}
TESTS = {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}

MATH = types.SimpleNamespace(
    **{name: of_floats(function) for name, function in FLOAT_FUNCTIONS.items()},
    **{name: lambda x, f=function: np.int64(f(x)) for name, function in WHOLE_FUNCTIONS.items()},
    **TESTS,
    **{name: np.float64(getattr(math, name)) for name in ("pi", "e", "inf", "nan", "tau")},
)
"""`math` inside kernels."""

NUMPY = types.SimpleNamespace(
    **CASTS, **{name: np.float64(getattr(np, name)) for name in ("pi", "e", "inf", "nan")}
)  # fmt: skip
"""`numpy` inside kernels: the types and constants."""


def common(values: tuple[Any, ...]) -> Callable[[Any], Any]:
    return np.result_type(*(np.asarray(value).dtype for value in values)).type


def extreme(choose: Callable[..., Any], floats: Callable[..., Any]) -> Callable[..., Any]:
    """`max` or `min`: of the common type of the arguments; a NaN gives way to a number, as CUDA's fmaxf has it."""

    def function(*arguments: Any) -> Any:
        kind = common(arguments)
        values = [kind(a) for a in arguments]
        if not issubclass(kind, np.floating):
            return choose(values)
        result = values[0]
        for value in values[1:]:
            result = floats(result, value)
        return result

    return function


def float_(value: Any) -> Any:
    return value if isinstance(value, np.floating) else np.float64(value)


def range_(*ends: Any) -> Any:
    return map(np.int64, range(*(end.__index__() for end in ends)))


def pow_(base: Any, exponent: Any) -> Any:
    return base**exponent


BUILTINS: dict[str, Any] = {
    "range": range_,
    "max": extreme(max, np.fmax),
    "min": extreme(min, np.fmin),
    "abs": abs,
    "int": CASTS["int64"],
    "float": float_,
    "round": lambda x: np.int64(np.rint(x)),
    "bool": boolean,
    "len": lambda array: np.int64(len(array)),
    "pow": pow_,
    "print": print,
    "slice": slice,
}
"""The builtins that kernels may call."""
