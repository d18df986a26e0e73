"""A parameter divided among blocks along one of its axes, and with it all that has the same axis.

In Σ_k x[i, k] W[j, k] with many k, a block owns some of the k: its part of W, of ∂L/∂W and of the optimizer's states.
It sums up its part of the product, and what is next adds up the parts of all blocks in order. The gradient of its part
it makes by itself: Σ_i δ[i, j] x[i, k] needs other blocks for no k.

Which tensors have the axis follows from the ops: what an op makes of a divided tensor at index k is divided, too, if k
is one of its own indices; if the op sums over k, it is a sum of parts. In how many parts is decided by sizes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Dummy, Expr, Integer, Symbol

from ...symbolic.indices import Dim
from ...symbolic.tensors import Tensor, element_of, elements, indices_of, tensor_of
from ..ops import Op, Reduction, is_index
from ..sizes import Sizes


@dataclass(frozen=True)
class Division:
    """What of a training is divided.

    Attributes
    ----------
    axes : tensor → the axis that is divided
    indices : the place of an op that reads such tensors → its index along that axis
    length : of the axis
    """

    axes: Mapping[Tensor, int]
    indices: Mapping[int, Symbol]
    length: int


def divisions(ops: Sequence[Op], gradients: Mapping[Tensor, Tensor], sizes: Sizes) -> Iterator[Division]:
    """The ways in which a parameter, one of those that have `gradients`, can be divided."""
    for parameter in gradients:
        for axis, size in enumerate(sizes.shape(parameter.shape)):
            found = _division(ops, {parameter: axis}, int(size), gradients, sizes)
            if found is not None and found.axes:
                yield found


def _division(
    ops: Sequence[Op], seeds: Mapping[Tensor, int], length: int, gradients: Mapping[Tensor, Tensor], sizes: Sizes
) -> Division | None:
    """What is divided if the tensors of `seeds` are, along those axes; None if ops need more than a part of it."""
    axes = {**seeds, **{gradients[tensor]: axis for tensor, axis in seeds.items() if tensor in gradients}}
    indices: dict[int, Symbol] = {}
    for place, op in enumerate(ops):
        found = {indices_of(element)[axes[tensor_of(element)]] for element in op.reads if tensor_of(element) in axes}
        if op.tensor in axes:
            found.add(indices_of(op.target)[axes[op.tensor]])
        if not found:
            continue
        index = found.pop()
        if found or not is_index(index) or dict(op.space).get(index) != length:
            return None
        indices[place] = index
        if isinstance(op, Reduction) and (op.is_scatter or (index in op.bound and op.kind != "sum")):
            return None
        if index in op.bound:
            if op.tensor in axes:
                return None
        elif indices_of(op.target).count(index) != 1:
            return None
        else:
            axes[op.tensor] = indices_of(op.target).index(index)
    more = {parameter: axes[gradient] for parameter, gradient in gradients.items() if gradient in axes}
    read = _read_along(ops, indices)
    made = {op.tensor for op in ops}
    # A bias along the same axis is divided with the weight; and what nobody reads but along the axis.
    more |= {tensor: axis for tensor, axis in read.items() if tensor in made}
    if more.keys() - axes.keys():
        return _division(ops, {**seeds, **more}, length, gradients, sizes)
    data = {
        tensor: axis
        for tensor, axis in read.items()
        if _is_data(tensor) and axis and tensor.shape[0] == sizes.batch and sizes.resolve(tensor.shape[axis]) == length
    }
    return Division({**axes, **data}, indices, length)


def _read_along(ops: Sequence[Op], indices: Mapping[int, Symbol]) -> dict[Tensor, int]:
    """The tensors that ops read along their divided index alone, and which axis that is."""
    found: dict[Tensor, set[int | None]] = {}
    for place, op in enumerate(ops):
        index = indices.get(place)
        for element in op.reads:
            places = indices_of(element)
            is_along = index is not None and index in places and sum(at.has(index) for at in places) == 1
            found.setdefault(tensor_of(element), set()).add(places.index(index) if is_along else None)
    return {tensor: axis for tensor, (axis, *others) in found.items() if axis is not None and not others}


@dataclass(frozen=True)
class Parts:
    """A division in so many parts.

    Attributes
    ----------
    size : how long a part is, the last one perhaps shorter
    part, first : the number of a part, and where it begins
    own : how long the part at hand is: a number, or `own_size`, which the kernel knows
    """

    division: Division
    count: int
    size: int
    part: Any
    first: Any
    own_size: Dim
    own: Expr

    @classmethod
    def of(cls, division: Division, size: int) -> Parts:
        count = -(-division.length // size)
        is_even = count * size == division.length
        part, first = (Dummy(name, integer=True) for name in ("part", "first_index"))
        own = Dim("length")
        return cls(division, count, size, part, first, own, Integer(size) if is_even else own)


class Divider:
    """Ops as a block does them for a part of its own; makes the tensors that hold parts.

    Attributes
    ----------
    slices : tensor → what holds a part of it: the divided axis comes first, but in data, whose rows do
    summed : what holds the parts of sums
    """

    def __init__(self, parts: Parts, sizes: Sizes, unused: Any) -> None:
        self.parts, self.sizes, self._unused = parts, sizes, unused
        self.slices: dict[Tensor, Tensor] = {}
        self.summed: list[Tensor] = []

    def slice_of(self, tensor: Tensor) -> Tensor:
        if tensor not in self.slices:
            axis, size = self.parts.division.axes[tensor], Integer(self.parts.size)
            others = [extent for place, extent in enumerate(self.sizes.shape(tensor.shape)) if place != axis]
            others.insert(axis if _is_data(tensor) else 0, size)
            name = self._unused(f"{tensor.name}_slice")
            self.slices[tensor] = Tensor(name, tuple(others), tensor.role, classes=tensor.classes)
        return self.slices[tensor]

    def element(self, element: Expr, index: Any) -> Expr:
        """An element of a divided tensor in the part at hand, `index` counted from where that begins."""
        tensor, places = tensor_of(element), list(indices_of(element))
        axis = self.parts.division.axes[tensor]
        del places[axis]
        places.insert(axis if _is_data(tensor) else 0, index)
        return self.slice_of(tensor)[tuple(places)]

    def ops(self, op: Op, place: int) -> tuple[Op, Op | None]:
        """What a block does of an op for a part; and how the parts are added up, if the op sums over the axis."""
        letter = self.parts.division.indices[place]
        index = Dummy(letter.name.lstrip("_"), integer=True)
        body = self._moved(op.body, letter, index)
        space = tuple((index, self.parts.own) if at == letter else (at, extent) for at, extent in op.space)
        if letter not in op.bound:
            target = self.element(op.target, index)
            return _replaced(op, target, body, tuple(sorted(space, key=lambda pair: pair[0] != index))), None
        free = tuple(pair for pair in op.space if pair[0] not in op.bound)
        shape = (Integer(self.parts.count), *(extent for _, extent in free))
        held = Tensor(self._unused(f"{op.tensor.name}_parts"), shape, op.tensor.role)
        self.summed.append(held)
        bound = tuple(index if at == letter else at for at in op.bound)
        target = held[(self.parts.part, *(at for at, _ in free))]
        one = Reduction(target, body, space, op.equation, bound)
        every = Dummy("part", integer=True)
        value = held[(every, *(at for at, _ in free))]
        return one, Reduction(op.target, value, (*free, (every, shape[0])), op.equation, (every,))

    def pair(self, tensor: Tensor) -> tuple[Expr, Expr, tuple[tuple[Any, Expr], ...]]:
        """An element of the part at hand, the same element where it lies outside, and their space."""
        held, axis = self.slice_of(tensor), self.parts.division.axes[tensor]
        inside = axis if _is_data(tensor) else 0
        letters = [Dummy(name, integer=True) for name, _ in zip("ijklmn", held.shape, strict=False)]
        space = [(letter, self.sizes.resolve(extent)) for letter, extent in zip(letters, held.shape, strict=True)]
        space[inside] = (letters[inside], self.parts.own)
        places: list[Expr] = [letter for letter in letters if letter != letters[inside]]
        places.insert(axis, self.parts.first + letters[inside])
        return held[tuple(letters)], element_of(tensor, places), tuple(space)

    def _moved(self, body: Expr, letter: Any, index: Any) -> Expr:
        axes = self.parts.division.axes
        moved = {e: self.element(e, index) for e in elements(body) if tensor_of(e) in axes}
        return body.xreplace(moved).xreplace({letter: self.parts.first + index})


def _is_data(tensor: Tensor) -> bool:
    return tensor.role in ("input", "target")


def _replaced(op: Op, target: Expr, body: Expr, space: tuple[tuple[Any, Expr], ...]) -> Op:
    if isinstance(op, Reduction):
        return Reduction(target, body, space, op.equation, op.bound, kind=op.kind)
    return Op(target, body, space, op.equation)
