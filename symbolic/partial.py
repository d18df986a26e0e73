"""`Partial`: ∂T[o]/∂U[p] as a node, for saying what a derivative is of before saying what it is."""

from __future__ import annotations

from sympy import Function


class Partial(Function):
    """``Partial(of, by)``, two elements: the local derivative of one equation."""

    nargs = 2
    is_real = True
