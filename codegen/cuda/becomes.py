"""What a step makes of parameters and states, done where what it is made of is made last.

An optimizer that looks at one entry at a time has its equations at each gradient's element: they are joined with the
phase that makes the gradient, which then need not lie in memory, and for which nobody waits. A parameter that others
still read, as the layer below does on the way back, is waited for as `order` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sympy import Dummy, Expr, Integer, Symbol

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, element_of, elements, indices_of, tensor_of
from ..layout import Place
from ..nests import AddTo, Item, Loop, Set, reads, rename, statements, targets
from ..plan import Plan
from ..sizes import Sizes
from ..update import Once, UpdatePlan
from .kinds import Each, Phase, Product, Together, made_by_everyone, read_by, written_by
from .order import Needs
from .places import Places
from .products import is_in_one


@dataclass(frozen=True)
class Becomes:
    """What is assigned once a tensor, `made`, is known: `items`, at an element of it with these `indices`."""

    made: Tensor
    indices: tuple[Any, ...]
    items: tuple[Set, ...]

    def at(self, places: Sequence[Any]) -> tuple[Item, ...]:
        """The same at other indices."""
        return tuple(rename(item, dict(zip(self.indices, places, strict=True))) for item in self.items)

    def alone(self, sizes: Sizes) -> Each:
        """A phase of its own."""
        pairs = list(zip(self.indices, sizes.shape(self.made.shape), strict=True))
        fresh = [Integer(0) if extent == 1 else Dummy(index.name, integer=True) for index, extent in pairs]
        space = [(index, extent) for index, (_, extent) in zip(fresh, pairs, strict=True) if extent != 1]
        # A number alone would be every thread's, and read by some after others have written it.
        return Each(tuple(space) or ((Dummy("q", integer=True), Integer(1)),), self.at(fresh))


def fits(plan: UpdatePlan, leading: Sequence[Once]) -> bool:
    """Whether an update takes one entry at a time: but for the scalars of the step, `leading`, it reads nothing else."""
    stage, *later = plan.stages
    bodies = zip(stage.equations, stage.bodies, strict=True)
    counted = any(body.xreplace({e: Symbol("e") for e in elements(body)}).has(eq.indices[0]) for eq, body in bodies)
    return not later and not counted and all(one in leading for one in stage.once)


def updates(plan: Plan, update: UpdatePlan, given: Sequence[Tensor]) -> tuple[list[Becomes], Places]:
    """What becomes of each trainable parameter and its part of the optimizer's state.

    Also where that part, and the scalars of the step, `given`, lie.
    """
    unused = plan.lowering.unused
    scalars = {tensor: Tensor(unused(tensor.name), (), tensor.role) for tensor in given}
    places: Places = {own: ("scalars", Place(Integer(at), ())) for at, own in enumerate(scalars.values())}
    letters = {op.tensor: op.equation.indices for op in plan.schedule.ops}
    trainable = plan.layout.trainable
    theta, gradient = (tensor for tensor, buffer in update.vectors if buffer in ("params", "grads"))
    states = [tensor for tensor, buffer in update.vectors if tensor not in (theta, gradient)]
    found = []
    for tensor in plan.network.parameters:
        if tensor.name in plan.network.frozen:
            continue
        made, place = plan.schedule.gradients[tensor.name], plan.layout.parameters[tensor.name]
        own = {theta: tensor, gradient: made}
        for row, state in enumerate(states):
            own[state] = Tensor(unused(f"{state.name}_{tensor.name}"), tensor.shape, state.role)
            places[own[state]] = ("state", Place(place.offset + row * trainable, place.shape))
        indices = letters.get(made, ())
        if len(indices) != tensor.rank:
            indices = tuple(Dummy(letter, integer=True) for letter, _ in zip("pqrsuv", tensor.shape, strict=False))
        items = []
        for equation, body in zip(update.stages[0].equations, update.stages[0].bodies, strict=True):
            value = body.xreplace({e: element_of(own[tensor_of(e)], indices) for e in elements(body) if e not in scalars})
            value = value.xreplace(scalars)
            if equation.target == gradient:  # clipped: from here on another, which lies nowhere
                own[gradient] = Tensor(unused(f"{made.name}_clipped"), tensor.shape, made.role)
            target = own[equation.target]
            items.append(Set(element_of(target, indices), value, Equation(target, indices, value)))
        found.append(Becomes(made, indices, tuple(items)))
    return found, places


def assigned(plan: Plan) -> list[Becomes]:
    """What the network's states become."""
    found = []
    for op in plan.schedule.assign:
        found.append(Becomes(tensor_of(op.body), indices_of(op.body), (Set(op.target, op.body, op.equation),)))
    return found


