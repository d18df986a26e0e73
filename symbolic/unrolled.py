"""A network at concrete sizes as scalar equations: each entry of each tensor is a tensor of its own.

``z1[i, j] = Σ_k W1[j, k] x[i, k]`` becomes ``z1[0] = W1[0, 0] x[0] + W1[0, 1] x[1]`` and so on. It is a `Network`, so
whatever can be done with one (derive, evaluate, print, compile) can be done with it, and nothing here differentiates.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

from sympy import Expr, Integer, Rational

from .arguments import check_network, check_numbers
from .binders import Binder, from_user
from .dependence import passed_by
from .equations import Equation
from .errors import SizeError, UndefinedError
from .expand import Expansion
from .indices import Dim
from .letters import Letters
from .network import Network
from .recurrence import Recurrence, blocks
from .tensors import Entry, Tensor, shape_text

LIMIT = 4000  # terms of sums and entries of tensors: beyond, nobody reads it, and SymPy takes minutes
Position = tuple[int, ...]


class Unrolled(Network):
    """What `unrolled` makes.

    Attributes
    ----------
    origin : the network that was unrolled
    sizes : the number of each symbolic size
    places : name of a scalar → (name of its tensor, its position there)
    entries : name of a tensor → position → scalar
    """

    origin: Network
    sizes: dict[str, int]
    places: dict[str, tuple[str, Position]]
    entries: dict[str, dict[Position, Tensor]]

    def entry(self, name: str, position: Position = ()) -> Tensor:
        """The scalar at one position of a tensor.

        Raises
        ------
        UndefinedError
            If there is no such tensor or position.
        """
        known = self.entries.get(name)
        if known is None:
            raise UndefinedError(f"{self.origin.name} has no tensor {name!r}; it has {', '.join(self.entries)}")
        if position not in known:
            raise UndefinedError(f"{name} has no entry at {position}; positions go to {max(known)}")
        return known[position]

    def split(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays by name of tensor as numbers by name of scalar; what is no tensor of the network is left out."""
        return {
            scalar.name: _at(values[name], position)
            for name, known in self.entries.items()
            if name in values
            for position, scalar in known.items()
        }

    def joined(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Numbers by name of scalar as float64 arrays by name of tensor, for tensors all of whose entries are there."""
        import numpy as np

        made = {}
        for name, known in self.entries.items():
            if all(scalar.name in numbers for scalar in known.values()):
                array = np.empty(tuple(end + 1 for end in max(known)))
                for position, scalar in known.items():
                    array[position] = float(numbers[scalar.name])
                made[name] = array
        return made


def unrolled(
    network: Network,
    sizes: Mapping[str, int] | None = None,
    *,
    labels: Mapping[str, Any] | None = None,
    limit: int = LIMIT,
) -> Unrolled:
    """`network` at concrete sizes, each entry of each tensor a tensor of rank 0.

    Sums and maxima are written out, guards and positions computed (what is outside of a tensor is 0, and gone), cases
    kept, recurrences followed step by step. The index of a batch of one row is left out of names and symbols.

    Parameters
    ----------
    sizes : a number for every symbolic size, by name.
    labels : arrays for inputs and targets that hold class labels, by name; they are put in as numbers. Without them a
        label stays a variable, which is compared with each class.
    limit : the largest number of terms and entries that is written out.

    Returns
    -------
    A network of scalars with the same roles; facts about whole axes are lost. Entries keep initial values that are
    arrays or numbers; an initialiser that draws them is dropped.

    Raises
    ------
    SizeError
        If a size has no number, or there are more than `limit` terms.
    UndefinedError
        If `labels` names what holds no class labels.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(2)], input_shape=2, loss=gl.losses.SquaredError(), name="line")
    >>> print(gl.unrolled(net, {"B": 1}))
    z1[0] = W1[0, 0] x[0] + W1[0, 1] x[1] + b1[0]
    z1[1] = W1[1, 0] x[0] + W1[1, 1] x[1] + b1[1]
    L = 1/2 (z1[0] - y[0])² + 1/2 (z1[1] - y[1])²
    """
    known = [dim.name for dim in dims_in(check_network(network))]
    return _Unroller(network, check_numbers(sizes or {}, known, network), dict(labels or {})).run(limit)


class _Unroller:
    def __init__(self, network: Network, sizes: dict[str, int], labels: dict[str, Any]) -> None:
        self.network, self.labels = network, labels
        self.numbers = {dim: Integer(sizes[dim.name]) for dim in dims_in(network) if dim.name in sizes}
        for name in labels:
            if name not in network.tensors or network.tensors[name].classes is None:
                raise UndefinedError(f"labels: {name} holds no class labels in {network.name}")
        for dim in dims_in(network):
            if dim not in self.numbers:
                raise SizeError(f"size {dim} has no number; give it, as in unrolled(network, {{{dim.name!r}: 3}})")
        self.made = Unrolled(network.name)
        self.made.origin, self.made.sizes = network, {dim.name: int(size) for dim, size in self.numbers.items()}
        self.made.places, self.made.entries = {}, {}

    def run(self, limit: int) -> Unrolled:
        network, made = self.network, self.made
        self._check_size(limit)
        for tensor in network.tensors.values():
            self._add_entries(tensor)
        elements = {name: self._elements(name) for name in network.tensors}
        expansion = Expansion(elements, self.numbers)
        for equation, position in self._steps():
            where = dict(zip(equation.indices, map(Integer, position), strict=True))
            target = made.entries[equation.target.name][position]
            bodies = [expansion.at(body, where) for body in (equation.body, equation.inference) if body is not None]
            made.equations.append(Equation(target, (), bodies[0], equation.note, *bodies[1:]))
        for equation in network.assignments:
            for position in self._positions(equation.target):
                where = dict(zip(equation.indices, map(Integer, position), strict=True))
                target = made.entries[equation.target.name][position]
                made.assignments.append(Equation(target, (), expansion.at(equation.body, where), equation.note))
        if network.loss is not None:
            made.loss = made.entries[network.loss.name][()]
        made.values = dict(network.values)
        made.is_of_training = network.is_of_training
        made.frozen, made.held = self._names_of(network.frozen), self._names_of(network.held)
        made.asked = self._asked()
        made._letters = Letters()
        return made

    def _asked(self) -> list[str] | None:
        """The entries that gradients are asked of, but those that nothing reads: words that do not occur, borders."""
        origin, made = self.network, self.made
        names = origin.asked
        if names is None:
            names = [tensor.name for tensor in origin.parameters or origin.inputs if tensor.classes is None]
        reached = passed_by(made.equations, [made.loss], made.held) if made.loss is not None else set()
        return [name for name in self._names_of(names) if made.tensors[name] in reached]

    def _steps(self) -> Iterator[tuple[Equation, Position]]:
        """Equations and positions in an order in which they can be computed."""
        for block in blocks(self.network.equations):
            if not isinstance(block, Recurrence):
                yield from ((block, position) for position in self._positions(block.target))
                continue
            times = range(int(block.length.xreplace(self.numbers)))
            for time in times if block.step > 0 else reversed(times):
                for equation in block.equations:
                    axis = block.axes[equation.target]
                    yield from ((equation, p) for p in self._positions(equation.target) if p[axis] == time)

    def _add_entries(self, tensor: Tensor) -> None:
        made = self.made
        known = made.entries[tensor.name] = {}
        batch = self.network.batch
        single = batch is not None and self.numbers[batch] == 1
        shown = [axis for axis, size in enumerate(tensor.shape) if not (single and size == batch)]
        initial = self.network.initializers.get(tensor.name)
        classes = None if tensor.classes is None else tensor.classes.xreplace(self.numbers)
        for position in self._positions(tensor):
            if tensor.rank == 0:
                scalar: Tensor = tensor
                if classes != tensor.classes:
                    scalar = Tensor(tensor.name, (), tensor.role, classes, tensor.latex)
            else:
                at = tuple(position[axis] for axis in shown)
                name = "_".join([tensor.name, *map(str, at)]) if at else tensor.name
                while name in made.places or (name != tensor.name and name in self.network.tensors):
                    name += "_"  # W1[0] beside a tensor that is called W1_0
                scalar = Entry(tensor, position, at, name, classes)
            known[position] = scalar
            made.places[scalar.name] = (tensor.name, position)
            made.tensors[scalar.name] = scalar
            if tensor.name in self.network.initializers and not callable(initial):
                made.initializers[scalar.name] = None if initial is None else _at(initial, position)

    def _elements(self, name: str) -> dict[Position, Expr]:
        """What stands in equations for the entries of a tensor: scalars, or the labels that are known."""
        if name not in self.labels:
            return dict(self.made.entries[name])
        return {position: Integer(int(_at(self.labels[name], position))) for position in self.made.entries[name]}

    def _positions(self, tensor: Tensor) -> Iterator[Position]:
        return product(*(range(int(size.xreplace(self.numbers))) for size in tensor.shape))

    def _count(self, tensor: Tensor) -> int:
        return prod(int(size.xreplace(self.numbers)) for size in tensor.shape)

    def _names_of(self, names: Any) -> Any:
        kind = set if isinstance(names, set) else list
        return kind(scalar.name for name in names for scalar in self.made.entries[name].values())

    def _check_size(self, limit: int) -> None:
        """Refuse what would take too long, and say which tensor is to blame."""
        counts = {tensor.name: self._count(tensor) for tensor in self.network.tensors.values()}
        for equation in self.network.equations:
            counts[equation.target.name] *= _volume(equation.body, self.numbers)
        total = sum(counts.values())
        if total > limit:
            most = self.network.tensors[max(counts, key=lambda name: counts[name])]
            raise SizeError(
                f"{self.network.name} has {total:,} terms and entries at these sizes, {counts[most.name]:,} of them in "
                f"{most.name} {shape_text(most.shape)}; at most {limit:,} are written out: choose smaller sizes, or a "
                "larger limit="
            )


def _volume(expr: Any, numbers: Mapping[Any, Any]) -> int:
    """How many terms `expr` has when its sums are written out."""
    if isinstance(expr, Binder):
        return prod(int(size.xreplace(numbers)) for _, size in expr.limits) * _volume(expr.body, numbers)
    inside = [_volume(arg, numbers) for arg in expr.args if arg.has(Binder)]
    return max(1, sum(inside))


def dims_in(network: Network) -> list[Dim]:
    """The symbolic sizes of a network, by name."""
    tensors = network.tensors.values()
    sizes = [size for tensor in tensors for size in (*tensor.shape, *([tensor.classes] if tensor.classes else []))]
    bodies = [equation.body for equation in network.equations]
    found = {symbol for expr in (*sizes, *bodies) for symbol in expr.free_symbols if isinstance(symbol, Dim)}
    return sorted(found, key=str)


def _at(value: Any, position: Position) -> Any:
    """The entry of an array, or of nested lists; a number is the same everywhere."""
    value = copy.copy(value)
    for place in position:
        if not hasattr(value, "__getitem__"):
            break
        value = value[place]
    number = value.item() if hasattr(value, "item") else value
    return from_user(number) if isinstance(number, Rational) else number
