"""How an adjoint came about, stage by stage: the rule that was used, and what stood then.

Chain rule (one term per reader of the tensor), the adjoints that were put in, each local derivative with the gate that
it is, the whole as it then stands, the facts, and the compacted form. All of it is read off the engine's own objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sympy
from sympy import Add, Dummy, Expr, Mul, Symbol

from ..binders import ArgMax, Binder, Sum, rename_free
from ..compact import compact
from ..guards import Guard
from ..indices import Index
from ..latex import LatexPrinter
from ..link import Link, link
from ..partial import Partial
from ..printer import names_in
from ..rewriting import Rewriting
from ..tensors import Adjoint, Tensor, element_of, elements, indices_of, tensor_of
from ..text import TextPrinter
from .conventions import fact_used
from .document import Formula, Prose, Stage
from .writing import Writer

if TYPE_CHECKING:
    from ..derivation import Derivation, Step
    from ..facts import Fact


LOCAL = "local derivative"  # of no gate that has a name


class Stages:
    """The stages of the adjoints of one derivation."""

    def __init__(self, derivation: Derivation, write: Writer) -> None:
        self.derivation, self.write = derivation, write
        self.rewrite = Rewriting(derivation.network)
        self.lines = {equation.target for equation in derivation.adjoints}

    def of(self, step: Step) -> tuple[Stage, ...]:
        """How the adjoint of `step` came about."""
        where = step.equation.indices
        linked = []
        for reader in dict.fromkeys(part.through for part in step.parts):
            found = link(reader, step.tensor, where)
            if found is not None:
                linked.append(found)
        if not linked:
            return ()
        raw, index = self.write.index(step.raw), self.write.index(step.equation)
        if [found.equation.target for found in linked] == [self.derivation.network.loss]:
            rule = gate(linked[0].equation.body, linked[0].readings[0], step.equation.body)
            out = [Stage(Prose.plain("derivative of the loss" + ("" if rule == LOCAL else f", {rule}")), raw)]
        else:
            out = [*self._chain(step, linked), *self._put_in(linked)]
            for found in linked:
                out += self._local(step.tensor, found)
            if raw != index:
                out.append(Stage(Prose.plain("put together"), raw))
        out += self._facts(step.facts)
        if raw != index or self.write.equation(step.equation) != index:
            out.append(Stage(Prose.plain("compacted" if raw != index else "in index form"), index))
        return tuple(out)

    def _chain(self, step: Step, linked: list[Link]) -> list[Stage]:
        targets = [found.equation.target for found in linked]
        terms = [Sum(self._term(step.tensor, found), *found.summed) for found in linked]
        rule = "chain rule through {}" if len(linked) == 1 else "chain rule, summed over the branches {}"
        formula = self._equal(step.equation.lhs, Add(*terms), step.equation.indices)
        return [Stage(_said(rule, map(self._symbol, targets)), formula)]

    def _put_in(self, linked: list[Link]) -> list[Stage]:
        """The adjoints that have no line of their own."""
        out = []
        for found in linked:
            step = self.derivation.steps.get(found.equation.target.name)
            if step is not None and step.equation.target not in self.lines:
                through = dict.fromkeys(part.through.target for part in step.parts)
                rule = _said("put in, by the chain rule through {}", map(self._symbol, through))
                out.append(Stage(rule, self.write.index(step.equation)))
        return out

    def _local(self, tensor: Tensor, found: Link) -> list[Stage]:
        reader, where = found.equation, found.where
        ranges = {**dict(zip(where, tensor.shape, strict=True)), **dict(found.summed)}
        local, facts = compact(found.local, self.rewrite, ranges)
        out = []
        for element in found.readings:
            if any(place.args and not elements(place) for place in indices_of(element)):
                out.append(Stage(Prose.plain("index shift, solved for what reads"), self._reading(element, found)))
        rule = gate(reader.body, found.readings[0], local)
        if reader.target in map(tensor_of, elements(local)):
            rule += ", written in the value itself"
        partial = Partial(element_of(reader.target, found.at), element_of(tensor, where))
        letters = self._letters(tensor, found)
        out.append(
            Stage(Prose.plain(rule), self._equal(rename_free(partial, letters), rename_free(local, letters), where))
        )
        return out + self._facts(facts)

    def _reading(self, element: Expr, found: Link) -> Formula:
        """An element as it stands in the equation; indices that a sum binds there get letters."""
        loose = sorted((s for s in element.free_symbols if isinstance(s, Dummy)), key=lambda s: s.dummy_index)
        sizes = [sympy.Integer(0)] * len(loose)
        letters = self.derivation.network.fresh_indices(sizes, found.equation.indices)
        return self.write.expression(rename_free(element, dict(zip(loose, letters, strict=True))))

    def _term(self, tensor: Tensor, found: Link) -> Expr:
        """What stands under the sum of the chain rule: ∂L/∂T[o] ∂T[o]/∂U[p]."""
        loss, target = self.derivation.network.loss, found.equation.target
        assert loss is not None
        partial = Partial(element_of(target, found.at), element_of(tensor, found.where))
        return partial if target == loss else element_of(Adjoint(target, loss), found.at) * partial

    def _letters(self, tensor: Tensor, found: Link) -> dict[Symbol, Symbol]:
        """The letters that the sum of the chain rule is printed with."""
        total = Sum(self._term(tensor, found), *found.summed)
        printer = TextPrinter(names_in(total, found.where), self.write.letters, found.where)
        if not isinstance(total, Sum):
            return {}
        chosen = printer.choose_letters(total.limits, total.body)
        return {mark: Index(letter) for (mark, _), letter in zip(found.summed, chosen.values(), strict=True)}

    def _facts(self, facts: Iterable[Fact]) -> list[Stage]:
        return [Stage(fact_used(fact, self.derivation.network, self.write.notation, "fact: {}")) for fact in facts]

    def _equal(self, left: Any, right: Expr, indices: tuple[Symbol, ...]) -> Formula:
        a, b = self.write.expression(left, indices), self.write.expression(right, indices)
        return Formula(f"{a.text} = {b.text}", f"{a.latex} = {b.latex}")

    def _symbol(self, tensor: Tensor) -> Formula:
        given = {"notation": self.write.notation}
        return Formula(TextPrinter(**given).symbol(tensor), LatexPrinter(**given).symbol(tensor))  # type: ignore[arg-type]


def _said(words: str, symbols: Iterable[Formula]) -> Prose:
    names = list(symbols)
    return Prose(words.format(", ".join(n.text for n in names)), words.format(", ".join(f"${n.latex}$" for n in names)))


def gate(body: Expr, element: Expr, local: Expr) -> str:
    """What kind of operation reads `element` in `body`: the name of the rule for its local derivative."""
    factors = [factor for factor in Mul.make_args(local) if not isinstance(factor, Guard)]
    if local.has(ArgMax):
        return "maximum: the gradient goes to the entry that reaches it"
    if all(factor.is_number for factor in factors):
        return "sum gate: the gradient is passed on" if Mul(*factors) == 1 else "linear: the gradient times a number"
    if tensor_of(element) not in [tensor_of(other) for other in elements(local)] and _is_product(body, element):
        return "product gate: the gradient times the other factors"
    if isinstance(body, sympy.Function):
        return f"derivative of {type(body).__name__}"
    return LOCAL


def _is_product(body: Expr, element: Expr) -> bool:
    """Whether `element` stands in `body` as a factor of a product, in sums and binders at most."""
    for term in Add.make_args(body):
        while isinstance(term, Binder):
            term = term.body
        factors = Mul.make_args(term)
        if len(factors) > 1 and any(tensor_of(f) == tensor_of(element) for f in factors if f in elements(f)):
            return True
    return False
