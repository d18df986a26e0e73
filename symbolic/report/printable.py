"""`Printable`: what a `Derivation` offers for printing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..notation import Notation
from . import as_latex, as_markdown, as_text
from .document import Document
from .page import Form, page

if TYPE_CHECKING:
    from ..derivation import Derivation


class Printable:
    """The formats of a derivation. Keywords beside those named are choices of `Notation`."""

    def document(self, form: Form = "matrix", *, steps: bool = False, **notation: Any) -> Document:
        """The derivation as a `Document`, which all formats are written from.

        Parameters
        ----------
        form : "matrix" (index form where an equation has no matrix form) or "index"
        steps : whether it tells how each adjoint came about
        notation : choices of `Notation`, such as ``layout="rows"``

        Raises
        ------
        UnsupportedError
            If there is no such form or choice.
        """
        return page(cast("Derivation", self), form, Notation.of(notation), steps=steps)

    def text(self, form: Form = "matrix", *, steps: bool = False, **notation: Any) -> str:
        """The derivation as plain text; `steps` also shows how each adjoint came about; see `document`."""
        return as_text.text(self.document(form, steps=steps, **notation), steps=steps)

    def latex(self, form: Form = "matrix", *, steps: bool = False, standalone: bool = False, **notation: Any) -> str:
        """The derivation as LaTeX for amsmath: a fragment to ``\\input``, or a whole document; see `document`."""
        return as_latex.latex(self.document(form, steps=steps, **notation), steps=steps, standalone=standalone)

    def markdown(self, form: Form = "matrix", *, steps: bool = False, **notation: Any) -> str:
        """The derivation as Markdown with ``$$`` formulas, for notebooks and sites; see `document`."""
        return as_markdown.markdown(self.document(form, steps=steps, **notation), steps=steps)

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()
