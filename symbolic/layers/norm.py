"""Normalisation of each sample: `LayerNorm` and `RMSNorm` over the last axis, `GroupNorm` over groups of channels."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Mod, Rational, cancel, prod

from ..binders import Sum, from_user
from ..errors import ShapeError
from ..indices import as_size
from ..network import Network
from ..ranges import quotient
from ..schedules import at_least
from ..tensors import Tensor, shape_text
from .base import Layer, Place, as_flag, axis_letters, latex_of, letters, needs_axes


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
        self.affine = as_flag(affine, f"affine of {type(self).__name__}")

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
        self.affine = as_flag(affine, f"affine of {type(self).__name__}")

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


class GroupNorm(Layer):
    """Normalisation of each group of channels (Wu and He 2018, equations 1, 2 and 7), by the sample's own statistics.

    The m = C / groups channels of a group and all places behind them are normalised together; for images::

        v[i, g, c, h, w]  = x[i, m g + c, h, w]
        mu[i, g]          = Sum(v[i, g, c, h, w], c, h, w) / N,  with N = m H W
        r[i, g]           = (Sum((v[i, g, c, h, w] - mu[i, g])**2, c, h, w) / N + eps)**(-1/2)
        xh[i, g, c, h, w] = (v[i, g, c, h, w] - mu[i, g]) r[i, g]
        a[i, j, h, w]     = gamma[j] xh[i, j // m, j % m, h, w] + beta[j]

    One group normalises all of a sample; as many as there are channels, each channel by itself (instance
    normalisation). The parameters are ``gamma1 (C,)``, which starts at 1, and ``beta1 (C,)``, which starts at 0.

    Parameters
    ----------
    groups : the number of groups, which divides the channels: axis 1 of (B, C), (B, C, L) or (B, C, H, W).
    eps : added to the variance; a number of at least 0.
    affine : whether there are gamma and beta.

    Raises
    ------
    DataError
        If `eps` is no number of at least 0.
    ShapeError
        If `groups` is no size; on `build`, if it does not divide the channels, or `x` has not 2 to 4 axes.
    """

    def __init__(self, groups: Any, eps: float = 1e-5, affine: bool = True) -> None:
        self.groups = as_size(groups, "groups of GroupNorm")
        self.eps = at_least("eps of GroupNorm", eps, 0)
        self.affine = as_flag(affine, f"affine of {type(self).__name__}")

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place, most=4)
        channels, groups = x.shape[1], self.groups
        m = cancel(channels / groups)
        if not m.is_integer:
            raise ShapeError(
                f"GroupNorm at place {place} has {groups} groups, which do not divide the {channels} channels of "
                f"{x.name} {shape_text(x.shape)}; give a number of groups that divides them"
            )
        note = f"GroupNorm, layer {place}"
        i, g, c, j, *rest = letters(network, "igcj" + "hw"[: x.rank - 2])
        inner, sizes = (i, g, c, *rest), (x.shape[0], groups, m, *x.shape[2:])
        over, count = [(index, size) for index, size in zip(inner[2:], sizes[2:], strict=True)], prod(sizes[2:])
        v = network.define(f"v{place}", inner, x[(i, m * g + c, *rest)], shape=sizes, note=note)
        mu = network.define(f"mu{place}", (i, g), Sum(v[inner], *over) / count, note=note)
        variance = Sum((v[inner] - mu[i, g]) ** 2, *over) / count
        r = network.define(f"r{place}", (i, g), _inverse_root(variance, self.eps), note=note)
        hat = latex_of(r"\hat{x}", place)
        xh = network.define(f"xh{place}", inner, (v[inner] - mu[i, g]) * r[i, g], latex=hat, note=note)
        own = (i, j, *rest)
        body = xh[(i, quotient(j, m), Mod(j, m), *rest)]
        if self.affine:
            gamma = self.parameter(network, "gamma", (channels,), place, init=1)
            body = gamma[j] * body + self.parameter(network, "beta", (channels,), place)[j]
        return network.define(f"a{place}", own, body, shape=x.shape, note=note)


def _inverse_root(square: Expr, eps: Any) -> Expr:
    return (square + from_user(eps)) ** Rational(-1, 2)
