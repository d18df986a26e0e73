"""Networks declared by equations of random elements, and what should never be given."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fuzzing.choices import Choices
from fuzzing.oracle import CANARY, PAYLOADS

NAMES = ("x", "y", "W", "b", "z", "h", "V", "L", "state", "mask", "W1", "lambda", "def", "_", "__class__", "a b",
         "x" * 300,
         "", "1", "δ", "ｘ", "print", "np", "real", "B", "i", "loss", "params", "step", "seed", "n\nm",
         *PAYLOADS)  # fmt: skip


def hostile(choices: Choices, gl: Any) -> Any:
    """What should never be given, and now and then what may be."""
    other = gl.Network("other")
    plain = (None, True, False, "", 0, -1, 1, 2**70, 10**400, 0.0, -0.5, 1e308, 5e-324, float("nan"), float("inf"),
             1j, b"x", [],
             (), {}, set(), object(), object, len, gl, Ellipsis, NotImplemented, range(3), [1, [2]], {"a": 1}, ("a",),
             CANARY,
             lambda *a: CANARY, lambda *a: 1 / 0, np.zeros(3), np.float32(2), np.int64(3), np.array("x"),
             np.bool_(True),
             np.array([None]), np.nan, gl.Dim("n"), gl.Index("i"), gl.dims("n m"), other, gl.relu, gl.sigmoid,
             gl.softmax,
             gl.layers.Dense, gl.layers.Dense(2), gl.losses.SquaredError, gl.losses.SquaredError(),
             gl.optimizers.SGD())  # fmt: skip
    kind = choices.below(8)
    if kind == 0:
        return choices.text(20)
    if kind == 1:
        return choices.pick(PAYLOADS)
    if kind == 2:
        return choices.number()
    if kind == 3:
        import sympy

        return choices.pick((sympy.Symbol("q"), sympy.Float("nan"), sympy.oo, sympy.zoo, sympy.I, sympy.Rational(1,
                                                            3), sympy.pi,
                             sympy.Integer(2), sympy.true, sympy.Matrix([[1]]), sympy.Lambda(sympy.Symbol("q"), 1),
                             sympy.S(0),
                             sympy.Function("f"), sympy.Eq(sympy.Symbol("q"), 1), sympy.Tuple(1, 2),
                             sympy.EmptySet))  # fmt: skip
    return choices.pick(plain)


def expression(choices: Choices, gl: Any, tensors: list[Any], letters: list[Any], depth: int = 3) -> Any:
    """An expression of elements, of which some are out of place."""
    kind = choices.below(12) if depth else choices.below(3)
    more = lambda: expression(choices, gl, tensors, letters, depth - 1)  # noqa: E731
    if kind < 3 and tensors:
        tensor = choices.pick(tensors)
        places = [letters["Bnm".find(str(size)) % 4] for size in tensor.shape]
        if choices.one_in(12):
            places = [choices.pick(letters) + choices.pick((0, 0, 0, 1, -1)) for _ in range(choices.below(4))]
        if choices.one_in(60):
            places = [hostile(choices, gl)]
        return tensor[tuple(places)] if places or choices.one_in(2) else tensor
    if kind == 4:
        return more() + more()
    if kind == 5:
        return more() * more()
    if kind == 6:
        return more() - more() / choices.pick((2, 3, more()))
    if kind == 7:
        return choices.pick((gl.sigmoid, gl.tanh, gl.relu, gl.softplus, gl.gelu, gl.held, gl.elu))(more())
    if kind == 8:
        return choices.pick((gl.Sum, gl.Sum, gl.Max, gl.ArgMax))(
            more(), *[choices.pick(letters) for _ in range(choices.pick((1, 2, 0)))]
        )
    if kind == 9:
        return more() ** choices.pick((2, 3, -1, 0.5, more()))
    if kind == 10:
        return (
            gl.padded(more()) if choices.one_in(2) else gl.inside(choices.pick(letters), choices.pick((3, gl.Dim("n"))))
        )
    return hostile(choices, gl) if choices.one_in(50) else choices.pick((1, 2, 0.5, gl.Dim("B"), gl.Dim("n")))


def network(choices: Choices, gl: Any) -> Any:
    B, n, m = gl.dims("B n m")
    letters = list(gl.indices("i j k l"))
    net = gl.Network(choices.pick(NAMES) if choices.one_in(12) else "net")
    tensors: list[Any] = []
    names = itertools.chain(("x", "W", "b"), (f"t{number}" for number in itertools.count()))
    spoilt = choices.pick((10**6, 30, 8))

    def name() -> Any:
        return (
            hostile(choices, gl)
            if choices.one_in(3 * spoilt)
            else choices.pick(NAMES)
            if choices.one_in(spoilt)
            else next(names)
        )

    for number in range(2 + choices.below(3)):
        how = (net.input, net.parameter, net.parameter, net.target, net.sequence)[number % 5]
        shape: Any = choices.pick(((B, n), (m, n), (n,), (), (B, m), (3, 2)))
        shape = hostile(choices, gl) if choices.one_in(spoilt) else shape
        latex = (
            {"latex": choices.pick((r"\hat y", *PAYLOADS, "{", hostile(choices, gl)))} if choices.one_in(spoilt) else {}
        )
        tensors.append(how(name(), shape, **latex))
    if choices.one_in(4):
        tensors.append(net.constant(name(), hostile(choices, gl) if choices.one_in(spoilt) else 0.5))
    for _ in range(choices.below(3)):
        body = expression(choices, gl, tensors, letters)
        where: Any = tuple(letter for letter in letters if letter in getattr(body, "free_symbols", ()))
        where = hostile(choices, gl) if choices.one_in(spoilt) else where
        tensors.append(net.define(name(), where, body))
    body = expression(choices, gl, tensors, letters, 4) + sum(
        expression(choices, gl, [t], letters, 0) for t in net.parameters
    )
    if choices.one_in(spoilt):
        body = hostile(choices, gl)
    free = [letter for letter in letters if letter in getattr(body, "free_symbols", ())]
    net.minimize(body if choices.one_in(9) else gl.Sum(body, *free))
    return net
