"""The optimizer's equations → loops over the flat parameters, and what is computed before each.

What depends on the step and the hyper-parameters alone (a schedule's rate, ``1 - beta1**t``) is computed once per step,
in float64, before the loop; so is a sum over the parameters, in a pass of its own. A sum over what the loop so far has
changed begins another loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy import Add, Expr, Integer, Mul, Symbol

from ..symbolic.binders import Binder, binders
from ..symbolic.equations import Equation
from ..symbolic.optimizers import Optimizer
from ..symbolic.tensors import Tensor, elements, is_element, tensor_of
from .names import Names


@dataclass(frozen=True)
class Once:
    """What is computed once per step: a tensor of rank 0 that stands for it, and the expression.

    With an `index` it is the sum of the expression over all entries.
    """

    tensor: Tensor
    body: Expr
    index: Symbol | None = None


@dataclass(frozen=True)
class Stage:
    """One loop over the parameters.

    Attributes
    ----------
    once : what is computed before it, in order
    equations : the assignments as declared
    bodies : their right sides, with what is computed once put in
    """

    once: tuple[Once, ...]
    equations: tuple[Equation, ...]
    bodies: tuple[Expr, ...]

    @property
    def summed(self) -> list[Tensor]:
        """The vectors that the sums before the loop read."""
        found = (tensor_of(e) for once in self.once if once.index is not None for e in elements(once.body))
        return list(dict.fromkeys(tensor for tensor in found if tensor.rank))


@dataclass(frozen=True)
class UpdatePlan:
    """One step of an optimizer.

    Attributes
    ----------
    hyper : the hyper-parameters, in the order of the vector `hyper`
    stages : the loops in order; one, unless a sum is over what assignments before it have changed
    vectors : the tensors over the flat parameters, and the buffer each lies in
    names : identifiers
    """

    hyper: tuple[Tensor, ...]
    stages: tuple[Stage, ...]
    vectors: tuple[tuple[Tensor, str], ...]
    step: Tensor
    names: Names

    @property
    def equations(self) -> tuple[Equation, ...]:
        """All assignments as declared."""
        return tuple(equation for stage in self.stages for equation in stage.equations)

    @property
    def scalars(self) -> tuple[Tensor, ...]:
        """What stands for the values that are computed once per step."""
        return tuple(once.tensor for stage in self.stages for once in stage.once)


@dataclass
class _Stages:
    """The stages so far, and the one that is being filled."""

    done: list[Stage] = field(default_factory=list)
    known: dict[Expr, Tensor] = field(default_factory=dict)
    once: list[Once] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)
    bodies: list[Expr] = field(default_factory=list)
    scalars: int = 0
    sums: int = 0

    def add(self, equation: Equation, body: Expr) -> None:
        changed = {made.target for made in self.equations}
        if any(changed & binder.atoms(Tensor) for binder in binders(body)):
            self.end()
            # Sums of before are not those of now.
            self.known = {expr: tensor for expr, tensor in self.known.items() if not expr.has(Binder)}
        self.bodies.append(_hoist(body, equation.indices[0], self.scalar))
        self.equations.append(equation)

    def end(self) -> None:
        self.done.append(Stage(tuple(self.once), tuple(self.equations), tuple(self.bodies)))
        self.once, self.equations, self.bodies = [], [], []

    def scalar(self, expr: Expr) -> Tensor:
        """The scalar of the step that stands for `expr`."""
        if expr not in self.known:
            summed = expr.xreplace({binder: self.sum(binder) for binder in binders(expr)})
            self.scalars += 1
            self.known[expr] = Tensor(f"c{self.scalars}")
            self.once.append(Once(self.known[expr], summed))
        return self.known[expr]

    def sum(self, binder: Binder) -> Tensor:
        if binder not in self.known:
            body, [(index, _)] = binder.open()
            body = _hoist(body, index, self.scalar)
            self.sums += 1
            self.known[binder] = Tensor(f"s{self.sums}")
            self.once.append(Once(self.known[binder], body, index))
        return self.known[binder]


def plan_update(optimizer: Optimizer, trainable: int) -> UpdatePlan:
    """Divide the optimizer's equations into what is computed per step and what per entry."""
    names = Names()
    vectors = [(optimizer.theta, "params"), (optimizer.gradient, "grads")]
    vectors += [(tensor, f"state[{place}]") for place, tensor in enumerate(optimizer.states)]
    names.declare([tensor for tensor, _ in vectors])
    names.declare(optimizer.hyper)
    stages = _Stages()
    for equation in optimizer.equations:
        stages.add(equation, equation.body.xreplace({optimizer.size: Integer(trainable)}))
    stages.end()
    plan = UpdatePlan(tuple(optimizer.hyper), tuple(stages.done), tuple(vectors), optimizer.step, names)
    names.declare(plan.scalars)
    return plan


def _hoist(expr: Any, index: Symbol, once: Any) -> Any:
    """`expr` with every largest part that does not depend on `index` replaced by what ``once(part)`` returns."""
    if expr.is_number or not isinstance(expr, Expr):
        return expr if not expr.args or expr.is_number else expr.func(*(_hoist(arg, index, once) for arg in expr.args))
    if not expr.has(index):
        return once(expr)
    if is_element(expr):
        return expr
    if isinstance(expr, Add | Mul):
        fixed = [arg for arg in expr.args if not arg.has(index) and not arg.is_number]
        rest = [arg for arg in expr.args if arg not in fixed]
        parts = [once(expr.func(*fixed))] if fixed else []
        return expr.func(*parts, *(_hoist(arg, index, once) for arg in rest))
    if isinstance(expr, sympy.Pow) and expr.exp.is_number:
        return expr.func(_hoist(expr.base, index, once), expr.exp)
    return expr.func(*(_hoist(arg, index, once) for arg in expr.args))
