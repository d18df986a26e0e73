"""Products in generated source: what is declared once per module, and the calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sympy import Expr

from ..symbolic.tensors import Tensor, tensor_of
from .blocks import Blocks, number_text
from .nests import Dot
from .sizes import Sizes
from .strides import Axis, lies


class Products:
    """The products of one module: alike ones are declared once.

    Attributes
    ----------
    declarations : source lines ``product_1 = contraction(…)``
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    @property
    def declarations(self) -> tuple[str, ...]:
        return tuple(f"{name} = {text}" for text, name in self._names.items())

    def name(self, blocks: Blocks, batch: Any, shared: Sequence[str]) -> str:
        """The name of the product that is computed in these blocks."""
        axes = ", ".join(f'"{axis.name}": {_axis_text(axis, batch)}' for axis in blocks.axes)
        options = [f'"{blocks.form}"', f'"{blocks.rows}"', f'"{blocks.vector}"', f"{{{axes}}}"]
        if blocks.columns:
            options.append(f'columns="{blocks.columns}"')
        if blocks.pack:
            options.append(f'pack="{blocks.pack}"')
        if shared:
            names = ", ".join(f'"{name}"' for name in shared)
            options.append(f"shared={names if len(shared) == 1 else f'({names})'}")
        text = f"contraction({', '.join(options)})"
        return self._names.setdefault(text, f"product_{len(self._names) + 1}")

    def call(
        self,
        dot: Dot,
        sizes: Sizes,
        batch: str,
        array: Callable[[Tensor], str],
        integer: Callable[[Expr], str],
        part: Sequence[str],
    ) -> str:
        """The call that computes a product.

        Parameters
        ----------
        batch : the name of the batch size, or ""
        array, integer : print an array's name, and a whole number
        part : the first and the last but one value of each index of which a part is computed, as source
        """
        op, blocks = dot.op, dot.blocks
        indices = [*op.rows, *op.columns, *op.bound]
        sides = (op.right, op.left) if blocks.swapped else (op.left, op.right)
        operands = []
        for element in (*sides, op.target):
            start = lies(element, indices, sizes)[1]
            name = array(tensor_of(element))
            operands.append(name if start == 0 else f"({name}, {integer(start)})")
        shared = [dot.shared] if dot.shared else []
        if dot.half is not None:
            shared.insert(0, next(axis.name for axis in blocks.axes if axis.is_bound and axis.extent == sizes.batch))
        return f"{self.name(blocks, sizes.batch, shared)}({', '.join([*operands, batch or '0', *part])})"


def _axis_text(axis: Axis, batch: Any) -> str:
    return f"({', '.join(number_text(value, batch) for value in (axis.extent, *axis.steps))})"