def whole_step(phases: Sequence[Phase], all_of: Sequence[Becomes], loss: Tensor, sizes: Sizes) -> list[Phase]:
    """The phases, and after the one that makes the loss, which all threads have then, what becomes of parameters."""
    done, last = list(phases), list[Phase]()
    for one in all_of:
        place = next((place for place, phase in enumerate(done) if one.made in written_by(phase)), None)
        joined = None if place is None else _joined(done[place], one, sizes)
        if joined is None or not _can_wait(done[place], [*done[place + 1 :], *last]):
            last.append(one.alone(sizes))
        else:
            del done[place]
            last.append(joined)
    needs = Needs(done)
    known = next(level for level, phase in zip(needs.levels, done, strict=True) if loss in written_by(phase))
    for phase in last:
        needs.add(phase, known)
    # What every thread makes for itself comes first: so the loss is known before what needs it.
    ordered = [*done, *last]
    keys = [(level, not made_by_everyone(phase)) for level, phase in zip(needs.levels, ordered, strict=True)]
    return [ordered[place] for place in sorted(range(len(ordered)), key=keys.__getitem__)]


def _can_wait(phase: Phase, others: Sequence[Phase]) -> bool:
    """Whether a phase can as well come after others."""
    reading, writing = read_by(phase), written_by(phase)
    return not any(
        reading & written_by(other) or writing & (read_by(other) | written_by(other)) for other in others
    )


def _joined(phase: Phase, one: Becomes, sizes: Sizes) -> Phase | None:
    """The phase that makes a tensor, and what becomes of it at each of its elements; None where it can not be both."""
    if made_by_everyone(phase):
        return None
    if isinstance(phase, Product):
        if not is_in_one(phase.op, sizes):
            return None
        extents = dict(phase.op.space)
        space = tuple((index, extents[index]) for index in phase.op.free)
        target = phase.op.target
    elif isinstance(phase, Together):
        space, target = phase.space, phase.target
    elif isinstance(phase, Each):
        space, target = phase.space, None
    else:
        return None
    body = phase.body if isinstance(phase, Each) else () if phase.after is None else phase.after.body
    finished = [*([target] if target is not None else []), *_finished(body)]
    own = [element for element in finished if tensor_of(element) == one.made]
    if len(own) != 1 or not _is_each_point(own[0], space):
        return None
    items = one.at(indices_of(own[0]))
    changed = {target for item in items for s in statements(item) for target in targets(s)}
    known = [element for item in body for element in reads(item)]
    if isinstance(phase, Product):
        known += [phase.op.left, phase.op.right]
    elif isinstance(phase, Together):
        known += elements(phase.value)
    # A thread may read before what it changes itself, and no other's.
    tensors = {tensor_of(element) for element in changed}
    if any(tensor_of(element) in tensors and element not in changed for element in known):
        return None
    if isinstance(phase, Each):
        return Each(space, (*body, *items))
    return replace(phase, after=Each(space, (*body, *items)))


def _finished(items: Sequence[Item]) -> Iterator[Expr]:
    """The elements that statements at a point have made when they end; one that they add to in memory, twice."""
    for item in items:
        for statement in item.after if isinstance(item, Loop) else (item,):
            yield from (target for s in statements(statement) for target in targets(s))
        yield from (s.target for s in statements(item) if isinstance(s, AddTo) for _ in range(2))


def _is_each_point(element: Expr, space: Sequence[tuple[Any, Expr]]) -> bool:
    """Whether there is one such element for each point of a space, and no other."""
    indices = [index for index in indices_of(element) if index != 0]
    return len(indices) == len(space) and set(indices) == {index for index, _ in space}
