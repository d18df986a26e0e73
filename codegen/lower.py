"""Equations → ops: binders become temporaries, sums of products matrix products, the rest loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sympy import Add, Expr, Indexed, KroneckerDelta, Mod, Mul, Symbol, floor

from ..symbolic.binders import ArgMax, Binder, Max, Sum, rename_free
from ..symbolic.equations import Equation
from ..symbolic.guards import Guard
from ..symbolic.indices import Index
from ..symbolic.network import Network
from ..symbolic.ranges import axis_guard, within
from ..symbolic.recurrence import Recurrence, blocks
from ..symbolic.tensors import Tensor, element_of, elements, indices_of, is_element, tensor_of
from .cut_sums import without_ends
from .digits import digits_of
from .ops import Contraction, Extents, Op, Pointwise, Reduction, is_index, is_plain
from .products import Product, is_small, is_wasteful, lies_well, matrix_product
from .safe_reads import guard_reads
from .sizes import Sizes
from .stable import stabilise
from .strides import is_strided
from .windows import windows_of


class Lowering:
    """Lowers the equations of one network in order; temporaries are shared between all that need them.

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

    def add_all(self, equations: Iterable[Equation]) -> None:
        """Lower equations, those that need each other together."""
        listed = list(equations)
        self._definitions |= {equation.target: equation for equation in listed}  # as they are stored
        for block in blocks(listed):
            self.add(block)

    def add(self, block: Equation | Recurrence) -> None:
        """Lower one equation, or those of a recurrence."""
        if isinstance(block, Recurrence):
            self._recurrent = frozenset(block.axes)
            for equation in block.equations:
                self._time = block.time(equation)
                self._add(equation)
            self._time, self._recurrent = None, frozenset()
        else:
            self._add(block)

    def _add(self, equation: Equation) -> None:
        self._equation = equation
        space: Extents = dict(zip(equation.indices, equation.target.shape, strict=True))
        target = equation.lhs
        body = stabilise(equation.body.xreplace(self._constants), self._definitions)
        if body.has(Guard, floor, Mod):
            numbers = self.sizes.numbers
            ranges = {index: size.xreplace(numbers) for index, size in space.items()}
            body = within(body.xreplace(numbers), ranges)
            if self.strided and self._time is None and not isinstance(body, Binder):
                places, ranges = digits_of(body, ranges, self._fresh(space))
                if places:
                    space, target = ranges, target.xreplace(places)
                    body = within(rename_free(body, places), ranges)
            body = guard_reads(body, ranges, numbers)
        if isinstance(body, Binder) and all(body.has(index) for index in space):
            value = self._bind(body, space, target)
        else:
            value = self._plain(body, space)
        if value != target:
            self._emit(Pointwise(target, value, tuple(space.items()), equation))

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

    # ---- inside ----------------------------------------------------------------------------------------------

    def _emit(self, op: Op) -> Expr:
        numbers = self.sizes.numbers
        space = tuple((index, size.xreplace(numbers)) for index, size in op.space)
        if isinstance(op, Contraction):
            op = replace(op, left=op.left.xreplace(numbers), right=op.right.xreplace(numbers))
        self.ops.append(replace(op, body=op.body.xreplace(numbers), space=space))
        return op.target

    def _plain(self, expr: Any, space: Extents) -> Any:
        """`expr` with every binder replaced by an element of a temporary."""
        if isinstance(expr, Binder):
            return self._bind(expr, space, None)
        if not expr.args or (is_element(expr) and not expr.has(Binder)):
            return expr
        if isinstance(expr, Indexed):
            return tensor_of(expr)[tuple(self._plain(place, space) for place in expr.indices)]
        return expr.func(*(self._plain(arg, space) for arg in expr.args)) if expr.has(Binder) else expr

    def _bind(self, node: Binder, space: Extents, into: Expr | None) -> Expr:
        """The value of a binder as an expression without binders; written to `into` if it needs no more work."""
        body, bound = self._open(node, space)
        if isinstance(node, Sum):
            if self.strided and not self.in_segments:
                body, bound = without_ends(body, bound, self.sizes)
            terms = Add.make_args(body)
            if len(terms) > 1 and any(self._product(term, space, bound) for term in terms):
                return Add(*(self._plain(Sum(term, *bound.items()), space) for term in terms))
            inside, outside, left = self._solve_deltas(body, bound, {**space, **bound})
            if outside or len(left) < len(bound):
                rest = Sum(Mul(*inside), *left.items()) if left else Mul(*inside)
                return self._plain(Mul(*outside), space) * self._plain(rest, space)
            factors = _independent(inside, left)
            if len(factors) > 1:
                return Mul(*(self._plain(factor, space) for factor in factors))
        free = self._free(node, space)
        known = self._recall(node, free)
        if known is not None:
            return known
        value = self._reduce(node, body, free, bound, into)
        if indices_of(value) == tuple(free):
            self._known[self._key(node, free)] = tensor_of(value)
        return value

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

    def _solve_deltas(self, body: Expr, bound: Extents, space: Extents) -> tuple[list[Expr], list[Expr], Extents]:
        """The factors under a sum, those that do not depend on it, and its indices, with Σ_k [k = e] f(k) = f(e)."""
        left = dict(bound)
        factors = list(Mul.make_args(body))
        for delta in [factor for factor in factors if isinstance(factor, KroneckerDelta)]:
            for index, other in (delta.args, delta.args[::-1]):
                if index in left and not other.has(index):
                    ranges = dict(zip(space, self.sizes.shape(space.values()), strict=True))
                    inside = within(axis_guard(other, left.pop(index)).xreplace(self.sizes.numbers), ranges)
                    factors.remove(delta)
                    factors = [rename_free(factor, {index: other}) for factor in factors]
                    # Other deltas may hold the index too, and are others now.
                    return self._solve_deltas(Mul(inside, *factors), left, space)
        # Guards stay with what they guard, on both sides.
        inside = [f for f in factors if any(f.has(index) for index in left) or (left and isinstance(f, Guard))]
        outside = [factor for factor in factors if factor not in inside]
        if outside:
            outside += [f for f in inside if isinstance(f, Guard) and not any(f.has(index) for index in left)]
        return inside, outside, left

    def _reduce(self, node: Binder, body: Expr, free: Extents, bound: Extents, into: Expr | None) -> Expr:
        space = {**free, **bound}
        if isinstance(node, Sum):
            scatter = self._scatter(body, free, bound, into)
            if scatter is not None:
                return scatter
            product = self._product(body, free, bound)
            if product is not None:
                return self._contract(product, body, space, free, into)
        known = self._recall(body, self._free(body, space))
        value = self._plain(body, space) if known is None else known
        if isinstance(node, ArgMax):
            size = Mul(*bound.values())
            target = self.temporary("argmax", free, self._equation, classes=size)
            return self._emit(Reduction(target, value, tuple(space.items()), self._equation, tuple(bound), "argmax"))
        kind = "max" if isinstance(node, Max) else "sum"
        target = self.temporary(kind, free, self._equation) if into is None else into
        return self._emit(
            Reduction(target, value, _order(target, space), self._equation, tuple(bound), kind)  # type: ignore[arg-type]
        )

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

    def _fresh(self, space: Extents) -> Callable[[Expr], Symbol]:
        """Gives an index for a size, a new one each time."""
        used = [*space]

        def fresh(size: Expr) -> Symbol:
            used.extend(self.network.fresh_indices([size], used))
            return used[-1]

        return fresh

    def _is_whole(self, element: Expr, space: Extents) -> bool:
        """Whether all of a tensor is read, not the first places of an axis alone."""
        axes = zip(indices_of(element), self.sizes.shape(tensor_of(element).shape), strict=True)
        return all(self.sizes.resolve(space.get(place, size)) == size for place, size in axes)

    def _scatter(self, body: Expr, free: Extents, bound: Extents, into: Expr | None) -> Expr | None:
        """``T[v] = Σ_i [v = label[i]] f(i)`` as ``T[label[i]] += f(i)``."""
        for delta in [factor for factor in Mul.make_args(body) if isinstance(factor, KroneckerDelta)]:
            for index, label in (delta.args, delta.args[::-1]):
                if index in free and elements(label) and is_element(label) and any(label.has(b) for b in bound):
                    target = self.temporary("sum", free, self._equation) if into is None else into
                    others = [factor for factor in Mul.make_args(body) if factor != delta]
                    value = self._plain(rename_free(Mul(*others), {index: label}), {**free, **bound})
                    space = {i: size for i, size in {**bound, **free}.items() if i != index}
                    where = rename_free(target, {index: label})
                    op = Reduction(where, value, tuple(space.items()), self._equation, tuple(bound), "sum")
                    self._emit(op)
                    return target
        return None


