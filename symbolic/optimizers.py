"""The optimizers, as equations only; see `Optimizer` for writing one.

Options have PyTorch's names and meaning, and the updates agree with ``torch.optim``. Every one takes ``clip_value`` and
``clip_norm``, which clip the gradient first; see `Optimizer`.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, sqrt

from .errors import DataError
from .optimizer import Optimizer
from .schedules import at_least


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay as options.

    With momentum the velocity is ``u = momentum u + g`` and the step ``lr u`` (Polyak 1964), or ``lr (g + momentum u)``
    with `nesterov` (Sutskever et al. 2013).

    Parameters
    ----------
    lr : learning rate: a number, a schedule, or a function of the step.
    momentum : in [0, 1); 0 for none.
    nesterov : look ahead; needs momentum.
    weight_decay : λ of the term λ/2 ‖θ‖², added to the gradient.
    clip_value, clip_norm : clip the gradient first, by value or by its norm; see `Optimizer`.

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self,
        lr: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_value=clip_value, clip_norm=clip_norm)
        theta, q = self.theta, self.q
        if nesterov and not momentum:
            raise DataError("nesterov needs momentum, found momentum=0; give momentum=0.9, say")
        step = gradient = self._decayed(weight_decay)
        if at_least("momentum", momentum, 0, 1):
            mu = self.hyperparameter("momentum", momentum, latex=r"\mu")
            velocity = self.state("u", latex="u")
            u = self.assign(velocity, mu * velocity[q] + gradient, note="velocity")
            step = gradient + mu * u if nesterov else u
        self.assign(theta, theta[q] - self.lr * step)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1), with the bias of both moments corrected.

    Parameters
    ----------
    lr : learning rate: a number, a schedule, or a function of the step.
    beta1, beta2 : decay rates of the moments, in [0, 1).
    eps : added to the root of the second moment.
    weight_decay : λ of the term λ/2 ‖θ‖², added to the gradient; see `AdamW` for decay apart from it.
    clip_value, clip_norm : clip the gradient first, by value or by its norm; see `Optimizer`.

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self,
        lr: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_value=clip_value, clip_norm=clip_norm)
        self._adam(beta1, beta2, eps, self._decayed(weight_decay), sympy.Integer(0))

    def _adam(self, beta1: float, beta2: float, eps: float, gradient: Expr, decay: Expr) -> None:
        b1 = self.hyperparameter("beta1", at_least("beta1", beta1, 0, 1), latex=r"\beta_1")
        b2 = self.hyperparameter("beta2", at_least("beta2", beta2, 0, 1), latex=r"\beta_2")
        e = self.hyperparameter("eps", at_least("eps", eps, 0), latex=r"\varepsilon")
        m = self._average("m", b1, gradient, "m")
        v = self._average("v", b2, gradient**2, "v")
        theta, t = self.theta[self.q], self.step
        step = (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + e)
        self.assign(self.theta, theta - self.lr * (step + decay * theta))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2): θ also shrinks by ``lr λ θ``.

    Parameters
    ----------
    lr, beta1, beta2, eps : as in `Adam`.
    weight_decay : λ.
    clip_value, clip_norm : clip the gradient first, by value or by its norm; see `Optimizer`.

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self,
        lr: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        Optimizer.__init__(self, lr, clip_value=clip_value, clip_norm=clip_norm)
        decay: Expr = sympy.Integer(0)
        if at_least("weight_decay", weight_decay, 0):
            decay = self.hyperparameter("weight_decay", weight_decay, latex=r"\lambda")
        self._adam(beta1, beta2, eps, self.g, decay)


class RMSProp(Optimizer):
    """RMSProp (Tieleman and Hinton 2012, lecture 6e): the gradient over the root of its mean square.

    Parameters
    ----------
    lr : learning rate: a number, a schedule, or a function of the step.
    alpha : decay rate of the mean square, in [0, 1).
    eps : added to the root.
    weight_decay : λ of the term λ/2 ‖θ‖², added to the gradient.
    momentum : in [0, 1); 0 for none.
    centered : divide by the standard deviation instead, as Graves (2013) does.
    clip_value, clip_norm : clip the gradient first, by value or by its norm; see `Optimizer`.

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self,
        lr: Any = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_value=clip_value, clip_norm=clip_norm)
        a = self.hyperparameter("alpha", at_least("alpha", alpha, 0, 1), latex=r"\alpha")
        e = self.hyperparameter("eps", at_least("eps", eps, 0), latex=r"\varepsilon")
        gradient = self._decayed(weight_decay)
        variance = self._average("v", a, gradient**2, "v")
        if centered:
            variance -= self._average("m", a, gradient, "m") ** 2
        step = gradient / (sqrt(variance) + e)
        if at_least("momentum", momentum, 0, 1):
            mu = self.hyperparameter("momentum", momentum, latex=r"\mu")
            velocity = self.state("u", latex="u")
            step = self.assign(velocity, mu * velocity[self.q] + step, note="velocity")
        self.assign(self.theta, self.theta[self.q] - self.lr * step)


class AdaGrad(Optimizer):
    """AdaGrad (Duchi, Hazan and Singer 2011): the gradient over the root of the sum of its squares.

    Parameters
    ----------
    lr : learning rate: a number, a schedule, or a function of the step.
    lr_decay : the rate at step t is ``lr / (1 + lr_decay (t - 1))``.
    weight_decay : λ of the term λ/2 ‖θ‖², added to the gradient.
    eps : added to the root.
    initial : the sum of squares before the first step.
    clip_value, clip_norm : clip the gradient first, by value or by its norm; see `Optimizer`.

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self,
        lr: Any = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        eps: float = 1e-10,
        initial: float = 0.0,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(lr, clip_value=clip_value, clip_norm=clip_norm)
        gradient = self._decayed(weight_decay)
        e = self.hyperparameter("eps", at_least("eps", eps, 0), latex=r"\varepsilon")
        squares = self.state("v", latex="v")
        # States are zero at first, so what they start with stands in the equation that reads them.
        v = self.assign(squares, squares[self.q] + gradient**2)
        if at_least("initial", initial, 0):
            v += self.hyperparameter("initial", initial, latex="v_0")
        rate: Expr = self.lr
        if at_least("lr_decay", lr_decay, 0):
            rate /= 1 + self.hyperparameter("lr_decay", lr_decay, latex=r"\kappa") * (self.step - 1)
        self.assign(self.theta, self.theta[self.q] - rate * gradient / (sqrt(v) + e))


__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Optimizer", "RMSProp"]
