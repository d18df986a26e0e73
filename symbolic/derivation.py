"""`Derivation`: the adjoint of every tensor that the loss depends on, each an equation, compacted.

Reverse mode over the network's equations: an adjoint is the sum of what each reader of the tensor passes back. An
adjoint that only one pointwise equation needs is put into that one's (∂L/∂a into δ), as a person would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sympy import Add, Expr, Integer, Symbol

from .adjoint import Contribution, contributions
from .binders import Binder
from .compact import compact, measure
from .dependence import passed_by, sources
from .equations import Equation
from .errors import LossError, UndefinedError, UnusedParameterError
from .facts import Fact
from .network import Network
from .recurrence import Recurrence, blocks
from .report.printable import Printable
from .rewriting import Rewriting
from .strict import listed
from .tensors import Adjoint, Derived, Tensor, element_of, elements, indices_of, is_element, tensor_of

Reads: TypeAlias = Callable[[Expr], bool]
INLINE_LIMIT = 60  # an adjoint longer than this stays an equation of its own, so that cost stays linear in depth


@dataclass(frozen=True)
class Step:
    """How one adjoint was made.

    Attributes
    ----------
    equation : the adjoint, compacted
    parts : what each reader of the tensor passes back, before compaction
    facts : the facts that compaction used
    """

    equation: Equation
    parts: tuple[Contribution, ...]
    facts: tuple[Fact, ...]

    @property
    def tensor(self) -> Tensor:
        return self.equation.target.of

    @property
    def raw(self) -> Equation:
        """The sum over branches before anything is rewritten."""
        return Equation(self.equation.target, self.equation.indices, Add(*(part.term for part in self.parts)))


@dataclass
class Derivation(Printable):
    """The adjoint equations of a network.

    Attributes
    ----------
    network : the network that was derived
    adjoints : the adjoint equations that the gradients need, in an order in which they can be computed
    gradients : name → equation, for the tensors whose gradients were asked for
    steps : name → `Step`, for every tensor between them and the loss, the ones put into others too
    """

    network: Network
    adjoints: list[Equation] = field(default_factory=list)
    gradients: dict[str, Equation] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Equation:
        """The gradient ∂L/∂name as an `Equation`."""
        if name in self.gradients:
            return self.gradients[name]
        return self.delta(name)

    def delta(self, name: str) -> Equation:
        """The adjoint of a tensor on the way to the loss, as an `Equation`: ``delta("z1")``.

        Raises
        ------
        UndefinedError
            If the network has no such tensor.
        UnusedParameterError
            If the loss does not depend on it, or it was not asked for.
        """
        if name in self.steps:
            return self.steps[name].equation
        tensor = self.network.tensors.get(name)
        if tensor is None:
            raise UndefinedError(f"{self.network.name} has no tensor {name!r}; derived are {', '.join(self.steps)}")
        raise UnusedParameterError(
            f"there is no gradient of {tensor.role} {name} here: derived are {', '.join(self.steps)}; "
            f"ask for it with derive(wrt=[{name!r}]), if the loss depends on it"
        )


def derive(network: Network, wrt: Iterable[str] | None = None, *, may_be_unused: bool = False) -> Derivation:
    """Derive `network`; see `Network.derive`. With `may_be_unused`, what the loss does not depend on is no error."""
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    asked = asked_names(network, wrt)
    active = _active(network, asked)
    engine = _Engine(network, active)
    for block in reversed(blocks(network.equations)):
        if isinstance(block, Recurrence):
            engine.pass_back_in_time(block)
        else:
            engine.pass_back(block)
    for name in asked:
        engine.finish(network.tensors[name])
    if isinstance(network.loss, Derived):
        engine.add_zeros([network.tensors[name] for name in asked], "zero")
    else:
        engine.add_zeros(_read_beyond(network, asked), "read beyond the ends of an axis alone")
        if not may_be_unused:
            _check_reached(network, asked, engine)
    derivation = Derivation(network, steps=engine.steps)
    derivation.gradients = {name: engine.steps[name].equation for name in asked if name in engine.steps}
    derivation.adjoints = _needed(derivation)
    return derivation


class _Engine:
    """The sweep from the loss back: collects contributions, compacts them, decides what is put into what."""

    def __init__(self, network: Network, active: dict[Tensor, None]) -> None:
        self.network, self.active = network, active
        self.parts: dict[Tensor, list[Contribution]] = {}
        self.steps: dict[str, Step] = {}
        assert network.loss is not None
        self.reaching = passed_by(network.equations, [network.loss], network.held)
        self.named: set[Tensor] = set()  # whose adjoints stay equations of their own: others read them by name
        self.statistics: dict[Tensor, list[tuple[Contribution, Equation]]] = {}
        self.rewrite = Rewriting(network)

    def pass_back(self, equation: Equation, reads: Reads = lambda element: True) -> None:
        tensor = equation.target
        if tensor == self.network.loss:
            self._collect(equation, Integer(1), reads)
            return
        adjoint = self.finish(tensor)
        if adjoint is None:
            return
        name = element_of(adjoint.target, equation.indices)
        if self._put_into_reader(equation, adjoint):
            self._collect(equation, adjoint.at(equation.indices), reads)
        elif self._is_statistic(equation, adjoint, name):
            self._collect(equation, name, reads, adjoint)
        else:
            self._collect(equation, name, reads)

    def pass_back_in_time(self, recurrence: Recurrence) -> None:
        """Backpropagation through time: what a step passes to those before it needs adjoints yet to be found."""
        passing = [e for e in recurrence.equations if e.target in self.active and e.target in self.reaching]
        for equation in passing:

            def lagged(element: Expr, equation: Equation = equation) -> bool:
                return recurrence.is_lagged(equation, element)

            if any(lagged(element) for element in elements(equation.body) if tensor_of(element) in self.active):
                assert self.network.loss is not None
                self.named.add(equation.target)
                cotangent = element_of(Adjoint(equation.target, self.network.loss), equation.indices)
                self._collect(equation, cotangent, lagged)
        for equation in reversed(passing):
            self.pass_back(equation, lambda e, equation=equation: not recurrence.is_lagged(equation, e))  # type: ignore[misc]

    def finish(self, tensor: Tensor) -> Equation | None:
        """The adjoint of `tensor`, all of whose readers have been passed; None if the loss does not depend on it."""
        parts = self.parts.get(tensor)
        if not parts:
            return None
        if tensor.name in self.steps:
            return self.steps[tensor.name].equation
        where = self.network.home(tensor)
        ranges = dict(zip(where, tensor.shape, strict=True))
        body, facts = compact(Add(*(part.term for part in parts)), self.rewrite, ranges)
        if tensor in self.statistics:
            body, facts = self._without_statistics(tensor, body, facts, ranges)
        assert self.network.loss is not None
        target = Adjoint(tensor, self.network.loss)
        through = ", ".join(dict.fromkeys(part.through.target.name for part in parts))
        equation = Equation(target, where, body, f"chain rule through {through}")
        self.steps[tensor.name] = Step(equation, tuple(parts), tuple(facts))
        return equation

    def add_zeros(self, tensors: Iterable[Tensor], note: str) -> None:
        """Gradients that are 0, and may be: a second derivative, or that of what this length of an axis leaves out."""
        assert self.network.loss is not None
        for tensor in tensors:
            if tensor.name not in self.steps:
                equation = Equation(Adjoint(tensor, self.network.loss), self.network.home(tensor), Integer(0), note)
                self.steps[tensor.name] = Step(equation, (), ())

    def _collect(self, equation: Equation, cotangent: Expr, reads: Reads, statistic: Equation | None = None) -> None:
        for part in contributions(equation, cotangent, self.active, self.network.home, reads):
            self.parts.setdefault(part.tensor, []).append(part)
            if statistic is not None:
                self.statistics.setdefault(part.tensor, []).append((part, statistic))

    def _is_statistic(self, equation: Equation, adjoint: Equation, name: Expr) -> bool:
        """Whether the target is a mean, a norm or the like of the one tensor that its adjoint says anything about."""
        sources = [tensor for tensor in equation.reads if tensor in self.active]
        if equation.target in self.named or measure(adjoint.body) > INLINE_LIMIT:
            return False
        if not any(source.rank > equation.target.rank for source in sources):
            return False
        reached = set()
        for part in contributions(equation, name, self.active, self.network.home):
            ranges = dict(zip(part.where, part.tensor.shape, strict=True))
            if compact(part.term, self.rewrite, ranges)[0] != 0:
                reached.add(part.tensor)
        return len(reached) == 1 and all(tensor.role != "parameter" for tensor in reached)

    def _without_statistics(
        self, tensor: Tensor, body: Expr, facts: list[Fact], ranges: dict[Any, Expr]
    ) -> tuple[Expr, list[Fact]]:
        """The adjoint with those of the statistics of `tensor` put in, where the whole is shorter (layer norm)."""
        known = self.statistics[tensor]
        inside = Add(*(part.term for part in self.parts[tensor] if part not in [known_part for known_part, _ in known]))
        # A statistic may read the tensor more than once: all its readings are passed back at once.
        statistics = {part.through.target: (part.through, adjoint) for part, adjoint in known}.values()
        for equation, adjoint in statistics:
            cotangent = adjoint.at(equation.indices)
            again = contributions(equation, cotangent, {tensor: None}, self.network.home)
            inside += Add(*(other.term for other in again))
        shorter, used = compact(inside, self.rewrite, ranges)
        outside = measure(body) + sum(measure(adjoint.body) + 1 for _, adjoint in statistics)
        return (shorter, used) if measure(shorter) < outside else (body, facts)

    def _put_into_reader(self, equation: Equation, adjoint: Equation) -> bool:
        """Whether the adjoint of the target reads better (and costs no more) inside the one adjoint that needs it."""
        if equation.target in self.named:
            return False
        if is_operand(adjoint.body):
            return True
        sources = [tensor for tensor in equation.reads if tensor in self.active]
        if len(sources) != 1 or measure(adjoint.body) > INLINE_LIMIT:
            return False
        if _is_pointwise(equation, sources[0]):
            return True
        if adjoint.body.has(Binder):
            return False
        inside, outside = (
            self._length(equation, cotangent)
            for cotangent in (adjoint.at(equation.indices), element_of(adjoint.target, equation.indices))
        )
        # For a parameter the δ stays: ∂L/∂W = δ xᵀ is what people write, and one contraction.
        return inside < outside + (measure(adjoint.body) if sources[0].role == "value" else 0)

    def _length(self, equation: Equation, cotangent: Expr) -> int:
        parts = contributions(equation, cotangent, self.active, self.network.home)
        return measure(compact(Add(*(part.term for part in parts)), self.rewrite)[0])


def is_operand(expr: Expr) -> bool:
    """Whether `expr` is one element with an index of its own at every axis."""
    places = indices_of(expr) if is_element(expr) else ()
    return bool(places) and all(isinstance(place, Symbol) for place in places) and len(set(places)) == len(places)


def _is_pointwise(equation: Equation, source: Tensor) -> bool:
    """Whether `equation` reads `source` only at the indices that it writes: no sum multiplies what is put in."""
    reads = [element for element in elements(equation.body) if tensor_of(element) == source]
    return not equation.body.has(Binder) and all(
        set(getattr(element, "indices", ())) == set(equation.indices) for element in reads
    )


def asked_names(network: Network, wrt: Iterable[str] | None) -> list[str]:
    """The names in `wrt`, checked; by default those that the network says, or its parameters, or its real inputs."""
    wrt = network.asked if wrt is None else wrt
    if wrt is None:
        return [t.name for t in network.parameters or network.inputs if t.classes is None]
    several = listed(wrt)
    names: list[Any] = [wrt] if several is None else several
    strange = [name for name in names if not isinstance(name, str)]
    if strange:
        raise UndefinedError(f"wrt: {strange[0]!r} is no name; expected names of tensors, such as ['W1', 'b1']")
    names = list(dict.fromkeys(names))
    for name in names:
        tensor = network.tensors.get(name)
        if tensor is None:
            raise UndefinedError(f"wrt: {network.name} has no tensor {name!r}; it has {', '.join(network.tensors)}")
        if tensor.classes is not None:
            raise UnusedParameterError(f"wrt: {name} holds class labels (integers), which have no gradient")
    return names


def _active(network: Network, asked: list[str]) -> dict[Tensor, None]:
    """The tensors that depend on what is asked for; the others get no adjoint."""
    active = dict.fromkeys(network.tensors[name] for name in asked)
    before = -1
    while len(active) != before:  # a recurrence may read what stands below
        before = len(active)
        for equation in network.equations:
            if equation.target.name not in network.held and any(tensor in active for tensor in equation.reads):
                active.setdefault(equation.target)
    return active


def _read_beyond(network: Network, asked: list[str]) -> list[Tensor]:
    """Of what is asked for, what the loss would depend on if an axis were longer: the weights of a state at T = 1."""
    assert network.loss is not None
    reached = sources(network.equations, [network.loss])
    longer = set(reached)
    while new := {tensor for known in longer for tensor in network.beyond.get(known.name, ())} - longer:
        longer |= sources(network.equations, new)
    return [network.tensors[name] for name in asked if network.tensors[name] in longer - reached]


def _check_reached(network: Network, asked: list[str], engine: _Engine) -> None:
    for name in asked:
        tensor = network.tensors[name]
        step = engine.steps.get(name)
        if step is not None and (step.equation.body != 0 or not step.parts):
            continue
        readers = [equation.target.name for equation in network.equations if tensor in equation.reads]
        how = (
            f"it is read by {', '.join(readers)}, through which its gradient is 0"
            if readers
            else "no equation reads it"
        )
        raise UnusedParameterError(
            f"the loss {network.loss} does not depend on {tensor.role} {name}: {how}; "
            "use it in an equation on the way to the loss, or remove it"
        )


def _needed(derivation: Derivation) -> list[Equation]:
    """The adjoints that the gradients read, directly or not, in the order they were derived."""
    by_name = {step.equation.target.name: step.equation for step in derivation.steps.values()}
    wanted: dict[str, None] = {}
    stack = [equation.target.name for equation in derivation.gradients.values()]
    while stack:
        name = stack.pop()
        if name not in wanted:
            wanted.setdefault(name)
            stack += [tensor.name for tensor in by_name[name].reads if tensor.role == "adjoint"]
    return [equation for name, equation in by_name.items() if name in wanted]
