"""Batch normalisation: by the statistics of the mini-batch in training, by running ones in inference."""

from __future__ import annotations

from numbers import Real

import sympy
from sympy import KroneckerDelta, sqrt

from ..binders import Sum, from_user
from ..errors import DataError, ShapeError
from ..network import Network
from ..tensors import Tensor, shape_text
from .base import Layer, Place, axis_letters, latex_of, letters, needs_axes
from .spatial import OUT


class BatchNorm(Layer):
    """Batch normalisation: each feature by its mean and variance over all other axes, then scaled and shifted.

    In training, with N the number of entries per feature::

        mu[j]   = Sum(x[i, j], i) / N
        var[j]  = Sum((x[i, j] - mu[j])**2, i) / N
        h[i, j] = (x[i, j] - mu[j]) / sqrt(var[j] + eps)
        a[i, j] = gamma[j] h[i, j] + beta[j]

    In inference h is made with ``running_mean`` and ``running_var`` instead, states that after each step become
    ``(1 - momentum)`` times what they were, plus ``momentum`` times mu, and var N / (N - 1). (With one entry per
    feature N - 1 is taken as 1.) All names end in the layer's place.

    S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015; running statistics as in PyTorch.

    Parameters
    ----------
    axis : of the features: the last by default, 1 for images (B, channels, height, width).
    momentum, eps : see above.

    Raises
    ------
    DataError
        If `momentum` is not in (0, 1], or `eps` not positive.
    ShapeError
        On `build`, if `axis` is no axis of `x`, or the batch's.
    """

    def __init__(self, axis: int = -1, momentum: float = 0.1, eps: float = 1e-5) -> None:
        for name, value, most in (("momentum", momentum, 1), ("eps", eps, sympy.oo)):
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= most:
                limit = " of at most 1" if most == 1 else ""
                raise DataError(f"{name} of BatchNorm is {value!r}; expected a positive number{limit}")
        self.axis, self.momentum, self.eps = axis, momentum, eps

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place)
        if self.axis not in range(-x.rank, x.rank) or self.axis % x.rank == 0:
            raise ShapeError(
                f"BatchNorm at place {place} normalises along the other axes than {self.axis}, but {x.name} has shape "
                f"{shape_text(x.shape)}; give the axis of the features, one from 1 to {x.rank - 1}"
            )
        axis = self.axis % x.rank
        # Channels and places of an image have the letters that they have in other layers over images.
        image = axis == 1 and 2 < x.rank < 5
        where = letters(network, "ic" + OUT[x.rank - 2] if image else axis_letters(x.rank, "j"))
        j, others = where[axis], where[:axis] + where[axis + 1 :]
        count = sympy.prod(x.shape[:axis] + x.shape[axis + 1 :])
        shape, note = (x.shape[axis],), f"BatchNorm, layer {place}"
        gamma = self.parameter(network, "gamma", shape, place, init=1)
        beta = self.parameter(network, "beta", shape, place)
        mean = network.state(f"running_mean{place}", shape, latex=latex_of(r"\bar\mu", place))
        variance = network.state(f"running_var{place}", shape, init=1, latex=latex_of(r"\bar v", place))

        mu = network.define(f"mu{place}", j, Sum(x[where], *others) / count, note=note)
        var = network.define(
            f"var{place}", j, Sum((x[where] - mu[j]) ** 2, *others) / count, latex=latex_of("v", place), note=note
        )
        eps, momentum = from_user(self.eps), from_user(self.momentum)
        r = network.define(f"r{place}", j, 1 / sqrt(var[j] + eps), note=note)
        h = network.define(
            f"h{place}",
            where,
            (x[where] - mu[j]) * r[j],
            inference=(x[where] - mean[j]) / sqrt(variance[j] + eps),
            note=note,
        )
        unbiased = var[j] * count / (count - 1 + KroneckerDelta(count, 1))
        network.after_step(mean.name, j, (1 - momentum) * mean[j] + momentum * mu[j], note=note)
        network.after_step(variance.name, j, (1 - momentum) * variance[j] + momentum * unbiased, note=note)
        return network.define(f"a{place}", where, gamma[j] * h[where] + beta[j], note=note)

    def __repr__(self) -> str:
        return f"BatchNorm(axis={self.axis})"


__all__ = ["BatchNorm"]
