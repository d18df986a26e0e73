"""`Optimizer`: how parameters and state change in one step, as equations.

An optimizer holds equations over one index ``q`` of the flat vector of all trainable parameters θ, with gradient g.
They are assignments in order: a right side that names its own target reads the old value, later equations the new
ones. A `Sum` over q is a number of the step, of the values as they are where it stands. An optimizer of your own is a
subclass of `Optimizer` that states its equations::

    class SignSGD(gl.optimizers.Optimizer):
        def __init__(self, lr=0.01, **clipping):
            super().__init__(lr, **clipping)
            self.assign(self.theta, self.theta[self.q] - self.lr * sympy.sign(self.g))
"""

from __future__ import annotations

import math
from typing import Any

from sympy import Expr, Piecewise, Symbol, sqrt

from .binders import Sum, binders, from_user
from .equations import Equation
from .errors import DataError, NameTakenError, UndefinedError, UnsupportedError
from .indices import Dim, Index
from .schedules import Constant, Schedule, at_least
from .tensors import Tensor, element_of, elements


class Optimizer:
    """Base of the optimizers.

    Where values and the norm are clipped, values are first. The gradient that the equations after it read is the
    clipped one, so weight decay is added to it unclipped, as where PyTorch's functions are called before the step.

    Parameters
    ----------
    lr : the learning rate: a number, a `Schedule`, or a function of the step ``t`` that returns an expression.
    clip_value : a positive number c: before all else every entry of the gradient is brought into [-c, c].
    clip_norm : a positive number c: before all else a gradient of norm ‖g‖ = sqrt(Σ g[q]²) above c is scaled to norm c,
        g c/‖g‖ (Pascanu, Mikolov and Bengio 2013, algorithm 1). The norm is that of all trainable parameters together.
        PyTorch's ``clip_grad_norm_`` divides by ‖g‖ + 1e-6, so it scales to a little less.

    Attributes
    ----------
    size, q : the symbolic number of trainable entries N, and the index over them
    theta, gradient : the tensors θ and g, of shape (N,); ``g`` is the entry g[q]
    states : list of `Tensor`, zero before the first step
    step : the tensor t of rank 0, which counts steps from 1
    hyper : dict of hyper-parameter (`Tensor` of rank 0) → number
    lr : the symbol of the learning rate, for use in equations

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    def __init__(self, lr: Any, *, clip_value: float | None = None, clip_norm: float | None = None) -> None:
        self.size, self.q = Dim("N"), Index("q")
        self.theta = Tensor("theta", (self.size,), "parameter", latex=r"\theta")
        self.gradient = Tensor("g", (self.size,), "adjoint", latex="g")
        self.g = self.gradient[self.q]
        self.step = Tensor("t", (), "input", latex="t")
        self.states: list[Tensor] = []
        self.hyper: dict[Tensor, float] = {}
        self._positive: set[Tensor] = set()
        self._assignments: list[Equation] = []
        # The equations are kept with one symbol each for the rate and the norm, so that they can be printed so too.
        self._named: dict[Tensor, Expr] = {}
        self.lr = Tensor("lr_t", (), "constant", latex=r"\eta_t")
        self._rate: Expr = self._rate_of(lr)
        if isinstance(self._rate, Tensor):
            self.lr = self._rate
        else:
            self._named[self.lr] = self._rate
        self._clip(clip_value, clip_norm)

    # ---- for subclasses --------------------------------------------------------------------------------------

    def hyperparameter(self, name: str, value: float, *, latex: str | None = None, positive: bool = False) -> Tensor:
        """Declare a number that can be changed without compiling again; return its symbol.

        Raises
        ------
        NameTakenError
            If there is a hyper-parameter or state of that name.
        DataError
            If `value` is not one finite number, or, where it is to be positive, not above 0.
        """
        self._check_free(name)
        made = Tensor(name, (), "constant", latex=latex)
        if positive:
            self._positive.add(made)
        self.hyper[made] = self._checked(made, value)
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
            If `target` is neither θ nor g nor a state, or `body` reads what the optimizer does not have.
        UnsupportedError
            If `body` holds another binder than a `Sum` over one index of the vectors.
        """
        equation = Equation(target, (self.q,), from_user(body, f"{type(self).__name__}, {target}: "), note)
        if target not in (self.theta, self.gradient, *self.states):
            raise UndefinedError(f"{target} is not a state of {type(self).__name__}; declare it with state()")
        self._check_reads(target, equation.body, self.q)
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
        return [Equation(e.target, e.indices, e.body.xreplace(self._named), e.note) for e in self._assignments]

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
            If a value is not one finite number, or not above 0 where it must be.
        """
        known = {tensor.name: tensor for tensor in self.hyper}
        for name, value in numbers.items():
            if name not in known:
                raise UndefinedError(f"{type(self).__name__} has no {name!r} to set; it has {', '.join(known)}")
            self.hyper[known[name]] = self._checked(known[name], value)

    def latex(self) -> str:
        """The update in LaTeX, one line per assignment, and the schedule and the gradient's norm where there are."""
        from .latex import latex

        lines = [rf"{latex(e.lhs)} &\leftarrow {latex(e.body)}" for e in self._assignments]
        lines += [f"{latex(symbol)} &= {latex(body)}" for symbol, body in self._named.items()]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        from .text import text

        lines = [f"{text(e.lhs)} ← {text(e.body)}" for e in self._assignments]
        lines += [f"{text(symbol)} = {text(body)}" for symbol, body in self._named.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value:g}' for name, value in self.values.items())})"

    def _rate_of(self, lr: Any) -> Expr:
        if isinstance(lr, Schedule):
            return lr.rate(self.step, self.hyperparameter)
        if not callable(lr):
            return Constant(lr).rate(self.step, self.hyperparameter)
        found = from_user(lr(self.step), f"the schedule {lr!r}: ")
        if not isinstance(found, Expr) or found.free_symbols - {self.step}:
            raise DataError(f"the schedule {lr!r} returned {found!r}; expected an expression in the step t alone")
        return found

    def _clip(self, value: float | None, norm: float | None) -> None:
        """The equations of clipping: assignments to the gradient."""
        if value is not None:
            c = self.hyperparameter("clip_value", value, latex=r"c_{\mathrm{v}}", positive=True)
            clipped = Piecewise((-c, self.g < -c), (c, self.g > c), (self.g, True))
            self.assign(self.gradient, clipped, note="clipping by value")
        if norm is not None:
            c = self.hyperparameter("clip_norm", norm, latex=r"c_{\mathrm{n}}", positive=True)
            length = Tensor("norm_g", (), "constant", latex=r"\lVert g \rVert")
            self._named[length] = sqrt(Sum(self.g**2, self.q))
            # A zero gradient takes the first branch: nothing is divided by a norm of 0.
            scale = Piecewise((1, length <= c), (c / length, True))
            self.assign(self.gradient, scale * self.g, note="clipping by norm")

    def _check_reads(self, target: Tensor, body: Expr, index: Symbol) -> None:
        """Check that `body` reads known scalars, and known vectors at `index` alone; sums likewise at their own."""
        known = [self.theta, self.gradient, self.step, self.lr, *self.states, *self.hyper, *self._named]
        allowed = {self.size, index, *known, *(element_of(t, (index,)) for t in known if t.rank)}
        mark = Symbol("sum")
        plain = body
        for binder in binders(body):
            inner, limits = binder.open()
            if not isinstance(binder, Sum) or len(limits) > 1 or limits[0][1] != self.size:
                raise UnsupportedError(
                    f"{type(self).__name__}: {binder} in the equation of {target} cannot be computed in one pass over "
                    "the parameters; expected a Sum over one index, as in gl.Sum(self.g**2, self.q)"
                )
            self._check_reads(target, inner, limits[0][0])
            plain = plain.xreplace({binder: mark})
        bare = plain.xreplace(dict.fromkeys(elements(plain), mark)).free_symbols
        if vectors := [vector for vector in known if vector.rank and vector in bare]:
            raise UndefinedError(
                f"{type(self).__name__}: {vectors[0]} in the equation of {target} is a vector and stands without an "
                f"index; write {vectors[0]}[{index}]"
            )
        if index in bare:
            raise UnsupportedError(
                f"{type(self).__name__}: index {index} stands as a number in the equation of {target}; "
                f"an update reads vectors at [{index}] alone"
            )
        strange = plain.free_symbols - allowed - {mark}
        if strange:
            raise UndefinedError(
                f"{type(self).__name__}: {min(map(str, strange))} in the equation of {target} is not known; "
                f"expected {', '.join(t.name for t in known)}, each vector at [q]"
            )

    def _checked(self, symbol: Tensor, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise DataError(f"{symbol.name} must be one finite number, found {value!r}")
        if symbol in self._positive and number <= 0:
            raise DataError(f"{symbol.name} must be a number above 0, found {value!r}")
        return number

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
