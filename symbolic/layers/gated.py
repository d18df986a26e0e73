"""Recurrent layers whose gates decide what is kept: `GRU` and `LSTM`."""

from __future__ import annotations

from typing import Any

from ..activations import sigmoid, tanh
from .base import as_flag
from .cell import Cell
from .recurrent import Recurrent


class GRU(Recurrent):
    """Gated recurrent units over (B, T, n) (Cho et al. 2014, appendix A.1), with the reset gate as in PyTorch.

    With σ the sigmoid and h' the state a step before::

        r = σ(Wr x + Ur h' + br)        reset gate
        u = σ(Wu x + Uu h' + bu)        update gate
        s = Un h' + cn
        n = tanh(Wn x + bn + r s)       new state
        h = (1 - u) n + u h'

    The reset gate is applied after Un, so that all that reads h' is one product; the paper applies it before. The
    parameters are ``Wr1``, ``Wu1``, ``Wn1 (m, n)``, ``Ur1``, ``Uu1``, ``Un1 (m, m)``, ``br1``, ``bu1``, ``bn1`` and
    ``cn1 (m,)``.

    Parameters
    ----------
    units : size of the state, m.
    options : those of `Recurrent`.

    Raises
    ------
    ShapeError, UndefinedError
        As `Recurrent` does.
    """

    def __init__(self, units: Any, **options: Any) -> None:
        super().__init__(units, **options)

    def steps(self, cell: Cell) -> None:
        cell.announce("h")
        r = cell.gate("r", sigmoid, cell.weighted("r") + cell.recurrent("r") + cell.bias("r"))
        u = cell.gate("u", sigmoid, cell.weighted("u") + cell.recurrent("u") + cell.bias("u"))
        s = cell.define("s", cell.recurrent("n") + cell.bias("n", "c"))[cell.where]
        n = cell.gate("n", tanh, cell.weighted("n") + cell.bias("n") + r * s)
        cell.next("h", (1 - u) * n + u * cell.before("h", cell.where[-1]))


class LSTM(Recurrent):
    """Long short-term memory over (B, T, n) (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

    With σ the sigmoid, h' and c' the state and the cell a step before, and ⊙ the product entry by entry::

        i = σ(Wi x + Ui h' + bi)        input gate
        f = σ(Wf x + Uf h' + bf)        forget gate
        g = tanh(Wg x + Ug h' + bg)     what may be written
        o = σ(Wo x + Uo h' + bo)        output gate
        c = f ⊙ c' + i ⊙ g
        h = o ⊙ tanh(c)

    With `peepholes`, i and f also see Pi ⊙ c' and Pf ⊙ c', and o sees Po ⊙ c (Gers and Schmidhuber 2000, section 2).
    The parameters are ``Wi1 (m, n)``, ``Ui1 (m, m)``, ``bi1 (m,)``, likewise for f, g and o, and ``Pi1``, ``Pf1``,
    ``Po1 (m,)``. Initial states are ``h0_1`` and ``c0_1``.

    Parameters
    ----------
    units : size of the state and of the cell, m.
    peepholes : whether the gates see the cell.
    options : those of `Recurrent`.

    Raises
    ------
    ShapeError, UndefinedError
        As `Recurrent` does.
    """

    def __init__(self, units: Any, peepholes: bool = False, **options: Any) -> None:
        super().__init__(units, **options)
        self.peepholes = as_flag(peepholes, f"peepholes of {type(self).__name__}")

    def steps(self, cell: Cell) -> None:
        cell.announce("h", "c")
        own = cell.where[-1]

        def before(gate: str, peeps: bool = False) -> Any:
            body = cell.weighted(gate) + cell.recurrent(gate) + cell.bias(gate)
            return body + self._peephole(cell, gate) * cell.before("c", own) if peeps else body

        i = cell.gate("i", sigmoid, before("i", self.peepholes))
        f = cell.gate("f", sigmoid, before("f", self.peepholes))
        g = cell.gate("g", tanh, before("g"))
        c = cell.next("c", f * cell.before("c", own) + i * g)[cell.where]
        o = cell.gate("o", sigmoid, before("o") + (self._peephole(cell, "o") * c if self.peepholes else 0))
        cell.next("h", o * tanh(c))

    def _peephole(self, cell: Cell, gate: str) -> Any:
        return cell.parameter("P", gate, (self.units,), self.recurrent_init)[cell.where[-1]]
