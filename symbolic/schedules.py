"""Learning-rate schedules: expressions in the step ``t``, which counts updates from 1.

A schedule is a `Schedule` with one method that returns the rate as an expression. The numbers in it are
hyper-parameters of the optimizer, so changing one compiles nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import sympy
from sympy import Expr, Piecewise, cos, floor, pi

from .binders import from_user
from .errors import DataError
from .tensors import Tensor

Hyper = Callable[..., Tensor]  # hyper(name, value, latex=…) makes one hyper-parameter


class Schedule(ABC):
    """Base of the schedules.

    Parameters
    ----------
    lr : the base rate, a positive number.

    Examples
    --------
    A schedule of your own, the inverse square root:

    >>> import gradloom as gl
    >>> class InverseRoot(gl.schedules.Schedule):
    ...     def rate(self, t, hyper):
    ...         return hyper("lr", self.lr, latex=r"\\eta") / sympy.sqrt(t)
    """

    def __init__(self, lr: float) -> None:
        self.lr = at_least("lr", lr, 0)

    @abstractmethod
    def rate(self, t: Any, hyper: Hyper) -> Expr:
        """The rate at step `t`; ``hyper(name, value, latex=…)`` makes a number of it a hyper-parameter."""

    def __call__(self, step: int) -> float:
        """The rate at one step, as a number."""
        numbers: dict[Tensor, Any] = {}

        def hyper(name: str, value: float, latex: str | None = None) -> Tensor:
            made = Tensor(name, latex=latex)
            numbers[made] = from_user(value)
            return made

        t = Tensor("t")
        expr = from_user(self.rate(t, hyper))
        return float(expr.xreplace({**numbers, t: sympy.Integer(step)}))

    def _base(self, hyper: Hyper) -> Tensor:
        return hyper("lr", self.lr, latex=r"\eta")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in vars(self).items())})"


class Constant(Schedule):
    """``lr`` at every step."""

    def rate(self, t: Any, hyper: Hyper) -> Expr:
        return self._base(hyper)


class StepDecay(Schedule):
    """``lr factor**floor((t - 1) / every)``: multiplied by `factor` after every `every` steps.

    Parameters
    ----------
    lr : rate of the first step
    every : steps between two changes
    factor : what the rate is multiplied by
    """

    def __init__(self, lr: float, every: int, factor: float = 0.1) -> None:
        super().__init__(lr)
        self.every = at_least("every", every, 1)
        self.factor = at_least("factor", factor, 0)

    def rate(self, t: Any, hyper: Hyper) -> Expr:
        factor, every = hyper("factor", self.factor, latex=r"\gamma"), hyper("every", self.every, latex="s")
        return self._base(hyper) * factor ** floor((t - 1) / every)


class Exponential(Schedule):
    """``lr factor**(t - 1)``: multiplied by `factor` after every step."""

    def __init__(self, lr: float, factor: float) -> None:
        super().__init__(lr)
        self.factor = at_least("factor", factor, 0)

    def rate(self, t: Any, hyper: Hyper) -> Expr:
        return self._base(hyper) * hyper("factor", self.factor, latex=r"\gamma") ** (t - 1)


class Cosine(Schedule):
    """Half a cosine from `lr` at step 1 down to `lr_min` after `steps` steps, and `lr_min` from there on.

    ``lr_min + (lr - lr_min)/2 (1 + cos(pi (t - 1) / steps))``, eq. 5 of Loshchilov and Hutter (2017), without restarts.
    """

    def __init__(self, lr: float, steps: int, lr_min: float = 0.0) -> None:
        super().__init__(lr)
        self.steps = at_least("steps", steps, 1)
        self.lr_min = at_least("lr_min", lr_min, 0)

    def rate(self, t: Any, hyper: Hyper) -> Expr:
        if t == 1:  # a warm-up asks for the first rate, and that is lr whatever the number of steps
            return self._base(hyper)
        low, steps = hyper("lr_min", self.lr_min, latex=r"\eta_{\min}"), hyper("steps", self.steps, latex="T")
        curve = low + (self._base(hyper) - low) / 2 * (1 + cos(pi * (t - 1) / steps))
        return Piecewise((curve, t <= steps), (low, True))


class WarmUp(Schedule):
    """Linear warm-up: a straight line to the first rate of `then` in `steps` steps, and `then` from there on.

    At step t ≤ steps the rate is ``then(1) t / steps``; after that ``then(t - steps)`` (Goyal et al. 2017).

    Parameters
    ----------
    steps : how many steps the warm-up takes
    then : the schedule that follows, or a number for a constant rate
    """

    def __init__(self, steps: int, then: Schedule | float) -> None:
        self.steps = at_least("steps", steps, 1)
        self.then = then if isinstance(then, Schedule) else Constant(then)
        super().__init__(self.then.lr)

    def rate(self, t: Any, hyper: Hyper) -> Expr:
        steps = hyper("warmup", self.steps, latex=r"t_{\mathrm{w}}")
        made: dict[str, Tensor] = {}

        def once(name: str, value: float, latex: str | None = None) -> Tensor:
            return made[name] if name in made else made.setdefault(name, hyper(name, value, latex=latex))

        first = self.then.rate(sympy.Integer(1), once)
        return Piecewise((first * t / steps, t <= steps), (self.then.rate(t - steps, once), True))

    def __repr__(self) -> str:
        return f"WarmUp({self.steps}, {self.then!r})"


def at_least(name: str, value: Any, least: float, below: float | None = None) -> Any:
    """Return `value` if it is a number of at least `least` (and less than `below`).

    Raises
    ------
    DataError
        If it is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value >= least or value == float("inf") or (below is not None and value >= below):
        expected = f"at least {least}" + (f" and less than {below}" if below is not None else "")
        raise DataError(f"{name} must be a number of {expected}, found {value!r}")
    return value
