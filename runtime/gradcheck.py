"""`gradcheck`: the derived kernels against central differences, a table.

For each tensor the gradient that the compiled kernels give is compared, entry by entry, with
``(L(v + h) - L(v - h)) / (2 h)`` in float64, h = ε^(1/3) max(1, |v|): there the two errors of that formula, truncation
h² L‴/6 and rounding ε L/h, are about equal, some 1e-10 of the loss's scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.arguments import check_network
from ..symbolic.axes import check_axes
from ..symbolic.errors import DataError, SizeError
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor
from .array_checks import one_hot_rows
from .compilation import check_sizes, compile_network
from .data import Data, check_data, size_of
from .fit_options import check_count
from .parameters import Parameters
from .program import Program

Array = NDArray[Any]
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
RELATIVE = 1e-6
_LARGEST_PRIME = 200  # of the sizes that are tried
ABSOLUTE = 1e-8  # times max(1, |loss|): rounding of the loss, divided by h


@dataclass(frozen=True)
class Row:
    """The comparison for one tensor: the largest errors over the entries that were checked."""

    name: str
    shape: tuple[int, ...]
    checked: int
    absolute: float
    relative: float
    ok: bool


@dataclass(frozen=True)
class GradcheckResult:
    """A `Row` per tensor; prints as a table.

    Attributes
    ----------
    rows : the comparisons
    loss : at the point where they were made
    """

    rows: tuple[Row, ...]
    loss: float

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def __str__(self) -> str:
        head = ("tensor", "shape", "checked", "max abs error", "max rel error", "ok")
        table = [head] + [
            (
                row.name,
                str(row.shape),
                f"{row.checked} of {math.prod(row.shape)}",
                f"{row.absolute:.1e}",
                f"{row.relative:.1e}",
                "yes" if row.ok else "NO",
            )
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in table) for column in range(len(head))]
        return "\n".join(
            "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in table
        )


def gradcheck(
    network: Network,
    *,
    data: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    target: str = "cpu",
    sizes: Mapping[str, int] | None = None,
    batch: int = 5,
    entries: int = 100,
    seed: int = 0,
) -> GradcheckResult:
    """Compare the derived gradients of `network`, compiled in float64, with central differences.

    It is the loss in training that is differentiated, with the same noise at all points. What is `held` is moved by the
    differences all the same, so that a gradient that passes by something held does not agree with them.

    Parameters
    ----------
    data : an array for every input and target, and for noise if it is not to be drawn; by default random ones.
    params : an array for every parameter and state; by default those a model begins with, and small random ones for
        parameters that are zeros.
    target : "cpu" or "numpy".
    sizes : numbers for symbolic sizes; by default small primes, different for each.
    batch : rows of the random data.
    entries : at most so many of each tensor, chosen at random.
    seed : of all that is random.

    Returns
    -------
    A table; its ``ok`` says whether every error is within 1e-6 relative (1e-8 of the loss's scale absolute).
    It is over the parameters, or over the inputs of a network without any.

    Raises
    ------
    DataError
        If the data do not fit, or the loss there is not finite.
    SizeError
        If an axis would be empty at `sizes`.
    """
    check_count("batch", batch)
    check_count("entries", entries)
    check_count("seed", seed, least=0)
    sizes = check_sizes(sizes or {})
    if data is not None and not isinstance(data, Mapping):
        raise DataError(f"data is {type(data).__name__}; expected a dict of arrays by name, as in {{'x': X, 'y': Y}}")
    rng = np.random.default_rng(seed)
    primes = prime_sizes(check_network(network))
    if data is None:
        numbers = {**primes, **sizes}
        known = {**numbers, network.batch.name: batch} if network.batch is not None else numbers
        check_axes(network, known)
        values = {t.name: random_data(network, t, known, rng) for t in network.inputs + network.targets}
    else:
        numbers = dict(sizes)
        values = {name: np.array(array) for name, array in data.items()}  # a copy: entries are moved in place
    drawn = {tensor.name: values.pop(tensor.name) for tensor in network.noises if tensor.name in values}
    checked = check_data(network, values, np.float64, numbers)
    numbers = {**primes, **numbers}
    wanted = [t.name for t in network.parameters] or [t.name for t in network.inputs if t.classes is None]
    program = compile_network(network, target=target, dtype="float64", batch=checked.rows, sizes=numbers, wrt=wanted)
    flat = _parameters(network, program, params, rng)
    noise = program.noise(checked.rows, drawn, seed=seed)
    loss, gradients = program.run_gradients(flat.flat, checked, *noise)
    if not math.isfinite(loss):
        raise DataError(f"the loss at the point of the check is {loss}; give data and params where it is finite")
    arrays = (
        dict(flat) if network.parameters else dict(zip((t.name for t in checked.tensors), checked.arrays, strict=True))
    )
    rows = [
        _compare(program, flat, checked, noise, name, arrays[name], gradients[name], loss, entries, rng)
        for name in wanted
        if name in gradients
    ]
    return GradcheckResult(tuple(rows), loss)


def _compare(
    program: Program,
    params: Parameters,
    data: Data,
    noise: tuple[Array, ...],
    name: str,
    array: Array,
    gradient: Array,
    loss: float,
    entries: int,
    rng: np.random.Generator,
) -> Row:
    """Move entries of `array`, a parameter's view or an input's data, in place, one by one, and put them back."""
    chosen: Iterable[int] = range(array.size)
    if array.size > entries:
        chosen = np.sort(rng.choice(array.size, entries, replace=False)).tolist()
    absolute = relative = 0.0
    count, ok = 0, gradient.shape == array.shape
    for place in chosen:
        at = np.unravel_index(place, array.shape)
        value = float(array[at])
        step = STEP * max(1.0, abs(value))
        losses = []
        for moved in (value + step, value - step):
            array[at] = moved
            losses.append(program.run_training_loss(params.flat, data, *noise))
        array[at] = value
        # The difference of the two points as rounded, not 2 h.
        numeric = (losses[0] - losses[1]) / ((value + step) - (value - step))
        derived = float(gradient[at])
        error, size = abs(derived - numeric), max(abs(derived), abs(numeric))
        absolute = max(absolute, error)
        # Beside a negligible absolute error, the relative error of a nearly zero gradient says nothing.
        floor = ABSOLUTE * max(1.0, abs(loss))
        relative = max(relative, error / size if size > floor else 0.0)
        ok = ok and error <= floor + RELATIVE * size
        count += 1
    return Row(name, array.shape, count, absolute, relative, bool(ok))


def _parameters(network: Network, program: Program, given: Any, rng: np.random.Generator) -> Parameters:
    params = Parameters(program.module.PARAMETERS, np.float64)
    if given is not None:
        params.fill(given)
        return params
    params.initialize(network, rng)
    for tensor in network.parameters:
        # Zeros (biases, as they begin) would hide what multiplies them.
        view = params[tensor.name]
        if not view.any():
            params[tensor.name] = rng.normal(0, 0.1, view.shape)
    return params


def prime_sizes(network: Network) -> dict[str, int]:
    """A small prime for every symbolic size but the batch, all different: a transposed axis cannot hide."""
    batch = network.batch
    symbols = {s for t in network.tensors.values() for size in t.shape for s in size.free_symbols} - {batch}
    symbols |= {s for t in network.tensors.values() if t.classes is not None for s in t.classes.free_symbols}
    primes = (number for number in range(3, 10_000) if all(number % d for d in range(2, math.isqrt(number) + 1)))
    made = {symbol.name: next(primes) for symbol in sorted(symbols, key=str)}
    while made and made[max(made, key=made.__getitem__)] < _LARGEST_PRIME:
        try:
            check_axes(network, made)
            break
        except SizeError:  # an axis such as H - 4 would be empty: larger ones
            made = dict(zip(made, [*list(made.values())[1:], next(primes)], strict=True))
    return made


def random_data(network: Network, tensor: Tensor, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
    """Data of a tensor's kind: labels, one-hot rows, or numbers from 0.1 to 0.9, where functions are defined."""
    shape = tuple(size_of(size, sizes, tensor.name) for size in tensor.shape)
    if tensor.classes is not None:
        return rng.integers(0, size_of(tensor.classes, sizes, tensor.name), shape)
    fact = next((fact for fact in network.facts if fact.tensor == tensor), None)
    if fact is None:
        return rng.uniform(0.1, 0.9, shape)
    moved = (*shape[: fact.axis], *shape[fact.axis + 1 :])
    labels = rng.integers(0, shape[fact.axis], math.prod(moved))
    rows = one_hot_rows(labels, shape[fact.axis]).reshape(*moved, shape[fact.axis])
    return np.moveaxis(rows, -1, fact.axis) * float(fact.value)
