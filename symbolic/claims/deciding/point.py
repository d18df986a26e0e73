"""`Point`: the values of all tensors of a network, and of all adjoints, at one random point and at concrete sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sympy import Expr, Symbol

from ...derivation import Derivation
from ...equations import Equation
from ...errors import UndefinedError
from ...network import Network
from ...recurrence import Recurrence, blocks
from ...tensors import Adjoint, Tensor
from .draw import Drawn, Style, draw_sizes, draw_values, number_of
from .everything import has_no_gradient
from .grid import Grid, Watch
from .numbers import FLOATS, Numbers


class Point:
    """Values at one point, each computed when it is first read.

    Parameters
    ----------
    derivation : of everything, see `everything`
    sizes : a number for every symbolic size
    given : values of what no equation defines
    numbers : the kind of numbers that everything is computed in

    Attributes
    ----------
    watch : what the conditions in all that was computed came to
    """

    def __init__(
        self,
        derivation: Derivation,
        sizes: Mapping[str, int],
        given: Mapping[str, Drawn],
        numbers: Numbers = FLOATS,
        watch: Watch | None = None,
    ) -> None:
        self.derivation, self.sizes, self.given, self.numbers = derivation, dict(sizes), dict(given), numbers
        self.watch = watch
        self._arrays: dict[Tensor, Any] = {}

    def array(
        self,
        expr: Expr,
        indices: Sequence[tuple[Symbol, Expr]] = (),
        places: Mapping[Symbol, Any] | None = None,
        watch: Watch | None = None,
    ) -> Any:
        """The array of an expression over `indices`, an axis for each.

        Parameters
        ----------
        expr : SymPy expression over elements of tensors and adjoints of the network
        indices : the free indices, with the sizes of their ranges
        places : positions of an index, if not all of its range
        watch : what notes the conditions in `expr` itself

        Raises
        ------
        NoValueError
            If it has no real value.
        IrrationalError
            If it holds a function that the kind of numbers does not know.
        IndexingError, UndefinedError, UnsupportedError
        """
        where = {index: np.arange(self.size(size)) for index, size in indices}
        return self._grid(watch, "").array(expr, {**where, **(places or {})})

    def __getitem__(self, tensor: Tensor | str) -> Any:
        """The array of a tensor, or of an adjoint."""
        return self.read(self.derivation.network.tensors[tensor] if isinstance(tensor, str) else tensor)

    def adjoint(self, name: str) -> Any:
        """The array of the gradient ∂L/∂name."""
        loss = self.derivation.network.loss
        assert loss is not None
        return self.read(Adjoint(self.derivation.network.tensors[name], loss))

    def size(self, size: Expr) -> int:
        return number_of(size, self.sizes)

    def read(self, tensor: Tensor) -> Any:
        if tensor not in self._arrays:
            self._compute(tensor)
        return self._arrays[tensor]

    @property
    def known(self) -> dict[Tensor, Any]:
        """What has been computed so far."""
        return dict(self._arrays)

    def put(self, tensor: Tensor, array: Any) -> None:
        """Give a tensor a value, whatever its equation says."""
        self._arrays[tensor] = array

    # ---- inside ----------------------------------------------------------------------------------------------

    def _grid(self, watch: Watch | None, about: str) -> Grid:
        return Grid(self.numbers, self.size, self.read, watch, about)

    def _compute(self, tensor: Tensor) -> None:
        network = self.derivation.network
        drawn = self.given.get(tensor.name)
        if drawn is not None and not isinstance(tensor, Adjoint):
            values = drawn.top if drawn.labels else self.numbers.ratio(drawn.top, drawn.bottom)
            self._arrays[tensor] = np.asarray(values, dtype=np.int64 if drawn.labels else self.numbers.dtype)
            return
        if tensor.name in network.values:
            self._arrays[tensor] = np.asarray(
                self.numbers.constant(network.values[tensor.name]), dtype=self.numbers.dtype
            )
            return
        block = blocks_of(self.derivation).get(tensor)
        if block is None:
            if isinstance(tensor, Adjoint) and tensor.of.name in network.tensors:
                shape = tuple(self.size(size) for size in tensor.shape)
                constant = int(not has_no_gradient(self.derivation, tensor.of))
                self._arrays[tensor] = np.asarray(self.numbers.whole(np.full(shape, constant)))
                return
            raise UndefinedError(f"{tensor.name} is no tensor of {network.name}")
        if isinstance(block, Recurrence):
            self._follow(block)
        else:
            places = {i: np.arange(self.size(s)) for i, s in zip(block.indices, block.target.shape, strict=True)}
            self._arrays[tensor] = self._grid(self.watch, tensor.name).array(block.body, places)

    def _follow(self, recurrence: Recurrence) -> None:
        """The tensors of a recurrence, one step of time after another."""
        times = range(self.size(recurrence.length))
        for step in recurrence.equations:
            shape = tuple(self.size(size) for size in step.target.shape)
            self._arrays[step.target] = np.asarray(self.numbers.whole(np.zeros(shape, dtype=np.int64)))
        try:
            for time in times if recurrence.step > 0 else reversed(times):
                for step in recurrence.equations:
                    places = {i: np.arange(self.size(s)) for i, s in zip(step.indices, step.target.shape, strict=True)}
                    places[recurrence.time(step)] = np.array([time])
                    now = [slice(None)] * step.target.rank
                    now[recurrence.axes[step.target]] = slice(time, time + 1)
                    found = self._grid(self.watch, step.target.name).array(step.body, places)
                    self._arrays[step.target][tuple(now)] = found
        except Exception:
            for step in recurrence.equations:
                self._arrays.pop(step.target, None)
            raise


_BLOCKS: WeakKeyDictionary[Network, tuple[Derivation, dict[Tensor, Equation | Recurrence]]] = WeakKeyDictionary()


def blocks_of(derivation: Derivation) -> dict[Tensor, Equation | Recurrence]:
    """The equation that defines each tensor and each adjoint, or the recurrence that it is one of."""
    kept = _BLOCKS.get(derivation.network)
    if kept is None or kept[0] is not derivation:
        adjoints = [step.equation for step in derivation.steps.values()]
        kept = derivation, _by_target([*derivation.network.equations, *adjoints])
        _BLOCKS[derivation.network] = kept
    return kept[1]


def _by_target(equations: list[Equation]) -> dict[Tensor, Equation | Recurrence]:
    found: dict[Tensor, Equation | Recurrence] = {}
    for block in blocks(equations):
        for equation in block.equations if isinstance(block, Recurrence) else (block,):
            found[equation.target] = block
    return found


def draw_point(
    derivation: Derivation,
    seed: int = 0,
    numbers: Numbers = FLOATS,
    *,
    batch: int | None = None,
    style: Style | None = None,
    watch: Watch | None = None,
) -> Point:
    """A random point of the network; `seed` says which, `batch` the size of the batch (by default a prime).

    Raises
    ------
    SizeError, UnsupportedError
    """
    sizes = draw_sizes(derivation.network, seed, batch)
    given = draw_values(derivation, sizes, seed, style or Style())
    return Point(derivation, sizes, given, numbers, watch)


__all__ = ["Point", "blocks_of", "draw_point"]
