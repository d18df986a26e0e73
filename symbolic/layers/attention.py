"""Self-attention, and the block of a transformer that is made of it."""

from __future__ import annotations

import math
from typing import Any

from sympy import And, Expr, Integer, Piecewise, sqrt

from ..activations import gelu, softmax
from ..binders import Sum
from ..errors import ShapeError
from ..indices import Index, as_size
from ..network import Network
from ..tensors import Tensor
from .base import Layer, Place, as_flag, latex_of, letters, mask_input, needs_axes
from .chain import Chain, Residual
from .dense import Dense
from .norm import LayerNorm

_NEVER = Integer(-(10**9))  # a score that the softmax makes 0, and that every float type holds


class Attention(Layer):
    """Multi-head scaled dot-product self-attention over (B, T, n) (Vaswani et al. 2017, section 3.2).

    For head h and positions t, u, with d running over the units of a head::

        q[i, h, t, d] = Sum(Wq[h, d, k] x[i, t, k], k) + bq[h, d]       and v likewise; k without a bias
        s[i, h, t, u] = Sum(q[i, h, t, d] k[i, h, u, d], d) / sqrt(head_units)
        p[i, h, t, u] = softmax(s[i, h, t, u], u)
        o[i, h, t, d] = Sum(p[i, h, t, u] v[i, h, u, d], u)
        z[i, t, j] = Sum(Wo[j, h, d] o[i, h, t, d], h, d) + bo[j]

    With `causal` or `mask` the softmax is of ``c``, which is s where u may be seen from t, and -1e9 where not. The
    parameters are ``Wq1``, ``Wk1``, ``Wv1`` of shape (heads, head_units, n), ``Wo1 (n, heads, head_units)``, ``bq1``,
    ``bv1 (heads, head_units)`` and ``bo1 (n,)``. There is no bias of the keys: it would add the same to all scores of a
    query, which softmax ignores.

    Parameters
    ----------
    heads : how many heads.
    head_units : size of a head's queries, keys and values; by default n / heads.
    causal : whether position t sees only the positions up to itself.
    mask : None, or the name of an input (B, T) of numbers, 1 for a position that may be seen and 0 for one that may not
        (padding). It is declared unless the network has it: several layers may name the same one. Where a row is all 0
        (or all that it holds is later, if `causal`), every position is seen alike.
    bias : whether there are biases.

    Raises
    ------
    ShapeError
        If a size is no size; on `build`, if the incoming tensor has not three axes, if n is no multiple of `heads` and
        there is no `head_units`, or if `mask` names a tensor of another shape.
    """

    def __init__(
        self,
        heads: Any,
        head_units: Any = None,
        causal: bool = False,
        mask: str | None = None,
        bias: bool = True,
    ) -> None:
        self.heads = as_size(heads, "heads of Attention")
        self.head_units = None if head_units is None else as_size(head_units, "head_units of Attention")
        self.causal = as_flag(causal, f"causal of {type(self).__name__}")
        self.mask = mask
        self.bias = as_flag(bias, f"bias of {type(self).__name__}")

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 3, self, place, most=3)
        n, note = x.shape[-1], f"Attention, layer {place}"
        units = self._head_units(n, place)
        seen = mask_input(self, network, x, place)
        i, h, t, u, d, j, k = letters(network, "ihtudjk")

        def projected(name: str, bias: bool) -> Tensor:
            W = self._weight(network, "W", name, (self.heads, units, n), place, init=_glorot_in)
            body = Sum(W[h, d, k] * x[i, t, k], k)
            if bias:
                body += self._weight(network, "b", name, (self.heads, units), place, init=0)[h, d]
            return network.define(f"{name}{place}", (i, h, t, d), body, note=note)

        q, key, v = projected("q", self.bias), projected("k", False), projected("v", self.bias)
        scores = Sum(q[i, h, t, d] * key[i, h, u, d], d) / sqrt(units)
        s = network.define(f"s{place}", (i, h, t, u), scores, note=note)
        allowed = self._allowed(s[i, h, t, u], seen, i, t, u)
        if allowed != s[i, h, t, u]:
            s = network.define(f"c{place}", (i, h, t, u), allowed, note=note)
        p = network.define(f"p{place}", (i, h, t, u), softmax(s[i, h, t, u], u), note=note)
        o = network.define(f"o{place}", (i, h, t, d), Sum(p[i, h, t, u] * v[i, h, u, d], u), note=note)
        W = self._weight(network, "W", "o", (n, self.heads, units), place, init=_glorot_out)
        body = Sum(W[j, h, d] * o[i, h, t, d], h, d)
        if self.bias:
            body += self._weight(network, "b", "o", (n,), place)[j]
        return network.define(f"z{place}", (i, t, j), body, note=note)

    def _weight(self, network: Network, kind: str, of: str, shape: Any, place: Place, init: Any = None) -> Tensor:
        return self.parameter(network, kind + of, shape, place, init=init, latex=latex_of(kind, place, of.upper()))

    def _head_units(self, n: Any, place: Place) -> Any:
        if self.head_units is not None:
            return self.head_units
        units = n / self.heads
        if not units.is_integer:
            raise ShapeError(
                f"Attention at place {place} divides an axis of size {n} among {self.heads} heads, which does not come "
                "out even; choose a divisor of it, or give head_units"
            )
        return units

    def _allowed(self, score: Expr, seen: Tensor | None, i: Index, t: Index, u: Index) -> Expr:
        """The score, where key u may be seen from position t."""
        conditions = ([u <= t] if self.causal else []) + ([seen[i, u] > 0] if seen is not None else [])
        return Piecewise((score, And(*conditions)), (_NEVER, True)) if conditions else score


class TransformerBlock(Chain):
    """A pre-norm transformer block over (B, T, n) (Xiong et al. 2020, figure 1b).

    ``a = x + Attention(LayerNorm(x))``, then ``a + Dense(n)(Dense(hidden, activation)(LayerNorm(a)))``.

    Parameters
    ----------
    units : n, the size of the incoming last axis.
    heads : how many heads the attention has.
    hidden : units of the first dense layer; 4 n is usual.
    activation : that of the first dense layer.
    causal, mask : as in `Attention`.
    eps : that of both `LayerNorm`.

    Raises
    ------
    ShapeError
        If a size is no size; on `build`, if the incoming tensor is not (B, T, n).
    """

    def __init__(
        self,
        units: Any,
        heads: Any,
        hidden: Any,
        activation: Any = gelu,
        causal: bool = False,
        mask: str | None = None,
        eps: float = 1e-5,
    ) -> None:
        attention = [LayerNorm(eps), Attention(heads, causal=causal, mask=mask)]
        dense = [LayerNorm(eps), Dense(hidden, activation), Dense(units)]
        super().__init__([Residual(attention), Residual(dense)])


def _glorot_in(rng: Any, shape: tuple[int, ...]) -> Any:
    """Glorot uniform for a weight (heads, head_units, n): it takes n and gives heads · head_units."""
    return _uniform(rng, shape, shape[0] * shape[1] + shape[2])


def _glorot_out(rng: Any, shape: tuple[int, ...]) -> Any:
    """Glorot uniform for a weight (n, heads, head_units): it takes heads · head_units and gives n."""
    return _uniform(rng, shape, shape[0] + shape[1] * shape[2])


def _uniform(rng: Any, shape: tuple[int, ...], fans: int) -> Any:
    bound = math.sqrt(6 / fans)
    return rng.uniform(-bound, bound, shape)
