"""Elementary functions as straight lines of LLVM's instructions, so that LLVM can vectorise the loops that call them.

A plain installation of Numba has no vector versions of exp, log and their kin: a loop that calls libm's does one
element at a time. These functions are Numba intrinsics instead. Each emits its formula where it is called, without
branches: nothing is compiled on its own, and LLVM can vectorise the loop around it, for any width of vector.

A generated module carries what it uses of this file, word for word; so a function here may use nothing
but what stands in this file.

Errors are in ulps, units in the last place of the exact result: the largest that ``tests/test_elementary.py`` found,
in both precisions, with fused products and without, rounded up. Every function takes and gives zeros with their signs,
infinities and NaN as C's do, and subnormal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


class Number:
    """A float, or a vector of floats, in the code that is being made; Python's operators emit LLVM's instructions.

    Products and sums may be contracted to fused ones. No other liberty is taken, whatever the flags of the loop around:
    Numba adds those to instructions without flags only.
    """

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value
        element = getattr(value.type, "element", value.type)
        self.bits, self.digits = (32, 23) if element == ir.FloatType() else (64, 52)

    def constant(self, value: float) -> Number:
        """The constant `value`, of this number's type."""
        return Number(self.builder, _constant(self.value.type, value))

    def pick(self, float32: Any, float64: Any) -> Any:
        """What of the two belongs to this number's precision."""
        return float32 if self.bits == 32 else float64

    def _like(self, value: Any) -> Any:
        """The operand `value`, a `Number` or a constant."""
        return value.value if isinstance(value, Number) else _constant(self.value.type, value)

    def _emit(self, name: str, left: Any, right: Any) -> Number:
        return Number(
            self.builder, getattr(self.builder, name)(self._like(left), self._like(right), flags=["contract"])
        )

    def __add__(self, other: Any) -> Number:
        return self._emit("fadd", self, other)

    def __sub__(self, other: Any) -> Number:
        return self._emit("fsub", self, other)

    def __rsub__(self, other: Any) -> Number:
        return self._emit("fsub", other, self)

    def __mul__(self, other: Any) -> Number:
        return self._emit("fmul", self, other)

    def __truediv__(self, other: Any) -> Number:
        return self._emit("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> Number:
        return self._emit("fdiv", other, self)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Number:
        return Number(self.builder, self.builder.fneg(self.value, flags=["contract"]))

    def where(self, sign: str, bound: Any, other: Any) -> Number:
        """`other` where this number is `sign` (as in ``">"``) `bound`; else, or where it is not a number, this."""
        return self.choose(sign, bound, other, self)

    def choose(self, sign: str, bound: Any, yes: Any, no: Any) -> Number:
        """`yes` where this number is `sign` `bound`, else `no`."""
        found = self.builder.fcmp_ordered(sign, self.value, self._like(bound))
        return Number(self.builder, self.builder.select(found, self._like(yes), self._like(no)))

    def integer(self) -> Integer:
        """The bits."""
        kind = _shaped(ir.IntType(self.bits), self.value.type)
        return Integer(self, self.builder.bitcast(self.value, kind))

    def __abs__(self) -> Number:
        return (self.integer() & (2 ** (self.bits - 1) - 1)).number()

    def signed_as(self, other: Number) -> Number:
        """This number, whose sign is +, with the sign of `other`."""
        return (self.integer() | (other.integer() & -(2 ** (self.bits - 1)))).number()


class Integer:
    """The bits of a `Number`, as an integer."""

    def __init__(self, of: Number, value: Any) -> None:
        self.of, self.builder, self.value = of, of.builder, value

    def _emit(self, name: str, other: Any) -> Integer:
        right = other.value if isinstance(other, Integer) else _constant(self.value.type, other)
        return Integer(self.of, getattr(self.builder, name)(self.value, right))

    def __add__(self, other: Any) -> Integer:
        return self._emit("add", other)

    def __sub__(self, other: Any) -> Integer:
        return self._emit("sub", other)

    def __rsub__(self, other: int) -> Integer:
        return Integer(self.of, self.builder.sub(_constant(self.value.type, other), self.value))

    def __and__(self, other: Any) -> Integer:
        return self._emit("and_", other)

    def __or__(self, other: Any) -> Integer:
        return self._emit("or_", other)

    def __lshift__(self, count: int) -> Integer:
        return self._emit("shl", count)

    def __rshift__(self, count: int) -> Integer:
        return self._emit("lshr", count)

    def number(self) -> Number:
        """The number of these bits."""
        return Number(self.builder, self.builder.bitcast(self.value, self.of.value.type))


def _shaped(element: Any, like: Any) -> Any:
    return ir.VectorType(element, like.count) if isinstance(like, ir.VectorType) else element


def _constant(kind: Any, value: Any) -> Any:
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def elementary(emit: Callable[..., Number]) -> Any:
    """The function that compiled code calls, of one or two numbers of one type; its `emit` is for other intrinsics."""

    def made(typing_context: Any, kinds: Any) -> Any:
        kind = typing_context.unify_types(*kinds)
        if not hasattr(kind, "lanes"):  # a row, see lanes.py
            kind = kind if isinstance(kind, types.Float) else types.float64

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(*(Number(builder, argument) for argument in arguments)).value

        return kind(*[kind] * len(kinds)), generate

    if config.DISABLE_JIT:
        return in_python(emit.__name__)
    if emit.__code__.co_argcount == 1:
        found: Any = intrinsic(lambda typing_context, x: made(typing_context, [x]))
    else:
        found = intrinsic(lambda typing_context, x, y: made(typing_context, [x, y]))
    found.emit = emit
    return found


def in_python(name: str) -> Callable[..., Any]:
    """What computes a function where modules are run without the compiler."""
    if name == "logistic":
        return lambda x: 1 / (1 + np.exp(-x))
    return getattr(np, name, None) or getattr(import_module("math"), name)


def polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """``c₀ + c₁ x + c₂ x² + …`` by Estrin's scheme: pairs of terms, pairs of pairs; not one long chain as Horner's."""
    terms: list[Any] = list(coefficients)
    power = x
    while len(terms) > 1:
        pairs = [right * power + left for left, right in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
        power = power * power
    return terms[0]


# (exp(r) - 1 - r) / r² for |r| ≤ ln(2) / 2. All coefficients are those of the smallest maximal error (Remez).
EXP_FLOAT32 = (0.5, 0.1666654, 0.041666273, 0.008366911, 0.001394702)
EXP_FLOAT64 = (
    0.5, 0.16666666666666677, 0.041666666666666706, 0.008333333333321149, 0.0013888888888865965,
    0.00019841269887495796, 2.4801587362290565e-05, 2.755724269867925e-06, 2.7557241271970207e-07,
    2.5109604997916608e-08, 2.0924904171777614e-09,
)  # fmt: skip
# ln(2) in two parts; the first has so few digits that its products with exponents are exact.
LN2_FLOAT32 = (0.693145751953125, 1.4286068203094e-06)
LN2_FLOAT64 = (0.6931471803691238, 1.9082149292705877e-10)


def reduced(x: Number, below: Number | None = None) -> tuple[Number, Number, Integer]:
    """r, ``exp(r) - 1 - r`` and an integer with n in its lowest bits: ``exp(x - below)`` is ``2**n * exp(r)``."""
    shift = 1.5 * 2.0**x.digits  # added to a number, it rounds that to an integer, which stands in the lowest bits
    shifted = x * 1.4426950408889634 + shift
    n = shifted - shift
    high, low = x.pick(LN2_FLOAT32, LN2_FLOAT64)
    exact, small = x - n * high, n * low
    if below is not None:
        small = small + below
    r = exact - small
    lost = (exact - r) - small  # in the rounding of r
    return r, r * r * polynomial(r, x.pick(EXP_FLOAT32, EXP_FLOAT64)) + lost, shifted.integer()


def scaled(x: Number, shifted: Integer) -> Number:
    """``2**n * x`` for the n of `reduced`, in two factors: 2**n may be too large, or subnormal, while x 2**n is not."""
    bias = 2 ** (x.bits - x.digits - 2) - 1
    exponents = shifted - x.constant(1.5 * 2.0**x.digits).integer() + 2 * bias
    half = exponents >> 1
    return x * (half << x.digits).number() * (exponents - half << x.digits).number()


def exp_of(x: Number, below: Number | None = None) -> Number:
    """``exp(x - below)`` for x ≤ 89 (float64: 710), `below` much smaller than x."""
    lowest = x.pick(-104.0, -746.0)
    r, rest, shifted = reduced(x.where("<", lowest, lowest), below)
    return scaled(r + rest + 1.0, shifted)


@elementary
def exp(x: Number) -> Number:
    """The exponential function, within 0.95 ulp."""
    highest = x.pick(89.0, 710.0)
    return exp_of(x.where(">", highest, highest))


def half_power(shifted: Integer) -> Number:
    """``2**(n - 1)`` for the n of `reduced`, where that is normal."""
    of = shifted.of
    return ((shifted << of.digits) + of.constant(0.5).integer()).number()


def less_one(power: Number, r: Number, rest: Number, one: float) -> tuple[Number, Number]:
    """``power * (1 + r + rest) - one`` in two parts, the second small; `power` is one of 2."""
    more = power - one
    found = power * r + more
    lost = power * r - (found - more)  # in its rounding
    return found, power * rest + lost


@elementary
def expm1(x: Number) -> Number:
    """``exp(x) - 1``, within 1.3 ulp."""
    low, high = x.pick((-18.0, 89.0), (-38.0, 710.0))
    r, rest, shifted = reduced(x.where("<", low, low).where(">", high, high))
    half = half_power(shifted)  # 2**n may be too large
    found, small = less_one(half, r, rest, 0.5)
    found = (found + small) * 2.0
    return abs(x).choose("<", 2.0 ** -(x.digits + 2), x, found)


@elementary
def tanh(x: Number) -> Number:
    """The hyperbolic tangent, within 1.6 ulp.

    It is u / (u + 2) with u = exp(2 x) - 1; where x is small, that is computed as x + (u / (u + 2) - x).
    """
    size, highest = abs(x), x.pick(10.0, 20.0)
    size = size.where(">", highest, highest)
    r, rest, shifted = reduced(size * 2.0)
    found, small = less_one(half_power(shifted) * 2.0, r, rest, 1.0)
    u = found + small
    is_near = ("<", 0.6)
    top = size.choose(*is_near, found - size * 2.0 + small - size * u, u)
    return (size.choose(*is_near, size, 0.0) + top / (u + 2.0)).signed_as(x)


@elementary
def logistic(x: Number) -> Number:
    """``1 / (1 + exp(-x))``, within 1.8 ulp."""
    falling = exp_of(-abs(x))  # at most 1, so that nothing overflows, and small results keep their digits
    factor = x.choose(">", 0.0, 1.0, falling)
    return factor - factor * (falling / (falling + 1.0))  # of smaller error than factor / (falling + 1)


# (log(1 + f) / s - 2) / s² in powers of s², where s = f / (2 + f), for √½ ≤ 1 + f ≤ √2.
LOG_FLOAT32 = (0.6666666, 0.40000337, 0.2853717, 0.23584992)
LOG_FLOAT64 = (
    0.6666666666666735, 0.3999999999940747, 0.28571428744144917, 0.2222219837816329, 0.18183575179250308,
    0.15313755467581697, 0.1479906849627608,
)  # fmt: skip


def log_of(x: Number, below: Number | None = None, exponent: Any = 0.0) -> Number:
    """``log(x + below) + exponent * log(2)`` for positive normal x, `below` at most half an ulp of it.

    As FreeBSD's: x is 2**n (1 + f), and log(1 + f) = f - (f²/2 - s (f²/2 + s² P(s²))) with s = f / (2 + f).
    """
    bias = 2 ** (x.bits - x.digits - 2) - 1
    root = x.constant(0.5**0.5).integer()
    raised = x.integer() - root + (bias << x.digits)
    biased = raised >> x.digits
    f = ((raised & (2**x.digits - 1)) + root).number() - 1.0
    if below is not None:
        f = f + x.choose("<", 2.0**x.digits, (2 * bias - biased << x.digits).number(), 0.0) * below
    n = (biased | x.constant(2.0**x.digits).integer()).number() - (2.0**x.digits + bias) + exponent
    s = f / (f + 2.0)
    half = f * f * 0.5
    rest = s * s * polynomial(s * s, x.pick(LOG_FLOAT32, LOG_FLOAT64))
    high, low = x.pick(LN2_FLOAT32, LN2_FLOAT64)
    return n * high - (half - (s * (half + rest) + n * low) - f)


def log_at_ends(found: Number, x: Number) -> Number:
    """`found`, the logarithm of x, for every x: where that is 0, infinite, negative or not a number too."""
    inf = float("inf")
    special = x.choose("==", 0.0, -inf, float("nan"))
    return x.choose(">", 0.0, x.choose("<", inf, found, inf), special)


@elementary
def log(x: Number) -> Number:
    """The natural logarithm, within 0.85 ulp."""
    smallest, power = x.pick((2.0**-126, 24), (2.0**-1022, 53))
    exponent = x.choose("<", smallest, float(-power), 0.0)
    return log_at_ends(log_of(x.choose("<", smallest, x * 2.0**power, x), exponent=exponent), x)


def log1p_of(x: Number) -> Number:
    """``log(1 + x)`` for finite x above -1."""
    one_more = x + 1.0
    added = one_more - x  # 1, but for rounding
    return log_of(one_more, (x - (one_more - added)) + (1.0 - added))


@elementary
def log1p(x: Number) -> Number:
    """``log(1 + x)``, within 1.45 ulp."""
    found = log_at_ends(log1p_of(x), x + 1.0)
    return x.choose("==", 0.0, x, found)


@elementary
def logaddexp(x: Number, y: Number) -> Number:
    """``log(exp(x) + exp(y))``, within 4 ulp where the two parts of it do not cancel; with x = 0, softplus(y)."""
    greater = x.choose(">", y, x, y)
    apart = x.choose("==", y, 0.0, -abs(x - y))  # infinities may be equal
    return greater + log1p_of(exp_of(apart))


# erf(x) / x - 1 in powers of x², for |x| ≤ 3/4.
ERF_FLOAT32 = (0.12837917, -0.3761262, 0.11283377, -0.026834624, 0.0051143453, -0.0006749512)
ERF_FLOAT64 = (
    0.1283791670955126, -0.37612638903183715, 0.11283791670952481, -0.026866170644402457, 0.005223977615121894,
    -0.0008548326169060113, 0.00012055288775860165, -1.4924176601964148e-05, 1.6430387678304704e-06,
    -1.5937595537869952e-07, 1.1463742057946584e-08,
)  # fmt: skip
# exp(x²) erfc(x) (x + K) in powers of (x - K) / (x + K), for x ≥ 0 until erfc(x) vanishes; K is 3 and 4.
ERFC_FLOAT32 = (
    1.0740069, -0.8833945, 0.5902283, -0.31046602, 0.11952907, -0.026839826, -0.0012264304, 0.0030803285,
    -0.00048317728, -0.00032533376,
)  # fmt: skip
ERFC_FLOAT64 = (
    1.095995661000491, -0.976548729080882, 0.7732087022652373, -0.5408538313132351, 0.3308515878779959,
    -0.17401093723992786, 0.07638151490981587, -0.026370053340530622, 0.006112055647920739, -0.00028095886323151474,
    -0.0004550526166673492, 0.0001768128076511203, -3.6355295503538844e-06, -1.8860873283721987e-05,
    4.695641522248924e-06, 1.4242814441296027e-06, -8.489386017210931e-07, -7.59772609750574e-08,
    1.280211581225958e-07, 1.799179741591671e-09, -1.860299262731148e-08, -8.350010444938828e-10,
    2.1055881227023464e-09, 4.169951386630929e-10,
)  # fmt: skip


def erfc_of(x: Number) -> Number:
    """``1 - erf(x)`` for x ≥ 0, after W. J. Cody and M. M. Shepherd & J. G. Laframboise (1981)."""
    highest, middle = x.pick((10.2, 3.0), (27.3, 4.0))
    x = x.where(">", highest, highest)
    short = (x.integer() & -(2 ** (x.digits // 2 + 1))).number()  # so few digits that its square is exact
    falling = exp_of(-(short * short), (x - short) * (x + short))
    raised = x + middle
    near = raised - middle  # what x is if that sum is exact; then a step of Taylor's series from there to x
    found = polynomial((raised - 2.0 * middle) / raised, x.pick(ERFC_FLOAT32, ERFC_FLOAT64)) / raised
    return falling * (found + (near - x) * (1.1283791670955126 - near * found * 2.0))


def erf_near_0(x: Number) -> Number:
    """``erf(x)`` for |x| ≤ 3/4."""
    return x + x * polynomial(x * x, x.pick(ERF_FLOAT32, ERF_FLOAT64))


@elementary
def erf(x: Number) -> Number:
    """The error function, within 1.8 ulp."""
    return abs(x).choose("<", 0.75, erf_near_0(x), (1.0 - erfc_of(abs(x))).signed_as(x))


@elementary
def erfc(x: Number) -> Number:
    """``1 - erf(x)``, within 4.9 ulp, also where that is small."""
    far = erfc_of(abs(x))
    return abs(x).choose("<", 0.5, 1.0 - erf_near_0(x), x.choose("<", 0.0, 2.0 - far, far))
