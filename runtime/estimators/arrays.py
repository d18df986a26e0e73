"""From the arrays of an estimator to the data of a network: rows to samples, targets, weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Integer

from ...symbolic.errors import DataError
from ...symbolic.network import Network
from ...symbolic.tensors import Tensor, shape_text

Array = NDArray[Any]
WEIGHT = "sample_weight"  # the name of the target that takes the weights of rows


def checked_weights(weights: Any, X: Array, dtype: str) -> Array | None:
    """Weights of rows as numbers of `dtype`: one that is too small for it is 0.

    Raises
    ------
    DataError
        If they are not one finite number of at least 0 per row, with one above 0.
    """
    if weights is None:
        return None
    found = np.asarray(weights)
    if found.dtype.kind not in "biuf":
        try:
            found = found.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{WEIGHT} holds {found.dtype}; expected one number per row") from error
    if found.ndim == 0:
        found = np.full(len(X), found)
    if found.shape != (len(X),):
        raise DataError(f"{WEIGHT} has shape {found.shape} and X has {len(X)} rows; give one number per row")
    with np.errstate(over="ignore", under="ignore"):
        found = found.astype(dtype)
    if not np.isfinite(found).all() or (found < 0).any():
        raise DataError(f"{WEIGHT} holds negative numbers, NaN or infinity; a weight is a number of at least 0")
    if not found.any():
        raise DataError(f"{WEIGHT} is zero for every row, so none counts; give one row a weight above 0")
    return found


def target_of(network: Network) -> Tensor:
    """The target that y is data of.

    Raises
    ------
    DataError
        If there is not exactly one of which each row has a part, weights apart.
    """
    found = [tensor for tensor in network.targets if tensor.rank and tensor.name != WEIGHT]
    if len(found) != 1:
        names = ", ".join(tensor.name for tensor in found) or "none"
        raise DataError(f"an estimator has one target, y, but those of {network.name} are {names}")
    return found[0]


def model_data(
    network: Network, X: Array, y: Array, weights: Array | None, constants: Mapping[str, Any]
) -> tuple[Array, dict[str, Any]]:
    """What `Model.fit` takes, for rows `X`, targets `y` (labels, or numbers) and weights.

    Raises
    ------
    DataError
        If there are weights that the network does not read.
    """
    tensor = target_of(network)
    targets: dict[str, Any] = {tensor.name: y, **constants}
    if WEIGHT in {target.name for target in network.targets}:
        targets[WEIGHT] = np.ones(len(X)) if weights is None else weights
    elif weights is not None and (weights != weights[0]).any():
        raise DataError(
            f"{WEIGHT} was given, but the loss of {network.name} reads none; declare it with weights, "
            f"as in gl.losses.CrossEntropy(targets='labels', mask={WEIGHT!r})"
        )
    return model_inputs(network, X), targets


def model_inputs(network: Network, X: Array) -> Array:
    """Rows as samples of the network's one input: of the shape that a sample has, whole numbers where it holds labels.

    Raises
    ------
    DataError
        If the network has several inputs, or a sample has another number of entries than a row.
    """
    if len(network.inputs) != 1:
        names = ", ".join(tensor.name for tensor in network.inputs) or "none"
        raise DataError(f"an estimator has one input, X, but those of {network.name} are {names}")
    (tensor,) = network.inputs
    sample = tensor.shape[1:]
    if len(sample) != 1 and all(isinstance(size, Integer) for size in sample):
        shape = tuple(map(int, sample))
        if math.prod(shape) != X.shape[1]:
            raise DataError(
                f"{tensor.name} takes samples of shape {shape_text(shape)}, {math.prod(shape)} entries, "
                f"but X has {X.shape[1]} features"
            )
        X = X.reshape(len(X), *shape)
    if tensor.classes is not None and (np.floor(X) == X).all():
        return X.astype(np.int64)
    return X
