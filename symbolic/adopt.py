"""Networks made of networks: copies, without what nothing needs, and with adjoint equations as equations of their own.

A derivation that is adopted is made of ordinary equations, which can be evaluated, printed and derived like any others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .dependence import sources
from .derivation import Derivation
from .equations import Equation
from .errors import NameTakenError, UndefinedError
from .letters import Letters
from .network import Network
from .tensors import Adjoint, Tensor


def copied(network: Network, name: str, kind: type[Any] | None = None) -> Any:
    """A copy that can be added to: the same tensors and equations, in containers of its own."""
    made = object.__new__(kind or Network)
    for key, value in vars(network).items():
        setattr(made, key, copy.copy(value) if isinstance(value, dict | list | set) else value)
    made.name = name
    made._letters = Letters()
    for equation in network.equations:
        made._letters.learn(equation, made.tensors)
    return made


def add(network: Network, equation: Equation) -> Tensor:
    """Append an equation that was derived, of a name that is free."""
    network.tensors[equation.target.name] = equation.target
    network.equations.append(equation)
    network._letters.learn(equation, network.tensors)
    return equation.target


def in_training(network: Any) -> None:
    """Make a copy what its original is in training: a derivative is one of that, and has no form of its own elsewhere.

    Noise stays noise, and states are read as they are.
    """
    network.equations = [replace(equation, inference=None) for equation in network.equations]
    network.assignments = []
    network.is_of_training = True


def check_untaken(network: Network, names: Iterable[str]) -> None:
    """
    Raises
    ------
    NameTakenError
        If one of the names of a derivative is taken; the mend is a label of one's own.
    """
    sizes = {str(s) for tensor in network.tensors.values() for size in tensor.shape for s in size.free_symbols}
    for name in names:
        if name in network.tensors or name in sizes:
            raise NameTakenError(
                f"{name!r}, the name of a derivative, is taken in {network.name}; choose another with label=…, "
                "as in label='u'"
            )


def adopt(network: Network, derivation: Derivation) -> dict[str, Tensor]:
    """Add the adjoint equations of `derivation`; return the gradients by name."""
    names: dict[Tensor, Tensor] = {}
    for equation in derivation.adjoints:
        target: Any = equation.target
        name = f"g_{target.of.name}"
        while name in network.tensors or name in {tensor.name for tensor in names.values()}:
            name += "_"
        names[target] = Adjoint(target.of, target.loss, "value", name)
    for equation in derivation.adjoints:
        add(network, renamed(equation, names))
    return {name: names[equation.target] for name, equation in derivation.gradients.items()}


def renamed(equation: Equation, names: Mapping[Tensor, Tensor]) -> Equation:
    """`equation` with other tensors in the place of those in `names`."""
    bodies = {
        part: getattr(equation, part).xreplace(dict(names))
        for part in ("body", "inference")
        if getattr(equation, part) is not None
    }
    return replace(equation, target=names.get(equation.target, equation.target), **bodies)


def prune(network: Network, wanted: Iterable[Tensor]) -> None:
    """Drop the equations that `wanted` does not need.

    In a network without a loss also the inputs and targets that nothing reads any more; the targets that are left
    become inputs, for all data are alike there. States that nothing reads are left out of both: of running statistics
    a derivative of the training knows nothing.
    """
    needed = sources(network.equations, wanted)
    network.equations = [equation for equation in network.equations if equation.target in needed]
    # With a loss, data are handed over as before, though a second derivative may not read all.
    dropped = ("value", "state") if network.loss is not None else ("input", "target", "value", "state")
    kept = needed | {tensor for tensor in network.tensors.values() if tensor.role not in dropped}
    network.left_out |= {state.name for state in network.states if state not in kept}
    network.tensors = {name: tensor for name, tensor in network.tensors.items() if tensor in kept}
    network.facts = [fact for fact in network.facts if fact.tensor in kept]
    if network.loss is None:
        inputs = {
            tensor: Tensor(tensor.name, tensor.shape, "input", tensor.classes, tensor.latex)
            for tensor in network.targets
        }
        network.equations = [renamed(equation, inputs) for equation in network.equations]
        network.tensors = {name: inputs.get(tensor, tensor) for name, tensor in network.tensors.items()}
        network.facts = [replace(fact, tensor=inputs.get(fact.tensor, fact.tensor)) for fact in network.facts]


def output_of(network: Network) -> Tensor | None:
    """What `predict` returns: the output, or the loss of a network without data to fit, or nothing."""
    try:
        return network.output
    except UndefinedError:
        return None if network.targets else network.loss
