"""A step of training as one list of phases: what it makes of parameters and states is done where that is made of.

An optimizer that looks at one entry at a time has its equations at each element of each gradient. They are joined with
the phase that makes the gradient, which then lies in no memory, and for which nobody waits. Where others still read the
parameter, as the layer below does on the way back, both come later, as `order` says; and all come after the loss: where
that is not finite, nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sympy import Dummy, Expr, Integer

from ...symbolic.equations import Equation
from ...symbolic.tensors import Tensor, element_of, elements, indices_of, tensor_of
from ..layout import Place
from ..nests import AddTo, Item, Loop, Set, reads, rename, statements, targets
from ..plan import Plan
from ..sizes import Sizes
from ..update import UpdatePlan
from .kinds import Each, Phase, Product, Together, made_by_everyone, points_of, read_by, written_by
from .order import Needs
from .places import Places
from .updates import of_the_step, scalars_of


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


def training_step(phases: Sequence[Phase], plan: Plan) -> tuple[list[Phase], Places]:
    """The phases to loss and gradients, and after them what becomes of states, parameters and the optimizer's state.

    Also where those of the tensors lie that are this step's own. Nothing of both if the optimizer looks at more than
    one entry at a time, as for a norm.
    """
    update, loss = plan.update, plan.network.loss
    if update is None or loss is None or not _takes_each_alone(update):
        return [], {}
    scalars = {tensor: Tensor(plan.lowering.unused(tensor.name), ()) for tensor in scalars_of(update)}
    places: Places = {own: ("scalars", Place(Integer(at), ())) for at, own in enumerate(scalars.values())}
    # In the order in which they are declared: states of before the update are made of parameters of before it.
    all_of = [
        Becomes(tensor_of(op.body), indices_of(op.body), (_set(op.target, op.body),)) for op in plan.schedule.assign
    ]
    for parameter in plan.network.parameters:
        if parameter.name not in plan.network.frozen:
            one, own = _updated(parameter, plan, update, scalars)
            all_of.append(one)
            places |= own
    return _in_order(phases, all_of, loss, plan.sizes), places


def _takes_each_alone(update: UpdatePlan) -> bool:
    """Whether what an update does with an entry needs no other: it sums up nothing."""
    return len(update.stages) == 1 and all(one in of_the_step(update) for one in update.stages[0].once)


def _updated(
    parameter: Tensor, plan: Plan, update: UpdatePlan, scalars: dict[Tensor, Tensor]
) -> tuple[Becomes, Places]:
    """What becomes of a parameter and its part of the optimizer's state, and where that part lies."""
    unused = plan.lowering.unused
    gradient, place = plan.schedule.gradients[parameter.name], plan.layout.parameters[parameter.name]
    own, places, rows = dict[Tensor, Tensor](), Places(), 0
    for tensor, buffer in update.vectors:
        if buffer in ("params", "grads"):
            own[tensor] = parameter if buffer == "params" else gradient
            continue
        own[tensor] = Tensor(unused(f"{tensor.name}_{parameter.name}"), parameter.shape, tensor.role)
        places[own[tensor]] = ("state", Place(place.offset + rows * plan.layout.trainable, place.shape))
        rows += 1
    letters = {op.tensor: op.equation.indices for op in plan.schedule.ops}.get(gradient, ())
    if len(letters) != parameter.rank:
        letters = tuple(Dummy(letter, integer=True) for letter, _ in zip("pqrsuv", parameter.shape, strict=False))
    items = []
    for equation, body in zip(update.stages[0].equations, update.stages[0].bodies, strict=True):
        read = {e: element_of(own[tensor_of(e)], letters) for e in elements(body) if tensor_of(e) in own}
        if own[equation.target] == gradient:  # a clipped gradient is another, which lies nowhere
            own[equation.target] = Tensor(unused(f"{gradient.name}_clipped"), parameter.shape, gradient.role)
        items.append(_set(element_of(own[equation.target], letters), body.xreplace(read | scalars)))
    return Becomes(gradient, letters, tuple(items)), places


def _set(target: Expr, value: Expr) -> Set:
    return Set(target, value, Equation(tensor_of(target), indices_of(target), value))


def _in_order(phases: Sequence[Phase], all_of: Sequence[Becomes], loss: Tensor, sizes: Sizes) -> list[Phase]:
    """The phases, and each of `all_of` with the one that makes what it needs, or after it; all after the loss."""
    done, last = list(phases), list[Phase]()
    for one in all_of:
        place = next((place for place, phase in enumerate(done) if one.made in written_by(phase)), None)
        joined = None if place is None else _joined(done[place], one)
        if place is None or joined is None or not _can_wait(done[place], [*done[place + 1 :], *last]):
            last.append(one.alone(sizes))
        else:
            del done[place]
            last.append(joined)
    needs = Needs(done)
    known = next(level for level, phase in zip(needs.levels, done, strict=True) if loss in written_by(phase))
    for phase in last:
        needs.add(phase, known)
    # What every thread makes for itself comes first: so all have the loss, for which they do not wait.
    found = [*done, *last]
    keys = [(level, not made_by_everyone(phase)) for level, phase in zip(needs.levels, found, strict=True)]
    return [found[place] for place in sorted(range(len(found)), key=keys.__getitem__)]


def _can_wait(phase: Phase, others: Sequence[Phase]) -> bool:
    """Whether a phase can as well come after others, which it stood before."""
    reading, writing = read_by(phase), written_by(phase)
    return not any(reading & written_by(other) or writing & (read_by(other) | written_by(other)) for other in others)


def _joined(phase: Phase, one: Becomes) -> Phase | None:
    """The phase that makes a tensor, and at each of its elements what becomes of it; None where that cannot be."""
    if not isinstance(phase, Each | Together | Product) or made_by_everyone(phase):
        return None
    space, made, body = points_of(phase)
    own = [element for element in [*made, *_finished(body)] if tensor_of(element) == one.made]
    if len(own) != 1 or not _is_each_point(own[0], space):
        return None
    items = one.at(indices_of(own[0]))
    # A thread may read before what it changes itself, and no other's.
    changed = {target for item in items for s in statements(item) for target in targets(s)}
    tensors = {tensor_of(element) for element in changed}
    known = [element for item in body for element in reads(item)]
    if isinstance(phase, Product):
        known += [phase.op.left, phase.op.right]
    elif isinstance(phase, Together):
        known += elements(phase.value)
    if any(tensor_of(element) in tensors and element not in changed for element in known):
        return None
    done = Each(space, (*body, *items))
    return done if isinstance(phase, Each) else replace(phase, after=done)


def _finished(items: Sequence[Item]) -> Iterator[Expr]:
    """The elements that statements at a point have made when they end; what they add to in memory is there twice."""
    for item in items:
        for last in item.after if isinstance(item, Loop) else (item,):
            yield from (target for s in statements(last) for target in targets(s))
        yield from (s.target for s in statements(item) if isinstance(s, AddTo) for _ in range(2))


def _is_each_point(element: Expr, space: Sequence[tuple[Any, Expr]]) -> bool:
    """Whether there is one such element for each point of a space, and no other."""
    indices = [index for index in indices_of(element) if index != 0]
    return len(indices) == len(space) and set(indices) == {index for index, _ in space}
