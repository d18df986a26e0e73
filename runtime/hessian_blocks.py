"""The whole Hessian, column by column: products with unit vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import SizeError
from ..symbolic.tensors import Direction

Array = NDArray[Any]
LIMIT = 2000  # parameters: their Hessian has 4 million entries


def hessian_blocks(
    products: Any, params: Any, data: Iterable[Any], named: Mapping[str, Any], limit: int
) -> dict[tuple[str, str], Array]:
    """The blocks of the Hessian, by the program of a network that `hessian_vector` made.

    Raises
    ------
    SizeError
        If there are more than `limit` rows.
    """
    network = products.network
    names = network.asked
    directions = {t.of.name: t.name for t in network.inputs if isinstance(t, Direction) and t.of.name in names}
    own = [tensor.name for tensor in [*network.inputs, *network.targets] if tensor.name not in directions.values()]
    data = list(data)
    given = {**named, **dict(zip(own, data, strict=False))}
    shapes = {name: _shape(products, name, given) for name in names}
    count = sum(math.prod(shape) for shape in shapes.values())
    if count > limit:
        raise SizeError(
            f"the Hessian of {network.name.removesuffix('_hessian_vector')} with respect to {', '.join(names)} has "
            f"{count:,} rows, which is more than limit={limit:,}; ask for fewer tensors with wrt=…, multiply with "
            "vectors by gl.hessian_vector, or raise the limit"
        )
    flat = products.flat(params)
    checked = products.check(data, {**named, **{directions[name]: np.zeros(shapes[name]) for name in names}})
    arrays = {tensor.name: array for tensor, array in zip(checked.tensors, checked.arrays, strict=True)}
    blocks = {
        (row, column): np.empty(shapes[row] + shapes[column], products.dtype) for row in names for column in names
    }
    for column in names:
        vector = arrays[directions[column]]
        for at in np.ndindex(shapes[column]):
            vector[at] = 1
            _, found = products.run_gradients(flat, checked)
            vector[at] = 0
            for row in names:
                blocks[row, column][(..., *at)] = found[row]
    return blocks


def _shape(products: Any, name: str, given: Mapping[str, Any]) -> tuple[int, ...]:
    if name in products.module.PARAMETERS:
        return tuple(products.module.PARAMETERS[name][1])
    return np.shape(given.get(name, ()))
