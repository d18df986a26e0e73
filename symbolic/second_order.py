"""Second order by deriving the derivation again: products with the Hessian and the Gauss-Newton matrix.

The gradient is equations, so its product with a direction is a loss like any other: the gradient of
``L̇ = Σ ∂L/∂W[j, k] v_W[j, k]`` is H v (Pearlmutter, Fast exact multiplication by the Hessian, 1994). The Gauss-Newton
product ``Jᵀ (∇²ℓ) J v`` (Schraudolph, Fast curvature matrix-vector products, 2002) is a tangent of the output, a
tangent of ∂L/∂output, and a reverse sweep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Add

from .adopt import add, adopt, check_untaken, copied, in_training, output_of, prune
from .arguments import check_network
from .binders import Sum
from .dependence import readers
from .derivation import asked_names, derive
from .equations import Equation
from .errors import LossError, UndefinedError, UnsupportedError, UnusedParameterError
from .network import Network
from .tangent import directions_of, tangent
from .tensors import Derived, Tangent, Tensor, element_of


def hessian_vector(network: Network, wrt: Iterable[str] | None = None, *, label: str = "") -> Network:
    """A network whose loss is the slope gᵀv of `network`'s loss along v, and whose gradient is so H v.

    Parameters
    ----------
    wrt : names of parameters or inputs; by default those that `Network.derive` gives gradients of.
    label : added to the names of the directions, where ``v_W`` is taken.

    Returns
    -------
    A network with the forward equations, the adjoint equations of `network` as equations of its own (``g_W`` is
    ∂L/∂W), an input ``v_W`` of W's shape for every name, and the loss ``t_L``, printed L̇. Compiled,
    ``loss_and_gradients(params, x, y, v_W=…)`` gives (gᵀv, {"W": (H v)_W, …}). Of a network with modes it is the
    Hessian of the loss in training, for the noise that is given or drawn; what follows a step is left out.

    Raises
    ------
    LossError
        If there is no loss.
    UndefinedError, UnusedParameterError, UnsupportedError
        If a name is unknown, holds class labels, is not on the way to the loss, is defined by an equation, or has a
        declared sum, outside of which the gradient is not valid.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Network("square")
    >>> w, x = net.parameter("w"), net.input("x")
    >>> L = net.minimize((w * x) ** 2 / 2)
    >>> print(gl.hessian_vector(net).derive()["w"])
    ∂L̇/∂w = x² v_w
    """
    names = _independent(network, wrt)
    derivation = derive(network, names)
    made = copied(network, f"{network.name}_hessian_vector")
    in_training(made)
    gradients = adopt(made, derivation)
    directions = directions_of(made, names, label)
    assert network.loss is not None  # derive() has refused a network without one
    slope = Add(*(_inner(made, gradients[name], directions[name], network.tensors[name]) for name in names))
    _minimize(made, Tangent(network.loss, label), slope, names, output_of(network))
    return made


def gauss_newton_vector(
    network: Network, wrt: Iterable[str] | None = None, output: str | Tensor | None = None, *, label: str = ""
) -> Network:
    """A network whose gradient is the product G v of the (generalised) Gauss-Newton matrix with v.

    G = Jᵀ ∇²ℓ J, with J the Jacobian of `output` and ∇²ℓ the Hessian of the loss with respect to `output` alone; it is
    positive semidefinite where the loss is convex in the output.

    Parameters
    ----------
    wrt : names of parameters or inputs; by default those that `Network.derive` gives gradients of.
    output : the tensor between J and ℓ, or its name; by default the network's output. For a softmax, name the tensor
        before it to have the matrix that equals the Fisher information.
    label : added to the names of directions and tangents, where they are taken.

    Returns
    -------
    A network with inputs ``v_W`` as in `hessian_vector`. Compiled, ``loss_and_gradients(params, x, y, v_W=…)`` gives
    (vᵀ G v, {"W": (G v)_W, …}).

    Raises
    ------
    LossError
        If there is no loss.
    UnsupportedError
        If the loss depends on what moves other than through `output` (a penalty, a second output).
    UndefinedError, UnusedParameterError
        As in `hessian_vector`; also if `output` is unknown or nothing of it moves.
    """
    if check_network(network).loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    names = _independent(network, wrt)
    name = output.name if isinstance(output, Tensor) else network.output.name if output is None else output
    if name not in network.tensors:
        raise UndefinedError(f"output: {network.name} has no tensor {name!r}; it has {', '.join(network.tensors)}")
    middle = network.tensors[name]
    gradient = _head_gradient(network, names, middle)

    made = copied(network, f"{network.name}_gauss_newton_vector")
    in_training(made)
    directions = directions_of(made, names, label)
    moving = tangent(made, middle, directions, label=label)
    beyond = adopt(made, gradient)[name]
    # The Hessian of the loss with respect to the output, times the output's tangent.
    try:
        curved = tangent(made, beyond, {name: moving}, label=label)
    except UnusedParameterError:
        raise UnsupportedError(
            f"the loss is linear in {name} wherever it is smooth, so its Gauss-Newton matrix is 0; name the tensor "
            "before it with output=…"
        ) from None
    still, half = f"{name}_held{label}", f"c{label}"
    check_untaken(made, [still, half, f"vGv{label}"])
    where = made.home(middle)
    held = add(made, Equation(Tensor(still, middle.shape), where, element_of(middle, where), "held"))
    value = add(made, Equation(Derived(half), (), _inner(made, curved, moving, middle), "vᵀ G v"))
    made.held |= {curved.name, held.name, value.name}
    # The second term is 0 and has the gradient Jᵀ u: the loss is vᵀ G v and its gradient G v.
    pairs = list(zip(where, middle.shape, strict=True))
    step = element_of(curved, where) * (element_of(middle, where) - element_of(held, where))
    loss = Derived(f"vGv{label}", latex=r"v^\top G v" if not label else None)
    _minimize(made, loss, value + Sum(step, *pairs), names, output_of(network))
    return made


def _head_gradient(network: Network, names: list[str], middle: Tensor) -> Any:
    """∂L/∂output with the output as a variable of its own: no equation says what it is, so no identity is used."""
    if not any(equation.target == middle for equation in network.equations):
        raise UnsupportedError(f"output: {middle.name} is {middle.role}; expected a tensor that an equation defines")
    moved = {network.tensors[name] for name in names}
    head = copied(network, network.name)
    head.equations = [equation for equation in network.equations if equation.target != middle]
    assert network.loss is not None
    around = sorted(readers(head.equations, moved) & {t for e in _reading(head, middle) for t in e.reads}, key=str)
    if network.loss in readers(head.equations, moved):
        beside = ", ".join(tensor.name for tensor in around) or ", ".join(names)
        raise UnsupportedError(
            f"the loss depends on {', '.join(names)} other than through {middle.name} (by {beside}), so there is no "
            f"Gauss-Newton matrix with respect to {middle.name}: name another output=…, or leave the penalty out and "
            "add its own curvature"
        )
    return derive(head, [middle.name])


def _reading(network: Network, middle: Tensor) -> list[Equation]:
    """The equations that `middle` and the loss come together in."""
    return [equation for equation in network.equations if middle in equation.reads]


def _independent(network: Network, wrt: Iterable[str] | None) -> list[str]:
    if check_network(network).loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    names = asked_names(network, wrt)
    defined = {equation.target.name for equation in network.equations}
    for name in names:
        if name in defined:
            raise UnsupportedError(
                f"wrt: {name} is defined by an equation, and second derivatives with respect to it would leave that "
                "out of account; ask for those of parameters and inputs"
            )
        if any(fact.tensor.name == name for fact in network.facts):
            raise UnsupportedError(
                f"wrt: {name} is declared to have a fixed sum (one_hot=True or assume(…)), and its gradient holds only "
                "where it has: it cannot be derived again with respect to it; declare it without"
            )
    if not names:
        raise UnusedParameterError(f"{network.name} has no parameter and no real input to derive with respect to")
    return names


def _inner(network: Network, left: Tensor, right: Tensor, home: Tensor) -> Any:
    """Σ left[…] right[…] over all axes."""
    where = network.home(home)
    return Sum(element_of(left, where) * element_of(right, where), *zip(where, home.shape, strict=True))


def _minimize(network: Network, loss: Tensor, body: Any, names: list[str], output: Tensor | None) -> None:
    """Make `body` the loss of a network that was copied, and drop what that does not need."""
    check_untaken(network, [loss.name])
    network.loss = add(network, Equation(loss, (), body, "loss"))
    network.asked = names
    network._output = None if output is None else output.name
    prune(network, [loss] if output is None else [loss, output])
