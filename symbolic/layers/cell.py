"""`Cell`: a recurrent layer as it is built, its states a step before, its gates."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr, Integer, KroneckerDelta, Mod, Piecewise

from ..binders import Sum
from ..guards import inside, padded
from ..held import held
from ..indices import Index
from ..network import Network
from ..tensors import Tensor
from .base import Place, latex_of, letters, mask_input


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
        self.seen = mask_input(layer, network, x, place)
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
            since, at = (length - 1 - t, t + 1) if self.layer.reverse else (t, t - 1)
            element = self.states[name][i, at, j]
            cut = sympy.Eq(Mod(since, self.layer.truncate), 0)
            body = inside(at, length) * Piecewise((held(element), cut), (element, True))
        if self.layer.initial is None:
            return body
        own = f"{name}0_{self.place}"
        if self.layer.initial == "input":
            start = self.network.input(own, (self.x.shape[0], self.layer.units))[i, j]
        else:
            symbol = latex_of(name, self.place, "0")
            start = self.layer.parameter(self.network, f"{name}0_", (self.layer.units,), self.place, latex=symbol)[j]
        return body + KroneckerDelta(t, length - 1 if self.layer.reverse else 0) * start
