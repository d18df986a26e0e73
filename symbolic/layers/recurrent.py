"""Recurrent layers: what they share, and `RNN`. `GRU` and `LSTM` are in gated.py, `Bidirectional` in bidirectional.py.

A state is announced, its equations read it a step before, and so they are a recurrence: nothing here says how it is
run, or how its gradient flows back through time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sympy import Integer

from ..activations import activate, identity, tanh
from ..errors import ShapeError, UndefinedError
from ..indices import as_size
from ..network import Network
from ..tensors import Tensor
from .base import Layer, Place, as_flag, needs_axes
from .cell import Cell
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
        self.return_sequences = as_flag(return_sequences, f"return_sequences of {type(self).__name__}")
        self.initial = initial
        self.reverse = as_flag(reverse, f"reverse of {type(self).__name__}")
        self.mask = mask
        self.truncate = truncate
        self.bias = as_flag(bias, f"bias of {type(self).__name__}")
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
        i, _, j = cell.where
        last = Integer(0) if self.reverse else x.shape[1] - 1
        return network.define(f"a{place}", (i, j), h[i, last, j], note=f"last state of {cell.note}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.units})"


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
