"""Operators that work entry by entry, put together: what exporters write GELU, SiLU or layer normalisation as."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import Expr, Function, Integer, Piecewise, Rational

from ...symbolic import activations
from ...symbolic import layers as L
from ...symbolic.functions import Elementwise
from .imported import Part

Array = NDArray[Any]
AT = np.linspace(-4.1, 4.3, 29)  # where formulas are compared
NEAR = 1e-6  # constants are of single precision
MOST = 16  # operators of one formula


class Mean(Function):  # type: ignore[misc]
    """The mean of the last axis."""


_z = sympy.Symbol("z", real=True)
_d, _v, _e = (sympy.Symbol(name, positive=True) for name in "dve")

OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Pow": lambda a, b: a**b,
    "Neg": lambda a: -a,
    "Reciprocal": lambda a: 1 / a,
    "Sqrt": sympy.sqrt,
    "Exp": sympy.exp,
    "Log": sympy.log,
    "Erf": sympy.erf,
    "Abs": sympy.Abs,
    "Tanh": activations.tanh,
    "Sigmoid": activations.sigmoid,
    "Relu": activations.relu,
    "Softplus": activations.softplus,
    "Mish": lambda a: a * activations.tanh(activations.softplus(a)),
    "HardSwish": lambda a: a * _clipped(a / 6 + Rational(1, 2), Integer(0), Integer(1)),
    "HardSigmoid": lambda a, alpha=Rational(1, 5), beta=Rational(1, 2): _clipped(
        alpha * a + beta, Integer(0), Integer(1)
    ),
    "Clip": lambda a, low=None, high=None, min=None, max=None: _clipped(
        a, low if min is None else min, high if max is None else max
    ),  # numbers are attributes before opset 11
}


def _clipped(a: Expr, low: Any, high: Any) -> Expr:
    parts = [] if low is None else [(low, a < low)]
    return Piecewise(*parts, *([] if high is None else [(high, a > high)]), (a, True))


def named() -> dict[str, Any]:
    """The activations of gradloom's that stand for the formula that they are."""
    return {name: getattr(activations, name) for name in ("gelu", "gelu_tanh", "silu", "relu", "sigmoid", "tanh")}


@functools.cache
def _values() -> dict[str, Array]:
    return {name: _at(function(_z)) for name, function in named().items()}


def _at(formula: Expr) -> Array:
    """A formula at the places where formulas are compared."""
    plain = formula
    while plain.has(Elementwise):
        plain = plain.replace(lambda node: isinstance(node, Elementwise), lambda node: node.expand_definition())
    try:
        return np.array([complex(plain.xreplace({_z: sympy.Float(at)}).evalf()) for at in AT])
    except TypeError:  # a condition on what is not real there: no formula that has a name
        return np.full(len(AT), np.nan)


def number(value: Any) -> Expr:
    """A constant as people wrote it: that of a file is of single precision."""
    found = value.item()
    if isinstance(found, int):
        return Integer(found)
    return Rational(str(value))


def formulas(
    nodes: Sequence[Any],
    start: int,
    current: str,
    constants: Mapping[str, Array],
    rank: int,
    last: Callable[[Any], bool],
) -> Iterator[tuple[int, Expr]]:
    """What nodes from `start` on make of each entry of `current`, after every one where all goes through one tensor.

    Parameters
    ----------
    rank : of what is read; a constant of more axes would give it as many.
    last : whether a ReduceMean is one over the last axis.
    """
    known: dict[str, Expr] = {current: _z}
    readers: dict[str, int] = {}
    for place, node in enumerate(nodes):
        readers |= dict.fromkeys(node.input, place)
    for place in range(start, min(start + MOST, len(nodes))):
        node = nodes[place]
        if node.op_type == "ReduceMean" and node.input[0] in known and last(node):
            made: Any = Mean(known[node.input[0]])
        elif node.op_type in OPERATORS and not node.domain:
            given = [_operand(name, known, constants, rank) if name else None for name in node.input]
            if any(value is NotImplemented for value in given):
                return
            options = {one.name: number(np.float32(one.f)) for one in node.attribute if one.HasField("f")}
            made = OPERATORS[node.op_type](*given, **options)
        else:
            return
        known[node.output[0]] = sympy.sympify(made)
        if all(readers.get(name, -1) <= place for name in known if name != node.output[0]):
            yield place, known[node.output[0]]


def _operand(name: str, known: Mapping[str, Expr], constants: Mapping[str, Array], rank: int) -> Any:
    if name in known:
        return known[name]
    found = constants.get(name)
    if found is None or found.size != 1 or found.ndim > rank:
        return NotImplemented
    is_number = found.dtype.kind in "iuf" and np.isfinite(found).all()
    return number(found.reshape(())[()]) if is_number else NotImplemented


def layer_of(formula: Expr) -> Part | None:
    """A layer that has a name: an activation, or a normalisation of the last axis without scales."""
    if formula.has(Mean):
        return _normalised(formula)
    values = None
    for name, function in named().items():
        values = _at(formula) if values is None else values
        if np.allclose(values, _values()[name], rtol=NEAR, atol=NEAR):
            return Part(L.Activation(function))
    return None


def _normalised(formula: Expr) -> Part | None:
    centred = _z - Mean(_z)
    for moved, make in ((centred, L.LayerNorm), (_z, L.RMSNorm)):
        short = formula.xreplace({Mean(moved**2): _v}).subs(moved, _d)
        if short.free_symbols != {_d, _v} or short.has(Mean):
            continue
        eps = sympy.simplify((_d / short) ** 2 - _v)
        if eps.is_number and eps >= 0 and sympy.simplify(short / _d).subs(_v, 1).is_positive:
            return Part(make(float(eps), affine=False))
    return None


def of_formula(formula: Expr) -> Part:
    """A formula without a name as an activation, one of the user's own."""

    def formula_of_file(z: Any) -> Any:
        return formula.xreplace({_z: z})

    return Part(L.Activation(formula_of_file))
