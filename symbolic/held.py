"""`held`: a value that the derivation takes as a constant; and `normal`, normal numbers from uniform ones."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, cos, log, pi, sqrt

from .binders import from_user


class held(sympy.Function):
    """``held(x)``: the value of `x`, whose derivative is 0, whatever `x` reads.

    A target that a network makes of its own output, or a statistic that no gradient is to flow through, is held. Note
    that `gradcheck` moves what is held too, and so does not agree with a gradient that passes something by.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Network()
    >>> w = net.parameter("w")
    >>> L = net.minimize(w * gl.held(w))
    >>> print(net.derive()["w"])
    ∂L/∂w = held(w)
    """

    nargs = 1
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption

    def __new__(cls, arg: Any, **options: Any) -> Any:
        return super().__new__(cls, from_user(arg), **options)

    @classmethod
    def eval(cls, arg: Any) -> Any:
        given = from_user(arg)
        if given.is_number or isinstance(given, held):
            return given
        return None if given is arg else cls(given)

    def fdiff(self, argindex: int = 1) -> Expr:
        return sympy.Integer(0)

    def _eval_evalf(self, precision: int) -> Any:
        return self.args[0]._eval_evalf(precision)


def normal(u: Any, v: Any) -> Expr:
    """A number of the standard normal distribution made of two uniform in [0, 1): ``sqrt(-2 log(1 - u)) cos(2 pi v)``.

    G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", Ann. Math. Stat. 29 (1958).
    ``1 - u`` is never 0, so that the logarithm is finite.
    """
    return sqrt(-2 * log(1 - from_user(u))) * cos(2 * pi * from_user(v))


__all__ = ["held", "normal"]
