"""An expression on a grid of positions: every index an axis of a NumPy array, a sum a reduction of one.

The rules are those of the reference interpreter (`symbolic/evaluate.py`), over whole arrays: what a guard or a
condition leaves out is not read, has no value, and raises nothing. `Watch` notes what conditions were met.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import sympy
from sympy import Expr, Indexed, KroneckerDelta, Piecewise, Symbol

from ...binders import ArgMax, Binder, Max, Sum
from ...errors import IndexingError, UnsupportedError
from ...evaluate import RELATIONS
from ...functions import Elementwise
from ...guards import Guard
from ...held import held
from ...indices import Dim
from ...tensors import Tensor, elements
from .numbers import FUNCTIONS, NoValueError, Numbers

LARGEST = 2_000_000  # entries of one array; a sum over more is taken one position after another
_RELATIONS: dict[Any, Any] = {
    sympy.StrictGreaterThan: np.greater, sympy.GreaterThan: np.greater_equal, sympy.StrictLessThan: np.less,
    sympy.LessThan: np.less_equal, sympy.Equality: np.equal, sympy.Unequality: np.not_equal,
}  # fmt: skip
assert _RELATIONS.keys() == RELATIONS.keys()


class Watch:
    """What the conditions of an evaluation came to.

    Attributes
    ----------
    seen : condition → which of its two sides was met
    margin : condition → how near its sides came, relative to the largest of them; at a kink it is 0
    """

    def __init__(self) -> None:
        self.seen: dict[Any, set[bool]] = {}
        self.margin: dict[Any, float] = {}

    def compare(self, key: Any, left: Any, right: Any, active: Any) -> None:
        gap, size = np.abs(left - right), np.maximum(np.abs(left), np.abs(right))
        above = left > right
        if active is not None:
            gap, size, above, active = np.broadcast_arrays(gap, size, above, active)
            gap, size, above = gap[active], size[active], above[active]
        if np.size(gap) == 0:
            return
        self.seen.setdefault(key, set()).update(bool(side) for side in np.unique(above))
        # 0 against 0 is no accident of the point but how it is made, as of a relu below its kink: nothing is near.
        gap, size = gap[size != 0], size[size != 0]
        if np.size(gap) == 0:
            return
        scale = float(np.max(size))
        self.margin[key] = min(self.margin.get(key, 1.0), float(np.min(gap)) / scale)


class Grid:
    """One evaluation: how tensors are read, and which positions every index has.

    Parameters
    ----------
    numbers : the kind of the numbers
    size : gives the number of a size
    read : gives the array of a tensor
    watch : what notes conditions, or None
    """

    def __init__(
        self,
        numbers: Numbers,
        size: Callable[[Expr], int],
        read: Callable[[Tensor], Any],
        watch: Watch | None = None,
        about: str = "",
    ) -> None:
        self.numbers, self.size, self.read, self.watch = numbers, size, read, watch
        self.about: tuple[Any, ...] = (about,)
        self.env: dict[Any, Any] = {}
        self.shape: list[int] = []  # of the axes so far; the newest index is the first axis of an array

    def array(self, expr: Expr, places: dict[Symbol, Any]) -> Any:
        """The array of `expr`, an axis for every index in `places`, which gives the positions of each.

        Raises
        ------
        NoValueError, IrrationalError, IndexingError, UndefinedError, UnsupportedError
        """
        for index, positions in reversed(places.items()):
            self._enter(index, positions)
        shape = tuple(reversed(self.shape))
        with np.errstate(all="ignore"):
            value = self.value(expr, None)
        return np.array(np.broadcast_to(np.asarray(value, dtype=self.numbers.dtype), shape))

    def _enter(self, index: Any, positions: Any) -> None:
        positions = np.asarray(positions, dtype=np.int64)
        self.env[index] = positions.reshape((-1,) + (1,) * len(self.shape))
        self.shape.append(len(positions))

    # ---- numbers ---------------------------------------------------------------------------------------------

    def value(self, node: Any, active: Any) -> Any:
        """What `node` is worth, wherever `active` (None: everywhere)."""
        numbers = self.numbers
        if node in self.env:
            found = self.env[node]
            return numbers.whole(found) if np.asarray(found).dtype == np.int64 else found
        if isinstance(node, Indexed | Tensor):
            found = self._element(node, active)
            return numbers.whole(found) if np.asarray(found).dtype == np.int64 else found
        if isinstance(node, Dim):
            return numbers.whole(self.size(node))
        if node.is_Number or node.is_NumberSymbol:
            return numbers.constant(node)
        if isinstance(node, sympy.Add):
            total = self.value(node.args[0], active)
            for term in node.args[1:]:
                total = np.add(total, self.value(term, active))
            return total
        if isinstance(node, sympy.Mul):
            return self._product(node, active)
        if isinstance(node, sympy.Pow):
            return self._power(node, active)
        if isinstance(node, Sum):
            return self._sum(node, active)
        if isinstance(node, Elementwise):
            return self._elementwise(node, active)
        if isinstance(node, Piecewise):
            return self._cases(node, active)
        if isinstance(node, Max):
            return self._largest(node, active)[0]
        return self._other(node, active)

    def _other(self, node: Any, active: Any) -> Any:
        numbers = self.numbers
        if isinstance(node, ArgMax | sympy.Mod):
            return numbers.whole(self.place(node, active))
        if isinstance(node, Guard | KroneckerDelta):
            return numbers.whole(self._bracket(node, active).astype(np.int64))
        if isinstance(node, held):
            return self.value(node.args[0], active)
        if isinstance(node, sympy.floor | sympy.ceiling) and node.args[0].free_symbols and not elements(node):
            return numbers.whole(self.place(node, active))
        name = type(node).__name__
        if name in ("Abs", "sign", "floor", "ceiling") or name in FUNCTIONS:
            inside = self._safe(self.value(node.args[0], active), active)
            if name == "Abs":
                self._watch(node, inside, active)
                return np.abs(inside)
            if name == "sign":
                self._watch(node, inside, active)
                return numbers.whole(np.greater(inside, 0).astype(np.int64) - np.less(inside, 0).astype(np.int64))
            if name in ("floor", "ceiling"):
                return numbers.floor(inside) if name == "floor" else -numbers.floor(-inside)
            return numbers.function(name, inside)
        raise UnsupportedError(f"cannot evaluate {node} of type {name}")

    def _watch(self, node: Any, inside: Any, active: Any) -> None:
        if self.watch is not None:
            self.watch.compare((*self.about, node), inside, self.numbers.whole(0), active)

    def _safe(self, array: Any, active: Any) -> Any:
        """1 where nothing is active, so that no function is taken of what has no meaning there."""
        return array if active is None else np.where(active, array, self.numbers.whole(1))

    def _product(self, node: Any, active: Any) -> Any:
        brackets = [part for part in node.args if isinstance(part, Guard | KroneckerDelta)]
        if not brackets:
            return self._multiplied(node.args, active)
        # What a bracket reads is itself read only where those that read nothing are 1.
        inside = active
        for part in sorted(brackets, key=lambda part: bool(elements(part))):
            inside = _both(inside, self._bracket(part, inside))
        if not np.any(inside):
            return self.numbers.whole(0)
        others = [part for part in node.args if part not in brackets]
        found = self._multiplied(others, inside) if others else self.numbers.whole(1)
        return np.where(inside, found, self.numbers.whole(0))

    def _multiplied(self, factors: Any, active: Any) -> Any:
        found = [self.value(factor, active) for factor in factors]
        found.sort(key=np.size)  # numbers first
        product = found[0]
        for other in found[1:]:
            product = np.multiply(product, other)
        return product

    def _power(self, node: Any, active: Any) -> Any:
        base = self.value(node.base, active)
        if isinstance(node.exp, sympy.Integer):
            power = int(node.exp)
            if power > 0:
                return base**power
            return self.numbers.inverse(self._safe(base, active)) ** -power
        base = self._safe(base, active)
        if node.exp == sympy.Rational(1, 2):
            return self.numbers.root(base)
        if node.exp == sympy.Rational(-1, 2):
            return self.numbers.inverse(self.numbers.root(base))
        if node.base == sympy.E:
            return self.numbers.function("exp", self._safe(self.value(node.exp, active), active))
        return self.numbers.power(base, self._safe(self.value(node.exp, active), active))

    def _elementwise(self, node: Any, active: Any) -> Any:
        function: Any = type(node)
        arguments, formula = formula_of(function, len(node.args))
        before, about = self.env, self.about
        given = [np.asarray(self.value(argument, active), dtype=self.numbers.dtype) for argument in node.args]
        self.env = {**before, **dict(zip(arguments, given, strict=True))}
        self.about = (*about, node)  # the symbols of the formula are those of every such function
        found = self.value(formula, active)
        self.env, self.about = before, about
        return found

    def _cases(self, node: Any, active: Any) -> Any:
        total: Any = None
        left = active
        for branch, condition in node.args:
            here = left if condition == True else _both(left, self.condition(condition, left))  # noqa: E712
            if here is None or np.any(here):
                value = self.value(branch, here)
                total = value if here is None or total is None else np.where(here, value, total)
            if here is None:
                break
            left = ~here if left is None else left & ~here
            if not np.any(left):
                break
        return self.numbers.whole(0) if total is None else total

    def condition(self, node: Any, active: Any) -> Any:
        if node in (sympy.true, sympy.false):
            return np.asarray(bool(node))
        if isinstance(node, sympy.And):
            for part in node.args:
                active = _both(active, self.condition(part, active))
            return active
        if isinstance(node, sympy.Or):
            found: Any = np.asarray(False)
            for part in node.args:
                found = found | self.condition(part, active)
            return found
        if isinstance(node, sympy.Not):
            return ~self.condition(node.args[0], active)
        if type(node) not in _RELATIONS:
            raise UnsupportedError(f"cannot evaluate the condition {node} of type {type(node).__name__}")
        left, right = (np.asarray(self.value(arg, active)) for arg in node.args)
        if self.watch is not None and self._depends_on_values(node):
            self.watch.compare((*self.about, node), left, right, active)
        return np.asarray(_RELATIONS[type(node)](left, right), dtype=bool)

    def _depends_on_values(self, node: Any) -> bool:
        return bool(elements(node)) or any(
            self.env[symbol].dtype != np.int64 for symbol in node.free_symbols if symbol in self.env
        )

    # ---- binders ---------------------------------------------------------------------------------------------

    def _sum(self, node: Any, active: Any) -> Any:
        limits = [(index, self.size(extent)) for index, extent in node.limits]
        return self._summed(node.body, limits, active)

    def _summed(self, body: Any, limits: list[tuple[Any, int]], active: Any) -> Any:
        if not limits:
            return self.value(body, active)
        (index, extent), rest = limits[0], limits[1:]
        if int(np.prod(self.shape, dtype=object)) * extent > LARGEST:
            total = self.numbers.whole(0)
            for position in range(extent):
                total = np.add(total, self._inside(index, [position], lambda: self._summed(body, rest, active)))
            return total
        return self._inside(index, np.arange(extent), lambda: self._summed(body, rest, active))

    def _inside(self, index: Any, positions: Any, value: Callable[[], Any]) -> Any:
        """The sum of `value()` over the positions of one index more."""
        depth, before = len(self.shape), self.env.get(index)
        self._enter(index, positions)
        found = value()
        self.shape.pop()
        del self.env[index]
        if before is not None:
            self.env[index] = before
        if np.ndim(found) > depth:
            return np.add.reduce(found, axis=0)
        return np.multiply(found, self.numbers.whole(len(positions)))

    def _largest(self, node: Any, active: Any) -> tuple[Any, Any]:
        """The maximum of a `Max` or an `ArgMax`, and the first position where it is reached."""
        ((index, extent),) = node.limits
        depth, before = len(self.shape), self.env.get(index)
        self._enter(index, np.arange(self.size(extent)))
        shape = tuple(reversed(self.shape))
        found = np.broadcast_to(np.asarray(self.value(node.body, active), dtype=self.numbers.dtype), shape)
        self.shape.pop()
        del self.env[index]
        if before is not None:
            self.env[index] = before
        largest = np.maximum.reduce(found, axis=0)
        first = np.argmax(np.asarray(found == largest, dtype=bool), axis=0)
        if self.watch is not None and len(found) > 1:
            ordered = np.sort(found, axis=0)
            self.watch.compare((*self.about, node), ordered[-1], ordered[-2], active)
            self.watch.seen.pop((*self.about, node), None)  # it has no two branches
        assert largest.ndim == depth
        return largest, first

    # ---- positions -------------------------------------------------------------------------------------------

    def _element(self, node: Any, active: Any) -> Any:
        tensor = node.base.label if isinstance(node, Indexed) else node
        array = self.read(tensor)
        if not isinstance(node, Indexed):
            return np.asarray(array)
        places = []
        for place, size in zip(node.indices, array.shape, strict=True):
            at = self.place(place, active)
            outside = (at < 0) | (at >= size)
            if np.any(outside):
                if active is None or np.any(outside & active):
                    raise IndexingError(f"{node} is read outside of an axis of size {size}")
                at = np.clip(at, 0, size - 1)
            places.append(at)
        return array[tuple(places)]

    def place(self, node: Any, active: Any) -> Any:
        """A whole number for every position: where a tensor is read, what a guard or a delta compares."""
        if node in self.env and self.env[node].dtype == np.int64:
            return self.env[node]
        if isinstance(node, sympy.Integer):
            return np.asarray(int(node))
        if isinstance(node, Dim):
            return np.asarray(self.size(node))
        if isinstance(node, Indexed | Tensor):
            found = self._element(node, active)
            if found.dtype == np.int64:
                return found
        if isinstance(node, sympy.Add):
            return sum((self.place(arg, active) for arg in node.args[1:]), self.place(node.args[0], active))
        if isinstance(node, sympy.Mul) and all(arg.is_integer for arg in node.args):
            product = np.asarray(1)
            for arg in node.args:
                product = product * self.place(arg, active)
            return product
        if isinstance(node, sympy.Pow) and isinstance(node.exp, sympy.Integer) and node.exp > 0:
            return self.place(node.base, active) ** int(node.exp)
        if isinstance(node, sympy.Mod):
            return self.place(node.args[0], active) % self.place(node.args[1], active)
        if isinstance(node, sympy.floor | sympy.ceiling) and not elements(node):
            top, bottom = _fraction(node.args[0])
            above, below = self.place(top, active), self.place(bottom, active)
            return above // below if isinstance(node, sympy.floor) else -(-above // below)
        if isinstance(node, ArgMax):
            return self._largest(node, active)[1]
        if isinstance(node, Guard | KroneckerDelta):
            return self._bracket(node, active).astype(np.int64)
        if isinstance(node, Binder | Indexed | Tensor | sympy.Function | Piecewise | sympy.Mul | sympy.Pow):
            found = self.value(node, active)
            return np.frompyfunc(int, 1, 1)(found).astype(np.int64)
        raise UnsupportedError(f"cannot read at position {node} of type {type(node).__name__}")

    def _bracket(self, node: Any, active: Any) -> Any:
        if isinstance(node, Guard):
            return np.asarray(self.place(node.args[0], active) >= 0)
        return np.asarray(np.equal(*(self.place(arg, active) for arg in node.args)))


def _both(one: Any, other: Any) -> Any:
    return other if one is None else one & other


@cache
def formula_of(function: Any, count: int) -> tuple[tuple[Symbol, ...], Expr]:
    """The formula of a named function, of symbols that stand for its arguments."""
    arguments = tuple(sympy.Dummy(f"x{place}", real=True) for place in range(count))
    return arguments, function.definition(*arguments)


@cache
def _fraction(node: Expr) -> tuple[Expr, Expr]:
    top, bottom = sympy.fraction(sympy.together(node))
    return top, bottom


__all__ = ["Grid", "NoValueError", "Watch"]
