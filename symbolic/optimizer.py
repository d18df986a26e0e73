"""`Optimizer`: how parameters and state change in one step, as equations.

An optimizer holds equations over one index ``q`` of the flat vector of all trainable parameters θ, with gradient g.
They are assignments in order: a right side that names its own target reads the old value, later equations the new
ones. An optimizer of your own is a subclass of `Optimizer` that states its equations::

    class SignSGD(gl.optimizers.Optimizer):
        def __init__(self, lr=0.01):
            super().__init__(lr)
            self.assign(self.theta, self.theta[self.q] - self.lr * sympy.sign(self.g))
"""

from __future__ import annotations

import math
from typing import Any

from sympy import Expr

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


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool | str) or not math.isfinite(number := float(value)):
        raise DataError(f"{name} must be one finite number, found {value!r}")
    return number
