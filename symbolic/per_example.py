"""Per-example gradients by equations: each parameter is given a batch axis, and the derivation finds the rest.

Where a parameter W is read with the batch index b in reach, ``W_each[b, …]`` is read instead. The gradient with respect
to W_each has one row per example, ∂L/∂W_each[b, j, k] = δ[b, j] x[b, k] for a dense layer. As W_each[b, …] is W[…],
W stands in its place again in what is computed: nothing is stored B times but the gradients.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sympy import Expr, Symbol

from .adopt import copied
from .arguments import check_network
from .binders import Binder
from .derivation import Derivation, asked_names, derive
from .equations import Equation
from .errors import LossError, UndefinedError, UnsupportedError
from .indices import Dim
from .network import Network
from .tensors import Tensor, element_of, elements, indices_of, is_element, tensor_of

PENALTIES = ("refuse", "leave_out")


def per_example(network: Network, wrt: Iterable[str] | None = None, *, penalties: str = "refuse") -> Network:
    """A network whose derivation gives the gradient of each example: arrays of shape (B, \\*W's shape).

    Row b is what the readings of the parameter for example b contribute to the gradient of the loss as it is declared
    (of a mean, so with the factor 1/B): the rows sum up to the gradient. In a network that mixes examples (batch
    normalisation) that is not the gradient of one example's loss.

    Parameters
    ----------
    wrt : names of parameters; by default all.
    penalties : what becomes of readings without a batch index, such as those of a weight penalty, which belong to no
        example: "refuse" them, or "leave_out" their part of the gradient.

    Returns
    -------
    A network of the same equations; its ``derive()`` gives ∂L/∂W_each, and compiled, its ``loss_and_gradients`` an
    array (B, \\*shape) for each name.

    Raises
    ------
    LossError
        If there is no loss.
    UndefinedError
        If a name is unknown or no parameter, or there is no batch axis.
    UnsupportedError
        If a parameter is read where no index, or more than one, runs over the batch.
    """
    if check_network(network).loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    if penalties not in PENALTIES:
        raise UndefinedError(f"penalties is {penalties!r}; expected one of {', '.join(PENALTIES)}")
    if network.batch is None:
        raise UndefinedError(f"{network.name} has no batch axis: no input has a symbolic leading size of its own")
    names = asked_names(network, [t.name for t in network.parameters] if wrt is None else wrt)
    for name in names:
        if network.tensors[name].role != "parameter":
            raise UndefinedError(f"wrt: {name} is {network.tensors[name].role}; expected a parameter")
    made: PerExample = copied(network, f"{network.name}_per_example", PerExample)
    made.asked, made.penalties = names, penalties
    _spread(made, names)  # what cannot be done is refused now
    return made


class PerExample(Network):
    """A network whose derivation is that of its parameters, one gradient per example; see `per_example`."""

    penalties: str = "refuse"

    def derive(self, wrt: Iterable[str] | None = None) -> Derivation:
        """The gradients of each example; see `Network.derive`."""
        names = asked_names(self, wrt)
        spread, each = _spread(self, names)
        found = derive(spread, [tensor.name for tensor in each.values()])
        original = {tensor: self.tensors[name] for name, tensor in each.items()}

        def shared(equation: Equation) -> Equation:
            return replace(equation, body=_restore(equation.body, original))

        found.network = self
        found.steps = {key: replace(step, equation=shared(step.equation)) for key, step in found.steps.items()}
        found.adjoints = [shared(equation) for equation in found.adjoints]
        found.gradients = {name: shared(found.gradients[tensor.name]) for name, tensor in each.items()}
        return found


def _spread(network: PerExample, names: list[str]) -> tuple[Network, dict[str, Tensor]]:
    """The network with ``W_each`` in the place of W, as data of its own; and those tensors by name."""
    batch = network.batch
    spread = copied(network, network.name, Network)
    each = {}
    for name in names:
        tensor = network.tensors[name]
        spare = f"{name}_each"
        while spare in spread.tensors:
            spare += "_"
        each[name] = Tensor(spare, (batch, *tensor.shape), "parameter")
    given = {network.tensors[name]: tensor for name, tensor in each.items()}
    spread.beyond = {name: frozenset(given.get(t, t) for t in read) for name, read in network.beyond.items()}
    spread.equations = []
    for equation in network.equations:
        found = [i for i, size in zip(equation.indices, equation.target.shape, strict=True) if size == batch]
        body = _with_batch(equation.body, found, given, batch, (network, equation))
        spread.equations.append(replace(equation, body=body))
    spread.tensors |= {tensor.name: tensor for tensor in each.values()}
    spread.asked = None
    for equation in spread.equations:
        spread._letters.learn(equation, spread.tensors)
    return spread, each


def _with_batch(
    expr: Any, found: list[Symbol], given: dict[Tensor, Tensor], batch: Dim | None, place: tuple[PerExample, Equation]
) -> Any:
    """`expr` with a batch index put in front of the indices of the tensors in `given`."""
    if is_element(expr):
        if tensor_of(expr) not in given:
            return expr
        if len(found) == 1:
            return element_of(given[tensor_of(expr)], (found[0], *indices_of(expr)))
        network, equation = place
        if not found and network.penalties == "leave_out":
            return expr
        how = "no index" if not found else f"{len(found)} indices"
        mend = (
            "a term such as a penalty belongs to no example: take it out of the loss, or ask for "
            "per_example(…, penalties='leave_out')"
            if not found
            else "it is not clear whose example it belongs to: leave it out of wrt"
        )
        raise UnsupportedError(
            f"{tensor_of(expr).name} is read in the equation of {equation.target.name} where {how} "
            f"over the batch {batch} can be used: {mend}"
        )
    if not any(tensor_of(element) in given for element in elements(expr)):
        return expr
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        inner = [*found, *(index for index, size in pairs if size == batch)]
        return expr.func(_with_batch(body, inner, given, batch, place), *pairs)
    return expr.func(*(_with_batch(arg, found, given, batch, place) for arg in expr.args))


def _restore(expr: Any, original: dict[Tensor, Tensor]) -> Expr:
    """`expr` with W[…] again where W_each[b, …] stands."""
    found = {element for element in elements(expr) if tensor_of(element) in original}
    if not found:
        return expr
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        return expr.func(_restore(body, original), *pairs)
    if expr in found:
        return element_of(original[tensor_of(expr)], indices_of(expr)[1:])
    return expr.func(*(_restore(arg, original) for arg in expr.args))
