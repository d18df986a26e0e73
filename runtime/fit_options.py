"""What `fit` is told: checks, and the rows to train on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..symbolic.errors import DataError, LossError, UndefinedError
from ..symbolic.network import Network
from .data import Data

if TYPE_CHECKING:
    from .model import Model

SPLIT_SEED = 20_240_229  # with the model's seed: the same model splits the same data the same way in every fit


def split(model: Model, data: Data, validation: Any, shuffle: bool) -> tuple[Any, Data | None]:
    """The rows to train on, and the data to validate on.

    Raises
    ------
    DataError
        If `validation` is neither a fraction, nor a pair of data, nor None, or leaves no row for one of the two.
    """
    everything = np.arange(data.rows, dtype=np.int64)
    if validation is None or (isinstance(validation, int | float) and validation == 0):
        return everything, None
    if isinstance(validation, tuple | list) and len(validation) == 2:
        held = model.check(validation[0], validation[1])
        return everything, held
    if isinstance(validation, bool) or not isinstance(validation, int | float) or not 0 < validation < 1:
        raise DataError(f"validation is {validation!r}; expected a fraction between 0 and 1, a pair (X, Y), or None")
    if not any(data.batched):
        raise DataError("this network has no batch axis, so no rows can be held out; leave validation away")
    count = math.floor(data.rows * validation + 0.5)
    if not 0 < count < data.rows:
        raise DataError(
            f"validation={validation} of {data.rows} rows leaves {count} rows for validation and {data.rows - count} "
            "for training; both need at least one"
        )
    if shuffle:
        everything = np.random.default_rng([SPLIT_SEED, model.seed]).permutation(everything)
    return np.sort(everything[:-count]), data.part(np.sort(everything[-count:]))


def check_trainable(network: Network) -> None:
    """
    Raises
    ------
    LossError, UndefinedError
        If there is no loss to lower, or no parameter to lower it with.
    """
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    if not network.parameters:
        raise UndefinedError(f"{network.name} has no parameters, so there is nothing to train")


def check_flag(name: str, value: Any) -> None:
    """
    Raises
    ------
    DataError
        If `value` is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{name} is {value!r}; expected True or False")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """
    Raises
    ------
    DataError
        If `value` is not a whole number of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{name} is {value!r}; expected a whole number of at least {least}")
