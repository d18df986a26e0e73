"""`Writer`: equations and expressions of one network as formulas, in one notation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..equations import Equation
from ..latex import LatexPrinter, equation_latex
from ..matrix_view import View
from ..matrix_write import matrix_latex, matrix_text
from ..notation import Notation
from ..printer import Letters, names_in
from ..text import TextPrinter, equation_text
from .document import Formula

if TYPE_CHECKING:
    from ..network import Network


class Writer:
    """Writes the equations of `network`.

    Parameters
    ----------
    view : how tensors are shown as matrices; None where everything is written in index form
    """

    def __init__(self, network: Network, notation: Notation, view: View | None = None) -> None:
        self.network, self.notation, self.view = network, notation, view
        # With more than two axes, the letters of the declaration tell over which axis a sum goes.
        many = any(tensor.rank > 2 for tensor in network.tensors.values())
        self.letters: Letters | None = network.letters_of if many else None

    def equation(self, equation: Equation) -> Formula:
        """An equation in matrix form, where that is wanted and there is one, else in index form."""
        return self.matrix(equation) or self.index(equation)

    def matrix(self, equation: Equation) -> Formula | None:
        """An equation in matrix form, or None."""
        if self.view is None:
            return None
        given = equation, self.view, self.notation, self.letters
        text, latex = matrix_text(*given), matrix_latex(*given)
        return None if text is None or latex is None else Formula(text, latex)

    def index(self, equation: Equation) -> Formula:
        """An equation in index form."""
        given = equation, self.letters, self.notation
        return Formula(equation_text(*given), equation_latex(*given))

    def expression(self, expr: Any, indices: Any = ()) -> Formula:
        """An expression in index form, below the left side's `indices`."""
        given = names_in(expr, indices), self.letters, indices, self.notation
        return Formula(TextPrinter(*given).write(expr), LatexPrinter(*given).write(expr))
