"""The legend of a page: layout, shapes, the facts that were used, the derivative at each kink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sympy

from ..binders import ArgMax, Max
from ..functions import Elementwise
from ..latex import LatexPrinter
from ..notation import Notation
from ..printer import names_in
from ..tensors import Tensor, elements, shape_text
from ..text import TextPrinter
from .document import Prose

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..facts import Fact
    from ..matrix_view import View
    from ..network import Network

_LAYOUTS = {
    "columns": "Matrices with a batch axis hold one example per column; a vector beside one is repeated to its size.",
    "rows": "Matrices with a batch axis hold one example per row; a vector beside one is repeated to its size.",
}
_NUMERATOR = (
    "Gradients are in numerator layout: ∂L/∂W has the shape of Wᵀ.",
    r"Gradients are in numerator layout: $\frac{\partial L}{\partial W}$ has the shape of $W^\top$.",
)
_POSITIONS = {
    False: "Below a tensor stands a position along the axis of this letter; what is shown is the matrix there.",
    True: "Below a tensor stands a position along the axis of this letter, the batch among them; what is shown "
    "is the matrix there, of one example, its first axis down.",
}


def conventions(derivation: Derivation, view: View | None, notation: Notation) -> list[Prose]:
    """What the reader must know before the first equation."""
    network = derivation.network
    out = []
    if view is not None and network.batch is not None:
        out.append(Prose.plain(_LAYOUTS[notation.layout]))
    if view is not None and any(map(view.positions, (*network.equations, *derivation.adjoints))):
        out.append(Prose.plain(_POSITIONS[view.example]))
    if view is not None and notation.derivatives == "numerator":
        out.append(Prose(*_NUMERATOR))
    shaped = [tensor for tensor in network.tensors.values() if tensor.rank]
    if shaped:
        out.append(shapes(shaped, notation))
    facts = dict.fromkeys(fact for step in derivation.steps.values() for fact in step.facts)
    out += [fact_used(fact, network, notation, "Used: {}.") for fact in facts]
    return out + kinks(network, notation)


def shapes(tensors: list[Tensor], notation: Notation) -> Prose:
    text, latex = (
        ", ".join(f"{write(tensor)} {shape_text(tensor.shape)}" for tensor in tensors)
        for write in (
            TextPrinter(notation=notation).symbol,
            lambda tensor: f"${LatexPrinter(notation=notation).symbol(tensor)}$",
        )
    )
    return Prose(f"Shapes, as stored: {text}.", f"Shapes, as stored: {latex}.")


def fact_used(fact: Fact, network: Network, notation: Notation, words: str = "using {}") -> Prose:
    """A fact in words: ``using Σ_k y[i, k] = 1, declared``."""
    total, value = fact.statement(network.home(fact.tensor))
    text, latex = (printer(names_in(total), notation=notation).write(total) for printer in (TextPrinter, LatexPrinter))
    return Prose(words.format(f"{text} = {value}, {fact.source}"), words.format(f"${latex} = {value}$, {fact.source}"))


def kinks(network: Network, notation: Notation) -> list[Prose]:
    """The subgradient conventions that the equations of `network` call on, each said once."""
    said: dict[Prose, None] = {}
    for equation in network.equations:
        for node in sympy.preorder_traversal(equation.body):
            if isinstance(node, Elementwise):
                said.update(dict.fromkeys(_kinks_of(node, notation)))
            elif isinstance(node, Max | ArgMax):
                said.setdefault(Prose.plain("The gradient of a maximum goes to the first entry that reaches it."))
            elif isinstance(node, sympy.Abs):
                said.setdefault(
                    Prose("The derivative of |u| at 0 is taken as 0.", "The derivative of $|u|$ at 0 is taken as 0.")
                )
            elif isinstance(node, sympy.floor | sympy.ceiling | sympy.sign) and elements(node):
                said.setdefault(
                    Prose.plain("The derivative of a step (floor, ceiling, sign) is taken as 0 everywhere.")
                )
            elif isinstance(node, sympy.Piecewise):
                said.setdefault(
                    Prose.plain("At the border of a case, the derivative is that of the case that holds there.")
                )
    return list(said)


def _kinks_of(node: Elementwise, notation: Notation) -> list[Prose]:
    """Whether the derivative of a named function jumps where its argument is 0, and its value there."""
    function: Any = type(node)
    z = sympy.Dummy("z", real=True)
    definition = function.definition(z, *node.args[1:])
    if not definition.has(sympy.Piecewise, sympy.Abs):
        return []
    slope = sympy.diff(definition, z)
    left, at, right = (slope.subs(z, value) for value in (sympy.Rational(-1, 10**9), 0, sympy.Rational(1, 10**9)))
    if not all(value.is_number for value in (left, at, right)) or abs(sympy.N(left - right)) < 1e-6:
        return []
    symbol = LatexPrinter(notation=notation).function_name(function)
    return [Prose(f"{function.__name__}′(0) = {at}.", f"${symbol}'(0) = {sympy.latex(at)}$.")]
