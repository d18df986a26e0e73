"""The optimizer's equations → one loop over the flat parameters.

What depends on the step and the hyper-parameters alone (a schedule's rate, ``1 - beta1**t``) is computed once per step,
in float64, before the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Add, Expr, Integer, Mul, Symbol

from ..symbolic.equations import Equation
from ..symbolic.optimizers import Optimizer
from ..symbolic.tensors import Tensor, is_element
from .names import Names


@dataclass(frozen=True)
class UpdatePlan:
    """One step of an optimizer.

    Attributes
    ----------
    hyper : the hyper-parameters, in the order of the vector `hyper`
    scalars : what is computed once per step: a tensor of rank 0 that stands for it, and the expression
    equations : the assignments as declared
    bodies : their right sides, with the scalars put in
    vectors : the tensors over the flat parameters, and the buffer each lies in
    names : identifiers
    """

    hyper: tuple[Tensor, ...]
    scalars: tuple[tuple[Tensor, Expr], ...]
    equations: tuple[Equation, ...]
    bodies: tuple[Expr, ...]
    vectors: tuple[tuple[Tensor, str], ...]
    step: Tensor
    names: Names


def plan_update(optimizer: Optimizer, trainable: int) -> UpdatePlan:
    """Divide the optimizer's equations into what is computed per step and what per entry."""
    names = Names()
    vectors = [(optimizer.theta, "params"), (optimizer.gradient, "grads")]
    vectors += [(tensor, f"state[{place}]") for place, tensor in enumerate(optimizer.states)]
    names.declare([tensor for tensor, _ in vectors])
    names.declare(optimizer.hyper)
    scalars: dict[Expr, Tensor] = {}

    def once(expr: Expr) -> Expr:
        if expr not in scalars:
            scalars[expr] = Tensor(f"c{len(scalars) + 1}")
        return scalars[expr]

    bodies = []
    for equation in optimizer.equations:
        body = equation.body.xreplace({optimizer.size: Integer(trainable)})
        bodies.append(_hoist(body, equation.indices[0], once))
    names.declare(scalars.values())
    return UpdatePlan(
        tuple(optimizer.hyper),
        tuple((tensor, expr) for expr, tensor in scalars.items()),
        tuple(optimizer.equations),
        tuple(bodies),
        tuple(vectors),
        optimizer.step,
        names,
    )


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
