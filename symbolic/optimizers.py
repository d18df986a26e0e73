"""Optimizers as equations: how parameters and state change in one step.

An optimizer holds equations over one index ``q`` of the flat vector of all trainable parameters θ, with gradient g.
They are assignments in order: a right side that names its own target reads the old value, later equations the new
ones. An optimizer of your own is a subclass of `Optimizer` that states its equations::

    class SignSGD(gl.optimizers.Optimizer):
        def __init__(self, lr=0.01):
            super().__init__(lr)
            self.assign(self.theta, self.theta[self.q] - self.lr * sympy.sign(self.g))

Options have PyTorch's names and meaning, and the updates agree with ``torch.optim``.
"""

from __future__ import annotations

import math
from typing import Any

import sympy
from sympy import Expr, sqrt

from .binders import from_user
from .equations import Equation
from .errors import DataError, NameTakenError, UndefinedError
from .indices import Dim, Index
from .schedules import Constant, Schedule, at_least
from .tensors import Tensor


class Optimizer:
    """Base of the optimizers.

    Parameters
    ----------
    lr : the learning rate: a number, a `Schedule`, or a function of the step ``t`` that returns an expression.

    Attributes
    ----------
    size, q : the symbolic number of trainable entries N, and the index over them
    theta, gradient : the tensors θ and g, of shape (N,); ``g`` is the entry g[q]
    states : list of `Tensor`, zero before the first step
    step : the tensor t of rank 0, which counts steps from 1
    hyper : dict of hyper-parameter (`Tensor` of rank 0) → number
    lr : the symbol of the learning rate, for use in equations
    """

    def __init__(self, lr: Any) -> None:
        self.size, self.q = Dim("N"), Index("q")
        self.theta = Tensor("theta", (self.size,), "parameter", latex=r"\theta")
        self.gradient = Tensor("g", (self.size,), "adjoint", latex="g")
        self.g = self.gradient[self.q]
        self.step = Tensor("t", (), "input", latex="t")
        self.states: list[Tensor] = []
        self.hyper: dict[Tensor, float] = {}
        self._assignments: list[Equation] = []
        # The equations are kept with one symbol for the rate, so that they can be printed so too.
        self.lr = Tensor("lr_t", (), "constant", latex=r"\eta_t")
        self._rate: Expr = self._rate_of(lr)
        if isinstance(self._rate, Tensor):
            self.lr = self._rate

    # ---- for subclasses --------------------------------------------------------------------------------------

    def hyperparameter(self, name: str, value: float, *, latex: str | None = None) -> Tensor:
        """Declare a number that can be changed without compiling again; return its symbol.

        Raises
        ------
        NameTakenError
            If there is a hyper-parameter or state of that name.
        DataError
            If `value` is not one finite number.
        """
        self._check_free(name)
        made = Tensor(name, (), "constant", latex=latex)
        self.hyper[made] = _finite(name, value)
        return made

    def state(self, name: str, *, latex: str | None = None) -> Tensor:
        """Declare a vector like θ that is carried from step to step, 0 before the first."""
        self._check_free(name)
        made = Tensor(name, (self.size,), "state", latex=latex)
        self.states.append(made)
        return made

    def assign(self, target: Tensor, body: Any, *, note: str = "") -> Expr:
        """Add the equation ``target[q] = body``; return ``target[q]``.

        Raises
        ------
        UndefinedError
            If `target` is neither θ nor a state, or `body` reads what the optimizer does not have.
        """
        equation = Equation(target, (self.q,), from_user(body), note)
        if target != self.theta and target not in self.states:
            raise UndefinedError(f"{target} is not a state of {type(self).__name__}; declare it with state()")
        known = [self.theta, self.gradient, self.step, self.lr, *self.states, *self.hyper]
        strange = equation.body.free_symbols - {self.q, *known, *(t[self.q] for t in known if t.rank)}
        if strange:
            raise UndefinedError(
                f"{type(self).__name__}: {min(map(str, strange))} in the equation of {target} is not known; "
                f"expected {', '.join(t.name for t in known)}, each vector at [q]"
            )
        self._assignments.append(equation)
        return equation.lhs

    # ---- asking ----------------------------------------------------------------------------------------------

    @property
    def rate(self) -> Expr:
        """The learning rate, an expression in the step and hyper-parameters."""
        return self._rate

    @property
    def equations(self) -> list[Equation]:
        """The assignments in order, with the schedule in place of the learning rate."""
        known = {self.lr: self._rate}
        return [Equation(e.target, e.indices, e.body.xreplace(known), e.note) for e in self._assignments]

    @property
    def values(self) -> dict[str, float]:
        """The hyper-parameters by name."""
        return {tensor.name: value for tensor, value in self.hyper.items()}

    def set(self, **numbers: float) -> None:
        """Change hyper-parameters, as in ``set(lr=0.01)``; nothing is compiled again.

        Raises
        ------
        UndefinedError
            If there is no hyper-parameter of a name.
        DataError
            If a value is not one finite number.
        """
        known = {tensor.name: tensor for tensor in self.hyper}
        for name, value in numbers.items():
            if name not in known:
                raise UndefinedError(f"{type(self).__name__} has no {name!r} to set; it has {', '.join(known)}")
            self.hyper[known[name]] = _finite(name, value)

    def latex(self) -> str:
        """The update in LaTeX, one line per assignment, and the schedule where there is one."""
        from .latex import latex

        lines = [rf"{latex(e.lhs)} &\leftarrow {latex(e.body)}" for e in self._assignments]
        if self.lr != self._rate:
            lines.append(rf"{latex(self.lr)} &= {latex(self._rate)}")
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        from .text import text

        lines = [f"{text(e.lhs)} ← {text(e.body)}" for e in self._assignments]
        if self.lr != self._rate:
            lines.append(f"{text(self.lr)} = {text(self._rate)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value:g}' for name, value in self.values.items())})"

    def _rate_of(self, lr: Any) -> Expr:
        if isinstance(lr, Schedule):
            return lr.rate(self.step, self.hyperparameter)
        if not callable(lr):
            return Constant(lr).rate(self.step, self.hyperparameter)
        found = from_user(lr(self.step))
        if not isinstance(found, Expr) or found.free_symbols - {self.step}:
            raise DataError(f"the schedule {lr!r} returned {found!r}; expected an expression in the step t alone")
        return found

    def _check_free(self, name: str) -> None:
        names = [self.theta.name, self.gradient.name, self.step.name, *(t.name for t in [*self.states, *self.hyper])]
        if name in names:
            raise NameTakenError(f"{name!r} is taken in {type(self).__name__}; it has {', '.join(names)}")

    def _decayed(self, weight_decay: float) -> Expr:
        """The gradient of the loss with λ/2 ‖θ‖² added: g + λ θ. With λ = 0 there is no term to compute."""
        if not at_least("weight_decay", weight_decay, 0):
            return self.g
        decay = self.hyperparameter("weight_decay", weight_decay, latex=r"\lambda")
        return self.g + decay * self.theta[self.q]

    def _average(self, name: str, rate: Expr, new: Expr, latex: str) -> Expr:
        """An exponential moving average as a state: ``m = rate m + (1 - rate) new``."""
        state = self.state(name, latex=latex)
        return self.assign(state, rate * state[self.q] + (1 - rate) * new)


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

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self, lr: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr)
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

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self, lr: Any = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr)
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

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self, lr: Any = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-2
    ) -> None:
        Optimizer.__init__(self, lr)
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
    ) -> None:
        super().__init__(lr)
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

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(
        self, lr: Any = 0.01, lr_decay: float = 0.0, weight_decay: float = 0.0, eps: float = 1e-10, initial: float = 0.0
    ) -> None:
        super().__init__(lr)
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


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool | str) or not math.isfinite(number := float(value)):
        raise DataError(f"{name} must be one finite number, found {value!r}")
    return number


__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Optimizer", "RMSProp"]
