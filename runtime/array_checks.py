"""What an array must hold to be data of a tensor: its type, finite numbers, labels in range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Integer

from ..symbolic.errors import DataError
from ..symbolic.facts import Fact
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor

Array = NDArray[Any]
LABEL_TYPE = np.dtype(np.int64)
SUM_TOLERANCE = 1e-4  # relative: float32 data, normalised by whoever made them


def one_hot_rows(labels: Any, classes: int, name: str = "labels") -> Array:
    """Rows of 0 and 1 from integer labels: ``one_hot_rows([2, 0], 3)`` is ``[[0, 0, 1], [1, 0, 0]]``.

    Raises
    ------
    DataError
        If the labels are not integers 0…classes-1 in one axis.
    """
    if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 1:
        raise DataError(f"classes is {classes!r}; expected a whole number of at least 1")
    found = np.asarray(labels)
    if found.ndim != 1:
        raise DataError(f"{name}: expected one label per row, found an array of shape {found.shape}")
    return np.eye(classes, dtype=np.float64)[checked_labels(name, found, classes)]


def as_array(tensor: Tensor, value: Any, network: Network) -> Array:
    """`value` as an array of integers or real numbers; labels of a one-hot target become its rows.

    Raises
    ------
    DataError
        If it is ragged, masked, or of another type.
    """
    name = tensor.name
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name}: its rows have different lengths ({error}); give rows of one length") from error
    if np.ma.isMaskedArray(value):
        raise DataError(f"{name} is a masked array; fill or drop the masked entries, as in {name}.filled(0)")
    if array.dtype.kind not in "biuf":
        example = repr(array.ravel()[:1].tolist()[0]) if array.size else "no entries"
        if tensor.classes is not None:
            mend = f"number the classes, as in np.unique({name}, return_inverse=True)[1]"
        else:
            mend = "take its real part" if array.dtype.kind == "c" else "convert it, as in np.asarray(…, dtype=float)"
        raise DataError(
            f"{name} holds {array.dtype} ({example}); expected "
            f"{'integers' if tensor.classes is not None else 'real numbers'}; {mend}"
        )
    if _is_one_hot(tensor, network) and array.ndim == tensor.rank - 1 and array.dtype.kind in "iu":
        width = tensor.shape[-1]
        if isinstance(width, Integer):
            return one_hot_rows(array, int(width), name)
    return array


def _is_one_hot(tensor: Tensor, network: Network) -> bool:
    return tensor.rank == 2 and any(
        fact.tensor == tensor and fact.axis == 1 and fact.value == 1 for fact in network.facts
    )


def checked_numbers(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """`array` in `dtype` and in the memory layout that the kernels take.

    Raises
    ------
    DataError
        If it holds NaN or infinity, or a number too large for `dtype`.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = ~np.isfinite(array)
        place = tuple(int(at) for at in np.argwhere(bad)[0])
        what = "NaN" if np.isnan(array[place]) else "infinity"
        raise DataError(
            f"{name} holds {what} at {_position(place)} ({int(bad.sum())} bad of {array.size:,} entries); "
            "drop those rows or fill them in"
        )
    with np.errstate(over="ignore"):
        # Aligned and writable as well: to Numba, arrays that are not so are of other types, to be compiled for anew.
        made: Array = np.require(array, dtype, ["C", "A", "W"])
    if not np.isfinite(made).all():
        raise DataError(
            f"{name} holds {float(np.abs(array).max()):g}, too large for {dtype}; scale it down or take float64"
        )
    return made


def checked_labels(name: str, array: Array, classes: int) -> Array:
    """`array` as class labels.

    Raises
    ------
    DataError
        If it holds other than integers 0…classes-1.
    """
    if array.dtype.kind == "f":
        whole = array.size and np.isfinite(array).all() and (array == np.floor(array)).all()
        mend = f"convert them: {name}.astype(int)" if whole else "labels are whole numbers"
        raise DataError(f"{name} holds {array.dtype}; expected integer labels 0…{classes - 1}; {mend}")
    if array.dtype.kind not in "biu":
        raise DataError(f"{name} holds {array.dtype}; expected integer labels 0…{classes - 1}; number the classes")
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= classes:
            place = tuple(int(at) for at in np.argwhere((array < 0) | (array >= classes))[0])
            mend = "; labels count from 0: subtract 1" if low == 1 and high == classes else ""
            raise DataError(
                f"{name} holds label {int(array[place])} at {_position(place)}; "
                f"expected 0…{classes - 1} for {classes} classes{mend}"
            )
    return np.require(array, LABEL_TYPE, ["C", "A", "W"])


def check_declared_sums(tensor: Tensor, array: Any, network: Network) -> None:
    """Check that `array` has the sums that are declared of `tensor`: gradients rely on them, and are wrong otherwise.

    Raises
    ------
    DataError
        If a sum along the axis of a declared fact is not the fact's value, within `SUM_TOLERANCE`.
    """
    for fact in network.facts:
        if fact.tensor != tensor or not fact.source.startswith("declared") or not array.size:
            continue
        array = np.asarray(array)  # of a GPU, a copy
        expected = float(fact.value)
        # Sums that are to be 0 have no size of their own to compare with: that of the entries stands for it.
        scale = abs(expected) or float(np.abs(array).max())
        sums = np.asarray(array.sum(axis=fact.axis, dtype=np.float64))
        bad = np.abs(sums - expected) > SUM_TOLERANCE * scale
        if bad.any():
            raise DataError(_wrong_sum(tensor, fact, sums, bad))


def _wrong_sum(tensor: Tensor, fact: Fact, sums: Array, bad: Array) -> str:
    place = [int(at) for at in np.argwhere(bad)[0]]
    entry = [str(at) for at in place]
    entry.insert(fact.axis, ":")
    total = f"{tensor.name}[{', '.join(entry)}].sum() is {float(sums[tuple(place)]):.6g}"
    row = f"row {place[0]} of " if place and fact.axis else ""
    count = f" ({int(bad.sum()):,} of {bad.size:,} sums are off)" if bad.size > 1 else ""
    mend = "normalise it along that axis"
    if fact.value == 1:
        mend = f"normalise it: {tensor.name} / {tensor.name}.sum(axis={fact.axis}, keepdims=True)"
    if fact.value == 1 and tensor.role == "target":
        mend += '; where it is not to sum to 1, declare no such thing, as in CrossEntropy(targets="probabilities")'
    elif not fact.source.endswith("one-hot"):
        mend += "; or leave the assume(…) out"
    return (
        f"{row}{tensor.name} has a wrong sum along axis {fact.axis}: {total}{count}; "
        f"expected {fact.value} ({fact.source}), which the gradients rely on; {mend}"
    )


def _position(place: Iterable[int]) -> str:
    places = list(place)
    if not places:
        return "its only entry"
    return f"row {places[0]}" + (
        f", column {places[1]}" if len(places) == 2 else f", at {places[1:]}" if places[1:] else ""
    )
