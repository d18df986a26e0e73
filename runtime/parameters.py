"""`Parameters`: all parameters, and a network's states, in one contiguous buffer, with a named view of each."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, ShapeError, SizeError, UndefinedError
from ..symbolic.network import Network
from .initializers import initial_values

Layout = Mapping[str, tuple[int, tuple[int, ...]]]
ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


class Parameters(Mapping[str, NDArray[Any]]):
    """Named arrays that are views of one flat buffer: writing to one writes to the buffer.

    Parameters
    ----------
    layout : name → (offset, shape) in the buffer.
    dtype : of the buffer.
    flat : the buffer; by default a new one of zeros.

    Examples
    --------
    >>> params = Parameters({"W": (0, (2, 3)), "b": (6, (2,))}, "float64")
    >>> params["b"] = [1, 2]
    >>> params.flat[6:]
    array([1., 2.])
    """

    def __init__(self, layout: Layout, dtype: Any, flat: Any = None) -> None:
        self.layout = dict(layout)
        self.flat: Any = aligned_zeros(size_of_layout(self.layout), np.dtype(dtype)) if flat is None else flat
        self._views = {
            name: self.flat[offset : offset + math.prod(shape)].reshape(shape)
            for name, (offset, shape) in self.layout.items()
        }

    def __getitem__(self, name: str) -> Any:
        if name not in self._views:
            near = difflib.get_close_matches(str(name), self._views, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise KeyError(f"there is no parameter {name!r}; there are {', '.join(self._views) or 'none'}{meant}")
        return self._views[name]

    def __setitem__(self, name: str, value: Any) -> None:
        view = self[name]
        found = np.asarray(value)
        if found.shape != view.shape:
            raise ShapeError(f"{name} has shape {view.shape}, found an array of shape {found.shape}")
        view[...] = found

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, (_, shape) in self.layout.items())
        return f"<Parameters {shapes}: {self.count:,} of {self.flat.dtype}>"

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(math.prod(shape) for _, shape in self.layout.values())

    def as_array(self, name: str, value: Any) -> Any:
        """What is to be set, as an array."""
        return np.asarray(value)

    def copy(self) -> Parameters:
        return Parameters(self.layout, self.flat.dtype, self.flat.copy())

    def fill(self, values: Any) -> None:
        """Set every parameter from a mapping name → array, or from a flat buffer of the same layout.

        Raises
        ------
        UndefinedError
            If the names are not those of the parameters.
        ShapeError
            If an array has another shape than its parameter.
        DataError
            If an array does not hold real numbers.
        """
        if isinstance(values, Parameters) and values.layout == self.layout:
            values = values.flat
        if not isinstance(values, Mapping):
            flat = self.as_array("params", values)
            if flat.shape != self.flat.shape:
                raise ShapeError(
                    f"params must be a mapping name → array, or a flat buffer of {self.flat.size} numbers; "
                    f"found an array of shape {flat.shape}"
                )
            values = {
                name: flat[at : at + math.prod(shape)].reshape(shape) for name, (at, shape) in self.layout.items()
            }
        missing = [name for name in self if name not in values]
        unknown = [str(name) for name in values if name not in self._views]
        if missing or unknown:
            raise UndefinedError(
                f"params must name exactly {', '.join(self) or 'nothing'}"
                + (f"; missing: {', '.join(missing)}" if missing else "")
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            )
        for name in self:
            found = self.as_array(name, values[name])
            if found.dtype.kind not in "biuf":
                raise DataError(f"parameter {name} must hold real numbers, found dtype {found.dtype}")
            self[name] = found

    def initialize(self, network: Network, rng: np.random.Generator) -> None:
        """Fill every parameter, then every state, as the network's `initializers` say, in the order of declaration.

        Raises
        ------
        ShapeError
            See `initial_values`.
        """
        for tensor in network.parameters + network.states:
            choice = network.initializers.get(tensor.name)
            self[tensor.name] = initial_values(tensor.name, choice, rng, self.layout[tensor.name][1])


def size_of_layout(layout: Layout) -> int:
    """How many numbers a flat buffer of this layout has."""
    return max((offset + math.prod(shape) for offset, shape in layout.values()), default=0)


def aligned_zeros(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A zeroed vector that begins at a multiple of `ALIGNMENT` bytes."""
    try:
        raw = np.zeros(size * dtype.itemsize + ALIGNMENT, dtype=np.uint8)
    except (ValueError, MemoryError, OverflowError) as error:
        raise SizeError(f"{size:,} numbers of {dtype} do not fit into memory ({error}); choose smaller sizes") from None
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)
