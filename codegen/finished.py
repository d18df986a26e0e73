"""Where the backward pass is done with a gradient, for those who take it while the rest is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..symbolic.tensors import Tensor, tensor_of
from .nests import reads, written
from .team_shares import Share


def finished_by(shares: Sequence[Share], gradients: Mapping[str, Tensor]) -> dict[int, tuple[str, ...]]:
    """The number of a nest → the gradients that it is the last to write or read."""
    last: dict[Tensor, int] = {}
    for place, share in enumerate(shares):
        touched = [*written(share.item), *(tensor_of(element) for element in reads(share.item))]
        last.update(dict.fromkeys(touched, place))
    found: dict[int, tuple[str, ...]] = {}
    for name, tensor in gradients.items():
        if tensor in last:
            found[last[tensor]] = (*found.get(last[tensor], ()), name)
    return dict(sorted(found.items()))
