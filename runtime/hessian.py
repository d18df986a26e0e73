"""`hessian`: all second derivatives of a small network's loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.arguments import as_mapping, check_network
from ..symbolic.indices import Dim
from ..symbolic.network import Network
from ..symbolic.second_order import hessian_vector
from .compilation import check_sizes, compile_network
from .hessian_blocks import LIMIT, hessian_blocks

Array = NDArray[Any]


def hessian(
    network: Network,
    params: Mapping[str, Any],
    *data: Any,
    wrt: Iterable[str] | None = None,
    target: str = "numpy",
    dtype: str = "float64",
    sizes: Mapping[str, int] | None = None,
    limit: int = LIMIT,
    **named: Any,
) -> dict[tuple[str, str], Array]:
    """All second derivatives of the loss, computed as one Hessian-vector product per row.

    Parameters
    ----------
    params : an array for every parameter, by name.
    data : the inputs, then the targets, in the order of declaration; or by name.
    wrt : names; by default every parameter, or every real input where there are none.
    target, dtype, sizes : see `Network.compile`; sizes that are axes of `params` or of `data` may be left out.
    limit : the largest number of rows that is computed.

    Returns
    -------
    (p, q) → ∂²L/∂p∂q of shape p.shape + q.shape, for every two names; (q, p) is its transpose.

    Raises
    ------
    SizeError
        If the Hessian has more than `limit` rows.
    LossError, DataError, ShapeError, UndefinedError, UnsupportedError, UnusedParameterError
        As `gl.hessian_vector` and `Program.loss_and_gradients` do.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Network("product")
    >>> v, w = net.parameter("v"), net.parameter("w")
    >>> L = net.minimize(v**2 * w)
    >>> found = gl.hessian(net, {"v": 3.0, "w": 5.0})
    >>> {pair: float(entry) for pair, entry in found.items()}
    {('v', 'v'): 10.0, ('v', 'w'): 6.0, ('w', 'v'): 6.0, ('w', 'w'): 0.0}
    """
    products = hessian_vector(check_network(network), wrt)
    numbers = check_sizes(sizes or {})
    arrays = {**dict(zip((t.name for t in network.inputs + network.targets), data, strict=False)), **named}
    params = as_mapping(params, "params", "{'W1': …}")
    for name, value in {**arrays, **params}.items():
        tensor = network.tensors.get(name)
        if tensor is not None:
            for size, found in zip(tensor.shape, np.shape(value), strict=False):
                if isinstance(size, Dim) and size != network.batch:
                    numbers.setdefault(size.name, int(found))
    program = compile_network(products, target=target, dtype=dtype, sizes=numbers)
    return hessian_blocks(program, params, data, named, limit)
