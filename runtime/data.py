"""Checking of the data that people hand over: every array is converted, or refused with what to mend.

A network's data are its inputs and targets. Most have a batch axis, the leading one; networks without one (a scalar
circuit) take their data as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Integer

from ..symbolic.axes import check_axes, derived_axes
from ..symbolic.errors import DataError, SizeError
from ..symbolic.indices import Dim
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor, shape_text
from .array_checks import as_array, check_declared_sums, checked_labels, checked_numbers
from .device_arrays import DeviceArray
from .foreign_arrays import device_array, lies_on_gpu
from .mapped_arrays import MappedArray, Pixels, checked_map, is_mapped

Array = NDArray[Any]


@dataclass(frozen=True)
class Data:
    """Checked data of a network, in the order inputs, targets, noise where it is given.

    Attributes
    ----------
    tensors : what the arrays are data of
    arrays : C-contiguous, of the kernels' dtype; labels are int64. On a device they are a `DeviceArray`, labels int32;
        numbers that lie in a large file may be a `MappedArray`, of which kernels take parts
    batched : whether the first axis of an array is the batch
    rows : length of the batch axis; 1 where there is none
    """

    tensors: tuple[Tensor, ...]
    arrays: tuple[Any, ...]
    batched: tuple[bool, ...]
    rows: int

    def take(self, rows: Any) -> Data:
        """The data of these rows: a slice (no copy) or an array of row numbers."""
        arrays = tuple(
            _taken(array, rows) if batched else array for array, batched in zip(self.arrays, self.batched, strict=True)
        )
        count = next((len(a) for a, batched in zip(arrays, self.batched, strict=True) if batched), self.rows)
        return Data(self.tensors, arrays, self.batched, count)

    def part(self, rows: Array) -> Data:
        """The same as `take`, but what lies in files stays there."""
        arrays = tuple(
            a.part(rows) if isinstance(a, MappedArray) else _taken(a, rows) if batched else a
            for a, batched in zip(self.arrays, self.batched, strict=True)
        )
        return Data(self.tensors, arrays, self.batched, len(rows))

    def loaded(self) -> Data:
        """The same with everything in memory."""
        arrays = tuple(np.asarray(a) if isinstance(a, MappedArray) else a for a in self.arrays)
        return Data(self.tensors, arrays, self.batched, self.rows)

    def of_role(self, role: str) -> Data:
        """The data of the inputs alone, or of the targets."""
        kept = [place for place, tensor in enumerate(self.tensors) if tensor.role == role]
        return Data(
            tuple(self.tensors[place] for place in kept),
            tuple(self.arrays[place] for place in kept),
            tuple(self.batched[place] for place in kept),
            self.rows,
        )


def _taken(array: Any, rows: Any) -> Any:
    found = array[rows]
    return found if isinstance(found, DeviceArray) else np.ascontiguousarray(found)


def name_data(tensors: list[Tensor], given: Any, role: str) -> dict[str, Any]:
    """``{name: array}`` from what stands for the inputs, or the targets: a mapping, or the array of the only one.

    Raises
    ------
    DataError
        If names are missing or unknown, or one array stands for several tensors.
    """
    names = ", ".join(tensor.name for tensor in tensors)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        if len(tensors) != 1:
            found = "this network has none" if not tensors else f"this network has {len(tensors)}: give {{name: array}}"
            raise DataError(f"one array was given as {role}, but {found}" + (f" for {names}" if tensors else ""))
        return {tensors[0].name: given}
    unknown = [str(name) for name in given if name not in {tensor.name for tensor in tensors}]
    if unknown:
        raise DataError(f"there is no {role} {unknown[0]!r}; this network's are {names or 'none'}")
    for tensor in tensors:
        if tensor.name not in given:
            raise DataError(f"{role} {tensor.name} {shape_text(tensor.shape)} has no data; give an array for it")
    return dict(given)


def check_data(
    network: Network,
    values: Mapping[str, Any],
    dtype: Any,
    sizes: dict[str, int],
    target: str = "cpu",
    mapped: bool = False,
) -> Data:
    """Convert and check arrays, by name.

    Parameters
    ----------
    values : an array for each tensor that is wanted; the others are left out of the result.
    dtype : what real data are converted to.
    sizes : the sizes known; those learned from the arrays are added.
    target : where kernels run: "cuda" takes arrays of a GPU where they are. Of these labels and declared sums are
        checked, but not whether all numbers are finite.
    mapped : whether numbers that lie in large files are left there.

    Raises
    ------
    DataError
        If an array has another shape or type than its tensor, holds NaN or infinity, labels out of range, no rows, or
        another number of rows than the others, or has other sums along an axis than its declaration says. The message
        names the tensor, what was found, and the mend.
    SizeError
        If an axis of a tensor of the network would be empty for these data.
    """
    batch = network.batch
    tensors = tuple(t for t in network.inputs + network.targets + network.noises if t.name in values)
    arrays: list[Any] = []
    first: tuple[str, int] | None = None
    for tensor in tensors:
        is_there, stays = lies_on_gpu(values[tensor.name]), False
        array: Any
        if is_there:
            kind = np.dtype(np.int32 if tensor.classes is not None else dtype)
            array = device_array(tensor.name, values[tensor.name], kind, target)
        else:
            found = values[tensor.name]
            stays = mapped and target != "cuda" and _stays_in_file(tensor, found, network, np.dtype(dtype))
            # Of pixels in a file the shape is that of what they stand for; they are scaled when rows are taken.
            array = as_array(tensor, found.array if stays and isinstance(found, Pixels) else found, network)
        if tensor.rank and batch is not None and tensor.shape[0] == batch and array.ndim:
            if not len(array):
                raise DataError(f"{tensor.name} has no rows (shape {array.shape}); give at least one")
            first = first or (tensor.name, len(array))
            if array.ndim == tensor.rank and len(array) != first[1]:
                raise DataError(
                    f"{tensor.name} has {len(array)} rows and {first[0]} has {first[1]}; give the same number of each"
                )
        known = dict(sizes)
        if batch is not None:
            known.pop(batch.name, None)
        check_shape(tensor, array, known, network)
        if batch is not None:
            known.pop(batch.name, None)
        sizes.update(known)
        if tensor.classes is not None:
            labels = checked_labels(tensor.name, np.asarray(array), size_of(tensor.classes, sizes, tensor.name))
            arrays.append(array if is_there else labels)
        elif stays:
            arrays.append(checked_map(tensor.name, found, np.dtype(dtype)))
            continue
        else:
            arrays.append(array if is_there else checked_numbers(tensor.name, array, np.dtype(dtype)))
        check_declared_sums(tensor, arrays[-1], network)
    if batch is not None and first is not None and derived_axes(network, batch):
        check_axes(network, {**sizes, batch.name: first[1]})
    batched = tuple(bool(t.rank) and batch is not None and t.shape[0] == batch for t in tensors)
    return Data(tensors, tuple(arrays), batched, first[1] if first else 1)


def _stays_in_file(tensor: Tensor, value: Any, network: Network, dtype: np.dtype[Any]) -> bool:
    """Whether kernels take an array a part at a time: labels and declared sums are checked as a whole."""
    batched = tensor.rank > 0 and tensor.shape[0] == network.batch
    is_plain = tensor.classes is None and not any(fact.tensor == tensor for fact in network.facts)
    return batched and is_plain and is_mapped(value, dtype)


def size_of(size: Any, sizes: Mapping[str, int], where: str = "") -> int:
    """The number that a symbolic size stands for.

    Raises
    ------
    SizeError
        If a symbol in it has no number.
    """
    if isinstance(size, Integer):
        return int(size)
    if isinstance(size, Dim) and size.name in sizes:
        return sizes[size.name]
    for symbol in sorted(size.free_symbols, key=str):
        if symbol.name not in sizes:
            raise SizeError(
                f"size {symbol.name}{where and f' of {where}'} has no number; "
                f"give it, as in sizes={{{symbol.name!r}: 16}}"
            )
    return int(size.xreplace({symbol: Integer(sizes[symbol.name]) for symbol in size.free_symbols}))


def check_shape(tensor: Tensor, array: Array, sizes: dict[str, int], network: Network) -> None:
    """Compare shapes, and learn the sizes that have no number yet.

    Raises
    ------
    DataError
        If the array has another shape than its tensor.
    SizeError
        If a size has no number, or an axis of the network is empty.
    """
    name = tensor.name
    if array.ndim != tensor.rank:
        raise DataError(
            f"{name} has shape {array.shape}; expected {tensor.rank} axes {shape_text(tensor.shape)}"
            + _mend(tensor, array)
        )
    for axis, (size, found) in enumerate(zip(tensor.shape, array.shape, strict=True)):
        if isinstance(size, Dim):
            sizes.setdefault(size.name, found)
        expected = size_of(size, sizes, name)
        if expected < 1:
            check_axes(network, sizes)  # says which tensor is the first to be empty
        if found != expected:
            symbol = "" if isinstance(size, Integer) else f" ({size} = {expected})"
            raise DataError(
                f"{name} has shape {array.shape}: axis {axis} is {found} wide, expected {expected}{symbol} as in "
                f"{shape_text(tensor.shape)}" + _mend(tensor, array)
            )


def _mend(tensor: Tensor, array: Array) -> str:
    """What would give `array` the right number of axes, where that is plain."""
    name, rank = tensor.name, tensor.rank
    if rank == 2 and array.ndim > 2:
        return f"; flatten each row: {name}.reshape(len({name}), -1)"
    if rank == 2 and array.ndim == 1 and tensor.shape[1] == 1:
        return f"; make it a column: {name}.reshape(-1, 1)"
    if rank == 2 and array.ndim == 1 and array.dtype.kind in "iu":
        return f"; if these are class labels, give one-hot rows: np.eye({tensor.shape[1]})[{name}]"
    if rank == 1 and array.ndim == 2 and array.shape[1] == 1:
        return f"; drop the second axis: {name}[:, 0]"
    if rank == 1 and array.ndim == 2 and tensor.classes is not None:
        return f"; give class labels, not one-hot rows: {name}.argmax(axis=1)"
    return "; check which axis is which"
