"""Normalisation over the last axis of each sample: `LayerNorm`, `RMSNorm`."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Rational

from ..binders import Sum, from_user
from ..network import Network
from ..schedules import at_least
from ..tensors import Tensor
from .base import Layer, Place, axis_letters, latex_of, letters, needs_axes


class LayerNorm(Layer):
    """Layer normalisation over the last axis, of size n (Ba, Kiros and Hinton 2016, equations 3 and 4).

    ``mu[i] = Sum(x[i, k], k) / n``, ``r[i] = (Sum((x[i, k] - mu[i])**2, k) / n + eps)**(-1/2)``,
    ``xh[i, j] = (x[i, j] - mu[i]) r[i]``, ``a[i, j] = gamma[j] xh[i, j] + beta[j]``. With more axes between the batch
    and the last one, every position is normalised by itself. The parameters are ``gamma1 (n,)``, which starts at 1, and
    ``beta1 (n,)``, which starts at 0.

    Parameters
    ----------
    eps : added to the variance; a number of at least 0.
    affine : whether there are gamma and beta; without them the outgoing tensor is ``xh``.

    Raises
    ------
    DataError
        If `eps` is no number of at least 0.
    ShapeError
        On `build`, if the incoming tensor has no axis but the batch.
    """

    def __init__(self, eps: float = 1e-5, affine: bool = True) -> None:
        self.eps = at_least("eps of LayerNorm", eps, 0)
        self.affine = affine

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place)
        n, note = x.shape[-1], f"LayerNorm, layer {place}"
        *lead, j, k = letters(network, axis_letters(x.rank + 1, "jk"))
        at, own = tuple(lead), (*lead, j)
        mu = network.define(f"mu{place}", at, Sum(x[(*at, k)], k) / n, note=note)
        variance = Sum((x[(*at, k)] - mu[at]) ** 2, k) / n
        r = network.define(f"r{place}", at, _inverse_root(variance, self.eps), note=note)
        hat = latex_of(r"\hat{x}", place)
        xh = network.define(f"xh{place}", own, (x[own] - mu[at]) * r[at], latex=hat, note=note)
        if not self.affine:
            return xh
        gamma = self.parameter(network, "gamma", (n,), place, init=1)
        beta = self.parameter(network, "beta", (n,), place)
        return network.define(f"a{place}", own, gamma[j] * xh[own] + beta[j], note=note)


class RMSNorm(Layer):
    """Root-mean-square normalisation over the last axis, of size n (Zhang and Sennrich 2019, equation 4).

    ``r[i] = (Sum(x[i, k]**2, k) / n + eps)**(-1/2)``, ``a[i, j] = gamma[j] x[i, j] r[i]``. With more axes between the
    batch and the last one, every position is normalised by itself. The parameter is ``gamma1 (n,)``, which starts at 1.

    Parameters
    ----------
    eps : added to the mean square; a number of at least 0.
    affine : whether there is gamma.

    Raises
    ------
    DataError
        If `eps` is no number of at least 0.
    ShapeError
        On `build`, if the incoming tensor has no axis but the batch.
    """

    def __init__(self, eps: float = 1e-5, affine: bool = True) -> None:
        self.eps = at_least("eps of RMSNorm", eps, 0)
        self.affine = affine

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place)
        n, note = x.shape[-1], f"RMSNorm, layer {place}"
        *lead, j, k = letters(network, axis_letters(x.rank + 1, "jk"))
        at, own = tuple(lead), (*lead, j)
        r = network.define(f"r{place}", at, _inverse_root(Sum(x[(*at, k)] ** 2, k) / n, self.eps), note=note)
        body = x[own] * r[at]
        if self.affine:
            body *= self.parameter(network, "gamma", (n,), place, init=1)[j]
        return network.define(f"a{place}", own, body, note=note)


def _inverse_root(square: Expr, eps: Any) -> Expr:
    return (square + from_user(eps)) ** Rational(-1, 2)
