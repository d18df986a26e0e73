"""`explain`: one forward pass, backward pass and update of a network in numbers, as a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, LossError, ShapeError, SizeError, UndefinedError
from ..symbolic.evaluate import evaluate
from ..symbolic.latex import LatexPrinter
from ..symbolic.network import Network
from ..symbolic.notation import Notation
from ..symbolic.optimizer import Optimizer
from ..symbolic.optimizers import SGD
from ..symbolic.report.arrays import ChainInNumbers, shown, valued
from ..symbolic.report.chain import Chain, parse_entry
from ..symbolic.report.document import Block, Document, Formula, Prose, Table
from ..symbolic.report.numbers import Formulas, equal, matrix, value
from ..symbolic.report.update import cell, in_numbers, rule, stepped
from ..symbolic.report.worked import Worked
from ..symbolic.report.writing import Writer
from ..symbolic.tensors import Adjoint
from ..symbolic.text import TextPrinter
from ..symbolic.unrolled import Unrolled, unrolled
from .data import check_data, name_data, size_of
from .fit import check_count
from .gradcheck import prime_sizes, random_data
from .initializers import initial_values
from .what_if import Nudge, what_if

Array = NDArray[Any]
MOST_WEIGHTS = 60
MOST_VALUES = 150  # scalars that equations define, of a network that is written out


def explain(
    network: Network,
    data: Any = None,
    params: Mapping[str, Any] | None = None,
    *,
    rows: int | slice | Sequence[int] = 0,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    entries: Iterable[str] = (),
    nudge: Iterable[str] = (),
    epsilon: float = 0.01,
    limit: int = MOST_WEIGHTS,
    **notation: Any,
) -> Document:
    """One pass through a network in numbers: forward, error, backward, update, and what if a weight were another.

    A network of few weights is written out neuron by neuron, with the numbers put into every formula and the chain
    rule factor by factor. Of a larger one each equation is shown with the norm and the first numbers of its value, and
    the chain rule for `entries`. Numbers are those of training, computed by the reference interpreter in float64.

    Parameters
    ----------
    network : with a loss.
    data : ``(X, Y)`` as for `Model.fit`, or an array for every input and target (and noise), by name; by default random.
    params : arrays by name for parameters and states; by default those that a `Model` of this seed begins with.
    rows : which of the data: a row number, a slice, or a list of row numbers.
    optimizer : one of ``gl.optimizers``, by default gradient descent, ``SGD(lr=0.1)``; its first step is shown.
    seed : of all that is random.
    sizes : numbers for symbolic sizes that the data do not tell.
    entries : weights whose chains a larger network's page shows, as ``"W1[0, 0]"``; by default one of each parameter.
    nudge : weights that the last section moves by ±`epsilon`; by default those of the page.
    epsilon : how far.
    limit : up to so many weights a network is written out neuron by neuron.
    notation : choices of `Notation`.

    Returns
    -------
    `Document` with the sections Given, Forward, Error, Backward, Update, What if.

    Raises
    ------
    LossError
        If the network has no loss.
    DataError, SizeError, ShapeError
        If data or parameters do not fit the network.
    IndexingError, UndefinedError, UnusedParameterError
        If an entry is none of the network, or the loss does not depend on it.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(1, weight_init=0.5)], input_shape=1, loss=gl.losses.SquaredError())
    >>> page = gl.explain(net, ([[3.0]], [[2.0]]), optimizer=gl.optimizers.SGD(lr=0.5))
    >>> [section.title for section in page.sections]
    ['Given', 'Forward', 'Error', 'Backward', 'Update', 'What if']
    """
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    if not (isinstance(epsilon, int | float) and math.isfinite(epsilon) and epsilon > 0):
        raise DataError(f"epsilon must be a positive number, found {epsilon!r}")
    choices = Notation.of(notation)
    point = _Point(network, data, params, rows, sizes, seed)
    optimizer = SGD(lr=0.1) if optimizer is None else optimizer
    scalars = point.written_out(limit)
    document = Document(f"{network.name} in numbers")
    page = _Arrays(point, choices) if scalars is None else _Scalars(point, scalars, choices)
    document.add("Given", page.given())
    document.add("Forward", page.forward())
    document.add("Error", page.error())
    document.add("Backward", page.backward(list(entries)))
    if network.parameters:
        document.add("Update", page.update(optimizer))
    nudges = [Nudge(network, *_entry(network, text)) for text in nudge] or page.nudges()
    document.add("What if", what_if(point, nudges, float(epsilon), page.gradient, choices))
    return document


class _Point:
    """Where the network is looked at: numbers for its sizes, data and parameters.

    Attributes
    ----------
    arrays : name → array, of everything that no equation defines
    about : where they come from, in words
    """

    def __init__(self, network: Network, data: Any, params: Any, rows: Any, sizes: Any, seed: int) -> None:
        check_count("seed", seed, least=0)
        self.network, self.about = network, []
        rng = np.random.default_rng(seed)
        self.sizes = dict(sizes or {})
        self.arrays: dict[str, Any] = {name: float(number) for name, number in network.values.items()}
        self._take_data(data, rows, rng)
        self._take_parameters(params or {}, seed)
        for tensor in network.noises:
            if tensor.name not in self.arrays:
                self.arrays[tensor.name] = rng.uniform(size=self.shape(tensor))
        if network.has_modes:
            self.about.append("These are the numbers of a training step.")

    def shape(self, tensor: Any) -> tuple[int, ...]:
        return tuple(size_of(size, self.sizes, tensor.name) for size in tensor.shape)

    def written_out(self, limit: int) -> Unrolled | None:
        """The network as scalars, if it has few."""
        weights = sum(math.prod(self.shape(tensor)) for tensor in self.network.parameters)
        values = sum(math.prod(self.shape(equation.target)) for equation in self.network.equations)
        if weights > limit or values > MOST_VALUES:
            return None
        labels = {name: a for name, a in self.arrays.items() if self.network.tensors[name].classes is not None}
        try:
            return unrolled(self.network, self.sizes, labels=labels)
        except SizeError:
            return None

    def _take_data(self, data: Any, rows: Any, rng: np.random.Generator) -> None:
        network, batch = self.network, self.network.batch
        if data is None:
            wanted = len(rows) if isinstance(rows, list | tuple | range) else 1
            numbers = {**prime_sizes(network), **({} if batch is None else {batch.name: wanted}), **self.sizes}
            values = {t.name: random_data(network, t, numbers, rng) for t in network.inputs + network.targets}
            self.sizes = numbers
            self.about.append("The data are random.")
        elif isinstance(data, Mapping):
            values = dict(data)
            for tensor in network.inputs + network.targets:
                if tensor.name not in values:
                    raise DataError(f"{tensor.role} {tensor.name} has no data; give an array for it")
        else:
            if not (isinstance(data, tuple | list) and len(data) == 2):
                raise DataError("data must be a pair (X, Y), or a mapping of names to arrays")
            values = {
                **name_data(network.inputs, data[0], "input"),
                **name_data(network.targets, data[1], "target"),
            }
        checked = check_data(network, values, np.float64, self.sizes)
        if data is not None and any(checked.batched):
            chosen = [rows] if isinstance(rows, int) else rows
            if isinstance(rows, int) and not 0 <= rows < checked.rows:
                raise DataError(f"there is no row {rows}: the data have {checked.rows}, counted from 0")
            whole = checked.rows
            checked = checked.take(chosen)
            if not checked.rows:
                raise DataError(f"no row is chosen of {whole}; give at least one")
            which = f"Row {rows}" if isinstance(rows, int) else f"{checked.rows} rows"
            self.about.append(f"{which} of {whole} of the data, counted from 0.")
        if batch is not None:
            self.sizes[batch.name] = checked.rows
        self.arrays |= {t.name: array for t, array in zip(checked.tensors, checked.arrays, strict=True)}

    def _take_parameters(self, given: Mapping[str, Any], seed: int) -> None:
        network = self.network
        known = [tensor.name for tensor in network.parameters + network.states]
        for name in given:
            if name not in known:
                raise UndefinedError(f"params: {network.name} has no parameter {name!r}; it has {', '.join(known)}")
        # As a `Model` of this seed draws them.
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])
        for tensor in network.parameters + network.states:
            shape = self.shape(tensor)
            drawn = initial_values(tensor.name, network.initializers.get(tensor.name), rng, shape)
            array = np.asarray(given.get(tensor.name, drawn), dtype=np.float64)
            if array.shape != shape:
                raise ShapeError(f"params: {tensor.name} has shape {shape}, found an array of shape {array.shape}")
            self.arrays[tensor.name] = array
        if network.parameters and not given:
            self.about.append("The parameters are those that training begins with.")


class _Scalars:
    """The page of a network that is written out."""

    def __init__(self, point: _Point, scalars: Unrolled, notation: Notation) -> None:
        self.point, self.scalars, self.notation = point, scalars, notation
        self.worked = Worked(scalars, scalars.split(point.arrays), notation)
        frozen = scalars.frozen
        self.names = [name for name in scalars.asked or [] if name not in frozen]

    def given(self) -> list[Block]:
        lines: list[Block] = [Prose.plain(words) for words in self.point.about]
        batch = self.point.network.batch
        for name, tensor in self.point.network.tensors.items():
            if tensor.role in ("value", "constant"):
                continue
            array = np.asarray(self.point.arrays[name])
            if tensor.rank and tensor.shape[0] == batch and len(array) == 1:
                array = array[0]
            for at in np.ndindex(array.shape[:-2]):
                printers = TextPrinter(notation=self.notation), LatexPrinter(notation=self.notation)
                places = [str(place) for place in at]
                left = Formula(*(p.element(tensor, places) if places else p.symbol(tensor) for p in printers))
                lines.append(equal(left, matrix(array[at].tolist()), name=name))
        return lines

    def forward(self) -> list[Block]:
        return self.worked.forward()

    def error(self) -> list[Block]:
        return self.worked.error()

    def backward(self, entries: list[str]) -> list[Block]:
        names = [parse_entry(self.scalars, entry)[0].name for entry in entries]
        # The page needs all of them for the update; what is asked for comes first.
        return self.worked.backward(names or self.names)

    def update(self, optimizer: Optimizer) -> list[Block]:
        self.worked.backward(self.names)
        blocks = [*rule(optimizer), *in_numbers(optimizer, self.scalars, self.worked.values, self.names)]
        weights = {name: self.worked.values[name] for name in self.names}
        gradients = {name: self.gradient_of(name) for name in self.names}
        new = stepped(optimizer, weights, gradients)[optimizer.theta.name]
        if self.scalars.frozen:
            fixed = ", ".join(sorted({self.scalars.places[name][0] for name in self.scalars.frozen}))
            blocks.append(Prose.plain(f"Fixed: {fixed}."))
        before = dict(self.worked.values)
        for name in new:
            before[name] = new[name]
        loss: Any = self.scalars.loss
        after = evaluate(self.scalars.equations, _undefined(self.scalars, before))[loss.name]
        return [*blocks, *_after(loss, self.worked.values[loss.name], float(after))]

    def gradient_of(self, name: str) -> float:
        assert self.scalars.loss is not None
        return float(self.worked.values[Adjoint(self.scalars.tensors[name], self.scalars.loss).name])

    def gradient(self, nudge: Nudge) -> float:
        name = self.scalars.entry(nudge.name, nudge.position).name
        self.worked.backward([name])
        return self.gradient_of(name)

    def nudges(self) -> list[Nudge]:
        names = self.names[:MOST_NUDGES] if self.point.network.parameters else []
        return [Nudge(self.point.network, *self.scalars.places[name]) for name in names]


MOST_NUDGES = 12


class _Arrays:
    """The page of a network whose values are shown as arrays."""

    def __init__(self, point: _Point, notation: Notation) -> None:
        self.point, self.notation = point, notation
        self.network = point.network
        self.derivation = self.network.derive()
        self.adjoints = [step.equation for step in self.derivation.steps.values()]
        self.values = {**point.arrays}
        self.values |= evaluate([*self.network.equations, *self.adjoints], point.arrays, point.sizes)
        self.write = Writer(self.network, notation)
        frozen = self.network.frozen
        self.names = [name for name in self.derivation.gradients if name not in frozen]

    def given(self) -> list[Block]:
        tensors = [t for t in self.network.tensors.values() if t.role not in ("value", "constant")]
        about: list[Block] = [Prose.plain(words) for words in self.point.about]
        return [*about, *(shown(self.write, tensor, self.values[tensor.name]) for tensor in tensors)]

    def forward(self) -> list[Block]:
        return valued([e for e in self.network.equations if e.target != self.network.loss], self.values, self.write)

    def error(self) -> list[Block]:
        loss: Any = self.network.loss
        return valued([self.network.equation(loss.name)], self.values, self.write)

    def backward(self, entries: list[str]) -> list[Block]:
        blocks = valued(self.derivation.adjoints, self.values, self.write)
        for entry in entries or self._entries():
            chain = Chain(self.derivation, entry, self.notation)
            blocks += ChainInNumbers(chain, self.values, self.point.sizes).blocks()
        return blocks

    def update(self, optimizer: Optimizer) -> list[Block]:
        weights, gradients = ({
            (name, at): array[at] for name in self.names for array in [arrays(name)] for at in np.ndindex(array.shape)
        } for arrays in (self.point.arrays.__getitem__, self._gradient))  # fmt: skip
        new = stepped(optimizer, weights, gradients)[optimizer.theta.name]  # type: ignore[arg-type]
        made = {**self.point.arrays, **{name: np.array(self.point.arrays[name]) for name in self.names}}
        for (name, at), number in new.items():  # type: ignore[misc]
            made[name][at] = number  # type: ignore[has-type]
        head = tuple(map(Prose.plain, ("parameter", "norm", "norm of the gradient", "norm of the change")))
        rows = []
        for name in self.names:
            norms = [self.point.arrays[name], self._gradient(name), made[name] - self.point.arrays[name]]
            rows.append((Prose.plain(name), *(cell(np.linalg.norm(array)) for array in norms)))
        loss: Any = self.network.loss
        after = evaluate(self.network.equations, made, self.point.sizes)[loss.name]
        table = Table(head, tuple(rows), frozenset((1, 2, 3)))
        return [*rule(optimizer), table, *_after(loss, float(self.values[loss.name]), float(after))]

    def gradient(self, nudge: Nudge) -> float:
        return float(self._gradient(nudge.name)[nudge.position])

    def nudges(self) -> list[Nudge]:
        """Of each parameter the entry with the largest gradient."""
        names = self.names[:MOST_NUDGES] if self.network.parameters else []
        at = {
            name: np.unravel_index(np.abs(self._gradient(name)).argmax(), self._gradient(name).shape) for name in names
        }
        return [Nudge(self.network, name, tuple(map(int, at[name]))) for name in names]

    def _gradient(self, name: str) -> Array:
        array: Array = self.values[self.derivation[name].target.name]
        return array

    def _entries(self) -> list[str]:
        """The entry of each weight (of two axes or more) with the largest gradient."""
        return [str(nudge) for nudge in self.nudges() if len(nudge.position) > 1][:2]


def _undefined(network: Network, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that no equation defines."""
    defined = {equation.target.name for equation in network.equations}
    return {name: number for name, number in values.items() if name not in defined}


def _after(loss: Any, before: float, after: float) -> list[Block]:
    symbol = Formulas({}).symbols(loss)
    old, new = value(before), value(after)
    return [
        Prose(
            f"With the new weights {symbol.text} = {new.text}; before, it was {old.text}.",
            f"With the new weights ${symbol.latex} = {new.latex}$; before, it was ${old.latex}$.",
        )
    ]


def _entry(network: Network, text: str) -> tuple[str, tuple[int, ...]]:
    tensor, where = parse_entry(network, text)
    return tensor.name, tuple(map(int, where))
