"""One pass through a small network with all its numbers, laid out as lecture notes do: net, out, error, each factor.

The network is written out as scalars (`unrolled`); every local derivative is the engine's (`links`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sympy import Add, And, Expr, Integer, Not, Or, Piecewise, default_sort_key

from ..equations import Equation
from ..evaluate import evaluate
from ..notation import PLAIN, Notation
from ..partial import Partial
from ..tensors import Adjoint, Tensor, tensor_of
from ..text import is_delta
from ..unrolled import Unrolled
from .chain import DIRECT
from .document import Block, Formula, Line, Prose
from .links import Branching, Factor, Path, Walk
from .numbers import Formulas, equal, product, total, value

MOST_NAMED = 6  # of the values that weights go into
MOST_PATHS = 12  # of a sum over branches, that many products are written out


class Worked:
    """The numbers of one pass.

    Parameters
    ----------
    network : with a loss, its labels put in
    values : a number for every scalar that no equation defines

    Attributes
    ----------
    values : name of a scalar → number; those that equations define, and gradients as they are stated, are added
    """

    def __init__(self, network: Unrolled, values: Mapping[str, Any], notation: Notation = PLAIN) -> None:
        self.network, self.notation = network, notation
        self.values: dict[str, Any] = {**values, **{name: float(v) for name, v in network.values.items()}}
        made = evaluate(network.equations, self.values)
        self.values |= {name: float(number) for name, number in made.items()}
        self.walk = Walk(network)
        self.write = Formulas(self.values, replace(notation, deltas=False))
        self._stated: set[Any] = set()
        self._direct = False
        self._explained = False  # what “direct” means

    # ---- sections --------------------------------------------------------------------------------------------

    def forward(self) -> list[Block]:
        """Every equation but the loss: symbol, formula, numbers put in, value."""
        return [self._defined(equation) for equation in self.network.equations if equation.target != self.network.loss]

    def error(self) -> list[Block]:
        """The loss, term by term where it is a sum."""
        loss: Any = self.network.loss
        body = self.network.equation(loss.name).body
        terms = list(body.args) if isinstance(body, Add) else []
        if len(terms) < 2:
            return [self._defined(self.network.equation(loss.name))]
        lines: list[Block] = [equal(self.write.symbols(loss), self.write.symbols(body))]
        numbers = [self.number(term) for term in terms]
        lines += [self._equal(term, number) for term, number in zip(terms, numbers, strict=True)]
        lines.append(equal(self.write.symbols(loss), total(map(value, numbers)), value(self.values[loss.name])))
        return lines

    def backward(self, names: list[str]) -> list[Block]:
        """The gradients of these scalars, from the last layer back, each after what it needs."""
        makers = [equation.target for equation in self.network.origin.equations]
        found = []
        for name in names:
            branching = self.walk.required(self.network.tensors[name], ())
            readers: list[Any] = list(dict.fromkeys(tensor_of(path.factors[-1].of) for path in branching.paths))
            of = self.network.origin.tensors[self.network.places[readers[0].name][0]]
            found.append((-makers.index(of), self.network.places[readers[0].name][1], branching, readers))
        blocks: list[Block] = []
        before: list[Any] = []
        for _, _, branching, readers in sorted(found, key=lambda item: item[:2]):
            readers = [reader for reader in readers if reader != self.network.loss]
            if readers != before:
                blocks += self._heading(readers)
            before = readers
            blocks += self._gradient(branching)
        if self._direct and not self._explained:
            self._explained = True
            blocks.insert(0, DIRECT)
        return blocks

    def _heading(self, readers: list[Any]) -> list[Block]:
        """What the weights below go into: one value, or one of each row."""
        if not readers:
            return []
        symbols = [self.write.symbols(reader) for reader in readers[:MOST_NAMED]]
        more = ", …" * (len(readers) > MOST_NAMED)
        text, latex = ", ".join(s.text for s in symbols), ", ".join(f"${s.latex}$" for s in symbols)
        return [Prose(f"The weights into {text}{more}:", f"The weights into {latex}{more}:")]

    def number(self, expr: Expr) -> float:
        """The value of an expression in scalars."""
        mark = Tensor("value_of_an_expression")
        return float(evaluate([Equation(mark, (), expr)], self.values)[mark.name])

    # ---- inside ----------------------------------------------------------------------------------------------

    def _defined(self, equation: Equation) -> Line:
        left, number = self.write.symbols(equation.target), self.values[equation.target.name]
        return self._computed(left, equation.body, number, equation.target.name)

    def _equal(self, expr: Expr, number: float) -> Line:
        return equal(self.write.symbols(expr), self.write.numbers(expr), value(number))

    def _computed(self, left: Formula, body: Expr, number: float, name: str = "") -> Line:
        """``left = formula = numbers = value``; of long cases (a maximum) the one that holds."""
        held = self._case(body)
        line = equal(left, self.write.symbols(held), self.write.numbers(held), value(number), name=name)
        return line if held == body else replace(line, notes=(Prose.plain("the case that holds"),))

    def _case(self, body: Expr) -> Expr:
        """`body` with the branches that hold in the place of cases that are told apart by more than a comparison."""
        long = [node for node in body.atoms(Piecewise) if any(isinstance(c, And | Or | Not) for _, c in node.args)]
        for node in sorted(long, key=default_sort_key):
            which = Piecewise(*((Integer(place), condition) for place, (_, condition) in enumerate(node.args)))
            body = body.xreplace({node: node.args[int(self.number(which))][0]})
        return body

    def _gradient(self, branching: Branching) -> list[Line]:
        """The gradient of one scalar, below the gradients and factors that it is made of."""
        if branching.adjoint in self._stated:
            return []
        self._stated.add(branching.adjoint)
        lines: list[Line] = []
        for path in branching.paths:
            if path.rest is not None:
                lines += self._gradient(self.walk.branching(*self.walk.stated(path.rest)))
            lines += self._factors(path)
        adjoint = self.write.symbols(branching.adjoint)
        if len(branching.paths) == 1:
            (path,) = branching.paths
            number = self._number(path)
            names = self._names(path)
            if names != [adjoint]:  # which the loss itself reads
                lines.append(equal(adjoint, product(names), product(self._values(path)), value(number)))
        else:
            lines += self._sum(adjoint, branching)
            number = sum(map(self._number, branching.paths))
        self.values[branching.adjoint.name] = number
        return lines

    def _factors(self, path: Path) -> list[Line]:
        """The local derivatives along a path, those that are new, and the δ in front of the last one."""
        lines = [line for factor in path.factors[:-1] for line in self._local(factor)]
        head = self._head(path)
        if head is not None and head not in self._stated:
            self._stated.add(head)
            names, numbers = self._names(path)[:-1], self._values(path)[:-1]
            number = self.values[head.name] = self._head_number(path)
            lines.append(equal(self._delta(head), product(names), product(numbers), value(number)))
        return lines + self._local(path.factors[-1])

    def _local(self, factor: Factor) -> list[Line]:
        if (factor.of, factor.by) in self._stated:
            return []
        self._stated.add((factor.of, factor.by))
        self._direct |= factor.direct
        return [self._computed(self._name(factor), factor.formula, self.number(factor.formula))]

    def _sum(self, adjoint: Formula, branching: Branching) -> list[Line]:
        """A gradient that is a sum over branches: the sum, each of its products, and their total."""
        paths = branching.paths
        shown = paths if len(paths) <= MOST_PATHS else paths[:MOST_PATHS]
        more = [Formula("…", r"\dots")] if len(shown) < len(paths) else []
        lines = [equal(adjoint, total([*(product(self._short(path)) for path in shown), *more]))]
        for path in shown:
            names, numbers = self._short(path), self._short_values(path)
            if len(names) > 1:
                lines.append(equal(product(names), product(numbers), value(self._number(path))))
        numbers = [*(value(self._number(path)) for path in shown), *more]
        lines.append(equal(adjoint, total(numbers), value(sum(map(self._number, paths)))))
        return lines

    def _head(self, path: Path) -> Any:
        """The gradient ∂L/∂T in front of the last factor ∂T/∂U, where it is a product itself."""
        if len(path.factors) + (path.rest is not None) < 3:
            return None
        assert self.network.loss is not None
        return Adjoint(tensor_of(path.factors[-1].of), self.network.loss)

    def _delta(self, head: Any) -> Formula:
        """δ, where people write it so, with what it is: δ2[0] = ∂L/∂z2[0]."""
        plain = self.write.symbols(head)
        if not is_delta(head, self.notation):
            return plain
        named = self.write.symbols(head, self.notation)
        return Formula(f"{named.text} = {plain.text}", f"{named.latex} = {plain.latex}")

    def _head_number(self, path: Path) -> float:
        number = 1.0 if path.rest is None else self.values[tensor_of(path.rest).name]
        for factor in path.factors[:-1]:
            number *= self.number(factor.formula)
        return float(number)

    def _number(self, path: Path) -> float:
        return self._head_number(path) * self.number(path.factors[-1].formula) * self.number(path.guard)

    def _name(self, factor: Factor) -> Formula:
        name = self.write.symbols(Partial(factor.of, factor.by))
        if not factor.direct:
            return name
        return Formula(f"{name.text}|direct", rf"\left.{name.latex}\right|_{{\text{{direct}}}}")

    def _names(self, path: Path) -> list[Formula]:
        rest = [] if path.rest is None else [self.write.symbols(path.rest)]
        return [*rest, *map(self._name, path.factors)]

    def _values(self, path: Path) -> list[Formula]:
        rest = [] if path.rest is None else [value(self.values[tensor_of(path.rest).name])]
        return [*rest, *(value(self.number(factor.formula)) for factor in path.factors)]

    def _short(self, path: Path) -> list[Formula]:
        """The product with δ for all but its last factor."""
        head = self._head(path)
        if head is None:
            return self._names(path)
        return [self.write.symbols(head, self.notation), self._names(path)[-1]]

    def _short_values(self, path: Path) -> list[Formula]:
        head = self._head(path)
        if head is None:
            return self._values(path)
        return [value(self._head_number(path)), self._values(path)[-1]]
