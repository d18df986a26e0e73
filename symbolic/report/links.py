"""The path from one entry of a tensor to the loss: products of local derivatives, sums where it branches.

Every local derivative is the engine's (`link`, and so `adjoint.partials`), compacted by the engine's rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Function, Integer, Mul, Symbol

from ..binders import rename_free
from ..compact import compact
from ..dependence import passed_by, readers
from ..equations import Equation
from ..errors import UnusedParameterError
from ..facts import Fact
from ..guards import Guard
from ..indices import Dim
from ..link import Link, link
from ..network import Network
from ..rewriting import Rewriting
from ..solve import Pairs
from ..tensors import Adjoint, Tensor, element_of, tensor_of

Where = tuple[Expr, ...]


@dataclass(frozen=True)
class Factor:
    """∂of/∂by, two elements, and what it is; `direct` where the loss also depends on `by` through others."""

    of: Expr
    by: Expr
    formula: Expr
    facts: tuple[Fact, ...] = ()
    direct: bool = False


@dataclass(frozen=True)
class Path:
    """One term of a sum over branches: ``Σ guard ∂L/∂T · factor · … · factor``, the factors from the loss on.

    Attributes
    ----------
    summed : the indices that are summed over, with their sizes
    guard : the product of the brackets under which there is such a path
    rest : ∂L/∂T where the way branches again, which is a `Branching` of its own; None where it reaches the loss
    factors : local derivatives
    """

    summed: tuple[tuple[Symbol, Expr], ...]
    guard: Expr
    rest: Expr | None
    factors: tuple[Factor, ...]

    @property
    def product(self) -> Expr:
        """What stands under the sum, formulas put in."""
        rest = Integer(1) if self.rest is None else self.rest
        return Mul(self.guard, rest, *(factor.formula for factor in self.factors))


@dataclass(frozen=True)
class Branching:
    """The gradient of `element` as a sum over paths."""

    element: Expr
    adjoint: Expr
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class _Edge:
    target: Tensor
    at: Where
    summed: tuple[tuple[Symbol, Expr], ...]
    guard: Expr
    factor: Factor


class Walk:
    """Follows the equations of `network` from entries to the loss."""

    def __init__(self, network: Network) -> None:
        assert network.loss is not None
        self.network, self.loss = network, network.loss
        self.rewrite = Rewriting(network)
        # As the derivative goes: not through what is held.
        reaching = passed_by(network.equations, [network.loss], network.held)
        self.readers: dict[Tensor, list[Equation]] = {}
        for equation in network.equations:
            if equation.target in reaching and equation.target.name not in network.held:
                for tensor in equation.reads:
                    self.readers.setdefault(tensor, []).append(equation)
        self.products = [
            (equation.target, frozenset(equation.body.args))
            for equation in network.equations
            if equation.target.rank == 0 and isinstance(equation.body, Mul) and equation.body.has(Function)
        ]
        self.links: dict[tuple[Tensor, Tensor], Link | None] = {}
        self.found: dict[tuple[Tensor, Where], list[_Edge]] = {}
        self.general: set[Tensor] = set()  # whose gradients are stated for any entry
        self.decided: set[Tensor] = set()  # of those, which have a gradient
        self.open: set[Tensor] = {self.loss}

    def all_from(self, tensor: Tensor, where: Where) -> list[Branching]:
        """The sum for one entry, and below it those for the tensors at which its paths branch again.

        Raises
        ------
        UnusedParameterError
            If the loss does not depend on the entry.
        """
        made: dict[tuple[Tensor, Where], Branching] = {}
        waiting = [(tensor, where)]
        while waiting:
            key = waiting.pop(0)
            if key in made:
                continue
            made[key] = self.required(*key)
            waiting += [self.stated(path.rest) for path in made[key].paths if path.rest is not None]
        # In a recurrence the gradient of one entry may come to that of any: then this one is stated alone.
        several = {
            t for t, at in list(made)[1:] if any(isinstance(p, Integer) for p in at) and (t, self._any(t)) in made
        }
        if several - self.general:
            self.general |= several
            return self.all_from(tensor, where)
        return list(made.values())

    def _any(self, tensor: Tensor) -> Where:
        return tuple(self.network.home(tensor))

    def required(self, tensor: Tensor, where: Where) -> Branching:
        """∂L/∂tensor[where] as `branching` has it; refused where there is no path."""
        found = self.branching(tensor, where)
        if not found.paths:
            element = element_of(tensor, where)
            raise UnusedParameterError(f"the loss {self.loss} of {self.network.name} does not depend on {element}")
        return found

    def branching(self, tensor: Tensor, where: Where) -> Branching:
        """∂L/∂tensor[where], a path for each way on."""
        edges = self.edges(tensor, where)
        paths = tuple(self._path(edge, direct=len(edges) > 1) for edge in edges)
        return Branching(element_of(tensor, where), element_of(Adjoint(tensor, self.loss), where), paths)

    def stated(self, rest: Expr) -> tuple[Tensor, Where]:
        """Where the gradient `rest` is stated: with the tensor's own letters for indices and shifted positions."""
        adjoint: Any = tensor_of(rest)
        where = tuple(getattr(rest, "indices", ()))
        if len({p for p in where if not isinstance(p, Integer)}) < sum(not isinstance(p, Integer) for p in where):
            return adjoint.of, where  # a diagonal
        home = self.network.home(adjoint.of)
        if adjoint.of in self.general:
            return adjoint.of, tuple(home)
        return adjoint.of, tuple(p if isinstance(p, Integer) else letter for p, letter in zip(where, home, strict=True))

    def _path(self, edge: _Edge, direct: bool) -> Path:
        """From an edge on until the loss, or until the way branches."""
        guard, factors = edge.guard, [edge.factor]
        if edge.target == self.loss:
            first = edge.factor
            return Path(edge.summed, guard, None, (Factor(first.of, first.by, first.formula, first.facts, direct),))
        tensor, where = edge.target, edge.at
        while tensor != self.loss:
            onward = self.edges(tensor, where) if all(map(_is_plain, where)) else []
            if len(onward) != 1 or onward[0].summed:
                rest = element_of(Adjoint(tensor, self.loss), where)
                return Path(edge.summed, guard, rest, tuple(reversed(factors)))
            (step,) = onward
            factors.append(step.factor)
            guard *= step.guard
            tensor, where = step.target, step.at
        return Path(edge.summed, guard, None, tuple(reversed(factors)))

    def edges(self, tensor: Tensor, where: Where) -> list[_Edge]:
        """The equations that read ``tensor[where]``, on the way to the loss."""
        if (tensor, where) not in self.found:
            self.found[tensor, where] = list(self._edges(tensor, where))
        return self.found[tensor, where]

    def _edges(self, tensor: Tensor, where: Where) -> Iterator[_Edge]:
        home = self.network.home(tensor)
        for equation in self.readers.get(tensor, ()):
            target, found = equation.target, self._link(equation, tensor)
            if found is None or not self.has_gradient(target):
                continue
            names: dict[Any, Expr] = dict(zip(home, where, strict=True))
            summed = self._lettered(found, where)
            names |= {mark: letter for (mark, _), (letter, _) in zip(found.summed, summed, strict=True)}
            ranges = {p: size for p, size in zip(where, tensor.shape, strict=True) if _is_index(p)} | dict(summed)
            local, facts = compact(rename_free(found.local, names), self.rewrite, ranges)
            guards = [factor for factor in Mul.make_args(local) if isinstance(factor, Guard)]
            formula = self._reused(Mul(*(factor for factor in Mul.make_args(local) if factor not in guards)))
            if formula == 0:
                continue
            at = tuple(rename_free(place, names) for place in found.at)
            factor = Factor(element_of(target, at), element_of(tensor, where), formula, tuple(facts))
            yield _Edge(target, at, tuple(summed), Mul(*guards), factor)

    def has_gradient(self, tensor: Tensor) -> bool:
        """Whether a way leads from `tensor` to the loss on which no local derivative is 0 everywhere."""
        if tensor not in self.decided:
            below = readers(self.network.equations, [tensor]) - self.decided
            edges = [(t, equation) for t in below for equation in self.readers.get(t, ()) if self._link(equation, t)]
            before = -1
            while len(self.open) != before:  # a recurrence may read what stands below
                before = len(self.open)
                self.open.update(t for t, equation in edges if equation.target in self.open)
            self.decided |= below
        return tensor in self.open

    def _link(self, equation: Equation, tensor: Tensor) -> Link | None:
        key = tensor, equation.target
        if key not in self.links:
            found = link(equation, tensor, self.network.home(tensor))
            self.links[key] = None if found is not None and found.local == 0 else found
        return self.links[key]

    def _reused(self, formula: Expr) -> Expr:
        """Products that an equation between scalars computes, as its value: of a softmax written out p[0] p[1]."""
        for target, factors in self.products:
            found = set(Mul.make_args(formula))
            if factors <= found:
                formula = Mul(target, *(found - factors))
        return formula

    def _lettered(self, found: Link, where: Where) -> Pairs:
        """The indices of the sum as people write them: those of the tensor that is read, others where they clash."""
        taken = {symbol for place in where for symbol in place.free_symbols}
        home = self.network.home(found.equation.target)
        pairs: Pairs = []
        for mark, size in found.summed:
            own = next((letter for letter, place in zip(home, found.at, strict=True) if place == mark), None)
            if own is None or own in taken:
                (own,) = self.network.fresh_indices([size], taken)
            taken.add(own)
            pairs.append((own, size))
        return pairs


def _is_plain(place: Expr) -> bool:
    return isinstance(place, Integer) or _is_index(place)


def _is_index(place: Expr) -> bool:
    return isinstance(place, Symbol) and not isinstance(place, Tensor | Dim)
