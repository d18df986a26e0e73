"""Recurrent layers: what they share, and `RNN`. `GRU` and `LSTM` are in gated.py, `Bidirectional` in bidirectional.py.

A state is announced, its equations read it a step before, and so they are a recurrence: nothing here says how it is
run, or how its gradient flows back through time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import sympy
from sympy import Expr, Integer, KroneckerDelta, Mod, Piecewise

from ..activations import activate, identity, tanh
from ..binders import Sum
from ..errors import ShapeError, UndefinedError
from ..guards import padded
from ..indices import Index, as_size
from ..network import Network
from ..tensors import Tensor, shape_text
from .base import Layer, Place, latex_of, letters, needs_axes
from .dense import activation_name

INITIAL = (None, "input", "parameter")


class Recurrent(Layer):
    """Base of the recurrent layers over (B, T, n): options, states a step before, gates.

    Parameters
    ----------
    units : size of the state, m.
    return_sequences : whether all states (B, T, m) come out, or the last one (B, m) alone.
    initial : the state before the first step: None for 0; "input" for a network input ``h0_1 (B, m)``; "parameter" for
        a learned ``h0_1 (m,)``.
    reverse : whether it runs from the last step to the first; the last state is then that of step 0.
    mask : None, or the name of an input (B, T) of 1 and 0: at a step where it is 0, the state stays as it was. It is
        declared unless the network has it: several layers may name the same one.
    truncate : None, or after how many steps the gradient is cut: none flows from step t to the one before where t is a
        multiple of it (counted from the end if `reverse`). States are carried on all the same.
    bias : whether there are biases.
    weight_init, recurrent_init, bias_init : how a model fills the weights of the input (W…), of the state (U…), and the
        biases: an initialiser, an array, a number; None for the default.

    Raises
    ------
    ShapeError
        If `units` is no size, or `truncate` no whole number of at least 1; on `build`, if the incoming tensor is not
        (B, T, n), or `mask` names a tensor of another shape.
    UndefinedError
        If `initial` is none of the three.
    """

    def __init__(
        self,
        units: Any,
        return_sequences: bool = True,
        initial: str | None = None,
        reverse: bool = False,
        mask: str | None = None,
        truncate: int | None = None,
        bias: bool = True,
        weight_init: Any = None,
        recurrent_init: Any = None,
        bias_init: Any = None,
    ) -> None:
        name = type(self).__name__
        self.units = as_size(units, f"units of {name}")
        if initial not in INITIAL:
            raise UndefinedError(f"initial of {name} is {initial!r}; expected None, 'input' or 'parameter'")
        if truncate is not None and (isinstance(truncate, bool) or not isinstance(truncate, int) or truncate < 1):
            raise ShapeError(f"truncate of {name} is {truncate!r}; expected None or a whole number of at least 1")
        self.return_sequences = return_sequences
        self.initial = initial
        self.reverse = reverse
        self.mask = mask
        self.truncate = truncate
        self.bias = bias
        self.weight_init = weight_init
        self.recurrent_init = recurrent_init
        self.bias_init = bias_init

    @abstractmethod
    def steps(self, cell: Cell) -> None:
        """Define the equations of one step, the state h among them."""

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 3, self, place, most=3)
        cell = Cell(self, network, x, place)
        self.steps(cell)
        h = cell.states["h"]
        if self.return_sequences:
            return h
        i, t, j = cell.where
        last = Integer(0) if self.reverse else x.shape[1] - 1
        return network.define(f"a{place}", (i, j), h[i, last, j], note=f"last state of {cell.note}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.units})"


class Cell:
    """A recurrent layer as it is built: its names in a network, its states, its gates.

    Attributes
    ----------
    where : the indices (i, t, j) of what it defines
    states : the states announced so far, by letter
    """

    def __init__(self, layer: Any, network: Network, x: Tensor, place: Place) -> None:
        self.layer, self.network, self.x, self.place = layer, network, x, place
        self.note = f"{type(layer).__name__}, layer {place}"
        i, t, j, self.k = letters(network, "itjk")
        self.where: tuple[Index, Index, Index] = (i, t, j)
        self.seen = _mask(layer, network, x, place)
        self.states: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}

    def announce(self, *names: str) -> None:
        """Announce states by letter, and define what they were a step before where that is an equation of its own."""
        i, t, j = self.where
        shape = (*self.x.shape[:2], self.layer.units)
        for name in names:
            self.states[name] = self.network.sequence(f"{name}{self.place}", shape)
        for name in names:
            if self.layer.initial is not None or self.layer.truncate is not None:
                body = self._carried(name, i, t, j)
                self._before[name] = self.define(f"{name}p", body, latex=latex_of(name, self.place, "-"))

    def before(self, name: str, j: Expr) -> Expr:
        """The state `name` a step before, of unit j."""
        i, t, _ = self.where
        if name in self._before:
            return self._before[name][i, t, j]
        return self._shifted(name, i, t, j)

    def define(self, name: str, body: Expr, latex: str | None = None) -> Tensor:
        return self.network.define(
            f"{name}{self.place}",
            self.where,
            body,
            latex=latex,
            note=self.note,
            shape=(*self.x.shape[:2], self.layer.units),
        )

    def weighted(self, gate: str) -> Expr:
        """``Sum(W[j, k] x[i, t, k], k)``, the input's part of a gate."""
        i, t, j = self.where
        n = self.x.shape[-1]
        W = self.parameter("W", gate, (self.layer.units, n), self.layer.weight_init)
        return Sum(W[j, self.k] * self.x[i, t, self.k], self.k)

    def recurrent(self, gate: str) -> Expr:
        """``Sum(U[j, k] h[i, t - 1, k], k)``, the state's part of a gate."""
        m = self.layer.units
        U = self.parameter("U", gate, (m, m), self.layer.recurrent_init)
        return Sum(U[self.where[2], self.k] * self.before("h", self.k), (self.k, m))

    def bias(self, gate: str, letter: str = "b") -> Expr:
        if not self.layer.bias:
            return Integer(0)
        return self.parameter(letter, gate, (self.layer.units,), self.layer.bias_init)[self.where[2]]

    def parameter(self, letter: str, gate: str, shape: Any, init: Any) -> Tensor:
        latex = latex_of(letter, self.place, gate)
        return self.layer.parameter(self.network, letter + gate, shape, self.place, init=init, latex=latex)

    def gate(self, name: str, activation: Any, body: Expr) -> Expr:
        """Define ``z = body`` and the gate, `activation` of it; the gate at the indices of the layer."""
        z = self.define(f"z{name}", body, latex=latex_of("z", self.place, name))
        return self.define(name, activation(z[self.where]))[self.where]

    def next(self, name: str, body: Expr) -> Tensor:
        """Define the announced state, carried over where the mask is 0."""
        if self.seen is not None:
            seen = self.seen[self.where[:2]]
            body = seen * body + (1 - seen) * self.before(name, self.where[2])
        self.states[name] = self.define(name, body)
        return self.states[name]

    # ---- inside ----------------------------------------------------------------------------------------------

    def _shifted(self, name: str, i: Expr, t: Expr, j: Expr) -> Expr:
        return padded(self.states[name][i, t + 1 if self.layer.reverse else t - 1, j])

    def _carried(self, name: str, i: Expr, t: Expr, j: Expr) -> Expr:
        """The state a step before, with the initial state before the first step; held where the gradient is cut."""
        length = self.x.shape[1]
        body = self._shifted(name, i, t, j)
        if self.layer.truncate is not None:
            from ..held import held

            since = length - 1 - t if self.layer.reverse else t
            body = Piecewise((held(body), sympy.Eq(Mod(since, self.layer.truncate), 0)), (body, True))
        if self.layer.initial is None:
            return body
        own = f"{name}0_{self.place}"
        if self.layer.initial == "input":
            start = self.network.input(own, (self.x.shape[0], self.layer.units))[i, j]
        else:
            symbol = latex_of(name, self.place, "0")
            start = self.layer.parameter(self.network, f"{name}0_", (self.layer.units,), self.place, latex=symbol)[j]
        return body + KroneckerDelta(t, length - 1 if self.layer.reverse else 0) * start


