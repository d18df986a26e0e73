"""Which data a training step may read where they are: rows that `order` chooses are then not copied for each batch.

Products take the numbers of the rows beside the array. Whatever else reads data reads a copy, in which the rows of the
batch lie side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sympy import prod

from ..symbolic.tensors import Tensor, indices_of, tensor_of
from .nests import Dot, Item, reads, statements
from .sizes import Sizes


def read_in_place(data: Iterable[Tensor], functions: Sequence[Sequence[Item]], sizes: Sizes) -> frozenset[Tensor]:
    """The tensors of `data` that nothing but products reads, each row of the batch at a step of their own."""
    found = {tensor for tensor in data if tensor.rank > 1 and tensor.shape[0] == sizes.batch and not tensor.classes}
    for items in functions:
        for item in items:
            for statement in statements(item):
                if not isinstance(statement, Dot):
                    found -= set(map(tensor_of, reads(statement)))
                    continue
                found -= {tensor for tensor in found if not _steps_by_rows(statement, tensor, sizes)}
    return frozenset(found)


def _steps_by_rows(dot: Dot, tensor: Tensor, sizes: Sizes) -> bool:
    """Whether a product reads nothing of `tensor`, or a row at each step of its only index over the batch."""
    op = dot.op
    sides = [element for element in (op.left, op.right) if tensor_of(element) == tensor]
    if not sides:
        return True
    over_batch = [axis for axis in dot.blocks.axes if axis.extent == sizes.batch]
    if len(over_batch) != 1 or len(sides) != 1:
        return False
    row = next((i for i in (*op.rows, *op.columns, *op.bound) if i.name == over_batch[0].name), None)
    places = indices_of(sides[0])
    length = prod(sizes.shape(tensor.shape[1:]))
    stride = over_batch[0].right if (sides[0] == op.right) != dot.blocks.swapped else over_batch[0].left
    if row is None or places[0] != row or any(place.has(row) for place in places[1:]):
        return False
    # Rows of one number lie side by side: a vector of them would be read as if they did.
    return bool(stride == length != 1)