def _independent(factors: list[Expr], bound: Extents) -> list[Expr]:
    """``Σ_k,l f(k) g(l)`` as the sums ``Σ_k f(k)`` and ``Σ_l g(l)``: what shares no index is summed by itself."""
    groups: list[tuple[set[Any], list[Expr]]] = []
    for factor in factors:
        own = {index for index in bound if factor.has(index)}
        joined = [group for group in groups if group[0] & own]
        merged = (own.union(*(group[0] for group in joined)), [m for group in joined for m in group[1]] + [factor])
        groups = [group for group in groups if group not in joined] + [merged]
    # A guard that has none of the indices holds for every sum.
    everywhere = [part for own, parts in groups for part in parts if not own and isinstance(part, Guard)]
    if everywhere:
        groups = [(own, parts + everywhere) for own, parts in groups if own]
    return [Sum(Mul(*parts), *((i, size) for i, size in bound.items() if i in own)) for own, parts in groups]


def _is_when(factor: Expr, time: Any) -> bool:
    """Whether `factor` is a guard on the step of time alone."""
    return time is not None and isinstance(factor, Guard) and factor.free_symbols == {time}


def _order(target: Expr, space: Extents) -> tuple[tuple[Symbol, Expr], ...]:
    """The free indices as the target has them, then the bound ones."""
    where = [place for place in indices_of(target) if is_index(place)]
    return tuple((index, space[index]) for index in [*where, *(i for i in space if i not in where)])
