"""The legend of a page: layout, shapes, the facts that were used, the derivative at each kink."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sympy

from ..binders import ArgMax, Max
from ..equations import Equation
from ..facts import Fact
from ..functions import Elementwise
from ..latex import LatexPrinter
from ..notation import Notation
from ..printer import names_in
from ..tensors import Cotangent, Direction, Tangent, Tensor, elements, shape_text
from ..text import TextPrinter
from .document import Prose
from .repeats import Folding, Item, Repeated

if TYPE_CHECKING:
    from ..derivation import Derivation
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
_BARRED = (
    "z_bar is the cotangent of z: the vector that its Jacobians are multiplied with.",
    r"$\bar{z}$ is the cotangent of $z$: the vector that its Jacobians are multiplied with.",
)
_MOVED = (
    "v_W is the direction in which W is moved, and a dot marks the derivative in that direction: L̇ is that of L.",
    r"$v_W$ is the direction in which $W$ is moved, and a dot marks the derivative in that direction: "
    r"$\dot{L}$ is that of $L$.",
)
_POSITIONS = {
    False: "Below a tensor stands a position along the axis of this letter; what is shown is the matrix there.",
    True: "Below a tensor stands a position along the axis of this letter, the batch among them; what is shown "
    "is the matrix there, of one example, its first axis down.",
}


def conventions(derivation: Derivation, view: View | None, notation: Notation, folding: Folding) -> list[Prose]:
    """What the reader must know before the first equation."""
    network = derivation.network
    out = []
    if view is not None and network.batch is not None and _shows_a_batch(view, derivation):
        out.append(Prose.plain(_LAYOUTS[notation.layout]))
    if view is not None and any(map(view.positions, (*network.equations, *derivation.adjoints))):
        out.append(Prose.plain(_POSITIONS[view.example]))
    if view is not None and notation.derivatives == "numerator":
        out.append(Prose(*_NUMERATOR))
    if any(isinstance(tensor, Direction | Tangent) for tensor in network.tensors.values()):
        out.append(Prose(*_MOVED))
    if any(isinstance(tensor, Cotangent) for tensor in network.tensors.values()):
        out.append(Prose(*_BARRED))
    shaped = [tensor for tensor in network.tensors.values() if tensor.rank]
    if shaped:
        out.append(shapes(shaped, notation, folding))
    facts = dict.fromkeys(fact for step in derivation.steps.values() for fact in step.facts)
    marked = (_alone(fact.tensor, (fact.axis, fact.value, fact.source)) for fact in facts)
    for item, run in folding(marked):
        fact = Fact(item.equation.target, *item.mark)
        out.append(
            fact_used(fact, network, notation, *(f"Used: {{}}{layers and ','}{layers}." for layers in _layers(run)))
        )
    return out + kinks(network, notation)


def _shows_a_batch(view: View, derivation: Derivation) -> bool:
    """Whether some equation is one between matrices that hold the examples of a batch."""
    if view.example:
        return False
    forms = map(view.form, (*derivation.network.equations, *derivation.adjoints))
    return any(form is not None and (form.row is not None or form.col is not None) for form in forms)


def shapes(tensors: Iterable[Tensor], notation: Notation, folding: Folding) -> Prose:
    """The shapes of `tensors`; those of layers that are alike once, if the sizes are."""
    text, latex = TextPrinter(notation=notation), LatexPrinter(notation=notation)
    parts: list[tuple[str, str]] = []
    items = folding(_alone(tensor, tensor.shape) for tensor in tensors)
    for run, group in groupby(items, lambda found: found[1]):
        shaped = [(item.equation.target, shape_text(item.mark)) for item, _ in group]
        plain = ", ".join(f"{text.symbol(tensor)} {shape}" for tensor, shape in shaped)
        set_in = ", ".join(f"${latex.symbol(tensor)}$ {shape}" for tensor, shape in shaped)
        parts.append((plain + _layers(run)[0], set_in + _layers(run)[1]))
    words, prose = ("; ".join(written) for written in zip(*parts, strict=True))
    return Prose(f"Shapes, as stored: {words}.", f"Shapes, as stored: {prose}.")


def _alone(tensor: Tensor, mark: Any) -> Item:
    """A tensor as an item of its own, like others where `mark` is the same."""
    return Item(Equation(tensor, (), sympy.Integer(0)), mark=mark)


def _layers(run: Repeated | None) -> tuple[str, str]:
    """Which layers are meant, in text and in prose."""
    return (f" for {run.numbers[0]}", f" for ${run.numbers[1]}$") if run else ("", "")


def fact_used(fact: Fact, network: Network, notation: Notation, words: str = "using {}", prose: str = "") -> Prose:
    """A fact in words: ``using Σ_k y[i, k] = 1, declared``; `prose` are those of LaTeX where they are others."""
    total, value = fact.statement(network.home(fact.tensor))
    text, latex = (printer(names_in(total), notation=notation).write(total) for printer in (TextPrinter, LatexPrinter))
    said = words.format(f"{text} = {value}, {fact.source}")
    return Prose(said, (prose or words).format(f"${latex} = {value}$, {fact.source}"))


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
