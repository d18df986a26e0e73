"""`Point`: where a network is looked at: numbers for its sizes, data and parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.arguments import check_numbers
from ..symbolic.errors import DataError, ShapeError, SizeError, UndefinedError
from ..symbolic.network import Network
from ..symbolic.unrolled import Unrolled, dims_in, unrolled
from .data import check_data, name_data, size_of
from .fit_options import check_count
from .gradcheck import prime_sizes, random_data
from .initializers import initial_values

Array = NDArray[Any]
MOST_VALUES = 150  # scalars that equations define, of a network that is written out


class Point:
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
        self.sizes = check_numbers(sizes or {}, [size.name for size in dims_in(network)], network)
        self._check_rows(rows, data)
        self.arrays: dict[str, Any] = {name: float(number) for name, number in network.values.items()}
        self._take_data(data, rows, rng)
        self._take_parameters(params or {}, seed)
        for tensor in network.noises:
            if tensor.name not in self.arrays:
                self.arrays[tensor.name] = rng.uniform(size=self.shape(tensor))
        if network.has_modes:
            self.about.append("These are the numbers of a training step.")

    def _check_rows(self, rows: Any, data: Any) -> None:
        """Refuse rows where there are none to choose from."""
        network = self.network
        if isinstance(rows, int) and rows == 0:
            return
        if network.batch is None:
            raise DataError(f"rows: {network.name} has no batch, so that there are no rows to choose from")
        if data is None and not (isinstance(rows, slice) and rows.start in (0, None) and rows.step in (1, None)):
            raise DataError(f"rows: the data are random, found {rows!r}; rows=slice(3) (--rows 3) draws three of them")
        if data is None and not (isinstance(rows, slice) and isinstance(rows.stop, int) and rows.stop > 0):
            raise DataError(f"rows: expected how many random ones, such as slice(3), found {rows!r}")

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
            wanted = {} if batch is None else {batch.name: rows.stop if isinstance(rows, slice) else 1}
            numbers = {**prime_sizes(network), **wanted, **self.sizes}
            if isinstance(rows, slice) and numbers != {**numbers, **wanted}:
                raise DataError(f"rows: {rows.stop} random rows, and size {batch} = {numbers[str(batch)]}; give one")
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
            which = f"row {rows}" if isinstance(rows, int) else f"{checked.rows} rows"
            self.about.append(f"The data are {which} of {whole}, counted from 0.")
        if batch is not None:
            self.sizes[batch.name] = checked.rows
        self.arrays |= {t.name: array for t, array in zip(checked.tensors, checked.arrays, strict=True)}

    def _take_parameters(self, given: Mapping[str, Any], seed: int) -> None:
        network = self.network
        known = [tensor.name for tensor in network.parameters + network.states]
        if not isinstance(given, Mapping):
            raise DataError(f"params is {type(given).__name__}; expected arrays by name, as in {{'W1': …}}")
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
