"""One step of an optimizer in numbers: its equations, and what they make of each weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Integer

from ..binders import binders
from ..evaluate import evaluate
from ..latex import LatexPrinter, latex
from ..optimizer import Optimizer
from ..tensors import Adjoint
from ..text import text
from ..unrolled import Unrolled
from .document import Block, Formula, Prose, Table
from .numbers import Formulas, aligned, equal, short, value


def stepped(
    optimizer: Optimizer, weights: Mapping[Any, Any], gradients: Mapping[Any, Any]
) -> dict[str, dict[Any, float]]:
    """The first step: ``{"theta": {name: new value}, "m": …}``, by name for θ and each of the optimizer's states."""
    names = list(weights)
    count = len(names)
    given: dict[str, Any] = {
        optimizer.theta.name: [weights[name] for name in names],
        optimizer.gradient.name: [gradients[name] for name in names],
        optimizer.step.name: 1,
        **{state.name: [0.0] * count for state in optimizer.states},
        **optimizer.values,
    }
    made = evaluate(optimizer.equations, given, {optimizer.size.name: count})
    vectors = [tensor.name for tensor in (optimizer.theta, *optimizer.states)]
    return {v: dict(zip(names, map(float, made[v]), strict=True)) for v in vectors if v in made}


def rule(optimizer: Optimizer) -> list[Block]:
    """The optimizer's equations, with its numbers."""
    lines: list[Block] = []
    for equation in optimizer.equations:
        left = Formula(f"{text(equation.lhs)}⁺", f"{{{latex(equation.lhs)}}}^{{+}}")
        lines.append(equal(left, Formula(text(equation.body), latex(equation.body))))
    numbers = [
        Formula(f"{text(symbol)} = {short(number)}", f"{latex(symbol)} = {value(number).latex}")
        for symbol, number in optimizer.hyper.items()
    ]
    vectors = [Formula(text(t), latex(t)) for t in (optimizer.theta, optimizer.gradient)]
    lines.insert(0, _said("{}: all weights that are trained, as one vector, and their gradients.", vectors, " and "))
    if len(lines) > 2:
        lines.insert(1, Prose.plain("In this order; what has been assigned is read as new."))
    if optimizer.states:
        states = [Formula(text(state), latex(state)) for state in optimizer.states]
        lines.append(_said("Before the first step, {} are 0.", states))
    return [*lines, _said("Here {}.", numbers)] if numbers else lines


def in_numbers(optimizer: Optimizer, network: Unrolled, values: Mapping[str, Any], names: list[str]) -> list[Block]:
    """For each of these scalars its new value, the numbers put into the rule where it is one equation by itself."""
    assert network.loss is not None
    scalars = [network.tensors[name] for name in names]
    adjoints = [Adjoint(scalar, network.loss) for scalar in scalars]
    weights = {name: values[name] for name in names}
    gradients = {name: values[adjoint.name] for name, adjoint in zip(names, adjoints, strict=True)}
    made = stepped(optimizer, weights, gradients)
    new = made[optimizer.theta.name]
    write = Formulas({**values, **optimizer.values})
    lines: list[Block] = []
    for scalar, adjoint in zip(scalars, adjoints, strict=True):
        if len(optimizer.equations) > 1 or any(binders(optimizer.equations[0].body)):
            break
        here = {optimizer.theta[optimizer.q]: scalar, optimizer.g: adjoint, optimizer.step: Integer(1)}
        body = optimizer.equations[0].body.xreplace(here)
        symbol = write.symbols(scalar)
        left = Formula(f"{symbol.text}⁺", f"{{{symbol.latex}}}^{{+}}")
        named, numbered = write.symbols(body), write.numbers(body)
        lines.append(equal(left, named, numbered, value(new[scalar.name])))
    states = [state for state in optimizer.states if state.name in made]
    head = [Prose.plain("weight"), Prose.plain("value"), Prose.plain("gradient")]
    head += [Prose(f"{text(state)}⁺", f"${{{latex(state)}}}^{{+}}$") for state in states] + [Prose.plain("new value")]
    rows = []
    for scalar in scalars:
        symbol = write.symbols(scalar)
        numbers = [weights[scalar.name], gradients[scalar.name], *(made[s.name][scalar.name] for s in states)]
        cells = [cell(number) for number in (*numbers, new[scalar.name])]
        rows.append((Prose(symbol.text, f"${symbol.latex}$"), *cells))
    return [*lines, Table(tuple(head), tuple(rows), frozenset(range(1, len(head))))]


def cell(number: Any) -> Prose:
    """A number in a table."""
    written = aligned(number)
    if "e" not in written:
        return Prose(written, f"${written}$" if written.startswith("-") else written)
    mantissa, _, exponent = written.partition("e")
    return Prose(written, f"${LatexPrinter().decimal(f'{mantissa}e{int(exponent)}')}$")


def _said(words: str, formulas: list[Formula], between: str = ", ") -> Prose:
    text, latex = between.join(f.text for f in formulas), between.join(f"${f.latex}$" for f in formulas)
    return Prose(words.format(text), words.format(latex))
