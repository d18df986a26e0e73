"""What lowering has made so far: ops, and temporaries, each shared between all that need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sympy import Expr, Symbol

from ..symbolic.binders import Binder, rename_free
from ..symbolic.equations import Equation
from ..symbolic.indices import Index
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor, element_of, elements, tensor_of
from .ops import Contraction, Extents, Op
from .sizes import Sizes


class Temporaries:
    """The ops of one network, and the tensors that they write.

    Parameters
    ----------
    strided : whether the operands of a product may lie with any strides, or must lie as matrices
    in_segments : whether what runs along time will be done a segment at a time: its sums then keep all their steps
    sums_last : whether the matrices of a recurrence lie best with what is summed over as their last axis, not the first

    Attributes
    ----------
    ops : what was made so far, each reading only what stands before it
    temporaries : the tensors that no equation names → the tensor of the equation that made each
    """

    def __init__(
        self,
        network: Network,
        sizes: Sizes,
        *,
        strided: bool = False,
        in_segments: bool = False,
        sums_last: bool = False,
    ) -> None:
        self.network, self.sizes, self.strided, self.in_segments = network, sizes, strided, in_segments
        self.sums_last = sums_last
        self.ops: list[Op] = []
        self.temporaries: dict[Tensor, Tensor] = {}
        self._definitions = {equation.target: equation for equation in network.equations}
        self._constants = {network.tensors[name]: value for name, value in network.values.items()}
        self._known: dict[Any, Tensor] = {}
        self._names = set(network.tensors)
        self._equation: Equation
        self._time: Any = None
        self._recurrent: frozenset[Tensor] = frozenset()

    def temporary(self, kind: str, space: Extents, equation: Equation, classes: Any = None) -> Expr:
        """A new tensor over `space`, named after the equation and what it holds, as an element."""
        name = self.unused(f"{equation.target.name}_{kind}")
        tensor = Tensor(name, tuple(space.values()), equation.target.role, classes=classes)
        self.temporaries[tensor] = equation.target
        return element_of(tensor, tuple(space))

    def unused(self, base: str) -> str:
        """`base`, or with a number behind it: a name that no tensor has, and none gets again."""
        name = base
        count = 1
        while name in self._names:
            count += 1
            name = f"{base}{count}"
        self._names.add(name)
        return name

    def _emit(self, op: Op) -> Expr:
        numbers = self.sizes.numbers
        space = tuple((index, size.xreplace(numbers)) for index, size in op.space)
        if isinstance(op, Contraction):
            op = replace(op, left=op.left.xreplace(numbers), right=op.right.xreplace(numbers))
        self.ops.append(replace(op, body=op.body.xreplace(numbers), space=space))
        return op.target

    def _free(self, expr: Expr, space: Extents) -> Extents:
        """The indices of `expr` in `space`, time and the batch first: temporaries lie alike whoever makes them."""
        found = [(index, size) for index, size in space.items() if expr.has(index)]
        time = self._time if self.strided else self._time_of(expr)  # what the steps read lies as they do
        return dict(sorted(found, key=lambda pair: (pair[0] != time, pair[1] != self.sizes.batch)))

    def _time_of(self, expr: Any) -> Any:
        """The index of time, if `expr` can only be computed step by step."""
        if self._time is None or self._recurrent.isdisjoint(map(tensor_of, elements(expr))):
            return None
        return self._time

    def _recall(self, expr: Expr, free: Extents) -> Expr | None:
        """An element of the tensor that holds `expr` already, if there is one."""
        tensor = self._known.get(self._key(expr, free))
        return None if tensor is None else element_of(tensor, tuple(free))

    def _key(self, expr: Expr, free: Extents) -> Any:
        """`expr` with its free indices numbered, and their sizes: the same for all that differ in letters only."""
        numbered = {index: Index(f"_{place}") for place, index in enumerate(free)}
        return rename_free(expr, numbered), self.sizes.shape(free.values())

    def _open(self, node: Binder, space: Extents) -> tuple[Expr, Extents]:
        """The body with letters for the bound indices that nothing around uses, and how far they run."""
        body, pairs = node.open()
        letters = self.network.fresh_indices([size for _, size in pairs], space)
        names = {index: letter for (index, _), letter in zip(pairs, letters, strict=True)}
        return rename_free(body, names), dict(zip(letters, (size for _, size in pairs), strict=True))

    def _fresh(self, space: Extents) -> Callable[[Expr], Symbol]:
        """Gives an index for a size, a new one each time."""
        used = [*space]

        def fresh(size: Expr) -> Symbol:
            used.extend(self.network.fresh_indices([size], used))
            return used[-1]

        return fresh
