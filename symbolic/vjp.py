"""Reverse mode for any output: a vector-Jacobian product is the gradient of ``Σ z̄ z``, and so is derived.

What other libraries call a differentiable function is a network whose data, targets and noise too, are inputs
(`as_function`), and the network of its vector-Jacobian products (`vjp`), whose targets are the cotangents z̄ (Griewank
and Walther, Evaluating Derivatives, 2008, chapter 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sympy import Add

from .adopt import add, copied, renamed
from .arguments import check_network
from .binders import Sum
from .dependence import sources
from .derivation import asked_names
from .equations import Equation
from .errors import UndefinedError, UnusedParameterError
from .indices import a
from .network import Network
from .tensors import Cotangent, Derived, Tensor, element_of

DATA = ("input", "target", "noise")


def vjp(network: Network, outputs: Any = None, wrt: Iterable[str] | None = None, *, training: bool = True) -> Network:
    """A network whose gradients are vector-Jacobian products: those of ``Σ z̄ z`` over all outputs z.

    Parameters
    ----------
    outputs : the name of a tensor, or several; by default the loss, or where there is none the output.
    wrt : names of parameters, inputs, targets or noise; by default those that `Network.derive` gives gradients of, as
        far as the outputs depend on them.
    training : whether the outputs are those of the training or of inference, where these are others.

    Returns
    -------
    A network whose inputs are all of the data, and whose targets are the cotangents, named ``z_bar``, each of its
    output's shape. Compiled, ``loss_and_gradients(params, x, z_bar)`` gives (Σ z̄ z, {"W": Σ z̄ ∂z/∂W, …}).

    Raises
    ------
    UndefinedError
        If a name is unknown, nothing is computed, or an output is not defined by an equation.
    UnusedParameterError
        If the outputs depend on nothing that is asked for, or a name holds class labels.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(3, gl.tanh)], input_shape=2)
    >>> print(*gl.vjp(net, wrt=["x"]).derive().adjoints, sep="\\n")
    ∂vjp/∂z1[i, j] = a1_bar[i, j] (1 - a1[i, j]²)
    ∂vjp/∂x[i, k] = Σ_j W1[j, k] ∂vjp/∂z1[i, j]
    """
    made = as_function(network, outputs, training=training)
    differentiated = [tensor for tensor in outputs_of(made) if not is_next(made, tensor)]
    reached = sources(made.equations, differentiated)
    names = asked_names(made, wrt)
    if wrt is None:
        names = [name for name in names if made.tensors[name] in reached]
    elif idle := [name for name in names if made.tensors[name] not in reached]:
        outputs_text = ", ".join(tensor.name for tensor in differentiated) or "nothing"
        raise UnusedParameterError(f"{outputs_text} does not depend on {', '.join(idle)}; leave it out of wrt")
    if not names:
        raise UnusedParameterError(f"{network.name} has nothing to derive with respect to; name it, as in wrt=['x']")
    # What is moved need not keep its sum.
    made.facts = [fact for fact in made.facts if fact.tensor.name not in names]
    terms = []
    for tensor in differentiated:
        where = made.home(tensor)
        bar = _declared(made, Cotangent(tensor, _free(made, f"{tensor.name}_bar")))
        product = element_of(bar, where) * element_of(tensor, where)
        terms.append(Sum(product, *zip(where, tensor.shape, strict=True)) if where else product)
    made.name = f"{network.name}_vjp"
    loss = Derived(_free(made, "vjp"))
    made.loss = add(made, Equation(loss, (), Add(*terms), "vector-Jacobian product"))
    made.asked = names
    return made


NEXT = "_next"  # what a state becomes, as an output


def as_function(network: Network, outputs: Any = None, *, training: bool = True) -> Network:
    """A network without modes and without a loss, all of whose data are inputs; parameters and states stay.

    Arguments are as in `vjp`; the name of a state among the outputs stands for what it becomes after a step, which is
    named with `NEXT`. Of targets and noise only what the outputs depend on is taken; they come behind the inputs.
    """
    if check_network(network).announced:
        raise UndefinedError(
            f"{min(network.announced)} was announced by sequence() but is not defined; define it first"
        )
    equations = list(network.equations) if training else network.for_inference()
    equations = [replace(equation, inference=None) for equation in equations]
    states = {state.name: state for state in network.states}
    names = _output_names(network, outputs)
    named: list[Tensor] = []
    for name in names:
        if name in states:
            after = next((e for e in network.assignments if e.target.name == name), None)
            if after is None or not training:
                raise UndefinedError(f"outputs: the state {name} is assigned nothing here; leave it out")
            equations.append(replace(after, target=Tensor(f"{name}{NEXT}", states[name].shape)))
        found = next((e.target for e in equations if e.target.name in (name, f"{name}{NEXT}")), None)
        if found is None:
            raise UndefinedError(f"outputs: {name} is {a(network.tensors[name].role)}; name what an equation defines")
        named.append(equations[-1].target if name in states else found)
    needed = sources(equations, named)
    noise = next((tensor for tensor in network.noises if tensor in needed and not training), None)
    if noise is not None:
        raise UndefinedError(
            f"noise {noise.name} is drawn in training alone, and {', '.join(names)} needs it in inference; say what "
            "stands there: define(…, inference=…)"
        )
    made = copied(network, network.name)
    data = [tensor for role in DATA for tensor in network.by_role(role) if tensor.role == "input" or tensor in needed]
    inputs = {tensor: Tensor(tensor.name, tensor.shape, "input", tensor.classes, tensor.latex) for tensor in data}
    others = [t for t in network.tensors.values() if t.role not in DATA and (t.role != "value" or t in needed)]
    made.tensors = {tensor.name: tensor for tensor in (*inputs.values(), *others)}
    made.equations = []
    for equation in equations:
        if equation.target in needed:
            add(made, renamed(equation, inputs))
    made.beyond = {
        name: frozenset(inputs.get(tensor, tensor) for tensor in tensors) for name, tensors in network.beyond.items()
    }
    made.facts = [
        replace(f, tensor=inputs.get(f.tensor, f.tensor)) for f in network.facts if f.tensor.name in made.tensors
    ]
    made.assignments, made.loss, made.asked = [], None, None
    made.set_output(*(tensor.name for tensor in named))
    return made


def outputs_of(function: Network) -> list[Tensor]:
    """What a function returns; what states become comes last."""
    return [function.tensors[name] for name in (function.output.name, *function.further)]


def is_next(function: Network, output: Tensor) -> bool:
    """Whether an output is what a state becomes: it has no gradient."""
    return output.name.removesuffix(NEXT) in {state.name for state in function.states}


def _output_names(network: Network, outputs: Any) -> list[str]:
    if outputs is None:
        outputs = network.output if network.loss is None else network.loss
    given = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    names = list(dict.fromkeys(one.name if isinstance(one, Tensor) else one for one in given))
    states = {state.name for state in network.states}
    names.sort(key=lambda name: name in states)
    for name in names:
        if name not in network.tensors:
            raise UndefinedError(f"outputs: {network.name} has no tensor {name!r}; it has {', '.join(network.tensors)}")
    if not names:
        raise UndefinedError(f"outputs: no tensor of {network.name} is named; leave outputs out, or name one")
    return names


def _free(network: Network, name: str) -> str:
    sizes = {str(s) for tensor in network.tensors.values() for size in tensor.shape for s in size.free_symbols}
    while name in network.tensors or name in sizes:
        name += "_"
    return name


def _declared(network: Network, tensor: Tensor) -> Tensor:
    network.tensors[tensor.name] = tensor
    return tensor
