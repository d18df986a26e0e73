"""Forward mode: the tangent of a tensor, equation by equation, with the partial derivatives of reverse mode.

For ``T[o] = body`` the tangent is ``Ṫ[o] = Σ ∂body/∂U[g] U̇[g]`` over the elements ``U[g]`` that the body reads: a
Jacobian-vector product (Griewank and Walther, Evaluating Derivatives, 2008, chapter 3). Tangents are equations of the
network like any others, so that they can be derived again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sympy import Add, Expr, Integer

from .adjoint import partials
from .adopt import add, check_untaken, copied, in_training, output_of, prune
from .arguments import as_mapping, check_network
from .binders import Sum, from_user
from .compact import compact, measure
from .dependence import readers, sources
from .derivation import INLINE_LIMIT, asked_names
from .equations import Equation, check_equation
from .errors import IndexingError, LossError, ShapeError, UndefinedError, UnsupportedError, UnusedParameterError
from .indices import check_name
from .network import Network
from .recurrence import Recurrence, blocks
from .rewriting import Rewriting
from .tensors import Direction, Tangent, Tensor, element_of, indices_of, shape_text, tensor_of

# A tangent is put into its one reader where something cancels (the p of a softmax), not merely for a name less.
_SAVED = 3
Move = Callable[[tuple[Any, ...]], Expr]  # what an element at these indices moves by


def tangent(network: Network, of: str | Tensor, directions: Mapping[str, Any], *, label: str = "") -> Tensor:
    """Add the directional derivative of a tensor to `network`, as equations, and return it.

    Parameters
    ----------
    of : the tensor, or its name.
    directions : name → how each element of that tensor moves: a tensor of the network of the same shape, or a function
        of the indices that returns an expression: ``{"x": lambda i, k: KroneckerDelta(k, 0)}`` for ∂/∂x[i, 0].
    label : "" names the tangent of ``a`` ``t_a`` and prints it ȧ; ``"x"`` names it ``a_x``, as people write ∂a/∂x.

    Returns
    -------
    The tangent, of the shape of `of`.

    Raises
    ------
    UndefinedError
        If a name is unknown.
    ShapeError, IndexingError
        If a direction has another shape than its tensor, or its expression indexes with what is not bound.
    UnusedParameterError
        If `of` does not depend on what moves, or only in steps.
    NameTakenError
        If the names of the tangents are taken: choose a label.
    UnsupportedError
        If an equation on the way from what moves to `of` is another one in inference.

    Examples
    --------
    >>> import gradloom as gl
    >>> from sympy import KroneckerDelta
    >>> B, m = gl.dims("B m")
    >>> i, j, k = gl.indices("i j k")
    >>> net = gl.Network("field")
    >>> x, W = net.input("x", (B, 2)), net.parameter("W", (m, 2))
    >>> a = net.define("a", (i, j), gl.tanh(gl.Sum(W[j, k] * x[i, k], k)))
    >>> a_x = gl.tangent(net, "a", {"x": lambda i, k: KroneckerDelta(k, 0)}, label="x")
    >>> print(net.equation("a_x"))
    a_x[i, j] = W[j, 0] (1 - a[i, j]²)
    """
    target = _known(check_network(network), of)
    if label:
        check_name(label, "label")
    directions = as_mapping(directions, "directions", "{'x': lambda i, k: 1}")
    moves = {_known(network, name): _move(network, name, direction) for name, direction in directions.items()}
    # What moves as it is told does not move as its equation says: a state so given is no recurrence any more.
    following = [equation for equation in network.equations if equation.target not in moves]
    on_the_way = readers(following, moves) & sources(following, [target])
    other = next((e for e in following if e.target in on_the_way and e.inference is not None), None)
    if other is not None:
        raise UnsupportedError(
            f"{other.target.name} is another equation in inference, so that the tangent of {target.name} would have to "
            "be one too; take the tangent of what does not read it, or use jvp(…), which gives that in training"
        )
    made = _tangents(network, [e for e in following if e.target in on_the_way], target, moves, label)
    makers = {equation.target: equation for equation in made}
    needed = (
        sources([*network.equations, *made], [Tangent(target, label)]) if Tangent(target, label) in makers else set()
    )
    kept = [equation for equation in reversed(made) if equation.target in needed]
    if not kept:
        moved = ", ".join(directions) or "nothing"
        raise UnusedParameterError(f"the derivative of {target.name} along {moved} is 0: it does not depend on it")
    # A second derivative goes over the tangents of the first, which are there already.
    new = [equation for equation in kept if equation not in network.equations]
    check_untaken(network, [equation.target.name for equation in new])
    for equation in reversed(new):
        add(network, equation)
    return Tangent(target, label)


def jvp(network: Network, wrt: Any = None, of: str | Tensor | None = None, *, label: str = "") -> Network:
    """A network that computes the directional derivative of a tensor: a Jacobian-vector product, in forward mode.

    Parameters
    ----------
    wrt : names of what moves; by default those that `Network.derive` gives gradients of.
    of : the tensor, or its name; by default the loss.
    label : see `tangent`.

    Returns
    -------
    A network with the forward equations and the tangents, and an input ``v_W`` (the direction, of W's shape) for every
    name in `wrt`. The derivative of the loss is its loss, ``t_L``, and can be derived again, by default with respect to
    the same names, which gives Hv; any other derivative is its output, which `Program.predict` gives.

    Raises
    ------
    LossError
        If `of` is left out and there is no loss.
    UnsupportedError
        If `of` is not the loss and its derivative reads noise.
    UndefinedError, UnusedParameterError, NameTakenError
        If a name is unknown or taken, `of` does not depend on one, or it holds class labels.
    """
    if check_network(network).loss is None and of is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) first, or say of which tensor, as in of='a'")
    target = _known(network, network.loss if of is None else of)  # type: ignore[arg-type]
    reached = sources(network.equations, [target])
    names = asked_names(network, wrt)
    idle = [name for name in names if network.tensors[name] not in reached]
    if idle and (wrt is not None or len(idle) == len(names)):
        raise UnusedParameterError(f"{target.name} does not depend on {', '.join(idle)}; leave it out of wrt")
    names = [name for name in names if name not in idle]
    made = copied(network, f"{network.name}_jvp")
    in_training(made)
    moved = {name: declare_direction(made, network.tensors[name], label) for name in names}
    result = tangent(made, target, moved, label=label)
    wanted = [result]
    if target == network.loss:
        made.loss, made.asked = result, names
        output = output_of(network)
        made._output = None if output is None else output.name
        wanted += [] if output is None else [output]
    else:
        made.loss, made._output = None, result.name
        noise = next((t.name for t in sources(made.equations, [result]) if t.role == "noise"), None)
        if noise is not None:
            raise UnsupportedError(
                f"{result.name} reads noise {noise}, which is drawn in training alone, and an output is predicted in "
                "inference: ask for the derivative of the loss, or take out what draws noise"
            )
    prune(made, wanted)
    return made


def declare_direction(network: Network, tensor: Tensor, label: str = "") -> Tensor:
    """Declare the input ``v_W`` for the direction in which `tensor` moves."""
    name = f"v_{tensor.name}" + (f"_{label}" if label else "")
    check_untaken(network, [name])
    return network._declare(Direction(tensor, name))


def _tangents(
    network: Network, equations: list[Equation], of: Tensor, moves: dict[Tensor, Move], label: str
) -> list[Equation]:
    """The tangent of each equation that reads what moves; `moves` learns them."""
    rewrite = Rewriting(network)
    made: list[Equation] = []
    read = Counter(tensor for equation in equations for tensor in equation.reads)

    def along(equation: Equation, moves: Mapping[Tensor, Move]) -> Expr:
        terms = [
            Sum(partial * moves[tensor_of(element)](indices_of(element)), *pairs)
            for element, partial, pairs in partials(equation.body, equation.lhs, Integer(1), [], moves)
        ]
        ranges = dict(zip(equation.indices, equation.target.shape, strict=True))
        return compact(Add(*terms), rewrite, ranges)[0]

    # Equations that need each other read tangents that are yet to be made.
    together = {e.target for block in blocks(equations) if isinstance(block, Recurrence) for e in block.equations}
    for target in together - set(moves):
        moves[target] = _named(Tangent(target, label))
    for equation in equations:
        target = equation.target
        if (target in moves and target not in together) or target.name in network.held:
            continue
        body = along(equation, moves)
        for other in made:
            if other.target.of in together:
                continue
            source = other.target.of
            if read[source] == 1 and source in equation.reads and measure(other.body) <= INLINE_LIMIT:
                inside = along(equation, {**moves, source: other.at})
                if measure(inside) < measure(body) + measure(other.body) - _SAVED:
                    body, moves[source] = inside, other.at
        if body == 0 and target not in together:
            continue
        if body.is_number and target != of and target not in together:
            moves[target] = lambda where, body=body: body  # type: ignore[misc]
            continue
        moving = Tangent(target, label)
        made.append(Equation(moving, equation.indices, body, f"tangent of {target.name}"))
        moves[target] = _named(moving)
    return made


def _named(moving: Tensor) -> Move:
    return lambda where: element_of(moving, where)


def _known(network: Network, tensor: str | Tensor) -> Tensor:
    name = tensor.name if isinstance(tensor, Tensor) else tensor
    found = network.tensors.get(name)
    if found is None:
        raise UndefinedError(f"{network.name} has no tensor {name!r}; it has {', '.join(network.tensors) or 'none'}")
    return found


def _move(network: Network, name: str, direction: Any) -> Move:
    tensor = _known(network, name)
    if tensor.classes is not None:
        raise UnusedParameterError(f"{name} holds class labels (integers), which do not move")
    if isinstance(direction, Tensor):
        if _known(network, direction).shape != tensor.shape:
            raise ShapeError(
                f"{direction.name} has shape {shape_text(direction.shape)}; as the direction of {name} it must have "
                f"its shape, {shape_text(tensor.shape)}"
            )
        return lambda where: element_of(direction, where)
    if not callable(direction):
        raise IndexingError(
            f"the direction of {name} is {direction!r}; expected a tensor of its shape, or a function of its "
            f"{tensor.rank} indices that returns an expression"
        )
    letters = network.fresh_indices(tensor.shape, ())
    body = from_user(direction(*letters), f"the direction of {name}: ")
    if not isinstance(body, Expr):
        raise IndexingError(f"the direction of {name} returned {body!r}; expected one SymPy expression")
    equation = Equation(Direction(tensor), letters, body)
    check_equation(equation, network.tensors)
    return equation.at


def directions_of(network: Network, names: Iterable[str], label: str = "") -> dict[str, Tensor]:
    """Declare a direction for each name."""
    return {name: declare_direction(network, network.tensors[name], label) for name in names}
