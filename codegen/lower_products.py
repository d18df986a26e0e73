"""Sums of products as matrix products: which they are, and operands that lie as they are to be read."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Mul

from ..symbolic.guards import Guard
from ..symbolic.ranges import within
from ..symbolic.tensors import indices_of, is_element, tensor_of
from .ops import Contraction, Extents, Pointwise, is_plain
from .products import Product, is_small, is_wasteful, lies_well, matrix_product
from .safe_reads import guard_reads
from .strides import is_strided
from .temporaries import Temporaries
from .windows import windows_of


class ProductLowering(Temporaries):
    """Lowers the sums that are products of matrices."""

    def _plain(self, expr: Any, space: Extents) -> Any:
        """`expr` with every binder replaced by an element of a temporary."""
        raise NotImplementedError

    def _product(self, body: Expr, free: Extents, bound: Extents) -> Product | None:
        space = {**free, **bound}
        time = self._time_of(body)
        factors = [factor for factor in Mul.make_args(body) if any(factor.has(index) for index in space)]
        factors = [factor for factor in factors if not _is_when(factor, time)]
        touched = [index for index in free if body.has(index) and index != time]
        if is_small(self.sizes.shape(size for index, size in space.items() if body.has(index))):
            return None
        if is_wasteful(factors, {index: self.sizes.resolve(size) for index, size in space.items()}, self.strided):
            return None
        found = matrix_product(factors, touched, tuple(bound), self._is_operand)
        return None if self.strided and found is not None and not (found.rows or found.columns) else found

    def _is_operand(self, factor: Any) -> bool:
        """Whether a factor is read as it is, without a copy."""
        if self.strided:
            return is_strided(factor, factor.free_symbols)
        return is_element(factor) and is_plain(factor)

    def _contract(self, product: Product, body: Expr, space: Extents, free: Extents, into: Expr | None) -> Expr:
        time = self._time_of(body)
        batch, rows, columns, bound = product.batch, product.rows, product.columns, product.bound
        when = tuple(factor for factor in Mul.make_args(body) if _is_when(factor, time))
        sides = self._inside(product.left, space), self._inside(product.right, space)
        if self.strided and time is not None:
            sides = (self._turned(sides[0], bound, space), self._turned(sides[1], bound, space))
        left = self._operand(sides[0], batch, rows, bound, space, time, when)
        right = self._operand(sides[1], batch, bound, columns, space, time, when)
        target = into
        lies = is_plain if self.strided else lambda element: lies_well(element, time, batch, rows, columns)
        if target is None or not lies(target):
            target = self.temporary("dot", free, self._equation)
        if not lies(target):
            axes = [*([time] if time in free else []), *batch, *rows, *columns]
            target = self.temporary("dot", {index: free[index] for index in axes}, self._equation)
        if not self.strided and indices_of(target)[-len(columns) :] != columns and rows and columns:
            left, right, rows, columns = right, left, columns, rows
        extents = tuple(space.items())
        return self._emit(
            Contraction(target, left * right, extents, self._equation, bound, left, right, rows, columns, batch, when)
        )

    def _operand(
        self, factors: tuple[Expr, ...], batch: Any, one: Any, other: Any, space: Extents, time: Any, when: Any
    ) -> Expr:
        """The product of `factors` as an element that lies as the matrix `one` by `other`, made first if need be."""
        if self.strided and len(factors) == 1 and is_strided(factors[0], space):
            return factors[0]
        if self.strided and time is None:
            copied = self._windows(Mul(*factors), space)
            if copied is not None:
                return copied
        if len(factors) == 1 and lies_well(factors[0], time, batch, one, other) and self._is_whole(factors[0], space):
            return factors[0]
        product = Mul(*factors)
        if time is not None and product.has(time):
            product *= Mul(*when)  # what is made first is made for all steps
        lead = [time] if time is not None and product.has(time) else []
        axes = self._free(product, space)
        wanted = [index for index in axes if index not in lead]
        if tuple(wanted) not in ((*batch, *one, *other), (*batch, *other, *one)) or list(axes)[: len(lead)] != lead:
            axes = {index: space[index] for index in (*lead, *batch, *one, *other)}
        known = self._recall(product, axes)
        if known is not None:
            return known
        target = self.temporary("factor", axes, self._equation)
        self._known[self._key(product, axes)] = tensor_of(target)
        return self._emit(Pointwise(target, self._plain(product, axes), tuple(axes.items()), self._equation))

    def _inside(self, factors: tuple[Expr, ...], space: Extents) -> tuple[Expr, ...]:
        """The factors of one side, with guards where they are read beyond an axis and the guard stands on the other."""
        numbers = self.sizes.numbers
        ranges = {index: self.sizes.resolve(size) for index, size in space.items()}
        product = Mul(*factors).xreplace(numbers)
        guarded = within(guard_reads(product, ranges, numbers, alone=True), ranges)
        new = [part for part in Mul.make_args(guarded) if isinstance(part, Guard) and not product.has(part)]
        # What depends on the step of time alone is seen to where the product is called.
        new = [part for part in new if not _is_when(part, self._time)]
        return (*factors, *new)

    def _turned(self, factors: tuple[Expr, ...], bound: Any, space: Extents) -> tuple[Expr, ...]:
        """A matrix that every step of a recurrence reads, turned once before all of them if that is quicker to read."""
        element = factors[0]
        if len(factors) > 1 or not self._is_operand(element) or not is_plain(element) or element.has(self._time):
            return factors
        places = indices_of(element)
        if not places or (places[-1] in bound) == self.sums_last or all(place in bound for place in places):
            return factors
        others = [place for place in places if place not in bound]
        axes = {index: space[index] for index in ((*others, *bound) if self.sums_last else (*bound, *others))}
        if set(axes) != set(places):
            return factors
        known = self._recall(element, axes)
        if known is not None:
            return (known,)
        target = self.temporary("turned", axes, self._equation)
        self._known[self._key(element, axes)] = tensor_of(target)
        return (self._emit(Pointwise(target, element, tuple(axes.items()), self._equation)),)

    def _is_whole(self, element: Expr, space: Extents) -> bool:
        """Whether all of a tensor is read, not the first places of an axis alone."""
        axes = zip(indices_of(element), self.sizes.shape(tensor_of(element).shape), strict=True)
        return all(self.sizes.resolve(space.get(place, size)) == size for place, size in axes)

    def _windows(self, product: Expr, space: Extents) -> Expr | None:
        """What is read through windows, from a copy without them; None where it is not read so."""
        numbers = self.sizes.numbers
        ranges = {index: self.sizes.resolve(size) for index, size in space.items()}
        found = windows_of(within(product.xreplace(numbers), ranges), ranges, self._fresh(space))
        if found is None:
            return None
        axes = dict(sorted(found.axes.items(), key=lambda pair: pair[1] != self.sizes.batch))
        known = self._recall(found.body, axes)
        target = self.temporary("padded", axes, self._equation) if known is None else known
        if known is None:
            self._known[self._key(found.body, axes)] = tensor_of(target)
            body = guard_reads(within(found.body, axes), axes, numbers)
            self._emit(Pointwise(target, body, tuple(axes.items()), self._equation))
        places = dict(zip(found.axes, found.places, strict=True))
        return tensor_of(target)[tuple(places[index] for index in axes)]


def _is_when(factor: Expr, time: Any) -> bool:
    """Whether `factor` is a guard on the step of time alone."""
    return time is not None and isinstance(factor, Guard) and factor.free_symbols == {time}