def _mask(layer: Any, network: Network, x: Tensor, place: Place) -> Tensor | None:
    if layer.mask is None:
        return None
    seen = network.tensors.get(layer.mask) or network.input(layer.mask, x.shape[:2])
    if seen.role != "input" or seen.shape != x.shape[:2] or seen.classes is not None:
        raise ShapeError(
            f"{type(layer).__name__} at place {place} takes a mask of shape {shape_text(x.shape[:2])}, an input of real "
            f"numbers, but {layer.mask} is a tensor of role {seen.role} and shape {shape_text(seen.shape)}; name another"
        )
    return seen


class RNN(Recurrent):
    """A simple recurrent layer over (B, T, n) (Elman 1990).

    ``z[i, t, j] = Sum(W[j, k] x[i, t, k], k) + Sum(U[j, k] h[i, t - 1, k], k) + b[j]``, then
    ``h[i, t, j] = activation(z[i, t, j])``. The state before the first step is 0; if `initial` says otherwise, it is
    ``hp[i, t, j] = h[i, t - 1, j] + [t = 0] h0[i, j]`` that is read. The parameters are ``W1 (m, n)``, ``U1 (m, m)``
    and ``b1 (m,)``.

    Parameters
    ----------
    units : size of the state, m.
    activation : as in `Dense`.
    options : those of `Recurrent`.

    Raises
    ------
    ShapeError, UndefinedError
        As `Recurrent` does.
    """

    def __init__(self, units: Any, activation: Any = tanh, **options: Any) -> None:
        super().__init__(units, **options)
        self.activation = activation

    def steps(self, cell: Cell) -> None:
        cell.announce("h")
        body = cell.weighted("") + cell.recurrent("") + cell.bias("")
        if self.activation is not identity:
            z = cell.define("z", body)
            body = activate(self.activation, z[cell.where], cell.where[-1])
        cell.next("h", body)

    def __repr__(self) -> str:
        return f"RNN({self.units}, {activation_name(self.activation)})"
