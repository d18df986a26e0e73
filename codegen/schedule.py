"""Which op runs in which function, and which values are kept in memory between them.

`forward` makes the output from the inputs, `loss` what else the loss needs, `backward` the gradients. What one of them
makes and another reads is kept in the workspace; everything else lives in local variables where the loops allow.

A network that does other things in training than in inference has two schedules: in that of the training, `loss` makes
everything from the inputs on, and `advance` what the states become.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from sympy import Expr

from ..symbolic.derivation import Derivation
from ..symbolic.equations import Equation
from ..symbolic.errors import UndefinedError
from ..symbolic.network import Network
from ..symbolic.tensors import Adjoint, Tensor, tensor_of
from .idle_axes import without_idle_axes
from .lower import Lowering
from .ops import Op, Pointwise, tensors_read
from .scan import as_declared, time_axes, time_first
from .share import share_functions
from .signs import signs_of_outputs
from .sizes import Sizes


@dataclass(frozen=True)
class Schedule:
    """The ops of the three functions, in order.

    Attributes
    ----------
    forward, loss, backward : the ops of each
    output : what `predict` returns, or None where everything needs a target: then there is no `predict`
    gradients : name → tensor of the gradient, in the order of `grads`
    kept : the tensors that one function makes and another reads, in order
    temporaries : tensors without an equation of their own → the tensor of the equation that they belong to
    replaced : the tensors that are stored under the same name with time as their first axis, and so stand nowhere
    advance : the ops that compute what the states become, each in a tensor of its own
    assign : the ops that assign that, once all of it is computed
    further : what `predict` returns behind the output
    """

    forward: tuple[Op, ...]
    loss: tuple[Op, ...]
    backward: tuple[Op, ...]
    output: Tensor | None
    gradients: dict[str, Tensor]
    kept: tuple[Tensor, ...]
    temporaries: dict[Tensor, Tensor]
    replaced: frozenset[Tensor]
    advance: tuple[Op, ...] = ()
    assign: tuple[Op, ...] = ()
    further: tuple[Tensor, ...] = ()

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """All that `predict` returns."""
        return () if self.output is None else (self.output, *self.further)

    @property
    def ops(self) -> tuple[Op, ...]:
        """All of them."""
        return (*self.forward, *self.loss, *self.backward, *self.advance, *self.assign)

    def renamed(self, names: Mapping[Tensor, Tensor]) -> Schedule:
        """The same with other tensors for temporaries and their owners; the ops stay as they are."""
        owners = {names.get(tensor, tensor): names.get(owner, owner) for tensor, owner in self.temporaries.items()}
        return replace(self, temporaries=owners)


def schedule(
    network: Network,
    derivation: Derivation,
    sizes: Sizes,
    wanted: Sequence[str],
    *,
    strided: bool,
    in_segments: bool = False,
    valued: bool = True,
    sums_last: bool = False,
) -> tuple[Schedule, Lowering]:
    """Lower all equations, drop what nothing needs, and divide the rest; in training, where that is another mode.

    `strided`, `in_segments` and `sums_last` are those of `Lowering`; without `valued` the loss is derived, but not
    computed.
    """
    lowering = Lowering(network, sizes, strided=strided, in_segments=in_segments, sums_last=sums_last)
    output = None if network.has_modes else output_of(network)
    further = [network.tensors[name] for name in network.further]
    gradients = {name: derivation.gradients[name].target for name in wanted}
    stored = _Stored(network, [*network.equations, *derivation.adjoints], [output, *further, *gradients.values()])
    lowering.add_all(stored.equations)
    assign = [_lower_assignment(lowering, equation) for equation in stored.moved(network.assignments)]
    following = [tensor_of(op.body) for op in assign]
    outputs = [stored.as_declared(tensor) for tensor in (output, *further)]
    loss = network.loss if valued else None
    gradients = {name: stored.as_declared(tensor) for name, tensor in gradients.items()}
    if strided:
        handed_out = [*outputs, loss, *gradients.values(), *following]
        lowering.ops = without_idle_axes(lowering.ops, handed_out, lowering.temporary)
    # What the states are made of is computed before the parameters change, with the loss.
    needed = [lowering.ops[place] for place in sorted(_closure(lowering.ops, following))]
    forward_targets = {equation.target for equation in stored.equations[: len(network.equations)]}
    passed = [op.tensor for op in needed if op.equation.target in forward_targets]
    parts = _divide(lowering, outputs, [loss, *passed], list(gradients.values()), following)
    if strided:
        parts[2] = signs_of_outputs([*parts[0], *parts[1]], parts[2])
    kept = tuple(_kept(parts, outputs))
    forward, last, backward, advance = parts
    owners, replaced = lowering.temporaries, stored.replaced
    made = Schedule(
        forward,
        last,
        backward,
        outputs[0],
        gradients,
        kept,
        owners,
        replaced,
        advance,
        tuple(assign),
        tuple(outputs[1:]),
    )
    return made, lowering


class _Stored:
    """Equations as they are stored: recurrences with time first, and what is handed out in the order declared."""

    def __init__(self, network: Network, equations: Sequence[Equation], handed_out: Iterable[Tensor | None]) -> None:
        self.axes = time_axes(equations)
        self.equations = time_first(equations, self.axes)
        self.replaced = frozenset(tensor for tensor, axis in self.axes.items() if axis)
        self._copies: dict[Tensor, Tensor] = {}
        for tensor in dict.fromkeys(tensor for tensor in handed_out if tensor in self.replaced):
            assert tensor is not None
            declared = tensor.of if isinstance(tensor, Adjoint) else tensor
            copied = as_declared(tensor, self.axes[tensor], f"{tensor.name}_rows", network.home(declared))
            self.equations.append(copied)
            self._copies[tensor] = copied.target

    def moved(self, equations: Sequence[Equation]) -> list[Equation]:
        """Other equations, as they read what is stored."""
        return time_first(equations, self.axes)

    def as_declared(self, tensor: Any) -> Any:
        """What holds `tensor` with its axes in the order declared."""
        return self._copies.get(tensor, tensor)


def stored_shapes(made: Schedule, sizes: Sizes) -> dict[str, tuple[Expr, ...]]:
    """The stored activations: the tensors of `forward` and `loss` that `backward` reads, and their shapes."""
    read = set(tensors_read(made.backward))
    stored = dict.fromkeys(op.tensor for op in (*made.forward, *made.loss) if op.tensor in read)
    return {tensor.name: sizes.shape(tensor.shape) for tensor in stored}


def schedule_inference(
    network: Network, sizes: Sizes, *, strided: bool, sums_last: bool = False
) -> tuple[Schedule, Lowering]:
    """The same for `predict` and `loss` in inference, of a network with modes.

    Raises
    ------
    UndefinedError
        If they read noise.
    """
    view = copy(network)
    view.equations = network.for_inference()
    lowering = Lowering(view, sizes, strided=strided, sums_last=sums_last)
    declared = output_of(view)
    stored = _Stored(view, view.equations, [declared])
    lowering.add_all(stored.equations)
    output = stored.as_declared(declared)
    parts = _divide(lowering, [output], [network.loss])
    for op in (op for part in parts for op in part):
        noise = next((tensor for tensor in tensors_read([op]) if tensor.role == "noise"), None)
        if noise is not None:
            raise UndefinedError(
                f"{op.equation.target.name} reads noise {noise.name}, which is drawn in training alone, and is needed "
                f"in inference; say what it is there: define({op.equation.target.name!r}, …, inference=…)"
            )
    forward, loss = parts
    kept = tuple(_kept(parts, [output]))
    return Schedule(forward, loss, (), output, {}, kept, lowering.temporaries, stored.replaced), lowering


def _lower_assignment(lowering: Lowering, equation: Equation) -> Op:
    """Lower what a state becomes, into a tensor of its own; return what assigns that."""
    space = dict(zip(equation.indices, lowering.sizes.shape(equation.target.shape), strict=True))
    value = lowering.temporary("next", space, equation)
    del lowering.temporaries[tensor_of(value)]  # it has an equation: nothing is written in its place
    lowering.add(Equation(tensor_of(value), equation.indices, equation.body))
    return Pointwise(equation.lhs, value, tuple(space.items()), Equation(equation.target, equation.indices, value))


def _divide(lowering: Lowering, *wanted: Sequence[Tensor | None]) -> list[tuple[Op, ...]]:
    """The ops that make what is wanted, in as many parts, each without what those before it make."""
    taken: set[int] = set()
    parts = []
    for targets in wanted:
        chosen = _closure(lowering.ops, [tensor for tensor in targets if tensor is not None]) - taken
        taken |= chosen
        part = [op for place, op in enumerate(lowering.ops) if place in chosen]
        parts.append(tuple(share_functions(part, lowering.temporary, lowering.sizes.numbers)))
    return parts


def output_of(network: Network) -> Tensor | None:
    """What `predict` returns: the network's output, or its loss where there is no target (a scalar circuit)."""
    try:
        return network.output
    except UndefinedError:
        return None if network.targets else network.loss


def _closure(ops: Sequence[Op], targets: Iterable[Tensor]) -> set[int]:
    """The places of the ops that `targets` are made by, directly or not."""
    makers = {op.tensor: place for place, op in enumerate(ops)}
    chosen: set[int] = set()
    stack = [makers[tensor] for tensor in targets if tensor in makers]
    while stack:
        place = stack.pop()
        if place not in chosen:
            chosen.add(place)
            stack += [makers[tensor] for tensor in tensors_read([ops[place]]) if tensor in makers]
    return chosen


def _kept(parts: Sequence[tuple[Op, ...]], outputs: Sequence[Tensor | None]) -> Iterable[Tensor]:
    for place, part in enumerate(parts):
        elsewhere = {tensor for other, ops in enumerate(parts) if other != place for tensor in tensors_read(ops)}
        for tensor in dict.fromkeys(op.tensor for op in part):
            if tensor in elsewhere or tensor in outputs:
                yield tensor
